"""Solvers side by side: which one is the fastest on the data at hand."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np

from nmf_core.data import FullMatrix, ObservedMatrix, accept
from nmf_core.factorization import Factorization
from nmf_core.factorize import factorize
from nmf_core.floor import apply_floor
from nmf_core.html import table
from nmf_core.labels import tabulated
from nmf_core.losses import LOSSES, make_loss
from nmf_core.solvers import ALIASES, SOLVERS, Solver, choose_solver, those_that_handle
from nmf_core.start import initialize
from nmf_core.stopping import SmallViolation
from nmf_core.typing import LossName, StartName
from nmf_core.validation import check_choice, check_loss, check_number, check_solvers
from nmf_core.warning import held_back, warn_once

CLOSE = (1.01, 1.001)  # times the lowest objective: how close is close


@dataclass(frozen=True, repr=False)
class Comparison:
    """Fits of the same X from the same start by different solvers.

    Attributes
    ----------
    results : dict of str to Factorization
        The fit of every solver, in the order that was asked for.
    estimated : frozenset of str
        Solvers whose histories hold estimates of the objective, but for the last.
    """

    results: dict[str, Factorization]
    estimated: frozenset[str] = frozenset()

    @property
    def best(self) -> float:
        """The lowest objective that any solver has reached."""
        return min(result.objective for result in self.results.values())

    def seconds_to(self, objective: float) -> dict[str, float]:
        """Seconds until every solver had reached an objective; NaN where it never did.

        For those whose histories hold estimates, the whole fit.
        """
        seconds = {}
        for name, result in self.results.items():
            there = result.history.objective <= objective
            if name in self.estimated:
                there[:-1] = False
            seconds[name] = float(result.history.seconds[there.argmax()]) if there.any() else np.nan
        return seconds

    @property
    def table(self) -> Any:
        """A data frame, or a dict of arrays if pandas is not installed, with a row for every solver.

        Its columns are solver, objective, relative (the objective over the lowest), to_1.01 and to_1.001 (seconds until
        the objective was so many times the lowest, NaN if never), iterations, seconds, violation and stop_reason.
        """
        return tabulated(self._columns())

    def _columns(self) -> dict[str, Any]:
        results = list(self.results.values())
        objective = np.array([result.objective for result in results])
        return {
            "solver": np.array(list(self.results)),
            "objective": objective,
            "relative": objective / self.best if self.best else np.where(objective > 0, np.inf, 1.0),
            **{f"to_{close:g}": np.array(list(self.seconds_to(close * self.best).values())) for close in CLOSE},
            "iterations": np.array([result.n_iter for result in results]),
            "seconds": np.array([result.history.seconds[-1] for result in results]),
            "violation": np.array([result.history.violation[-1] for result in results]),
            "stop_reason": np.array([result.stop_reason for result in results]),
        }

    def _repr_html_(self) -> str:
        return table(self._columns())

    def __repr__(self) -> str:
        table = self.table
        names = ["solver", "objective", "relative", *(f"to_{close:g}" for close in CLOSE), "iterations", "seconds"]
        forms = ["<12", ">13.6g", ">9.5f", *(">9.3g" for _ in CLOSE), ">10d", ">8.3g"]
        widths = [form.split(".")[0].rstrip("dgf") for form in forms]
        rows = zip(*(list(table[name]) for name in names), strict=True)
        return "\n".join([
            "  ".join(f"{name:{width}}" for name, width in zip(names, widths, strict=True)),
            *("  ".join(f"{value:{form}}" for value, form in zip(row, forms, strict=True)) for row in rows),
        ])  # fmt: skip


def compare_solvers(
    X: Any,
    n_components: int,
    solvers: Collection[str | Solver] | None = None,
    *,
    loss: LossName | float = "frobenius",
    init: StartName | None = None,
    time_limit: float = 10.0,
    max_iter: int = 10_000,
    tol: float = 1e-5,
    random_state: Any = None,
    n_threads: int | None = None,
    **parameters: Any,
) -> Comparison:
    """Fit X by several solvers, one after the other, from one start, and see how fast each comes down.

    Parameters
    ----------
    X : array-like, sparse array or matrix, data frame or AnnData of shape (n_samples, n_features)
        As in `nmf_core.factorize`.
    n_components : int
        Number of components k.
    solvers : collection of str or Solver, optional
        What to compare; by default every solver for this loss and this kind of X. "auto" is the one that it stands for.
    loss, init, random_state, n_threads
        As in `nmf_core.factorize`. The start is made once, and does not count.
    time_limit : float
        Seconds for each solver.
    max_iter : int
        Iterations of each at most.
    tol : float
        A solver also ends when its steps have become so short; see `nmf_core.stopping.SmallViolation`.
    **parameters
        Of `nmf_core.factorize`: penalties, missing entries and the like.

    Returns
    -------
    Comparison
        Printed, it is a table; `nmf_core.plotting.solver_curves` draws it.

    Raises
    ------
    TypeError, ValueError
        An argument is not what it must be, or a solver is not for this loss or this X.

    Examples
    --------
    >>> import numpy as np, nmf_core
    >>> X = np.random.default_rng(0).random((40, 30))
    >>> comparison = nmf_core.compare_solvers(X, 3, ["auto", "mu"], time_limit=0.5, random_state=0)
    >>> list(comparison.results)
    ['hals', 'mu']
    """
    the_loss = make_loss(check_loss(loss, LOSSES))
    if solvers is None:
        partial = any(parameters.get(name) for name in ("missing", "biases")) or parameters.get("weights") is not None
        solvers = those_that_handle(the_loss, ObservedMatrix if partial else FullMatrix)
    chosen: dict[str, Solver] = {}
    for solver in check_solvers(solvers):
        if not isinstance(solver, Solver):
            check_choice(solver, "a solver", ["auto", *SOLVERS, *ALIASES])
        one = choose_solver(solver, the_loss)
        twins = sum(name.split(" ")[0] == one.name for name in chosen)
        if solver != "auto" or one not in chosen.values():
            chosen[f"{one.name} ({twins + 1})" if twins else one.name] = one
    common: dict[str, Any] = {"loss": loss, "n_threads": n_threads, "random_state": random_state, **parameters}
    if init is not None or not {"W", "H"} & {*parameters}:
        known: dict[str, Any] = {name: parameters.get(name) for name in ("missing", "weights")}
        data = X
        if parameters.get("floor") is not None:
            labels, known["weights"] = accept(X, **known)
            data, _ = apply_floor(labels.values, parameters["floor"], the_loss, **known)
        W, H = initialize(data, n_components, init, loss=loss, random_state=random_state, n_threads=n_threads, **known)
        if W.any() and H.any():  # not of an X that is zero
            common["W"], common["H"] = W, H
    stop = SmallViolation(check_number(tol, "tol"))
    with held_back():  # wakes threads, reads X for the first time
        factorize(X, n_components, solver="auto", max_iter=1, **common)
    with held_back() as doubts:
        results = {
            name: factorize(
                X, n_components, solver=solver, stop=stop, max_iter=max_iter, time_limit=time_limit, **common
            )
            for name, solver in chosen.items()
        }  # fmt: skip
    warn_once(doubts, f"{len(results)} fits")
    return Comparison(results, frozenset(name for name, solver in chosen.items() if not solver.exact))
