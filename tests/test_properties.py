"""What holds for the Frobenius loss and all its solvers, whatever holds X; test_beta_properties.py has the others."""

import numpy as np
import pytest
import reference
import scipy.sparse as sp
from problems import PLANTED, distance, noisy, start, uniform

from nmf_core import factorize
from nmf_core.initialization import INITIALIZERS
from nmf_core.losses import make_loss
from nmf_core.solvers import SOLVERS

# Others build components one by one, or depend on the order of rows: they have tests in test_solvers.py.
ELSEWHERE = ("sequential", "randomized", "sgd")
PAIRS = [
    ("frobenius", name) for name, solver in SOLVERS.items() if solver.handles(make_loss(2)) and name not in ELSEWHERE
]
PENALTIES = {
    "no penalty": {},
    "l2": {"alpha_W": 0.02},
    "l1": {"alpha_W": 0.01, "alpha_H": 0.002, "l1_ratio": 1.0},
    "both": {"alpha_W": 0.004, "alpha_H": 0.01, "l1_ratio": 0.5},
}
PRECISIONS = {np.float32: 1e-5, np.float64: 1e-12}
K = 4
X = noisy(60, 35, K)

every_pair = pytest.mark.parametrize(("loss", "solver"), PAIRS)
# Methods are steps within one frame: of what the frame does two say enough.
every_frame = pytest.mark.parametrize(
    ("loss", "solver"),
    [pair if pair[1] in ("hals", "mu") else pytest.param(*pair, marks=pytest.mark.exhaustive) for pair in PAIRS],
)
# Where the others promise more than alternating least squares does.
every_sure_pair = pytest.mark.parametrize(
    ("loss", "solver"), [(loss, name) for loss, name in PAIRS if SOLVERS[name].monotone]
)
with_and_without_acceleration = pytest.mark.parametrize("acceleration", [True, False], ids=["accelerated", "plain"])


def fit(X, k=K, W=None, H=None, **parameters):
    """A fit from a custom start, for as many iterations as asked for."""
    if W is None and "init" not in parameters:
        W, H = start(X, k)
    return factorize(X, k, W=W, H=H, **{"tol": 0, "max_iter": 20} | parameters)


def assert_same_bits(one, other):
    np.testing.assert_array_equal(one.W, other.W)
    np.testing.assert_array_equal(one.H, other.H)
    np.testing.assert_array_equal(one.history.objective, other.history.objective)
    np.testing.assert_array_equal(one.history.violation, other.history.violation)
    assert one.objective == other.objective


# --- the result


@pytest.mark.parametrize("dtype", PRECISIONS)
@pytest.mark.parametrize("penalty", PENALTIES)
@with_and_without_acceleration
@every_pair
def test_course_of_a_fit(loss, solver, acceleration, penalty, dtype):
    """Nothing negative, the dtype kept, the objective that of W and H and never rising."""
    A = X.astype(dtype)
    kept = []
    result = fit(
        A, loss=loss, solver=solver, acceleration=acceleration, max_iter=60, **PENALTIES[penalty],
        callback=lambda state: kept.append((state.W.copy(), state.H.copy(), state.objective)),
    )  # fmt: skip
    for factor, shape in ((result.W, (60, K)), (result.H, (K, 35))):
        assert factor.dtype == dtype
        assert factor.shape == shape
        assert np.isfinite(factor).all()
        assert (factor >= 0).all()
    rounding = PRECISIONS[dtype] * result.X_squared_norm
    for W, H, objective in kept:
        assert objective == pytest.approx(reference.objective(A, W, H, **PENALTIES[penalty]), abs=rounding)
    exact = reference.objective(A, result.W, result.H, **PENALTIES[penalty])
    assert result.objective == pytest.approx(exact, rel=1e-10)
    assert result.history.objective[-1] == result.objective
    assert (np.diff(result.history.objective) <= rounding).all() or not SOLVERS[solver].monotone
    assert result.objective < 0.5 * kept[0][2]


