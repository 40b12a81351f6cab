"""Solvers on two engines: the compiled kernels, and their slow twins in NumPy. A third needs nothing from a solver."""

import numpy as np
import pytest
import reference
import scipy.sparse as sp
from problems import noisy, start

from nmf_core import _core
from nmf_core.data import FullMatrix, Layout, ObservedMatrix, as_container
from nmf_core.engine import Engine, padded
from nmf_core.factors import Factor
from nmf_core.losses import make_loss
from nmf_core.problem import Problem
from nmf_core.solvers import SOLVERS, accelerated, solve
from nmf_core.start import state_at
from nmf_core.stopping import MaxIter


class Twins:
    """The functions of `reference`, which have no workspace, called as those of `_core` are."""

    METHODS, PIVOT_RULES = _core.METHODS, _core.PIVOT_RULES

    def __getattr__(self, name):
        return lambda *arguments: getattr(reference, name)(*arguments[:-1])


K = 3
X = noisy(15, 11, K) + 0.01
W0, H0 = start(X, K)
FORMS = {
    "rows": (np.ascontiguousarray, {}),
    "columns": (np.asfortranarray, {}),
    "csr": (sp.csr_array, {}),
    "csc": (sp.csc_array, {}),
    "missing": (lambda A: np.where(np.arange(A.size).reshape(A.shape) % 5, A, np.nan), {"missing": "nan"}),
}
LOSSES = {"frobenius": 2, "kullback-leibler": 1, "itakura-saito": 0, 1.5: 1.5}
PAIRS = [(loss, name) for loss in LOSSES for name, solver in SOLVERS.items() if solver.handles(make_loss(loss))]


def fit(engine, loss, solver, form, acceleration, factors=()):
    make, options = FORMS[form]
    loss, solver = make_loss(loss), SOLVERS[solver]
    data = as_container(make(X), layout=Layout(row_major=solver.row_major(loss)), engine=engine, **options)
    problem = Problem(data, loss, K, *factors)
    stepper = accelerated(solver.suited(loss, type(data)), data, acceleration)
    state = state_at(problem, stepper, padded(W0, data.dtype), padded(H0.T, data.dtype))
    return solve(problem, stepper, state, [MaxIter(12)])


@pytest.mark.parametrize("acceleration", [True, False])
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("loss", "solver"), PAIRS)
def test_solvers_take_the_same_course(loss, solver, form, acceleration):
    if not SOLVERS[solver].handles(make_loss(loss), ObservedMatrix if form == "missing" else FullMatrix):
        pytest.skip("refused by `factorize`")
    ours, twins = (fit(e, loss, solver, form, acceleration) for e in (Engine(2), Engine(1, kernels=Twins())))
    if solver == "pg":  # whose search takes powers of ten: rounding decides now and then
        np.testing.assert_allclose(ours.objectives, twins.objectives, rtol=0.01)
        return
    np.testing.assert_allclose(ours.objectives, twins.objectives, rtol=1e-8)
    np.testing.assert_allclose(ours.violations, twins.violations, rtol=1e-5, atol=1e-9)
    np.testing.assert_allclose(ours.W @ ours.H, twins.W @ twins.H, rtol=1e-6)


@pytest.mark.parametrize("form", ["rows", "columns", "csr", "csc"])
def test_penalties_and_masks_mean_the_same(form):
    factors = Factor(l1=0.1, l2=0.2), Factor(l2=0.3, free=np.array([True, False, True]))
    ours, twins = (fit(e, "frobenius", "hals", form, True, factors) for e in (Engine(2), Engine(1, kernels=Twins())))
    np.testing.assert_allclose(ours.objectives, twins.objectives, rtol=1e-10)
    np.testing.assert_array_equal(ours.H[1], H0[1])
