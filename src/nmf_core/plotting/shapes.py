"""Pictures of components that are curves, images or maps, in the order that they have."""

from typing import Any, NamedTuple

import matplotlib.dates
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from nmf_core.labels import Axis
from nmf_core.plotting.base import HEAT, LABELLED, QUIET, SEVERAL, of_a_fit, shortened
from nmf_core.validation import check_picture, check_places, check_x

dates: Any = matplotlib.dates  # which has no types

# Width and height of a panel of curves in inches, and how many labels of ticks have room in an inch, side by side.
PANEL = (3.2, 1.3)
LABELS = 8
DASHES = ("-", "--", ":", "-.")


@of_a_fit
def spectra(f: Any, x: Any = None, *, n_columns: int = 2) -> Figure:
    """Every component over its features: a curve over numbers or dates, such as wavelengths, bars over names.

    Parameters
    ----------
    f : Factorization
        The factorization, or what holds one, such as a fitted `NMF`.
    x : array-like of shape (n_features,), optional
        Where features are: numbers, dates or names; by default the names of the features, which are numbers if they
        read so, or 0, 1, ... Of features with several axes also the places along one of them: there is a curve for each
        of the others then, such as a channel.
    n_columns : int
        Panels side by side.

    Returns
    -------
    Figure

    Examples
    --------
    >>> import numpy as np, nmf_core
    >>> X = np.random.default_rng(0).random((20, 50))
    >>> f = nmf_core.factorize(X, 3, feature_names=np.linspace(400, 700, 50), random_state=0)
    >>> nmf_core.plotting.spectra(f).savefig("spectra.png")  # doctest: +SKIP
    """
    shape = f.H.shape[1:] if f.axes is None else f.axes.feature_shape
    return _curves(f.names, f.H, shape, Places.of(x, f.column_labels, shape, "features"), n_columns)


@of_a_fit
def activations(f: Any, x: Any = None, *, n_columns: int = 1) -> Figure:
    """How much of every component is in the samples, which stay in their order, such as over time.

    Parameters
    ----------
    f : Factorization
        The factorization, or what holds one, such as a fitted `NMF`.
    x : array-like of shape (n_samples,), optional
        Where samples are, as in `spectra`; by default their names, or 0, 1, ...
    n_columns : int
        Panels side by side.

    Returns
    -------
    Figure

    Examples
    --------
    >>> import numpy as np, nmf_core
    >>> f = nmf_core.factorize(np.random.default_rng(0).random((20, 50)), 3, sample_axes=1, random_state=0)
    >>> nmf_core.plotting.activations(f, np.linspace(0, 2, 50)).savefig("activations.png")  # doctest: +SKIP
    """
    shape = f.W.shape[:1] if f.axes is None else f.axes.sample_shape
    return _curves(f.names, np.asarray(f.W).T, shape, Places.of(x, f.row_labels, shape, "samples"), n_columns)


@of_a_fit
def images(f: Any, components: Any = None, *, n_columns: int = 6) -> Figure:
    """Every component as an image: H of an X whose samples are images, `sample_axes` of which has been said.

    Colours are drawn without their transparency, if they have some.

    Parameters
    ----------
    f : Factorization
        The factorization, or what holds one, such as an `Ensemble`.
    components : array-like of int or names, optional
        Which ones, by default all.
    n_columns : int
        Images side by side.

    Returns
    -------
    Figure
    """
    check_picture(f.images.shape[1:], "H", "samples are images", "spectra")
    return _grid(f, f.images, components, n_columns)


@of_a_fit
def maps(f: Any, components: Any = None, *, n_columns: int = 4) -> Figure:
    """How much of every component is where: W of an X whose samples are the places of an image or of a map.

    What is not known is grey.

    Parameters
    ----------
    f : Factorization
        The factorization, or what holds one, such as an `Ensemble`.
    components : array-like of int or names, optional
        Which ones, by default all.
    n_columns : int
        Maps side by side.

    Returns
    -------
    Figure
    """
    check_picture(f.maps.shape[:-1], "W", "samples are places of an image", "activations")
    return _grid(f, np.moveaxis(f.maps, -1, 0), components, n_columns, bars=True)


