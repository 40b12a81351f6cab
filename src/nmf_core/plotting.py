"""Pictures of a factorization, drawn with matplotlib.

Every function returns a :class:`matplotlib.figure.Figure` that pyplot does not know: a notebook shows it,
``savefig`` writes it, and nothing has to be closed. Settings of matplotlib are left as they are.
"""

import functools
import io
from collections.abc import Callable
from dataclasses import replace
from typing import Any, ParamSpec

import numpy as np

from nmf_core.comparison import Comparison
from nmf_core.data import FullMatrix
from nmf_core.factorization import Factorization
from nmf_core.interpretation import (
    component_shares,
    label_of,
    row_errors,
    strongest_features,
)
from nmf_core.labels import component_names
from nmf_core.model_selection import RankSelection
from nmf_core.solvers import SOLVERS
from nmf_core.stopping import SmallViolation
from nmf_core.validation import check_choice

try:
    import matplotlib
    from matplotlib.axes import Axes
    from matplotlib.colors import LinearSegmentedColormap, PowerNorm
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator
except ImportError as error:
    raise ImportError('Pictures need matplotlib: pip install "nmf-core[cli]"') from error

SEVERAL = ("#2b6cb0", "#c05621", "#2f855a", "#6b46c1", "#b7791f", "#c53030", "#319795", "#718096")
INK, QUIET, LINE, BLUE, RUST = "#243b53", "#627d98", "#d9e2ec", "#2b6cb0", "#c05621"

HEAT = LinearSegmentedColormap.from_list("nmf_core", ["#f7fafc", "#bcd4ea", "#5b9bd0", "#1f5f9e", "#0b2545"])

STYLE: Any = {
    "font.size": 9.0,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": "#9fb3c8",
    "axes.linewidth": 0.8,
    "axes.titlesize": 10.0,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": LINE,
    "grid.linewidth": 0.7,
    "xtick.color": QUIET,
    "ytick.color": QUIET,
    "xtick.labelsize": 8.0,
    "ytick.labelsize": 8.0,
    "lines.linewidth": 1.8,
    "lines.solid_capstyle": "round",
    "figure.facecolor": "white",
    "axes.facecolor": "white",
}

# Width and height in inches.
SIZE = (5.4, 4.2)

# More rows or columns than this are not labelled one by one, or drawn one by one.
LABELLED = 40
DRAWN = 480

P = ParamSpec("P")


def _styled(draw: Callable[P, Figure]) -> Callable[P, Figure]:
    """Draw with `STYLE`, and leave matplotlib's settings as they were."""

    @functools.wraps(draw)
    def styled(*args: P.args, **kwargs: P.kwargs) -> Figure:
        with matplotlib.rc_context(STYLE):
            return draw(*args, **kwargs)

    return styled


def _axes(ax: Axes | None) -> tuple[Any, Axes]:
    """The given axes and their figure, or new ones."""
    if ax is not None:
        return ax.figure, ax
    figure = Figure(figsize=SIZE, layout="constrained")
    return figure, figure.add_subplot()


@_styled
def convergence(f: Factorization, *, against: str = "seconds", axes: tuple[Axes, Axes] | None = None) -> Figure:
    """The course of the fit: objective, violation of the optimality conditions, and what stopped it.

    The line at `tol` is there if a small violation could have stopped the fit, and nothing else of that tolerance has.

    Parameters
    ----------
    f : Factorization
        The factorization.
    against : {"seconds", "iterations"}
        What runs to the right.
    axes : pair of Axes, optional
        Where to draw objective and violation; by default a new figure, one above the other.
    """
    check_choice(against, "against", ("seconds", "iterations"))
    if axes is None:
        axes = Figure(figsize=SIZE, layout="constrained").subplots(2, 1, sharex=True)
    upper, lower = axes
    history = f.history
    x = history.seconds if against == "seconds" else np.arange(1, len(history) + 1)
    for ax, values, colour, title in (
        (upper, history.objective, BLUE, "Objective"),
        (lower, history.violation, RUST, "Violation of the optimality conditions"),
    ):
        ax.plot(x, values, color=colour, marker="o" if len(x) <= 25 else "", markersize=3)
        ax.set_title(title)
    upper.ticklabel_format(axis="y", useOffset=False)
    if np.any(history.violation > 0):
        lower.set_yscale("log", nonpositive="mask")
    lower.set_title(f"stopped by {f.stop_reason}", loc="right", color=QUIET, fontsize=8, fontweight="normal")
    tol = f.parameters.get("tol") or 0.0
    rules = SOLVERS[f.solver].rules(tol, FullMatrix) if tol and f.solver in SOLVERS else []
    if f.stop_reason != "relative change" and any(isinstance(rule, SmallViolation) for rule in rules):
        lower.axhline(tol, color=QUIET, linewidth=1, linestyle=(0, (4, 3)))
        lower.annotate(f"tol = {tol:g}", (0, tol), (4, 3), xycoords=("axes fraction", "data"),
                       textcoords="offset points", color=QUIET, fontsize=8)  # fmt: skip
    lower.set_xlabel(against)
    if against == "iterations":
        lower.xaxis.set_major_locator(MaxNLocator(integer=True))
    return _axes(upper)[0]


