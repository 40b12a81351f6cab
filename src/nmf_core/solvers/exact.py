"""Rows solved exactly, from a QR factorization of the fixed factor: for components that are alike.

Normal equations square the condition of a factor, and coordinate descent creeps along directions that its components
hardly tell apart. With G = Q R, min ||x - G f|| over f >= 0 is min ||Q.T x - R f||, in which nothing is squared.
"""

import numpy as np

from nmf_core.data import FullMatrix, Matrix
from nmf_core.data.dense import Dense
from nmf_core.engine import Engine, Report, padded
from nmf_core.losses import Loss
from nmf_core.problem import Problem
from nmf_core.solvers.anls import unit_diagonal
from nmf_core.solvers.base import Solver
from nmf_core.solvers.hals import HALS
from nmf_core.solvers.observed import ObservedHALS
from nmf_core.solvers.state import State

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


def solver_for_rows(
    solver: Solver, problem: Problem, gram_H: np.ndarray, alike: float, tol: float
) -> tuple[Solver, float]:
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
    data, factor = problem.data, problem.factor_W
    if alike > ALIKE and factor.l2 and factor.row_weights is None:
        alike = condition(factor.shift(gram_H))
    if alike <= ALIKE:
        return solver, tol
    if problem.loss.quadratic and problem.biases is None and data.local and factor.plain:
        return Exact(), tol
    # What is left of the objective is up to the condition times what a step changes, squared.
    return solver, tol * float(np.sqrt(ALIKE / min(alike, 1 / _EPS)))


class Exact(HALS):
    """Every row of W is solved exactly, for a fixed H whose components are alike."""

    name = "anls-bpp"

    def suited(self, loss: Loss, data: type[Matrix]) -> Solver:
        return self if issubclass(data, FullMatrix) else _ExactObserved()

    def improve_rows(self, problem: Problem, s: State, max_sweeps: int, tol: float) -> Report:
        w, k, data = s.w, s.k, problem.data
        m = len(s.h.F)
        Q, R = np.linalg.qr(np.vstack([s.h.F[:, :k].astype(np.float64), np.sqrt(w.factor.l2) * np.eye(k)]))
        basis = padded(Q[:m], data.dtype)
        product = data.transposed_product if data.transposed else data.product
        C = product(basis)[:, :k].astype(np.float64)
        Z, unsolved = solve_rows(R, C, w.factor.l1, data.engine)
        w.F[:, :k] = Z
        w.gram = data.engine.gram(w.F, k)
        s.inner = float(np.sum((C @ R) * Z))
        # one step from zero to the solution, or all that are allowed
        change = np.einsum("ij,ij->", w.gram, s.h.gram, dtype=np.float64)
        return Report.of(float(change), max_sweeps if unsolved else 1, unsolved)


