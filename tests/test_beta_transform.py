"""W of new samples for every loss: a row's answer is its own, and it is the fit's where that has converged."""

import divergences
import numpy as np
import pytest
import reference
import scipy.sparse as sp
from divergences import BETAS, gradient_parts
from problems import noisy, start, uniform
from scipy.optimize import minimize

from nmf_core import NMF, factorize
from nmf_core.transform import transform

ALL = {"frobenius": 2, **BETAS}
CONTAINERS = [np.ascontiguousarray, np.asfortranarray, sp.csr_array, sp.csc_array]
K = 4
X = noisy(40, 25, K)
H = uniform(K, 25)

every_loss = pytest.mark.parametrize("loss", ALL)
every_container = pytest.mark.parametrize("make", CONTAINERS)


def residual(X, W, H, beta, alpha_W=0.0, l1_ratio=0.0):
    """How far W is from optimal: gradients relative to the sum of their parts, cut off at zero entries."""
    l1, l2, _, _ = reference.penalties(X.shape, alpha_W, 0.0, l1_ratio)
    down, up = gradient_parts(X, W, H, beta)
    up = up + l1 + l2 * W
    return np.abs(np.minimum(W / W.max(), (up - down) / (up + down))).max()


# --- rows by themselves


# Many rows, many columns, and so many entries that they are visited in pieces.
SHAPES = [(300, 40), (40, 300), (500, 700)]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@every_container
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@every_loss
def test_a_row_does_not_depend_on_the_rows_beside_it(loss, shape, make, dtype):
    """To the last bit: alone, in a small group, in another order, or with all others, by any number of threads."""
    penalties = {"alpha_W": 0.01, "l1_ratio": 0.5} if shape == SHAPES[1] else {}
    A = noisy(*shape, 5, noise=0.0 if ALL[loss] > 0 else 0.1).astype(dtype)
    components = uniform(5, shape[1])
    parameters = {"loss": loss, "max_iter": 4 if shape == SHAPES[2] else 10, **penalties}
    together = transform(make(A), components, n_threads=1, **parameters)[0]
    assert together.dtype == dtype
    assert len(np.unique(together)) > 100
    for n_threads in (2, 3, 4):
        np.testing.assert_array_equal(transform(make(A), components, n_threads=n_threads, **parameters)[0], together)
    for rows in ([7], [0, 1, 5], range(20, 39), np.random.default_rng(0).permutation(shape[0])):
        few = transform(make(A[rows]), components, n_threads=1, **parameters)[0]
        np.testing.assert_array_equal(few, together[rows])


@every_container
@every_loss
def test_a_row_does_not_depend_on_the_size_of_others(loss, make):
    A = X.copy()
    A[[3, 30]] *= [[1e6], [1e-6]]
    W = transform(make(A), H, loss=loss, max_iter=20)[0]
    expected = transform(make(X), H, loss=loss, max_iter=20)[0]
    same = np.delete(np.arange(40), [3, 30])
    np.testing.assert_array_equal(W[same], expected[same])
    np.testing.assert_allclose(W[3], 1e6 * expected[3], rtol=1e-5, atol=1e-3)
    np.testing.assert_allclose(W[30], 1e-6 * expected[30], rtol=1e-5, atol=1e-15)


# --- the answer


@pytest.mark.parametrize("penalties", [{}, {"alpha_W": 0.01, "l1_ratio": 0.5}], ids=["plain", "penalised"])
@every_container
@every_loss
def test_every_row_is_optimal(loss, make, penalties):
    """Coordinate descent gets there; multiplicative updates come close, but in many sweeps."""
    W, n_iter, converged, _ = transform(make(X), H, loss=loss, tol=1e-7, max_iter=5000, **penalties)
    exact = ALL[loss] in (1, 2)
    assert residual(X, W, H, ALL[loss], **penalties) < (1e-5 if exact else 1e-2)
    assert converged >= exact
    assert 1 < n_iter <= 5000


