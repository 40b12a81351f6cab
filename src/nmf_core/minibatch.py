"""Fits by batches of rows: H is improved after every batch, not after every pass over X."""

import math
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from nmf_core.data import FullMatrix, Layout, as_container
from nmf_core.engine import Engine
from nmf_core.losses import Loss
from nmf_core.online import Online
from nmf_core.validation import ArrayOrSparse, check_zeros


def batches(X: ArrayOrSparse, loss: Loss, size: int, engine: Engine) -> list[FullMatrix]:
    """A validated X (n_samples, n_features) as containers of `size` rows; the last one may have fewer.

    They share the memory of X, as long as it stores its rows one after the other.
    """
    data = as_container(X, layout=Layout(row_major=True, sparsify=loss.linear), engine=engine)
    check_zeros(data, loss.positive)
    assert isinstance(data, FullMatrix)
    n = data.shape[0]
    return [data.part(first, min(first + size, n)) for first in range(0, n, size)]


ROUNDING = 1e-13  # of a cost


class Convergence:
    """When a fit by batches is over: H hardly changes any more, or the smoothed cost has not fallen for a while.

    Not before all batches have been gone through, though: until then, rows of W are still those of the start. And a
    single batch that leaves H alone, such as one of zeros, says nothing about the others: what counts is the change by
    all of them.

    Parameters
    ----------
    online : Online
        What learns.
    n_samples, n_batches : int
        Rows of X, over about as many of which the cost is smoothed, and batches that they make.
    tol : float
        Relative change of H by a batch, on average over all, that counts as none; with 0 it does not matter.
    patience : int or None
        Batches without a new lowest smoothed cost; None for any number.

    Attributes
    ----------
    average : float or None
        The smoothed cost: the exponentially weighted average of those of batches, but of the first one, which saw the
        components of the start.
    """

    SMALL_CHANGE = "small H change"
    NO_IMPROVEMENT = "lack of improvement in objective function"

    def __init__(self, online: Online, n_samples: int, n_batches: int, tol: float, patience: int | None) -> None:
        self.online = online
        self.n_samples = n_samples
        self.n_batches = n_batches
        self.tol = tol
        self.patience = patience
        self.average: float | None = None
        self.lowest = math.inf
        self.n_steps = self.waited = 0
        self.last: np.ndarray | None = None

    def reason(self, cost: float, n_rows: int) -> str | None:
        """Why the fit is over after this batch, or None."""
        self.n_steps += 1
        if self.n_steps > 1:
            share = min(1.0, n_rows / (self.n_samples + 1))
            self.average = cost if self.average is None else (1 - share) * self.average + share * cost
            # a fall within rounding, which depends on how X is stored, is none
            self.waited = 0 if self.average < self.lowest * (1 - ROUNDING) else self.waited + 1
            self.lowest = min(self.lowest, self.average)
        if self.tol > 0 and self.n_steps % self.n_batches == 0 and self.change() <= self.tol * self.n_batches:
            return self.SMALL_CHANGE
        tired = self.patience is not None and self.waited >= self.patience and self.n_steps >= self.n_batches
        return self.NO_IMPROVEMENT if tired else None

    def change(self) -> float:
        """How much H has changed since the last call, relatively; infinite the first time."""
        now, last = self.online.Ht, self.last
        if last is None:
            self.last = now.copy()
            return math.inf
        last -= now
        moved, size = (float(np.linalg.norm(F)) for F in (last, now))
        last[:] = now
        return moved / size if size else 0.0


class Course(NamedTuple):
    """How a fit by batches went.

    Attributes
    ----------
    seconds : list of float
        Time since the start of the fit after every batch.
    costs : list of float
        The objective of every batch, divided by its rows: of its new W and the components before it.
    reason : str
        Why it was over: a reason of `Convergence`, "max_iter", or "interrupted" from the keyboard.
    """

    seconds: list[float]
    costs: list[float]
    reason: str

    @property
    def n_steps(self) -> int:
        """Batches gone through."""
        return len(self.costs)


def fit_batches(
    online: Online,
    parts: Sequence[FullMatrix],
    W: np.ndarray,
    convergence: Convergence,
    *,
    fresh: bool,
    max_iter: int,
    report: Callable[[int, float, float | None, str | None], object] | None = None,
) -> Course:
    """Go through X again and again, batch by batch, until it has converged.

    Parameters
    ----------
    online : Online
        Where the components are improved. Modified in place.
    parts : sequence of FullMatrix
        X.
    W : ndarray of shape (n_samples, ld)
        Factor array to start from. Modified in place, unless every row is solved for from scratch.
    convergence : Convergence
        When to stop. Modified in place.
    fresh : bool
        Whether W is solved for from scratch every time.
    max_iter : int
        Times to go through X at most.
    report : callable, optional
        Called after every batch with its number from 1, its cost, the smoothed cost and the reason to stop.

    Returns
    -------
    Course
    """
    bounds = np.cumsum([0, *(part.shape[0] for part in parts)])
    began = time.perf_counter()
    seconds: list[float] = []
    costs: list[float] = []
    try:
        while len(costs) < max_iter * len(parts):
            i = len(costs) % len(parts)
            rows = None if fresh else W[bounds[i] : bounds[i + 1]]
            cost = online.step(parts[i], rows)
            costs.append(cost)
            seconds.append(time.perf_counter() - began)
            reason = convergence.reason(cost, parts[i].shape[0])
            if report is not None:
                report(len(costs), cost, convergence.average, reason)
            if reason is not None:
                return Course(seconds, costs, reason)
    except KeyboardInterrupt:
        return Course(seconds[: len(costs)], costs[: len(seconds)], "interrupted")
    return Course(seconds, costs, "max_iter")
