"""How often samples get the same label in many runs, without a matrix of all pairs where there are many."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

MOST = 4000  # samples of which all pairs are looked at
PATTERNS = 5000  # different tuples of labels of which all pairs are looked at, where there are more samples
_ENTRIES = 1 << 22  # of the largest temporary matrices of float32, but for the distances themselves
_AMBIGUOUS = (0.1, 0.9)


class _Patterns(NamedTuple):
    """The samples of which all pairs are looked at.

    Attributes
    ----------
    samples : ndarray of int, shape (p,)
        Their numbers.
    weights : ndarray of float64, shape (p,)
        For how many samples with the same labels each stands.
    of : ndarray of int, shape (n_samples,)
        Which of them has the labels of a sample, -1 if none does.
    """

    samples: np.ndarray
    weights: np.ndarray
    of: np.ndarray


@dataclass(frozen=True, eq=False, repr=False)
class Consensus:
    """Agreement of many runs about which samples belong together.

    The consensus of two samples is the share of the runs in which they have the same label [1]_. Up to 4,000 samples
    all pairs are looked at, by SciPy. Of more, samples that have the same labels as each other in every run become one
    pattern, which weighs as much as its samples, with the same result. Where there are more than 5,000 patterns,
    5,000 samples that are drawn at random, always the same, stand for all.

    So memory does not grow with the square of the number of samples: for 100,000 samples, 200 runs and 5 components it
    stays below 0.5 GB besides the labels themselves. Most of it are the distances of 5,000 patterns, 200 MB as a
    square; matrices that tell the labels of patterns by zeros and ones are made of float32, in blocks of 16 MB.

    Attributes
    ----------
    labels : ndarray of int, shape (n_runs, n_samples)
        The label of every sample in every run, such as the number of its strongest component. Labels of different runs
        need not have the same meaning.
    n_clusters : int
        Clusters of samples at most.

    References
    ----------
    .. [1] J.-P. Brunet, P. Tamayo, T. R. Golub and J. P. Mesirov (2004), "Metagenes and molecular pattern discovery
       using matrix factorization", doi:10.1073/pnas.0308531101.
    .. [2] H. Kim and H. Park (2007), "Sparse non-negative matrix factorizations via alternating
       non-negativity-constrained least squares for microarray data analysis", doi:10.1093/bioinformatics/btm134.
    .. [3] Y. Senbabaoglu, G. Michailidis and J. Z. Li (2014), "Critical limitations of consensus clustering in class
       discovery", doi:10.1038/srep06207.

    Examples
    --------
    Of four runs all tell the first two samples from the last one, but they disagree about the third.

    >>> import numpy as np
    >>> from nmf_core.ensemble.consensus import Consensus
    >>> consensus = Consensus(np.array([[0, 0, 0, 1], [1, 1, 1, 0], [0, 0, 0, 1], [0, 0, 1, 1]]), 2)
    >>> consensus.condensed()  # of samples 0 and 1, 0 and 2, 0 and 3, 1 and 2, 1 and 3, 2 and 3
    array([1.  , 0.75, 0.  , 0.75, 0.  , 0.25])
    >>> consensus.clusters
    array([0, 0, 0, 1])
    >>> round(consensus.cophenetic, 3), consensus.dispersion, consensus.pac
    (0.977, 0.71875, 0.5)
    """

    labels: np.ndarray
    n_clusters: int

    # --- pairs

    def condensed(self, samples: Any = None) -> np.ndarray:
        """The consensus of pairs of samples, in SciPy's order of pairs.

        Parameters
        ----------
        samples : array-like of int, shape (p,), optional
            Numbers of the samples, by default of all. Every pair takes 8 bytes.

        Returns
        -------
        ndarray of float64, shape (p * (p - 1) / 2,)
        """
        codes = self._codes if samples is None else self._codes[:, np.asarray(samples)]
        return _condensed(codes)

    def square(self, samples: Any = None) -> np.ndarray:
        """The consensus of pairs of samples as a symmetric matrix (p, p) of float64, the diagonal 1.

        Parameters
        ----------
        samples : array-like of int, shape (p,), optional
            Numbers of the samples, by default of all. Every entry takes 8 bytes.
        """
        codes = self._codes if samples is None else self._codes[:, np.asarray(samples)]
        return _square(codes)

    def order(self, samples: Any = None) -> np.ndarray:
        """Numbers of samples in the order of the leaves of their tree, so that similar ones are side by side.

        ``square(order(samples))`` is a matrix to draw. Samples without a pattern that was drawn come last in their
        cluster.

        Parameters
        ----------
        samples : array-like of int, shape (p,), optional
            Numbers of the samples, of which a tree of their own is made; by default all.

        Returns
        -------
        ndarray of int, shape (p,)
        """
        if samples is not None:
            chosen = np.arange(self._codes.shape[1])[np.asarray(samples)]
            return chosen[Consensus(self._codes[:, chosen], self.n_clusters).order()]
        patterns, clusters = self._patterns, self.clusters
        p = len(patterns.samples)
        place = np.zeros(p, dtype=int)
        if p > 1:
            from scipy.cluster.hierarchy import leaves_list

            place[leaves_list(self._tree)] = np.arange(p)
        start = np.full(self.n_clusters, p)  # where a cluster begins
        np.minimum.at(start, clusters[patterns.samples], place)
        return np.lexsort((np.where(patterns.of < 0, p, place[patterns.of]), start[clusters]))

    # --- statistics

    @cached_property
    def cophenetic(self) -> float:
        """The correlation of ``1 - consensus`` with the distances in the tree of average linkage, over all pairs.

        It is 1 if runs agree, and where all pairs have the same distance [1]_.
        """
        if np.count_nonzero(self._histogram) < 2:
            return 1.0
        if not self._exact:
            return weighted_cophenetic(self._tree, self._distances, self._patterns.weights)
        from scipy.cluster.hierarchy import cophenet

        return min(1.0, float(cophenet(self._tree, self._distances)[0]))

    @cached_property
    def dispersion(self) -> float:
        """The mean of ``4 * (consensus - 1/2)**2`` over all entries of the square matrix, the diagonal included.

        It is 1 if every pair of samples is together in all runs or in none [2]_.
        """
        n = self._codes.shape[1]
        total = self._histogram.sum() or 1.0
        mean = float(self._histogram @ (4 * (self._values - 0.5) ** 2)) / total
        return float((1 + (n - 1) * mean) / n)

    @cached_property
    def pac(self) -> float:
        """The share of pairs of samples whose consensus is ambiguous: above 0.1 and below 0.9 [3]_."""
        low, high = _AMBIGUOUS
        total = self._histogram.sum() or 1.0
        return float(self._histogram[(self._values > low) & (self._values < high)].sum() / total)

    @cached_property
    def clusters(self) -> np.ndarray:
        """The cluster (n_samples,) of every sample, from 0: the tree of average linkage cut into `n_clusters` at most.

        Clusters are numbered by decreasing size, of equal ones by the first sample. A sample without a pattern that
        was drawn is in the cluster whose samples are nearest on average.
        """
        clusters = cut(self._tree, self.n_clusters)[self._patterns.of]
        left = self._patterns.of < 0
        if left.any():
            there = clusters[~left]
            agreement = _agreement(self._codes[:, left], self._codes[:, ~left], there)
            clusters[left] = np.argmax(agreement / np.bincount(there), axis=1)
        return by_decreasing_size(clusters)

    @cached_property
    def silhouette(self) -> np.ndarray:
        """The silhouette (n_samples,) of every sample, by the distances ``1 - consensus`` to all samples in `clusters`.

        0 for a sample that is alone in its cluster, and for all where there is only one cluster.
        """
        agreement = _agreement(self._codes, self._codes, self.clusters)
        n_runs = len(self._codes)
        # zero exactly where it should be: these are whole numbers
        return silhouettes((n_runs * np.bincount(self.clusters) - agreement) / n_runs, self.clusters)

    # --- what they are made of

    @cached_property
    def _codes(self) -> np.ndarray:
        """The labels, counted from 0, in the smallest type that holds them."""
        labels = np.asarray(self.labels)
        low = labels.min(initial=0)
        codes = np.empty(labels.shape, dtype=np.min_scalar_type(int(labels.max(initial=0)) - int(low)))
        for run, label in zip(codes, labels, strict=True):
            run[:] = np.subtract(label, low, dtype=np.int64)
        return codes

    @property
    def _exact(self) -> bool:
        return self._codes.shape[1] <= MOST

    @cached_property
    def _patterns(self) -> _Patterns:
        n = self._codes.shape[1]
        return _Patterns(np.arange(n), np.ones(n), np.arange(n)) if self._exact else _patterns(self._codes)

    @property
    def _distances(self) -> np.ndarray:
        """One minus the consensus of pairs of patterns, condensed."""
        consensus = self.condensed(self._patterns.samples)
        return np.subtract(1, consensus, out=consensus)

    @cached_property
    def _tree(self) -> np.ndarray:
        """The average linkage of patterns, as SciPy has it."""
        if self._exact:
            from scipy.cluster.hierarchy import linkage

            return linkage(self._distances, "average") if self._codes.shape[1] > 1 else np.empty((0, 4))
        consensus = self.square(self._patterns.samples)
        return weighted_linkage(np.subtract(1, consensus, out=consensus), self._patterns.weights)

    @cached_property
    def _histogram(self) -> np.ndarray:
        """Pairs of samples (n_runs + 1,) that have the same label in so many runs."""
        codes, weights = self._codes[:, self._patterns.samples], self._patterns.weights
        pairs = np.zeros(len(codes) + 1)
        for i, counts in enumerate(_counts(codes)):
            pairs += np.bincount(counts.astype(np.intp), weights[i] * weights[i + 1 :], minlength=len(pairs))
        pairs[-1] += (weights * (weights - 1)).sum() / 2  # within a pattern
        return pairs

    @property
    def _values(self) -> np.ndarray:
        """The consensus of pairs that have the same label in 0, 1, ... runs."""
        n_runs = len(self._codes)
        return np.arange(n_runs + 1) / n_runs


def weighted_linkage(distances: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Average linkage of points each of which stands for several that are in the same place.

    The nearest-neighbour chain, with the same choice among equal distances as in SciPy.

    Parameters
    ----------
    distances : ndarray of float64, shape (p, p)
        Symmetric; it is overwritten.
    weights : ndarray of float64, shape (p,)
        For how many a point stands.

    Returns
    -------
    ndarray of float64, shape (p - 1, 4)
        As of `scipy.cluster.hierarchy.linkage`: the last column counts points, without their weights.

    Examples
    --------
    The middle point is merged with the first one; the third then has distance (9 * 1 + 1 * 2) / 10 to them.

    >>> import numpy as np
    >>> from nmf_core.ensemble.consensus import weighted_linkage
    >>> weighted_linkage(np.array([[0.0, 0.5, 1.0], [0.5, 0.0, 2.0], [1.0, 2.0, 0.0]]), np.array([9.0, 1.0, 1.0]))
    array([[0. , 1. , 0.5, 2. ],
           [2. , 3. , 1.1, 3. ]])
    """
    p = len(weights)
    size = np.array(weights, dtype=float)
    left = np.ones(p, dtype=bool)
    merges = np.empty((max(p - 1, 0), 3))
    chain: list[int] = []
    np.fill_diagonal(distances, np.inf)
    for merge in merges:
        if not chain:
            chain.append(int(left.argmax()))
        x, y = _mutual_neighbours(distances, chain)
        merge[:] = x, y, distances[x, y]
        row = (size[x] * distances[x] + size[y] * distances[y]) / (size[x] + size[y])
        # y becomes both, x infinitely far from all
        distances[y] = distances[:, y] = row
        distances[x] = distances[:, x] = np.inf
        size[y] += size[x]
        left[x] = False
    return _numbered(merges[np.argsort(merges[:, 2], kind="stable")])


