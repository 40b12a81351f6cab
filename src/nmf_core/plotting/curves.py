"""Curves: the course of a fit, solvers side by side, and what speaks for a number of components."""

from dataclasses import replace

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from nmf_core.comparison import Comparison
from nmf_core.data import FullMatrix
from nmf_core.factorization import Factorization
from nmf_core.model_selection import RankSelection
from nmf_core.plotting.base import BLUE, INK, QUIET, RUST, SEVERAL, SIZE, axes_for, of_a_fit, styled
from nmf_core.solvers import SOLVERS
from nmf_core.stopping import SmallViolation
from nmf_core.typing import Course
from nmf_core.validation import check_choice


@of_a_fit
def convergence(f: Factorization, *, against: Course = "seconds", axes: tuple[Axes, Axes] | None = None) -> Figure:
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
    return axes_for(upper)[0]


@styled
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
    figure, ax = axes_for(ax)
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


@styled
def solver_curves(comparison: Comparison, ax: Axes | None = None) -> Figure:
    """How far every solver's objective is above the lowest that any has reached, against seconds.

    Parameters
    ----------
    comparison : Comparison
        What `nmf_core.compare_solvers` has found.
    ax : Axes, optional
        Where to draw; by default in a new figure.
    """
    figure, ax = axes_for(ax)
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
