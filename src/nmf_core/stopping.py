"""When to stop. A rule looks at the state after an iteration and says whether the fit is over."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np


class State(Protocol):
    """What a rule may look at: the fit after an iteration."""

    iteration: int
    seconds: float
    initial: float
    objectives: list[float]

    @property
    def violation(self) -> float:
        """The relative length of the iteration's projected gradient steps."""


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


class SmallViolation(Rule):
    """The projected gradient steps have become short: at most `tol`, relative to the model W @ H."""

    reason = "tol"
    converged = True

    def __init__(self, tol: float) -> None:
        self.tol = tol

    def done(self, state: State) -> bool:
        return state.violation <= self.tol


class SmallChange(Rule):
    """The error has hardly fallen: by at most `tol` of the first error over the last `every` iterations.

    The error is the square root of the objective, as in scikit-learn's multiplicative updates. The first is that of the
    start where the fit knows it, else that of the first iteration.
    """

    reason = "relative change"
    converged = True

    def __init__(self, tol: float, every: int = 10) -> None:
        self.tol = tol
        self.every = every

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
        self.tol = tol
        self.every = every

    def done(self, state: State) -> bool:
        if state.iteration <= self.every:
            return False
        before, now = state.objectives[-1 - self.every], state.objectives[-1]
        return before - now < self.tol * abs(before) or before == now == 0


class MaxIter(Rule):
    """The number of iterations has been reached."""

    reason = "max_iter"

    def __init__(self, max_iter: int) -> None:
        self.max_iter = max_iter

    def done(self, state: State) -> bool:
        return state.iteration >= self.max_iter


class TimeLimit(Rule):
    """So many seconds have passed since the start of the fit."""

    reason = "time_limit"

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def done(self, state: State) -> bool:
        return state.seconds >= self.seconds


class Callback(Rule):
    """A function of the state has returned True."""

    reason = "callback"

    def __init__(self, function: Callable[[Any], object]) -> None:
        self.function = function

    def done(self, state: State) -> bool:
        value = self.function(state)
        return isinstance(value, (bool, np.bool_)) and bool(value)
