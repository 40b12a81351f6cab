"""Rows in NumPy: what an update does where no kernel knows its method, its bounds or its loss.

Slower than kernels, but of the same meaning: new kinds of updates work on the day they are written.
"""

from typing import Any

import numpy as np

_TINY = float(np.finfo(np.float32).eps)  # in place of a denominator of zero


def improve(start: np.ndarray, cross: np.ndarray, u: Any) -> tuple[np.ndarray, float, int, int]:
    """Rows of a quadratic loss.

    Parameters
    ----------
    start, cross : ndarray of shape (n, ld)
        Where rows begin, and ``A @ G``.
    u : Update
        How: coordinate descent within bounds, or a method of its own.

    Returns
    -------
    F : ndarray of shape (n, k)
        In double.
    squared_step, sweeps, unfinished
        As in `Report`.
    """
    k = len(u.scale)
    F, C, gram = start[:, :k].astype(np.float64), cross[:, :k].astype(np.float64), u.gram.astype(np.float64)
    if u.offset is not None:
        C += u.offset
    lower = np.zeros(k) if u.lower is None else u.lower.astype(np.float64)
    upper = np.full(k, np.inf) if u.upper is None else u.upper.astype(np.float64)
    C -= u.l1 * (lower == 0)
    if u.max_sweeps == 0:
        return F, 0.0, 0, 0
    if callable(u.method):
        found = np.clip(u.method(F.copy(), C, gram, u.order), lower, upper)
        step, curvature = _steps(F, C, gram, lower, upper), gram.diagonal()
        F[:, u.order] = found[:, u.order]
        return F, float(np.sum(step[:, u.order] ** 2 * curvature[u.order])), 1, 0
    running = np.arange(len(F))
    first: Any = None
    sweeps = 0
    while len(running) and sweeps < u.max_sweeps:
        sweeps += 1
        lengths = _sweep(F, running, C, gram, u.order, lower, upper)
        if first is None:
            first = lengths.copy()
        running = running[lengths > u.tol**2 * first[running]]
    return F, 0.0 if first is None else float(first.sum()), sweeps, len(running)


def _steps(F: np.ndarray, C: np.ndarray, gram: np.ndarray, lower: np.ndarray, upper: np.ndarray) -> np.ndarray:
    """What coordinate descent would change of every coordinate by itself."""
    curvature = gram.diagonal()
    towards = np.divide(C - F @ gram, curvature, out=np.zeros_like(F), where=curvature > 0)
    return np.clip(F + towards, lower, upper) - F


def _sweep(
    F: np.ndarray, rows: np.ndarray, C: np.ndarray, gram: np.ndarray, order: np.ndarray, lower: Any, upper: Any
) -> np.ndarray:
    """One coordinate after the other of some rows is set to its minimiser within bounds; squared scaled steps (n,)."""
    f, cross = F[rows], C[rows]
    lengths = np.zeros(len(rows))
    for c in order:
        downhill = cross[:, c] - f @ gram[:, c]
        if gram[c, c] > 0:
            new = np.clip(f[:, c] + downhill / gram[c, c], lower[c], upper[c])
        else:  # no partner: nothing to gain, but a penalty to lose
            new = np.where(downhill >= 0, f[:, c], max(lower[c], 0.0))
        lengths += (new - f[:, c]) ** 2 * gram[c, c]
        f[:, c] = new
    F[rows] = f
    return lengths


def multiply(F: np.ndarray, numerator: np.ndarray, denominator: np.ndarray, u: Any) -> tuple[np.ndarray, float]:
    """One multiplicative update of rows F (n, k), given the parts of the gradient; and its squared scaled steps.

    The curvature that scales a step is estimated from the slope of the part that pulls to zero, shared out among the
    components by what they hold of the model.
    """
    order, k = u.order, F.shape[1]
    sums = u.sums[:k].astype(np.float64)
    weights = 1.0 if u.row_weights is None else u.row_weights.astype(np.float64)[:, np.newaxis]
    slope = denominator + weights * (u.l1 + u.l2 * F)
    size = F @ sums
    share = np.divide(sums, size[:, np.newaxis], out=np.zeros_like(F), where=size[:, np.newaxis] > 0)
    curvature = weights * u.l2 + slope * share
    steps = np.maximum(-F, np.divide(numerator - slope, curvature, out=np.zeros_like(F), where=curvature > 0))
    growth = np.maximum(numerator, 0) / np.where(slope > 0, slope, _TINY)
    new = F.copy()
    new[:, order] = (F * growth**u.exponent)[:, order]
    return new, float(np.sum((steps**2 * curvature)[:, order]))


def extrapolate(F: np.ndarray, F_new: np.ndarray | None, new: np.ndarray, u: Any) -> None:
    """Put improved rows (n, k) into F; or, with F_new, these into F_new, and into F what lies ahead of them."""
    k = new.shape[1]
    if F_new is None:
        F[:, :k] = new
        return
    low = 0.0 if u.lower is None else u.lower
    high = np.inf if u.upper is None else u.upper
    ahead = np.clip(new + u.momentum * (new - u.before[:, :k] * u.scale), low, high)
    F_new[:, :k] = new
    F[:, :k] = ahead
