"""Which components of many runs are the same, and what they have in common."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from nmf_core.ensemble.consensus import by_decreasing_size, silhouettes
from nmf_core.labels import Axis, Labelled, component_names, frame
from nmf_core.similarity import match, unit_rows
from nmf_core.typing import Average, Clustering
from nmf_core.validation import check_fitted, check_kept

RESTARTS = 10  # of k-means
_ITERATIONS = 300  # at most; few are needed
_ENTRIES = 1 << 23  # of components that are looked at together, as float64


class Alignment(NamedTuple):
    """Which components of runs belong to those of a reference.

    Attributes
    ----------
    order : ndarray of int, shape (n_runs, n_components)
        Component ``order[i, j]`` of run i belongs to component j of the reference.
    cosine : ndarray of float64, shape (n_runs, n_components)
        How similar they are, from 0 to 1.

    Examples
    --------
    >>> from nmf_core.ensemble.matching import align
    >>> order, cosine = align([[[1, 0], [0, 1]], [[0, 2], [3, 4]]], [[1, 0], [0, 1]])
    >>> cosine
    array([[1. , 1. ],
           [0.6, 1. ]])
    """

    order: np.ndarray
    cosine: np.ndarray


class Stability(NamedTuple):
    """How similar the components of runs are to those of a reference.

    Attributes
    ----------
    mean, minimum : ndarray of float64, shape (n_components,)
        Cosines of each component of the reference and that which belongs to it, over the runs.

    Examples
    --------
    >>> from nmf_core.ensemble.matching import align, stability
    >>> reference = [[1, 0], [0, 1]]
    >>> stability(align([[[1, 0], [0, 1]], [[0, 2], [3, 4]]], reference)).minimum
    array([0.6, 1. ])
    """

    mean: np.ndarray
    minimum: np.ndarray


@dataclass(frozen=True, eq=False, repr=False)
class ConsensusComponents:
    """What the components of many runs have in common.

    The components of all runs are counted together, run after run.

    Attributes
    ----------
    H : ndarray, shape (n_components, n_features)
        The components, those of the largest clusters first. Rows sum to one, unless they were to keep their scale.
    W : ndarray, shape (n_samples, n_components), or None
        What they contribute to samples, if it was asked for.
    density : ndarray of float64, shape (n_runs * n_components,)
        The mean Euclidean distance of a component of unit length to its nearest neighbours; infinity if it is zero.
    kept : ndarray of bool, shape (n_runs * n_components,)
        Whether a component is close enough to its neighbours.
    cluster : ndarray of int, shape (n_runs * n_components,)
        The row of `H` that a component has contributed to, -1 if it was not kept.
    silhouette : float
        The mean silhouette, by Euclidean distance, of the components of unit length that were kept; 0 if there is only
        one cluster.
    stability : ndarray of float64, shape (n_components,)
        How similar the components of runs are to these: cosines after optimal matching, the mean over runs; NaN if
        there is a single run.
    component_labels, column_labels : Axis or None
        Names of the components, if they have been given some, and of the features.
    frame_library : str or None
        The library of the data frame that X was.

    Examples
    --------
    >>> from nmf_core.ensemble.matching import consensus_components
    >>> consensus_components([[[1, 0, 3], [0, 2, 0]], [[0, 1, 0], [2, 0, 6]], [[1, 0, 3], [4, 4, 4]]], 2)
    <ConsensusComponents: 2 x 3, of 5 of 6 components, silhouette 1.000>
    """

    H: np.ndarray
    W: np.ndarray | None
    density: np.ndarray
    kept: np.ndarray
    cluster: np.ndarray
    silhouette: float
    stability: np.ndarray
    component_labels: Axis | None = None
    column_labels: Axis | None = None
    frame_library: str | None = None
    _factorization: Any = None

    @property
    def factorization(self) -> Any:
        """The same with W, as a `Factorization`: with names, tables, pictures.

        Raises
        ------
        AttributeError
            There is no W, as X was not given.
        """
        return check_fitted(self._factorization)

    @property
    def names(self) -> Axis:
        """Names of the components: c1, c2, ... unless they have been given others."""
        return Axis(component_names(len(self.H))) if self.component_labels is None else self.component_labels

    @property
    def components(self) -> Any:
        """H, as a data frame of the library of X if that had labels; it needs no W."""
        return frame(self.H, self.names, self.column_labels, self.frame_library)

    @property
    def n_runs(self) -> np.ndarray:
        """In how many runs each component was found (n_components,)."""
        k = len(self.H)
        run = np.arange(len(self.cluster)) // k
        return np.array([len(np.unique(run[self.cluster == j])) for j in range(k)])

    @property
    def _labelled_H(self) -> Labelled:
        return Labelled(self.H, self.component_labels, self.column_labels, self.frame_library)

    def __repr__(self) -> str:
        k, m = self.H.shape
        return (
            f"<ConsensusComponents: {k} x {m}, of {self.kept.sum()} of {len(self.kept)} components, "
            f"silhouette {self.silhouette:.3f}>"
        )


def align(components: Iterable[Any], reference: Any) -> Alignment:
    """Pair the components of many runs with those of a reference.

    Parameters
    ----------
    components : iterable of array-like, shape (k, m)
        H of every run.
    reference : array-like, shape (k, m)
        The components that all are matched with.

    Examples
    --------
    >>> from nmf_core.ensemble.matching import align
    >>> align([[[1, 0], [0, 1]], [[0, 2], [3, 4]]], [[1, 0], [0, 1]]).order
    array([[0, 1],
           [1, 0]])
    """
    order, cosine = zip(*(match(reference, H) for H in components), strict=True)
    return Alignment(np.array(order), np.array(cosine))


def stability(alignment: Alignment, without: int | None = None) -> Stability:
    """How similar components are to those of the reference, on average and at least, over the runs.

    Parameters
    ----------
    alignment : Alignment
        Which components belong together.
    without : int, optional
        A run to leave out: the reference itself.

    Returns
    -------
    Stability
        NaN if there is a single run.

    Examples
    --------
    >>> from nmf_core.ensemble.matching import align, stability
    >>> runs = [[[1, 0], [0, 1]], [[0, 2], [3, 4]]]
    >>> stability(align(runs, runs[0]), without=0).mean
    array([0.6, 1. ])
    """
    cosine = alignment.cosine
    if len(cosine) < 2:
        nothing = np.full(cosine.shape[1], np.nan)
        return Stability(nothing, nothing.copy())
    if without is not None:
        cosine = np.delete(cosine, without, axis=0)
    return Stability(cosine.mean(axis=0), cosine.min(axis=0))


def consensus_components(
    components: Iterable[Any],
    k: int,
    *,
    neighbourhood: float = 0.3,
    density_threshold: float = 0.5,
    clustering: Clustering = "kmeans",
    average: Average = "median",
    keep_scale: bool = False,
    random_state: int = 1,
) -> ConsensusComponents:
    """Components that many runs have in common, without outliers.

    The components of all runs are scaled to unit length, those far from the others are dropped, the rest is clustered,
    and the average of every cluster is scaled to sum one [1]_. A component that is zero is always dropped. Distances
    are computed in blocks: besides the components memory is twice theirs, and a few blocks of 64 MB.

    Parameters
    ----------
    components : iterable of array-like, shape (k, m)
        H of every run.
    k : int
        The number of components of every run, and of clusters.
    neighbourhood : float
        The density around a component is its mean distance to so many nearest others, as a share of the number of
        runs; at least to one.
    density_threshold : float
        Components with a mean distance of at least that are dropped. Distances are at most the square root of 2.
    clustering : {"kmeans", "matching"}
        The best of 10 runs of k-means, or the same with at most one component of a run in a cluster, from the run
        that is most similar to the others. Neither leaves a cluster empty.
    average : {"median", "mean"}
        How a cluster becomes a component. Where the median is zero for all features, it is the mean.
    keep_scale : bool
        Whether a component has the median of the sums of its cluster as its sum, instead of one.
    random_state : int
        The seed of k-means.

    Returns
    -------
    ConsensusComponents
        Without W.

    Raises
    ------
    ValueError
        Fewer than k components are left.

    References
    ----------
    .. [1] D. Kotliar et al. (2019), "Identifying gene expression programs of cell-type identity and cellular activity
       with single-cell RNA-Seq", doi:10.7554/eLife.43803.

    Examples
    --------
    >>> import numpy as np
    >>> from nmf_core.ensemble.matching import consensus_components
    >>> runs = [[[1, 0, 3], [0, 2, 0]], [[0, 1, 0], [2, 0, 6]], [[1, 0, 3], [4, 4, 4]]]
    >>> found = consensus_components(runs, 2)
    >>> found.H
    array([[0.25, 0.  , 0.75],
           [0.  , 1.  , 0.  ]])
    >>> found.cluster  # the last component is like no other
    array([ 0,  1,  1,  0,  0, -1])
    """
    rows, sums = [], []
    for H in map(np.asarray, components):
        rows.append(unit_rows(H))
        sums.append(H.sum(axis=1, dtype=np.float64))
    run = np.repeat(np.arange(len(rows)), [len(H) for H in rows])
    n_runs, unit = len(rows), np.concatenate(rows)
    del rows
    density = _density(unit, max(1, int(neighbourhood * n_runs)))
    kept = density < density_threshold
    check_kept(int(kept.sum()), k, n_runs)
    chosen = np.flatnonzero(kept)
    if clustering == "matching":
        start = unit[run == _medoid(unit, run)].astype(np.float64)
        labels = _lloyd(unit, chosen, start, partial(_one_of_each_run, run=run[chosen]))[0]
    else:
        labels = _k_means(unit, chosen, k, np.random.default_rng(random_state))
    labels = by_decreasing_size(labels)
    cluster = np.full(len(unit), -1)
    cluster[chosen] = labels
    H = np.array([_average(unit[cluster == c], average) for c in range(k)])
    if keep_scale:
        H *= [[np.median(np.concatenate(sums)[cluster == c])] for c in range(k)]
    silhouette = float(_silhouettes(unit, chosen, labels).mean())
    similar = stability(align((unit[run == i] for i in range(n_runs)), H)).mean
    return ConsensusComponents(H.astype(unit.dtype), None, density, kept, cluster, silhouette, similar)


# --- distances


def _blocks(unit: np.ndarray, chosen: np.ndarray, width: int = 1) -> Iterator[tuple[slice, np.ndarray]]:
    """The chosen rows as float64, in blocks, each with its place among them; `width` results of a row have room."""
    step = max(1, _ENTRIES // max(unit.shape[1], width))
    for first in range(0, len(chosen), step):
        block = slice(first, min(first + step, len(chosen)))
        yield block, unit[chosen[block]].astype(np.float64, copy=False)


def _squares(A: np.ndarray, B: np.ndarray) -> np.ndarray:
    """Squared Euclidean distances (k, l) of the rows of A (k, m) and B (l, m)."""
    lengths = np.einsum("ij,ij->i", A, A)[:, np.newaxis] + np.einsum("ij,ij->i", B, B)
    return np.maximum(lengths - 2 * (A @ B.T), 0)


def _squares_to(unit: np.ndarray, chosen: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """Squared distances (n, k) of the chosen rows to the centres (k, m)."""
    squares = np.empty((len(chosen), len(centres)))
    for block, A in _blocks(unit, chosen):
        squares[block] = _squares(A, centres)
    return squares


def _distances(unit: np.ndarray, chosen: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
    """Distances (rows, n) of the chosen rows to each other, in blocks of rows, each with its place among them."""
    for block, A in _blocks(unit, chosen, len(chosen)):
        distances = np.empty((len(A), len(chosen)))
        for other, B in _blocks(unit, chosen):
            distances[:, other] = np.sqrt(_squares(A, B))
        distances[np.arange(len(A)), np.arange(len(chosen))[block]] = 0  # not what rounding leaves
        yield block, distances


def _density(unit: np.ndarray, n_neighbours: int) -> np.ndarray:
    """The mean distance (n,) to the nearest others, or to all if they are fewer; infinity for rows of zeros.

    Those are nobody's neighbours: where some runs lose a component, zeros would be alike.
    """
    chosen = np.flatnonzero(unit.any(axis=1))
    n_neighbours = min(n_neighbours, len(chosen) - 1)
    density = np.full(len(unit), np.inf)
    for block, distances in _distances(unit, chosen):
        # the nearest of all is the component itself, at distance zero
        nearest = np.partition(distances, n_neighbours, axis=1)[:, : n_neighbours + 1]
        density[chosen[block]] = nearest.sum(axis=1) / max(n_neighbours, 1)
    return density


def _silhouettes(unit: np.ndarray, chosen: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Silhouettes (n,) of the chosen rows in their clusters."""
    member = (labels[:, np.newaxis] == np.arange(labels.max() + 1)).astype(np.float64)
    sums = np.empty(member.shape)
    for block, distances in _distances(unit, chosen):
        sums[block] = distances @ member
    return silhouettes(sums, labels)


