"""Online NMF: the components follow a stream of batches, of which nothing is kept but the statistics of a pass."""

import math
from abc import ABC, abstractmethod
from functools import cached_property
from typing import Any

import numpy as np

from nmf_core.data import FullMatrix
from nmf_core.engine import Engine, Update, factor_array, padded
from nmf_core.factors import Factor, with_penalties
from nmf_core.initialization import for_fixed_components
from nmf_core.losses import Loss
from nmf_core.problem import Problem, transposed
from nmf_core.solvers import SOLVERS, SWEEP_TOL, FactorState, State, choose_solver
from nmf_core.solvers.base import MOST_SWEEPS
from nmf_core.solvers.gradients import GradientSolver
from nmf_core.solvers.newton import Newton

# How factors can be improved, the first choice first, and how many sweeps at most for one that is about right.
SWEEPS = {"hals": 2, "newton": 2, "mu": 1}
# What the start of H counts beside the first batch: with nothing, features that this batch lacks would be lost.
START = 0.2
# The least entry of H by multiplicative updates, in units of the smallest normal number: zeros would stay for ever.
ALIVE = 2**20


class Online(ABC):
    """The components and what is known of all batches so far.

    A batch is gone through like X in an iteration: its rows of W are improved for the present H, and their share is
    added to the statistics, from which H is improved. But these statistics are not those of the batch alone: what they
    were before counts too, multiplied by ``forget_factor ** min(1, rows / n_samples)``. The start counts
    like a fifth of the first batch.

    Parameters
    ----------
    H : ndarray of shape (n_components, n_features), float32 or float64
        Where the components start. Never modified.
    loss : Loss
        The loss.
    solver : str
        How factors are improved: one of `SWEEPS`. Newton's method improves W only, H as "mu" does.
    n_samples : int
        Rows after which `forget_factor` is left of what was known; a larger batch forgets no more than that.
    forget_factor : float
        From 0 (only the last batch counts) to 1 (all batches count the same).
    alphas : tuple of alpha_W, alpha_H and l1_ratio
        Penalties as in `nmf_core.factorize`; those of H grow with the rows that count.
    tol, max_sweeps : float and int
        When a row of W is done that is solved for from scratch: its steps have fallen to `tol` of its first, or so many
        sweeps are over.

    Attributes
    ----------
    Ht : ndarray of shape (n_features, ld)
        Factor array of the components: another one after every step.
    n_steps : int
        Batches so far.
    divergence : float
        Of the last batch: its new W with the components before the step.

    Notes
    -----
    A step that fails leaves everything as it was. Nothing depends on the number of threads.

    References
    ----------
    J. Mairal, F. Bach, J. Ponce and G. Sapiro (2010), "Online learning for matrix factorization and sparse coding",
    Journal of Machine Learning Research 11.
    """

    def __init__(
        self,
        H: np.ndarray,
        loss: Loss,
        solver: str,
        *,
        n_samples: int,
        forget_factor: float = 0.7,
        alphas: tuple[float, float | str, float] = (0.0, "same", 0.0),
        tol: float = 1e-4,
        max_sweeps: int = 30,
    ) -> None:
        self.k = len(H)
        self.Ht = padded(H.T, H.dtype)
        self.loss = loss
        self.solver = solver
        self.n_samples = n_samples
        self.forget_factor = forget_factor
        self.alphas = alphas
        self.tol = tol
        self.max_sweeps = min(max_sweeps, MOST_SWEEPS)
        self.n_steps = 0
        self.divergence = math.nan
        self.order = np.arange(self.k, dtype=np.int32)
        self.ones = np.ones(self.k, dtype=H.dtype)

    @cached_property
    def spare(self) -> np.ndarray:
        """Room for the next Ht; after a step the one before."""
        return padded(self.Ht, self.Ht.dtype)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if not name.startswith("spare")}

    @property
    def H(self) -> np.ndarray:
        """A copy of the components (n_components, n_features)."""
        return transposed(self.Ht, self.k)

    def step(self, data: FullMatrix, W: np.ndarray | None = None) -> float:
        """Go through a batch.

        Parameters
        ----------
        data : FullMatrix
            The batch, visited by rows, in the precision of the components.
        W : ndarray of shape (n_rows, ld), optional
            Factor array of the batch, improved by a few sweeps. Modified in place. By default every row is solved for
            from scratch.

        Returns
        -------
        float
            The cost: the objective of the batch for the new W and the components before the step, divided by its
            rows.
        """
        n = data.shape[0]
        rest = self.forget_factor ** min(1.0, n / self.n_samples)
        fresh = W is None
        if data.squared_norm() == 0:  # which says nothing about the components
            if W is not None:
                W[:] = 0
            self.divergence = 0.0
            return self.factors_beside(n)[1].value(self.Ht, self.k) / n
        if W is None:
            masses = data.engine.sums(self.Ht, self.k).sum(keepdims=True)
            W = for_fixed_components(data, self.loss, self.k, masses)
        divergence, learned = self.go_through(data, W, fresh, rest)
        of_W, of_H = self.factors_beside(n)
        cost = (divergence + of_W.value(W, self.k) + of_H.value(self.Ht, self.k)) / n
        # all at once, or not at all
        vars(self).update(learned, Ht=self.spare, spare=self.Ht, n_steps=self.n_steps + 1, divergence=divergence)
        return cost

    def factors_beside(self, n_rows: float) -> tuple[Factor, Factor]:
        """W and H with their penalties beside so many rows."""
        return with_penalties((Factor(), Factor()), (n_rows, len(self.Ht)), self.alphas)

    def state(self, problem: Problem, W: np.ndarray, Ht: np.ndarray, gram: Any = None) -> State:
        """A batch's W and H on their way, with the Gram matrix of H, if it is needed."""
        w, h = FactorState(W, self.k, problem.factor_W), FactorState(Ht, self.k, problem.factor_H, gram)
        s = State(problem, w, h, 0.0)
        s.movable = s.movable[:0]  # scale stays where it is: rows of other batches would not follow
        return s

    def keep_alive(self) -> None:
        """Let no entry of `spare` be zero: by multiplicative updates it could never grow again, whatever comes."""
        np.maximum(self.spare, np.finfo(self.spare.dtype).tiny * ALIVE, out=self.spare)
        self.spare[:, self.k :] = 0

    @abstractmethod
    def go_through(self, data: FullMatrix, W: np.ndarray, fresh: bool, rest: float) -> tuple[float, dict[str, Any]]:
        """Improve W, and write the next Ht to `spare`.

        Returns the divergence of the batch for the new W and Ht, and the attributes that are others after the step:
        statistics as before times `rest`, and those of the batch.
        """


