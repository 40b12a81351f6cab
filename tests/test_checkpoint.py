"""A fit that is stopped, in whatever way, goes on from its file and ends as if nothing had been."""

import os
import pickle
import re
import shutil
import subprocess
import sys
import warnings
import zipfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import scipy.sparse as sp
from problems import noisy, start

from nmf_core import Checkpoint, factorize
from nmf_core.data import RowBlocks
from nmf_core.data.chunked import Chunked
from nmf_core.losses import make_loss
from nmf_core.solvers import SOLVERS
from nmf_core.stopping import MaxIter, Plateau, SmallStep

pytestmark = pytest.mark.timeout(60)

K, N, M = 3, 60, 20
X = noisy(N, M, K) + 0.05
W0, H0 = start(X, K)
COUNTS = np.random.default_rng(5).poisson(0.8, (N, M)).astype(float)
COUNTS[:, 0] += 1
COUNTS[0] += 1
HOLES = np.where(np.arange(X.size).reshape(X.shape) % 7 == 3, np.nan, X)
LOSSES = {"frobenius": 2, "kullback-leibler": 1, "itakura-saito": 0, 0.5: 0.5}
PAIRS = [
    (loss, name) for loss, beta in LOSSES.items() for name, solver in SOLVERS.items() if solver.handles(make_loss(loss))
]
GOLDEN = Path(__file__).parent / "checkpoints"  # of fits that were stopped after three iterations
CHUNKED = [(loss, name) for loss, name in PAIRS if SOLVERS[name].handles(make_loss(loss), Chunked)]


def in_blocks(A):
    return RowBlocks([A[:13], A[13:40], A[40:]], A.shape, A.dtype)


