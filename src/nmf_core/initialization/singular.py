"""Starts from singular vectors."""

import numpy as np

from nmf_core.data import FullMatrix
from nmf_core.engine import Engine, padded, reduce_rows
from nmf_core.initialization.base import Factors, divide, placed, round_trip, sizes, times

ROWS = 4096  # of a block, so that what is made of it stays in the cache
SMALL = 100_000  # so many entries are no trouble in double
# Of the singular value decomposition. An iteration more helps as much as many directions more and costs less: with
# four, rows of 20 components still fit into two cache lines. Better triplets do not make a better start.
OVERSAMPLING, POWER_ITERATIONS = 4, 4
LEAST = 1e-6  # smaller entries of a start by singular vectors are zeros
# Where the mean of X is beyond, a start is that of X divided by it: `LEAST` and what zeros become suit common numbers.
COMMON = 1e-8, 1e6


def truncated_svd(data: FullMatrix, k: int, rng: np.random.RandomState) -> tuple[np.ndarray, ...]:
    """The k largest singular triplets of X, by a randomised range finder with power iterations.

    Parameters
    ----------
    data : Matrix
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
    size = min(k + OVERSAMPLING, n, m)
    if n * m <= SMALL:
        data = data.in_double()
    tall = n >= m
    Q = _dominant(data, size, POWER_ITERATIONS, rng)
    Y = times(data, Q, transpose=not tall)
    values, vectors = np.linalg.eigh(data.engine.gram_in_double(Y, size))
    s = np.sqrt(np.maximum(values, 0))
    s[s < 1e-7 * s[-1]] = 0
    # the largest first
    s, vectors = s[::-1][:k], vectors[:, ::-1][:, :k]
    for F, T in ((Q, vectors * (s > 0)), (Y, vectors * divide(np.ones_like(s), s))):
        data.engine.multiply(F, T)
    U, V = (Y, Q) if tall else (Q, Y)
    return U, s, V


def compress(
    data: FullMatrix, size: int, power_iterations: int, rng: np.random.RandomState
) -> tuple[np.ndarray, np.ndarray]:
    """An orthonormal basis of about what the longer side of X spans, and X seen in it.

    Returns
    -------
    Q, B : ndarray of shape (max(n_samples, n_features), ld) and (min(n_samples, n_features), ld)
        Factor arrays with `size` columns: X is about ``Q @ B.T``, or ``B @ Q.T`` if it has fewer samples than features.
    """
    n, m = sizes(data)
    tall = n >= m
    Q = times(data, _dominant(data, size, power_iterations, rng), transpose=not tall)
    _orthonormalize(Q, size, data.engine)
    _orthonormalize(Q, size, data.engine)
    return Q, times(data, Q, transpose=tall)


def _dominant(data: FullMatrix, size: int, power_iterations: int, rng: np.random.RandomState) -> np.ndarray:
    """About the `size` strongest directions of the shorter side of X, where a basis costs less: a factor array.

    Orthonormal if there were power iterations. From the third on they are a Chebyshev polynomial of A, which is
    X.T @ X or X @ X.T: it stays small where eigenvalues are below about one of those met that are not wanted, and
    grows faster above than powers do.

    References
    ----------
    Y. Zhou, Y. Saad, M. L. Tiago and J. R. Chelikowsky (2006), "Self-consistent-field calculations using
    Chebyshev-filtered subspace iteration", doi:10.1016/j.jcp.2006.03.017.

    X. Feng, W. Yu, Y. Xie and J. Tang (2024), "Algorithm 1043: Faster randomized SVD with dynamic shifts",
    doi:10.1145/3660629.
    """
    n, m = sizes(data)
    tall = n >= m
    # The last iteration brings what float32 lacks.
    rough = (power_iterations > 1 and data.in_single()) or data
    # any numbers around zero will do
    Q = padded(rng.randint(-128, 128, size=(min(n, m), size), dtype=np.int8), rough.dtype)
    Q[:, :size] += rough.dtype.type(0.5)
    if tall == data.transposed:  # a factor of the rows that are visited
        Q = placed(data, Q)
    # If these are all directions there are, none is unwanted, and must not lie where the polynomial has a root.
    unwanted = OVERSAMPLING // 2 if size < min(n, m) else 0
    shift, share, unit = 0.0, 0.5, _unit(data)
    last: np.ndarray | None = None
    for iteration in range(power_iterations):
        used = data if iteration == power_iterations - 1 else rough
        if Q.dtype != used.dtype:
            Q = padded(Q[:, :size], used.dtype)
            last = None if last is None else padded(last[:, :size], used.dtype)
        product = round_trip(used, Q, tall)
        if unit != 1:  # whose fourth powers may leave float64
            reduce_rows(product, _scale, unit**-2, engine=data.engine)
        if shift:
            reduce_rows(product, _subtract, shift, Q, engine=data.engine)
        if last is not None:  # of the three-term recurrence
            reduce_rows(product, _subtract, share * shift**2, last, engine=data.engine)
            share = 0.25
        T, values = _orthonormalize(product, size, data.engine)
        if shift:
            data.engine.multiply(Q, T)
            last = Q
        Q = product
        if iteration > 0:  # what the start became tells nothing: it was not orthonormal
            shift = max(shift, (values[min(unwanted, size - 1)] + shift) / 2)
    return Q


def _subtract(Y: np.ndarray, factor: float, Q: np.ndarray, engine: Engine) -> None:
    """Y -= factor * Q, in place."""
    for first in range(0, len(Y), ROWS):
        rows = slice(first, first + ROWS)
        Y[rows] -= Y.dtype.type(factor) * Q[rows]


def _scale(Y: np.ndarray, factor: float, engine: Engine) -> None:
    """Y *= factor, in place."""
    Y *= Y.dtype.type(factor)


def _orthonormalize(Y: np.ndarray, columns: int, engine: Engine) -> tuple[np.ndarray, np.ndarray]:
    """Replace the first columns of Y by an orthonormal basis; directions that are lost in rounding become zeros.

    From the eigenvectors of Y.T @ Y, a fraction of the cost of a QR decomposition. Orthonormal up to rounding times the
    squared condition of Y, so twice where that matters. Y is modified in place. Returns what it was multiplied by, and
    its singular values, the smallest first.
    """
    squares, vectors = np.linalg.eigh(engine.gram_in_double(Y, columns))
    used = squares > 1e-14 * squares[-1]
    T = vectors * divide(used.astype(np.float64), np.sqrt(np.where(used, squares, 0)))
    engine.multiply(Y, T)
    return T, np.sqrt(np.maximum(squares, 0))


def nndsvd(data: FullMatrix, k: int, rng: np.random.RandomState, fill: float = 0.0) -> Factors:
    """Non-negative double singular value decomposition: a start with zeros, or another number in place of them.

    Every singular triplet is replaced by the larger of its positive and its negative part.

    References
    ----------
    C. Boutsidis and E. Gallopoulos (2008), "SVD based initialization: a head start for nonnegative matrix
    factorization", doi:10.1016/j.patcog.2007.09.010.
    """
    U, s, V = truncated_svd(data, k, rng)
    root = np.sqrt(_unit(data))
    parts = [np.sqrt(data.engine.part_squares(F, k)) for F in (U, V)]
    # The larger of the two parts of each pair, by the product of their norms; its sign.
    positive, negative = parts[0] * parts[1]
    sign = np.where(positive >= negative, 1, -1)
    weight = np.sqrt(s * np.maximum(positive, negative))
    for F, norms in zip((U, V), parts, strict=True):
        factors = (sign * divide(weight, np.where(sign > 0, *norms))).astype(F.dtype)
        data.engine.keep_parts(F, factors, LEAST * root, fill / root)
    return U, V


def _unit(data: FullMatrix) -> float:
    """The mean of X, or 1 where it is common."""
    mean = data.mean()
    return 1.0 if mean <= 0 or COMMON[0] <= mean <= COMMON[1] else mean


def nndsvda(data: FullMatrix, k: int, rng: np.random.RandomState) -> Factors:
    """`nndsvd` with its zeros replaced by the mean of X."""
    return nndsvd(data, k, rng, data.mean())


def nndsvdar(data: FullMatrix, k: int, rng: np.random.RandomState) -> Factors:
    """`nndsvd` with its zeros replaced by small random numbers, around a hundredth of the mean of X."""
    W, Ht = (F[:, :k] for F in nndsvd(data, k, rng))
    mean = data.mean() / np.sqrt(_unit(data))
    W[W == 0] = np.abs(mean * rng.standard_normal(np.count_nonzero(W == 0)) / 100)
    Ht[Ht == 0] = np.abs(mean * rng.standard_normal(np.count_nonzero(Ht == 0)) / 100)
    return W, Ht