class QuadraticOnline(Online):
    """The Frobenius loss: the statistics say all about H, which is improved by the kernel that improves W.

    Attributes
    ----------
    S : ndarray of shape (n_features + n_components, ld)
        ``X.T @ W`` above, ``W.T @ W`` below, over all rows, which count less and less.
    HHt : ndarray of shape (n_components, n_components)
        Gram matrix of the components.
    weight : float
        The rows that count: older ones count less.

    References
    ----------
    N. Guan, D. Tao, Z. Luo and B. Yuan (2012), "Online nonnegative matrix factorization with robust stochastic
    approximation", doi:10.1109/TNNLS.2012.2197827.
    """

    def __init__(self, *args: Any, **how: Any) -> None:
        super().__init__(*args, **how)
        self.S = factor_array(len(self.Ht) + self.k, self.k, self.Ht.dtype)
        self.HHt = Engine.default.gram(self.Ht, self.k)
        self.for_rows, self.stepper = (
            choose_solver(name, self.loss).suited(self.loss, FullMatrix) for name in ("hals", self.solver)
        )
        self.weight = 0.0

    @cached_property
    def spare_S(self) -> np.ndarray:
        """Room for the next statistics."""
        return padded(self.S, self.S.dtype)

    def go_through(self, data: FullMatrix, W: np.ndarray, fresh: bool, rest: float) -> tuple[float, dict[str, Any]]:
        k, problem = self.k, Problem(data, self.loss, self.k, *self.factors_beside(len(W)))
        self.spare[:] = self.Ht
        s = self.state(problem, W, self.spare, self.HHt)
        s.S, s.gram_array = self.spare_S, factor_array(k, k, self.Ht.dtype)
        if fresh:
            self.for_rows.improve(problem, s, s.w, self.max_sweeps, self.tol)
        else:
            self.stepper.improve(problem, s, s.w, SWEEPS[self.solver])
        divergence = max(0.0, self.stepper.measure(problem, s))
        s.S += rest * self.S
        if self.n_steps == 0:
            WtW = s.S[-k:]
            start = rest * START * np.trace(WtW) / k
            s.S[:-k] += start * self.Ht
            WtW[self.order, self.order] += start
        weight = rest * self.weight + len(W)
        s.h.factor = self.factors_beside(weight)[1]
        self.stepper.improve(problem, s, s.h, SWEEPS[self.solver])
        if self.solver == "mu":
            self.keep_alive()
        return divergence, {"S": s.S, "spare_S": self.S, "HHt": s.h.gram, "weight": weight}


