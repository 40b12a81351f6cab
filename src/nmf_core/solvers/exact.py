"""Rows solved exactly, from a QR factorization of the fixed factor: for components that are alike.

Normal equations square the condition of a factor, and coordinate descent creeps along directions that its components
hardly tell apart. With G = Q R, min ||x - G f|| over f >= 0 is min ||Q.T x - R f||, in which nothing is squared.
"""

from collections.abc import Callable

import numpy as np

from nmf_core import _core
from nmf_core.data import Complete, Container
from nmf_core.data.dense import Dense
from nmf_core.problem import Problem, padded
from nmf_core.solvers.anls import BPP, unit_diagonal
from nmf_core.solvers.base import Solver
from nmf_core.solvers.fit import Fit, gram
from nmf_core.solvers.quadratic import QuadraticFit

# The condition of a Gram matrix beyond which steps that have become short say little about what is left, and beyond
# which an answer from it in double has fewer than nine digits.
ALIKE, DOUBTFUL = 1e3, 1e6
_EPS = float(np.finfo(np.float64).eps)
_BLOCK = 1 << 20  # numbers of the matrices that are factorized together


def condition(gram: np.ndarray) -> float:
    """The condition of a Gram matrix (k, k) in the scale in which its diagonal is one; zero components do not count."""
    unit, _ = unit_diagonal(gram.astype(np.float64), np.arange(len(gram)))
    values = np.linalg.eigvalsh(unit)
    return float(values[-1] / values[0]) if values[0] > 0 else np.inf


def for_rows(solver: Solver, problem: Problem, gram_H: np.ndarray, alike: float, tol: float) -> tuple[Solver, float]:
    """The solver of rows for a fixed H, and their tolerance.

    Parameters
    ----------
    solver : Solver
        The one for components that are not alike.
    problem : Problem
        What is minimised.
    gram_H : ndarray of shape (k, k)
        Gram matrix of H.
    alike : float
        Its `condition`.
    tol : float
        The tolerance asked for.
    """
    data, l2 = problem.data, problem.penalty_W.l2
    if alike > ALIKE and l2 and problem.penalty_W.amounts is None:
        alike = condition(problem.penalty_W.shift(gram_H))
    if alike <= ALIKE:
        return solver, tol
    if problem.loss.quadratic and isinstance(data, Complete) and data.local:
        return Exact(), tol
    # What is left of the objective is up to the condition times what a step changes, squared.
    return solver, tol * float(np.sqrt(ALIKE / min(alike, 1 / _EPS)))


class Exact(BPP):
    """Alternating non-negative least squares where H is fixed: every row is solved from a QR factorization of it."""

    def kind(self, beta: float, data: type[Container]) -> Callable[..., Fit]:
        return ExactFit


class ExactFit(QuadraticFit):
    """W for a fixed H whose components are alike: each row is solved by itself, exactly."""

    def improve_rows(self, max_sweeps: int, tol: float) -> None:
        W, Ht = self.sides
        k, m = self.k, len(Ht.F)
        Q, R = np.linalg.qr(np.vstack([Ht.F[:, :k].astype(np.float64), np.sqrt(W.penalty.l2) * np.eye(k)]))
        basis = padded(Q[:m], self.data.dtype)
        product = self.data.transposed_product if self.data.transposed else self.data.product
        C = product(basis, self.team)[:, :k].astype(np.float64)
        Z, unsolved = solve_rows(R, C, W.penalty.l1, self.team)
        W.F[:, :k] = Z
        self.grams[W] = gram(W.F, k, self.team)
        self.inner = float(np.einsum("ij,ij->", C, Dense(Z).product(padded(R.T, Z.dtype), self.team)[:, :k]))
        # One step from zero to the solution, or all that are allowed.
        self.report[:3] = float(np.einsum("ij,ij->", self.grams[W], self.grams[Ht])), max_sweeps, unsolved
        if not unsolved:
            self.report[1] = 1


