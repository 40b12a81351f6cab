"""The functional door: what every parameter does, how a fit ends, and what it tells on the way."""

import inspect
import json
import signal
import sys

import divergences
import numpy as np
import pytest
import reference
from problems import noisy, start, uniform
from scipy.optimize import nnls

from nmf_core import _core, factorize
from nmf_core.initialization import INITIALIZERS
from nmf_core.losses import make_loss
from nmf_core.solvers import ALIASES, SOLVERS
from nmf_core.stopping import MaxIter

K = 3
# what an iteration of the others is: see test_solvers.py
QUADRATIC = [
    name
    for name, solver in SOLVERS.items()
    if solver.handles(make_loss(2)) and name not in ("sequential", "randomized")
]
PAIRS = [*(("frobenius", solver) for solver in QUADRATIC), *divergences.PAIRS]
X = noisy(40, 25, K)
W0, H0 = start(X, K)
every_pair = pytest.mark.parametrize(("loss", "solver"), PAIRS)
STOP_REASONS = {"tol", "relative change", "max_iter", "time_limit", "callback", "interrupted"}


def stop(state):
    return True


# --- every public parameter changes something or raises

HOLES = np.where(np.arange(X.size).reshape(X.shape) % 7 == 3, np.nan, X)

# parameter: (one call, another), whose outcomes must differ
CHANGES = {
    "X": ({"X": X}, {"X": 2 * X}),
    "n_components": ({}, {"n_components": 2}),
    "missing": ({"X": HOLES}, {"X": HOLES, "missing": "nan"}),
    "weights": ({}, {"weights": 1.0 + X}),
    "loss": ({}, {"loss": "no such loss"}),
    "solver": ({"solver": "hals"}, {"solver": "mu"}),
    "init": ({"init": "random"}, {"init": "nndsvd"}),
    "W": ({"W": W0, "H": H0}, {"W": 2 * W0, "H": H0}),
    "H": ({"W": W0, "H": H0}, {"W": W0, "H": 2 * H0}),
    "update_H": ({"W": W0, "H": H0}, {"W": W0, "H": H0, "update_H": [True, False, True]}),
    "alpha_W": ({}, {"alpha_W": 0.1}),
    "alpha_H": ({"alpha_W": 0.1}, {"alpha_W": 0.1, "alpha_H": 0.2}),
    "l1_ratio": ({"alpha_W": 0.1}, {"alpha_W": 0.1, "l1_ratio": 0.5}),
    "alpha_scaling": (
        {"X": HOLES, "missing": "nan", "alpha_W": 0.1},
        {"X": HOLES, "missing": "nan", "alpha_W": 0.1, "alpha_scaling": "observed"},
    ),
    "biases": ({}, {"biases": True}),
    "floor": ({}, {"floor": 0.1}),
    "tol": ({}, {"tol": 1e-1}),
    "stop": ({}, {"stop": MaxIter(3)}),
    "max_iter": ({}, {"max_iter": 7}),
    "time_limit": ({}, {"time_limit": 0.0}),
    "random_state": ({}, {"random_state": 1}),
    "n_threads": ({"n_threads": 1}, {"n_threads": 2 if _core.OPENMP else 0}),
    "callback": ({}, {"callback": stop}),
    "progress": ({}, {"progress": True}),
    "shuffle": ({}, {"shuffle": True}),
    "acceleration": ({}, {"acceleration": False}),
    "checkpoint": ({}, {"checkpoint": 3}),
    "out_W": ({}, {"out_W": np.zeros((1, 1))}),
    "n_init": ({"random_state": 1}, {"random_state": 1, "n_init": 4}),
    "sort": ({"sort": True}, {"sort": False}),
    "sample_axes": ({}, {"sample_axes": 1}),
    "sample_names": ({}, {"sample_names": ["one"]}),
    "feature_names": ({}, {"feature_names": ["one"]}),
}


