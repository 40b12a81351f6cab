"""Quadratic losses: Gram matrices and products with X say all."""

from typing import Any, ClassVar

import numpy as np

from nmf_core.data import FullMatrix, Matrix
from nmf_core.engine import Report, Update, factor_array
from nmf_core.losses import Loss
from nmf_core.problem import Problem
from nmf_core.solvers.base import MAX_SWEEPS, MOST_SWEEPS, SMALL, Method, Solver
from nmf_core.solvers.state import EARLY, SWEEP_TOL, FactorState, State, Turn


class QuadraticSolver(Solver):
    """A solver for the Frobenius loss of a complete X.

    A pass over X improves the blocked factor and adds up the statistics from which the other one is improved. Whichever
    it is, one Gram matrix and one product with X say all about a factor's subproblem; `method` is the step that its
    rows take. A method in NumPy is one function:

    >>> import numpy as np
    >>> from nmf_core.solvers import Method, QuadraticSolver
    >>> class ProjectedGradient(QuadraticSolver):
    ...     name = "projected-gradient"
    ...     method = Method(lambda F, cross, gram, order: F - (F @ gram - cross) / np.linalg.norm(gram, 2))
    >>> import nmf_core
    >>> X = np.array([[1.0, 2.0], [2.0, 4.0], [3.0, 6.0]])
    >>> nmf_core.factorize(X, 1, solver=ProjectedGradient()).converged
    True

    Of a state it uses `S`: ``A.T @ F`` of the blocked factor in the first rows, ``F.T @ F`` below, of H with
    acceleration also ``F_new.T @ F_new``; and `gram_array`, the same sums of F for the other factor.
    """

    method: Method = Method("hals")
    fields: ClassVar[tuple[str, ...]] = ("S", "model")

    def handles(self, loss: Loss, data: type[Matrix] = FullMatrix) -> bool:
        return loss.quadratic and issubclass(data, FullMatrix)

    def start(self, problem: Problem, w: FactorState, h: FactorState, began: float) -> State:
        s = super().start(problem, w, h, began)
        for one in s.factors:
            one.max_sweeps = min(self.method.sweeps, MOST_SWEEPS)
            if one.gram is None:
                one.gram = problem.data.engine.gram(one.F, s.k)
        s.S = factor_array(len(s.other.F) + s.k, s.k, problem.data.dtype)
        s.gram_array = factor_array(s.k, s.k, problem.data.dtype)
        return s

    def prepare(self, problem: Problem, s: State) -> None:
        if self.method.name == "mu":  # scikit-learn's rule looks at it
            s.initial = problem.objective(*s.current)
        if problem.data.transposed:
            self.take_statistics(problem, s)

    def make_room(self, problem: Problem, s: State) -> None:
        super().make_room(problem, s)
        n, m = problem.data.shape
        if s.blocked is s.h:
            s.S = factor_array(m + 2 * s.k, s.k, problem.data.dtype)
        else:
            s.gram_array = factor_array(2 * s.k, s.k, problem.data.dtype)
        # Small data count as dense, so that every way to store them gives the same iterates up to rounding.
        entries = n * m if n * m <= SMALL else problem.data.n_stored
        for one in s.factors:
            # A sweep costs rows k^2 multiplications, the products of a pass 2 entries k: together as much as these.
            worth = 2 * entries / (len(one.F) * s.k)
            one.max_sweeps = max(1, min(MAX_SWEEPS, round(worth)))
        # Where all sweeps are nearly free, as on dense data, they pay early and end where plain descent does; on text,
        # where they are not, descent must have found its way first.
        if min(one.max_sweeps for one in s.factors) == MAX_SWEEPS:
            s.warm_up = EARLY

    def update(self, s: State, one: FactorState, sizes: np.ndarray, turn: Turn) -> Update:
        """How a factor is improved, given the other one's Gram matrix and its diagonal in double, `sizes`."""
        fixed = s.partner(one).gram
        gram = one.factor.shift(fixed)
        matrix, rate = self.method.prepared(gram, one.order)
        return Update(
            one.F, one.order, one.rescale(sizes, turn.momentum), turn.previous, turn.momentum, one.factor.l1, 0.0,
            turn.max_sweeps, turn.tol, self.method.name, gram, matrix, rate, lower=one.lower, upper=one.upper,
            offset=None if one.factor.plain else one.factor.offset(one.F, s.k),
        )  # fmt: skip

    def improve(
        self, problem: Problem, s: State, one: FactorState, max_sweeps: int | None = None, tol: float = SWEEP_TOL
    ) -> Report:
        """Improve the blocked factor in a pass over X, the other one from the statistics of the blocked one."""
        partner = s.partner(one)
        sizes = partner.gram.diagonal().astype(np.float64)
        if one is s.h and self.balanced(problem, s, sizes, power=1):
            sizes = partner.gram.diagonal().astype(np.float64)
        turn = s.turn(one, max_sweeps, tol)
        update = self.update(s, one, sizes, turn)
        if one is s.blocked:
            s.S[:] = 0
            report = problem.data.pass_quadratic(turn.F, partner.F, update, turn.F_new, s.S)
            grams = s.S[len(partner.F) :]
        else:
            grams = s.gram_array
            grams[:] = 0
            report = problem.data.engine.improve_rows(turn.F, s.S[: len(one.F)], update, turn.F_new, grams)
        if turn.max_sweeps:
            s.inner = self.inner_product(s, one, report)
        one.gram = grams[: s.k, : s.k]
        if len(grams) > s.k:
            s.new_gram = grams[s.k :, : s.k]
        s.take(one, turn, report)
        return report

    def inner_product(self, s: State, one: FactorState, report: Report) -> float:
        """What a report says of <X, W @ H> after one factor has been improved: of extrapolated W and improved H."""
        if one is s.w:
            return report.inner_end
        # X @ H.T are sums over the short side of a tall X, rounded less than X.T @ W, of which only the change counts.
        tall = len(s.w.F) >= len(s.h.F)
        return s.inner + report.inner_improved - report.inner_start if tall else report.inner_improved

    def take_statistics(self, problem: Problem, s: State) -> None:
        """Statistics of the blocked factor as it is."""
        self.improve(problem, s, s.blocked, 0, 0.0)

    def take_back(self, problem: Problem, s: State) -> None:
        super().take_back(problem, s)
        s.h.gram = problem.data.engine.gram(s.h.F, s.k)
        if problem.data.transposed:
            self.take_statistics(problem, s)

    def improve_rows(self, problem: Problem, s: State, max_sweeps: int, tol: float) -> Report:
        if problem.data.transposed:
            self.take_statistics(problem, s)
            return self.improve(problem, s, s.w, max_sweeps, tol)
        sizes = s.h.gram.diagonal().astype(np.float64)
        update = self.update(s, s.w, sizes, s.turn(s.w, max_sweeps, tol))
        report = problem.data.pass_quadratic(s.w.F, s.h.F, update)
        s.inner = report.inner_improved
        s.w.gram = problem.data.engine.gram(s.w.F, s.k)
        return report

    def measure(self, problem: Problem, s: State) -> float:
        """From ||X||^2 - 2 <X G, F> + <F.T F, G.T G>, whose parts are there."""
        extrapolated = s.momentum is not None and bool(s.momentum.value)
        gram_H = s.new_gram if extrapolated else s.h.gram
        s.model = float(np.einsum("ij,ij->", s.w.gram, gram_H, dtype=np.float64))
        divergence = (s.mass - 2 * s.inner + s.model) / 2
        s.exact = s.model <= divergence
        return divergence

    def multiply(self, problem: Problem, s: State, scales: tuple[np.ndarray, np.ndarray]) -> None:
        super().multiply(problem, s, scales)
        for one in s.factors:
            one.gram = problem.data.engine.gram(one.F, s.k)
        of_blocked = scales[1 if s.blocked is s.h else 0].astype(problem.data.dtype)
        s.S[:, : s.k] *= of_blocked
        # rows that belong to components, not to the other side of X
        grams = s.S[len(s.other.F) :]
        grams *= np.resize(of_blocked, len(grams))[:, np.newaxis]

    def cast(self, problem: Problem, s: State) -> None:
        super().cast(problem, s)
        s.S = factor_array(len(s.S), s.k, problem.data.dtype)
        s.gram_array = factor_array(len(s.gram_array), s.k, problem.data.dtype)
        for one in s.factors:
            one.gram = problem.data.engine.gram(one.F, s.k)
        if problem.data.transposed:
            self.take_statistics(problem, s)

    def saved(self, s: State) -> dict[str, Any]:
        return super().saved(s) | {"gram of W": s.w.gram, "gram of H": s.h.gram}

    def resume(self, problem: Problem, s: State, saved: dict[str, Any]) -> None:
        super().resume(problem, s, saved)
        s.w.gram, s.h.gram = saved["gram of W"], saved["gram of H"]
