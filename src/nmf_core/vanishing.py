"""Penalties that leave nothing of the factors, and how strong they may be at most."""

import math
from typing import Any

import numpy as np

from nmf_core.data import FullMatrix, ObservedMatrix
from nmf_core.problem import Problem
from nmf_core.warning import warn

_NOTHING = 1e-10  # of the sum of X: multiplicative updates come close to zero before they reach it


def warn_of_nothing(
    problem: Problem, W: Any, Ht: np.ndarray, k: int, alpha_W: float, alpha_H: float | str | None
) -> None:
    """Warn if W @ H is zero, but X is not, because of penalties or of an H that is zero.

    Parameters
    ----------
    problem : Problem
        What was minimised.
    W, Ht : ndarray of shape (n_samples, ld) and (n_features, ld)
        Factor arrays of the result.
    k : int
        Number of components.
    alpha_W, alpha_H : float
        The strengths of the penalties; "same" is `alpha_W`, None that H was given.
    """
    if problem.biases is not None:  # which may be all that there is
        return
    fixed = alpha_H is None
    alphas = {"alpha_W": alpha_W} if fixed or isinstance(alpha_H, str) else {"alpha_W": alpha_W, "alpha_H": alpha_H}
    named = " and ".join(f"{name}={alpha:g}" for name, alpha in alphas.items() if alpha)
    sums_W, sums_H = (problem.data.engine.sums(F, k) for F in (W, Ht))
    total = float(sums_W @ sums_H)
    if (total and (fixed or total > _NOTHING * problem.data.sum())) or not problem.data.sum() > 0:
        return
    if fixed and not sums_H.any():
        warn("All components are zero, and so is W.")
        return
    share = _share_for_rows(problem, Ht, k) if fixed else _share_for_both(problem)
    if named and share != 0:
        less = "" if share is None else " and ".join(_at_most(share * alpha / 2) for alpha in alphas.values() if alpha)
        advice = f"about {less} or less leaves something." if less else "use much less."
        verb = "are" if " and " in named else "is"
        warn(f"{'W is' if fixed else 'W and H are'} all zero: {named} {verb} too much for this X; {advice}")


def _at_most(value: float) -> str:
    """A positive number rounded down to one digit."""
    unit = 10.0 ** math.floor(math.log10(value))
    return f"{math.floor(value / unit) * unit:g}"


def _share_for_rows(problem: Problem, Ht: np.ndarray, k: int) -> float:
    """The share of the penalty beyond which every row of W is zero; zero if it is not the penalty that makes it so.

    A row x stays zero if no component gains by a first step: where H x <= l1.
    """
    data, factor = problem.data, problem.factor_W
    if not problem.loss.quadratic or not factor.l1:
        return 0.0
    if isinstance(data, FullMatrix):
        gain = float((data.transposed_product if data.transposed else data.product)(Ht).max())
    else:
        assert isinstance(data, ObservedMatrix)
        rows, amounts = map(data.row, range(data.shape[0])), factor.weights_of(data.shape[0], np.dtype(np.float64))
        gains = [float((values * weights @ Ht[places, :k]).max()) for places, values, weights in rows]
        gain = max(gain / amount for gain, amount in zip(gains, amounts, strict=True) if amount > 0)
    return gain / factor.l1


def _share_for_both(problem: Problem) -> float | None:
    """About the share of both penalties up to which one component is better than none, or None if it is not known.

    Of X as the product of its row and column sums, one component of size t, shared between w and h as is best, has the
    objective ``t^2 / 2 - t (s - l2) + 2 l1 sqrt(t)``, up to a constant. That is negative somewhere if
    ``l1 < (2 / 3 (s - l2))^(3 / 2) / 2``.
    """
    if not problem.loss.quadratic:
        return None
    rows, columns = problem.data.sums(), problem.data.sums(columns=True)
    total, norms = float(rows.sum()), [float(np.linalg.norm(sums)) for sums in (rows, columns)]
    size = norms[0] * norms[1] / total
    per_row = [1.0 if f.row_weights is None else float(np.mean(f.row_weights)) for f in problem.factors]
    l1 = math.sqrt(
        math.prod(f.l1 * n for f, n in zip(problem.factors, per_row, strict=True)) * total**2 / math.prod(norms)
    )
    l2 = math.sqrt(math.prod(f.l2 * n for f, n in zip(problem.factors, per_row, strict=True)))
    low, high = 0.0, 1.0
    for _ in range(60):
        share = (low + high) / 2
        if share * l1 < (2 / 3 * max(0.0, size - share * l2)) ** 1.5 / 2:
            low = share
        else:
            high = share
    return low
