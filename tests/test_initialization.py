"""Initial factors: what each start promises, and scikit-learn's starts."""

import numpy as np
import pytest
import scipy.sparse as sp
import zoo
from problems import noisy
from sklearn.datasets import load_digits
from sklearn.decomposition._nmf import _initialize_nmf

from nmf_core._core import Team
from nmf_core.data import as_container
from nmf_core.initialization import INITIALIZERS, initial_factors, make_random_state, truncated_svd

X = zoo.matrix() + 0.5 * noisy(37, 22, 4)
K = 4
TEAM = Team(2)
CONTAINERS = {
    "C": np.ascontiguousarray,
    "Fortran": np.asfortranarray,
    "CSR": sp.csr_array,
    "CSC": sp.csc_array,
}
NNDSVD = ("nndsvd", "nndsvda", "nndsvdar")


def start(init, X=X, k=K, seed=0, make=np.asarray):
    W, Ht = initial_factors(as_container(make(X)), k, init, make_random_state(seed), TEAM)
    return W, Ht.T


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("make", CONTAINERS)
@pytest.mark.parametrize("init", INITIALIZERS)
@pytest.mark.parametrize("k", [1, K])
def test_every_start_is_a_pair_of_factors(init, make, k, dtype):
    W, H = start(init, X.astype(dtype), k, make=CONTAINERS[make])
    assert W.shape == (37, k)
    assert H.shape == (k, 22)
    for factor in (W, H):
        assert factor.dtype == dtype
        assert np.isfinite(factor).all()
        assert (factor >= 0).all()
        assert factor.any(axis=1 if factor is H else 0).all()


