"""When to stop. A rule looks at the state after an iteration and says whether the fit is over.

Rules are combined by ``|`` (the first that is done) and ``&`` (all at once), and given to `nmf_core.factorize` as
`stop`.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from nmf_core.validation import check_integer, check_number

__all__ = [
    "Both",
    "Callback",
    "Either",
    "MaxIter",
    "Plateau",
    "Rule",
    "SmallChange",
    "SmallDecrease",
    "SmallStep",
    "SmallViolation",
    "TimeLimit",
]


class State(Protocol):
    """What a rule may look at: the fit after an iteration."""

    iteration: int
    seconds: float
    initial: float
    objectives: list[float]

    @property
    def violation(self) -> float:
        """The relative length of the iteration's projected gradient steps."""

    @property
    def residual(self) -> float:
        """What is left of X, relatively: ||X - W @ H|| / ||X|| for the Frobenius loss, its like for others."""

    @property
    def W(self) -> np.ndarray:
        """The first factor (n_samples, k), read-only."""

    @property
    def H(self) -> np.ndarray:
        """The second factor (k, n_features), read-only."""


class Rule(ABC):
    """One reason to stop.

    Attributes
    ----------
    reason : str
        What the result's `stop_reason` says.
    converged : bool
        Whether stopping for this reason means that the fit has converged.
    """

    reason: str
    converged = False

    @abstractmethod
    def done(self, state: State) -> bool:
        """Whether the fit is over."""

    @property
    def kind(self) -> str:
        """What kind of rule it is: one of another kind cannot go on from its state."""
        return type(self).__name__

    def state(self) -> dict[str, Any]:
        """What it remembers: numbers and arrays by name."""
        return {}

    def resume(self, state: dict[str, Any]) -> None:  # noqa: B027
        """Remember what `state` has told."""

    def __or__(self, other: "Rule") -> "Rule":
        return Either(self, other)

    def __and__(self, other: "Rule") -> "Rule":
        return Both(self, other)


class Several(Rule):
    """Rules that are asked together."""

    def __init__(self, *rules: Rule) -> None:
        self.rules = rules

    @property
    def kind(self) -> str:
        return f"{super().kind}({', '.join(part.kind for part in self.rules)})"

    def state(self) -> dict[str, Any]:
        return {f"{i} {name}": value for i, part in enumerate(self.rules) for name, value in part.state().items()}

    def resume(self, state: dict[str, Any]) -> None:
        for i, part in enumerate(self.rules):
            own = f"{i} "
            part.resume({name.removeprefix(own): value for name, value in state.items() if name.startswith(own)})


class Either(Several):
    """Over when one of the rules says so; its reason is theirs."""

    def done(self, state: State) -> bool:
        # all are asked, since some remember what they see
        over = [part for part in self.rules if part.done(state)]
        if over:
            self.reason, self.converged = over[0].reason, over[0].converged
        return bool(over)


class Both(Several):
    """Over when all of the rules say so at once."""

    def done(self, state: State) -> bool:
        over = [part.done(state) for part in self.rules]
        self.reason = " and ".join(part.reason for part in self.rules if all(over))
        self.converged = any(part.converged for part in self.rules)
        return all(over)


class SmallViolation(Rule):
    """The projected gradient steps have become short: they change W @ H by at most `tol`, relative to X.

    A nearly exact factorization could gain much by such steps yet: with a relative residual below 1/500, `tol` falls in
    proportion to it, to a twentieth at least.
    """

    reason = "tol"
    converged = True

    def __init__(self, tol: float) -> None:
        self.tol = check_number(tol, "tol")

    def done(self, state: State) -> bool:
        violation = state.violation
        return violation <= self.tol and violation <= self.tol * max(0.05, 500 * state.residual)


class SmallChange(Rule):
    """The error has hardly fallen: by at most `tol` of the first error over the last `every` iterations.

    The error is the square root of the objective, as in scikit-learn's multiplicative updates. The first is that of the
    start where the fit knows it, else that of the first iteration.
    """

    reason = "relative change"
    converged = True

    def __init__(self, tol: float, every: int = 10) -> None:
        self.tol = check_number(tol, "tol")
        self.every = check_integer(every, "every", 1)

    def done(self, state: State) -> bool:
        if state.iteration % self.every or state.iteration == 0:
            return False
        course = [state.initial, *state.objectives]
        if math.isnan(course[0]):
            course[0] = course[1]
        first, before, now = course[0], course[-1 - self.every], course[-1]
        return before**0.5 - now**0.5 < self.tol * first**0.5 or now == 0