def outcome(capsys, changes):
    """All that can be seen of a call, but for times."""
    arguments = {"X": X, "n_components": K, "init": "random", "random_state": 0, "max_iter": 40, "tol": 1e-6}
    if "W" in changes:
        arguments["init"] = "custom"
    try:
        result = factorize(**arguments | changes)
    except (TypeError, ValueError) as error:
        return str(error)
    shown = "objective" in capsys.readouterr().err
    return result.W.tolist(), result.H.tolist(), result.n_iter, result.stop_reason, result.n_threads, shown


@pytest.mark.parametrize("name", inspect.signature(factorize).parameters)
def test_every_parameter_changes_something_or_raises(name, capsys):
    one, other = CHANGES[name]
    assert outcome(capsys, one) != outcome(capsys, other)
    assert outcome(capsys, one) == outcome(capsys, one)


def test_documentation_names_every_parameter():
    documented = inspect.getdoc(factorize)
    for name in inspect.signature(factorize).parameters:
        assert f"\n{name} : " in documented


@pytest.mark.parametrize("alias", ALIASES)
def test_other_names_of_solvers(alias):
    result, expected = (factorize(X, K, solver=name, W=W0, H=H0, max_iter=5) for name in (alias, ALIASES[alias]))
    assert result.solver == ALIASES[alias]
    np.testing.assert_array_equal(result.W, expected.W)


@pytest.mark.parametrize(
    ("k", "given", "init"),
    [
        (3, {}, "nndsvda"),
        (25, {}, "nndsvda"),
        (26, {}, "random"),
        (3, {"W": W0}, "custom"),
        (3, {"H": H0}, "custom"),
        (3, {"H": H0, "update_H": False}, "custom"),
        (3, {"init": "nndsvdar"}, "nndsvdar"),
    ],
    ids=str,
)
def test_which_start_is_used(k, given, init):
    assert factorize(X, k, max_iter=1, **given).init == init


@pytest.mark.parametrize("missing", ["W", "H"])
def test_the_missing_factor_of_a_custom_start_is_random(missing):
    given = {"W": W0, "H": H0} | {missing: None}
    random = factorize(X, K, init="random", random_state=0, max_iter=1, callback=stop)
    assert random.init == "random"
    first, again, other = (factorize(X, K, random_state=seed, max_iter=1, **given) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first.W, again.W)
    assert not np.array_equal(first.W, other.W)


def test_parameters_are_kept_as_plain_values():
    result = factorize(
        X, np.int64(K), alpha_W=np.float32(0.5), l1_ratio=1, tol=np.float64(0.1), max_iter=np.int32(9), shuffle=True,
        random_state=np.int64(5), time_limit=60, n_threads=np.int64(2),
    )  # fmt: skip
    kept = json.loads(json.dumps(result.parameters))
    assert kept == result.parameters
    expected = {
        "alpha_W": 0.5, "alpha_H": "same", "l1_ratio": 1.0, "tol": 0.1, "max_iter": 9, "time_limit": 60.0,
        "random_state": 5, "shuffle": True,
    }  # fmt: skip
    assert {name: kept[name] for name in expected} == expected


@pytest.mark.parametrize("kind", [np.random.RandomState, np.random.default_rng])
def test_kinds_of_randomness(kind):
    parameters = {"init": "random", "max_iter": 2}
    first, again, other = (factorize(X, K, random_state=kind(seed), **parameters) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first.W, again.W)
    assert not np.array_equal(first.W, other.W)
    shared = kind(0)
    first, second = (factorize(X, K, random_state=shared, **parameters) for _ in range(2))
    assert not np.array_equal(first.W, second.W)


# --- how a fit ends


