"""The state of a fit, and what an iteration does to it."""

import math
import time

import numpy as np

from nmf_core import _core
from nmf_core.data import Step, factor_array
from nmf_core.penalties import Penalty
from nmf_core.problem import Problem

# Acceleration. From a random start, going far too early ends in other, often worse local minima than plain descent:
# so many iterations come first without extrapolation, and sweeps are added one after three iterations.
WARM_UP = 10
MAX_SWEEPS = 8
SMALL = 100_000
# What the objective may rise by without being called a failure, as a share of ||X||^2: what its rounding amounts to.
ROUNDING = {"float32": 3e-8, "float64": 1e-15}
SWEEP_TOL = 0.1  # a row is done for this pass when its step has fallen to this share of its first


class Side:
    """One factor and what belongs to it.

    Attributes
    ----------
    F : ndarray of shape (n, ld)
        Factor array from which the next step starts.
    order : ndarray of int32
        The components to update, in this order; the others are held fixed.
    penalty : Penalty
        Its penalty.
    gram : ndarray of shape (k, k)
        ``F.T @ F``, up to date.
    plain : ndarray of shape (n, ld)
        With acceleration the factor before it was extrapolated to F, otherwise F.
    spare : ndarray of shape (n, ld)
        With acceleration room for what the next step must not overwrite, otherwise F.
    partner_norms : ndarray of shape (k,)
        Squared norms of the other factor's components when this one was last improved.
    """

    def __init__(self, F: np.ndarray, k: int, order: np.ndarray, penalty: Penalty, team: _core.Team) -> None:
        self.F = F
        self.order = order
        self.penalty = penalty
        self.gram = gram(F, k, team)
        self.plain = F
        self.spare = F
        self.partner_norms = np.ones(k, dtype=F.dtype)


class Momentum:
    """How far to extrapolate: a little farther after every success, less far after a failure.

    References
    ----------
    A. M. S. Ang and N. Gillis (2019), "Accelerating nonnegative matrix factorization algorithms using extrapolation",
    doi:10.1162/neco_a_01157.
    """

    GROWTH, LIMIT_GROWTH, DECAY = 1.06, 1.01, 2.0

    def __init__(self) -> None:
        self.beta = 0.0  # of the next iteration; the first has nothing to extrapolate from
        self.next = 0.5
        self.limit = 1.0

    def succeed(self) -> None:
        """The last iteration lowered the objective."""
        if self.beta:
            self.next = min(self.limit, self.GROWTH * self.beta)
            self.limit = min(1.0, self.LIMIT_GROWTH * self.limit)
        self.beta = self.next

    def fail(self) -> None:
        """It did not: the next one is plain, those after it more careful."""
        self.limit = self.beta
        self.next = self.beta / self.DECAY
        self.beta = 0.0