def _mutual_neighbours(distances: np.ndarray, chain: list[int]) -> tuple[int, int]:
    """Go from point to nearest point until two are nearest to each other; these are taken off the chain."""
    while True:
        x = chain[-1]
        y = int(distances[x].argmin())
        # of equal distances that to the point before, or the chain would not end
        if len(chain) > 1 and distances[x, chain[-2]] <= distances[x, y]:
            y, x = sorted((chain.pop(), chain.pop()), reverse=True)
            return x, y
        chain.append(y)


def _numbered(merges: np.ndarray) -> np.ndarray:
    """SciPy's linkage matrix of merges (p - 1, 3) of two points that stand for their clusters, by ascending distance.

    Clusters get numbers from p in the order of the merges.
    """
    p = len(merges) + 1
    above = np.arange(2 * p - 1)  # of every cluster one that it has become part of, itself if it is not part of any
    size = np.ones(2 * p - 1)
    tree = np.empty((p - 1, 4))
    for new, (x, y, distance) in enumerate(merges, start=p):
        pair = sorted((_root(above, int(x)), _root(above, int(y))))
        above[pair] = new
        size[new] = size[pair].sum()
        tree[new - p] = *pair, distance, size[new]
    return tree


def cut(tree: np.ndarray, n_clusters: int) -> np.ndarray:
    """The cluster (p,) of every point of a linkage (p - 1, 4), with so many clusters, or fewer where points coincide.

    SciPy's ``fcluster(tree, n_clusters, "maxclust")`` merges all that have the same distance, and so finds a single
    cluster where groups have nothing in common.

    Examples
    --------
    >>> import numpy as np
    >>> from nmf_core.ensemble.consensus import cut
    >>> cut(np.array([[0, 1, 0.0, 2], [2, 3, 1.0, 2], [4, 5, 1.0, 4]]), 2)
    array([0, 0, 1, 1])
    """
    p = len(tree) + 1
    n_merges = max(p - n_clusters, int(np.count_nonzero(tree[:, 2] <= 0)))
    above = np.arange(p + n_merges)
    for new, pair in enumerate(tree[:n_merges, :2].astype(int), start=p):
        above[pair] = new
    for cluster in range(p + n_merges - 1, -1, -1):
        above[cluster] = above[above[cluster]]
    return np.unique(above[:p], return_inverse=True)[1]


