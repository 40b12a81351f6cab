"""Initial factors: what each start promises, and scikit-learn's starts."""

import numpy as np
import pytest
import scipy.sparse as sp
import zoo
from problems import noisy
from sklearn.datasets import load_digits
from sklearn.decomposition._nmf import _initialize_nmf

import nmf_core
from nmf_core.data import as_container
from nmf_core.engine import Engine
from nmf_core.initialization import INITIALIZERS, initial_factors, make_random_state, singular, truncated_svd

X = zoo.matrix() + 0.5 * noisy(37, 22, 4)
K = 4
ENGINE = Engine(2)
CONTAINERS = {
    "C": np.ascontiguousarray,
    "Fortran": np.asfortranarray,
    "CSR": sp.csr_array,
    "CSC": sp.csc_array,
}
NNDSVD = ("nndsvd", "nndsvda", "nndsvdar")


def start(init, X=X, k=K, seed=0, make=np.asarray):
    W, Ht = (F[:, :k] for F in initial_factors(as_container(make(X), engine=ENGINE), k, init, make_random_state(seed)))
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
    U, s, V = truncated_svd(data, 5, make_random_state(0))
    U, V = U[:, :5], V[:, :5]
    np.testing.assert_allclose(s, np.linalg.svd(X, compute_uv=False)[:5], rtol=1e-3)
    np.testing.assert_allclose(U.T @ U, np.eye(5), atol=1e-10)
    np.testing.assert_allclose(V.T @ V, np.eye(5), atol=1e-10)
    np.testing.assert_allclose(X @ V, U * s, atol=1e-2 * s[0])


@pytest.mark.parametrize(("iterations", "bound"), [(4, 1.6e-3), (5, 5e-4)])
@pytest.mark.parametrize("shape", [(1300, 80), (80, 1300)])
def test_a_polynomial_is_better_than_powers(shape, iterations, bound, monkeypatch):
    """Singular values that fall slowly, as those of text do: by powers they are found to 4 and 2 in 1000 on average."""
    monkeypatch.setattr(singular, "POWER_ITERATIONS", iterations)
    rng = np.random.default_rng(0)
    U, V = (np.linalg.qr(rng.standard_normal((size, min(shape))))[0] for size in shape)
    true = 1 / np.sqrt(1 + np.arange(min(shape)))
    data = as_container(U * true @ V.T)
    found = np.array([truncated_svd(data, 20, make_random_state(seed))[1] for seed in range(5)])
    assert np.mean(np.abs(found / true[:20] - 1)) < bound


@pytest.mark.parametrize("k", [15, 17, 20])
@pytest.mark.parametrize("seed", range(5))
def test_of_all_directions_none_is_lost(seed, k):
    A = np.random.default_rng(seed).random((40, 20))
    s = truncated_svd(as_container(A), k, make_random_state(seed))[1]
    np.testing.assert_allclose(s, np.linalg.svd(A, compute_uv=False)[:k], rtol=1e-2 if k == 15 else 1e-9)


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


# --- starts from rows of X


def pure(n=60, m=30, k=4, seed=0, noise=0.0):
    """Rows that are mixtures of k pure ones, which stand among them, at places that are told."""
    rng = np.random.default_rng(seed)
    H = rng.gamma(0.5, size=(k, m))
    W = rng.dirichlet(np.ones(k), size=n)
    places = rng.permutation(n)[:k]
    W[places] = np.eye(k)
    return rng.uniform(0.5, 2, (n, 1)) * (W @ H) + noise * rng.random((n, m)), places


