"""What pictures have in common: their style, where they are drawn, and files."""

import functools
import io
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar, cast

import numpy as np

try:
    import matplotlib
    from matplotlib.axes import Axes
    from matplotlib.colors import LinearSegmentedColormap
    from matplotlib.figure import Figure
except ImportError as error:
    raise ImportError('Pictures need matplotlib: pip install "nmf-core[cli]"') from error

from nmf_core.readable import Readable, fit_in
from nmf_core.validation import check_fit

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
Picture = TypeVar("Picture", bound=Callable[..., Figure])


def styled(draw: Callable[P, Figure]) -> Callable[P, Figure]:
    """Draw with `STYLE`, and leave matplotlib's settings as they were."""

    @functools.wraps(draw)
    def with_style(*args: P.args, **kwargs: P.kwargs) -> Figure:
        with matplotlib.rc_context(STYLE):
            return draw(*args, **kwargs)

    return with_style


def of_a_fit(draw: Picture) -> Picture:
    """`styled`, for pictures of a factorization, which may also be held by something else."""

    @functools.wraps(draw)
    def with_fit(f: Any, *args: Any, **kwargs: Any) -> Figure:
        found = fit_in(f)
        check_fit(isinstance(found, Readable), f, "This picture", "an NMF fitted in this session")
        return styled(draw)(found, *args, **kwargs)

    return cast(Picture, with_fit)


def axes_for(ax: Axes | None, size: tuple[float, float] = SIZE) -> tuple[Any, Axes]:
    """The given axes and their figure, or new ones."""
    if ax is not None:
        return ax.figure, ax
    figure = Figure(figsize=size, layout="constrained")
    return figure, figure.add_subplot()


def name_ticks(ax: Axes, places: np.ndarray, labels: list[str]) -> None:
    """Labels below the axes, upright if they have no room side by side."""
    names = [shortened(label) for label in labels]
    crowded = len(labels) * max(map(len, names)) > 55
    ax.set_xticks(places, names, rotation=90 if crowded else 0, fontsize=7 if crowded else 8)


def shortened(label: str, width: int = 24) -> str:
    """A label that is not too long for a picture."""
    # a dollar sign would start a formula
    return (label if len(label) <= width else label[: width - 1] + "…").replace("$", r"\$")


def svg(figure: Figure) -> bytes:
    """A figure as an SVG file: the same bytes every time, and no reference to anything outside."""
    picture = io.BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": "nmf_core", "svg.fonttype": "path", "svg.image_inline": True}):
        figure.savefig(picture, format="svg", metadata={"Date": None, "Creator": None}, dpi=150)
    return picture.getvalue()