def solve_rows(R: np.ndarray, C: np.ndarray, l1: float, team: _core.Team) -> tuple[np.ndarray, int]:
    """The minimisers of ||c - R z||^2 / 2 + l1 sum(z) over z >= 0, for every row c of C.

    Parameters
    ----------
    R : ndarray of shape (k, k)
        Upper triangular. Where its columns depend on each other there are many answers; one of them is found.
    C : ndarray of shape (p, k)
        Right-hand sides. A row's answer depends, to the last bit, on that row alone.
    l1 : float
        Strength of the penalty.
    team : Team
        Who works.

    Returns
    -------
    Z : ndarray of shape (p, k)
        All in double.
    unsolved : int
        Rows for which the Karush-Kuhn-Tucker conditions do not hold up to rounding.
    """
    k = len(R)
    sizes = np.sqrt(np.einsum("ij,ij->j", R, R))
    scale = np.divide(1, sizes, out=np.zeros(k), where=sizes > 0)
    R = R * scale
    costs = l1 * scale
    unit, _ = unit_diagonal(R.T @ R, np.arange(k))
    right = np.ascontiguousarray(Dense(C).product(padded(R, C.dtype), team)[:, :k]) - costs
    Z = np.zeros_like(right)
    unsolved = _core.nnls_pivot(Z, right, unit, _core.PIVOT_RULES["bpp"], 3 * k + 50, team)
    if unsolved or condition(unit) > DOUBTFUL:
        unsolved, step = 0, max(1, _BLOCK // k**2)
        for first in range(0, len(C), step):
            rows = slice(first, first + step)
            unsolved += _refine(R, C[rows], costs, Z[rows])
    Z *= scale
    return Z, unsolved


def _refine(R: np.ndarray, C: np.ndarray, costs: np.ndarray, Z: np.ndarray) -> int:
    """Make solutions Z (p, k) that normal equations have told exact, in place; returns how many could not be.

    The active set method of Lawson and Hanson from the unknowns that are positive. R has columns of length one, costs
    (k,) are the l1 penalties. All rows are factorized together, each with the columns of its positive unknowns first:
    below these, the other columns and the right-hand side are what is left of them, free of cancellation, and so are
    gradients.

    References
    ----------
    C. L. Lawson and R. J. Hanson (1974), "Solving least squares problems", chapter 23.
    """
    p, k = C.shape
    rounding = 8 * k * _EPS
    Z[:] = np.maximum(Z, 0)
    inside, barred = Z > 0, np.zeros((p, k), dtype=bool)
    running = np.arange(p)
    for _ in range(10 * k + 50):
        order = np.argsort(~inside[running], axis=1, kind="stable")
        first = np.arange(k) < inside[running].sum(axis=1, keepdims=True)
        x, w, rests, dependent = _solve(R[:, order].swapaxes(0, 1), C[running], costs[order], first, rounding)
        back = np.argsort(order, axis=1)
        x, w, rests, dependent = (np.take_along_axis(v, back, axis=1) for v in (x, w, rests, dependent))
        guess, at, bar = inside[running], Z[running], barred[running]
        # As far towards the solution as nothing becomes negative.
        falling = guess & (x <= 0) & ~dependent
        shares = np.divide(at, at - x, out=np.full_like(x, np.inf), where=falling & (at > x))
        share = np.minimum(shares.min(axis=1, keepdims=True), 1.0)
        leaving = dependent | falling & (shares <= share)
        moved = np.where(guess & ~leaving, np.maximum(at + share * (x - at), 0), 0)
        arrived = ~leaving.any(axis=1, keepdims=True)
        moved[arrived[:, 0]] = np.where(guess, x, 0)[arrived[:, 0]]
        # What has been let in for nothing stays out until something has moved.
        bar = (bar | leaving & (share == 0)) & (moved == at).all(axis=1, keepdims=True)
        gain = np.where(arrived & ~guess & ~bar & (w > 0), w / np.maximum(rests, _EPS), 0)
        enters = np.zeros_like(guess)
        np.put_along_axis(enters, gain.argmax(axis=1)[:, np.newaxis], gain.max(axis=1, keepdims=True) > 0, axis=1)
        inside[running], Z[running], barred[running] = guess & ~leaving | enters, moved, bar
        running = running[~arrived[:, 0] | enters.any(axis=1)]
        if len(running) == 0:
            break
    return len(running)


def _solve(
    A: np.ndarray, C: np.ndarray, costs: np.ndarray, first: np.ndarray, rounding: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Least squares with the first columns of every matrix A (p, k, k), and what that says of the others.

    Parameters
    ----------
    A, C, costs, first
        Matrices, right-hand sides (p, k), penalties (p, k), and which columns (p, k) are in.
    rounding : float
        The length of a column that is nothing but rounding.

    Returns
    -------
    x : ndarray of shape (p, k)
        Solutions, zero for other columns.
    w : ndarray of shape (p, k)
        How much the objective falls by a unit of every other column; zero if that is within rounding.
    rests : ndarray of shape (p, k)
        The lengths of other columns less what the first ones explain.
    dependent : ndarray of bool, shape (p, k)
        First columns that depend on those before them.
    """
    Q, S = np.linalg.qr(A)
    d = (Q.swapaxes(1, 2) @ C[:, :, np.newaxis])[..., 0]
    diagonal = np.einsum("pii->pi", S)
    dependent = first & (np.abs(diagonal) <= rounding)
    within = first & ~dependent
    T = np.where(within[:, :, np.newaxis] & within[:, np.newaxis], S, np.eye(len(S[0])) * ~within[..., np.newaxis])
    t = np.linalg.solve(T.swapaxes(1, 2), (costs * within)[..., np.newaxis])[..., 0]
    x = np.linalg.solve(T, (d * within - t)[..., np.newaxis])[..., 0]
    low = np.where(first, 0, d)
    below = np.where(first[..., np.newaxis], 0, S)
    rests = np.sqrt(np.einsum("pij,pij->pj", below, below))
    w = (S.swapaxes(1, 2) @ (t + low)[..., np.newaxis])[..., 0] - costs
    size = np.sqrt(np.einsum("pi,pi->p", C, C))[:, np.newaxis]
    left = np.sqrt(np.einsum("pi,pi->p", low, low))[:, np.newaxis]
    noise = rounding * (left + rests * size + np.abs(t).sum(axis=1, keepdims=True) + costs)
    w = np.where(~first & (rests > rounding) & (w > noise), w, 0)
    return x, w, rests, dependent
