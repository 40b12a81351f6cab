"""What the classic solvers promise, each by itself and side by side."""

import numpy as np
import pytest
import reference
import scipy.sparse as sp
from problems import PLANTED, noisy, start

from nmf_core import _core, compare_solvers, factorize, kkt_residual
from nmf_core.data import FullMatrix, ObservedMatrix
from nmf_core.losses import make_loss
from nmf_core.solvers import ADMM, PG, SGD, SOLVERS, Greedy, Nesterov, Randomized, Sequential
from nmf_core.solvers.als import inverse_of_free
from nmf_core.stopping import MaxIter

QUADRATIC = [name for name, solver in SOLVERS.items() if solver.handles(make_loss(2))]
JOINT = [name for name in QUADRATIC if name != "sequential"]
SOUND = [name for name in JOINT if SOLVERS[name].monotone]
K = 4
X = noisy(60, 35, K)
W0, H0 = start(X, K)
LAYOUTS = {"C": np.ascontiguousarray, "Fortran": np.asfortranarray, "csr": sp.csr_array, "csc": sp.csc_array}


def fit(X=X, k=K, **parameters):
    given = {} if "init" in parameters else dict(zip("WH", start(X, k), strict=True))
    return factorize(X, k, **{"tol": 0, "max_iter": 30} | given | parameters)


# --- one iteration on a small example, worked out by hand

EXAMPLE = np.array([[1.0, 2.0, 0.0], [2.0, 1.0, 3.0], [0.0, 1.0, 1.0], [4.0, 0.0, 2.0]])
EXAMPLE_W = np.array([[1.0, 1.0], [1.0, 2.0], [0.0, 1.0], [2.0, 0.0]])
EXAMPLE_H = np.array([[1.0, 0.0, 1.0], [0.0, 1.0, 1.0]])


@pytest.mark.parametrize("make", LAYOUTS.values(), ids=LAYOUTS)
def test_one_iteration_of_coordinate_descent_on_paper(make):
    """H H' = [[2, 1], [1, 2]], X H' = [[1, 2], [5, 4], [1, 2], [6, 2]]; the first column of W moves, then the second.

    w1 = max(0, (xh1 - w2) / 2) = 0, 3/2, 0, 3; w2 = max(0, (xh2 - w1) / 2) = 1, 5/4, 1, 0.
    Then W'W = [[45/4, 15/8], [15/8, 57/16]], W'X = [[15, 3/2, 21/2], [7/2, 17/4, 19/4]], and H follows in the same way.
    """
    result = factorize(
        make(EXAMPLE), 2, W=EXAMPLE_W, H=EXAMPLE_H, solver="hals", acceleration=False, max_iter=1, tol=0
    )  # fmt: skip
    np.testing.assert_allclose(result.W, [[0, 1], [1.5, 1.25], [0, 1], [3, 0]], rtol=1e-14)
    first = np.maximum(0, (np.array([15, 1.5, 10.5]) - 15 / 8 * EXAMPLE_H[1]) / (45 / 4))
    second = np.maximum(0, (np.array([3.5, 4.25, 4.75]) - 15 / 8 * first) / (57 / 16))
    np.testing.assert_allclose(result.H, [first, second], rtol=1e-14)


@pytest.mark.parametrize("make", LAYOUTS.values(), ids=LAYOUTS)
def test_one_multiplicative_iteration_on_paper(make):
    """W H H' = [[3, 3], [4, 5], [1, 2], [4, 2]], so W becomes W * X H' / W H H'."""
    result = factorize(make(EXAMPLE), 2, W=EXAMPLE_W, H=EXAMPLE_H, solver="mu", max_iter=1, tol=0)
    W = np.array([[1 / 3, 2 / 3], [5 / 4, 8 / 5], [0, 1], [3, 0]])
    np.testing.assert_allclose(result.W, W, rtol=1e-14)
    np.testing.assert_allclose(result.H, EXAMPLE_H * (W.T @ EXAMPLE) / (W.T @ W @ EXAMPLE_H), rtol=1e-14)