@pytest.mark.parametrize("penalty", PENALTIES)
@with_and_without_acceleration
@every_sure_pair
def test_violation_is_the_distance_from_optimality(loss, solver, acceleration, penalty):
    A = X[:30, :20]
    result = fit(
        A,
        3,
        loss=loss,
        solver=solver,
        acceleration=acceleration,
        tol=1e-6,
        max_iter=20000,
        **PENALTIES[penalty],
    )
    residual = reference.kkt_residual(A, result.W, result.H, **PENALTIES[penalty])
    assert result.converged
    if result.stop_reason == "tol":
        assert result.history.violation[-1] <= 1e-6
        assert (result.history.violation[:-1] > 1e-6).all()
        assert residual < 1e-5
    else:
        assert result.stop_reason == "relative change"
        assert residual < 1e-2
    assert (result.stop_reason == "tol") >= (solver == "hals")


@every_pair
@pytest.mark.parametrize("name", ["separable 20 x 15", "laurberg 0.3"])
def test_a_solution_is_left_alone(loss, solver, name):
    W, H = PLANTED[name]
    result = fit(W @ H, len(H), W, H, loss=loss, solver=solver, tol=1e-6, max_iter=50)
    assert (result.n_iter, result.stop_reason) == (1, "tol")
    assert distance(result.W, result.H, W, H) < 1e-12
    assert result.objective < 1e-20


@every_frame
def test_float32_is_close_to_float64(loss, solver):
    single = fit(X.astype(np.float32), loss=loss, solver=solver, acceleration=False)
    double = fit(X, loss=loss, solver=solver, acceleration=False)
    assert single.objective == pytest.approx(double.objective, rel=1e-3)
    np.testing.assert_allclose(single.W @ single.H, double.W @ double.H, atol=5e-3 * X.max())


@pytest.mark.parametrize("dtype", PRECISIONS)
@pytest.mark.parametrize("k", [1, K])
@with_and_without_acceleration
@every_sure_pair
@pytest.mark.slow
def test_long_fits(loss, solver, acceleration, k, dtype):
    """Going on after convergence changes nothing, and does not move numbers from one factor to the other."""
    A = PLANTED["separable 20 x 15"]
    A = (A[0] @ A[1] + 0.1 * uniform(20, 15)).astype(dtype)
    parameters = {"loss": loss, "solver": solver, "acceleration": acceleration}
    short, long = (fit(A, k, max_iter=max_iter, **parameters) for max_iter in (1000, 3000))
    rounding = PRECISIONS[dtype] * long.X_squared_norm
    assert (np.diff(long.history.objective) <= rounding).all()
    assert long.objective <= short.objective + rounding
    balance = np.linalg.norm(long.W, axis=0) / np.linalg.norm(long.H, axis=1)
    assert (balance > 1e-3).all()
    assert (balance < 1e3).all()


# --- the same bits


THREADED = {
    "tall": np.ascontiguousarray(noisy(1500, 150, 10)),
    "wide": np.ascontiguousarray(noisy(150, 1500, 10)),
    "tall, Fortran": np.asfortranarray(noisy(1500, 150, 10)),
    "CSR": sp.csr_array(noisy(1500, 400, 10, noise=0.0)),
    "CSC": sp.csc_array(noisy(1500, 400, 10, noise=0.0)),
}


@pytest.mark.parametrize("init", ["custom", "nndsvda"])
@pytest.mark.parametrize("name", THREADED)
@pytest.mark.parametrize(
    ("loss", "solver"),
    # methods are steps within one frame: two say what there is to say of threads
    [pair if pair[1] in ("hals", "anls-bpp") else pytest.param(*pair, marks=pytest.mark.slow) for pair in PAIRS],
)
def test_same_bits_at_any_number_of_threads_and_in_every_run(loss, solver, name, init):
    A = THREADED[name]
    W, H = start(A, 20) if init == "custom" else (None, None)

    def run(n_threads):
        return fit(A, 20, W, H, loss=loss, solver=solver, init=init, random_state=0, max_iter=5, n_threads=n_threads)

    expected = run(1)
    for n_threads in (2, 3, 4, 2):
        assert_same_bits(run(n_threads), expected)