class Fit:
    """The state of a fit, as rules and callbacks see it.

    Attributes
    ----------
    iteration : int
        Iterations done; the first is 1.
    seconds : float
        Since the start of the fit.
    objective, violation : float
        After this iteration. The violation is the length of the steps of the iteration's first sweep over W and H,
        measured by what they change in W @ H, relative to W @ H: ||step||^2 = sum of step_ic^2 * gram_cc. The step of a
        coordinate is its projected gradient divided by its curvature, and at most the way to the bound. So it is zero
        exactly where the Karush-Kuhn-Tucker conditions hold, continuous, and unchanged when X is scaled or a
        component's scale moves between W and H.
    divergence : float
        The objective without penalties.
    objectives : list of float
        All of them so far.
    W, H : ndarray
        Read-only views of the current factors, (n_samples, k) and (k, n_features).
    """

    def __init__(self, problem: Problem, W: Side, Ht: Side, method: int, team: _core.Team, start: float) -> None:
        self.problem = problem
        self.data = problem.data
        self.sides = W, Ht
        self.blocked, self.other = (Ht, W) if self.data.transposed else (W, Ht)
        self.method = method
        self.team = team
        self.start = start
        self.norm = self.data.squared_norm()
        self.k = len(W.gram)
        m = len(self.other.F)
        # Statistics of the blocked factor: A.T F above, F.T F below; then F.T F of the other factor.
        self.S = factor_array(m + self.k, self.k, self.data.dtype)
        self.gram_array = factor_array(self.k, self.k, self.data.dtype)
        self.report = np.zeros(4)
        self.momentum: Momentum | None = None
        self.sweeps = {W: 1, Ht: 1}
        self.iteration = 0
        self.seconds = 0.0
        self.divergence = math.nan
        self.objectives: list[float] = []
        self.violations: list[float] = []
        self.times: list[float] = []

    @property
    def objective(self) -> float:
        return self.objectives[-1]

    @property
    def violation(self) -> float:
        return self.violations[-1]

    @property
    def W(self) -> np.ndarray:
        return _read_only(self.current[0][:, : self.k])

    @property
    def H(self) -> np.ndarray:
        return _read_only(self.current[1][:, : self.k].T)

    @property
    def current(self) -> tuple[np.ndarray, np.ndarray]:
        """The factor arrays to which the last objective belongs."""
        W, Ht = self.sides
        return W.F, Ht.plain

    def accelerate(self) -> None:
        """Take several sweeps a pass and extrapolate from now on."""
        self.momentum = Momentum()
        n, m = self.data.shape
        # Small data count as dense, so that every way to store them gives the same iterates up to rounding.
        entries = n * m if n * m <= SMALL else self.data.n_stored
        for side in self.sides:
            side.plain, side.spare = (factor_array(len(side.F), self.k, side.F.dtype) for _ in range(2))
            side.plain[:] = side.F
            # A sweep costs rows k^2 multiplications, the products of a pass 2 entries k: together as much as these.
            worth = 2 * entries / (len(side.F) * self.k)
            self.sweeps[side] = max(1, min(MAX_SWEEPS, round(worth)))

    def improve(
        self,
        side: Side,
        to: np.ndarray,
        plain: np.ndarray | None = None,
        before: np.ndarray | None = None,
        beta: float = 0.0,
        max_sweeps: int = 1,
        tol: float = 0.0,
    ) -> None:
        """Improve one factor: the blocked one in a pass over X, the other from the statistics of the blocked one.

        Parameters
        ----------
        side : Side
            Which one; its `gram` becomes that of `to`.
        to : ndarray of shape (n, ld)
            Takes the new factor, extrapolated if `plain` is given. May be the old one. Modified in place.
        plain : ndarray of shape (n, ld), optional
            Takes the new factor before extrapolation. Modified in place.
        before : ndarray of shape (n, ld), optional
            What `plain` was the last time. May be `plain`.
        beta : float
            How far to extrapolate: to max(0, plain + beta * (plain - before)), with `before` in the gauge of `plain`.
        max_sweeps : int
            Sweeps over every row, fewer where `tol` is met.
        tol : float
            A row is done when its step has fallen to `tol` of its first.
        """
        partner = self.other if side is self.blocked else self.blocked
        norms, side.partner_norms = side.partner_norms, partner.gram.diagonal().copy()
        scale = np.ones_like(norms)
        if beta:  # components that are held fixed keep their scale
            scale[side.order] = _gauge(norms, side.partner_norms)[side.order]
        step = Step(
            side.F, side.F if before is None else before, scale, side.penalty.shift(partner.gram), side.order,
            self.method, side.penalty.l1, beta, max_sweeps, tol,
        )  # fmt: skip
        if side is self.blocked:
            self.S[:] = 0
            self.data.improve(to, plain, self.S, self.report, partner.F, step, self.team)
            side.gram = self.S[-self.k :, : self.k]
        else:
            self.gram_array[:] = 0
            cross = self.S[: -self.k]
            _core.factor_pass(to, plain, self.gram_array, self.report, cross, *step, self.team)
            side.gram = self.gram_array[:, : self.k]

    def take_statistics(self) -> None:
        """Statistics of the blocked factor as it is."""
        self.improve(self.blocked, self.blocked.F, max_sweeps=0)

    def iterate(self) -> None:
        """Improve W, then H, each once; X is read once."""
        self.report[:] = 0
        for side in self.sides:
            self.report[3] = 0
            self.improve(side, side.F)
        self.record()

    def iterate_accelerated(self) -> None:
        """Improve W and extrapolate it, then H; keep both if that has lowered the objective.

        The objective is that of the extrapolated W with H before extrapolation, a feasible pair whose numbers are
        there anyway. After a failure the pair kept is the last one, and the next iteration is plain.
        """
        W, Ht = self.sides
        momentum = self.momentum
        assert momentum is not None
        beta, divergence = momentum.beta, self.divergence
        sweeps = [min(self.sweeps[side], 1 + max(0, self.iteration - WARM_UP) // 3) for side in self.sides]
        self.report[:] = 0
        self.improve(W, W.spare, W.plain, W.plain, beta, sweeps[0], SWEEP_TOL)
        W.F, W.spare = W.spare, W.F
        self.report[3] = 0
        self.improve(Ht, Ht.F, Ht.spare, Ht.plain, beta, sweeps[1], SWEEP_TOL)
        Ht.plain, Ht.spare = Ht.spare, Ht.plain
        self.record(gram(Ht.plain, self.k, self.team) if beta else None)
        before = self.objectives[-2] if len(self.objectives) > 1 else math.inf
        rise = self.objectives[-1] - before
        noise = ROUNDING[self.data.dtype.name] * self.norm
        if not beta or rise <= 0 or (rise <= noise and self.violations[-1] <= self.violations[-2]):
            self.objectives[-1] = min(self.objectives[-1], before)
            if self.iteration >= WARM_UP:
                momentum.succeed()
            return
        momentum.fail()
        self.objectives[-1], self.divergence = before, divergence
        W.F, W.spare = W.spare, W.F
        Ht.plain, Ht.spare = Ht.spare, Ht.plain
        Ht.F[:] = Ht.plain
        Ht.gram = gram(Ht.F, self.k, self.team)
        if self.data.transposed:
            self.take_statistics()

    def iterate_fixed(self, max_iter: int, tol: float) -> None:
        """With H fixed every row of W is a problem of its own: sweep each until it is done, with one pass over X."""
        max_iter = min(max_iter, 2**31 - 1)
        side, other = self.blocked, self.other
        if self.data.transposed:
            self.improve(other, other.F, max_sweeps=max_iter, tol=tol)
        else:
            shifted = side.penalty.shift(other.gram)
            penalty = side.penalty
            step = Step(side.F, side.F, shifted[0], shifted, side.order, self.method, penalty.l1, 0.0, max_iter, tol)
            self.data.improve(side.F, None, None, self.report, other.F, step, self.team)
            side.gram = gram(side.F, self.k, self.team)
        self.record()
        self.iteration = int(self.report[1])

    def record(self, gram_H: np.ndarray | None = None) -> None:
        """Write down where the fit stands; gram_H is that of H before extrapolation."""
        gram_W, gram_H = self.sides[0].gram, self.sides[1].gram if gram_H is None else gram_H
        model = float(np.einsum("ij,ij->", gram_W, gram_H, dtype=np.float64))
        self.divergence = max(0.0, (self.norm - 2 * float(self.report[3]) + model) / 2)
        violation = math.sqrt(float(self.report[0]) / model) if model != 0 else 0.0
        self.iteration += 1
        self.seconds = time.perf_counter() - self.start
        self.times.append(self.seconds)
        self.objectives.append(self.divergence + self.problem.penalties(*self.current))
        self.violations.append(violation)


def _read_only(array: np.ndarray) -> np.ndarray:
    view = array.view()
    view.flags.writeable = False
    return view


def _gauge(norms_then: np.ndarray, norms_now: np.ndarray) -> np.ndarray:
    """What a factor's components have been multiplied by because the other factor's norms changed.

    The scale of a component can move between W and H at no cost. An extrapolation that follows this motion overshoots,
    W and H answer each other, and the scale grows without bound: so the motion is taken out.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        scale = np.sqrt(norms_then / norms_now)
    return np.where((scale > 0.1) & (scale < 10), scale, 1).astype(norms_now.dtype)


def gram(F: np.ndarray, k: int, team: _core.Team) -> np.ndarray:
    """F.T @ F (k, k) for a factor array."""
    array = np.zeros((k, F.shape[1]), dtype=F.dtype)
    _core.factor_pass(F, None, array, np.zeros(4), F, *Step.none(F, k), team)
    return array[:, :k]
