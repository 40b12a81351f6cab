"""Pictures of a survey: what speaks for one number of components or another."""

import textwrap
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, MaxNLocator

from nmf_core.ensemble import RankSurvey
from nmf_core.plotting.base import BLUE, QUIET, RUST, axes_for, styled

# Width and height of a panel in inches.
PANEL = (2.0, 1.75)

CHOSEN = "#f6e3d3"

# Numbers of components that are all written below a panel.
TICKS = 10


class Panel(NamedTuple):
    """Columns of the table of a survey, by what they are called, and that which is compared with the null survey."""

    title: str
    columns: dict[str, str]
    of_null: str = ""


PANELS = (
    Panel("Explained variance", {"": "explained_variance"}, "explained_variance"),
    Panel("Consensus", {"cophenetic": "cophenetic", "dispersion": "dispersion"}),
    Panel("Ambiguous pairs", {"": "pac"}, "pac"),
    Panel("Silhouette", {"": "silhouette"}, "silhouette"),
    Panel("Stability", {"mean": "stability_mean", "least": "stability_min"}, "stability_mean"),
    Panel("Sparseness", {"W": "sparsity_W", "H": "sparsity_H"}),
)


@styled
def rank_survey(survey: RankSurvey, n_columns: int = 4) -> Figure:
    """What a survey has found by number of components, in panels; the number that is chosen is marked in all.

    The error of held-out entries with its standard error, if it was found, the explained variance of the best run,
    cophenetic correlation and dispersion, the share of ambiguous pairs of samples, the mean silhouette of samples,
    mean and least stability of components, and the sparseness of W and H of the best run. Grey dashes are the survey of
    X with every column in random order, if there is one. Above all of them stands why that number is chosen.

    Parameters
    ----------
    survey : RankSurvey
        What `nmf_core.rank_survey` has found.
    n_columns : int
        Panels side by side at most.

    Examples
    --------
    >>> import numpy as np, nmf_core
    >>> X = np.kron(np.eye(2), np.ones((4, 3))) + 0.1
    >>> survey = nmf_core.rank_survey(X, range(1, 4), 3, held_out=False, random_state=0)
    >>> figure = nmf_core.plotting.rank_survey(survey)
    """
    table, best = survey._columns(), survey.best
    n_panels = len(PANELS) + (survey.held_out is not None)
    n_rows = -(-n_panels // n_columns)
    n_columns = -(-n_panels // n_rows)
    width, height = n_columns * PANEL[0], n_rows * PANEL[1]
    title = _wrapped(f"{best} component{'' if best == 1 else 's'}: {survey.reason}", width)
    figure = Figure(figsize=(width, height + 0.2 * (2 + title.count("\n"))), layout="constrained")
    figure.suptitle(title, x=0.01, ha="left", fontsize=9)
    axes = list(figure.subplots(n_rows, n_columns, squeeze=False).ravel())
    for ax in axes[n_panels:]:
        ax.set_axis_off()
    if survey.held_out is not None:
        _draw_held_out(axes[0], survey)
    for ax, panel in zip(axes[n_panels - len(PANELS) :], PANELS, strict=False):
        _draw_panel(ax, panel, table, best)
    for ax in axes[:n_panels]:
        _count_components(ax, survey)
        ax.set_xlabel("")
    for ax in axes[max(0, n_panels - n_columns) : n_panels]:
        ax.set_xlabel("components")
    return figure


@styled
def stability_error(survey: RankSurvey, ax: Axes | None = None) -> Figure:
    """Stability and error by number of components: more components describe X better, until they are not found again.

    At the left the similarity of the components of the best run to those of the other runs, their mean, with a whisker
    down to the least; at the right the relative error of the best run [1]_ [2]_. The number that the survey chooses is
    marked.

    Parameters
    ----------
    survey : RankSurvey
        What `nmf_core.rank_survey` has found.
    ax : Axes, optional
        Where to draw; by default in a new figure.

    References
    ----------
    .. [1] S. M. A. Islam et al. (2022), "Uncovering novel mutational signatures by de novo extraction with
       SigProfilerExtractor", doi:10.1016/j.xgen.2022.100179.
    .. [2] D. Kotliar et al. (2019), "Identifying gene expression programs of cell-type identity and cellular activity
       with single-cell RNA-Seq", doi:10.7554/eLife.43803.

    Examples
    --------
    >>> import numpy as np, nmf_core
    >>> X = np.kron(np.eye(2), np.ones((4, 3))) + 0.1
    >>> survey = nmf_core.rank_survey(X, range(1, 4), 3, held_out=False, random_state=0)
    >>> figure = nmf_core.plotting.stability_error(survey)
    """
    table, ranks = survey._columns(), survey.n_components
    figure, ax = axes_for(ax)
    mean, least = (table[name] for name in ("stability_mean", "stability_min"))
    down = np.maximum(mean - least, 0)  # rounding may leave less
    ax.errorbar(ranks, mean, [down, 0 * down], color=BLUE, marker="o", markersize=5, elinewidth=1, capsize=3)
    ax.set_ylim(0, 1.04)
    ax.set_ylabel("stability: mean, and least", color=BLUE)
    _count_components(ax, survey)
    right = ax.twinx()
    right.plot(ranks, table["relative_error"], color=RUST, marker="s", markersize=4.5)
    right.set_ylabel("relative error", color=RUST)
    right.set_ylim(bottom=0)
    right.grid(visible=False)
    right.spines["right"].set_visible(True)
    ax.set_title(f"Stability and error, {survey.best} chosen")
    return figure


def _wrapped(text: str, width: float) -> str:
    """Text in lines of about the same length that fit into so many inches."""
    lines = textwrap.wrap(text, int(14 * width))
    even = textwrap.wrap(text, min(int(14 * width), len(text) // len(lines) + 8))
    return "\n".join(even if len(even) == len(lines) else lines)


def _count_components(ax: Axes, survey: RankSurvey) -> None:
    """Whole numbers of components to the right, and the chosen one marked."""
    ranks = survey.n_components
    ax.set_xlim(ranks[0] - 0.5, ranks[-1] + 0.5)
    ax.axvspan(survey.best - 0.4, survey.best + 0.4, color=CHOSEN, linewidth=0, zorder=0)
    ax.xaxis.set_major_locator(FixedLocator(list(ranks)) if len(ranks) <= TICKS else MaxNLocator(integer=True))
    ax.grid(visible=False, axis="x")
    ax.set_xlabel("components")


def _draw_held_out(ax: Axes, survey: RankSurvey) -> None:
    assert survey.held_out is not None
    ranks, mean = survey.held_out.n_components, survey.held_out.mean
    ax.errorbar(ranks, mean, survey.held_out.standard_error, color=BLUE, marker="o", markersize=3.5, elinewidth=1,
                capsize=2, linewidth=1.5)  # fmt: skip
    if mean.max() > 100 * mean.min() > 0:
        ax.set_yscale("log", nonpositive="mask")
    ax.set_title("Held-out error", fontsize=9)


def _draw_panel(ax: Axes, panel: Panel, table: dict[str, np.ndarray], best: int) -> None:
    """Lines by number of components, named at their ends if they are two."""
    ranks = table["n_components"]
    if f"null_{panel.of_null}" in table:
        ax.plot(ranks, table[f"null_{panel.of_null}"], color=QUIET, linewidth=1.2, linestyle=(0, (4, 2)),
                label="null")  # fmt: skip
    for (name, column), colour in zip(panel.columns.items(), (BLUE, RUST), strict=False):
        ax.plot(ranks, table[column], color=colour, marker="o", markersize=3.5, linewidth=1.5, label=name)
    if len(ax.get_legend_handles_labels()[0]) > 0:
        ax.legend(frameon=False, fontsize=7, handlelength=1.4, labelspacing=0.2, borderaxespad=0.2)
    ax.ticklabel_format(axis="y", useOffset=False)
    ax.set_title(panel.title, fontsize=9)