# --- clusters


def _lloyd(
    unit: np.ndarray, chosen: np.ndarray, centres: np.ndarray, assign: Callable[[np.ndarray], np.ndarray]
) -> tuple[np.ndarray, float]:
    """Clusters (n,) of the chosen rows, and the sum of squared distances to their centres (k, m).

    Rows are assigned to clusters by their squared distances (n, k), then the means of clusters become the centres,
    until nothing changes.
    """
    k, labels = len(centres), np.full(len(chosen), -1)
    for _ in range(_ITERATIONS):
        squares = _squares_to(unit, chosen, centres)
        before, labels = labels, _none_empty(assign(squares), squares)
        if (before == labels).all():
            break
        member = (labels == np.arange(k)[:, np.newaxis]).astype(np.float64)
        centres = np.zeros(centres.shape)
        for block, A in _blocks(unit, chosen):
            centres += member[:, block] @ A
        centres /= member.sum(axis=1, keepdims=True)
    return labels, float(np.take_along_axis(squares, labels[:, np.newaxis], axis=1).sum())


def _none_empty(labels: np.ndarray, squares: np.ndarray) -> np.ndarray:
    """Give every empty cluster what is farthest from its centre, out of the clusters with more than one."""
    n, k = squares.shape
    sizes = np.bincount(labels, minlength=k)
    for empty in np.flatnonzero(sizes == 0):
        own = np.where(sizes[labels] > 1, squares[np.arange(n), labels], -1)
        moved = own.argmax()
        sizes[labels[moved]] -= 1
        sizes[empty] += 1
        labels[moved] = empty
    return labels