# --- all of them


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("make", LAYOUTS.values(), ids=LAYOUTS)
@pytest.mark.parametrize("solver", QUADRATIC)
def test_factors_of_every_solver(solver, make, dtype):
    """Nothing negative or infinite, the dtype of X, better than the start, and the objective is that of the factors."""
    A = X.astype(dtype)
    result = fit(make(A), solver=solver)
    assert result.W.dtype == result.H.dtype == dtype
    for factor in (result.W, result.H):
        assert np.isfinite(factor).all()
        assert (factor >= 0).all()
    assert result.objective == pytest.approx(reference.objective(A, result.W, result.H), rel=1e-9)
    assert result.objective < 0.5 * reference.objective(A, *start(A, K))
    if SOLVERS[solver].monotone:
        rounding = (1e-5 if dtype == np.float32 else 1e-12) * result.X_squared_norm
        assert (np.diff(result.history.objective) <= rounding).all()


@pytest.mark.parametrize("solver", QUADRATIC)
def test_threads_do_not_matter(solver):
    A = noisy(700, 40, K)
    one, *others = (fit(A, solver=solver, n_threads=n, max_iter=6) for n in (1, 2, 3))
    for other in others:
        np.testing.assert_array_equal(one.W, other.W)
        np.testing.assert_array_equal(one.H, other.H)


@pytest.mark.parametrize("solver", SOUND)
def test_the_same_solution(solver):
    """From near the solution of a problem that has only one, all end there: in objective and in optimality."""
    W, H = PLANTED["separable 40 x 30"]
    rng = np.random.default_rng(0)
    A = W @ H + 0.01 * rng.random((40, 30))
    best = factorize(A, 5, W=W, H=H, tol=1e-10, max_iter=20000)
    near = {"W": best.W * rng.uniform(0.9, 1.1, W.shape), "H": best.H * rng.uniform(0.9, 1.1, H.shape)}
    result = factorize(A, 5, solver=solver, **near, tol=0, stop=MaxIter(1), max_iter=20000)
    result = factorize(A, 5, solver=solver, W=result.W, H=result.H, tol=1e-7, max_iter=20000)
    slow = solver in ("mu", "mue", "sgd")
    assert result.objective <= best.objective * (1.05 if slow else 1.01)
    if not slow:
        assert kkt_residual(A, result.W, result.H) < 1e-3


@pytest.mark.parametrize("penalty", [{"alpha_W": 0.02}, {"alpha_W": 0.01, "alpha_H": 0.003, "l1_ratio": 1.0}])
@pytest.mark.parametrize("solver", QUADRATIC)
def test_penalties_are_honoured(solver, penalty):
    """What is reported includes them, and sound solvers come to where the conditions of optimality with them hold."""
    result = fit(solver=solver, max_iter=300, **penalty)
    assert result.objective == pytest.approx(reference.objective(X, result.W, result.H, **penalty), rel=1e-9)
    if solver in SOUND:
        slow = solver in ("mu", "mue", "sgd", "gd")
        with_them, without = (kkt_residual(X, result.W, result.H, **given) for given in (penalty, {}))
        assert with_them < min(5e-2 if slow else 5e-3, without)


@pytest.mark.parametrize("make", LAYOUTS.values(), ids=LAYOUTS)
@pytest.mark.parametrize("solver", QUADRATIC)
def test_fixed_components_are_kept(solver, make):
    result = fit(make(X), solver=solver, W=W0, H=H0, update_H=[True, False, True, False])
    np.testing.assert_array_equal(result.H[[1, 3]], H0[[1, 3]])
    assert not np.array_equal(result.H[[0, 2]], H0[[0, 2]])
    assert result.objective < 0.5 * reference.objective(X, W0, H0)