@pytest.mark.parametrize("make", CONTAINERS)
@pytest.mark.parametrize("init", INITIALIZERS)
def test_a_seed_decides(init, make):
    first, again = (start(init, make=CONTAINERS[make], seed=3) for _ in range(2))
    for one, other in zip(first, again, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("init", ["random", "nndsvdar", "kmeans"])
def test_another_seed_is_another_start(init):
    assert not np.array_equal(start(init, seed=0)[0], start(init, seed=1)[0])


# nndsvda and nndsvdar fill both factors with the mean of X, as scikit-learn does, so theirs is not proportional.
@pytest.mark.parametrize("init", sorted(set(INITIALIZERS) - {"nndsvda", "nndsvdar"}))
def test_the_product_of_a_start_is_proportional_to_the_data(init):
    (W, H), (W_large, H_large) = start(init), start(init, 1e6 * X)
    np.testing.assert_allclose(W_large @ H_large, 1e6 * W @ H, rtol=1e-3, atol=1)


@pytest.mark.parametrize("make", CONTAINERS)
@pytest.mark.parametrize("init", INITIALIZERS)
def test_all_zero_data(init, make):
    W, H = start(init, np.zeros((6, 5)), 2, make=CONTAINERS[make])
    for factor in (W, H):
        assert np.isfinite(factor).all()
        assert (factor >= 0).all()


@pytest.mark.parametrize("init", INITIALIZERS)
@pytest.mark.parametrize("shape", [(1, 1), (1, 6), (6, 1), (4, 4)], ids=str)
def test_as_many_components_as_possible(init, shape):
    k = min(shape)
    W, H = start(init, np.arange(1.0, 1 + shape[0] * shape[1]).reshape(shape), k)
    assert W.shape == (shape[0], k)
    assert H.shape == (k, shape[1])
    assert np.isfinite(W @ H).all()


@pytest.mark.parametrize("init", INITIALIZERS)
def test_more_components_than_the_rank(init):
    W, H = start(init, np.outer(np.arange(1.0, 9.0), np.arange(1.0, 7.0)), 3)
    assert np.isfinite(W @ H).all()


# --- random


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("make", CONTAINERS)
@pytest.mark.parametrize("k", [2, 30])
def test_random_is_that_of_scikit_learn(make, k, dtype):
    A = X.astype(dtype)
    theirs = _initialize_nmf(A, k, init="random", random_state=5)
    ours = start("random", A, k, seed=5, make=CONTAINERS[make])
    for our, their in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(our, their, rtol=1e-12 if dtype == np.float64 else 1e-6)


# --- singular vectors


def exact_nndsvd(X, k):
    """From the full decomposition, and by the definition: the stronger of the two signs of every pair."""
    U, s, Vt = np.linalg.svd(X, full_matrices=False)
    W, H = np.zeros((len(X), k)), np.zeros((k, X.shape[1]))
    for j in range(k):
        best = max(
            ((np.maximum(sign * U[:, j], 0), np.maximum(sign * Vt[j], 0)) for sign in (1, -1)),
            key=lambda pair: np.linalg.norm(pair[0]) * np.linalg.norm(pair[1]),
        )
        product = np.outer(*best) * s[j]
        weight = np.sqrt(np.linalg.norm(product))
        W[:, j] = weight * best[0] / np.linalg.norm(best[0])
        H[j] = weight * best[1] / np.linalg.norm(best[1])
    return W, H


@pytest.mark.parametrize("make", CONTAINERS)
def test_truncated_svd(make):
    data = as_container(CONTAINERS[make](X))
    U, s, V = truncated_svd(data, 5, make_random_state(0), TEAM)
    np.testing.assert_allclose(s, np.linalg.svd(X, compute_uv=False)[:5], rtol=1e-3)
    np.testing.assert_allclose(U.T @ U, np.eye(5), atol=1e-10)
    np.testing.assert_allclose(V.T @ V, np.eye(5), atol=1e-10)
    np.testing.assert_allclose(X @ V, U * s, atol=1e-2 * s[0])


@pytest.mark.parametrize("make", CONTAINERS)
def test_nndsvd_is_the_exact_one_on_low_rank_data(make):
    A = noisy(37, 22, K, noise=0.0)
    for ours, exact in zip(start("nndsvd", A, make=CONTAINERS[make]), exact_nndsvd(A, K), strict=True):
        np.testing.assert_allclose(ours, exact, atol=2e-6)


@pytest.mark.parametrize("init", ["nndsvd", "nndsvda"])
def test_nndsvd_is_that_of_scikit_learn(init):
    digits = load_digits().data[:200]
    ours = start(init, digits, 5)
    theirs = _initialize_nmf(digits, 5, init=init, random_state=0)
    for our, their in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(our, their, atol=1e-2 * their.max())
        agree = (our == 0) == (their == 0)
        assert agree.mean() > 0.999


@pytest.mark.parametrize("make", CONTAINERS)
def test_variants_fill_the_zeros_of_nndsvd(make):
    plain, average, random = (start(init, make=CONTAINERS[make]) for init in NNDSVD)
    assert any((factor == 0).any() for factor in plain)
    for zeros, filled, noise in zip(plain, average, random, strict=True):
        positive = zeros > 0
        np.testing.assert_array_equal(filled[positive], zeros[positive])
        np.testing.assert_array_equal(noise[positive], zeros[positive])
        np.testing.assert_allclose(filled[~positive], X.mean(), rtol=1e-12)
        small = noise[~positive]
        assert (small > 0).all()
        assert small.size == 0 or 0.2 < small.mean() / (X.mean() / 100 * np.sqrt(2 / np.pi)) < 5


# --- k-means


def test_kmeans_finds_clusters_that_are_there():
    centers = np.array([[9.0, 0, 0, 1], [0, 9, 1, 0], [1, 0, 9, 9]])
    member = np.repeat([0, 1, 2], 12)
    A = centers[member] + 0.1 * np.random.default_rng(0).random((36, 4))
    for seed in range(20):
        W, H = start("kmeans", A, 3, seed=seed)
        if len(set(map(tuple, np.round(H)))) == 3 and all(
            len(set(W[member == c].argmax(axis=1))) == 1 for c in range(3)
        ):
            break
    else:
        pytest.fail("no start found the clusters")
    np.testing.assert_array_equal(np.unique(W), [0.2, 1.2])
    assert ((W == 1.2).sum(axis=1) == 1).all()
    for j in range(3):
        np.testing.assert_allclose(H[j], A[W[:, j] == 1.2].mean(axis=0), rtol=1e-12)


# --- randomness


def test_kinds_of_random_state():
    def draw(random_state):
        return make_random_state(random_state).standard_normal(3).tolist()

    assert draw(4) == draw(np.random.RandomState(4)) == np.random.RandomState(4).standard_normal(3).tolist()
    assert draw(np.int64(4)) == draw(4)
    assert draw(np.random.default_rng(4)) == draw(np.random.default_rng(4)) != draw(np.random.default_rng(5))
    np.random.seed(4)  # noqa: NPY002 - the global state that None stands for
    assert draw(None) == draw(4)


def test_a_random_state_goes_on_where_it_was():
    state = np.random.RandomState(4)
    assert make_random_state(state) is state