class Places(NamedTuple):
    """Where features or samples are.

    Attributes
    ----------
    at : ndarray of float64, shape (n,)
        To the right, dates in days.
    names : list of str or None
        What is there, if that is a name.
    zone : tzinfo, None or False
        The time zone of dates, False if they are none.
    """

    at: np.ndarray
    names: list[str] | None = None
    zone: Any = False

    @classmethod
    def of(cls, x: Any, labels: Axis | None, shape: tuple[int, ...], what: str) -> "Places":
        """Those that are given, or told by labels of what has this shape; else a numbering."""
        if x is None and labels is None:
            return cls(np.arange(float(np.prod(shape))))
        found = check_x(labels if x is None else x, shape, what)
        if found.dtype.kind == "f":
            return cls(found)
        if isinstance(found[0], str):
            return cls(np.arange(float(len(found))), [shortened(name) for name in found])
        return cls(dates.date2num(found), zone=getattr(found[0], "tzinfo", None))

    def mark(self, ax: Axes, width: float) -> None:
        """Ticks for axes of so many inches."""
        most = int(width * LABELS)
        if self.names is not None:
            step = -(-len(self.names) // most)
            ax.set_xticks(self.at[::step], self.names[::step])
            ax.tick_params(axis="x", rotation=90 if sum(map(len, self.names[::step])) > 1.6 * most else 0, labelsize=7)
            ax.grid(visible=False, axis="x")
        elif self.zone is not False:
            locator = dates.AutoDateLocator(self.zone, maxticks=max(4, most // 7))
            ax.xaxis.set_major_locator(locator)
            ax.xaxis.set_major_formatter(dates.ConciseDateFormatter(locator, self.zone))


def _curves(names: Axis, values: np.ndarray, shape: tuple[int, ...], places: Places, n_columns: int) -> Figure:
    """A panel for every row of values (n_components, n), of which there may be several with the same places."""
    k, n = len(values), len(places.at)
    if n != values.shape[1]:
        along = shape.index(n)
        values = np.moveaxis(values.reshape(k, *shape), along + 1, -1)
    values = values.reshape(k, -1, n)
    n_columns = max(1, min(n_columns, k))
    n_rows = -(-k // n_columns)
    width = max(PANEL[0], 2 * PANEL[0] / n_columns)
    figure = Figure(figsize=(width * n_columns, PANEL[1] * n_rows + 0.4), layout="constrained")
    panels = figure.subplots(n_rows, n_columns, squeeze=False, sharex=True).ravel()
    for ax in panels[k:]:
        ax.set_axis_off()
    for j, ax in enumerate(panels[:k]):
        _curve(ax, places, values[j], SEVERAL[j % len(SEVERAL)])
        ax.set_title(shortened(str(names[j])))
        ax.set_ylim(bottom=0)
        ax.margins(x=0)
        places.mark(ax, width)
        ax.tick_params(labelbottom=j + n_columns >= k)
    return figure


def _curve(ax: Axes, places: Places, lines: np.ndarray, colour: str) -> None:
    """Lines (n_lines, n) over numbers, or bars over names."""
    order = np.argsort(places.at, kind="stable")
    for line, dashes in zip(lines, np.resize(DASHES, len(lines)), strict=True):
        if places.names is not None and len(lines) == 1:
            # one outline for all bars, with gaps between them as long as there are few
            half = 0.4 if len(line) <= 4 * LABELLED else 0.5
            edges = np.add.outer(places.at, [-half, half]).ravel()
            ax.stairs(np.column_stack([line, 0 * line]).ravel()[:-1], edges, fill=True, color=colour)
            continue
        ax.plot(places.at[order], line[order], color=colour, linewidth=1.2, linestyle=dashes)
        if len(lines) == 1:
            ax.fill_between(places.at[order], line[order], color=colour, alpha=0.15, linewidth=0)


def _grid(f: Any, pictures: np.ndarray, components: Any, n_columns: int, *, bars: bool = False) -> Figure:
    """Pictures (n_components, height, width), or with colours as a last axis, each in shades of its own."""
    k = f.n_components
    which = np.arange(k) if components is None else np.atleast_1d(check_places(components, k, f.names, "component"))
    n_columns = max(1, min(n_columns, len(which)))
    n_rows = -(-len(which) // n_columns)
    height = min(2.0, max(0.5, pictures.shape[1] / pictures.shape[2]))
    size = 7.5 / max(4, n_columns)
    figure = Figure(figsize=(size * n_columns, n_rows * (size * height + 0.25)), layout="constrained")
    panels = figure.subplots(n_rows, n_columns, squeeze=False).ravel()
    for ax in panels:
        ax.set_axis_off()
    for ax, j in zip(panels, which, strict=False):
        picture = pictures[j]
        if picture.ndim == 3:
            picture = picture[..., :3]
            picture = picture / (np.nanmax(picture, initial=0.0) or 1.0)
            picture = np.where(np.isnan(picture), 0.87, picture)
        image = ax.imshow(picture, cmap=HEAT.with_extremes(bad="0.87"), vmin=0, interpolation="nearest")
        ax.set_title(shortened(str(f.names[j])), color=QUIET, fontsize=8, fontweight="normal")
        if bars and picture.ndim == 2:
            largest = np.nanmax(picture, initial=0.0)
            bar = figure.colorbar(image, cax=ax.inset_axes((1.03, 0, 0.05, 1)), ticks=[0, largest / 2, largest])
            bar.ax.set_yticklabels([f"{tick:.2g}" for tick in (0, largest / 2, largest)], fontsize=6)
            bar.outline.set_visible(False)
            bar.ax.tick_params(length=0)
    return figure