class SmallDecrease(Rule):
    """The objective has hardly fallen: by less than `tol` of itself over the last `every` iterations."""

    reason = "relative change"
    converged = True

    def __init__(self, tol: float, every: int = 10) -> None:
        self.tol = check_number(tol, "tol")
        self.every = check_integer(every, "every", 1)

    def done(self, state: State) -> bool:
        if state.iteration <= self.every:
            return False
        before, now = state.objectives[-1 - self.every], state.objectives[-1]
        return before - now < self.tol * abs(before) or before == now == 0


class SmallStep(Rule):
    """The factors have hardly changed: each by at most `tol` of its length since the last iteration."""

    reason = "small step"
    converged = True

    def __init__(self, tol: float) -> None:
        self.tol = check_number(tol, "tol")
        self.last: tuple[np.ndarray, np.ndarray] | None = None

    def state(self) -> dict[str, Any]:
        return {} if self.last is None else {"W": self.last[0], "H": self.last[1]}

    def resume(self, state: dict[str, Any]) -> None:
        self.last = (state["W"], state["H"]) if state else None

    def done(self, state: State) -> bool:
        last = self.last if state.iteration > 1 else None  # a new fit has begun
        self.last = state.W.copy(), state.H.copy()
        return last is not None and all(
            float(np.linalg.norm(now - before)) <= self.tol * float(np.linalg.norm(now))
            for now, before in zip(self.last, last, strict=True)
        )


class Plateau(Rule):
    """Entries that were held out are no longer predicted better: not by more than `tol`, relatively, for so long.

    Parameters
    ----------
    rows, columns : array-like of int, shape (n,)
        Where the held-out entries are; the fit must not know them.
    values : array-like of shape (n,)
        What they are.
    tol : float
        The root mean squared error must fall by more than this share of the least so far.
    patience : int
        For so many iterations it may not.
    """

    reason = "plateau"
    converged = True

    def __init__(self, rows: Any, columns: Any, values: Any, tol: float = 1e-4, patience: int = 10) -> None:
        self.rows, self.columns = np.asarray(rows), np.asarray(columns)
        self.values = np.asarray(values, dtype=np.float64)
        self.tol = check_number(tol, "tol")
        self.patience = check_integer(patience, "patience", 1)
        self.least = math.inf
        self.since = 0

    def state(self) -> dict[str, Any]:
        return {"least": self.least, "since": self.since}

    def resume(self, state: dict[str, Any]) -> None:
        self.least, self.since = state["least"], state["since"]

    def done(self, state: State) -> bool:
        if state.iteration <= 1:  # a new fit has begun
            self.least, self.since = math.inf, 0
        predicted = np.einsum("ij,ij->i", state.W[self.rows], state.H.T[self.columns], dtype=np.float64)
        error = float(np.sqrt(np.mean((predicted - self.values) ** 2)))
        if error < (1 - self.tol) * self.least:
            self.least, self.since = error, 0
            return False
        self.since += 1
        return self.since >= self.patience


class MaxIter(Rule):
    """The number of iterations has been reached."""

    reason = "max_iter"

    def __init__(self, max_iter: int) -> None:
        self.max_iter = check_integer(max_iter, "max_iter", 1)

    def done(self, state: State) -> bool:
        return state.iteration >= self.max_iter


class TimeLimit(Rule):
    """So many seconds have passed since the start of the fit."""

    reason = "time_limit"

    def __init__(self, seconds: float) -> None:
        self.seconds = check_number(seconds, "seconds")

    def done(self, state: State) -> bool:
        return state.seconds >= self.seconds


class CannotWin(Rule):
    """The objective will not fall below that of another start, if it falls no faster than it did.

    Asked in every fifth iteration from the twentieth on: as much as the second half of the iterations has gained would
    not be enough. An objective that falls more and more slowly gains less than that in all that are to come, as long as
    what it gains halves when the number of iterations doubles.

    Parameters
    ----------
    objective : float
        What the other start has reached.
    """

    reason = "dropped"

    def __init__(self, objective: float) -> None:
        self.objective = objective

    def done(self, state: State) -> bool:
        i = state.iteration
        if i < 20 or i % 5:
            return False
        before, now = state.objectives[i // 2 - 1], state.objectives[-1]
        return now - (before - now) > self.objective


class Callback(Rule):
    """A function of the state has returned True."""

    reason = "callback"

    def __init__(self, function: Callable[[Any], object]) -> None:
        self.function = function

    def done(self, state: State) -> bool:
        value = self.function(state)
        return isinstance(value, (bool, np.bool_)) and bool(value)
