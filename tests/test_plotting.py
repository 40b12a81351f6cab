"""Pictures: what they show, and what they leave alone."""

from dataclasses import replace

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

import nmf_core
from nmf_core import plotting, stopping
from nmf_core.model_selection import RankSelection
from nmf_core.plotting import ensembles
from nmf_core.similarity import cosines


def factorized(n, m, k, labelled=False, **options):
    X = np.random.default_rng(0).random((n, m))
    f = nmf_core.factorize(X, k, init="random", random_state=0, max_iter=30, **options)
    if labelled:
        rows, columns = (tuple(f"{what} ${i}" for i in range(size)) for what, size in (("row", n), ("column", m)))
        f = replace(f, row_labels=rows, column_labels=columns)
    return X, f


@pytest.fixture(
    params=[
        (12, 9, 3, True),
        (1, 6, 1),
        *(pytest.param(p, marks=pytest.mark.slow) for p in [(12, 9, 3), (700, 50, 5), (60, 1, 1), (60, 45, 41)]),
    ]
)
def fitted(request):
    return factorized(*request.param)


def all_figures(X, f):
    yield plotting.convergence(f)
    yield plotting.convergence(f, against="iterations")
    yield plotting.top_features(f)
    yield plotting.factor_heatmap(f, "W")
    yield plotting.factor_heatmap(f, "H")
    yield plotting.row_error(f, X)
    yield plotting.row_error(f, sp.csr_array(X))


def test_every_picture_can_be_drawn_and_leaves_no_trace(fitted):
    settings = dict(matplotlib.rcParams)
    for figure in all_figures(*fitted):
        assert isinstance(figure, Figure)
        assert plotting.svg(figure).startswith(b"<?xml")
    assert dict(matplotlib.rcParams) == settings
    assert plt.get_fignums() == []


def test_convergence_shows_the_history():
    _, f = factorized(20, 10, 2)
    upper, lower = plotting.convergence(f).axes
    np.testing.assert_array_equal(upper.lines[0].get_ydata(), f.history.objective)
    np.testing.assert_array_equal(upper.lines[0].get_xdata(), f.history.seconds)
    np.testing.assert_array_equal(lower.lines[0].get_ydata(), f.history.violation)
    assert lower.get_yscale() == "log"
    upper, _ = plotting.convergence(f, against="iterations").axes
    np.testing.assert_array_equal(upper.lines[0].get_xdata(), np.arange(1, f.n_iter + 1))
    with pytest.raises(ValueError, match="against must be one of 'seconds', 'iterations', got 'time'"):
        plotting.convergence(f, against="time")


@pytest.mark.parametrize(
    ("options", "reason", "line"),
    [
        ({}, "tol", True),
        ({"max_iter": 3}, "max_iter", True),
        ({"loss": 1.5, "tol": 1e-3}, "relative change", False),
        ({"loss": "kullback-leibler", "max_iter": 3}, "max_iter", True),
        ({"solver": "mu", "tol": 1e-2}, "relative change", False),
        ({"solver": "mu", "max_iter": 3}, "max_iter", True),
        ({"stop": stopping.SmallViolation(0.5)}, "tol", False),
        ({"tol": 0, "max_iter": 3}, "max_iter", False),
    ],
)
def test_convergence_shows_the_tolerance_of_the_violation_only(options, reason, line):
    X = np.random.default_rng(0).random((20, 10))
    f = nmf_core.factorize(X, 2, random_state=0, **options)
    _, lower = plotting.convergence(f).axes
    assert lower.get_title(loc="right") == f"stopped by {f.stop_reason}" == f"stopped by {reason}"
    assert [text.get_text().startswith("tol = ") for text in lower.texts] == [True] * line
    assert len(lower.lines) == 1 + line