def _k_means(unit: np.ndarray, chosen: np.ndarray, k: int, random: np.random.Generator) -> np.ndarray:
    """The clusters (n,) with the smallest sum of squared distances, of several starts."""
    runs = [_lloyd(unit, chosen, _spread(unit, chosen, k, random), _nearest) for _ in range(RESTARTS)]
    return min(runs, key=lambda found: found[1])[0]


def _spread(unit: np.ndarray, chosen: np.ndarray, k: int, random: np.random.Generator) -> np.ndarray:
    """Centres (k, m) of k-means++: each the best of a few rows, drawn by their squared distances to those before."""
    picked = [int(random.integers(len(chosen)))]
    squares = _squares_to(unit, chosen, _rows(unit, chosen[picked]))
    nearest = squares[:, 0]
    while len(picked) < k:
        total = nearest.sum()
        tried = random.choice(len(chosen), 2 + int(np.log(k)), p=nearest / total if total > 0 else None)
        squares = np.minimum(nearest[:, np.newaxis], _squares_to(unit, chosen, _rows(unit, chosen[tried])))
        best = squares.sum(axis=0).argmin()
        nearest = squares[:, best]
        picked.append(int(tried[best]))
    return _rows(unit, chosen[picked])


def _rows(unit: np.ndarray, which: np.ndarray) -> np.ndarray:
    """A copy of some rows as float64."""
    return unit[which].astype(np.float64, copy=False)


