"""What float32 costs: how an objective is rounded, and fits of large sparse float64 data that go through it."""

import numpy as np
import pytest
import scipy.sparse as sp

from nmf_core import factorize, initialize, kkt_residual
from nmf_core.data import sparse
from nmf_core.problem import Problem
from nmf_core.solvers.quadratic import QuadraticSolver
from nmf_core.solvers.state import ROUNDING, State
from nmf_core.stopping import MaxIter

K = 4
LARGE = sparse.LARGE
FORMS = {"csr": sp.csr_array, "csc": sp.csc_array}


@pytest.fixture(autouse=True)
def large(monkeypatch):
    monkeypatch.setattr(sparse, "LARGE", 1)


def data(dtype=np.float64, density=0.4):
    rng = np.random.default_rng(0)
    A = rng.gamma(1.0, size=(150, K)) @ rng.gamma(1.0, size=(K, 90)) + 2 * rng.random((150, 90))
    return (A * (rng.random(A.shape) < density)).astype(dtype)


def start():
    rng = np.random.default_rng(1)
    return {"W": rng.random((150, K)) + 0.1, "H": rng.random((K, 90)) + 0.1}


@pytest.fixture
def seen(monkeypatch):
    """The precision of every iteration."""
    noted, record = [], State.record

    def note(self, divergence):
        noted.append(self.S.dtype.name)
        record(self, divergence)

    monkeypatch.setattr(State, "record", note)
    return noted


def fit(X, **parameters):
    return factorize(X, K, **{"tol": 1e-9, "max_iter": 3000} | start() | parameters)


