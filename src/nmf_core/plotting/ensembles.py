"""Pictures of many runs: which samples belong together, and which components."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from nmf_core.ensemble import ConsensusComponents, Ensemble
from nmf_core.ensemble.matching import consensus_components
from nmf_core.interpretation import label_of
from nmf_core.labels import component_names
from nmf_core.plotting.base import (
    BLUE,
    DRAWN,
    HEAT,
    LABELLED,
    QUIET,
    RUST,
    SEVERAL,
    axes_for,
    shortened,
    styled,
)
from nmf_core.provenance import several
from nmf_core.similarity import cosines
from nmf_core.validation import check_classes, check_places

# In inches: the side of the square, what stands to the right of it, and below and above.
SIDE, RIGHT, BELOW = 3.9, 1.6, 0.6

# Shades in turn of clusters, which are side by side, and what has no colour of its own.
SHADES = ("#627d98", "#9fb3c8")
NONE = "#d9dee4"

# Classes that have a colour of their own; all others share one.
CLASSES = 20


@styled
def consensus_map(ensemble: Ensemble, labels: Any = None, samples: Any = None, ax: Axes | None = None) -> Figure:
    """In how many of the runs samples have the same strongest component: a heat map of all pairs.

    Samples stand in the order of the leaves of the tree of average linkage, so that what belongs together stands
    together. At the left are the clusters, numbered from 1 where there is room: cluster 1 is 0 in `Ensemble.clusters`.
    Of many samples some are drawn at random, always the same.

    Parameters
    ----------
    ensemble : Ensemble
        What `nmf_core.factorize_many` has found.
    labels : array-like of shape (n_samples,), optional
        A class of every sample that is known from elsewhere, to be compared with the clusters; what is None or NaN has
        none. A series of pandas is brought into the order of the samples by its index. The 19 largest of more than 20
        classes have colours.
    samples : array-like of int or labels, optional
        Which samples to draw, by their labels if X had some, or by their numbers from 0; by default all.
    ax : Axes, optional
        Where to draw; by default in a new figure.

    Examples
    --------
    >>> import numpy as np, nmf_core
    >>> X = np.kron(np.eye(2), np.ones((4, 3))) + 0.1
    >>> ensemble = nmf_core.factorize_many(X, 2, 5, random_state=0)
    >>> figure = nmf_core.plotting.consensus_map(ensemble, labels=["a"] * 4 + ["b"] * 4)
    """
    n, names = ensemble.labels.shape[1], ensemble[0].row_labels
    classes = None if labels is None else check_classes(labels, n, names)
    order, n_asked = _in_order(ensemble, samples)
    named = [label_of(names, i) for i in order] if len(order) <= LABELLED else []
    own, (figure, ax) = ax is None, axes_for(ax, _size(named))
    _heat_map(figure, ax, ensemble._consensus.square(order), "share of runs together")
    clusters = ensemble.clusters[order]
    _strip(ax, 0, [SHADES[cluster % 2] for cluster in _changes(clusters)], "cluster")
    _number(ax, clusters, [str(cluster + 1) for cluster in range(clusters.max() + 1)])
    if classes is not None:
        colours = _colours_of(classes)
        _strip(ax, 1, [colours.get(one, NONE) for one in classes[order]], "class")
        _legend(ax, classes, colours)
    _name_rows(figure, ax, named)
    some = (
        f"{len(order):,} of {n_asked:,} samples,\ndrawn at random" if len(order) < n_asked else f"{n_asked:,} samples"
    )
    ax.set_xlabel(some, loc="right")
    ax.set_title(f"Consensus of {several(len(ensemble), 'run')}, {several(ensemble.n_components, 'component')}")
    return _settled(figure, own)


@styled
def component_clusters(
    ensemble: Ensemble, ax: Axes | None = None, *, density_threshold: float = 0.5, **options: Any
) -> Figure:
    """How similar the components of all runs are to each other: a heat map of all pairs, ordered by cluster.

    At the left are the clusters, which are what `Ensemble.components` makes components of. Components that it drops,
    because they are far from all others, are the grey ones at the end; beside the map is a histogram of the distances
    by which it decides. Of many runs some are drawn, chosen at random and always the same.

    Parameters
    ----------
    ensemble : Ensemble
        What `nmf_core.factorize_many` has found.
    ax : Axes, optional
        Where to draw; by default in a new figure.
    density_threshold : float
        As in `Ensemble.components`: components with a larger mean distance to their neighbours are dropped.
    **options
        Other arguments of `Ensemble.components`, but for X.

    Examples
    --------
    >>> import numpy as np, nmf_core
    >>> X = np.kron(np.eye(2), np.ones((4, 3))) + 0.1
    >>> figure = nmf_core.plotting.component_clusters(nmf_core.factorize_many(X, 2, 5, random_state=0))
    """
    k = ensemble.n_components
    # not by `Ensemble.components`, which finds W, too
    found = consensus_components(ensemble.H, k, density_threshold=density_threshold, **options)
    runs = np.arange(len(ensemble))
    if len(runs) * k > DRAWN:
        runs = np.sort(np.random.default_rng(0).choice(len(runs), max(1, DRAWN // k), replace=False))
    drawn = (runs[:, np.newaxis] * k + np.arange(k)).ravel()
    # by cluster, what is dropped last, and the components that are most like their neighbours first
    cluster = np.where(found.kept, found.cluster, k)[drawn]
    order = np.lexsort((found.density[drawn], cluster))
    H = np.concatenate([ensemble.H[int(run)] for run in runs])[order]
    own, (figure, ax) = ax is None, axes_for(ax, _size([]))
    n_kept = int(np.count_nonzero(cluster < k))
    _heat_map(figure, ax, cosines(H, H), "cosine similarity", n_kept)
    colours = [*(SEVERAL[j % len(SEVERAL)] for j in range(k)), NONE]
    _strip(ax, 0, [colours[one] for one in cluster[order]], "cluster")
    _number(ax, cluster[order], [*component_names(k), ""])
    _histogram(ax, found, density_threshold)
    n_dropped = len(drawn) - n_kept
    some = f"components of {len(runs)} runs, drawn at random" if len(runs) < len(ensemble) else "components"
    ax.set_xlabel(f"{len(drawn):,} {some}\n{n_dropped or 'none'} dropped", loc="right")
    ax.set_title(f"Components of {several(len(ensemble), 'run')}")
    return _settled(figure, own)


# --- which samples, in which order


def _in_order(ensemble: Ensemble, samples: Any) -> tuple[np.ndarray, int]:
    """The samples to draw, in the order of the leaves of the tree of all of them, and how many were asked for."""
    n = ensemble.labels.shape[1]
    if samples is None:
        chosen = np.arange(n)
    else:
        chosen = np.unique(check_places(samples, n, ensemble[0].row_labels, "sample"))
    n_asked = len(chosen)
    if n_asked > DRAWN:
        chosen = np.random.default_rng(0).choice(chosen, DRAWN, replace=False)
    order = ensemble._consensus.order()
    return order[np.isin(order, chosen)], n_asked


def _changes(groups: np.ndarray) -> np.ndarray:
    """How often the group has changed before each element."""
    return np.cumsum(np.diff(groups, prepend=groups[:1]) != 0)


# --- the square and what stands beside it


def _size(named: list[str]) -> tuple[float, float]:
    """Width and height of a figure in which the square is one, with names of its rows at the left."""
    side = max(SIDE, 0.125 * len(named))
    return side + RIGHT + 0.065 * max(map(len, map(shortened, named)), default=0), side + BELOW


def _heat_map(figure: Any, ax: Axes, square: np.ndarray, what: str, n_kept: int | None = None) -> None:
    """Numbers from 0 to 1 between all pairs, in grey after the first few, with a scale at the upper right."""
    n = len(square)
    image = ax.imshow(square, cmap=HEAT, vmin=0, vmax=1, interpolation="nearest", extent=(0, n, n, 0), aspect="auto")
    if n_kept is not None and n_kept < n:
        kept = np.arange(n) < n_kept
        dropped = np.ma.masked_array(square, np.outer(kept, kept))
        ax.imshow(dropped, cmap="Greys", vmin=0, vmax=1.6, interpolation="nearest", extent=(0, n, n, 0), aspect="auto")
    ax.grid(visible=False)
    ax.spines[:].set_visible(False)
    ax.tick_params(length=0)
    ax.set_xticks([])
    ax.set_yticks([])
    scale = ax.inset_axes((1.05, 0.89, 0.3, 0.03))
    bar = figure.colorbar(image, cax=scale, orientation="horizontal", ticks=[0, 0.5, 1], format="%g")
    bar.outline.set_visible(False)
    scale.tick_params(length=0, labelsize=7, pad=2)
    scale.set_title(what, fontsize=8, fontweight="normal", loc="left", color=QUIET, pad=3)


def _strip(ax: Axes, place: int, colours: Sequence[str], what: str) -> None:
    """A colour for every row, in a column at the left of the square; place 0 is next to it."""
    n, width, gap = len(colours), _width(ax, len(colours)), 0.012 * len(colours)
    right = -gap - place * (width + gap)
    strip = np.array([to_rgb(colour) for colour in colours])[:, np.newaxis]
    ax.imshow(strip, interpolation="nearest", extent=(right - width, right, n, 0), aspect="auto")
    ax.text(right - width / 2, 1.015 * n, what, rotation=90, ha="center", va="top", fontsize=7, color=QUIET)
    ax.set_xlim(right - width, n)
    ax.set_ylim(n, 0)


def _width(ax: Axes, n: int) -> float:
    """The width of a strip beside n columns: a share of theirs, but enough for two letters."""
    figure: Any = ax.figure
    points = figure.bbox.width * 72 / figure.dpi * ax.get_position().width
    return n * max(0.04, 14 / points)


def _number(ax: Axes, groups: np.ndarray, names: list[str]) -> None:
    """What groups are called, upon the strip at place 0, where there is room."""
    n = len(groups)
    first = np.flatnonzero(np.diff(groups, prepend=-1))
    for start, end in zip(first, [*first[1:], n], strict=True):
        name = names[groups[start]]
        if end - start >= 0.035 * n:
            ax.text(-0.012 * n - _width(ax, n) / 2, (start + end) / 2, name, ha="center", va="center", color="white",
                    fontsize=6.5, fontweight="bold", rotation=0 if len(name) < 3 else 90)  # fmt: skip


def _name_rows(figure: Any, ax: Axes, names: list[str]) -> None:
    """Names at the left, as large as they may be, or none if they would be too small to read."""
    points = figure.bbox.height * 72 / figure.dpi * ax.get_position().height / max(1, len(names))
    if names and points > 4.5:
        ax.set_yticks(np.arange(len(names)) + 0.5, list(map(shortened, names)), fontsize=min(8, 0.85 * points))


def _settled(figure: Any, own: bool) -> Figure:
    """The figure; if it is our own, its layout is made once: the next time it knows how large things beside are."""
    if own:
        figure.draw_without_rendering()
    return figure


# --- classes


def _colours_of(classes: np.ndarray) -> dict[Any, Any]:
    """Colours of the largest classes, in the order in which these appear."""
    sizes = Counter(one for one in classes if one is not None)
    colours: Sequence[Any] = SEVERAL if len(sizes) <= len(SEVERAL) else [*colormaps["tab20"](range(CLASSES))]
    with_colour = {one for one, _ in sizes.most_common(CLASSES if len(sizes) <= CLASSES else CLASSES - 1)}
    return dict(zip([one for one in sizes if one in with_colour], colours, strict=False))


def _legend(ax: Axes, classes: np.ndarray, colours: dict[Any, Any]) -> None:
    handles = [Patch(facecolor=colour, label=shortened(str(one))) for one, colour in colours.items()]
    others = {one for one in classes if one is not None} - colours.keys()
    if others:
        handles.append(Patch(facecolor=NONE, label=f"{len(others)} others"))
    ax.legend(handles=handles, loc="upper left", bbox_to_anchor=(1.04, 0.8), frameon=False, fontsize=7.5,
              title="class", title_fontsize=8, alignment="left", labelspacing=0.35, handlelength=1, handleheight=1,
              borderaxespad=0, borderpad=0).get_title().set_color(QUIET)  # fmt: skip


# --- distances of components to their neighbours


def _histogram(ax: Axes, found: ConsensusComponents, threshold: float) -> None:
    """Of all components that are not zero, at the lower right of the square."""
    inset = ax.inset_axes((1.05, 0.1, 0.42, 0.32))
    near = np.isfinite(found.density)
    high = max(1.05 * threshold, float(found.density[near].max(initial=0)))
    bins = np.linspace(0, min(high, 1.5), 31)
    inset.hist(
        [found.density[near & found.kept], found.density[near & ~found.kept]],
        bins=list(bins), stacked=True, color=[BLUE, "#829ab1"],
    )  # fmt: skip
    inset.axvline(threshold, color=RUST, linewidth=1.2)
    inset.grid(visible=False)
    inset.set_yticks([])
    inset.spines["left"].set_visible(False)
    inset.tick_params(labelsize=7, length=2)
    inset.set_xlabel("mean distance to neighbours", fontsize=7.5, color=QUIET, loc="left")
