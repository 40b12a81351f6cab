"""Pictures: what they show, and what they leave alone."""

from dataclasses import replace

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest
import scipy.sparse as sp
from matplotlib.figure import Figure

import nmf_core
from nmf_core import plotting, stopping
from nmf_core.model_selection import RankSelection


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
    assert image.shape == (2, plotting.DRAWN)
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
