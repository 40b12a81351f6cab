"""One component after the other."""

from typing import Any

import numpy as np

from nmf_core.data import FullMatrix, Matrix
from nmf_core.engine import padded
from nmf_core.losses import Loss
from nmf_core.problem import Problem
from nmf_core.solvers.quadratic import QuadraticSolver
from nmf_core.solvers.state import FactorState, State
from nmf_core.stopping import Rule, SmallDecrease, SmallViolation
from nmf_core.validation import check_flag, check_integer, check_number


class AllBuilt(Rule):
    """All components are there, and if they are then refined, a rule says that this is over."""

    reason = "tol"
    converged = True

    def __init__(self, refinement: Rule | None) -> None:
        self.refinement = refinement

    def done(self, state: Any) -> bool:
        if state.iteration < state.k or self.refinement is None:
            return state.extra["built"] == state.k
        over = self.refinement.done(state)
        self.reason = self.refinement.reason
        return state.iteration > state.k and over


class Sequential(QuadraticSolver):
    """Components are built one after the other, each as the best of rank one for what those before it leave.

    So the components of a fit are nested: those of a fit with fewer are the first of them, as long as the starts are,
    which holds for "spa", the default here, and for "random" with a seed. The objective never rises. The sum is worse
    than what is found for all at once, unless it is refined; then it is no longer nested. An iteration builds one
    component, so there must be as many.

    Parameters
    ----------
    refine : bool
        Whether all components are improved together in the end.
    tol : float
        A component is there when its half in W changes by no more than this share of its length.
    max_iter : int
        Rounds for one component at most.

    References
    ----------
    M. Biggs, A. Ghodsi and S. Vavasis (2008), "Nonnegative matrix factorization via rank-one downdate",
    doi:10.1145/1390156.1390165, for the idea; here the halves of a component follow each other with those before it
    fixed, and nothing is cut out of X.
    """

    name = "sequential"
    init = "spa"
    ordered = True
    fields = (*QuadraticSolver.fields, "inner", "built", "starts")

    def __init__(self, refine: bool = False, tol: float = 1e-5, max_iter: int = 200) -> None:
        self.refine = check_flag(refine, "refine")
        self.tol = check_number(tol, "tol")
        self.max_iter = check_integer(max_iter, "max_iter", 1)

    def handles(self, loss: Loss, data: type[Matrix] = FullMatrix) -> bool:
        return super().handles(loss, data) and data.local

    def rules(self, tol: float, data: type[Matrix]) -> list[Rule]:
        return self.obey(SmallViolation(tol) | SmallDecrease(tol))

    def obey(self, stop: Rule) -> list[Rule]:
        return [AllBuilt(stop if self.refine else None)]

    def start(self, problem: Problem, w: FactorState, h: FactorState, began: float) -> State:
        s = super().start(problem, w, h, began)
        s.extra |= {"built": 0, "starts": h.F.copy()}
        w.F[:] = 0
        h.F[:, h.order] = 0
        return s

    def step(self, problem: Problem, s: State) -> None:
        """Build the next component; once all are there, improve them together."""
        built = s.extra["built"]
        if built == s.k:
            if problem.data.transposed and s.iteration == s.k:
                self.take_statistics(problem, s)
            super().step(problem, s)
            return
        self._build(problem, s, built)
        s.extra["built"] = built + 1
        for one in s.factors:
            one.gram = problem.data.engine.gram(one.F, s.k)
        s.record(self.measure(problem, s))

    def _build(self, problem: Problem, s: State, j: int) -> None:
        """Component j: the best of rank one for what the components before it leave, each half in turn."""
        w, h, length = np.zeros_like(s.w.F[:, j]), s.extra["starts"][:, j].copy(), 0.0
        free = j in s.h.order
        if free:
            if not self._half(problem, s, s.w, j, h).any():  # nothing is left there: the sum of what is left
                h = self._half(problem, s, s.h, j, np.ones_like(w))
            # of any scale, because that of the start may depend on the number of components: the half in W follows
            h /= h.dtype.type(np.linalg.norm(h)) if h.any() else 1
        for _ in range(self.max_iter):
            last = w
            w = self._half(problem, s, s.w, j, h)
            if not free or not w.any():
                break
            before, h = h, self._half(problem, s, s.h, j, w)
            length = float(np.sum((h - before) ** 2, dtype=np.float64)) * float(w @ w)
            if np.linalg.norm(w - last) <= self.tol * np.linalg.norm(w) or not h.any():
                break
        s.squared_step = length
        s.w.F[:, j] = w if h.any() else 0
        s.h.F[:, j] = h
        s.inner += float(np.dot(self._product(problem, s, s.w, h), s.w.F[:, j]))

    def _half(self, problem: Problem, s: State, one: FactorState, j: int, g: np.ndarray) -> np.ndarray:
        """Component j of one factor, given the other's (n,): what its minimiser with everything else fixed is."""
        if not g.any():
            return np.zeros(len(one.F), dtype=g.dtype)
        partner, factor, number = s.partner(one), one.factor, one.F.dtype.type
        cross = self._product(problem, s, one, g) - one.F[:, :j] @ (partner.F[:, :j].T @ g) - number(factor.l1)
        return np.maximum(0, cross / number(float(g @ g) + factor.l2))

    def _product(self, problem: Problem, s: State, one: FactorState, g: np.ndarray) -> np.ndarray:
        """X @ g for W, X.T @ g for H."""
        G, data = padded(g[:, np.newaxis], g.dtype), problem.data
        return (data.product if one is s.blocked else data.transposed_product)(G)[:, 0]
