"""Coordinate descent on a compressed X."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from nmf_core import _core
from nmf_core.data import Complete, Container, Step
from nmf_core.data.dense import Dense
from nmf_core.initialization import compress
from nmf_core.solvers.fit import Fit
from nmf_core.solvers.quadratic import QuadraticFit, QuadraticSolver
from nmf_core.validation import check_integer


class CompressedFit(QuadraticFit):
    """A pass goes through L @ R.T instead of X, two thin matrices that hold nearly all of it.

    Attributes
    ----------
    left, right : Dense
        L (n, size) and R (m, size).
    """

    def __init__(self, *arguments: Any, oversampling: int, power_iterations: int, seed: int) -> None:
        super().__init__(*arguments)
        n, m = self.data.shape
        size = min(self.k + oversampling, n, m)
        Q, B = (
            Dense(F[:, :size])
            for F in compress(self.data, size, power_iterations, np.random.RandomState(seed), self.team)
        )
        self.left, self.right = (Q, B) if Q.shape[0] == n else (B, Q)

    def lower_precision(self) -> None:
        """Do nothing: X is not read any more, only its compressed form."""

    def go_through(self, to: np.ndarray, plain: np.ndarray | None, G: np.ndarray, step: Step) -> None:
        cross = self.left.product(self.right.transposed_product(G, self.team), self.team)
        m = len(G)
        _core.factor_pass(to, plain, self.S[m:], self.report, cross, *step, self.team)
        self.S[:m] += self.right.product(self.left.transposed_product(to, self.team), self.team)


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

    def handles(self, beta: float, data: type[Container] = Complete) -> bool:
        return super().handles(beta, data) and data.local

    def kind(self, beta: float, data: type[Container]) -> Callable[..., Fit]:
        return partial(CompressedFit, **self.options)
