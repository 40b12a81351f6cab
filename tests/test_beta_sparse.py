"""Accelerated fits of sparse data: between 1 and 2 stored entries are looked at more often than the model."""

import numpy as np
import pytest
import scipy.sparse as sp
from divergences import divergence
from problems import start

from nmf_core import Checkpoint, factorize
from nmf_core.data import Layout, RowBlocks, as_container
from nmf_core.losses import Beta
from nmf_core.problem import Problem
from nmf_core.solvers import gradients
from nmf_core.solvers.gradients import BOLD, SPARSE, GradientSolver, schedule_for

K = 5
BETAS = [1.2, 1.5, 1.8]
PENALTIES = [{}, pytest.param({"alpha_W": 1e-4, "alpha_H": 2e-4, "l1_ratio": 0.5}, marks=pytest.mark.slow)]


def counts(n=500, m=300, mean=0.04, seed=0):
    """Counts of low rank, most of them zero."""
    rng = np.random.default_rng(seed)
    model = rng.gamma(0.3, size=(n, K)) @ rng.gamma(0.3, size=(K, m))
    return rng.poisson(model * (mean / model.mean())).astype(np.float64)


X = counts()
W0, H0 = start(X, K)


def fit(A, beta=1.5, **options):
    given = {"W": W0.astype(A.dtype), "H": H0.astype(A.dtype)}
    return factorize(A, K, **{"loss": beta, "max_iter": 40, "tol": 0.0} | given | options)


def failing(monkeypatch):
    """Updates so long that they fail now and then; returns whether each iteration was careful."""
    update, seen = GradientSolver.update, []

    def too_long(self, problem, s, *arguments, **options):
        made = update(self, problem, s, *arguments, **options)
        if s.damped or not made.inner_updates:
            return made
        return made._replace(den_power=0.0, exponent=1 / (2 - problem.loss.beta))

    monkeypatch.setattr(GradientSolver, "update", too_long)
    return seen, lambda state: seen.append(state.damped)


@pytest.mark.parametrize(
    ("A", "beta", "turns"),
    [
        (sp.csr_array(X), 1.5, 3),
        (sp.csr_array(counts(mean=0.065)), 1.5, 2),
        (sp.csr_array(counts(mean=0.4)), 1.5, 0),  # so many entries cost as much as the model
        (sp.csr_array(X), 1.0, 0),  # whose denominators cost nothing
        (sp.csr_array(X), 0.5, 0),
        (sp.csr_array(X), 2.5, 0),
        (sp.csr_array(X[:60]), 1.5, 0),  # small
        (X, 1.5, 0),
        (sp.csr_array(X.shape), 1.5, 3),
    ],
)
def test_what_pays(A, beta, turns):
    assert schedule_for(Beta(beta), as_container(A, layout=Layout(row_major=True))).inner_updates == turns


