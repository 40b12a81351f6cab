"""Coordinate descent on a compressed X."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from nmf_core.data import FullMatrix, Matrix
from nmf_core.data.dense import Dense
from nmf_core.engine import Report
from nmf_core.initialization import compress
from nmf_core.losses import Loss
from nmf_core.problem import Problem
from nmf_core.solvers.quadratic import QuadraticSolver
from nmf_core.solvers.state import SWEEP_TOL, FactorState, State
from nmf_core.validation import check_integer


class Compressed(FullMatrix):
    """A complete matrix that is the product L @ R.T of two narrow ones.

    Parameters
    ----------
    L, R : Dense
        Matrices of shape (n, p) and (m, p).
    """

    def __init__(self, L: Dense, R: Dense) -> None:
        self.L, self.R, self.engine = L, R, L.engine
        self.shape, self.dtype = (L.shape[0], R.shape[0]), L.dtype

    def blocks(self) -> Iterator[tuple[slice, np.ndarray]]:
        for here, block in self.L.blocks():
            yield here, block @ self.R.array.T

    def product(self, G: np.ndarray) -> np.ndarray:
        return self.L.product(self.R.transposed_product(G))

    def transposed_product(self, F: np.ndarray) -> np.ndarray:
        return self.R.product(self.L.transposed_product(F))


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

    def handles(self, loss: Loss, data: type[Matrix] = FullMatrix) -> bool:
        return super().handles(loss, data) and data.local

    def start(self, problem: Problem, w: FactorState, h: FactorState, began: float) -> State:
        s = super().start(problem, w, h, began)
        data = problem.data
        n, m = data.shape
        size = min(s.k + self.oversampling, n, m)
        pair = compress(data, size, self.power_iterations, np.random.RandomState(self.seed))
        Q, B = (Dense(F[:, :size], engine=data.engine) for F in pair)
        compressed = Compressed(Q, B) if Q.shape[0] == n else Compressed(B, Q)
        compressed.transposed = data.transposed
        s.extra["compressed"] = replace(problem, data=compressed)
        return s

    def improve(
        self, problem: Problem, s: State, one: FactorState, max_sweeps: int | None = None, tol: float = SWEEP_TOL
    ) -> Report:
        return super().improve(s.extra["compressed"], s, one, max_sweeps, tol)