class _ExactObserved(ObservedHALS):
    """The same where entries are missing or weighted: coordinate descent tells where to start from."""

    name = "anls-bpp"

    def improve_rows(self, problem: Problem, s: State, max_sweeps: int, tol: float) -> Report:
        report = super().improve_rows(problem, s, max_sweeps, tol)
        w, data, k = s.w, problem.data, s.k
        G = s.h.F[:, :k].astype(np.float64)
        weights = w.row_weights.astype(np.float64)
        unsolved, step = 0, max(1, _BLOCK // k**2)
        for begin in range(0, len(w.F), step):
            rows = range(begin, min(begin + step, len(w.F)))
            R, C = np.zeros((len(rows), k, k)), np.zeros((len(rows), k))
            for i, row in enumerate(rows):
                places, x, counts = data.row(row)
                A = np.column_stack([G[places], x]) * np.sqrt(counts)[:, np.newaxis]
                more = np.eye(k, k + 1) * np.sqrt(w.factor.l2 * weights[row])
                S = np.asarray(np.linalg.qr(np.vstack([A, more]), mode="r"))[:k]
                R[i], C[i] = S[:, :k], S[:, k]
            Z = w.F[rows.start : rows.stop, :k].astype(np.float64)
            unsolved += refine(R, C, w.factor.l1 * weights[rows.start : rows.stop], Z)
            w.F[rows.start : rows.stop, :k] = Z
        # without a sum of errors, which lets the divergence be summed
        return Report.of(report.squared_step, max_sweeps if unsolved else report.sweeps, unsolved)


def solve_rows(R: np.ndarray, C: np.ndarray, l1: float, engine: Engine) -> tuple[np.ndarray, int]:
    """The minimisers of ||c - R z||^2 / 2 + l1 sum(z) over z >= 0, for every row c of C.

    Parameters
    ----------
    R : ndarray of shape (k, k)
        Upper triangular. Where its columns depend on each other there are many answers; one of them is found.
    C : ndarray of shape (p, k)
        Right-hand sides. A row's answer depends, to the last bit, on that row alone.
    l1 : float
        Strength of the penalty.
    engine : Engine
        What it is computed with.

    Returns
    -------
    Z : ndarray of shape (p, k)
        All in double.
    unsolved : int
        Rows for which the Karush-Kuhn-Tucker conditions do not hold up to rounding.
    """
    k = len(R)
    R = _without_twins(R)
    # All unknowns of one size.
    unit, scale = unit_diagonal(R.T @ R, np.arange(k))
    right = Dense(C, engine=engine).product(padded(R * scale, C.dtype))[:, :k] - l1 * scale
    Z = np.zeros_like(right)
    unsolved = engine.pivot(Z, right, unit, "bpp")
    Z *= scale
    if unsolved or condition(unit) > DOUBTFUL:
        unsolved, step = 0, max(1, _BLOCK // k**2)
        for first in range(0, len(C), step):
            rows = slice(first, first + step)
            c = C[rows]
            unsolved += refine(np.broadcast_to(R, (len(c), k, k)), c, np.full(len(c), l1), Z[rows])
    return Z, unsolved


def _without_twins(R: np.ndarray) -> np.ndarray:
    """R with zeros for columns that are multiples of others up to rounding: the largest of them does for all."""
    R, k = R.copy(), len(R)
    unit, scale = unit_diagonal(R.T @ R, np.arange(k))
    for i, j in zip(*np.nonzero(np.triu(unit > 1 - 1e-12, 1)), strict=True):
        if np.abs(R[:, i] * scale[i] - R[:, j] * scale[j]).max() <= 8 * k * _EPS:
            R[:, i if scale[i] > scale[j] else j] = 0
    return R


def refine(R: np.ndarray, C: np.ndarray, l1: np.ndarray, Z: np.ndarray) -> int:
    """Make solutions that others have found exact: the minimisers of ||c - R z||^2 / 2 + l1 sum(z) over z >= 0.

    By the active set method of Lawson and Hanson, starting from the unknowns that are positive. All rows are factorized
    together, each with the columns of its positive unknowns first: below these, the other columns and the right-hand
    side are what is left of them, free of cancellation, and so are gradients.

    Parameters
    ----------
    R : ndarray of shape (p, k, k)
        A matrix for every row.
    C, l1 : ndarray of shape (p, k) and (p,)
        Right-hand sides and strengths of the penalty.
    Z : ndarray of shape (p, k)
        Where to start. Modified in place.

    Returns
    -------
    int
        Rows for which rounding has kept it from ending.

    References
    ----------
    C. L. Lawson and R. J. Hanson (1974), "Solving least squares problems", chapter 23.
    """
    p, k = C.shape
    sizes = np.sqrt(np.einsum("pij,pij->pj", R, R))
    scale = np.divide(1, sizes, out=np.zeros((p, k)), where=sizes > 0)
    Z *= sizes
    inside, barred = Z > 0, np.zeros((p, k), dtype=bool)
    running = np.arange(p)
    for _ in range(10 * k + 50):
        at, guess, unit = Z[running], inside[running], scale[running]
        x, gain, dependent = _solve(R[running] * unit[:, np.newaxis], C[running], l1[running, np.newaxis] * unit, guess)
        # As far towards the solution as nothing becomes negative.
        falling = guess & (x <= 0) & (at > 0) & ~dependent
        shares = np.divide(at, at - x, out=np.ones((len(at), k)), where=falling)
        share = shares.min(axis=1, keepdims=True)
        leaving = dependent | falling & (shares <= share) | guess & (x <= 0) & (at == 0)
        moved = np.where(guess & ~leaving, np.maximum(at + share * (x - at), 0), 0)
        arrived = ~leaving.any(axis=1, keepdims=True)
        # What has been let in for nothing stays out until something has moved.
        bar = (barred[running] | leaving & (at == 0)) & (moved == at).all(axis=1, keepdims=True)
        gain *= arrived & ~guess & ~bar
        enters = (np.arange(k) == gain.argmax(axis=1)[:, np.newaxis]) & (gain > 0)
        inside[running], Z[running], barred[running] = guess & ~leaving | enters, moved, bar
        running = running[~arrived[:, 0] | enters.any(axis=1)]
        if len(running) == 0:
            break
    Z *= scale
    return len(running)


def _solve(A: np.ndarray, C: np.ndarray, costs: np.ndarray, guess: np.ndarray) -> tuple[np.ndarray, ...]:
    """Least squares with some columns of every matrix, and what that says of the others.

    Parameters
    ----------
    A : ndarray of shape (p, k, k)
        Matrices with columns of length one, or zero.
    C, costs : ndarray of shape (p, k)
        Right-hand sides and l1 penalties.
    guess : ndarray of bool, shape (p, k)
        The columns that are in.

    Returns
    -------
    x : ndarray of shape (p, k)
        Solutions, zero for other columns.
    gain : ndarray of shape (p, k)
        How fast the objective falls along what other columns have of their own; zero if that is within rounding.
    dependent : ndarray of bool, shape (p, k)
        Columns that are in but depend on others.
    """
    p, k = C.shape
    rounding = 8 * k * _EPS
    order = np.argsort(~guess, axis=1, kind="stable")
    first = np.take_along_axis(guess, order, axis=1)
    costs = np.take_along_axis(costs, order, axis=1)
    Q, S = np.linalg.qr(np.take_along_axis(A, order[:, np.newaxis], axis=2))
    d = (Q.swapaxes(1, 2) @ C[..., np.newaxis])[..., 0]
    dependent = first & (np.abs(np.einsum("pii->pi", S)) <= rounding)
    within = first & ~dependent
    T = np.where(within[..., np.newaxis] & within[:, np.newaxis], S, np.eye(k) * ~within[..., np.newaxis])
    t = np.linalg.solve(T.swapaxes(1, 2), (costs * within)[..., np.newaxis])[..., 0]
    x = np.linalg.solve(T, (d * within - t)[..., np.newaxis])[..., 0]
    left, own = np.where(first, 0, d), np.where(first[..., np.newaxis], 0, S)
    lengths = np.sqrt(np.einsum("pij,pij->pj", own, own))
    slopes = (S.swapaxes(1, 2) @ (t + left)[..., np.newaxis])[..., 0] - costs
    size, rest, pull = (np.abs(v).sum(axis=1, keepdims=True) for v in (C, left, t))
    certain = ~first & (lengths > rounding) & (slopes > rounding * (rest + lengths * size + pull + costs))
    gain = np.divide(slopes, lengths, out=np.zeros((p, k)), where=certain)
    x, gain, dependent = (np.take_along_axis(v, np.argsort(order, axis=1), axis=1) for v in (x, gain, dependent))
    return x, gain, dependent