@pytest.mark.parametrize("init", INITIALIZERS)
@every_frame
def test_a_seed_decides_everything(loss, solver, init):
    parameters = {"loss": loss, "solver": solver, "init": init, "shuffle": True}
    assert_same_bits(*(fit(X, random_state=7, **parameters) for _ in range(2)))


@with_and_without_acceleration
@pytest.mark.parametrize("dtype", PRECISIONS)
def test_scaling_the_data_by_a_power_of_four_scales_the_factors(dtype, acceleration):
    """Powers of two are exact, so not one bit may differ: no number in a fit has units of its own."""
    A = X.astype(dtype)
    W, H = start(A, K)
    small = fit(A, K, W, H, acceleration=acceleration, tol=1e-4, max_iter=100)
    large = fit(A * dtype(4**9), K, W * 2**9, H * 2**9, acceleration=acceleration, tol=1e-4, max_iter=100)
    assert large.n_iter == small.n_iter
    np.testing.assert_array_equal(large.W, small.W * 2**9)
    np.testing.assert_array_equal(large.H, small.H * 2**9)
    assert large.objective == small.objective * 16**9
    np.testing.assert_array_equal(large.history.violation, small.history.violation)


# --- what is given


@every_frame
def test_given_factors_are_copied(loss, solver):
    A = uniform(12, 9)
    given = start(A, 3)
    before = [factor.copy() for factor in given]
    result = fit(A, 3, *given, loss=loss, solver=solver)
    for factor, copy, found in zip(given, before, (result.W, result.H), strict=True):
        np.testing.assert_array_equal(factor, copy)
        assert not np.shares_memory(factor, found)
        assert found.flags.c_contiguous
        assert found.flags.writeable


# --- symmetries


@every_pair
def test_transposing_the_data_swaps_the_factors(loss, solver):
    """One half step apart: from H and the W of a first iteration, X.T goes the way that X goes from there."""
    parameters = {"loss": loss, "solver": solver, "acceleration": False, "alpha_W": 0.01, "alpha_H": 0.02}
    swapped = parameters | {"alpha_W": 0.02, "alpha_H": 0.01}
    W, H = start(X, K)
    first = fit(X, K, W, H, max_iter=1, **parameters)
    tenth, eleventh = (fit(X, K, W, H, max_iter=n, **parameters) for n in (10, 11))
    turned = fit(X.T, K, H.T, first.W.T, max_iter=10, **swapped)
    np.testing.assert_allclose(turned.W, tenth.H.T, rtol=1e-8, atol=1e-11)
    np.testing.assert_allclose(turned.H, eleventh.W.T, rtol=1e-8, atol=1e-11)


@with_and_without_acceleration
@every_frame
def test_permuting_samples_and_features_permutes_the_factors(loss, solver, acceleration):
    rng = np.random.default_rng(0)
    rows, columns = rng.permutation(60), rng.permutation(35)
    parameters = {"loss": loss, "solver": solver, "acceleration": acceleration}
    W, H = start(X, K)
    plain = fit(X, K, W, H, **parameters)
    permuted = fit(X[rows][:, columns], K, W[rows], H[:, columns], **parameters)
    np.testing.assert_allclose(permuted.W, plain.W[rows], rtol=1e-7, atol=1e-10)
    np.testing.assert_allclose(permuted.H, plain.H[:, columns], rtol=1e-7, atol=1e-10)


def test_permuting_components_permutes_the_factors():
    """Of multiplicative updates, that is: coordinate descent visits components in their order."""
    p = np.array([2, 0, 3, 1])
    W, H = start(X, K)
    plain, permuted = fit(X, K, W, H, solver="mu"), fit(X, K, W[:, p], H[p], solver="mu")
    np.testing.assert_allclose(permuted.W, plain.W[:, p], rtol=1e-10)
    np.testing.assert_allclose(permuted.H, plain.H[p], rtol=1e-10)


