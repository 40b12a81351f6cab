"""Rules of stopping, shown states made by hand."""

import inspect
from types import SimpleNamespace

import numpy as np
import pytest

from nmf_core import stopping
from nmf_core.solvers import SOLVERS

CONVERGED = {"tol", "relative change"}
OTHERS = {"max_iter", "time_limit", "callback"}
RULES = [
    value
    for value in vars(stopping).values()
    if inspect.isclass(value) and issubclass(value, stopping.Rule) and value is not stopping.Rule
]


def state(iteration=1, seconds=0.0, objectives=(1.0,), violation=1.0):
    return SimpleNamespace(
        iteration=iteration,
        seconds=seconds,
        objectives=list(objectives),
        objective=objectives[-1],
        violation=violation,
    )


def test_every_rule_has_its_reason():
    reasons = [rule.reason for rule in RULES]
    assert sorted(reasons) == sorted(CONVERGED | OTHERS)
    assert {rule.reason for rule in RULES if rule.converged} == CONVERGED


@pytest.mark.parametrize(
    ("rule", "going_on", "over"),
    [
        (stopping.SmallViolation(1e-3), {"violation": 1.001e-3}, {"violation": 1e-3}),
        (stopping.SmallViolation(0.0), {"violation": 1e-300}, {"violation": 0.0}),
        (stopping.MaxIter(5), {"iteration": 4}, {"iteration": 5}),
        (stopping.MaxIter(5), {"iteration": 1}, {"iteration": 6}),
        (stopping.TimeLimit(2.5), {"seconds": 2.49}, {"seconds": 2.5}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_threshold(rule, going_on, over):
    assert not rule.done(state(**going_on))
    assert rule.done(state(**over))


class TestSmallChange:
    """The error is the square root of the objective; it is looked at every ten iterations."""

    @staticmethod
    def course(last_ten, first=100.0):
        """Objectives of twenty iterations whose error falls from 5 by `last_ten` between the tenth and the last."""
        return [first, *np.linspace(81, 25, 9), *np.linspace(24, (5 - last_ten) ** 2, 10)]

    def test_looks_at_the_last_ten_iterations_in_terms_of_the_first_error(self):
        rule = stopping.SmallChange(0.01)  # of the first error, 10
        assert not rule.done(state(20, objectives=self.course(last_ten=0.11)))
        assert rule.done(state(20, objectives=self.course(last_ten=0.09)))

    def test_looks_every_ten_iterations_only(self):
        rule = stopping.SmallChange(0.01)
        flat = [1.0] * 25
        assert [i for i in range(1, 26) if rule.done(state(i, objectives=flat[:i]))] == [10, 20]

    def test_no_tolerance_means_no_such_stop_while_the_error_falls(self):
        rule = stopping.SmallChange(0.0)
        assert not rule.done(state(20, objectives=self.course(last_ten=1e-9)))

    def test_exact_fit(self):
        assert stopping.SmallChange(0.0).done(state(10, objectives=[0.0] * 10))


@pytest.mark.parametrize(
    ("answer", "over"),
    [(True, True), (np.True_, True), (False, False), (None, False), (np.False_, False)],
    ids=repr,
)
def test_callback(answer, over):
    seen = []

    def function(state):
        seen.append(state)
        return answer

    shown = state()
    assert bool(stopping.Callback(function).done(shown)) is over
    assert seen == [shown]


@pytest.mark.parametrize("name", SOLVERS)
def test_rules_of_a_solver_mean_convergence(name):
    rules = SOLVERS[name].rules(1e-4)
    assert any(isinstance(rule, stopping.SmallViolation) for rule in rules)
    assert all(rule.converged for rule in rules)
    assert any(rule.done(state(violation=1e-5)) for rule in rules)
    assert not any(rule.done(state(10, objectives=np.linspace(10, 1, 10), violation=1.0)) for rule in rules)