def _root(above: np.ndarray, x: int) -> int:
    """The largest cluster that x is part of; ways to it become shorter."""
    while above[x] != x:
        above[x] = above[above[x]]
        x = int(above[x])
    return x


def weighted_cophenetic(tree: np.ndarray, distances: np.ndarray, weights: np.ndarray) -> float:
    """The cophenetic correlation of points each of which stands for several that are in the same place.

    Parameters
    ----------
    tree : ndarray of float64, shape (p - 1, 4)
        The linkage of the points, p > 1.
    distances : ndarray of float64, shape (p * (p - 1) / 2,)
        Condensed; not all of them are zero.
    weights : ndarray of float64, shape (p,)
        For how many a point stands. Pairs of these count, too: their distances are zero, those in the tree as well.

    Examples
    --------
    >>> import numpy as np
    >>> from nmf_core.ensemble.consensus import weighted_cophenetic, weighted_linkage
    >>> square, weights = np.array([[0.0, 0.5, 1.0], [0.5, 0.0, 2.0], [1.0, 2.0, 0.0]]), np.array([9.0, 1.0, 1.0])
    >>> distances = square[np.triu_indices(3, 1)]
    >>> round(weighted_cophenetic(weighted_linkage(square, weights), distances, weights), 4)
    0.9578
    """
    from scipy.cluster.hierarchy import cophenet

    in_tree = cophenet(tree)
    p = len(weights)
    mean = _weighted_mean(distances, weights)  # of distances in the tree, too, but for rounding
    within = (weights * (weights - 1)).sum() / 2
    product = square = square_in_tree = within * mean * mean
    first = 0
    for i in range(p - 1):
        pairs = slice(first, first + p - 1 - i)
        x, y, w = distances[pairs] - mean, in_tree[pairs] - mean, weights[i] * weights[i + 1 :]
        product += (w * x) @ y
        square += (w * x) @ x
        square_in_tree += (w * y) @ y
        first = pairs.stop
    return min(1.0, float(product / np.sqrt(square * square_in_tree)))


