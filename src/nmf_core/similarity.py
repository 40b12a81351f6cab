"""How similar components are, and which of two sets are the same."""

from typing import Any

import numpy as np


def cosines(A: Any, B: Any) -> np.ndarray:
    """Cosine similarities (k, l) of the rows of A (k, m) and B (l, m), as float64; 0 with rows of zeros.

    Examples
    --------
    >>> from nmf_core.similarity import cosines
    >>> cosines([[1, 0], [0, 0]], [[3, 4], [2, 0]])
    array([[0.6, 1. ],
           [0. , 0. ]])
    """
    A, B = (unit_rows(np.asarray(rows, dtype=np.float64)) for rows in (A, B))
    return np.minimum(A @ B.T, 1)


def match(A: Any, B: Any) -> tuple[np.ndarray, np.ndarray]:
    """Pair the rows of A and B so that the sum of their cosine similarities is largest.

    Parameters
    ----------
    A, B : array-like, shape (k, m)
        Components of two runs.

    Returns
    -------
    order : ndarray of int, shape (k,)
        Row ``order[j]`` of B belongs to row j of A.
    cosine : ndarray of float64, shape (k,)
        How similar these are.

    Examples
    --------
    >>> from nmf_core.similarity import match
    >>> match([[1, 0], [0, 1]], [[0, 2], [3, 4]])
    (array([1, 0]), array([0.6, 1. ]))
    """
    from scipy.optimize import linear_sum_assignment

    similar = cosines(A, B)
    rows, order = linear_sum_assignment(similar, maximize=True)
    return order, similar[rows, order]


def unit_rows(A: np.ndarray) -> np.ndarray:
    """The rows of A scaled to Euclidean length one, as float32 or float64; zeros stay."""
    A = A.astype(np.result_type(A.dtype, np.float32), copy=False)
    # by their largest entries first, so that no square overflows or vanishes
    high = np.abs(A).max(axis=1, keepdims=True, initial=0)
    A = A / np.where(high > 0, high, 1)
    length = np.linalg.norm(A, axis=1, keepdims=True)
    A /= np.where(length > 0, length, 1)
    return A