@_styled
def top_features(f: Factorization, n: int = 10) -> Figure:
    """The n strongest features of every component: a panel of bars, relative to the component's largest.

    Parameters
    ----------
    f : Factorization
        The factorization.
    n : int
        Bars in a panel.
    """
    names, features, shares = component_names(f.n_components), strongest_features(f, n), component_shares(f)
    n_columns = min(4, f.n_components)
    n_rows = -(-f.n_components // n_columns)
    figure = Figure(figsize=(2.7 * n_columns, n_rows * (0.6 + 0.17 * n)), layout="constrained")
    panels = figure.subplots(n_rows, n_columns, squeeze=False).ravel()
    for j, ax in enumerate(panels):
        if j >= f.n_components:
            ax.set_axis_off()
            continue
        ax.barh(range(len(features[j])), [feature.weight for feature in features[j]], height=0.7, color=BLUE)
        ax.set_yticks(range(len(features[j])), [_shortened(feature.label) for feature in features[j]])
        ax.set_ylim(n - 0.4, -0.6)
        ax.set_xlim(0, 1)
        ax.set_xticks([])
        ax.grid(visible=False)
        ax.spines["bottom"].set_visible(False)
        ax.tick_params(left=False, labelcolor=INK)
        ax.set_title(names[j], loc="left")
        ax.set_title(f"{shares[j]:.1%}", loc="right", color=QUIET, fontsize=8, fontweight="normal")
    return figure


def _name_ticks(ax: Axes, places: np.ndarray, labels: list[str]) -> None:
    """Labels below the axes, upright if they have no room side by side."""
    shortened = [_shortened(label) for label in labels]
    crowded = len(labels) * max(map(len, shortened)) > 55
    ax.set_xticks(places, shortened, rotation=90 if crowded else 0, fontsize=7 if crowded else 8)


def _shortened(label: str, width: int = 24) -> str:
    # a dollar sign would start a formula
    return (label if len(label) <= width else label[: width - 1] + "…").replace("$", r"\$")


@_styled
def factor_heatmap(f: Factorization, factor: str = "W", ax: Axes | None = None) -> Figure:
    """A factor as a picture: components from top to bottom, samples (of W) or features (of H) to the right.

    Those are sorted by the component that contributes most to them, and within that by how much, so that what
    belongs together stands together; many are averaged in groups of neighbours. The colour is relative to the
    component's largest value, and grows like its square root.

    Parameters
    ----------
    f : Factorization
        The factorization.
    factor : {"W", "H"}
        Which factor.
    ax : Axes, optional
        Where to draw; by default in a new figure.
    """
    check_choice(factor, "factor", ("W", "H"))
    A, other, labels = (f.W.T, f.H, f.row_labels) if factor == "W" else (f.H, f.W.T, f.column_labels)
    k, n = A.shape
    figure, ax = _axes(ax)
    # The scale of a component can be shifted from W to H at will; its contribution can't.
    contribution = A.astype(np.float64) * np.linalg.norm(other.astype(np.float64), axis=1)[:, np.newaxis]
    strongest = np.where(contribution.any(axis=0), contribution.argmax(axis=0), k)
    order = np.lexsort((-contribution.max(axis=0), strongest))
    picture = contribution[:, order]
    if n > DRAWN:
        edges = np.linspace(0, n, DRAWN + 1).astype(int)
        picture = np.add.reduceat(picture, edges[:-1], axis=1) / np.diff(edges)
    largest = picture.max(axis=1, keepdims=True)
    picture = picture / np.where(largest > 0, largest, 1)
    image = ax.imshow(
        picture,
        aspect="auto",
        interpolation="nearest",
        cmap=HEAT,
        norm=PowerNorm(0.5, 0, 1),
        extent=(0, n, k, 0),
    )
    ax.grid(visible=False)
    step = -(-k // 25)
    ax.set_yticks(np.arange(0, k, step) + 0.5, component_names(f.n_components)[::step])
    ax.tick_params(length=0)
    what = "samples" if factor == "W" else "features"
    if n <= LABELLED:
        _name_ticks(ax, np.arange(n) + 0.5, [label_of(labels, i) for i in order])
    ax.set_xlabel(f"{n:,} {what}, sorted by strongest component")
    ax.set_title(factor)
    bar = figure.colorbar(image, ax=ax, fraction=0.03, pad=0.02, aspect=50, ticks=[0, 0.25, 1], format="%g")
    bar.outline.set_visible(False)
    bar.ax.tick_params(length=0)
    return figure


@_styled
def row_error(f: Factorization, X: Any, ax: Axes | None = None, *, weights: Any = None) -> Figure:
    """How well every row of X is described: its error relative to its length, over what is known of it.

    A few rows are bars with labels, many a histogram with the median.

    Parameters
    ----------
    f : Factorization
        The factorization.
    X : array-like, sparse matrix or data frame of shape (n_samples, n_features)
        What was factorized.
    ax : Axes, optional
        Where to draw; by default in a new figure.
    weights : array-like, sparse matrix or data frame of shape (n_samples, n_features), optional
        Those of the fit, if it had some.
    """
    errors = row_errors(f, X, weights)
    figure, ax = _axes(ax)
    ax.set_title("Error by row")
    if len(errors) <= LABELLED:
        ax.bar(range(len(errors)), np.nan_to_num(errors), color=BLUE, width=0.75)
        _name_ticks(ax, np.arange(len(errors)), [label_of(f.row_labels, i) for i in range(len(errors))])
        ax.grid(visible=False, axis="x")
        ax.set_ylabel("error relative to the row")
        return figure
    errors = errors[np.isfinite(errors)]
    ax.hist(errors, bins=min(60, 10 + len(errors) // 20), color=BLUE, edgecolor="white", linewidth=0.4)
    ax.grid(visible=False, axis="x")
    ax.set_xlabel("error relative to the row")
    ax.set_ylabel("rows")
    if len(errors):
        median = float(np.median(errors))
        ax.axvline(median, color=RUST, linewidth=1.4)
        ax.annotate(f"median {median:.3g}", (median, 1), (-4, -9), xycoords=("data", "axes fraction"),
                    textcoords="offset points", ha="right", color=RUST, fontsize=8)  # fmt: skip
    return figure


@_styled
def rank_curve(selection: RankSelection, ax: Axes | None = None) -> Figure:
    """The mean error of held-out entries by number of components, with standard errors and the two choices.

    Numbers of components with which errors have exploded are crossed; each counts as at most twice the median.

    Parameters
    ----------
    selection : RankSelection
        What `nmf_core.model_selection.cross_validate_rank` has found.
    ax : Axes, optional
        Where to draw; by default in a new figure.
    """
    figure, ax = _axes(ax)
    ranks, mean = selection.n_components, selection.mean
    ax.errorbar(ranks, mean, selection.standard_error, color=BLUE, marker="o", markersize=4, elinewidth=1, capsize=2.5)
    ax.axhline(selection.threshold, color=QUIET, linewidth=1, linestyle=(0, (4, 3)))
    for choice, marker, label in (
        (selection.best, "o", "smallest error"),
        (selection.best_one_standard_error, "s", "within one standard error of it"),
    ):
        size = 8 if marker == "o" else 13
        ax.plot(choice, mean[ranks == choice], marker, color=RUST, markersize=size, linestyle="",
                markerfacecolor=RUST if marker == "o" else "none", label=f"{choice}: {label}", zorder=3)  # fmt: skip
    exploded = np.isin(ranks, list(selection.exploded))
    if exploded.any():
        ax.plot(ranks[exploded], mean[exploded], "x", color=INK, markersize=9, linestyle="", label="a fold exploded")
    if mean.max() > 100 * mean.min() > 0:
        ax.set_yscale("log", nonpositive="mask")
    ax.legend(frameon=False)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set_xlabel("components")
    ax.set_ylabel("mean loss of a held-out entry")
    ax.set_title("Error of held-out entries")
    return figure


@_styled
def solver_curves(comparison: Comparison, ax: Axes | None = None) -> Figure:
    """How far every solver's objective is above the lowest that any has reached, against seconds.

    Parameters
    ----------
    comparison : Comparison
        What `nmf_core.compare_solvers` has found.
    ax : Axes, optional
        Where to draw; by default in a new figure.
    """
    figure, ax = _axes(ax)
    best = comparison.best
    soon = comparison.seconds_to(1.01 * best)
    order = sorted(comparison.results, key=lambda name: (np.nan_to_num(soon[name], nan=np.inf),
                                                         comparison.results[name].objective))  # fmt: skip
    for place, name in enumerate(order):
        history = comparison.results[name].history
        above = np.maximum(history.objective - best, 1e-6 * best) / best if best else history.objective
        if name in comparison.estimated:  # only the end is known
            history, above = replace(history, seconds=history.seconds[-1:]), above[-1:]
        ax.plot(history.seconds, above, color=SEVERAL[place % len(SEVERAL)], label=name, linewidth=1.5,
                linestyle="-" if place < len(SEVERAL) else (0, (3, 2)),
                marker="o" if len(above) == 1 else None, markersize=4)  # fmt: skip
    for close in (0.01, 0.001):
        ax.axhline(close, color=QUIET, linewidth=0.8, linestyle=(0, (4, 3)), zorder=0)
    ax.set_xscale("log")
    ax.set_yscale("log", nonpositive="mask")
    ax.legend(frameon=False, loc="upper left", bbox_to_anchor=(1.01, 1.02), title="first to 1 % comes first",
              title_fontsize=8, fontsize=8)  # fmt: skip
    ax.set_xlabel("seconds")
    ax.set_ylabel("objective above the lowest, relative to it")
    ax.set_title("Solvers from one start")
    return figure


def svg(figure: Figure) -> bytes:
    """A figure as an SVG file: the same bytes every time, and no reference to anything outside."""
    picture = io.BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": "nmf_core", "svg.fonttype": "path", "svg.image_inline": True}):
        figure.savefig(picture, format="svg", metadata={"Date": None, "Creator": None}, dpi=150)
    return picture.getvalue()