def _weighted_mean(distances: np.ndarray, weights: np.ndarray) -> float:
    """The mean of the distances of all pairs of what points stand for."""
    first, total, p = 0, 0.0, len(weights)
    for i in range(p - 1):
        total += weights[i] * float(distances[first : first + p - 1 - i] @ weights[i + 1 :])
        first += p - 1 - i
    n = weights.sum()
    return total / (n * (n - 1) / 2)


def by_decreasing_size(groups: np.ndarray) -> np.ndarray:
    """Groups numbered anew from 0: the largest first, of equal ones that which appears first.

    Examples
    --------
    >>> import numpy as np
    >>> from nmf_core.ensemble.consensus import by_decreasing_size
    >>> by_decreasing_size(np.array([7, 3, 5, 5, 3, 9]))
    array([2, 0, 1, 1, 0, 3])
    """
    _, first, inverse, counts = np.unique(groups, return_index=True, return_inverse=True, return_counts=True)
    number = np.empty(len(first), dtype=int)
    number[np.lexsort((first, -counts))] = np.arange(len(first))
    return number[inverse]


def silhouettes(sums: np.ndarray, clusters: np.ndarray) -> np.ndarray:
    """Silhouettes from sums of distances; 0 for what is alone in its cluster, and if there is only one cluster.

    Parameters
    ----------
    sums : ndarray of float64, shape (n, n_clusters)
        The distances of a sample to all members of a cluster, summed.
    clusters : ndarray of int, shape (n,)
        The cluster of every sample; none is empty.

    Examples
    --------
    Of points 0, 1 and 4 on a line the first two are a cluster.

    >>> import numpy as np
    >>> from nmf_core.ensemble.consensus import silhouettes
    >>> silhouettes(np.array([[1.0, 4.0], [1.0, 3.0], [7.0, 0.0]]), np.array([0, 0, 1])).round(3)
    array([0.75 , 0.667, 0.   ])
    """
    sizes = np.bincount(clusters)
    if len(sizes) < 2:
        return np.zeros(len(clusters))
    rows, alone = np.arange(len(clusters)), sizes[clusters] == 1
    own = sums[rows, clusters] / np.where(alone, 1, sizes[clusters] - 1)
    others = sums / sizes
    others[rows, clusters] = np.inf
    nearest = others.min(axis=1)
    larger = np.maximum(own, nearest)
    return np.divide(nearest - own, larger, out=np.zeros(len(clusters)), where=(larger > 0) & ~alone)