@pytest.fixture(autouse=True)
def fast(monkeypatch):
    """No waiting for the disk, which takes most of the time."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


class Stop(Exception):
    """What stops a fit here."""


def stop_at(iteration):
    def callback(state):
        if state.iteration >= iteration:
            raise Stop

    return callback


def fit(A=X, k=K, **options):
    defaults = {"W": W0, "H": H0} if options.get("init", "custom") == "custom" and k == K else {}
    return factorize(A, k, **{"max_iter": 20, "tol": 0.0} | defaults | options)


def same_bits(one, other):
    assert one.n_iter == other.n_iter
    np.testing.assert_array_equal(one.history.objective, other.history.objective)
    np.testing.assert_array_equal(one.W, other.W)
    np.testing.assert_array_equal(one.H, other.H)
    assert one.W.dtype == other.W.dtype
    assert one.objective == other.objective
    assert one.stop_reason == other.stop_reason
    assert one.converged == other.converged
    if other.biases is not None:
        for name in ("rows", "columns"):
            if hasattr(other.biases, name):
                np.testing.assert_array_equal(getattr(one.biases, name), getattr(other.biases, name))


def check(path, A=X, every=1, rule=None, **options):
    """Stop a fit in the middle, twice, and compare its end with that of one which was left alone.

    `rule` makes a new stopping rule each time, which may have a memory.
    """

    def once(**more):
        if rule is not None:
            more["stop"] = rule()
        return fit(A, **options | more)

    expected = once()
    assert expected.n_iter >= 3, "too short to be stopped"
    for at in (expected.n_iter // 3 + 1, expected.n_iter - 1):
        with pytest.raises(Stop):
            once(checkpoint=Checkpoint(path, iterations=every), callback=stop_at(at))
        if every <= at:
            assert path.exists()
    result = once(checkpoint=Checkpoint(path, iterations=every))
    same_bits(result, expected)
    assert (np.diff(result.history.seconds) >= 0).all()
    again = once(checkpoint=Checkpoint(path, iterations=every))
    same_bits(again, expected)
    return expected


# --- all that can be fitted


@pytest.mark.parametrize(("loss", "solver"), PAIRS)
def test_every_solver_and_loss(loss, solver, tmp_path):
    # what builds up component by component needs some
    options = {"init": "random", "random_state": 0} if solver == "sequential" else {}
    check(tmp_path / "state", loss=loss, solver=solver, **options)


@pytest.mark.parametrize(("loss", "solver"), [pair for pair in PAIRS if pair[1] in ("hals", "mu", "mue", "newton")])
@pytest.mark.parametrize("form", [sp.csr_array, sp.csc_array, np.asfortranarray, np.float32])
def test_containers(loss, solver, form, tmp_path):
    A = form(COUNTS if loss in ("frobenius", "kullback-leibler") and form is not np.float32 else X)
    start = {} if A.dtype == np.float64 else {"W": W0.astype(A.dtype), "H": H0.astype(A.dtype)}
    check(tmp_path / "state", A, every=3, loss=loss, solver=solver, **start)


@pytest.mark.parametrize(("loss", "solver"), CHUNKED)
def test_blocks(loss, solver, tmp_path):
    options = {"init": "random", "random_state": 0} if solver == "sequential" else {}
    check(tmp_path / "state", in_blocks(X), every=3, loss=loss, solver=solver, **options)
    if solver in ("hals", "mue"):
        check(tmp_path / "state of CSR", in_blocks(sp.csr_array(X)), loss=loss, solver=solver, **options)


@pytest.mark.parametrize("every", [pytest.param(1, marks=pytest.mark.slow), 4, pytest.param(7, marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    ("A", "options"),
    [
        (HOLES, {"missing": "nan"}),
        (HOLES, {"missing": "nan", "solver": "mu"}),
        (HOLES, {"missing": "nan", "loss": "kullback-leibler"}),
        (HOLES, {"missing": "nan", "loss": "kullback-leibler", "solver": "mue"}),
        (HOLES, {"missing": "nan", "biases": True, "init": "random", "alpha_W": 0.01}),
        (sp.csr_array(COUNTS), {"missing": "unstored", "alpha_W": 0.1}),
        (sp.csc_array(COUNTS), {"missing": "unstored", "alpha_W": 0.1, "shuffle": True}),
        (X, {"weights": 1.0 + COUNTS}),
        (X, {"biases": True, "init": "random"}),
        (X, {"shuffle": True}),
        (in_blocks(X), {"shuffle": True}),
        (X, {"shuffle": True, "acceleration": False, "solver": "greedy"}),
        (X, {"acceleration": False}),
        (X, {"acceleration": False, "loss": "kullback-leibler"}),
        (X, {"acceleration": False, "loss": "kullback-leibler", "solver": "mue"}),
        (X, {"update_H": [True, False, True]}),
        (X, {"update_H": [True, False, True], "loss": "kullback-leibler"}),
        (X, {"update_H": [True, False, True], "loss": "itakura-saito", "shuffle": True}),
        (X, {"alpha_W": 0.02, "l1_ratio": 0.7, "alpha_H": 0.01}),
        (X, {"init": "random"}),
        (X, {"init": "nndsvdar"}),
        (X, {"init": "best-of"}),
        (X, {"init": "random", "solver": "sgd"}),
    ],
    ids=lambda value: ", ".join(value) if isinstance(value, dict) else type(value).__name__,
)
def test_options(A, options, every, tmp_path):
    check(tmp_path / "state", A, every, random_state=3, **options)


def test_sources_of_randomness(tmp_path):
    for i, make in enumerate((np.random.RandomState, np.random.default_rng)):
        expected = fit(shuffle=True, init="random", random_state=make(4))
        path = tmp_path / str(i)
        options = {"shuffle": True, "init": "random", "checkpoint": Checkpoint(path, iterations=2)}
        with pytest.raises(Stop):
            fit(random_state=make(4), callback=stop_at(9), **options)
        same_bits(fit(random_state=make(4), **options), expected)


def test_convergence_is_the_same(tmp_path):
    for loss in ("frobenius", "kullback-leibler", "itakura-saito"):
        expected = check(tmp_path / f"{loss}", loss=loss, tol=1e-3, max_iter=2000, every=5)
        assert expected.converged


# --- rules that remember

HELD_OUT = np.array([1, 5, 9, 30]), np.array([2, 3, 0, 11])
RULES = {
    "plateau": lambda: Plateau(*HELD_OUT, X[HELD_OUT], tol=1e-3, patience=4),
    "small step": lambda: SmallStep(3e-3),
    "plateau or small step": lambda: Plateau(*HELD_OUT, X[HELD_OUT], patience=30) | SmallStep(3e-3),
    "small step or plateau": lambda: SmallStep(1e-9) | Plateau(*HELD_OUT, X[HELD_OUT], tol=1e-3, patience=4),
    "plateau and small step": lambda: Plateau(*HELD_OUT, X[HELD_OUT], tol=1e-3, patience=4) & SmallStep(1e-2),
    "nested": lambda: MaxIter(500) | (Plateau(*HELD_OUT, X[HELD_OUT], patience=5) & (SmallStep(5e-3) | MaxIter(400))),
}
every_rule = pytest.mark.parametrize("rule", RULES.values(), ids=RULES)


@every_rule
@pytest.mark.parametrize("every", [pytest.param(1, marks=pytest.mark.slow), 3])
@pytest.mark.parametrize("options", [{}, {"loss": "kullback-leibler"}, {"solver": "mu"}], ids=str)
def test_rules_remember(rule, every, options, tmp_path):
    slow = options.get("solver") == "mu"
    expected = check(tmp_path / "state", every=every, rule=rule, max_iter=60 if slow else 400, **options)
    assert expected.converged or slow
    assert expected.n_iter > 5


@every_rule
@pytest.mark.parametrize("every", [1, 7, 1000])
def test_going_on_after_max_iter_with_rules_that_remember(rule, every, tmp_path):
    expected = fit(stop=rule(), max_iter=400)
    for max_iter in (3, 5, expected.n_iter - 2):
        assert fit(stop=rule(), max_iter=max_iter, checkpoint=Checkpoint(tmp_path / "state", iterations=every)).n_iter
    same_bits(fit(stop=rule(), max_iter=400, checkpoint=Checkpoint(tmp_path / "state", iterations=every)), expected)


@pytest.mark.parametrize("after", [None, *RULES])
@pytest.mark.parametrize("before", [None, *RULES])
def test_another_rule_may_go_on(before, after, tmp_path):
    """When to stop is no part of the problem."""
    for name, max_iter in ((before, 5), (after, 9)):
        stop = None if name is None else RULES[name]()
        result = fit(stop=stop, max_iter=max_iter, checkpoint=tmp_path / "state")
    assert result.n_iter <= 9
    same = fit(max_iter=result.n_iter)
    np.testing.assert_array_equal(result.W, same.W)
    np.testing.assert_array_equal(result.history.objective, same.history.objective)


# --- going on


@pytest.mark.parametrize("A", [X, in_blocks(X)], ids=["memory", "blocks"])
@pytest.mark.parametrize(
    ("loss", "solver"),
    [("frobenius", "hals"), ("frobenius", "mu"), ("kullback-leibler", "mue"), ("itakura-saito", "mu")],
)
@pytest.mark.parametrize("every", [1, 1000])
def test_larger_max_iter_goes_on(A, loss, solver, every, tmp_path):
    checkpoint = Checkpoint(tmp_path / "state", iterations=every)
    counted = []
    for max_iter in (4, 11, 25):
        result = fit(A, loss=loss, solver=solver, max_iter=max_iter, checkpoint=checkpoint)
        same_bits(result, fit(A, loss=loss, solver=solver, max_iter=max_iter))
    fit(A, loss=loss, solver=solver, max_iter=40, checkpoint=checkpoint, callback=lambda s: counted.append(s.iteration))
    assert counted == list(range(25, 41))


def test_what_is_over_stays_over(tmp_path):
    first = fit(tol=1e-3, max_iter=500, checkpoint=tmp_path / "state")
    assert first.converged
    same_bits(fit(tol=1e-3, max_iter=5000, checkpoint=tmp_path / "state"), first)
    assert fit(max_iter=first.n_iter + 3, checkpoint=tmp_path / "state").n_iter == first.n_iter + 3
    assert fit(max_iter=2, checkpoint=tmp_path / "state").n_iter == first.n_iter + 3


def test_interrupt(tmp_path):
    def press(state):
        if state.iteration == 7:
            raise KeyboardInterrupt

    path = Checkpoint(tmp_path / "state", iterations=2)
    assert fit(checkpoint=path, callback=press).stop_reason == "interrupted"
    same_bits(fit(checkpoint=path), fit())


def test_reader_of_blocks_fails(tmp_path):
    calls = []

    def blocks():
        calls.append(None)
        for i, part in enumerate((X[:13], X[13:40], X[40:])):
            if len(calls) == 12 and i == 1:
                raise OSError("the disk is gone")
            yield part

    A = RowBlocks(blocks, X.shape)
    path = Checkpoint(tmp_path / "state", iterations=1)
    with pytest.raises(OSError, match="the disk is gone"):
        fit(A, checkpoint=path)
    same_bits(fit(A, checkpoint=path), fit(in_blocks(X)))


def test_out_W(tmp_path):
    path = Checkpoint(tmp_path / "state", iterations=3)
    for A in (X, in_blocks(X)):
        out = np.memmap(tmp_path / "W.bin", X.dtype, "w+", shape=(N, K))
        with pytest.raises(Stop):
            fit(A, checkpoint=path, callback=stop_at(11), out_W=out)
        assert fit(A, checkpoint=path, out_W=out).W is out
        np.testing.assert_array_equal(out, fit(A).W)
        (tmp_path / "state").unlink()


def test_any_number_of_threads_goes_on(tmp_path):
    path = Checkpoint(tmp_path / "state", iterations=1)
    with pytest.raises(Stop):
        fit(checkpoint=path, n_threads=1, callback=stop_at(8))
    same_bits(fit(checkpoint=path, n_threads=3), fit())


# --- killed

KILLED = """
import os, signal, sys, time
from pathlib import Path
import numpy as np, scipy.sparse as sp
import nmf_core
import nmf_core.files
from nmf_core.data import RowBlocks