def test_pictures_go_where_they_are_told():
    X, f = factorized(20, 10, 2)
    figure = Figure()
    axes = figure.subplots(2, 2).ravel()
    assert plotting.convergence(f, axes=axes[:2]) is figure
    assert plotting.row_error(f, X, ax=axes[2]) is figure
    assert plotting.factor_heatmap(f, ax=axes[3]) is figure
    assert all(ax.get_title(loc="left") for ax in axes)


def test_top_features_has_a_panel_for_every_component():
    _, f = factorized(20, 10, 6, labelled=True)
    panels = [ax for ax in plotting.top_features(f, 4).axes if ax.axison]
    assert [ax.get_title(loc="left") for ax in panels] == ["c1", "c2", "c3", "c4", "c5", "c6"]
    strongest = f.column_labels[np.argmax(f.H[0])]
    assert panels[0].get_yticklabels()[0].get_text() == strongest.replace("$", r"\$")
    assert len(panels[0].patches) == 4


def test_heatmap_puts_together_what_belongs_together():
    f = factorized(30, 10, 3)[1]
    W = np.zeros((30, 3))
    W[np.arange(30), np.random.default_rng(0).permutation(30) % 3] = 1
    W[7] = 0
    image = plotting.factor_heatmap(replace(f, W=W), "W").axes[0].images[0].get_array()
    expected = np.zeros((3, 30))
    sizes = W.sum(axis=0).astype(int)
    for j, first in enumerate(np.cumsum(sizes) - sizes):
        expected[j, first : first + sizes[j]] = 1
    np.testing.assert_array_equal(image, expected)
    many = replace(f, W=np.ones((30, 60)), H=np.ones((60, 10)))
    labels = plotting.factor_heatmap(many, "W").axes[0].get_yticklabels()
    assert [(label.get_position()[1], label.get_text()) for label in labels][:2] == [(0.5, "c1"), (3.5, "c4")]
    with pytest.raises(ValueError, match="factor must be one of 'W', 'H', got 'X'"):
        plotting.factor_heatmap(f, "X")


def test_a_large_factor_becomes_a_small_picture():
    f = factorized(10, 10, 2)[1]
    large = replace(f, W=np.random.default_rng(0).random((100_003, 2)))
    image = plotting.factor_heatmap(large, "W").axes[0].images[0].get_array()
    assert image.shape == (2, plotting.base.DRAWN)
    assert image.max() == 1


def test_row_error_shows_bars_or_a_histogram():
    X, f = factorized(12, 9, 3, labelled=True)
    assert len(plotting.row_error(f, X).axes[0].patches) == 12
    X, f = factorized(300, 9, 3)
    ax = plotting.row_error(f, X).axes[0]
    assert sum(bar.get_height() for bar in ax.patches) == 300


def test_row_error_of_what_is_known():
    rng = np.random.default_rng(0)
    X = rng.random((60, 9))
    X[rng.random(X.shape) < 0.3] = np.nan
    X[3] = np.nan
    f = nmf_core.factorize(X, 2, missing="nan", random_state=0)
    assert sum(bar.get_height() for bar in plotting.row_error(f, X).axes[0].patches) == 59
    few = nmf_core.factorize(X[:5], 1, missing="nan", random_state=0)
    heights = [bar.get_height() for bar in plotting.row_error(few, X[:5]).axes[0].patches]
    assert [height > 0 for height in heights] == [True, True, True, False, True]
    weights = np.zeros(X.shape)
    weights[::2] = 1
    weighted = nmf_core.factorize(X, 2, missing="nan", weights=weights, random_state=0)
    ax = plotting.row_error(weighted, X, weights=weights).axes[0]
    assert sum(bar.get_height() for bar in ax.patches) == 30


def selection(errors):
    return RankSelection(np.arange(2, 2 + len(errors)), np.array(errors, dtype=float), "wold", "frobenius")


