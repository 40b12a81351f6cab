"""Rules of stopping, shown states made by hand."""

import inspect
from types import SimpleNamespace

import numpy as np
import pytest
from problems import noisy

from nmf_core import factorize, stopping
from nmf_core.data import FullMatrix
from nmf_core.solvers import SOLVERS

CONVERGED = {"tol", "relative change", "small step", "plateau"}
OTHERS = {"max_iter", "time_limit", "callback", "dropped"}
RULES = [
    value
    for value in vars(stopping).values()
    if inspect.isclass(value) and issubclass(value, stopping.Rule) and hasattr(value, "reason")
]


def state(iteration=1, seconds=0.0, objectives=(1.0,), violation=1.0, residual=1.0, initial=np.nan):
    return SimpleNamespace(
        iteration=iteration,
        seconds=seconds,
        initial=initial,
        objectives=list(objectives),
        objective=objectives[-1],
        violation=violation,
        residual=residual,
        W=np.full((3, 2), float(iteration)),
        H=np.full((2, 4), float(iteration)),
    )


def test_every_rule_has_its_reason():
    assert {rule.reason for rule in RULES} == CONVERGED | OTHERS
    assert {rule.reason for rule in RULES if rule.converged} == CONVERGED


@pytest.mark.parametrize(
    ("rule", "going_on", "over"),
    [
        (stopping.SmallViolation(1e-3), {"violation": 1.001e-3}, {"violation": 1e-3}),
        (stopping.SmallViolation(0.0), {"violation": 1e-300}, {"violation": 0.0}),
        # of a nearly exact factorization
        (stopping.SmallViolation(1e-4), {"violation": 6e-5, "residual": 1e-3}, {"violation": 4e-5, "residual": 1e-3}),
        (stopping.SmallViolation(1e-4), {"violation": 6e-6, "residual": 0.0}, {"violation": 5e-6, "residual": 0.0}),
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

    def test_the_first_error_is_that_of_the_start_where_it_is_known(self):
        rule = stopping.SmallChange(0.01)
        course = self.course(last_ten=0.09)
        assert not rule.done(state(20, objectives=course, initial=64.0))  # 0.09 is more than 0.01 of 8
        assert rule.done(state(20, objectives=course, initial=100.0))
        assert not rule.done(state(10, objectives=[4.0] * 10, initial=9.0))  # the first ten begin at the start
        assert rule.done(state(10, objectives=[4.0] * 10, initial=4.0))


class TestSmallDecrease:
    """The objective itself, over ten iterations, relative to what it was before them; looked at in every iteration."""

    def test_looks_at_the_last_ten_iterations_in_terms_of_the_objective_before_them(self):
        rule = stopping.SmallDecrease(0.01)
        assert not rule.done(state(15, objectives=[1e6] * 4 + [100.0] * 10 + [98.9]))
        assert rule.done(state(15, objectives=[1e6] * 4 + [100.0] * 10 + [99.1]))

    def test_waits_until_there_are_ten_to_look_back_on(self):
        rule = stopping.SmallDecrease(0.01)
        flat = [1.0] * 25
        assert [i for i in range(1, 14) if rule.done(state(i, objectives=flat[:i]))] == [11, 12, 13]

    def test_no_tolerance_means_no_such_stop_while_the_objective_falls(self):
        objectives = [1.0] * 10 + [1 - 1e-15]
        assert not stopping.SmallDecrease(0.0).done(state(11, objectives=objectives))

    def test_a_rise_is_no_progress(self):
        assert stopping.SmallDecrease(0.0).done(state(11, objectives=[1.0] * 10 + [1.1]))

    def test_exact_fit(self):
        assert stopping.SmallDecrease(0.0).done(state(11, objectives=[0.0] * 11))


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


# Whether a solver's fits end when steps are short, and when there is little progress.
WATCHED = {name: {"tol", "relative change"} for name in SOLVERS} | {"hals": {"tol"}, "als": {"tol", "small step"}}


# "sequential" is over when all components are there.
@pytest.mark.parametrize("name", [name for name in SOLVERS if name != "sequential"])
class TestRulesOfASolver:
    def test_mean_convergence(self, name):
        rules = SOLVERS[name].rules(1e-4, FullMatrix)
        assert {rule.reason for rule in rules} == WATCHED[name]
        assert all(rule.converged for rule in rules)

    def test_short_steps(self, name):
        falling = np.linspace(10, 1, 20)
        for violation, over in ((1e-4, "tol" in WATCHED[name]), (1.001e-4, False)):
            shown = state(20, objectives=falling, violation=violation)
            assert any(rule.done(shown) for rule in SOLVERS[name].rules(1e-4, FullMatrix)) is over

    def test_little_progress(self, name):
        if name == "als":
            pytest.skip("the objective may rise: it is the factors that are looked at")
        for last, over in ((1 - 1e-5, "relative change" in WATCHED[name]), (0.9, False)):
            shown = state(20, objectives=[4.0, *np.linspace(1, last, 19)])
            assert any(rule.done(shown) for rule in SOLVERS[name].rules(1e-4, FullMatrix)) is over


# --- rules of the user's


class TestSmallStep:
    def test_compares_with_the_iteration_before(self):
        rule = stopping.SmallStep(0.1)
        shown = [state(i) for i in range(1, 5)]
        for now, size in zip(shown, (1.0, 2.0, 2.1, 2.11), strict=True):
            now.W, now.H = np.full((3, 2), size), np.ones((2, 4))
        assert [rule.done(now) for now in shown] == [False, False, True, True]

    def test_both_factors_count(self):
        rule = stopping.SmallStep(0.1)
        for i in range(1, 4):
            now = state(i)
            now.W, now.H = np.ones((3, 2)), np.full((2, 4), 2.0**i)
            assert not rule.done(now)

    def test_a_new_fit_begins_anew(self):
        rule = stopping.SmallStep(0.1)
        assert [rule.done(state(1)), rule.done(state(1)), rule.done(state(2))] == [False, False, False]


class TestPlateau:
    X = noisy(30, 20, 3)
    held_out = np.random.default_rng(0).random((30, 20)) < 0.2

    def rule(self, **parameters):
        return stopping.Plateau(*np.nonzero(self.held_out), self.X[self.held_out], **parameters)

    def test_stops_when_the_error_of_held_out_entries_no_longer_falls(self):
        errors = []

        def watch(now):
            errors.append(np.sqrt(np.mean((now.W @ now.H - self.X)[self.held_out] ** 2)))

        result = factorize(
            np.where(self.held_out, np.nan, self.X), 6, missing="nan", stop=self.rule(patience=5), callback=watch,
            max_iter=5000, random_state=0,
        )  # fmt: skip
        assert (result.stop_reason, result.converged) == ("plateau", True)
        # the last iteration is not shown any more
        assert min(errors[:-4]) * (1 - 1e-4) <= min(errors[-4:])
        assert result.n_iter < 5000

    def test_may_be_used_again(self):
        rule = self.rule(patience=3)
        holes = np.where(self.held_out, np.nan, self.X)
        first, again = (factorize(holes, 3, missing="nan", stop=rule, random_state=0, max_iter=5000) for _ in range(2))
        assert first.n_iter == again.n_iter


class TestCombinations:
    def test_either(self):
        rule = stopping.MaxIter(5) | stopping.SmallViolation(1e-3)
        assert not rule.done(state(4, violation=1))
        assert rule.done(state(4, violation=1e-3))
        assert (rule.reason, rule.converged) == ("tol", True)
        assert rule.done(state(5, violation=1))
        assert (rule.reason, rule.converged) == ("max_iter", False)

    def test_both(self):
        rule = stopping.MaxIter(5) & stopping.SmallViolation(1e-3)
        assert not rule.done(state(5, violation=1))
        assert not rule.done(state(4, violation=1e-3))
        assert rule.done(state(5, violation=1e-3))
        assert (rule.reason, rule.converged) == ("max_iter and tol", True)

    def test_rules_that_remember_see_every_iteration(self):
        rule = stopping.MaxIter(3) & stopping.SmallStep(0.5)
        assert [rule.done(state(i)) for i in (1, 2, 3)] == [False, False, True]

    def test_in_a_fit(self):
        X = noisy(30, 20, 3)
        short = factorize(X, 3, stop=stopping.SmallDecrease(0.5) & stopping.MaxIter(15), random_state=0)
        assert (short.n_iter, short.stop_reason) == (15, "relative change and max_iter")
        long = factorize(
            X, 3, stop=stopping.SmallViolation(1e-7) | stopping.TimeLimit(60), random_state=0, max_iter=9999
        )
        assert long.stop_reason == "tol"
        assert long.history.violation[-1] <= 1e-7
        assert long.parameters["tol"] is None
        limited = factorize(X, 3, stop=stopping.SmallViolation(0.0), random_state=0, max_iter=4)
        assert limited.stop_reason == "max_iter"

    @pytest.mark.parametrize("stop", ["tol", 1e-4, [stopping.MaxIter(3)], stopping.MaxIter])
    def test_what_is_no_rule(self, stop):
        with pytest.raises(TypeError, match="stop must be None or a rule"):
            factorize(np.ones((3, 3)), 1, stop=stop)