folder, kind = sys.argv[1], sys.argv[2]
A = np.load(folder + "/X.npy")
blocks = [A[:13], A[13:40], A[40:]]
X = {"memory": A, "csr": sp.csr_array(A), "blocks": RowBlocks(blocks, A.shape)}[kind]
path = Path(folder, "state")

def die():
    os.kill(os.getpid(), signal.SIGKILL)

def fit(max_iter=300):
    checkpoint = nmf_core.Checkpoint(path, iterations=1)
    nmf_core.factorize(X, 3, init="random", random_state=0, shuffle=True, max_iter=max_iter, tol=0.0, n_threads=1,
                       checkpoint=checkpoint)

def after(n, function):
    "Call a function n times, then another one."
    calls = []
    def counted(*args, **kwargs):
        calls.append(None)
        return function(*args, **kwargs) if len(calls) <= n else die()
    return counted

def half_written(n):
    save = np.savez
    calls = []
    def savez(file, **kwargs):
        calls.append(None)
        save(file, **kwargs)
        file.flush()
        if len(calls) > n:
            file.truncate(700)
            die()
    return savez

def at_moment(moment, n):
    if moment == "half written":
        np.savez = half_written(n)
    elif moment == "before it is opened":
        np.savez = after(n, np.savez)
    elif moment == "before it is safe":
        os.fsync = after(n, os.fsync)
    elif moment == "before it is in place":
        Path.replace = after(n, Path.replace)
    elif moment == "just in place":
        replace = Path.replace
        calls = []
        def replace_and_die(self, target):
            replace(self, target)
            calls.append(None)
            if len(calls) > n:
                die()
        Path.replace = replace_and_die
    fit()

