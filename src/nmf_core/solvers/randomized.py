"""Coordinate descent on a compressed X."""

import numpy as np

from nmf_core.data import Complete, Container
from nmf_core.data.dense import Dense
from nmf_core.engine import Report, Update
from nmf_core.initialization import compress
from nmf_core.losses import Loss
from nmf_core.problem import Problem
from nmf_core.solvers.quadratic import QuadraticSolver
from nmf_core.solvers.state import FactorState, State
from nmf_core.validation import check_integer


class Randomized(QuadraticSolver):
    """Accelerated coordinate descent on a compressed X, for very tall or wide dense data.

    A random projection finds a few more directions than there are components, in which nearly all of X lies; X is read
    for them a few times, then no more. Where X is much more than its largest singular values, as text is, the answer is
    worse than that of the other solvers. What the history tells of the objective is about the compressed X.

    Parameters
    ----------
    oversampling : int
        How many more directions than components.
    power_iterations : int
        X is read twice for each, and the directions become better.
    seed : int
        Of the projection.

    References
    ----------
    N. B. Erichson, A. Mendible, S. Wihlborn and J. N. Kutz (2018), "Randomized nonnegative matrix factorization",
    doi:10.1016/j.patrec.2018.01.007.
    """

    name = "randomized"
    accelerated = True
    monotone = False
    exact = False

    def __init__(self, oversampling: int = 20, power_iterations: int = 2, seed: int = 0) -> None:
        self.oversampling = check_integer(oversampling, "oversampling", 0)
        self.power_iterations = check_integer(power_iterations, "power_iterations", 0)
        self.seed = check_integer(seed, "seed", 0, 2**32 - 1)

    def handles(self, loss: Loss, data: type[Container] = Complete) -> bool:
        return super().handles(loss, data) and data.local

    def start(self, problem: Problem, w: FactorState, h: FactorState, began: float) -> State:
        s = super().start(problem, w, h, began)
        data = problem.data
        n, m = data.shape
        size = min(s.k + self.oversampling, n, m)
        pair = compress(data, size, self.power_iterations, np.random.RandomState(self.seed))
        Q, B = (Dense(F[:, :size], engine=data.engine) for F in pair)
        # L (n, size) and R (m, size), whose product holds nearly all of the blocked matrix
        s.extra["compressed"] = (Q, B) if Q.shape[0] == n else (B, Q)
        return s

    def go_through(self, problem: Problem, s: State, F: np.ndarray, update: Update, F_new: np.ndarray | None) -> Report:
        L, R = s.extra["compressed"]
        cross = L.product(R.transposed_product(s.other.F))
        m = len(s.other.F)
        report = problem.data.engine.improve_rows(F, cross, update, F_new, s.S[m:])
        s.S[:m] += R.product(L.transposed_product(F))
        return report