def _medoid(unit: np.ndarray, run: np.ndarray) -> int:
    """The run whose components are most similar to those of the others that they are matched with, in total."""
    from scipy.optimize import linear_sum_assignment

    n_runs = int(run[-1]) + 1
    total = np.zeros(n_runs)
    for i in range(n_runs - 1):
        own, later = _rows(unit, run == i), np.flatnonzero(run > i)
        similar = np.concatenate([A @ own.T for _, A in _blocks(unit, later)])
        for j in range(i + 1, n_runs):
            pairs = similar[run[later] == j]
            total[[i, j]] += pairs[linear_sum_assignment(pairs, maximize=True)].sum()
    return int(total.argmax())


def _nearest(squares: np.ndarray) -> np.ndarray:
    """Clusters (n,) by squared distances (n, k)."""
    return squares.argmin(axis=1)


def _one_of_each_run(squares: np.ndarray, run: np.ndarray) -> np.ndarray:
    """Clusters (n,) by squared distances (n, k), so that no two rows of a run are in the same one."""
    from scipy.optimize import linear_sum_assignment

    labels = np.empty(len(run), dtype=int)
    for i in np.unique(run):
        rows = np.flatnonzero(run == i)
        labels[rows] = linear_sum_assignment(squares[rows])[1]
    return labels


def _average(members: np.ndarray, average: str) -> np.ndarray:
    """The median or mean (m,) of members (n, m) of a cluster, scaled to sum one."""
    members = members.astype(np.float64, copy=False)
    found = np.median(members, axis=0) if average == "median" else members.mean(axis=0)
    if not found.any():
        found = members.mean(axis=0)
    return found / found.sum()
