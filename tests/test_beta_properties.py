"""What holds for every loss but the Frobenius one and every solver of it; test_properties.py has that one."""

import divergences
import numpy as np
import pytest
import scipy.sparse as sp
from divergences import BETAS, PAIRS, PAIRS_WITH_ZEROS
from problems import PLANTED, noisy, start, uniform

from nmf_core import beta_divergence, factorize
from nmf_core.initialization import INITIALIZERS

PENALTIES = {
    "no penalty": {},
    "l2": {"alpha_W": 0.02},
    "l1": {"alpha_W": 0.01, "alpha_H": 0.002, "l1_ratio": 1.0},
    "both": {"alpha_W": 0.004, "alpha_H": 0.01, "l1_ratio": 0.5},
}
PRECISIONS = {np.float32: 1e-5, np.float64: 1e-12}
# Entries of W @ H that vanish count as almost nothing, whose root is more, where X is zero.
ALMOST_NOTHING = {0.5: 1e-7}
CONTAINERS = [np.ascontiguousarray, np.asfortranarray, sp.csr_array, sp.csc_array]
K = 4
X = noisy(60, 35, K)
HOLES = X * (np.quantile(X, 0.4) < X)

every_pair = pytest.mark.parametrize(("loss", "solver"), PAIRS)
every_pair_with_zeros = pytest.mark.parametrize(("loss", "solver"), PAIRS_WITH_ZEROS)
every_container = pytest.mark.parametrize("make", CONTAINERS)


def fit(X, k=K, W=None, H=None, **parameters):
    """A fit from a custom start, for as many iterations as asked for."""
    if W is None and "init" not in parameters:
        W, H = start(divergences.dense(X).astype(X.dtype), k)
    return factorize(X, k, W=W, H=H, **{"tol": 0, "max_iter": 20} | parameters)


def assert_finite(result):
    for values in (result.W, result.H, result.history.objective, result.history.violation):
        assert np.isfinite(values).all()
    assert (result.W >= 0).all()
    assert (result.H >= 0).all()
    assert np.isfinite([result.objective, result.divergence, result.squared_error]).all()


def assert_same_bits(one, other):
    np.testing.assert_array_equal(one.W, other.W)
    np.testing.assert_array_equal(one.H, other.H)
    np.testing.assert_array_equal(one.history.objective, other.history.objective)
    np.testing.assert_array_equal(one.history.violation, other.history.violation)
    assert one.objective == other.objective


def assert_never_rises(result, dtype=np.float64):
    rounding = max(PRECISIONS[dtype], ALMOST_NOTHING.get(result.loss, 0.0))
    assert (np.diff(result.history.objective) <= rounding * np.abs(result.history.objective[0])).all()


# --- the result


@pytest.mark.parametrize("dtype", PRECISIONS)
@pytest.mark.parametrize("penalty", PENALTIES)
@pytest.mark.parametrize("make", [np.ascontiguousarray, sp.csr_array])
@pytest.mark.parametrize("data", ["positive", "with zeros"])
@every_pair
def test_course_of_a_fit(loss, solver, data, make, penalty, dtype):
    """Nothing negative, the dtype kept, the objective that of W and H and never rising."""
    if data == "with zeros" and BETAS[loss] <= 0:
        return
    A = (X if data == "positive" else HOLES).astype(dtype)
    kept = []
    result = fit(
        make(A), loss=loss, solver=solver, max_iter=40, **PENALTIES[penalty],
        callback=lambda state: kept.append((state.W.copy(), state.H.copy(), state.objective)),
    )  # fmt: skip
    assert_finite(result)
    for factor, shape in ((result.W, (60, K)), (result.H, (K, 35))):
        assert factor.dtype == dtype
        assert factor.shape == shape
    vanishing = ALMOST_NOTHING.get(loss, 1e-10) if data == "with zeros" else 1e-10
    vanishing = max(vanishing, 1e-9 if dtype == np.float32 else 0.0)  # whose floors are higher
    scale = max(PRECISIONS[dtype], 0.1 * vanishing) * kept[0][2]
    for W, H, objective in kept[::7]:
        expected = divergences.objective(A, W, H, BETAS[loss], **PENALTIES[penalty])
        assert objective == pytest.approx(expected, abs=10 * scale)
    exact = divergences.objective(A, result.W, result.H, BETAS[loss], **PENALTIES[penalty])
    assert result.objective == pytest.approx(exact, rel=vanishing)
    assert result.divergence == pytest.approx(beta_divergence(A, result.W, result.H, loss), rel=1e-10)
    assert result.history.objective[-1] == result.objective
    assert_never_rises(result, dtype)
    assert result.objective < 0.7 * kept[0][2]