@pytest.mark.parametrize("loss", ["kullback-leibler", 1.5, 0.5, "itakura-saito"])
def test_the_answer_is_that_of_another_minimiser(loss):
    W = transform(X[:3], H, loss=loss, tol=1e-8, max_iter=20000)[0]
    for x, w in zip(X[:3], W, strict=True):
        found = minimize(
            lambda v, x=x: divergences.divergence(x[np.newaxis], v[np.newaxis] + 1e-9, H, ALL[loss]),
            np.full(K, x.sum() / H.sum()),
            bounds=[(0, None)] * K,
            method="L-BFGS-B",
            options={"ftol": 1e-15, "gtol": 1e-9, "maxiter": 2000},
        )
        ours = divergences.divergence(x[np.newaxis], w[np.newaxis], H, ALL[loss])
        assert ours <= found.fun * (1 + 1e-5)


@pytest.mark.parametrize("penalties", [{}, {"alpha_W": 0.002, "alpha_H": 0.001, "l1_ratio": 0.5}], ids=str)
@pytest.mark.parametrize("make", [np.ascontiguousarray, sp.csr_array])
@every_loss
def test_transform_of_the_data_of_a_converged_fit_is_its_w(loss, make, penalties):
    A = make(X)
    model = factorize(A, 3, loss=loss, random_state=0, init="random", tol=1e-8, max_iter=1000, **penalties)
    W = model.transform(A, W=model.W, tol=1e-8, max_iter=1000)
    before, after = (divergences.objective(X, F, model.H, ALL[loss], **penalties) for F in (model.W, W))
    assert after <= before * (1 + 1e-9)
    assert after == pytest.approx(before, rel=1e-2)
    if ALL[loss] in (1, 2):
        np.testing.assert_allclose(W, model.W, atol=1e-3 * model.W.max())
        np.testing.assert_allclose(model.transform(A, tol=1e-9, max_iter=20000), W, atol=1e-5 * W.max())


@every_loss
def test_transform_uses_the_loss_of_the_fit(loss):
    model = factorize(X, 3, loss=loss, random_state=0, max_iter=30)
    np.testing.assert_array_equal(model.transform(X[:9]), transform(X[:9], model.H, loss=loss)[0])
    if loss != "frobenius":
        assert np.abs(model.transform(X[:9]) - transform(X[:9], model.H)[0]).max() > 1e-6


@every_container
@every_loss
def test_empty_rows_are_empty(loss, make):
    if ALL[loss] <= 0:
        return
    A = X.copy()
    A[[4, 11]] = 0
    W = transform(make(A), H, loss=loss)[0]
    assert not W[[4, 11]].any()
    assert W[3].any()


@pytest.mark.parametrize("loss", ["frobenius", *(loss for loss, beta in BETAS.items() if beta > 0)])
@every_container
def test_only_empty_rows(loss, make):
    assert not transform(make(np.zeros((3, 25))), H, loss=loss)[0].any()


@every_loss
def test_with_h_fixed_a_fit_is_a_transform(loss):
    for make in CONTAINERS:
        fitted = factorize(make(X), K, H=H, update_H=False, loss=loss, tol=1e-5, max_iter=1000)
        W = transform(make(X), H, loss=loss, tol=1e-5, max_iter=1000)[0]
        np.testing.assert_allclose(W @ H, fitted.W @ H, rtol=1e-2)
        np.testing.assert_array_equal(fitted.H, H)
        assert fitted.objective == pytest.approx(divergences.objective(X, fitted.W, H, ALL[loss]), rel=1e-9)


# --- where it starts


@every_container
@every_loss
def test_a_start_near_the_answer_is_ahead(loss, make):
    """After the same few sweeps, by the objective of all rows."""
    answer = transform(make(X), H, loss=loss, tol=1e-6, max_iter=2000)[0]
    near = answer * np.random.default_rng(0).uniform(0.99, 1.01, answer.shape)
    kept = near.copy()
    warm, cold = (transform(make(X), H, W=W, loss=loss, max_iter=3, tol=0)[0] for W in (near, None))
    np.testing.assert_array_equal(near, kept)
    assert not np.shares_memory(warm, near)
    ours, theirs = (divergences.objective(X, W, H, ALL[loss]) for W in (warm, cold))
    assert ours <= theirs
    if 1 <= ALL[loss] <= 2:
        long = transform(make(X), H, W=near, loss=loss, tol=1e-6, max_iter=2000)[0]
        np.testing.assert_allclose(long @ H, answer @ H, rtol=1e-2)