@pytest.mark.parametrize("make", CONTAINERS)
@pytest.mark.parametrize("init", ["spa", "snpa"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_pure_rows_are_found(init, make, dtype):
    A, places = pure()
    W, H = start(init, A.astype(dtype), 4, make=CONTAINERS[make])
    found = [int(np.flatnonzero((A.astype(dtype) == row).all(axis=1))[0]) for row in H]
    assert sorted(found) == sorted(places)
    np.testing.assert_allclose(W @ H, A, atol=1e-2 * A.max())


@pytest.mark.parametrize("init", ["spa", "snpa"])
def test_a_little_noise_does_not_hide_pure_rows(init):
    A, places = pure(noise=0.01)
    _, H = start(init, A, 4)
    assert sorted(int(np.flatnonzero((row == A).all(axis=1))[0]) for row in H) == sorted(places)


def test_pure_rows_that_depend_on_each_other_are_found_by_projection_onto_mixtures():
    """Of four corners of a square, whose span has three dimensions, orthogonal projection sees three."""
    corners = np.array([[2, 0, 1, 1], [0, 2, 1, 1], [1, 1, 2, 0], [1, 1, 0, 2]], dtype=float)
    inner = np.random.default_rng(0).dirichlet(np.ones(4), size=30) @ corners
    _, H = start("snpa", np.vstack([inner, corners]), 4)
    assert sorted(map(tuple, H)) == sorted(map(tuple, corners))


def test_starts_from_rows_are_nested():
    few, many = (start("spa", k=k)[1] for k in (2, 5))
    np.testing.assert_array_equal(many[:2], few)


def test_random_columns_and_rows_are_means():
    A = np.random.default_rng(0).gamma(0.3, size=(200, 100))
    W, H = start("random_vcol", A, 3)
    assert np.sum(W @ H) == pytest.approx(A.sum(), rel=1e-9)
    # rows of H differ less from the mean row than single rows of A do
    spread = np.std(H / H.mean(axis=1, keepdims=True), axis=0).mean()
    assert 0.02 < spread < 0.5 * np.std(A / A.mean(axis=1, keepdims=True), axis=0).mean()


# --- the public function


class TestInitialize:
    @pytest.mark.parametrize("init", [*INITIALIZERS, "best-of"])
    @pytest.mark.parametrize("make", CONTAINERS)
    def test_is_where_a_fit_starts(self, init, make):
        A = CONTAINERS[make](X)
        W, H = nmf_core.initialize(A, K, init, random_state=0)
        from_there = nmf_core.factorize(A, K, W=W, H=H, max_iter=2, tol=0)
        usual = nmf_core.factorize(A, K, init=init, random_state=0, max_iter=2, tol=0, sort=False)
        np.testing.assert_array_equal(from_there.H, usual.H)
        assert W.flags.c_contiguous
        assert H.flags.c_contiguous

    def test_default(self):
        for shape, k, expected in (((20, 10), 4, "nndsvda"), ((20, 10), 12, "random")):
            A = np.random.default_rng(0).random(shape)
            ours, named = (nmf_core.initialize(A, k, init, random_state=0) for init in (None, expected))
            np.testing.assert_array_equal(ours[0], named[0])
        holes = np.where(X > 5, np.nan, X)
        W, _ = nmf_core.initialize(holes, K, missing="nan", random_state=0)
        assert np.isfinite(W).all()

    @pytest.mark.parametrize("loss", ["frobenius", "kullback-leibler"])
    def test_the_best_of_short_runs_is_better_than_most(self, loss):
        W, H = nmf_core.initialize(X, K, "best-of", loss=loss, random_state=0)
        lowest = nmf_core.beta_divergence(X, W, H, loss)
        others = [
            nmf_core.factorize(X, K, init="random", loss=loss, random_state=seed, max_iter=10, tol=0).divergence
            for seed in range(1, 8)
        ]
        assert lowest <= np.median(others)

    def test_the_best_of_short_runs_where_entries_are_missing(self):
        holes = np.where(X > 5, np.nan, X)
        result = nmf_core.factorize(holes, 2, missing="nan", init="best-of", random_state=0, max_iter=5)
        assert result.init == "best-of"
        assert np.isfinite(result.objective)
        biased = nmf_core.factorize(X, 2, biases=True, init="best-of", random_state=0, max_iter=50)
        usual = nmf_core.factorize(X, 2, biases=True, init="random", random_state=0, max_iter=50)
        assert biased.objective < 1.1 * usual.objective

    def test_nothing_is_made_dense(self):
        """A matrix whose entries would not fit into memory."""
        rng = np.random.default_rng(0)
        entries = rng.random(20_000), (rng.integers(0, 200_000, 20_000), rng.integers(0, 100_000, 20_000))
        A = sp.csr_array(sp.coo_array(entries, shape=(200_000, 100_000)))
        for init in (*INITIALIZERS, "best-of"):
            W, H = nmf_core.initialize(A.astype(np.float32), 2, init, random_state=0)
            assert np.isfinite(W).all()
            assert np.isfinite(H).all()

    @pytest.mark.parametrize(
        ("arguments", "parameters", "message"),
        [
            ((X, 2, "custom"), {}, "init must be one of 'random', 'random_vcol'"),
            ((X, 2, "svd"), {}, "init must be one of"),
            ((X, 0), {}, "n_components"),
            ((X, 30, "nndsvd"), {}, "n_components"),
            ((-X, 2), {}, "[Nn]egative"),
            ((np.where(X > 5, np.nan, X), 2), {}, "NaN"),
            ((X, 2, "spa"), {"weights": X}, "spa"),
            ((X, 2, "random"), {"random_state": -1}, "random_state"),
        ],
    )
    def test_bad_input(self, arguments, parameters, message):
        with pytest.raises(ValueError, match=message):
            nmf_core.initialize(*arguments, **parameters)