@pytest.mark.parametrize(
    "solver", [name for name in SOLVERS if not SOLVERS[name].handles(make_loss(2), ObservedMatrix)]
)
def test_what_needs_a_complete_x_says_so(solver):
    holes = np.where(X.max() / 2 < X, np.nan, X)
    if not SOLVERS[solver].handles(make_loss(2)):
        pytest.skip("for another loss")
    message = f"solver='{solver}' needs a complete X, without .*; 'auto', 'hals', 'mue' and 'mu' do without."
    with pytest.raises(ValueError, match=message):
        factorize(holes, 3, solver=solver, missing="nan")
    assert factorize(X, 3, solver=solver, missing="nan", init="random", max_iter=2).solver == solver


@pytest.mark.parametrize("A", [np.zeros((6, 5)), np.ones((6, 5)), np.eye(6)[:, :5]], ids=["zeros", "ones", "eye"])
@pytest.mark.parametrize("solver", QUADRATIC)
def test_degenerate_data(solver, A):
    result = factorize(A, 3, solver=solver, init="random", random_state=0, max_iter=50)
    assert np.isfinite(result.W).all()
    assert np.isfinite(result.H).all()
    assert result.objective <= np.sum(A**2) / 2 * (1 + 1e-12)


# --- promises of some


@pytest.mark.filterwarnings("ignore:These factors fit X worse")
def test_als_solves_without_bounds_then_projects():
    W = np.maximum(0, np.linalg.solve(H0 @ H0.T, H0 @ X.T).T)
    H = np.maximum(0, np.linalg.solve(W.T @ W, W.T @ X))
    result = fit(solver="als", W=W0, H=H0, max_iter=1)
    np.testing.assert_allclose(result.W, W, atol=1e-9)
    np.testing.assert_allclose(result.H, H, atol=1e-9)


def test_als_with_components_that_depend_on_each_other():
    """The Gram matrix is singular: the least regularisation that makes it regular."""
    H = H0.copy()
    H[1] = H[0]
    result = fit(solver="als", W=W0, H=H, max_iter=1)
    assert np.isfinite(result.W).all()
    gram = H @ H.T
    inverse = inverse_of_free(gram, np.arange(K, dtype=np.int32))
    assert np.linalg.eigvalsh(inverse).max() == pytest.approx(1e11 / gram.diagonal().max(), rel=1e-3)


@pytest.mark.parametrize("solver", ["anls-bpp", "anls-as"])
def test_exact_subproblems(solver):
    """An iteration of alternating least squares is one of SciPy's nnls."""
    W, H = np.zeros((60, K)), np.zeros((K, 35))
    for i, x in enumerate(X):
        W[i] = reference.nnls(H0.T, x)[0]
    for j, x in enumerate(X.T):
        H[:, j] = reference.nnls(W, x)[0]
    result = fit(solver=solver, W=W0, H=H0, max_iter=1)
    np.testing.assert_allclose(result.W, W, atol=1e-12)
    np.testing.assert_allclose(result.H, H, atol=1e-12)


@pytest.mark.parametrize("solver", [Nesterov, Greedy])
def test_more_steps_a_pass_bring_more(solver):
    few, many = (fit(solver=solver(sweeps), max_iter=5).objective for sweeps in (1, 20))
    assert many < few


@pytest.mark.parametrize("solver", [Greedy, PG, Nesterov, ADMM])
def test_any_number_of_steps_a_pass_may_be_allowed(solver):
    assert fit(solver=solver(10**30), max_iter=2).n_iter == 2