@pytest.mark.parametrize("kind", [list, np.asfortranarray, sp.csr_array, lambda A: A.astype(np.float32)])
def test_a_start_may_be_any_matrix(kind):
    model = factorize(X, K, loss="kullback-leibler", random_state=0, max_iter=20)
    W = model.transform(X, W=kind(model.W))
    assert W.dtype == np.float64
    np.testing.assert_allclose(W, model.transform(X, W=model.W), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("given", "parts"),
    [
        ({"W": np.ones((39, K))}, r"^W has shape 39 x 4, but 40 x 4 is needed\.$"),
        ({"W": np.ones((40, K + 1))}, r"^W has shape 40 x 5, but 40 x 4 is needed\.$"),
        ({"W": -np.ones((40, K))}, r"^W contains a negative value"),
        ({"W": np.full((40, K), np.nan)}, r"^W contains NaN"),
        ({"W": np.ones(K)}, r"^W must be a matrix"),
        ({"X": X[:, :-1]}, r"24.*25|25.*24"),
    ],
)
@pytest.mark.parametrize("loss", ["frobenius", "kullback-leibler", 0.5])
def test_what_does_not_fit_is_one_clear_error(loss, given, parts):
    model = factorize(X, K, loss=loss, random_state=0, max_iter=5)
    with pytest.raises(ValueError, match=parts) as caught:
        model.transform(given.get("X", X), W=given.get("W"))
    assert "\n" not in str(caught.value)
    assert caught.value.__cause__ is None


# --- through the estimator


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("beta_loss", ["frobenius", "kullback-leibler", 1.5])
def test_the_estimator_has_limits_of_its_own_for_transform(beta_loss):
    def model(**limits):
        return NMF(3, solver="auto", beta_loss=beta_loss, random_state=0, tol=1e-2, max_iter=300, **limits).fit(X)

    loose = model()
    for limits, expected in (
        ({"transform_tol": 1e-8}, {"tol": 1e-8, "max_iter": 300}),
        ({"transform_max_iter": 2, "transform_tol": 0}, {"tol": 0, "max_iter": 2}),
        ({}, {"tol": 1e-2, "max_iter": 300}),
    ):
        fitted = model(**limits)
        np.testing.assert_array_equal(fitted.components_, loose.components_)
        W = transform(X, fitted.components_, loss=beta_loss, **expected)[0]
        np.testing.assert_array_equal(fitted.transform(X), W)


@pytest.mark.parametrize("solver", ["mu", "auto", "mue"])
@pytest.mark.parametrize("beta_loss", ["kullback-leibler", 0.5, "itakura-saito"])
def test_rows_of_the_estimator_are_independent(beta_loss, solver):
    A = X.copy()
    A[7] *= 1000
    model = NMF(3, solver=solver, beta_loss=beta_loss, random_state=0, tol=1e-2, max_iter=500).fit(A)
    for make in CONTAINERS:
        together = model.transform(make(A))
        for rows in (slice(0, 1), slice(7, 8), slice(3, 30), slice(None, None, -1)):
            np.testing.assert_array_equal(model.transform(make(A[rows])), together[rows])


@every_container
@pytest.mark.parametrize("loss", ["frobenius", "kullback-leibler"])
def test_coordinate_descent_may_start_at_zero(loss, make):
    parameters = {"loss": loss, "tol": 1e-9, "max_iter": 5000}
    W, expected = (transform(make(X), H, W=start, **parameters)[0] for start in (np.zeros((40, K)), None))
    np.testing.assert_allclose(W, expected, atol=1e-5)


def test_scaling_a_start_keeps_the_answer():
    W, _ = start(X, K)
    answers = [transform(X, H, W=scale * W, loss="kullback-leibler", tol=1e-10, max_iter=5000)[0] for scale in (1, 1e3)]
    np.testing.assert_allclose(answers[1], answers[0], atol=1e-4)
