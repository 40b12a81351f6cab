"""One component after the other."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from nmf_core.data import Complete, Container
from nmf_core.problem import padded
from nmf_core.solvers.fit import Fit, Side, gram
from nmf_core.solvers.quadratic import QuadraticFit, QuadraticSolver
from nmf_core.stopping import Rule, SmallDecrease, SmallViolation
from nmf_core.validation import check_flag, check_integer, check_number


class SequentialFit(QuadraticFit):
    """An iteration builds the next component; once all are there, it improves them together.

    Attributes
    ----------
    built : int
        Components that are there.
    inner : float
        <X, W @ H> of these.
    """

    def __init__(self, *arguments: Any, tol: float, max_iter: int) -> None:
        super().__init__(*arguments)
        self.tol = tol
        self.max_iter = max_iter
        self.built = 0
        W, Ht = self.sides
        self.starts = Ht.F.copy()
        W.F[:] = 0
        Ht.F[:, Ht.order] = 0

    KEPT = (*QuadraticFit.KEPT, "inner", "built", "starts")

    def iterate(self) -> None:
        if self.built < self.k:
            self.build(self.built)
            self.built += 1
            self.grams = {side: gram(side.F, self.k, self.team) for side in self.sides}
            self.record(False)
            if self.built == self.k and self.data.transposed:
                self.take_statistics()
        else:
            super().iterate()

    def build(self, j: int) -> None:
        """Component j: the best of rank one for what the components before it leave, each half in turn."""
        W, Ht = self.sides
        w, h = np.zeros_like(W.F[:, j]), self.starts[:, j].copy()
        free = j in Ht.order
        if free:
            if not self.half(W, Ht, j, h).any():  # nothing is left there: the sum of what is left
                h = self.half(Ht, W, j, np.ones_like(w))
            # of any scale, because that of the start may depend on the number of components: the half in W follows
            h /= h.dtype.type(np.linalg.norm(h)) if h.any() else 1
        self.report[:] = 0
        for _ in range(self.max_iter):
            last = w
            w = self.half(W, Ht, j, h)
            if not free or not w.any():
                break
            before, h = h, self.half(Ht, W, j, w)
            self.report[0] = float(np.sum((h - before) ** 2, dtype=np.float64)) * float(w @ w)
            if np.linalg.norm(w - last) <= self.tol * np.linalg.norm(w) or not h.any():
                break
        W.F[:, j] = w if h.any() else 0
        Ht.F[:, j] = h
        self.inner += float(np.dot(self.product_with(W, h), W.F[:, j]))

    def half(self, side: Side, partner: Side, j: int, g: np.ndarray) -> np.ndarray:
        """Component j of one factor, given the other's (n,): what its minimiser with everything else fixed is."""
        if not g.any():
            return np.zeros(len(side.F), dtype=g.dtype)
        penalty, number = side.penalty, side.F.dtype.type
        cross = self.product_with(side, g) - side.F[:, :j] @ (partner.F[:, :j].T @ g) - number(penalty.l1)
        return np.maximum(0, cross / number(float(g @ g) + penalty.l2))

    def product_with(self, side: Side, g: np.ndarray) -> np.ndarray:
        """X @ g for W, X.T @ g for H."""
        G = padded(g[:, np.newaxis], g.dtype)
        if side is self.blocked:
            return self.data.product(G, self.team)[:, 0]
        return self.data.transposed_product(G, self.team)[:, 0]


class AllBuilt(Rule):
    """All components are there, and if they are then refined, a rule says that this is over."""

    reason = "tol"
    converged = True

    def __init__(self, refinement: Rule | None) -> None:
        self.refinement = refinement

    def done(self, state: Any) -> bool:
        if state.iteration < state.k or self.refinement is None:
            return state.built == state.k
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

    def __init__(self, refine: bool = False, tol: float = 1e-5, max_iter: int = 200) -> None:
        self.refine = check_flag(refine, "refine")
        self.tol = check_number(tol, "tol")
        self.max_iter = check_integer(max_iter, "max_iter", 1)

    def handles(self, beta: float, data: type[Container] = Complete) -> bool:
        return super().handles(beta, data) and data.local

    def kind(self, beta: float, data: type[Container]) -> Callable[..., Fit]:
        return partial(SequentialFit, tol=self.tol, max_iter=self.max_iter)

    def rules(self, tol: float, data: type[Container]) -> list[Rule]:
        return self.obey(SmallViolation(tol) | SmallDecrease(tol))

    def obey(self, stop: Rule) -> list[Rule]:
        return [AllBuilt(stop if self.refine else None)]
