"""A small number that is added to X, for losses that zeros make infinite."""

from typing import Any

import numpy as np

from nmf_core.data import FullMatrix, raised
from nmf_core.losses import Loss
from nmf_core.problem import container_for
from nmf_core.typing import Missing
from nmf_core.validation import ArrayOrSparse, Scan, check_floor, check_matrix, check_representable, check_resident


def apply_floor(
    X: Any, floor: Any, loss: Loss, missing: Missing | None, weights: ArrayOrSparse | None, scan: Scan | None = None
) -> tuple[Any, float]:
    """Validated X with a small number added to what is known, and that number.

    Parameters
    ----------
    X : ndarray, CSR or CSC array or matrix, or RowBlocks
        Validated. Not modified.
    floor : float, "auto" or None
        The number; "auto" finds one if the loss needs it, None adds nothing.
    loss : Loss
        The loss.
    missing, weights
        What is known, as in `nmf_core.factorize`.
    scan : Scan, optional
        What is known of the entries of X.

    Raises
    ------
    ValueError
        X is not in memory, or with the number it leaves its dtype.
    """
    floor = check_floor(floor)
    if floor and isinstance(X, FullMatrix):
        check_resident(False, "A floor")
    if floor == "auto":
        data = container_for(X, loss, missing=missing, weights=weights, scan=scan)
        floor = data.small() if loss.positive and data.has_zeros() else 0.0
    if not floor:
        return X, 0.0
    check_representable(floor, "floor", X.dtype)
    with np.errstate(over="ignore"):  # an infinity is reported
        X = raised(X, floor, missing)
    return check_matrix(X, "X with its floor", missing=missing).values, floor