@pytest.mark.parametrize("init", ["spa", "random"])
@pytest.mark.parametrize("make", LAYOUTS.values(), ids=LAYOUTS)
def test_components_of_a_sequential_fit_are_nested(make, init):
    few, many = (factorize(make(X), k, solver="sequential", init=init, random_state=0) for k in (2, 5))
    np.testing.assert_allclose(many.W[:, :2], few.W, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(many.H[:2], few.H, rtol=1e-6, atol=1e-9)
    assert (few.n_iter, many.n_iter) == (2, 5)
    assert (few.stop_reason, few.converged, few.init) == ("tol", True, init)
    assert many.history.objective[1] == pytest.approx(few.objective, rel=1e-9)


def test_refinement_of_a_sequential_fit():
    plain, refined, joint = (
        factorize(X, K, solver=solver, max_iter=500) for solver in (Sequential(), Sequential(refine=True), "hals")
    )
    assert refined.objective < plain.objective
    assert refined.objective < 1.2 * joint.objective
    np.testing.assert_allclose(refined.history.objective[:K], plain.history.objective, rtol=1e-9)


def test_the_first_component_of_a_sequential_fit_is_the_leading_singular_pair():
    result = factorize(X, 1, solver=Sequential(tol=1e-12))
    U, s, V = np.linalg.svd(X)
    np.testing.assert_allclose(result.W @ result.H, np.abs(np.outer(s[0] * U[:, 0], V[0])), rtol=1e-6)


def test_randomized_on_low_rank_data_is_as_good_as_the_whole():
    rng = np.random.default_rng(0)
    A = rng.gamma(1.0, size=(3000, K)) @ rng.gamma(1.0, size=(K, 50)) + 0.01 * rng.random((3000, 50))
    given = dict(zip("WH", start(A, K), strict=True))
    whole, compressed = (
        factorize(A, K, solver=solver, max_iter=300, **given) for solver in ("hals", Randomized(oversampling=10))
    )
    assert compressed.objective < 1.01 * whole.objective
    wide = factorize(A.T, K, solver="randomized", max_iter=300, init="random", random_state=0, tol=1e-5)
    assert wide.objective < 1.2 * whole.objective


class TestSGD:
    def test_schedules(self):
        objectives = {
            schedule: fit(solver=SGD(schedule, rows=16), max_iter=200).objective
            for schedule in ("bold", "inverse", "constant")
        }
        assert len(set(objectives.values())) == 3
        assert max(objectives.values()) < 0.5 * reference.objective(X, W0, H0)

    def test_a_failed_epoch_is_taken_back(self):
        rates, objectives = [], []
        fit(
            solver=SGD("bold", rate=1.0, rows=8), max_iter=100,
            callback=lambda state: rates.append(state.extra["rate"]) or objectives.append(state.objective),
        )  # fmt: skip
        steps = np.divide(rates[1:], rates[:-1])
        assert (np.isclose(steps, 1.05) | np.isclose(steps, 0.5) | (np.array(rates[1:]) == 1.0)).all()
        assert (steps < 0.6).any()
        assert (np.diff(objectives) <= 0).all()

    def test_a_seed_decides(self):
        one, again, other = (fit(solver=SGD(seed=seed, rows=8), max_iter=5).W for seed in (0, 0, 1))
        np.testing.assert_array_equal(one, again)
        assert not np.array_equal(one, other)

    def test_one_block_is_projected_gradient_descent(self):
        """Both factors take the step that does not overshoot, from a start of the right size."""
        size = np.sqrt(np.sum(X * (W0 @ H0)) / np.sum((W0 @ H0) ** 2))
        W, H = W0 * size, H0 * size
        curvature = np.linalg.norm(W.T @ W, 2)  # at the beginning of the epoch
        W = np.maximum(0, W - (W @ H - X) @ H.T / np.linalg.norm(H @ H.T, 2))
        H = np.maximum(0, H - W.T @ (W @ H - X) / curvature)
        result = fit(solver=SGD("constant", rate=1.0, rows=1000), W=W0, H=H0, max_iter=1)
        np.testing.assert_allclose(result.W, W, rtol=1e-10, atol=1e-12)
        np.testing.assert_allclose(result.H, H, rtol=1e-10, atol=1e-12)


# --- optimality


class TestKKTResidual:
    def test_is_that_of_the_formula(self):
        for penalty in ({}, {"alpha_W": 0.02}, {"alpha_W": 0.01, "alpha_H": 0.003, "l1_ratio": 0.7}):
            expected = reference.kkt_residual(X, W0, H0, **penalty)
            for make in LAYOUTS.values():
                assert kkt_residual(make(X), W0, H0, **penalty) == pytest.approx(expected, rel=1e-9)

    @pytest.mark.parametrize("loss", ["frobenius", "kullback-leibler", "itakura-saito", 1.5])
    def test_falls_to_zero_at_a_solution(self, loss):
        A = X + 0.1
        far, near = (factorize(A, 2, loss=loss, init="random", random_state=0, tol=0, max_iter=n) for n in (3, 3000))
        residuals = [kkt_residual(A, result.W, result.H, loss) for result in (far, near)]
        assert residuals[1] < min(1e-3, 0.05 * residuals[0])
        for make in LAYOUTS.values():
            assert kkt_residual(make(A), near.W, near.H, loss) == pytest.approx(residuals[1], rel=1e-5)

    @pytest.mark.parametrize("loss", ["frobenius", "kullback-leibler"])
    def test_scale_does_not_matter(self, loss):
        expected = kkt_residual(X, W0, H0, loss)
        assert kkt_residual(100 * X, 100 * W0, H0, loss) == pytest.approx(expected, rel=1e-9)
        if loss == "frobenius":
            assert kkt_residual(X, 100 * W0, H0 / 100, loss) == pytest.approx(expected, rel=1e-9)

    def test_what_is_missing_does_not_matter(self):
        holes = np.where(np.random.default_rng(0).random(X.shape) < 0.2, np.nan, X)
        near = factorize(holes, 2, missing="nan", tol=1e-9, max_iter=20000, random_state=0)
        assert kkt_residual(holes, near.W, near.H, missing="nan") < 1e-4
        known = ~np.isnan(holes)
        weighted = kkt_residual(np.where(known, X, 7), near.W, near.H, weights=known.astype(float))
        assert weighted == pytest.approx(kkt_residual(holes, near.W, near.H, missing="nan"), rel=1e-6)

    @pytest.mark.parametrize("loss", ["frobenius", "kullback-leibler"])
    def test_all_entries_known_is_complete(self, loss):
        expected = kkt_residual(X, W0, H0, loss)
        assert kkt_residual(X, W0, H0, loss, weights=np.ones(X.shape)) == pytest.approx(expected, rel=1e-9)

    def test_is_relative_to_the_data(self):
        """An entry that no component knows of takes no part in any step, but is something to compare steps with."""
        size = 3 * np.linalg.norm(X)
        unknown = np.pad(X, (0, 1))
        unknown[-1, -1] = size
        residual = kkt_residual(unknown, np.pad(W0, ((0, 1), (0, 0))), np.pad(H0, ((0, 0), (0, 1))))
        assert residual == pytest.approx(kkt_residual(X, W0, H0) / np.sqrt(10), rel=1e-9)

    def test_single_precision_is_computed_in_double(self):
        assert kkt_residual(*(A.astype(np.float32) for A in (X, W0, H0))) == pytest.approx(
            kkt_residual(X, W0, H0), rel=1e-5
        )

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ((X, W0[:5], H0), "W has shape 5 x 4"),
            ((X, W0, H0[:, :5]), "H has shape 4 x 5"),
            ((-X, W0, H0), "[Nn]egative"),
            ((X, W0, H0, "l3"), "loss must be one of"),
        ],
    )
    def test_bad_input(self, arguments, message):
        with pytest.raises(ValueError, match=message):
            kkt_residual(*arguments)


