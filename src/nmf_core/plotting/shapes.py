"""Pictures of components that are curves, images or maps, in the order that they have."""

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from nmf_core.plotting.base import HEAT, QUIET, SEVERAL, styled
from nmf_core.validation import check_picture, check_places, check_same_length


@styled
def spectra(f: Any, x: Any = None, *, n_columns: int = 2) -> Figure:
    """Every component as a curve over its features, which stay in their order, such as wavelengths or frequencies.

    Parameters
    ----------
    f : Factorization
        The factorization.
    x : array-like of shape (n_features,), optional
        Where features are, by default 0, 1, ...
    n_columns : int
        Panels side by side.

    Returns
    -------
    Figure
    """
    places = np.arange(f.H.shape[1]) if x is None else np.asarray(x)
    check_same_length(len(places), f.H.shape[1], "x")
    n_columns = min(n_columns, f.n_components)
    n_rows = -(-f.n_components // n_columns)
    figure = Figure(figsize=(3.2 * n_columns, 1.3 * n_rows + 0.4), layout="constrained")
    panels = figure.subplots(n_rows, n_columns, squeeze=False, sharex=True).ravel()
    for j, ax in enumerate(panels):
        if j >= f.n_components:
            ax.set_axis_off()
            continue
        ax.plot(places, f.H[j], color=SEVERAL[j % len(SEVERAL)], linewidth=1.2)
        ax.fill_between(places, f.H[j], color=SEVERAL[j % len(SEVERAL)], alpha=0.15, linewidth=0)
        ax.set_title(str(f.names[j]))
        ax.set_ylim(bottom=0)
        ax.margins(x=0)
    return figure


@styled
def images(f: Any, components: Any = None, *, n_columns: int = 6) -> Figure:
    """Every component as an image: H of an X whose samples are images, `sample_axes` of which has been said.

    Parameters
    ----------
    f : Factorization
        The factorization.
    components : array-like of int or names, optional
        Which ones, by default all.
    n_columns : int
        Images side by side.

    Returns
    -------
    Figure
    """
    check_picture(f.images.ndim - 1, "H", "samples are images")
    return _grid(f, f.images, components, n_columns)


@styled
def maps(f: Any, components: Any = None, *, n_columns: int = 4) -> Figure:
    """How much of every component is where: W of an X whose samples are the places of an image or of a map.

    Places of which nothing is known stay blank.

    Parameters
    ----------
    f : Factorization
        The factorization.
    components : array-like of int or names, optional
        Which ones, by default all.
    n_columns : int
        Maps side by side.

    Returns
    -------
    Figure
    """
    check_picture(f.maps.ndim - 1, "W", "samples are places of an image")
    return _grid(f, np.moveaxis(f.maps, -1, 0), components, n_columns)


def _grid(f: Any, pictures: np.ndarray, components: Any, n_columns: int) -> Figure:
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
            picture = picture / (np.nanmax(picture, initial=0) or 1.0)
        ax.imshow(picture, cmap=HEAT, vmin=0, interpolation="nearest")
        ax.set_title(str(f.names[j]), color=QUIET, fontsize=8, fontweight="normal")
    return figure