def test_rank_curve_marks_both_choices():
    ax = plotting.rank_curve(selection([[4, 6], [1.2, 1.4], [1.1, 1.3], [2, 2]])).axes[0]
    curve, threshold, best, simplest = (line for line in ax.lines if line.get_marker() not in ("_", "|"))
    np.testing.assert_array_equal(curve.get_xdata(), [2, 3, 4, 5])
    np.testing.assert_allclose(curve.get_ydata(), [5, 1.3, 1.2, 2])
    np.testing.assert_allclose(threshold.get_ydata(), 1.3)
    assert (best.get_xdata(), simplest.get_xdata()) == (4, 3)
    bars = ax.containers[0].lines[2][0].get_segments()
    np.testing.assert_allclose([bar[:, 1] for bar in bars], [[4, 6], [1.2, 1.4], [1.1, 1.3], [2, 2]])
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert labels == ["4: smallest error", "3: within one standard error of it"]
    assert (ax.get_yscale(), ax.get_title(loc="left")) == ("linear", "Error of held-out entries")


def test_rank_curve_crosses_what_exploded():
    errors = [[4, 6, 5], [1.2, 1e9, 1.4], [1.1, 1.3, 1.2], [np.inf, np.nan, 2]]
    figure = plotting.rank_curve(selection(errors))
    crosses = next(line for line in figure.axes[0].lines if line.get_marker() == "x")
    np.testing.assert_array_equal(crosses.get_xdata(), [3, 5])
    np.testing.assert_allclose(crosses.get_ydata(), [(1.2 + 2.8 + 1.4) / 3, np.inf])
    assert "a fold exploded" in [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert plotting.svg(figure).startswith(b"<?xml")


def test_rank_curve_shows_errors_of_any_size():
    figure = Figure()
    ax = figure.add_subplot()
    assert plotting.rank_curve(selection([[5, 6], [0.01, 0.01], [1e12, 1]]), ax=ax) is figure
    assert ax.get_yscale() == "log"
    for errors in ([[0, 0]], [[1, 1], [0, 0]], [[0, 0.1]]):
        assert plotting.svg(plotting.rank_curve(selection(errors))).startswith(b"<?xml")


def test_solver_curves_show_the_fastest_first():
    X = np.random.default_rng(0).random((30, 20))
    comparison = nmf_core.compare_solvers(X, 3, ["mu", "hals", "randomized"], max_iter=200, random_state=0)
    ax = plotting.solver_curves(comparison).axes[0]
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert sorted(labels) == ["hals", "mu", "randomized"]
    soon = comparison.seconds_to(1.01 * comparison.best)
    reached = [soon[label] for label in labels if np.isfinite(soon[label])]
    assert reached == sorted(reached)
    curve = ax.lines[labels.index("hals")]
    np.testing.assert_array_equal(curve.get_xdata(), comparison.results["hals"].history.seconds)
    above = np.array(curve.get_ydata()) * comparison.best
    np.testing.assert_allclose(
        above, comparison.results["hals"].history.objective - comparison.best, atol=2e-6 * comparison.best
    )
    assert len(ax.lines[labels.index("randomized")].get_xdata()) == 1
    assert plotting.svg(plotting.solver_curves(nmf_core.compare_solvers(0 * X, 1, max_iter=2))).startswith(b"<?xml")


def test_svg_is_the_same_every_time_and_refers_to_nothing():
    _, f = factorized(20, 10, 2)
    pictures = {plotting.svg(plotting.factor_heatmap(f, "H")) for _ in range(2)}
    assert len(pictures) == 1
    text = pictures.pop().decode()
    for name in (
        "http://www.w3.org/2000/svg",
        "http://www.w3.org/1999/xlink",
        "http://www.w3.org/Graphics/SVG/1.1/DTD",
    ):
        text = text.replace(name, "")
    for reference in text.split('href="')[1:]:
        assert reference.startswith(("#", "data:"))


# --- curves, images and maps


def curve(ax):
    """What is drawn over what."""
    [line] = ax.lines
    return line.get_xdata(), line.get_ydata()


def ticks(figure):
    figure.draw_without_rendering()
    return [[label.get_text() for label in ax.get_xticklabels() if label.get_visible()] for ax in figure.axes]


@pytest.mark.parametrize("text", [False, True])
def test_spectra_are_over_names_that_are_numbers(text):
    _, f = factorized(20, 6, 3)
    waves = [900.5, 800.0, 700.0, 600.0, 500.0, 400.0]
    f = replace(f, column_labels=list(map(str, waves)) if text else waves)
    figure = plotting.spectra(f)
    for j, ax in enumerate(figure.axes[:3]):
        x, y = curve(ax)
        np.testing.assert_array_equal(x, waves[::-1])
        np.testing.assert_array_equal(y, f.H[j, ::-1])
    # the panel at the right has nothing below it
    assert [bool(names) for names in ticks(figure)[:3]] == [False, True, True]


def test_spectra_over_names_are_bars():
    _, f = factorized(20, 96, 2)
    kinds = [f"A[C>{i}]${i}" for i in range(96)]
    figure = plotting.spectra(replace(f, column_labels=kinds))
    bars = figure.axes[0].patches[0].get_data()
    np.testing.assert_array_equal(bars.values[::2], f.H[0])
    assert not bars.values[1::2].any()
    np.testing.assert_allclose((bars.edges[::2] + bars.edges[1::2]) / 2, np.arange(96))
    for names in ticks(figure):
        assert 15 <= len(names) <= 30
        assert set(names) <= {kind.replace("$", r"\$") for kind in kinds}
    assert all(label.get_rotation() == 90 for label in figure.axes[0].get_xticklabels())
    few = plotting.spectra(factorized(20, 3, 2)[1], ["a", "b", "c"])
    assert ticks(few) == [["a", "b", "c"]] * 2
    assert few.axes[0].get_xticklabels()[0].get_rotation() == 0


@pytest.mark.parametrize("zone", [None, "Europe/Berlin"])
@pytest.mark.parametrize("kind", [lambda days: days, lambda days: days.to_numpy(), lambda days: tuple(days)])
def test_curves_over_dates(zone, kind):
    days = kind(pd.date_range("2023-01-01", periods=365, tz=zone))
    _, f = factorized(365, 4, 1)
    f = replace(f, row_labels=days)
    for figure in (plotting.activations(f), plotting.activations(replace(f, row_labels=None), days)):
        ax = figure.axes[0]
        np.testing.assert_allclose(np.diff(curve(ax)[0]), 1, atol=0.1)
        assert 3 <= len(ticks(figure)[0]) <= 10
        assert ticks(figure)[0][0] == "2023"


def test_a_curve_for_every_channel():
    X = np.random.default_rng(0).random((2, 9, 12))
    f = nmf_core.factorize(X, 2, sample_axes=2, random_state=0)
    hertz = np.linspace(0, 4000, 9)
    for j, ax in enumerate(plotting.spectra(f, hertz).axes):
        assert len({line.get_linestyle() for line in ax.lines}) == len(ax.lines) == 2
        for channel, line in enumerate(ax.lines):
            np.testing.assert_array_equal(line.get_xdata(), hertz)
            np.testing.assert_array_equal(line.get_ydata(), f.images[j, channel])
    x, y = curve(plotting.spectra(f).axes[1])
    np.testing.assert_array_equal(x, np.arange(18))
    np.testing.assert_array_equal(y, f.H[1])
    with pytest.raises(ValueError, match="x has 5 values, but there are 18 features, along axes of 2 and 9"):
        plotting.spectra(f, range(5))
    seconds = np.linspace(0, 1, 12)
    x, y = curve(plotting.activations(f, seconds).axes[1])
    np.testing.assert_array_equal(x, seconds)
    np.testing.assert_array_equal(y, f.W[:, 1])


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.full(9, np.nan), "x must hold numbers, dates or names, but some of it is missing or infinite"),
        ([*range(8), np.inf], "some of it is missing"),
        (np.full(9, "NaT", dtype="datetime64[s]"), "some of it is missing"),
        (3.0, "x has 0 dimensions, but there are 9 features"),
        (np.ones((9, 1)), "x has 2 dimensions"),
        (range(8), "x has 8 values, but there are 9 features.$"),
    ],
)
def test_places_that_are_none(x, message):
    with pytest.raises(ValueError, match=message):
        plotting.spectra(factorized(20, 9, 2)[1], x)