# --- side by side


class TestComparison:
    def test_table(self):
        comparison = compare_solvers(X, K, time_limit=0.3, max_iter=50, random_state=0)
        assert list(comparison.results) == QUADRATIC
        table = comparison.table
        assert list(table["solver"]) == QUADRATIC
        assert table["relative"].min() == 1
        assert comparison.best == table["objective"].min()
        best = table["solver"][table["objective"].argmin()]
        assert comparison.seconds_to(np.inf)["hals"] == comparison.results["hals"].history.seconds[0]
        assert np.isfinite(comparison.seconds_to(comparison.best)[best])
        assert np.isnan(comparison.seconds_to(0.0)["hals"])
        lines = str(comparison).splitlines()
        assert len(lines) == 1 + len(QUADRATIC)
        assert lines[0].split()[:4] == ["solver", "objective", "relative", "to_1.01"]

    def test_one_start_for_all(self):
        one, other = (
            compare_solvers(X, K, ["hals", "mu"], max_iter=1, random_state=0).results[name] for name in ("hals", "mu")
        )
        assert one.init == other.init == "custom"
        given = compare_solvers(X, K, ["mu"], max_iter=1, W=W0, H=H0).results["mu"]
        np.testing.assert_array_equal(given.W, fit(solver="mu", max_iter=1).W)

    def test_variants_of_a_solver(self):
        comparison = compare_solvers(X, K, [SGD(), SGD("constant"), "auto", "cd"], max_iter=2, random_state=0)
        assert list(comparison.results) == ["sgd", "sgd (2)", "hals", "hals (2)"]

    def test_estimates_are_not_taken_for_objectives(self):
        comparison = compare_solvers(X, K, ["hals", "randomized"], max_iter=30, random_state=0)
        assert comparison.estimated == {"randomized"}
        seconds = comparison.results["randomized"].history.seconds[-1]
        assert comparison.seconds_to(np.inf)["randomized"] == seconds

    @pytest.mark.parametrize(
        ("parameters", "solvers"),
        [
            ({"loss": "kullback-leibler"}, ["newton", "mue", "mu"]),
            ({"missing": "nan"}, ["hals", "mue", "mu"]),
            ({"weights": np.ones(X.shape)}, ["hals", "mue", "mu"]),
            ({"alpha_W": 0.1}, QUADRATIC),
        ],
    )
    def test_those_that_can(self, parameters, solvers):
        A = np.where(X.max() / 2 < X, np.nan, X) if "missing" in parameters else X
        assert list(compare_solvers(A, 2, max_iter=2, random_state=0, **parameters).results) == solvers

    @pytest.mark.parametrize(
        ("arguments", "parameters", "error", "message"),
        [
            ((X, K, "hals"), {}, TypeError, "solvers must be several"),
            ((X, K, []), {}, ValueError, "at least one solver"),
            ((X, K, ["lbfgs"]), {}, ValueError, "a solver must be one of 'auto', 'hals'"),
            ((X, K, ["newton"]), {}, ValueError, "does not minimise"),
            ((X, K, ["pg"]), {"weights": np.full(X.shape, 2.0)}, ValueError, "needs a complete X"),
            ((X, K, ["hals"]), {"time_limit": -1}, ValueError, "time_limit"),
            ((X, K, ["hals"]), {"tol": -1}, ValueError, "tol"),
            ((-X, K), {}, ValueError, "[Nn]egative"),
        ],
    )
    def test_bad_input(self, arguments, parameters, error, message):
        with pytest.raises(error, match=message):
            compare_solvers(*arguments, **parameters)


def test_methods_of_the_kernels_are_those_of_the_solvers():
    assert {
        solver.suited(make_loss(2), FullMatrix).method.name
        for solver in SOLVERS.values()
        if solver.name in QUADRATIC and solver.name != "mue"
    } == set(_core.METHODS)


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (lambda: SGD("cosine"), ValueError),
        (lambda: SGD(rate=1.5), ValueError),
        (lambda: SGD(rows=0), ValueError),
        (lambda: SGD(seed=-1), ValueError),
        (lambda: Nesterov(0), ValueError),
        (lambda: Greedy(1.5), TypeError),
        (lambda: Randomized(oversampling=-1), ValueError),
        (lambda: Sequential(refine=1), TypeError),
        (lambda: Sequential(tol=-1.0), ValueError),
        (lambda: MaxIter(0), ValueError),
        (lambda: MaxIter("3"), TypeError),
    ],
)
def test_bad_options(make, error):
    with pytest.raises(error):
        make()