class _Held(GradientSolver):
    """Multiplicative updates of which nothing vanishes: what no batch so far has had may come yet."""

    def update(self, *args: Any, **how: Any) -> Update:
        return super().update(*args, **how)._replace(cut=False)


class GradientOnline(Online):
    """Other losses: H takes the multiplicative update of the batch, held back by what is remembered.

    A batch bounds its divergence from above by a function of H that touches it at the present H and has its minimum
    where the multiplicative update goes. The sum of these bounds over all batches, older ones counting less, has its
    minimum at H; how firmly it holds H there, the sums of denominators say. So the past enters an update as equal
    numbers in both halves of the gradient.

    Attributes
    ----------
    hold : ndarray of shape (n_features, ld), or (1, ld) for Kullback-Leibler without l2 penalty
        Sums of ``y^(beta - 1) w``, and of penalties, over all rows, which count less and less.

    References
    ----------
    A. Lefevre, F. Bach and C. Fevotte (2011), "Online algorithms for nonnegative matrix factorization with the
    Itakura-Saito divergence", doi:10.1109/ASPAA.2011.6082314.
    """

    def __init__(self, *args: Any, **how: Any) -> None:
        super().__init__(*args, **how)
        alike = self.loss.linear and not self.factors_beside(1)[1].l2
        self.hold = np.zeros((1 if alike else len(self.Ht), self.Ht.shape[1]), dtype=self.Ht.dtype)

    @cached_property
    def spare_S(self) -> np.ndarray:
        """Room for both halves of the gradient of H: numerators above, denominators below."""
        return factor_array(len(self.Ht) + len(self.hold), self.k, self.Ht.dtype)

    def go_through(self, data: FullMatrix, W: np.ndarray, fresh: bool, rest: float) -> tuple[float, dict[str, Any]]:
        (of_W, of_H), m = self.factors_beside(len(W)), len(self.Ht)
        problem = Problem(data, self.loss, self.k, of_W, of_H)
        multiplicative, newton = _Held(), Newton()
        self.spare[:] = self.Ht
        s = self.state(problem, W, self.spare)
        s.extra = multiplicative.notes(problem, by_itself=fresh)
        s.S = self.spare_S[: m + (1 if self.loss.linear else m)]
        sweeps, tol = (self.max_sweeps, self.tol) if fresh else (SWEEPS[self.solver], SWEEP_TOL)
        by_newton = newton.handles(self.loss) and (fresh or self.solver == "newton")
        if by_newton:
            rows = self.state(problem, W, self.spare)
            rows.extra |= {"floors": {rows.w: s.extra["floors"]}, "measured": rows.w}
            newton.improve(problem, rows, rows.w, sweeps, tol)
        multiplicative.improve(problem, s, s.w, 0 if by_newton else sweeps, tol)
        # a pass of multiplicative updates tells the divergence of the W that it starts from
        divergence = max(0.0, newton.measure(problem, rows)) if by_newton else problem.divergence(W, self.spare)
        held, of_batch = rest * self.hold, s.S[m:]
        if self.n_steps == 0:
            held += rest * START * np.mean(of_batch[:, : self.k])
        s.S = self.spare_S
        s.S[m:] = of_batch + held
        s.S[:m] += held
        hold = s.S[m:] + of_H.l1 + of_H.l2 * self.spare[: len(held)]
        multiplicative.improve(problem, s, s.h)
        self.keep_alive()
        return divergence, {"hold": hold}


def method_for(solver: str, loss: Loss, forget_factor: float) -> str:
    """The method of a solver's name in `SWEEPS` or "auto": the first of these that minimises the loss.

    But with nothing remembered, multiplicative updates: these go a part of the way to what suits the batch at hand, and
    with all of X as batch are those of the solver "mu".
    """
    if solver != "auto":
        return solver
    return "mu" if forget_factor == 0 else next(name for name in SWEEPS if SOLVERS[name].handles(loss))


def make_online(H: np.ndarray, loss: Loss, solver: str, **how: Any) -> Online:
    """An `Online` for the loss; arguments as there."""
    return (QuadraticOnline if loss.quadratic else GradientOnline)(H, loss, solver, **how)
