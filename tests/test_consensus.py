"""What labels of samples and components of many runs have in common."""

import subprocess
import sys
import tracemalloc
from itertools import pairwise, permutations

import numpy as np
import pytest
from scipy.cluster.hierarchy import cophenet, fcluster, leaves_list, linkage
from scipy.spatial.distance import pdist, squareform
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score, silhouette_samples, silhouette_score
from sklearn.metrics.pairwise import cosine_similarity
from sklearn.neighbors import NearestNeighbors

from nmf_core.ensemble import consensus as of_samples
from nmf_core.ensemble import matching as of_components
from nmf_core.ensemble.consensus import Consensus, by_decreasing_size, cut, weighted_cophenetic, weighted_linkage
from nmf_core.ensemble.matching import align, consensus_components, stability
from nmf_core.similarity import cosines, match

STATISTICS = ("cophenetic", "dispersion", "pac", "clusters", "silhouette")
PATHS = {"exact": (1000, 1000), "collapsed": (1, 1000), "sampled": (1, 40)}


@pytest.fixture(params=PATHS)
def path(request, monkeypatch):
    """How pairs of samples are looked at, whatever their number."""
    take(request.param, monkeypatch)
    return request.param


def take(path, monkeypatch):
    most, patterns = PATHS[path]
    monkeypatch.setattr(of_samples, "MOST", most)
    monkeypatch.setattr(of_samples, "PATTERNS", patterns)


def noisy(n, n_runs, k, noise, seed=0):
    """Planted classes (n,), and labels (n_runs, n) of which some, a share of its own for every sample, are random.

    What classes are called is different in every run.
    """
    rng = np.random.default_rng(seed)
    planted = rng.integers(k, size=n)
    names = rng.permuted(np.tile(np.arange(k), (n_runs, 1)), axis=1)
    labels = names[:, planted]
    random = rng.random((n_runs, n)) < noise * rng.random(n)
    labels[random] = rng.integers(k, size=random.sum())
    return planted, labels


def without_ties(seed):
    """Labels of samples that are copies of ten, no two distances of which are the same."""
    for attempt in range(100):
        rng = np.random.default_rng([seed, attempt])
        labels = noisy(10, 2003, 3, 0.9, seed=[seed, attempt])[1]
        distances = 1 - squareform(np.mean(labels[:, :, np.newaxis] == labels[:, np.newaxis], axis=0), checks=False)
        if len(np.unique(distances)) == 45 and distances.min() > 0:
            return labels[:, rng.permutation(np.repeat(np.arange(10), rng.integers(1, 9, size=10)))]
    raise AssertionError("no such labels")


def square_of(labels):
    """The consensus, by comparing all pairs in all runs."""
    n_runs, n = labels.shape
    return np.array([[sum(labels[r, i] == labels[r, j] for r in range(n_runs)) / n_runs for j in range(n)]
                     for i in range(n)])  # fmt: skip


def by_all_pairs(labels, n_clusters):
    """The statistics, from the matrix of all pairs, by SciPy and scikit-learn."""
    C = np.mean(labels[:, :, np.newaxis] == labels[:, np.newaxis], axis=0)
    pairs = squareform(C, checks=False)
    tree = linkage(1 - pairs, "average")
    clusters = by_decreasing_size(fcluster(tree, n_clusters, "maxclust"))
    return {
        "cophenetic": cophenet(tree, 1 - pairs)[0],
        "dispersion": np.mean(4 * (C - 0.5) ** 2),
        "pac": np.mean((pairs > 0.1) & (pairs < 0.9)),
        "clusters": clusters,
        "silhouette": silhouette_samples(1 - C, clusters, metric="precomputed"),
    }


# --- pairs of samples


def test_consensus_of_a_few_runs():
    labels = np.array([[0, 0, 0, 1], [1, 1, 1, 0], [0, 0, 0, 1], [0, 0, 1, 1]])
    consensus = Consensus(labels, 2)
    np.testing.assert_array_equal(consensus.condensed(), [1, 0.75, 0, 0.75, 0, 0.25])
    np.testing.assert_array_equal(consensus.square([3, 2, 0]), [[1, 0.25, 0], [0.25, 1, 0.75], [0, 0.75, 1]])
    np.testing.assert_array_equal(consensus.clusters, [0, 0, 0, 1])
    assert consensus.dispersion == (4 + 2 * (1 + 1 + 1 + 3 * 0.25)) / 16
    assert consensus.pac == 3 / 6