@pytest.mark.parametrize(
    ("parameters", "reason", "converged"),
    [
        ({"tol": 1e-3, "max_iter": 10000}, "tol", True),
        ({"solver": "mu", "tol": 1e-4, "max_iter": 10000}, "relative change", True),
        ({"stop": MaxIter(3)}, "max_iter", False),
        ({"tol": 0, "max_iter": 6}, "max_iter", False),
        ({"tol": 0, "time_limit": 0}, "time_limit", False),
        ({"tol": 0, "callback": stop}, "callback", False),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_reasons_to_stop(parameters, reason, converged):
    result = factorize(X, K, random_state=0, **parameters)
    assert result.stop_reason == reason
    assert result.stop_reason in STOP_REASONS
    assert result.converged is converged
    assert result.n_iter == {"max_iter": 3 if "stop" in parameters else 6, "time_limit": 1, "callback": 1}.get(
        reason, result.n_iter
    )
    assert result.n_iter < 10000


def test_a_tighter_tolerance_takes_longer_and_ends_lower():
    X = np.random.default_rng(0).random((30, 20))  # of which much is left
    loose, tight = (factorize(X, K, tol=tol, max_iter=10000) for tol in (1e-2, 1e-6))
    assert loose.n_iter < tight.n_iter
    assert loose.objective > tight.objective
    assert loose.history.violation[-1] <= 1e-2 < loose.history.violation[:-1].min()


def test_enough_time_is_no_limit():
    limited, unlimited = (factorize(X, K, max_iter=20, time_limit=limit, random_state=0) for limit in (1e6, None))
    np.testing.assert_array_equal(limited.W, unlimited.W)
    assert limited.stop_reason == unlimited.stop_reason


@every_pair
@pytest.mark.parametrize("order", ["C", "F"])
def test_history(loss, solver, order):
    result = factorize(np.asarray(X, order=order), K, loss=loss, solver=solver, max_iter=15, tol=0)
    history = result.history
    assert len(history) == result.n_iter == 15
    for values in (history.seconds, history.objective, history.violation):
        assert values.dtype == np.float64
        assert values.shape == (15,)
        assert np.isfinite(values).all()
        assert (values > 0).all()
    assert (np.diff(history.seconds) > 0).all()
    assert history.seconds[-1] <= result.seconds


def interrupt(state):
    if state.iteration == 4:
        raise KeyboardInterrupt


def signal_from_the_keyboard(state):
    if state.iteration == 4:
        signal.raise_signal(signal.SIGINT)


@pytest.mark.parametrize("callback", [interrupt, signal_from_the_keyboard])
@every_pair
def test_an_interrupt_keeps_the_factors_so_far(loss, solver, callback):
    parameters = {"loss": loss, "solver": solver, "tol": 0, "random_state": 0}
    result = factorize(X, K, callback=callback, **parameters)
    expected = factorize(X, K, max_iter=4, **parameters)
    assert result.stop_reason == "interrupted"
    assert not result.converged
    assert result.n_iter == len(result.history) == 4
    np.testing.assert_array_equal(result.W, expected.W)
    np.testing.assert_array_equal(result.H, expected.H)
    assert result.objective == expected.objective


def test_other_exceptions_of_a_callback_go_through():
    def fail(state):
        raise ZeroDivisionError("mine")

    with pytest.raises(ZeroDivisionError, match="mine"):
        factorize(X, K, callback=fail)


# --- what it tells on the way


def objective(loss, W, H, **regularization):
    """Half the squared error or the other divergences, plus penalties."""
    if loss == "frobenius":
        return reference.objective(X, W, H, **regularization)
    return divergences.objective(X, W, H, divergences.BETAS[loss], **regularization)


@every_pair
@pytest.mark.parametrize("order", ["C", "F"])
def test_callback_sees_every_iteration(loss, solver, order):
    seen = []

    def look(state):
        assert state.W.shape == (40, K)
        assert state.H.shape == (K, 25)
        for factor in (state.W, state.H):
            with pytest.raises(ValueError, match="read-only"):
                factor[0, 0] = 1
        assert state.objective == pytest.approx(objective(loss, state.W, state.H), rel=1e-9)
        seen.append((state.iteration, state.seconds, state.objective, state.violation))
        last[:] = state.W.copy(), state.H.copy()

    last = []
    result = factorize(
        np.asarray(X, order=order), K, loss=loss, solver=solver, callback=look, max_iter=12, tol=0, random_state=0,
        sort=False,
    )  # fmt: skip
    iterations, seconds, objectives, violation = np.array(seen).T
    np.testing.assert_array_equal(iterations, np.arange(1, 13))
    np.testing.assert_array_equal(seconds, result.history.seconds)
    np.testing.assert_allclose(objectives, result.history.objective, rtol=1e-9)
    np.testing.assert_array_equal(violation, result.history.violation)
    np.testing.assert_array_equal(last[0], result.W)
    np.testing.assert_array_equal(last[1], result.H)


def test_callback_stops_when_it_says_so():
    result = factorize(X, K, callback=lambda state: state.iteration == 3, tol=0)
    assert result.n_iter == 3
    assert factorize(X, K, callback=lambda state: None, tol=0, max_iter=9).n_iter == 9
    assert factorize(X, K, callback=lambda state: (state.W >= 0).all(), tol=0).n_iter == 1


def test_a_fit_inside_a_callback():
    inner = []
    parameters = {"max_iter": 3, "tol": 0, "random_state": 0}
    outer = factorize(X, K, callback=lambda state: inner.append(factorize(X.T, 2, max_iter=2)), **parameters)
    np.testing.assert_array_equal(outer.W, factorize(X, K, **parameters).W)
    assert len(inner) == 3


def test_progress(capsys):
    result = factorize(X, K, progress=True, max_iter=17, tol=0)
    shown = capsys.readouterr()
    assert shown.out == ""
    last = shown.err.replace("\r", "\n").strip().splitlines()[-1]
    assert "17/17" in last
    assert "objective=" in last
    assert "violation=" in last
    assert f"{result.objective:.2g}"[:3] in last
    factorize(X, K, max_iter=3)
    assert capsys.readouterr() == ("", "")


def test_progress_without_its_library(monkeypatch):
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    with pytest.raises(ImportError, match=r'pip install "nmf-core\[cli\]"'):
        factorize(X, K, progress=True)


# --- H held fixed


@pytest.mark.parametrize("penalties", [{}, {"alpha_W": 0.05}, {"alpha_W": 0.02, "l1_ratio": 0.5}], ids=str)
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("solver", QUADRATIC)
def test_with_all_of_h_fixed_every_row_is_solved(solver, order, penalties):
    H = uniform(K, 25)
    held = np.asarray(X, order=order)
    result = factorize(held, K, H=H, update_H=False, solver=solver, tol=1e-8, max_iter=20000, alpha_H=0.1, **penalties)
    l1, l2, _, _ = reference.penalties(X.shape, **penalties)
    G = np.vstack([H.T, np.sqrt(l2) * np.eye(K)])
    shift = l1 * G @ np.linalg.inv(G.T @ G) @ np.ones(K)
    expected = [nnls(G, np.concatenate([x, np.zeros(K)]) - shift)[0] for x in X]
    np.testing.assert_array_equal(result.H, H)
    np.testing.assert_allclose(result.W, expected, atol=1e-4)
    assert result.converged
    assert len(result.history) == 1
    assert 1 < result.n_iter < 20000
    assert result.objective == pytest.approx(reference.objective(X, result.W, H, alpha_H=0.1, **penalties))


def test_with_all_of_h_fixed_sweeps_are_limited():
    result = factorize(X, K, H=uniform(K, 25), update_H=False, tol=1e-14, max_iter=3)
    assert result.n_iter == 3
    assert result.stop_reason == "max_iter"
    assert not result.converged


@pytest.mark.slow
def test_with_all_of_h_fixed_any_number_of_sweeps_may_be_allowed():
    """Even if all of them would be more work than a 64-bit integer holds; one does for zeros."""
    n, k, max_iter = 4400, 1000, 2**31 - 1
    assert n * k**2 * max_iter > 2**63
    X = np.zeros((n, 2), dtype=np.float32)
    result = factorize(X, k, H=np.ones((k, 2)), update_H=False, max_iter=max_iter, n_threads=2)
    assert result.n_iter == 1
    assert not result.W.any()
    assert factorize(X[:9], 2, H=np.ones((2, 2)), update_H=False, max_iter=10**30).n_iter == 1


@pytest.mark.filterwarnings("ignore:.* comes to nothing")
@pytest.mark.parametrize("fixed", [[0], [1, 2]], ids=str)
@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("acceleration", [False, True])
@pytest.mark.parametrize("order", ["C", "F"])
@every_pair
def test_with_some_components_of_h_fixed_the_others_improve(loss, solver, order, acceleration, shuffle, fixed):
    mask = np.ones(K, dtype=bool)
    mask[fixed] = False
    parameters = {
        "loss": loss,
        "solver": solver,
        "acceleration": acceleration,
        "shuffle": shuffle,
        "max_iter": 30,
        "tol": 0,
    }
    result = factorize(np.asarray(X, order=order), K, W=W0, H=H0, update_H=mask, alpha_H=0.01, **parameters)
    np.testing.assert_array_equal(result.H[~mask], H0[~mask])
    assert (result.H[mask] != H0[mask]).any(axis=1).all()
    assert (np.diff(result.history.objective) <= 1e-12 * result.X_squared_norm).all()
    assert result.objective == pytest.approx(objective(loss, result.W, result.H, alpha_H=0.01))


@pytest.mark.parametrize("mask", [True, [True] * K, np.ones(K, dtype=bool)], ids=str)
def test_a_mask_that_holds_nothing_fixed(mask):
    result, expected = (factorize(X, K, update_H=update, max_iter=5, random_state=0) for update in (mask, True))
    np.testing.assert_array_equal(result.H, expected.H)


@pytest.mark.parametrize("mask", [[False] * K, np.zeros(K, dtype=bool)], ids=str)
def test_a_mask_that_holds_everything_fixed(mask):
    result, expected = (factorize(X, K, H=H0, update_H=update) for update in (mask, False))
    np.testing.assert_array_equal(result.W, expected.W)
    np.testing.assert_array_equal(result.H, H0)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("mask", [False, [False] * (K - 1) + [True]], ids=str)
def test_known_components_and_some_to_learn(mask, order):
    known = H0[: K - 1]
    result = factorize(np.asarray(X, order=order), K, H=known, update_H=mask, random_state=0, max_iter=20, tol=0)
    np.testing.assert_array_equal(result.H[:-1], known)
    assert result.H[-1].any()
    assert result.objective < factorize(X, H=known, update_H=False).objective
    several = factorize(X, K, H=known, update_H=mask, random_state=0, n_init=3)
    assert len(several.history.starts) == 3


def test_what_is_not_given_cannot_be_held_fixed():
    with pytest.raises(ValueError, match=f"update_H holds component {K - 1} fixed, but H, which has {K - 1} rows"):
        factorize(X, K, H=H0[:-1], update_H=[False] * K)


# --- what the result says of itself


@every_pair
@pytest.mark.parametrize("init", INITIALIZERS)
def test_result_says_how_it_was_found(loss, solver, init):
    result = factorize(X, K, loss=loss, solver=solver, init=init, n_threads=2, random_state=0, max_iter=3)
    assert (result.loss, result.solver, result.init) == (loss, solver, init)
    assert result.n_threads == (2 if _core.OPENMP else 1)
    assert result.n_components == K
    assert result.n_stored == X.size
    assert result.X_squared_norm == pytest.approx(np.sum(X**2), rel=1e-14)
    assert result.divergence == pytest.approx(objective(loss, result.W, result.H), rel=1e-10)
    assert result.squared_error == pytest.approx(2 * reference.objective(X, result.W, result.H), rel=1e-12)
    assert type(result.objective) is type(result.seconds) is type(result.divergence) is float
    assert type(result.n_iter) is int
    assert type(result.converged) is bool