@pytest.mark.parametrize("init", INITIALIZERS)
@every_pair_with_zeros
def test_objective_never_rises_from_any_start_on_sparse_data(loss, solver, init):
    """Entries of factors die out on such data; numbers that are almost zero must not make others infinite."""
    rng = np.random.default_rng(9)
    A = rng.gamma(1.0, size=(40, 50)) * (rng.random((40, 50)) < 0.05)
    A[np.arange(40), np.arange(40)] += 0.5
    for dtype in PRECISIONS:
        for make in (np.asarray, sp.csc_array):
            result = fit(make(A.astype(dtype)), 6, loss=loss, solver=solver, init=init, random_state=0, max_iter=60)
            assert_finite(result)
            assert_never_rises(result, dtype)


@every_pair_with_zeros
def test_objective_where_the_model_cannot_reach_the_data(loss, solver):
    """A row and a column that start at zero meet at an entry that is not: it costs the same in every iteration."""
    A = uniform(6, 5)
    W, H = start(A, 2)
    W[2] = H[:, 3] = 0
    kept = []
    result = fit(
        A, 2, W, H, loss=loss, solver=solver, max_iter=12,
        callback=lambda state: kept.append(
            (state.objective, divergences.objective(A, state.W, state.H, BETAS[loss]))
        ),
    )  # fmt: skip
    assert_finite(result)
    ours, expected = np.array(kept).T
    np.testing.assert_allclose(ours, expected, rtol=1e-7)
    assert_never_rises(result)


@every_pair
def test_a_solution_is_left_alone(loss, solver):
    W, H = start(uniform(20, 15), 3)
    result = fit(W @ H, 3, W, H, loss=loss, solver=solver, tol=1e-6, max_iter=50)
    assert result.converged
    np.testing.assert_allclose(result.W @ result.H, W @ H, rtol=1e-9)
    assert result.objective == pytest.approx(0, abs=1e-9)


@every_pair
def test_every_fit_converges(loss, solver):
    result = fit(X[:30, :20], 3, loss=loss, solver=solver, tol=1e-5, max_iter=20000)
    assert result.converged
    assert result.stop_reason in ("tol", "relative change")
    if result.stop_reason == "tol":
        assert result.history.violation[-1] <= 1e-5 < result.history.violation[:-1].min()
    loose = fit(X[:30, :20], 3, loss=loss, solver=solver, tol=1e-2, max_iter=20000)
    assert loose.converged
    assert loose.n_iter <= result.n_iter
    assert loose.objective >= result.objective


@pytest.mark.parametrize("k", [1, K])
@every_pair
@pytest.mark.slow
def test_long_fits(loss, solver, k):
    """Going on after convergence changes nothing, and does not move numbers from one factor to the other."""
    A = PLANTED["separable 20 x 15"]
    A = A[0] @ A[1] + 0.1 * uniform(20, 15)
    for dtype in PRECISIONS:
        short, long = (fit(A.astype(dtype), k, max_iter=n, loss=loss, solver=solver) for n in (300, 900))
        assert_never_rises(long, dtype)
        assert long.objective <= short.objective + PRECISIONS[dtype] * long.history.objective[0]
        balance = np.linalg.norm(long.W, axis=0) / np.linalg.norm(long.H, axis=1)
        assert (balance > 1e-3).all()
        assert (balance < 1e3).all()


# --- the same bits


THREADED = {
    "tall": np.ascontiguousarray(noisy(1500, 150, 5)),
    "wide, Fortran": np.asfortranarray(noisy(150, 1500, 5)),
    "CSR": sp.csr_array(noisy(1500, 400, 5, noise=0.0)),
    "CSC": sp.csc_array(noisy(400, 1500, 5, noise=0.0)),
}


@pytest.mark.parametrize("name", THREADED)
@every_pair
@pytest.mark.slow
def test_same_bits_at_any_number_of_threads_and_in_every_run(loss, solver, name):
    A = THREADED[name]
    if sp.issparse(A) and BETAS[loss] <= 0:
        A = sp.csr_array(noisy(300, 200, 5)) if name == "CSR" else sp.csc_array(noisy(200, 300, 5))
    W, H = start(divergences.dense(A), 6)

    def run(n_threads):
        return fit(A, 6, W, H, loss=loss, solver=solver, max_iter=2, alpha_W=1e-3, n_threads=n_threads)

    expected = run(1)
    for n_threads in (2, 3, 4, 2):
        assert_same_bits(run(n_threads), expected)


@every_pair
def test_a_seed_decides_everything(loss, solver):
    for init in INITIALIZERS:
        parameters = {"loss": loss, "solver": solver, "init": init, "shuffle": True}
        assert_same_bits(*(fit(X, random_state=7, **parameters) for _ in range(2)))


# --- the same X


