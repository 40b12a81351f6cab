"""Starts from singular vectors."""

import numpy as np

from nmf_core import _core
from nmf_core._core import Team
from nmf_core.data import Complete, gram_in_double, over_rows
from nmf_core.initialization.base import Factors, divide, placed, round_trip, sizes, times
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
    U, s, V : ndarray of shape (n_samples, ld), (k,), (n_features, ld)
        X is about ``U[:, :k] * s @ V[:, :k].T``; U and V in the dtype of X, in double if X is small. Singular values
        below 1e-7 of the largest are zero, and so are their vectors.

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
    values, vectors = np.linalg.eigh(over_rows(B, gram_in_double, size, team=team))
    s = np.sqrt(np.maximum(values, 0))
    s[s < 1e-7 * s[-1]] = 0
    # the largest first
    s, vectors = s[::-1][:k], vectors[:, ::-1][:, :k]
    for F, T in ((Q, vectors * (s > 0)), (B, vectors * divide(np.ones_like(s), s))):
        over_rows(F, _multiply, size, T, team=team)
    U, V = (Q, B) if tall else (B, Q)
    return U, s, V


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
    if tall == data.transposed:  # a factor of the rows that are visited
        Q = placed(data, Q)
    for _ in range(power_iterations):
        Q = round_trip(data, Q, size, team, tall)
        _orthonormalize(Q, size, team)
    Q = times(data, Q, size, team, transpose=not tall)
    _orthonormalize(Q, size, team)
    _orthonormalize(Q, size, team)
    return Q, times(data, Q, size, team, transpose=tall)


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
    values, vectors = np.linalg.eigh(over_rows(Y, gram_in_double, columns, team=team))
    used = values > 1e-14 * values[-1]
    inverse = divide(used.astype(np.float64), np.sqrt(np.where(used, values, 0)))
    over_rows(Y, _multiply, columns, vectors * inverse, team=team)


def nndsvd(data: Complete, k: int, rng: np.random.RandomState, team: Team) -> Factors:
    """Non-negative double singular value decomposition: a start with zeros.

    Every singular triplet is replaced by the larger of its positive and its negative part.

    References
    ----------
    C. Boutsidis and E. Gallopoulos (2008), "SVD based initialization: a head start for nonnegative matrix
    factorization", doi:10.1016/j.patcog.2007.09.010.
    """
    U, s, V = truncated_svd(data, k, rng, team)
    parts = [np.sqrt(over_rows(F, _part_squares, k, team=team)) for F in (U, V)]
    # The larger of the two parts of each pair, by the product of their norms; its sign.
    positive, negative = parts[0] * parts[1]
    sign = np.where(positive >= negative, 1, -1)
    weight = np.sqrt(s * np.maximum(positive, negative))
    for F, norms in zip((U, V), parts, strict=True):
        factors = (sign * divide(weight, np.where(sign > 0, *norms))).astype(F.dtype)
        over_rows(F, _scale, factors, team=team)
    return U, V


def _scale(F: np.ndarray, factors: np.ndarray, team: Team) -> None:
    """Multiply the first columns of F, of which small and negative entries become zeros. F is modified in place."""
    for first in range(0, len(F), ROWS):
        block = F[first : first + ROWS, : len(factors)]
        block *= factors
        block *= block >= 1e-6


def _part_squares(U: np.ndarray, k: int, team: Team) -> np.ndarray:
    """The squared norms (2, k) of the positive and of the negative parts of the first k columns, in double."""
    squares = np.zeros((2, k))
    for first in range(0, len(U), ROWS):
        block = U[first : first + ROWS, :k].astype(np.float64)
        for part, clipped in enumerate((np.maximum(block, 0), np.minimum(block, 0))):
            squares[part] += np.einsum("ij,ij->j", clipped, clipped)
    return squares


def nndsvda(data: Complete, k: int, rng: np.random.RandomState, team: Team) -> Factors:
    """`nndsvd` with its zeros replaced by the mean of X."""
    W, Ht = nndsvd(data, k, rng, team)
    for F in (W, Ht):
        over_rows(F, _fill, k, data.mean(), team=team)
    return W, Ht


def _fill(F: np.ndarray, k: int, value: float, team: Team) -> None:
    """Put a number in place of the zeros in the first k columns of F. F is modified in place."""
    np.copyto(F[:, :k], value, where=F[:, :k] == 0)


def nndsvdar(data: Complete, k: int, rng: np.random.RandomState, team: Team) -> Factors:
    """`nndsvd` with its zeros replaced by small random numbers, around a hundredth of the mean of X."""
    W, Ht = (F[:, :k] for F in nndsvd(data, k, rng, team))
    mean = data.mean()
    W[W == 0] = np.abs(mean * rng.standard_normal(np.count_nonzero(W == 0)) / 100)
    Ht[Ht == 0] = np.abs(mean * rng.standard_normal(np.count_nonzero(Ht == 0)) / 100)
    return W, Ht
