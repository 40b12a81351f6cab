"""Pictures of the factors: components, and how well rows are described."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure

from nmf_core.factorization import Factorization
from nmf_core.interpretation import (
    component_shares,
    label_of,
    row_errors,
    strongest_features,
)
from nmf_core.plotting.base import (
    BLUE,
    DRAWN,
    HEAT,
    INK,
    LABELLED,
    QUIET,
    RUST,
    axes_for,
    name_ticks,
    of_a_fit,
    shortened,
)
from nmf_core.typing import FactorName, Ranking
from nmf_core.validation import check_choice


@of_a_fit
def top_features(f: Factorization, n: int = 10, *, by: Ranking = "distinctive") -> Figure:
    """The n strongest features of every component: a panel of bars, relative to the component's largest.

    Parameters
    ----------
    f : Factorization
        The factorization.
    n : int
        Bars in a panel.
    by : {"distinctive", "weight", "lift"}
        What strong means, see `Factorization.features`.
    """
    names, features, shares = f.names, strongest_features(f, n, by), component_shares(f)
    n_columns = min(4, f.n_components)
    n_rows = -(-f.n_components // n_columns)
    figure = Figure(figsize=(2.7 * n_columns, n_rows * (0.6 + 0.17 * n)), layout="constrained")
    panels = figure.subplots(n_rows, n_columns, squeeze=False).ravel()
    for j, ax in enumerate(panels):
        if j >= f.n_components:
            ax.set_axis_off()
            continue
        ax.barh(range(len(features[j])), [feature.weight for feature in features[j]], height=0.7, color=BLUE)
        ax.set_yticks(range(len(features[j])), [shortened(feature.label) for feature in features[j]])
        ax.set_ylim(n - 0.4, -0.6)
        ax.set_xlim(0, 1)
        ax.set_xticks([])
        ax.grid(visible=False)
        ax.spines["bottom"].set_visible(False)
        ax.tick_params(left=False, labelcolor=INK)
        ax.set_title(names[j], loc="left")
        ax.set_title(f"{shares[j]:.1%}", loc="right", color=QUIET, fontsize=8, fontweight="normal")
    return figure


@of_a_fit
def factor_heatmap(f: Factorization, factor: FactorName = "W", ax: Axes | None = None) -> Figure:
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
    figure, ax = axes_for(ax)
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
    ax.set_yticks(np.arange(0, k, step) + 0.5, f.names[::step])
    ax.tick_params(length=0)
    what = "samples" if factor == "W" else "features"
    if n <= LABELLED:
        name_ticks(ax, np.arange(n) + 0.5, [label_of(labels, i) for i in order])
    ax.set_xlabel(f"{n:,} {what}, sorted by strongest component")
    ax.set_title(factor)
    bar = figure.colorbar(image, ax=ax, fraction=0.03, pad=0.02, aspect=50, ticks=[0, 0.25, 1], format="%g")
    bar.outline.set_visible(False)
    bar.ax.tick_params(length=0)
    return figure


@of_a_fit
def row_error(f: Factorization, X: Any, ax: Axes | None = None, *, weights: Any = None) -> Figure:
    """How well every row of X is described: its error relative to its length, over what is known of it.

    A few rows are bars with labels, many a histogram with the median.

    Parameters
    ----------
    f : Factorization
        The factorization.
    X : array-like, sparse matrix or data frame of shape (n_samples, n_features)
        What was factorized, with the axes that it had then.
    ax : Axes, optional
        Where to draw; by default in a new figure.
    weights : array-like, sparse matrix or data frame of shape (n_samples, n_features), optional
        Those of the fit, if it had some.
    """
    errors = row_errors(f, X, weights)
    figure, ax = axes_for(ax)
    ax.set_title("Error by row")
    if len(errors) <= LABELLED:
        ax.bar(range(len(errors)), np.nan_to_num(errors), color=BLUE, width=0.75)
        name_ticks(ax, np.arange(len(errors)), [label_of(f.row_labels, i) for i in range(len(errors))])
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