@pytest.mark.parametrize("dtype", PRECISIONS)
@pytest.mark.parametrize("k", [1, 2, 5, 8, 16, 17, 33, 70])
@pytest.mark.parametrize(
    ("loss", "solver"),
    [("kullback-leibler", "newton"), ("kullback-leibler", "mu"), (0.5, "mu"), (2.5, "mue"), ("itakura-saito", "mue")],
)
def test_any_number_of_components_in_every_storage(loss, solver, k, dtype):
    """Sizes that fill vectors of any width, or do not."""
    A = np.random.default_rng(k).poisson(0.7, (43, 61)).astype(dtype) + dtype(BETAS[loss] <= 0)
    W, H = start(A, k)
    W_lasting, H_lasting = W.copy(), H.copy()
    results = [fit(make(A), k, W, H, loss=loss, solver=solver, max_iter=6) for make in CONTAINERS]
    close = {"rtol": 1e-7, "atol": 1e-10} if dtype == np.float64 else {"rtol": 0.05, "atol": 1e-2}
    for result in results:
        assert_finite(result)
        assert result.objective == pytest.approx(divergences.objective(A, result.W, result.H, BETAS[loss]), rel=1e-9)
        np.testing.assert_allclose(result.W @ result.H, results[0].W @ results[0].H, **close)
    np.testing.assert_array_equal(W, W_lasting)
    np.testing.assert_array_equal(H, H_lasting)


# --- symmetries


@every_container
@every_pair
def test_transposing_the_data_swaps_the_factors(loss, solver, make):
    """One half step apart: from H and the W of a first iteration, X.T goes the way that X goes from there."""
    A = make(X)
    parameters = {"loss": loss, "solver": solver, "acceleration": False, "alpha_W": 0.01, "alpha_H": 0.02}
    swapped = parameters | {"alpha_W": 0.02, "alpha_H": 0.01}
    W, H = start(X, K)
    first = fit(A, K, W, H, max_iter=1, **parameters)
    fifth, sixth = (fit(A, K, W, H, max_iter=n, **parameters) for n in (5, 6))
    turned = fit(A.T, K, H.T, first.W.T, max_iter=5, **swapped)
    np.testing.assert_allclose(turned.W, fifth.H.T, rtol=1e-7, atol=1e-10)
    np.testing.assert_allclose(turned.H, sixth.W.T, rtol=1e-7, atol=1e-10)


@every_pair
def test_transposed_data_are_described_as_well(loss, solver):
    """Where the solution is unique."""
    A = uniform(20, 12)
    one, other = (
        fit(B, 1, loss=loss, solver=solver, max_iter=3000, tol=1e-12, init="random", random_state=0) for B in (A, A.T)
    )
    assert other.objective == pytest.approx(one.objective, rel=1e-6)
    np.testing.assert_allclose(other.W @ other.H, (one.W @ one.H).T, rtol=1e-3)


@every_pair
def test_permuting_samples_and_features_permutes_the_factors(loss, solver):
    rng = np.random.default_rng(0)
    rows, columns = rng.permutation(60), rng.permutation(35)
    W, H = start(X, K)
    plain = fit(X, K, W, H, loss=loss, solver=solver)
    permuted = fit(X[rows][:, columns], K, W[rows], H[:, columns], loss=loss, solver=solver)
    np.testing.assert_allclose(permuted.W, plain.W[rows], rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(permuted.H, plain.H[:, columns], rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("scale", [1e-10, 4.0, 1e10])
@pytest.mark.parametrize("dtype", PRECISIONS)
@every_pair
def test_scaling_the_data_scales_the_model(loss, solver, dtype, scale):
    """No number in a fit has units of its own, but for powers that neither precision can hold."""
    if dtype == np.float32 and scale != 4.0:
        scale = np.sqrt(np.sqrt(scale))
    W, H = start(X, K)
    plain = fit(X.astype(dtype), K, W, H, loss=loss, solver=solver)
    root = np.sqrt(scale)
    scaled = fit((scale * X).astype(dtype), K, root * W, root * H, loss=loss, solver=solver)
    assert scaled.objective == pytest.approx(scale ** BETAS[loss] * plain.objective, rel=1e9 * PRECISIONS[dtype] ** 1.5)
    close = {"rtol": 1e-6, "atol": 1e-9} if dtype == np.float64 else {"rtol": 0.02, "atol": 2e-3}
    np.testing.assert_allclose(scaled.W @ scaled.H / scale, plain.W @ plain.H, **close)


@pytest.mark.parametrize("init", ["random", "nndsvd", "kmeans"])
@every_pair
def test_starts_have_the_units_of_the_data(loss, solver, init):
    plain, scaled = (fit(A, init=init, random_state=0, loss=loss, solver=solver) for A in (X, 1e-8 * X))
    assert scaled.divergence == pytest.approx(1e-8 ** BETAS[loss] * plain.divergence, rel=0.05)
