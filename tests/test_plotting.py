"""Pictures: what they show, and what they leave alone."""

from dataclasses import replace

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest
import scipy.sparse as sp
from matplotlib.figure import Figure

import nmf_core
from nmf_core import plotting


def factorized(n, m, k, labelled=False, **options):
    X = np.random.default_rng(0).random((n, m))
    f = nmf_core.factorize(X, k, init="random", random_state=0, max_iter=30, **options)
    if labelled:
        rows, columns = (tuple(f"{what} ${i}" for i in range(size)) for what, size in (("row", n), ("column", m)))
        f = replace(f, row_labels=rows, column_labels=columns)
    return X, f


@pytest.fixture(params=[(12, 9, 3, True), (12, 9, 3), (700, 50, 5), (1, 6, 1), (60, 1, 1), (60, 45, 41)])
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