def test_levels_of_names_are_text():
    labels = pd.MultiIndex.from_product([["a", "b"], [1, 2]])
    f = replace(factorized(20, 4, 2)[1], column_labels=labels)
    assert ticks(plotting.spectra(f))[0] == [str(label) for label in labels]


def test_maps_have_a_scale_and_leave_out_what_is_not_known():
    f = nmf_core.factorize(np.random.default_rng(0).random((4, 5, 6)), 2, sample_axes=(0, 1), random_state=0)
    f.W[7] = np.nan
    for ax, largest in zip(plotting.maps(f).axes, np.nanmax(f.W, axis=0), strict=True):
        assert ax.images[0].get_array().mask.sum() == 1
        [scale] = ax.child_axes
        assert scale.get_yticklabels()[-1].get_text() == f"{largest:.2g}"
    with pytest.raises(ValueError, match=r"W has 1 axes .* plotting.activations draws curves"):
        plotting.maps(factorized(20, 9, 2)[1])


def test_images_have_colours_without_transparency():
    X = np.random.default_rng(0).random((9, 4, 5, 4))
    f = nmf_core.factorize(X, 2, sample_axes=0, random_state=0)
    for j, ax in enumerate(plotting.images(f).axes):
        np.testing.assert_allclose(ax.images[0].get_array(), f.images[j, ..., :3] / f.images[j, ..., :3].max())
    with pytest.raises(ValueError, match="Colours are 3 values, or 4 with transparency, but the last axis of H has 2"):
        plotting.images(nmf_core.factorize(X[..., :2], 2, sample_axes=0, random_state=0))


