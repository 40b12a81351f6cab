"""Random starts, and one from clusters."""

import numpy as np

from nmf_core.data import FullMatrix, Matrix
from nmf_core.engine import padded
from nmf_core.initialization.base import Factors, sizes, times

ROWS = 1 << 16  # of W for which numbers are drawn together: in double they are a temporary
AVERAGED = 20  # samples or features of X whose mean is a start of a component


def random(data: Matrix, k: int, rng: np.random.RandomState) -> Factors:
    """Absolute values of normal numbers, scaled so that W @ H has about the mean of X, of what is known of it.

    The numbers are drawn as scikit-learn draws them, H before W: a seed gives the same start.
    """
    n_samples, n_features = sizes(data)
    average = np.sqrt(data.level() / k)
    H = average * rng.standard_normal(size=(k, n_features)).astype(data.dtype, copy=False)
    W = np.empty((n_samples, k), dtype=data.dtype) if data.transposed else data.empty_factor(k)
    for first in range(0, n_samples, ROWS):
        size = min(ROWS, n_samples - first), k
        W[first : first + ROWS, :k] = np.abs(average * rng.standard_normal(size=size).astype(data.dtype, copy=False))
    return W, np.abs(H).T


def random_vcol(data: FullMatrix, k: int, rng: np.random.RandomState) -> Factors:
    """Components of W are means of some random columns of X, those of H means of some random rows.

    Closer to the data than random numbers, and as sparse as their means. Scaled so that W @ H has the mean of X.

    References
    ----------
    A. N. Langville, C. D. Meyer, R. Albright, J. Cox and D. Duling (2014), "Algorithms, initializations, and
    convergence for the nonnegative matrix factorization", doi:10.48550/arXiv.1407.7299.
    """
    means = []
    for n, transpose in zip(sizes(data)[::-1], (False, True), strict=True):
        chosen = np.zeros((n, k))
        for c in range(k):
            chosen[rng.choice(n, min(n, AVERAGED), replace=False), c] = 1 / min(n, AVERAGED)
        means.append(times(data, padded(chosen, data.dtype), transpose=transpose)[:, :k].astype(np.float64))
    W, Ht = means
    # a component of which nothing was met takes the size of the others
    for F in means:
        F[:, ~F.any(axis=0)] = F.mean()
    model = float(W.sum(axis=0) @ Ht.sum(axis=0))
    if model > 0:
        W *= data.sum() / model
    return W, Ht


def kmeans(data: FullMatrix, k: int, rng: np.random.RandomState) -> Factors:
    """H holds the means of k clusters of samples, W says to which cluster a sample belongs, softened by 0.2.

    Clusters by Lloyd's algorithm from k distinct samples, a few iterations; they need not be good, only different.

    References
    ----------
    C. Ding, T. Li and M. I. Jordan (2010), "Convex and semi-nonnegative matrix factorizations",
    doi:10.1109/TPAMI.2008.277.
    """
    n, _ = sizes(data)
    member = np.zeros((n, k))
    member[rng.permutation(n)[:k], np.arange(min(n, k))] = 1
    for _ in range(10):
        centers = _means(data, member)
        products = times(data, padded(centers, data.dtype))[:, :k]
        distance = np.einsum("ij,ij->j", centers, centers) - 2 * products
        nearest = distance.argmin(axis=1)
        before, member = member, np.zeros((n, k))
        member[np.arange(n), nearest] = 1
        if np.array_equal(before, member):
            break
    centers = _means(data, member)
    # An empty cluster has no mean; a share of the overall one lets its component take part.
    empty = ~member.any(axis=0)
    centers[:, empty] = centers.mean(axis=1, keepdims=True) * rng.uniform(0.5, 1.5, size=(len(centers), empty.sum()))
    return member + 0.2, centers


def _means(data: FullMatrix, member: np.ndarray) -> np.ndarray:
    """The mean of every cluster's samples (n_features, k), in double, zero for an empty one."""
    k = member.shape[1]
    sums = times(data, padded(member, data.dtype), transpose=True)[:, :k]
    return sums.astype(np.float64) / np.maximum(member.sum(axis=0), 1)