def _counts(codes: np.ndarray) -> Iterator[np.ndarray]:
    """For every sample of codes (n_runs, p) in how many runs it has the label of each later one, as float32.

    Products of matrices of zeros and ones: whole numbers below 2**24, which float32 holds exactly.
    """
    n_runs, p = codes.shape
    values = np.arange(int(codes.max(initial=0)) + 1)[:, np.newaxis]
    rows = max(1, _ENTRIES // max(p, 1))
    runs = max(1, _ENTRIES // (max(p, 1) * len(values)))
    for first in range(0, p, rows):
        later = codes[:, first:]
        counts = np.zeros((min(rows, p - first), p - first), dtype=np.float32)
        for run in range(0, n_runs, runs):
            same = (later[run : run + runs, np.newaxis] == values).reshape(-1, p - first).astype(np.float32)
            counts += same[:, :rows].T @ same
        for i, row in enumerate(counts):
            yield row[i + 1 :]


def _condensed(codes: np.ndarray) -> np.ndarray:
    """The consensus of all pairs of samples of codes (n_runs, p)."""
    p = codes.shape[1]
    consensus = np.empty(p * (p - 1) // 2)
    first = 0
    for counts in _counts(codes):
        consensus[first : first + len(counts)] = counts
        first += len(counts)
    consensus /= len(codes)
    return consensus


def _square(codes: np.ndarray) -> np.ndarray:
    """The same as a square matrix."""
    consensus = np.empty((codes.shape[1],) * 2)
    np.fill_diagonal(consensus, len(codes))
    for i, counts in enumerate(_counts(codes)):
        consensus[i, i + 1 :] = consensus[i + 1 :, i] = counts
    consensus /= len(codes)
    return consensus


def _patterns(codes: np.ndarray) -> _Patterns:
    """Patterns of the samples of codes (n_runs, n_samples), by first appearance; if they are many, of some samples."""
    samples, of, counts = _unique(codes)
    if len(samples) <= PATTERNS:
        return _Patterns(samples, counts.astype(float), of)
    n = codes.shape[1]
    drawn = np.random.default_rng(0).choice(n, PATTERNS, replace=False)
    found, counts = np.unique(of[drawn], return_counts=True)
    number = np.full(len(samples), -1)
    number[found] = np.arange(len(found))
    return _Patterns(samples[found], counts.astype(float), number[of])


def _unique(codes: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The first sample of every pattern, ascending, the pattern of every sample, and how many samples patterns have."""
    tuples = np.ascontiguousarray(codes.T)
    whole = tuples.view(np.dtype((np.void, tuples.itemsize * tuples.shape[1])))[:, 0]
    _, samples, of, counts = np.unique(whole, return_index=True, return_inverse=True, return_counts=True)
    # in an order that does not depend on what labels are called
    order = np.argsort(samples)
    number = np.empty(len(order), dtype=int)
    number[order] = np.arange(len(order))
    return samples[order], number[of], counts[order]


def _agreement(codes: np.ndarray, members: np.ndarray, clusters: np.ndarray) -> np.ndarray:
    """In how many runs samples have the labels of members of clusters, summed over the members of a cluster.

    Without any pairs: every run has a table of how often each label occurs in each cluster.

    Parameters
    ----------
    codes : ndarray of int, shape (n_runs, n)
        Labels of the samples.
    members : ndarray of int, shape (n_runs, n_members)
        Labels of the members.
    clusters : ndarray of int, shape (n_members,)
        Clusters of the members.

    Returns
    -------
    ndarray of float64, shape (n, n_clusters)
        Whole numbers.
    """
    n_labels = 1 + max(int(codes.max(initial=0)), int(members.max(initial=0)))
    k = 1 + int(clusters.max(initial=0))
    total = np.zeros((codes.shape[1], k))
    for label, label_of_member in zip(codes, members, strict=True):
        table = np.bincount(label_of_member.astype(np.intp) * k + clusters, minlength=n_labels * k)
        total += table.reshape(n_labels, k)[label]
    return total