def test_names_that_are_long_numbers_are_short():
    f = replace(factorized(20, 3, 1)[1], column_labels=[1289.8305084745762, 2.0, 1e-9])
    names = {label.get_text() for label in plotting.top_features(f).axes[0].get_yticklabels()}
    assert names == {"1289.8305", "2", "1e-09"}


def test_what_holds_a_factorization_can_be_drawn(ensemble):
    X = blocks()
    model = nmf_core.NMF(2, init="random", random_state=0).fit(X)
    for held, f in ((ensemble, ensemble.best), (ensemble.components(), None), (model, model.result_)):
        f = held.factorization if f is None else f
        np.testing.assert_array_equal(curve(plotting.spectra(held).axes[0])[1], f.H[0])
        np.testing.assert_array_equal(curve(plotting.activations(held, range(30)).axes[0])[1], f.W[:, 0])
        for draw in (plotting.convergence, plotting.top_features, plotting.factor_heatmap):
            assert isinstance(draw(held), Figure)
        assert isinstance(plotting.row_error(held, X), Figure)
    for nothing in (nmf_core.NMF(2), X, nmf_core.match(X[:2], X)):
        with pytest.raises(TypeError, match=f"This picture needs a factorization, .* got {type(nothing).__name__}"):
            plotting.spectra(nothing)


# --- many runs


def blocks(n=30, m=18, labelled=True):
    """Samples of three kinds in turn, with noise."""
    rng = np.random.default_rng(0)
    kind = np.arange(n) % 3
    X = 4.0 * (kind[:, np.newaxis] == np.arange(m) % 3) + rng.random((n, m))
    return pd.DataFrame(X, index=[f"s{i}" for i in range(n)]) if labelled else X


@pytest.fixture(scope="module")
def ensemble():
    return nmf_core.factorize_many(blocks(), 4, 7, random_state=0)