def in_child(function, *arguments, wait=None):
    child = os.fork()
    if child == 0:
        try:
            function(*arguments)
        finally:
            os._exit(0)
    if wait is not None:
        time.sleep(wait)
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
    whole = "none"
    if path.exists():
        with np.load(path) as file:
            whole = str(sum(file[name].size > 0 for name in file.files) > 3)
    print(killed, whole, len(list(Path(folder).glob(".state*"))), sep="\\t", flush=True)

for argument in sys.argv[3:]:
    if argument.replace(".", "").isdigit():
        in_child(fit, wait=float(argument))
    else:
        for n in (0, 3):
            in_child(at_moment, argument, n)
"""
MOMENTS = ["half written", "before it is opened", "before it is safe", "before it is in place", "just in place"]
posix = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")


def killed(folder, kind, *moments):
    np.save(folder / "X.npy", X)
    command = [sys.executable, "-c", KILLED, str(folder), kind, *map(str, moments)]
    run = subprocess.run(command, capture_output=True, text=True, check=True, timeout=50)
    return [line.split("\t") for line in run.stdout.splitlines()]


def ends_alike(folder, kind):
    A = {"memory": X, "csr": sp.csr_array(X), "blocks": in_blocks(X)}[kind]
    options = {"init": "random", "random_state": 0, "shuffle": True, "max_iter": 300}
    same_bits(fit(A, checkpoint=Checkpoint(folder / "state", iterations=50), **options), fit(A, **options))
    assert names(folder) == ["X.npy", "state"], "what a killed process has left should be gone"


@posix
def test_killed_while_writing(tmp_path):
    told = killed(tmp_path, "memory", *MOMENTS)
    assert len(told) == 2 * len(MOMENTS)
    assert all(was_killed == "True" for was_killed, _, _ in told)
    assert all(whole == "True" for _, whole, _ in told[1:])
    assert any(drafts != "0" for _, _, drafts in told), "no draft was left, so none was being written"
    ends_alike(tmp_path, "memory")


@posix
@pytest.mark.slow
@pytest.mark.parametrize("kind", ["memory", "csr", "blocks"])
def test_killed_at_any_moment(kind, tmp_path):
    waits = np.random.default_rng(len(kind)).uniform(0.01, 0.12, 12).round(3)
    told = killed(tmp_path, kind, *waits)
    assert len(told) == len(waits)
    assert sum(was_killed == "True" for was_killed, _, _ in told) >= 3
    assert all(whole in ("True", "none") for _, whole, _ in told)
    assert any(whole == "True" for _, whole, _ in told)
    ends_alike(tmp_path, kind)


# --- another problem

Y = X.copy()
Y[3, 4] += 0.5
OTHER = {
    "shape": ({"A": X[:-1], "W": W0[:-1]}, "shape of X"),
    "features": ({"A": X[:, 1:], "H": H0[:, 1:]}, "shape of X"),
    "one entry": ({"A": Y}, "X"),
    "scaled": ({"A": 2 * X}, "X"),
    "rows in another order": ({"A": X[::-1].copy()}, "X"),
    "columns in another order": ({"A": X[:, ::-1].copy()}, "X"),
    "dtype": ({"A": X.astype(np.float32), "W": W0.astype("f"), "H": H0.astype("f")}, "dtype"),
    "k": ({"k": 2}, "n_components"),
    "loss": ({"loss": "kullback-leibler", "solver": "mu"}, "loss"),
    "number as loss": ({"loss": 1.5, "solver": "mu"}, "loss"),
    "solver": ({"solver": "hals"}, "solver"),
    "options of a solver": ({"solver": SOLVERS["sgd"]}, "solver"),
    "penalty": ({"alpha_W": 0.1}, "alpha_W"),
    "penalty of H": ({"alpha_H": 0.1}, "alpha_H"),
    "seed": ({"random_state": 1}, "random_state"),
    "init": ({"init": "random"}, "init"),
    "W": ({"W": W0 * 2}, "W"),
    "H": ({"H": H0 + 1}, "H"),
    "update_H": ({"update_H": [True, False, True]}, "update_H"),
    "shuffle": ({"shuffle": True}, "shuffle"),
    "weights": ({"weights": 1.0 + COUNTS}, "weight"),
    "biases": ({"biases": True, "solver": "hals", "init": "random"}, "solver|biases|init"),
    "acceleration": ({"acceleration": False}, "acceleration"),
}


@pytest.mark.filterwarnings("ignore:alpha_H=0.1 without alpha_W")
@pytest.mark.parametrize("name", OTHER)
def test_another_problem_is_refused(name, tmp_path):
    path = tmp_path / "state"
    fit(solver="mu", random_state=0, checkpoint=path)
    before = path.read_bytes()
    changes, word = OTHER[name]
    called = []
    with pytest.raises(ValueError, match=rf"is a checkpoint of another problem: .*\b({word})"):
        fit(**{"solver": "mu", "random_state": 0, "checkpoint": path, "callback": called.append} | changes)
    assert not called
    assert path.read_bytes() == before
    same_bits(fit(solver="mu", random_state=0, checkpoint=path), fit(solver="mu", random_state=0))


def another(value):
    """Another value of an option, and one of its kind."""
    if isinstance(value, str):
        return {"bold": "inverse"}[value]
    return not value if isinstance(value, bool) else value + 1 if isinstance(value, int) else value / 2


SOLVER_OPTIONS = [(name, option) for name, solver in SOLVERS.items() for option in solver.options]


@pytest.mark.parametrize(("name", "option"), SOLVER_OPTIONS)
def test_another_option_of_a_solver_is_refused(name, option, tmp_path):
    solver = SOLVERS[name]
    other = type(solver)(**{option: another(solver.options[option])})
    options = {"init": "random", "random_state": 0, "checkpoint": tmp_path / "state"}
    fit(solver=solver, **options)
    with pytest.raises(ValueError, match=rf"another problem: options of the solver is .*'{option}'"):
        fit(solver=other, **options)
    assert fit(solver=type(solver)(), **options).n_iter


def test_the_options_of_a_solver_are_the_parameters_of_its_constructor():
    assert {name for name, _ in SOLVER_OPTIONS} == {
        "greedy", "nesterov", "pg", "admm", "sgd", "sequential", "randomized"
    }  # fmt: skip
    for solver in SOLVERS.values():
        assert solver.options == solver.default_options
        assert type(solver)(**solver.options).options == solver.options


@pytest.mark.parametrize("name", ["hals", "greedy", "sequential", "sgd"])
def test_earlier_files_go_on(name, tmp_path):
    """They did not name all options of a solver: none of "greedy", nor `refine` of "sequential"."""
    path = shutil.copy(GOLDEN / f"{name}.npz", tmp_path)
    A = np.arange(30.0).reshape(6, 5) % 7
    options = {"solver": name, "init": "random", "random_state": 0, "tol": 0.0, "max_iter": 3}
    seen = []
    result = factorize(A, 2, checkpoint=path, callback=lambda state: seen.append(state.iteration), **options)
    assert seen in ([result.n_iter], []), "it has begun anew"
    np.testing.assert_allclose(result.W, factorize(A, 2, **options).W, rtol=1e-6, atol=1e-9)
    for option, value in SOLVERS[name].options.items():
        other = type(SOLVERS[name])(**{option: another(value)})
        with pytest.raises(ValueError, match="options of the solver"):
            factorize(A, 2, checkpoint=path, **options | {"solver": other})


def test_integer_data_in_another_order_are_refused(tmp_path):
    """Their sums are exactly the same."""
    fit(COUNTS, checkpoint=tmp_path / "state")
    for other in (COUNTS[::-1].copy(), sp.csr_array(COUNTS[:, ::-1]), np.asfortranarray(COUNTS[::-1])):
        with pytest.raises(ValueError, match="checkpoint of another problem"):
            fit(other, checkpoint=tmp_path / "state")
    blocks = in_blocks(COUNTS)
    fit(blocks, checkpoint=tmp_path / "blocks")
    with pytest.raises(ValueError, match="checkpoint of another problem"):
        fit(in_blocks(COUNTS[::-1].copy()), checkpoint=tmp_path / "blocks")


def test_other_weights_or_holes_are_refused(tmp_path):
    fit(weights=1.0 + COUNTS, checkpoint=tmp_path / "weights")
    with pytest.raises(ValueError, match="checkpoint of another problem"):
        fit(weights=1.0 + COUNTS[::-1], checkpoint=tmp_path / "weights")
    fit(HOLES, missing="nan", checkpoint=tmp_path / "holes")
    with pytest.raises(ValueError, match="checkpoint of another problem"):
        fit(np.where(np.isnan(HOLES[::-1]), np.nan, X), missing="nan", checkpoint=tmp_path / "holes")


# --- files that are no checkpoints


def refused(path, **options):
    before = path.read_bytes()
    with pytest.raises(ValueError, match=re.escape(str(path)) + " is not a checkpoint of nmf_core, or a damaged one"):
        fit(checkpoint=path, **options)
    assert path.read_bytes() == before


def test_foreign_files_are_refused(tmp_path):
    path = tmp_path / "state"
    result = fit(max_iter=2)
    writers = {
        "empty": lambda: path.write_bytes(b""),
        "text": lambda: path.write_text("a,b\n1,2\n"),
        "zeros": lambda: path.write_bytes(bytes(10_000)),
        "noise": lambda: path.write_bytes(np.random.default_rng(0).bytes(5000)),
        "beginning of an archive": lambda: path.write_bytes(b"PK\x03\x04" + bytes(500)),
        "pickle": lambda: path.write_bytes(pickle.dumps({"format": 1})),
        "npy": lambda: np.save(path.open("wb"), W0),
        "npy of objects": lambda: np.save(path.open("wb"), np.array([{}, None]), allow_pickle=True),
        "npz": lambda: np.savez(path.open("wb"), W=W0, H=H0),
        "npz with a header": lambda: np.savez(path.open("wb"), header=W0),
        "npz with a list as header": lambda: np.savez(path.open("wb"), header=np.array("[1, 2]")),
        "npz with other text": lambda: np.savez(path.open("wb"), header=np.array("{")),
        "result": lambda: result.save(path) if hasattr(result, "save") else path.write_bytes(b"x"),
    }
    for name, write in writers.items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            write()
        written = next((p for p in tmp_path.iterdir()), None)
        assert written is not None, name
        refused(written)
        written.unlink()
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("header.npy", b"no array")
    refused(path)


def test_damaged_files_are_refused(tmp_path):
    path = tmp_path / "state"
    fit(max_iter=5, checkpoint=path)
    whole = path.read_bytes()
    for length in (1, 3, 30, 100, len(whole) // 2, len(whole) - 100, len(whole) - 1):
        path.write_bytes(whole[:length])
        refused(path)
    expected = fit(max_iter=8)
    n_refused = 0
    positions = np.random.default_rng(0).integers(0, len(whole), 60).tolist()
    # and in the directory of the archive, which is its end
    positions += list(range(len(whole) - 160, len(whole), 4)) + list(range(40))
    for position in positions:
        damaged = bytearray(whole)
        damaged[position] ^= 0x55
        path.write_bytes(damaged)
        try:
            result = fit(max_iter=8, checkpoint=path)
        except ValueError as error:
            assert "checkpoint" in str(error)  # noqa: PT017
            n_refused += 1
        else:
            same_bits(result, expected)  # nothing that matters was hit
    assert n_refused > 60


# --- the file


def test_places_that_cannot_be_written(tmp_path):
    called = []
    (tmp_path / "folder").mkdir()
    for path, kind in ((tmp_path / "folder", IsADirectoryError), (tmp_path / "nowhere/state", FileNotFoundError)):
        with pytest.raises(kind, match=path.parent.name):
            fit(checkpoint=path, callback=called.append)
    assert not called
    assert names(tmp_path) == ["folder"]


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere")
def test_folder_that_is_read_only(tmp_path):
    called = []
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(PermissionError):
            fit(checkpoint=tmp_path / "state", callback=called.append)
    finally:
        tmp_path.chmod(0o700)
    assert not called


def test_folder_that_says_it_is_read_only(tmp_path, monkeypatch):
    called = []
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(PermissionError, match=tmp_path.name):
        fit(checkpoint=tmp_path / "state", callback=called.append)
    assert not called


def writings(path, **options):
    """The iterations after which there is a new file."""
    found, last = [], None

    def look(state):
        nonlocal last
        now = path.stat() if path.exists() else None
        now = None if now is None else (now.st_ino, now.st_mtime_ns)
        if now != last:
            found.append(state.iteration)
        last = now

    fit(callback=look, **options)
    end = path.stat()
    if (end.st_ino, end.st_mtime_ns) != last:
        found.append("end")
    return found


@pytest.mark.parametrize(
    ("often", "expected"),
    [
        ({"iterations": 1}, list(range(1, 21))),
        ({"iterations": 6}, [6, 12, 18, "end"]),
        ({"iterations": 10}, [10, 20]),
        ({"iterations": 100}, ["end"]),
        ({"seconds": 0}, list(range(1, 21))),
        ({"seconds": 1e6}, ["end"]),
        ({}, ["end"]),
        ({"iterations": 8, "seconds": 0}, list(range(1, 21))),
        ({"iterations": 8, "seconds": 1e6}, [8, 16, "end"]),
    ],
)
def test_how_often_it_is_written(often, expected, tmp_path):
    path = tmp_path / "state"
    assert writings(path, checkpoint=Checkpoint(path, **often)) == expected


@pytest.mark.parametrize(
    ("often", "expected"),
    [({}, [7, 13, 19, "end"]), ({"seconds": 25}, [4, 7, 10, 13, 16, 19, "end"])],
)
def test_seconds(often, expected, tmp_path, monkeypatch):
    now = [0.0]
    monkeypatch.setattr("nmf_core.solvers.checkpoint.time", SimpleNamespace(perf_counter=lambda: now[0]))
    path = tmp_path / "state"
    found, last = [], None

    def look(state):
        nonlocal last
        if path.exists() and path.stat().st_ino != last:
            found.append(state.iteration)
            last = path.stat().st_ino
        now[0] += 10

    fit(checkpoint=Checkpoint(path, **often), callback=look)
    if path.stat().st_ino != last:
        found.append("end")
    assert found == expected


@pytest.mark.parametrize("kind", [str, lambda path: path, Checkpoint])
def test_what_a_checkpoint_may_be(kind, tmp_path):
    path = tmp_path / "state"
    fit(checkpoint=kind(path), max_iter=5)
    assert path.exists()
    same_bits(fit(checkpoint=kind(path)), fit())


@pytest.mark.parametrize("wrong", [3, 2.5, ["a"], object()])
def test_what_a_checkpoint_may_not_be(wrong):
    with pytest.raises(TypeError):
        fit(checkpoint=wrong)


@pytest.mark.parametrize(
    ("often", "kind"),
    [
        ({"iterations": 0}, ValueError),
        ({"iterations": -1}, ValueError),
        ({"iterations": 1.5}, TypeError),
        ({"seconds": -1}, ValueError),
        ({"seconds": "1"}, TypeError),
        ({"seconds": float("nan")}, ValueError),
    ],
)
def test_wrong_frequencies(often, kind, tmp_path):
    with pytest.raises(kind, match=next(iter(often))):
        Checkpoint(tmp_path / "state", **often)


@pytest.mark.parametrize("name", ["state", "state.npz", "run [1]*.npz", "Zustand é ."])
def test_stale_drafts_are_removed(name, tmp_path):
    path = tmp_path / name
    fit(checkpoint=path, max_iter=3)
    stale = tmp_path / f".{name}.99999999.tmp"
    stale.write_bytes(b"half of a")
    other = tmp_path / f".other {name}.99999999.tmp"
    other.write_bytes(b"somebody else's")
    fit(checkpoint=path)
    assert names(tmp_path) == sorted([name, other.name])


@posix
def test_symbolic_link_stays_one(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "state").symlink_to(tmp_path / "elsewhere/real")
    stale = tmp_path / "elsewhere/.real.99999999.tmp"
    stale.write_bytes(b"half of a")
    fit(checkpoint=tmp_path / "state")
    assert (tmp_path / "state").is_symlink()
    assert names(tmp_path / "elsewhere") == ["real"]


def test_disk_that_is_full(tmp_path, monkeypatch):
    """The error comes through, the last state stays, and no draft."""
    path = Checkpoint(tmp_path / "state", iterations=4)
    save = np.savez
    calls = []

    def full(file, **arrays):
        calls.append(None)
        if len(calls) == 3:
            file.write(b"PK")
            raise OSError(28, "No space left on device")
        save(file, **arrays)

    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(OSError, match="No space left"):
        fit(checkpoint=path)
    assert names(tmp_path) == ["state"]
    same_bits(fit(checkpoint=path), fit())


@pytest.mark.parametrize("A", [X, in_blocks(X)], ids=["memory", "blocks"])
def test_checkpoint_changes_nothing(A, tmp_path):
    for loss in ("frobenius", "kullback-leibler"):
        same_bits(fit(A, loss=loss, checkpoint=Checkpoint(tmp_path / loss, iterations=1)), fit(A, loss=loss))