@pytest.mark.parametrize("entries", [1, 100, 1 << 22])
def test_pairs_are_those_of_all_comparisons(entries, monkeypatch):
    monkeypatch.setattr(of_samples, "_ENTRIES", entries)
    labels = noisy(23, 11, 4, 0.8)[1]
    consensus, expected = Consensus(labels, 4), square_of(labels)
    square = consensus.square()
    np.testing.assert_array_equal(square, expected)
    np.testing.assert_array_equal(square, square.T)
    np.testing.assert_array_equal(square.diagonal(), 1)
    assert square.min() >= 0
    assert square.max() <= 1
    np.testing.assert_array_equal(consensus.condensed(), squareform(expected, checks=False))
    some = np.array([5, 2, 22, 7])
    np.testing.assert_array_equal(consensus.square(some), expected[np.ix_(some, some)])
    np.testing.assert_array_equal(consensus.condensed(some), squareform(consensus.square(some), checks=False))


@pytest.mark.parametrize("dtype", ["uint8", "int16", "int64"])
@pytest.mark.parametrize("shift", [0, 100])
def test_labels_are_integers_of_any_kind(dtype, shift):
    labels = noisy(20, 5, 3, 0.5)[1]
    same = (labels + shift).astype(dtype)
    np.testing.assert_array_equal(Consensus(same, 3).square(), Consensus(labels, 3).square())
    np.testing.assert_array_equal(Consensus(labels - 1, 3).square(), Consensus(labels, 3).square())


def test_names_of_labels_and_order_of_runs_do_not_matter(path):
    labels = noisy(150, 12, 4, 0.8)[1]
    rng = np.random.default_rng(1)
    renamed = np.array([rng.permutation(9)[label] for label in labels])[rng.permutation(len(labels))]
    one, other = Consensus(labels, 4), Consensus(renamed, 4)
    for name in STATISTICS:
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)
    np.testing.assert_array_equal(one.order(), other.order())
    np.testing.assert_array_equal(one.square(), other.square())


def test_order_of_samples_does_not_matter():
    labels = without_ties(3)
    shuffled = np.random.default_rng(0).permutation(labels.shape[1])
    one, other = Consensus(labels, 3), Consensus(labels[:, shuffled], 3)
    for name in ("cophenetic", "dispersion", "pac"):
        assert getattr(one, name) == pytest.approx(getattr(other, name), rel=1e-12)
    assert adjusted_rand_score(one.clusters[shuffled], other.clusters) == 1
    np.testing.assert_allclose(one.silhouette[shuffled], other.silhouette, atol=1e-12)


def test_identical_runs(path):
    planted = np.repeat([0, 1, 2], [20, 60, 30])
    consensus = Consensus(np.array([planted, 2 - planted, (planted + 1) % 3]), 3)
    assert consensus.cophenetic == pytest.approx(1, abs=1e-12)
    assert consensus.dispersion == 1
    assert consensus.pac == 0
    np.testing.assert_array_equal(consensus.clusters, np.repeat([2, 0, 1], [20, 60, 30]))
    np.testing.assert_array_equal(consensus.silhouette, 1)


def test_a_single_run_and_runs_that_see_one_class(path):
    single = Consensus(noisy(90, 1, 3, 0)[1], 3)
    assert (single.cophenetic, single.dispersion, single.pac) == (pytest.approx(1), 1, 0)
    alike = Consensus(np.full((4, 90), 7), 3)
    assert (alike.cophenetic, alike.dispersion, alike.pac) == (1, 1, 0)
    np.testing.assert_array_equal(alike.clusters, 0)
    np.testing.assert_array_equal(alike.silhouette, 0)
    np.testing.assert_array_equal(np.sort(alike.order()), np.arange(90))


def test_equal_distances_describe_themselves(path):
    """Of three samples each pair is together in one of three runs."""
    consensus = Consensus(np.array([[0, 0, 1], [0, 1, 0], [1, 0, 0]]), 2)
    assert consensus.cophenetic == 1
    np.testing.assert_allclose(consensus.condensed(), 1 / 3)