@pytest.fixture(scope="module")
def survey():
    found = nmf_core.rank_survey(blocks(), [2, 3, 4], 4, held_out=False, null=True, random_state=0)
    return nmf_core.RankSurvey(dict(found), selection([[4, 6], [1.2, 1.4], [1.1, 1.3]]), found.null)


def row_names(ax):
    return [label.get_text() for label in ax.get_yticklabels()]


def legend_of(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def test_pictures_of_many_runs_leave_no_trace(ensemble, survey):
    settings = dict(matplotlib.rcParams)
    for figure in (
        plotting.consensus_map(ensemble, labels=np.arange(30) % 3),
        plotting.component_clusters(ensemble),
        plotting.rank_survey(survey),
        plotting.stability_error(survey),
    ):
        assert isinstance(figure, Figure)
        assert plotting.svg(figure).startswith(b"<?xml")
    assert dict(matplotlib.rcParams) == settings
    assert plt.get_fignums() == []


def test_consensus_map_of_samples_of_which_there_is_nothing():
    A = np.vstack([np.zeros((3, 6)), np.kron(np.eye(2), np.ones((6, 3)))])
    many = nmf_core.factorize_many(A, 2, 3, random_state=0)
    texts = [text.get_text() for text in plotting.consensus_map(many).axes[0].texts]
    assert sorted(text for text in texts if text.isdigit()) == ["1", "2", "3"]


def test_consensus_map_puts_together_what_belongs_together(ensemble):
    figure = plotting.consensus_map(ensemble, labels=["a", "b", "c"] * 10)
    ax = figure.axes[0]
    order = [int(name[1:]) for name in row_names(ax)]
    assert sorted(order) == list(range(30))
    square, clusters, classes = (image.get_array() for image in ax.images)
    np.testing.assert_array_equal(square, ensemble.consensus(order, square=True))
    # clusters and classes are in one piece each, and have numbers where there is room
    changes = np.flatnonzero(np.diff(ensemble.clusters[order])) + 1
    np.testing.assert_array_equal(np.flatnonzero(np.diff(clusters[:, 0, 0])) + 1, changes)
    assert len(np.unique(classes[:, 0], axis=0)) == 3
    numbers = [text.get_text() for text in ax.texts if text.get_text().isdigit()]
    starts = [0, *changes]
    assert numbers == [str(cluster + 1) for cluster in ensemble.clusters[order][starts]]
    colours = dict(zip(legend_of(ax), (handle.get_facecolor()[:3] for handle in ax.get_legend().legend_handles),
                       strict=True))  # fmt: skip
    assert [colours["abc"[i % 3]] for i in order] == [tuple(colour) for colour in classes[:, 0]]
    assert ax.get_title(loc="left") == "Consensus of 7 runs, 4 components"
    assert ax.get_xlabel() == "30 samples"


def test_consensus_map_of_some_samples(ensemble, monkeypatch):
    ax = plotting.consensus_map(ensemble, samples=["s7", "s4", "s1", "s0"]).axes[0]
    assert sorted(row_names(ax)) == ["s0", "s1", "s4", "s7"]
    assert ax.get_legend() is None
    assert len(ax.images) == 2
    with pytest.raises(ValueError, match="There is no sample 's99'"):
        plotting.consensus_map(ensemble, samples=["s99"])

    monkeypatch.setattr(ensembles, "DRAWN", 12)
    monkeypatch.setattr(ensembles, "LABELLED", 5)
    images = [plotting.consensus_map(ensemble).axes[0].images[0].get_array() for _ in range(2)]
    np.testing.assert_array_equal(*images)
    assert images[0].shape == (12, 12)
    ax = plotting.consensus_map(ensemble, labels=["a"] * 30).axes[0]
    assert ax.get_xlabel() == "12 of 30 samples,\ndrawn at random"
    assert row_names(ax) == []


def test_classes_of_samples(ensemble):
    classes = pd.Series(["$a", "b", None] * 10, index=[f"s{i}" for i in range(30)])
    straight, mixed = (plotting.consensus_map(ensemble, one).axes[0] for one in (classes, classes[::-1]))
    np.testing.assert_array_equal(straight.images[2].get_array(), mixed.images[2].get_array())
    # by their first appearance in the order of the samples, whatever the order in which they are given
    assert legend_of(straight) == legend_of(mixed) == [r"\$a", "b"]
    nothing = [int(name[1:]) % 3 == 2 for name in row_names(straight)]
    found = (straight.images[2].get_array()[:, 0] == to_rgb(ensembles.NONE)).all(axis=1)
    np.testing.assert_array_equal(found, nothing)

    many = [f"class {i}" for i in range(26)] + ["class 0", "class 1", np.nan, pd.NA]
    shown = legend_of(plotting.consensus_map(ensemble, many).axes[0])
    assert len(shown) == ensembles.CLASSES
    assert shown[:2] == ["class 0", "class 1"]
    assert shown[-1] == "7 others"

    for bad, shape in ((["a"] * 29, r"\(29,\)"), ("a", r"\(\)"), (np.zeros((30, 2)), r"\(30, 2\)")):
        with pytest.raises(ValueError, match=f"^labels must hold a class for each of the 30 samples, .* {shape}.$"):
            plotting.consensus_map(ensemble, bad)
    with pytest.raises(ValueError, match="rows of labels are not those of X"):
        plotting.consensus_map(ensemble, pd.Series(["a"] * 30, index=[f"t{i}" for i in range(30)]))


@pytest.mark.parametrize(("n", "k", "n_runs"), [(1, 1, 2), (2, 2, 3), (5, 3, 1), (60, 2, 2)])
def test_pictures_of_small_ensembles(n, k, n_runs):
    many = nmf_core.factorize_many(blocks(n, labelled=False), k, n_runs, random_state=0)
    survey = nmf_core.RankSurvey({k: many})
    for figure in (
        plotting.consensus_map(many),
        plotting.component_clusters(many, density_threshold=2),
        plotting.rank_survey(survey),
        plotting.stability_error(survey),
    ):
        assert plotting.svg(figure).startswith(b"<?xml")


def test_component_clusters_show_what_is_dropped(ensemble):
    everything = ensemble.components(density_threshold=2)
    threshold = float(np.sort(everything.density)[-3])
    found = ensemble.components(density_threshold=threshold)
    assert found.kept.sum() == 25
    figure = plotting.component_clusters(ensemble, density_threshold=threshold)
    ax = figure.axes[0]
    square, grey, strip = (image.get_array() for image in ax.images)
    order = np.lexsort((found.density, np.where(found.kept, found.cluster, 4)))
    H = np.concatenate(list(ensemble.H))[order]
    np.testing.assert_allclose(square, cosines(H, H), atol=1e-12)
    np.testing.assert_array_equal(grey.mask, np.outer(np.arange(28) < 25, np.arange(28) < 25))
    sizes = np.bincount(found.cluster[found.kept])
    np.testing.assert_array_equal(np.flatnonzero(np.abs(np.diff(strip[:, 0], axis=0)).any(axis=1)) + 1, sizes.cumsum())
    assert [text.get_text() for text in ax.texts if text.get_text().startswith("c")][-4:] == ["c1", "c2", "c3", "c4"]
    assert ax.get_xlabel() == "28 components\n3 dropped"
    histogram = ax.child_axes[-1]
    assert histogram.lines[0].get_xdata()[0] == threshold
    assert sum(patch.get_height() for patch in histogram.patches) == 28

    ax = plotting.component_clusters(ensemble, density_threshold=2, clustering="matching").axes[0]
    assert len(ax.images) == 2
    assert ax.get_xlabel() == "28 components\nnone dropped"
    with pytest.raises(ValueError, match="Raise density_threshold"):
        plotting.component_clusters(ensemble, density_threshold=0)


def test_component_clusters_of_some_runs(ensemble, monkeypatch):
    monkeypatch.setattr(ensembles, "DRAWN", 13)
    ax = plotting.component_clusters(ensemble, density_threshold=2).axes[0]
    assert ax.images[0].get_array().shape == (12, 12)
    assert ax.get_xlabel() == "12 components of 3 runs, drawn at random\nnone dropped"
    assert sum(patch.get_height() for patch in ax.child_axes[-1].patches) == 28


def test_rank_survey_has_panels_that_mark_the_choice(survey):
    figure = plotting.rank_survey(survey)
    panels = {ax.get_title(loc="left"): ax for ax in figure.axes if ax.axison}
    assert list(panels) == ["Held-out error", "Explained variance", "Consensus", "Ambiguous pairs", "Silhouette",
                            "Stability", "Sparseness"]  # fmt: skip
    table = survey.table
    for title, columns in (
        ("Explained variance", ["null_explained_variance", "explained_variance"]),
        ("Consensus", ["cophenetic", "dispersion"]),
        ("Ambiguous pairs", ["null_pac", "pac"]),
        ("Silhouette", ["null_silhouette", "silhouette"]),
        ("Stability", ["null_stability_mean", "stability_mean", "stability_min"]),
        ("Sparseness", ["sparsity_W", "sparsity_H"]),
    ):
        assert len(panels[title].lines) == len(columns)
        for line, column in zip(panels[title].lines, columns, strict=True):
            np.testing.assert_array_equal(line.get_xdata(), [2, 3, 4])
            np.testing.assert_array_equal(line.get_ydata(), table[column])
    np.testing.assert_allclose(panels["Held-out error"].lines[0].get_ydata(), survey.held_out.mean)
    for ax in panels.values():
        band = ax.patches[0].get_extents().transformed(ax.transData.inverted())
        np.testing.assert_allclose([band.x0, band.x1], [survey.best - 0.4, survey.best + 0.4])
        np.testing.assert_array_equal(ax.get_xticks(), [2, 3, 4])
    assert figure.get_suptitle().replace("\n", " ") == f"{survey.best} components: {survey.reason}"

    bare = nmf_core.RankSurvey(dict(survey))
    assert len(plotting.rank_survey(bare).axes) == 6
    narrow = plotting.rank_survey(bare, n_columns=2)
    assert narrow.get_figwidth() < 5
    assert max(map(len, narrow.get_suptitle().split("\n"))) < 60
    assert all(len(ax.lines) <= 2 for ax in narrow.axes)


def test_rank_survey_shows_errors_of_any_size(survey):
    wild = nmf_core.RankSurvey(dict(survey), selection([[1e9, 2e9], [1, np.inf], [2, 2]]))
    figure = plotting.rank_survey(wild)
    assert figure.axes[0].get_yscale() == "log"
    assert plotting.svg(figure).startswith(b"<?xml")


def test_stability_and_error_side_by_side(survey):
    figure = Figure()
    left = figure.add_subplot()
    assert plotting.stability_error(survey, ax=left) is figure
    assert figure.axes[0] is left
    table = survey.table
    np.testing.assert_array_equal(left.lines[0].get_ydata(), table["stability_mean"])
    whiskers = left.containers[0].lines[2][0].get_segments()
    np.testing.assert_allclose([whisker[:, 1].min() for whisker in whiskers], table["stability_min"])
    np.testing.assert_allclose([whisker[:, 1].max() for whisker in whiskers], table["stability_mean"])
    np.testing.assert_array_equal(figure.axes[1].lines[0].get_ydata(), table["relative_error"])
    assert left.get_title(loc="left") == f"Stability and error, {survey.best} chosen"


def test_pictures_of_many_runs_go_where_they_are_told(ensemble):
    figure = Figure()
    left, right = figure.subplots(1, 2)
    assert plotting.consensus_map(ensemble, ax=left) is figure
    assert plotting.component_clusters(ensemble, ax=right) is figure
    assert left.get_title(loc="left").startswith("Consensus")
    assert right.get_title(loc="left").startswith("Components")