# --- odd data


@pytest.mark.parametrize("make", [np.asarray, np.asfortranarray, sp.csr_array, sp.csc_array])
@pytest.mark.parametrize("init", ["random", "nndsvda"])
@every_frame
def test_all_zero_data(loss, solver, init, make):
    result = fit(
        make(np.zeros((7, 5))),
        2,
        init=init,
        loss=loss,
        solver=solver,
        tol=1e-4,
        max_iter=1000,
        random_state=0,
    )
    np.testing.assert_allclose(result.W @ result.H, 0, atol=1e-6)
    assert result.objective == pytest.approx(0, abs=1e-12)
    assert result.converged
    assert np.isfinite([value for value in result.summary().values() if isinstance(value, float)]).all()


@pytest.mark.parametrize("make", [np.asarray, np.asfortranarray, sp.csr_array, sp.csc_array])
@pytest.mark.parametrize("penalty", PENALTIES)
@every_sure_pair
def test_empty_rows_and_columns(loss, solver, penalty, make):
    """What is not in the data is not in the model."""
    A = X.copy()
    A[[3, 17]] = 0
    A[:, [5, 20]] = 0
    result = fit(make(A), loss=loss, solver=solver, max_iter=300, **PENALTIES[penalty])
    model = result.W @ result.H
    np.testing.assert_allclose(model[[3, 17]], 0, atol=1e-6)
    np.testing.assert_allclose(model[:, [5, 20]], 0, atol=1e-6)


@pytest.mark.parametrize("dtype", PRECISIONS)
@pytest.mark.parametrize("init", INITIALIZERS)
@every_sure_pair
@pytest.mark.slow
def test_sparse_data_stay_finite(loss, solver, init, dtype):
    """Entries of factors die out on such data; numbers that are almost zero must not make others infinite."""
    rng = np.random.default_rng(9)
    A = (rng.gamma(1.0, size=(40, 50)) * (rng.random((40, 50)) < 0.05)).astype(dtype)
    for make in (np.asarray, sp.csr_array, sp.csc_array):
        result = fit(make(A), 6, loss=loss, solver=solver, init=init, random_state=0, max_iter=200)
        assert np.isfinite(result.W).all()
        assert np.isfinite(result.H).all()
        assert np.isfinite(result.history.violation).all()
        assert (np.diff(result.history.objective) <= PRECISIONS[dtype] * result.X_squared_norm).all()


@pytest.mark.parametrize("shape", [(1, 1), (1, 8), (8, 1), (2, 2)], ids=str)
@pytest.mark.parametrize("k", [1, 2])
@every_pair
def test_tiny_data(loss, solver, shape, k):
    A = np.arange(1.0, 1 + shape[0] * shape[1]).reshape(shape)
    if k <= A.size:
        result = fit(A, k, init="random", random_state=0, loss=loss, solver=solver, max_iter=3000)
        best = np.sum(np.linalg.svd(A, compute_uv=False)[k:] ** 2) / 2
        assert result.objective == pytest.approx(best, abs=1e-5)


@every_sure_pair
def test_more_components_than_rows_and_columns(loss, solver):
    A = uniform(5, 4)
    result = fit(A, 9, init="random", random_state=0, loss=loss, solver=solver, max_iter=2000)
    assert result.objective < 1e-5
    assert result.W.shape == (5, 9)


@pytest.mark.parametrize("scale", [1e-12, 1e12])
@pytest.mark.parametrize("init", INITIALIZERS)
def test_units_of_the_data(init, scale):
    plain, scaled = (
        fit(A, init=init, random_state=0, tol=1e-6, max_iter=3000).summary()["relative_error"] for A in (X, scale * X)
    )
    assert scaled == pytest.approx(plain, rel=0.05)