@pytest.mark.parametrize("penalty", PENALTIES, ids=["", "penalty"])
@pytest.mark.parametrize("beta", BETAS)
def test_fewer_iterations_to_the_same_objective(beta, penalty, monkeypatch):
    """And no worse an end than extrapolated updates alone have."""
    A = sp.csr_array(X)
    quick = fit(A, beta, max_iter=200, **penalty).history.objective
    monkeypatch.setattr(gradients, "SPARSE", SPARSE._replace(inner_updates=0))
    slow = fit(A, beta, max_iter=200, **penalty).history.objective
    for n in (30, 60, 120):
        assert quick[4 * n // 5] <= slow[n]
    assert quick[-1] <= slow[-1]


@pytest.mark.parametrize("penalty", PENALTIES, ids=["", "penalty"])
@pytest.mark.parametrize(
    "beta", [pytest.param(0.2, marks=pytest.mark.slow), 0.5, pytest.param(0.8, marks=pytest.mark.slow)]
)
def test_below_1_acceleration_sets_in_sooner_than_on_dense_data(beta, penalty, monkeypatch):
    A = sp.csr_array(X)
    quick = fit(A, beta, max_iter=300, **penalty).history.objective
    monkeypatch.setattr(gradients, "SPARSE_BOLD", BOLD)
    slow = fit(A, beta, max_iter=300, **penalty).history.objective
    for n in (60, 80, 100):
        assert quick[4 * n // 5] <= slow[n]
    assert quick[-1] <= 1.001 * slow[-1]
    assert (np.diff(quick) <= 1e-12 * quick[0]).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("beta", BETAS)
def test_divergence(beta, dtype):
    """Never rises, and is what the formula says."""
    result = fit(sp.csr_array(X.astype(dtype)), beta)
    assert (np.diff(result.history.objective) <= 1e-7 * result.history.objective[0]).all()
    assert result.divergence == pytest.approx(divergence(X, result.W, result.H, beta), rel=1e-6)


def test_what_fails_is_taken_back(monkeypatch):
    expected = fit(sp.csr_array(X), max_iter=100).objective
    seen, callback = failing(monkeypatch)
    result = fit(sp.csr_array(X), max_iter=100, callback=callback)
    assert 2 <= sum(seen) < 50
    assert not any(np.array(seen[:-1]) & np.array(seen[1:]))
    assert (np.diff(result.history.objective) <= 0).all()
    assert result.objective == pytest.approx(expected, rel=0.01)


class Stop(Exception):
    """What stops a fit from outside."""


def test_a_stopped_fit_goes_on(tmp_path, monkeypatch):
    seen, callback = failing(monkeypatch)
    A, path = sp.csr_array(X), tmp_path / "state"
    expected = fit(A, callback=callback)
    careful = int(np.argmax(seen)) + 1

    def stop(state):
        if state.iteration == careful:
            raise Stop

    with pytest.raises(Stop):
        fit(A, callback=stop, checkpoint=Checkpoint(path, iterations=1))
    result = fit(A, checkpoint=Checkpoint(path, iterations=1))
    np.testing.assert_array_equal(result.W, expected.W)
    np.testing.assert_array_equal(result.history.objective, expected.history.objective)


def with_long_indices(A):
    A = sp.csr_array(A)
    A.indices, A.indptr = A.indices.astype(np.int64), A.indptr.astype(np.int64)
    return A


def in_blocks(A):
    return RowBlocks([sp.csr_array(A[:130]), sp.csr_array(A[130:])], A.shape, A.dtype)


@pytest.mark.parametrize("form", [sp.csc_array, sp.coo_array, with_long_indices, in_blocks])
def test_whatever_holds_the_data(form):
    expected, result = fit(sp.csr_array(X)), fit(form(X))
    np.testing.assert_allclose(result.W, expected.W, rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(result.H, expected.H, rtol=1e-7, atol=1e-9)


def test_any_number_of_threads():
    first, *others = (fit(sp.csr_array(X), n_threads=n) for n in (1, 2, 3, 4))
    for other in others:
        np.testing.assert_array_equal(other.W, first.W)
        np.testing.assert_array_equal(other.H, first.H)


def test_components_that_are_held_fixed():
    result = fit(sp.csr_array(X), update_H=np.arange(K) % 2 == 0)
    np.testing.assert_array_equal(result.H[1::2], H0[1::2])
    assert not np.array_equal(result.H[::2], H0[::2])


def test_multiplicative_updates_are_those_of_scikit_learn():
    """Without acceleration, whatever they cost."""
    plain = fit(sp.csr_array(X), solver="mu", max_iter=20)
    slow = fit(X, solver="mu", max_iter=20)
    np.testing.assert_allclose(plain.W, slow.W, rtol=1e-9, atol=1e-12)
    np.testing.assert_array_equal(fit(sp.csr_array(X), solver="mue", acceleration=False, max_iter=20).W, plain.W)


@pytest.mark.parametrize(("beta", "dtype", "times"), [(1.5, np.float32, 0), (1.2, np.float64, 0), (1.2, np.float32, 1)])
def test_a_divergence_with_all_digits_is_not_computed_again(beta, dtype, times, monkeypatch):
    compute, calls = Problem.divergence, []
    monkeypatch.setattr(Problem, "divergence", lambda *arguments: calls.append(1) or compute(*arguments))
    A = sp.csr_array(X.astype(dtype))
    result = fit(A, beta)
    assert len(calls) == times
    assert result.divergence == pytest.approx(divergence(A, result.W, result.H, beta), rel=2e-7)