@pytest.mark.parametrize("n", [1, 2])
def test_one_and_two_samples(n, path):
    consensus = Consensus(np.array([[0, 1], [1, 1]])[:, :n], 2)
    assert consensus.cophenetic == 1
    assert consensus.dispersion == (1 if n == 1 else 0.5)
    assert consensus.pac == (0 if n == 1 else 1)
    np.testing.assert_array_equal(consensus.clusters, np.arange(n))
    np.testing.assert_array_equal(consensus.silhouette, np.zeros(n))
    np.testing.assert_array_equal(consensus.order(), np.arange(n))
    np.testing.assert_array_equal(consensus.order([0]), [0])
    assert consensus.condensed().shape == (n * (n - 1) // 2,)


@pytest.mark.parametrize("k", [2, 4])
def test_random_labels_agree_by_chance(k):
    labels = np.random.default_rng(0).integers(k, size=(400, 200))
    assert Consensus(labels, k).condensed().mean() == pytest.approx(1 / k, abs=0.005)


def test_ambiguous_pairs_are_strictly_between(path):
    """Pairs that are together in exactly one or nine of ten runs are not ambiguous."""
    labels = np.zeros((10, 3), dtype=int)
    labels[:1, 1] = 1
    labels[:8, 2] = 2
    consensus = Consensus(labels, 2)
    np.testing.assert_array_equal(consensus.condensed(), [0.9, 0.2, 0.2])
    assert consensus.pac == pytest.approx(2 / 3)
    labels[8, 2] = 2
    np.testing.assert_array_equal(Consensus(labels, 2).condensed(), [0.9, 0.1, 0.1])
    assert Consensus(labels, 2).pac == 0


# --- statistics against all pairs


@pytest.mark.parametrize("n_clusters", [1, 3, 5, 30])
@pytest.mark.parametrize("noise", [0.2, 1.0])
def test_statistics_are_those_of_all_pairs(n_clusters, noise):
    labels = noisy(80, 30, 5, noise)[1]
    consensus = Consensus(labels, n_clusters)
    if n_clusters == 1:  # for which scikit-learn has no silhouettes
        np.testing.assert_array_equal(consensus.clusters, 0)
        np.testing.assert_array_equal(consensus.silhouette, 0)
        return
    for name, expected in by_all_pairs(labels, n_clusters).items():
        np.testing.assert_allclose(getattr(consensus, name), expected, rtol=1e-12, atol=1e-12, err_msg=name)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("n_clusters", [2, 3, 6])
def test_patterns_give_the_statistics_of_all_pairs(seed, n_clusters, monkeypatch):
    labels = without_ties(seed)
    take("collapsed", monkeypatch)
    consensus = Consensus(labels, n_clusters)
    assert len(consensus._patterns.samples) == 10
    for name, expected in by_all_pairs(labels, n_clusters).items():
        np.testing.assert_allclose(getattr(consensus, name), expected, rtol=1e-12, atol=1e-12, err_msg=name)
    reached = consensus.clusters[consensus.order()]
    assert sum(a != b for a, b in pairwise(reached)) == n_clusters - 1


def test_more_clusters_than_patterns(path):
    labels = np.array([[0, 0, 1, 1, 2, 2], [0, 0, 1, 1, 1, 1]])
    np.testing.assert_array_equal(Consensus(labels, 6).clusters, [0, 0, 1, 1, 2, 2])


def test_drawn_samples_stand_for_all(monkeypatch):
    labels = noisy(3000, 60, 4, 0.7)[1]
    exact = Consensus(labels, 4)
    expected = {name: getattr(exact, name) for name in STATISTICS}
    monkeypatch.setattr(of_samples, "MOST", 100)
    monkeypatch.setattr(of_samples, "PATTERNS", 600)
    consensus = Consensus(labels, 4)
    assert len(consensus._patterns.samples) <= 600 < len(np.unique(labels, axis=1).T)
    for name in ("cophenetic", "dispersion", "pac"):
        assert getattr(consensus, name) == pytest.approx(expected[name], abs=0.02), name
    assert adjusted_rand_score(consensus.clusters, expected["clusters"]) > 0.97
    assert np.median(np.abs(consensus.silhouette - expected["silhouette"])) < 0.02
    np.testing.assert_allclose(
        consensus.silhouette, silhouette_samples(1 - exact.square(), consensus.clusters, metric="precomputed")
    )


def test_samples_with_the_labels_of_a_drawn_one_are_in_its_cluster(monkeypatch):
    labels = noisy(60, 9, 3, 0.9)[1][:, np.random.default_rng(1).integers(60, size=500)]
    take("sampled", monkeypatch)
    consensus = Consensus(labels, 3)
    of, drawn = consensus._patterns.of, consensus._patterns.samples
    assert (of < 0).any()
    np.testing.assert_array_equal(consensus.clusters[of >= 0], consensus.clusters[drawn[of[of >= 0]]])
    np.testing.assert_array_equal(labels[:, of >= 0], labels[:, drawn[of[of >= 0]]])
    assert consensus._patterns.weights.sum() == 40


def test_planted_classes_are_found(path):
    planted, labels = noisy(300, 40, 4, 0.5)
    consensus = Consensus(labels, 4)
    assert adjusted_rand_score(planted, consensus.clusters) == 1
    assert (np.diff(np.bincount(consensus.clusters)) <= 0).all()
    assert consensus.cophenetic > 0.9
    assert consensus.silhouette.min() > 0


def test_leaves_are_in_the_order_of_the_tree(path):
    planted, labels = noisy(150, 40, 4, 0.5)
    consensus = Consensus(labels, 4)
    order = consensus.order()
    np.testing.assert_array_equal(np.sort(order), np.arange(150))
    assert np.count_nonzero(np.diff(consensus.clusters[order])) == 3
    assert np.count_nonzero(np.diff(planted[order])) == 3
    if path == "exact":
        np.testing.assert_array_equal(order, leaves_list(linkage(1 - consensus.condensed(), "average")))
    some = np.random.default_rng(0).permutation(150)[:60]
    drawn = consensus.order(some)
    np.testing.assert_array_equal(np.sort(drawn), np.sort(some))
    assert np.count_nonzero(np.diff(planted[drawn])) == 3


# --- trees


@pytest.mark.parametrize("digits", [1, 15])
def test_linkage_without_weights_is_scipys(digits):
    """With the same choice among equal distances."""
    distances = np.random.default_rng(0).random(40 * 39 // 2).round(digits)
    np.testing.assert_array_equal(weighted_linkage(squareform(distances), np.ones(40)), linkage(distances, "average"))


@pytest.mark.parametrize("seed", range(5))
def test_linkage_with_weights_is_that_of_repeated_points(seed):
    rng = np.random.default_rng(seed)
    points, weights = rng.random((15, 3)), rng.integers(1, 6, size=15)
    tree = weighted_linkage(squareform(pdist(points)), weights.astype(float))
    repeated = pdist(np.repeat(points, weights, axis=0))
    expected = linkage(repeated, "average")
    np.testing.assert_allclose(tree[:, 2], expected[-14:, 2])
    first = np.cumsum(weights) - weights
    np.testing.assert_allclose(squareform(cophenet(tree)), squareform(cophenet(expected))[np.ix_(first, first)])
    np.testing.assert_array_equal(np.sort(leaves_list(tree)), np.arange(15))
    found = weighted_cophenetic(tree, pdist(points), weights.astype(float))
    assert found == pytest.approx(cophenet(expected, repeated)[0], rel=1e-12)


@pytest.mark.parametrize("p", [1, 2])
def test_linkage_of_one_and_two_points(p):
    tree = weighted_linkage(np.array([[0.0, 3.0], [3.0, 0.0]])[:p, :p], np.array([5.0, 2.0])[:p])
    np.testing.assert_array_equal(tree, [[0, 1, 3, 2]][: p - 1] if p > 1 else np.empty((0, 4)))


@pytest.mark.slow
def test_memory_of_many_samples():
    """Of 100,000 samples and 200 runs, nearly all different, a matrix of all pairs would take 80 GB."""
    labels = noisy(100_000, 200, 5, 0.9)[1]
    tracemalloc.start()
    try:
        consensus = Consensus(labels, 5)
        assert 0 < consensus.pac < 1
        assert 0.3 < consensus.dispersion < 1
        assert 0.8 < consensus.cophenetic < 1
        assert consensus.silhouette.shape == consensus.clusters.shape == consensus.order().shape == (100_000,)
        highest = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert 4900 < len(consensus._patterns.samples) <= 5000
    assert highest < 500e6
    assert highest + labels.nbytes < 1e9


def test_importing_takes_no_heavy_part_of_scipy():
    program = (
        "import sys, nmf_core.ensemble.matching; print('scipy.cluster' in sys.modules, 'scipy.optimize' in sys.modules)"
    )
    assert subprocess.check_output([sys.executable, "-c", program], text=True).split() == ["False", "False"]


# --- components


def components_of_runs(n_runs=20, k=5, m=40, noise=0.02, seed=0):
    """Planted components (k, m), and those of runs, in another order and of another scale in each."""
    rng = np.random.default_rng(seed)
    planted = rng.random((k, m)) * (rng.random((k, m)) < 0.3)
    planted[np.arange(k), np.arange(k)] = 1  # none is zero, none like another
    runs, orders = np.empty((n_runs, k, m)), rng.permuted(np.tile(np.arange(k), (n_runs, 1)), axis=1)
    for H, order in zip(runs, orders, strict=True):
        H[:] = (planted + noise * rng.random((k, m)))[order] * rng.uniform(0.1, 10, (k, 1))
    return planted, runs, orders


def unit_length(runs):
    rows = np.concatenate(runs)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64"])
def test_cosines(dtype):
    rng = np.random.default_rng(0)
    A, B = rng.poisson(2.0, (4, 9)).astype(dtype), rng.poisson(2.0, (6, 9)).astype(dtype)
    A[1] = B[2] = 0
    found = cosines(A, B)
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, cosine_similarity(A.astype(float), B.astype(float)), atol=1e-15)
    assert not found[1].any()
    assert not found[:, 2].any()


@pytest.mark.parametrize("scale", [1e-310, 1e-200, 1e200, 1e307])
def test_cosines_of_extreme_components(scale):
    rows = np.random.default_rng(0).random((3, 5))
    np.testing.assert_allclose(cosines(scale * rows, rows), cosines(rows, rows), rtol=1e-2 if scale < 1e-300 else 1e-12)
    assert cosines(rows, rows).max() <= 1


@pytest.mark.parametrize("seed", range(5))
def test_matching_undoes_permutations(seed):
    rng = np.random.default_rng(seed)
    A = rng.random((8, 20)) ** 3
    order = rng.permutation(8)
    B = np.empty_like(A)
    B[order] = A * rng.uniform(0.01, 100, (8, 1))
    found, cosine = match(A, B)
    np.testing.assert_array_equal(found, order)
    np.testing.assert_allclose(cosine, 1, rtol=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_matching_is_the_best_of_all(seed):
    rng = np.random.default_rng(seed)
    A, B = rng.random((2, 5, 4))
    A[0] = 0
    order, cosine = match(A, B)
    similar = cosines(A, B)
    assert cosine.sum() == pytest.approx(max(similar[np.arange(5), list(p)].sum() for p in permutations(range(5))))
    np.testing.assert_array_equal(cosine, similar[np.arange(5), order])
    assert cosine[0] == 0


def test_alignment_of_planted_components():
    planted, runs, orders = components_of_runs()
    for components in (runs, list(runs), iter(runs)):
        order, cosine = align(components, planted)
        np.testing.assert_array_equal(order, np.argsort(orders, axis=1))
        assert cosine.min() > 0.99


def test_stability_of_copies_is_one():
    planted, runs, _ = components_of_runs(noise=0)
    np.testing.assert_allclose(stability(align(runs, planted)), 1, rtol=1e-12)
    np.testing.assert_allclose(stability(align(runs, runs[3]), without=3), 1, rtol=1e-12)


def test_stability_leaves_out_the_reference():
    _, runs, _ = components_of_runs(n_runs=4)
    alignment = align(runs, runs[2])
    others = alignment.cosine[[0, 1, 3]]
    np.testing.assert_allclose(alignment.cosine[2], 1)
    np.testing.assert_allclose(stability(alignment, 2).mean, others.mean(axis=0))
    np.testing.assert_allclose(stability(alignment, 2).minimum, others.min(axis=0))
    np.testing.assert_allclose(stability(alignment).mean, alignment.cosine.mean(axis=0))


def test_stability_of_a_single_run_is_unknown():
    _, runs, _ = components_of_runs(n_runs=1)
    for without in (None, 0):
        found = stability(align(runs, runs[0]), without)
        assert found.mean.shape == found.minimum.shape == (5,)
        assert np.isnan(found).all()


# --- consensus of components


@pytest.mark.parametrize("clustering", ["kmeans", "matching"])
@pytest.mark.parametrize("average", ["median", "mean"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_planted_components_are_found_without_outliers(clustering, average, dtype):
    planted, runs, orders = components_of_runs()
    outliers = [0, 7, 15]
    runs[outliers] = np.random.default_rng(1).random((3, 5, 40)) ** 2
    found = consensus_components(runs.astype(dtype), 5, clustering=clustering, average=average)
    np.testing.assert_array_equal(np.flatnonzero(~found.kept.reshape(20, 5).all(axis=1)), outliers)
    np.testing.assert_array_equal(found.cluster == -1, ~found.kept)
    order, cosine = match(planted, found.H)
    assert cosine.min() > 0.999
    inliers = np.delete(np.arange(20), outliers)
    np.testing.assert_array_equal(found.cluster.reshape(20, 5)[inliers], order[orders[inliers]])
    assert found.H.dtype == dtype
    np.testing.assert_allclose(found.H.sum(axis=1), 1, rtol=1e-6)
    assert found.W is None
    assert found.silhouette > 0.9
    assert repr(found).startswith("<ConsensusComponents: 5 x 40, of 85 of 100 components, silhouette 0.9")


@pytest.mark.parametrize("average", ["median", "mean"])
def test_clusters_are_averaged_at_unit_length(average):
    _, runs, _ = components_of_runs()
    found = consensus_components(runs, 5, average=average)
    for h, c in zip(found.H, range(5), strict=True):
        expected = getattr(np, average)(unit_length(runs)[found.cluster == c], axis=0)
        np.testing.assert_allclose(h, expected / expected.sum())


@pytest.mark.parametrize("neighbourhood", [0.01, 0.3, 1.0])
def test_density_and_silhouette_are_scikit_learns(neighbourhood):
    runs = components_of_runs(noise=0.6)[1]
    rows = unit_length(runs)
    found = consensus_components(runs, 5, neighbourhood=neighbourhood, density_threshold=0.45)
    neighbours = NearestNeighbors(n_neighbors=max(1, int(neighbourhood * 20))).fit(rows)
    expected = neighbours.kneighbors()[0].mean(axis=1)
    np.testing.assert_allclose(found.density, expected)
    np.testing.assert_array_equal(found.kept, expected < 0.45)
    assert found.silhouette == pytest.approx(silhouette_score(rows[found.kept], found.cluster[found.kept]))
    assert (np.diff(np.bincount(found.cluster[found.kept], minlength=5)) <= 0).all()


@pytest.mark.parametrize("clustering", ["kmeans", "matching"])
def test_blocks_do_not_matter(clustering, monkeypatch):
    runs = components_of_runs(noise=0.4)[1]
    runs[3, 2] = 0
    whole = consensus_components(runs, 5, clustering=clustering)
    monkeypatch.setattr(of_components, "_ENTRIES", 300)
    blocks = consensus_components(runs, 5, clustering=clustering)
    for name in ("H", "density", "kept", "cluster", "silhouette"):
        np.testing.assert_allclose(getattr(blocks, name), getattr(whole, name), rtol=1e-10, err_msg=name)


@pytest.mark.parametrize("seed", range(3))
def test_k_means_is_as_good_as_scikit_learns(seed):
    runs = np.random.default_rng(seed).random((12, 6, 8)) ** 2
    rows = unit_length(runs)
    found = consensus_components(runs, 6, density_threshold=2, average="mean", random_state=seed)
    centres = np.array([rows[found.cluster == c].mean(axis=0) for c in range(6)])
    theirs = KMeans(6, n_init=10, random_state=seed).fit(rows).inertia_
    assert ((rows - centres[found.cluster]) ** 2).sum() <= 1.05 * theirs  # as far as local minima differ


def test_the_same_seed_gives_the_same_clusters():
    runs = np.random.default_rng(0).random((12, 6, 8))
    one, other = (consensus_components(runs, 6, density_threshold=2) for _ in range(2))
    np.testing.assert_array_equal(one.cluster, other.cluster)
    np.testing.assert_array_equal(one.H, other.H)


def test_matching_takes_one_component_of_each_run():
    runs = np.random.default_rng(0).random((12, 6, 8))
    found = consensus_components(runs, 6, density_threshold=2, clustering="matching")
    np.testing.assert_array_equal(np.sort(found.cluster.reshape(12, 6), axis=1), np.tile(np.arange(6), (12, 1)))


def test_matching_starts_from_the_run_that_is_most_like_the_others():
    planted, runs, _ = components_of_runs(n_runs=5, noise=0.5)
    runs[3] = planted + 0.25  # as they are on average
    unit = unit_length(runs)
    total = [sum(match(H, other)[1].sum() for other in runs) for H in runs]
    assert of_components._medoid(unit, np.repeat(np.arange(5), 5)) == np.argmax(total) == 3


@pytest.mark.parametrize("clustering", ["kmeans", "matching"])
def test_no_cluster_is_empty(clustering):
    """Not even where there are fewer different components than clusters."""
    runs = np.tile([[1.0, 2.0, 0.0], [0.0, 0.0, 1.0], [0.0, 0.0, 2.0]], (4, 1, 1))
    found = consensus_components(runs, 3, clustering=clustering)
    assert np.bincount(found.cluster, minlength=3).min() > 0
    np.testing.assert_allclose(found.H.sum(axis=1), 1)


def test_matching_fills_clusters_where_all_runs_lack_components():
    one, other = np.eye(6)[:2], np.eye(6)[2:4]
    runs = [np.vstack([one[0], other[0]]), np.vstack([one[0], other[1]]), np.vstack([one[0], one[1]])]
    found = consensus_components(runs, 2, neighbourhood=0.6, clustering="matching")
    np.testing.assert_array_equal(found.kept, [True, False] * 3)
    np.testing.assert_array_equal(np.bincount(found.cluster[found.kept]), [2, 1])


def test_components_of_zeros_are_dropped():
    planted, runs, _ = components_of_runs()
    runs[:9, 0] = 0
    found = consensus_components(runs, 5, density_threshold=2)
    np.testing.assert_array_equal(found.kept, np.concatenate(runs).any(axis=1))
    assert np.isinf(found.density[~found.kept]).all()
    assert match(planted, found.H)[1].min() > 0.999


def test_a_median_of_zero_becomes_a_mean():
    runs = [np.roll([[3.0, 1.0, 0.0, 0.0]], shift) for shift in range(3)]
    found = consensus_components(runs, 1, density_threshold=2)
    unit = unit_length(runs)
    assert np.median(unit, axis=0).any()
    disjoint = consensus_components(np.eye(3)[:, np.newaxis], 1, density_threshold=2)
    np.testing.assert_allclose(disjoint.H, np.full((1, 3), 1 / 3))
    assert found.silhouette == disjoint.silhouette == 0


def test_too_few_components_left():
    runs = np.random.default_rng(0).random((4, 3, 50)) ** 4
    with pytest.raises(ValueError, match=r"Only 0 components .* too few for 3 clusters\. Raise density_threshold"):
        consensus_components(runs, 3, density_threshold=0.1)


def test_a_single_run_with_one_component():
    found = consensus_components([[[1.0, 3.0]]], 1)
    np.testing.assert_allclose(found.H, [[0.25, 0.75]])
    np.testing.assert_array_equal(found.density, [0])


def test_groups_that_have_nothing_in_common_are_cut_as_asked():
    """Where all distances between groups are the same, a cut by distance has to merge all of them."""
    labels = np.tile(np.repeat(np.arange(4), [5, 3, 3, 1]), (6, 1))
    for n_clusters in (1, 2, 3, 4):
        clusters = Consensus(labels, n_clusters).clusters
        assert len(np.unique(clusters)) == n_clusters
        assert all(len(np.unique(clusters[labels[0] == group])) == 1 for group in range(4))
    np.testing.assert_array_equal(Consensus(labels, 9).clusters, labels[0])


def test_cuts_without_ties_are_those_of_scipy():

    tree = linkage(np.random.default_rng(0).random((40, 3)), "average")
    for n_clusters in (1, 2, 5, 40):
        expected = fcluster(tree, n_clusters, "maxclust")
        np.testing.assert_array_equal(by_decreasing_size(cut(tree, n_clusters)), by_decreasing_size(expected))