@pytest.mark.parametrize("make", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize(
    "options", [{}, {"alpha_W": 0.01, "l1_ratio": 0.5}, {"shuffle": True, "random_state": 0}], ids=str
)
def test_ends_in_double(make, options, seen, monkeypatch):
    A = data()
    result = fit(make(A), **options)
    first, last = seen.index("float32"), len(seen) - seen[::-1].index("float32")
    assert first == 1  # the first iteration shows whether the start is good already
    assert set(seen[first:last]) == {"float32"}
    assert set(seen[last:]) == {"float64"}
    assert result.W.dtype == result.H.dtype == np.float64
    assert result.converged
    if not options:
        assert kkt_residual(A, result.W, result.H) < 2e-9
        assert result.divergence == pytest.approx(np.sum((A - result.W @ result.H) ** 2) / 2, rel=1e-12)
    assert (np.diff(result.history.objective) <= 1e-14 * result.objective).all()
    monkeypatch.setattr(sparse, "LARGE", np.inf)
    assert result.objective == pytest.approx(fit(make(A), **options).objective, rel=1e-7)


@pytest.mark.parametrize("make", FORMS.values(), ids=FORMS)
def test_objectives_are_rounded_hardly_more_often_than_once(make):
    """Although some columns of the data have ten thousand entries, and 20,000 rows make up a Gram matrix."""
    rng = np.random.default_rng(0)
    n, m = 20_000, 1000
    words = 1 / np.arange(1, m + 1)
    columns = rng.choice(m, 20 * n, p=words / words.sum())
    A = sp.csr_array((np.ones(20 * n), (np.repeat(np.arange(n), 20), columns)), (n, m))
    A = (A / np.sqrt(A.multiply(A).sum(axis=1))[:, np.newaxis]).tocsr().astype(np.float32)
    exact, norm = A.astype(np.float64), A.astype(np.float64).power(2).sum()
    errors = []

    def note(state):
        W, H = state.W.astype(np.float64), state.H.astype(np.float64)
        model = np.sum((W.T @ W) * (H @ H.T))
        errors.append((state.objective - (norm + model) / 2 + np.sum((exact @ H.T) * W)) / model)

    factorize(make(A), 20, init="random", random_state=0, tol=0, max_iter=40, callback=note)
    assert np.abs(np.diff(errors)[10:]).max() < 3e-7


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("density", [0.4, 0.05])
@pytest.mark.parametrize("make", FORMS.values(), ids=FORMS)
def test_divergence_is_computed_again_only_where_digits_are_lost(make, dtype, density, monkeypatch):
    A = data(density=density)
    computed = []
    monkeypatch.setattr(Problem, "divergence", lambda *arguments: computed.append(True) or 0.0)
    quick = factorize(make(A.astype(dtype)), K, tol=0, max_iter=20, solver="hals", acceleration=False, **start())
    monkeypatch.undo()
    assert bool(computed) == (density > 0.1)
    if not computed:
        exact = np.sum(
            (A.astype(dtype).astype(np.float64) - quick.W.astype(np.float64) @ quick.H.astype(np.float64)) ** 2
        )
        assert quick.divergence == pytest.approx(exact / 2, rel=1e-7 if dtype == np.float32 else 1e-14)
        assert quick.history.objective[-1] == quick.objective == quick.divergence == quick.squared_error / 2


@pytest.mark.parametrize("solver", ["sgd", "randomized"])
def test_estimates_are_no_divergences(solver):
    A = data(density=0.05)
    result = factorize(A, K, tol=0, max_iter=3, solver=solver, **start())
    assert result.divergence == pytest.approx(np.sum((A - result.W @ result.H) ** 2) / 2, rel=1e-12)


def test_interrupted_in_an_iteration(monkeypatch):
    A = data(density=0.05)
    improve = QuadraticSolver.improve

    def interrupted(self, problem, s, one, *arguments, **options):
        report = improve(self, problem, s, one, *arguments, **options)
        if s.iteration == 5 and one is s.w:
            raise KeyboardInterrupt
        return report

    monkeypatch.setattr(QuadraticSolver, "improve", interrupted)
    result = fit(sp.csr_array(A))
    assert result.stop_reason == "interrupted"
    assert result.divergence == pytest.approx(np.sum((A - result.W @ result.H) ** 2) / 2, rel=1e-12)


def blind(A, result):
    """The violation whose step lowers the objective by what float32 rounds the model to."""
    return np.sqrt(2 * ROUNDING["float32"]) * np.linalg.norm(result.W @ result.H) / np.linalg.norm(A)


@pytest.mark.parametrize("density", [0.4, 0.05])
def test_double_from_where_a_step_is_lost_in_rounding(seen, density):
    A = data(density=density)
    result = fit(sp.csr_array(A))
    violations = result.history.violation[: 1 + seen.count("float32")]
    assert violations[:-1].min() > blind(A, result) * 0.99
    assert violations[-1] <= blind(A, result) * 1.01


def test_a_tolerance_that_is_met_before_must_hold_in_double(seen):
    A = data()
    tol = 2 * blind(A, fit(sp.csr_array(A)))
    seen.clear()
    result = fit(sp.csr_array(A), tol=tol)
    assert seen.count("float32") > 1
    assert seen[-1] == "float64"
    assert result.converged
    assert result.history.violation[-1] <= tol


@pytest.mark.parametrize("make", FORMS.values(), ids=FORMS)
def test_stopped_on_the_way(make):
    A = data()
    for result in (
        factorize(make(A), K, tol=0, max_iter=3, **start()),
        factorize(make(A), K, tol=0, callback=lambda state: state.iteration == 3, **start()),
        factorize(make(A), K, stop=MaxIter(3), **start()),
    ):
        assert result.n_iter == 3
        assert not result.converged
        assert result.W.dtype == result.H.dtype == np.float64
        exact = np.sum((A - result.W @ result.H) ** 2) / 2
        assert result.objective == result.history.objective[-1] == pytest.approx(exact, rel=1e-12)


@pytest.mark.parametrize("make", FORMS.values(), ids=FORMS)
def test_threads_do_not_matter(make):
    one, *others = (fit(make(data()), n_threads=n) for n in (1, 2, 3, 4))
    for other in others:
        np.testing.assert_array_equal(other.W, one.W)
        np.testing.assert_array_equal(other.H, one.H)


@pytest.mark.parametrize("make", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize("at", [1, 4, 1000])
def test_a_checkpoint_goes_on_in_the_same_precision(make, at, seen, tmp_path):
    X, path = make(data()), tmp_path / "state"
    whole = fit(X)
    expected = list(seen)
    seen.clear()
    fit(X, max_iter=at, checkpoint=path)
    result = fit(X, checkpoint=path)
    assert seen == expected
    np.testing.assert_array_equal(result.W, whole.W)
    np.testing.assert_array_equal(result.H, whole.H)


def test_a_good_start_is_not_rounded(seen):
    X = sp.csr_array(data())
    good = fit(X)
    seen.clear()
    again = fit(X, W=good.W, H=good.H)
    assert set(seen) == {"float64"}
    assert again.objective <= good.objective * (1 + 1e-14)


@pytest.mark.parametrize(
    "change",
    [
        lambda X, W, H: (X.astype(np.float32), W, H, {}),
        lambda X, W, H: (X.toarray(), W, H, {}),
        lambda X, W, H: (X * 1e12, W * 1e6, H * 1e6, {}),  # squares leave float32
        lambda X, W, H: (X, W, H, {"acceleration": False}),
        lambda X, W, H: (X, W, H, {"update_H": np.array([True, False, True, True])}),
        lambda X, W, H: (X, W, H, {"solver": "mu"}),
        lambda X, W, H: (X, W, H, {"solver": "randomized"}),
    ],
    ids=["float32", "dense", "large", "plain", "fixed", "mu", "randomized"],
)
def test_what_is_never_lowered(change, seen):
    X, W, H, options = change(sp.csr_array(data()), *start().values())
    factorize(X, K, W=W, H=H, tol=0, max_iter=5, **options)
    assert seen == 5 * [X.dtype.name]


def test_small_data_stay_as_they_are(seen, monkeypatch):
    monkeypatch.setattr(sparse, "LARGE", LARGE)
    fit(sp.csr_array(data()))
    assert set(seen) == {"float64"}


@pytest.mark.parametrize("make", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize("init", ["nndsvd", "nndsvda", "nndsvdar"])
def test_starts_have_the_accuracy_of_double(make, init, monkeypatch):
    """Of rank k, so that directions are found exactly."""
    rng = np.random.default_rng(2)
    block = rng.gamma(1.0, size=(40, 1)) @ rng.gamma(1.0, size=(1, 25))
    A = np.kron(np.diag([1.0, 2.0, 3.0, 5.0]), block)
    lowered = initialize(make(A), K, init, random_state=0)
    monkeypatch.setattr(sparse, "LARGE", np.inf)
    for actual, expected in zip(lowered, initialize(make(A), K, init, random_state=0), strict=True):
        assert actual.dtype == np.float64
        np.testing.assert_allclose(actual, expected, rtol=1e-10, atol=1e-12)
