"""Starts from singular vectors."""

import numpy as np

from nmf_core import _core
from nmf_core._core import Team
from nmf_core.data import Complete
from nmf_core.initialization.base import Factors, divide, round_trip, sizes, times
from nmf_core.problem import padded

ROWS = 4096  # of a block that is computed in double
SMALL = 100_000  # so many entries are no trouble in double
POWER_ITERATIONS = 4  # of the singular value decomposition; more do not make a start better


def truncated_svd(data: Complete, k: int, rng: np.random.RandomState, team: Team) -> tuple[np.ndarray, ...]:
    """The k largest singular triplets of X, by a randomised range finder with power iterations.

    Parameters
    ----------
    data : Container
        X.
    k : int
        Number of triplets, at most min(n_samples, n_features).

    Returns
    -------
    U, s, V : ndarray of shape (n_samples, k), (k,), (n_features, k)
        X is about ``U * s @ V.T``; U and V in the dtype of X, in double if X is small. Singular values below 1e-7 of
        the largest are zero, and so are their vectors.

    References
    ----------
    N. Halko, P. G. Martinsson and J. A. Tropp (2011), "Finding structure with randomness", doi:10.1137/090771806.
    """
    n, m = sizes(data)
    size = min(k + 10, n, m)
    if n * m <= SMALL:
        data = data.in_double()
    tall = n >= m
    Q, B = compress(data, size, POWER_ITERATIONS, rng, team)
    values, vectors = np.linalg.eigh(_gram(B, size))
    s = np.sqrt(np.maximum(values, 0))
    s[s < 1e-7 * s[-1]] = 0
    # the largest first
    s, vectors = s[::-1][:k], vectors[:, ::-1][:, :k]
    _multiply(Q, size, vectors * (s > 0), team)
    _multiply(B, size, vectors * divide(np.ones_like(s), s), team)
    U, V = (Q, B) if tall else (B, Q)
    return U[:, :k], s, V[:, :k]


def compress(
    data: Complete, size: int, power_iterations: int, rng: np.random.RandomState, team: Team
) -> tuple[np.ndarray, np.ndarray]:
    """An orthonormal basis of about what the longer side of X spans, and X seen in it.

    Returns
    -------
    Q, B : ndarray of shape (max(n_samples, n_features), ld) and (min(n_samples, n_features), ld)
        Factor arrays with `size` columns: X is about ``Q @ B.T``, or ``B @ Q.T`` if it has fewer samples than features.
    """
    n, m = sizes(data)
    # The basis is kept on the shorter side as long as possible: there it costs less.
    tall = n >= m
    Q = padded(rng.standard_normal(size=(min(n, m), size)), data.dtype)
    for _ in range(power_iterations):
        Q = round_trip(data, Q, size, team, tall)
        _orthonormalize(Q, size, team)
    Q = times(data, Q, size, team, transpose=not tall)
    _orthonormalize(Q, size, team)
    _orthonormalize(Q, size, team)
    return Q, times(data, Q, size, team, transpose=tall)


def _gram(Y: np.ndarray, columns: int) -> np.ndarray:
    """Y.T @ Y of the first columns, in double, by blocks: a copy of all would be the largest array of a fit."""
    total = np.zeros((columns, columns))
    for first in range(0, len(Y), ROWS):
        block = Y[first : first + ROWS, :columns].astype(np.float64)
        total += block.T @ block
    return total


def _multiply(Y: np.ndarray, columns: int, T: np.ndarray, team: Team) -> None:
    """Y @ T for the first columns, in place; T may have fewer columns than rows."""
    G = np.zeros((columns, Y.shape[1]), dtype=Y.dtype)
    G[:, : T.shape[1]] = T
    block = np.empty((min(ROWS, len(Y)), Y.shape[1]), dtype=Y.dtype)
    for first in range(0, len(Y), ROWS):
        rows = Y[first : first + ROWS]
        _core.dense_product(block[: len(rows)], rows[:, :columns], G, team)
        rows[:] = block[: len(rows)]


def _orthonormalize(Y: np.ndarray, columns: int, team: Team) -> None:
    """Replace the first columns of Y by an orthonormal basis; directions that are lost in rounding become zeros.

    From the eigenvectors of Y.T @ Y, a fraction of the cost of a QR decomposition. Orthonormal up to rounding times the
    squared condition of Y, so twice where that matters. Y is modified in place.
    """
    values, vectors = np.linalg.eigh(_gram(Y, columns))
    used = values > 1e-14 * values[-1]
    inverse = divide(used.astype(np.float64), np.sqrt(np.where(used, values, 0)))
    _multiply(Y, columns, vectors * inverse, team)


def nndsvd(data: Complete, k: int, rng: np.random.RandomState, team: Team) -> Factors:
    """Non-negative double singular value decomposition: a start with zeros.

    Every singular triplet is replaced by the larger of its positive and its negative part.

    References
    ----------
    C. Boutsidis and E. Gallopoulos (2008), "SVD based initialization: a head start for nonnegative matrix
    factorization", doi:10.1016/j.patcog.2007.09.010.
    """
    U, s, V = truncated_svd(data, k, rng, team)
    parts = [_part_norms(U), _part_norms(V)]
    # The larger of the two parts of each pair, by the product of their norms; its sign.
    positive, negative = parts[0] * parts[1]
    sign = np.where(positive >= negative, 1, -1)
    weight = np.sqrt(s * np.maximum(positive, negative))
    for F, norms in zip((U, V), parts, strict=True):
        factors = (sign * divide(weight, np.where(sign > 0, *norms))).astype(F.dtype)
        for first in range(0, len(F), ROWS):
            block = F[first : first + ROWS]
            block *= factors
            block *= block >= 1e-6
    return U, V


def _part_norms(U: np.ndarray) -> np.ndarray:
    """The norms (2, k) of the positive and of the negative parts of the columns, in double."""
    squares = np.zeros((2, U.shape[1]))
    for first in range(0, len(U), ROWS):
        block = U[first : first + ROWS].astype(np.float64)
        for part, clipped in enumerate((np.maximum(block, 0), np.minimum(block, 0))):
            squares[part] += np.einsum("ij,ij->j", clipped, clipped)
    return np.sqrt(squares)


def nndsvda(data: Complete, k: int, rng: np.random.RandomState, team: Team) -> Factors:
    """`nndsvd` with its zeros replaced by the mean of X."""
    W, Ht = nndsvd(data, k, rng, team)
    mean = data.mean()
    for F in (W, Ht):
        np.copyto(F, mean, where=F == 0)
    return W, Ht


def nndsvdar(data: Complete, k: int, rng: np.random.RandomState, team: Team) -> Factors:
    """`nndsvd` with its zeros replaced by small random numbers, around a hundredth of the mean of X."""
    W, Ht = nndsvd(data, k, rng, team)
    mean = data.mean()
    W[W == 0] = np.abs(mean * rng.standard_normal(np.count_nonzero(W == 0)) / 100)
    Ht[Ht == 0] = np.abs(mean * rng.standard_normal(np.count_nonzero(Ht == 0)) / 100)
    return W, Ht
