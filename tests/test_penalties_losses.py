"""Losses and penalties against numerical derivatives and the formulas of the objective."""

import numpy as np
import pytest
import reference

from nmf_core.losses import LOSSES
from nmf_core.penalties import Penalty, make_penalties

PENALTIES = [Penalty(), Penalty(l1=0.7), Penalty(l2=1.3), Penalty(l1=0.2, l2=0.4)]
F = np.random.default_rng(0).uniform(0.5, 2.0, (6, 3))


def derivative(function, at, h=1e-6):
    """Central differences, one entry after the other."""
    result = np.empty(at.shape)
    for position in np.ndindex(at.shape):
        step = np.zeros(at.shape)
        step[position] = h
        result[position] = (function(at + step) - function(at - step)) / (2 * h)
    return result


# --- losses


@pytest.mark.parametrize("name", LOSSES)
class TestLoss:
    def test_name(self, name):
        assert LOSSES[name].name == name
        assert isinstance(LOSSES[name].quadratic, bool)

    def test_is_a_distance(self, name):
        x, y = np.random.default_rng(0).uniform(0.1, 3.0, (2, 50))
        assert (LOSSES[name].value(x, y) > 0).all()
        np.testing.assert_array_equal(LOSSES[name].value(x, x), 0)

    def test_gradient_is_the_derivative(self, name):
        x, y = np.random.default_rng(1).uniform(0.2, 3.0, (2, 40))
        numerical = derivative(lambda y: LOSSES[name].value(x, y).sum(), y)
        np.testing.assert_allclose(LOSSES[name].gradient(x, y), numerical, rtol=1e-6, atol=1e-8)

    def test_quadratic_means_one_curvature_everywhere(self, name):
        x, y = np.random.default_rng(2).uniform(0.2, 3.0, (2, 40))
        h = 1e-3
        curvature = (LOSSES[name].gradient(x, y + h) - LOSSES[name].gradient(x, y - h)) / (2 * h)
        assert np.allclose(curvature, curvature[0]) == LOSSES[name].quadratic


def test_frobenius_is_half_the_squared_error():
    assert LOSSES["frobenius"].value(np.array([3.0, 0.0]), np.array([1.0, 5.0])).tolist() == [2.0, 12.5]


# --- penalties


@pytest.mark.parametrize("penalty", PENALTIES, ids=str)
class TestPenalty:
    def test_value(self, penalty):
        expected = penalty.l1 * np.abs(F).sum() + penalty.l2 / 2 * np.linalg.norm(F) ** 2
        assert penalty.value(F) == pytest.approx(expected, rel=1e-14)
        assert type(penalty.value(F)) is float
        assert penalty.value(np.zeros((4, 2))) == 0

    def test_value_is_summed_in_double(self, penalty):
        many = np.full((1000, 100), 0.1, dtype=np.float32)
        assert penalty.value(many) == pytest.approx(penalty.value(many.astype(np.float64)), rel=1e-12)

    def test_shifted_subproblem_has_the_gradient_of_the_objective(self, penalty):
        """F (gram + shift) - cross + l1 is the derivative of the penalised error with respect to F."""
        rng = np.random.default_rng(1)
        G, X = rng.random((5, 3)), rng.random((6, 5))
        numerical = derivative(lambda F: np.sum((X - F @ G.T) ** 2) / 2 + penalty.value(F), F)
        gradient = F @ penalty.shift(G.T @ G) - X @ G + penalty.l1
        np.testing.assert_allclose(gradient, numerical, rtol=1e-6)

    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    def test_shift_is_fit_for_a_kernel(self, penalty, dtype):
        gram = np.arange(24, dtype=dtype).reshape(4, 6)[:, :4]
        before = gram.copy()
        shifted = penalty.shift(gram)
        assert shifted.dtype == dtype
        assert shifted.flags.c_contiguous
        np.testing.assert_array_equal(gram, before)
        np.testing.assert_allclose(shifted, before + penalty.l2 * np.eye(4), rtol=1e-6)


@pytest.mark.parametrize(
    "strengths",
    [
        {"alpha_W": 0.0, "alpha_H": "same", "l1_ratio": 0.0},
        {"alpha_W": 0.3, "alpha_H": "same", "l1_ratio": 0.0},
        {"alpha_W": 0.3, "alpha_H": 0.0, "l1_ratio": 1.0},
        {"alpha_W": 0.0, "alpha_H": 2.0, "l1_ratio": 0.25},
        {"alpha_W": 0.1, "alpha_H": 0.2, "l1_ratio": 0.5},
    ],
    ids=str,
)
def test_scaling_by_the_size_of_the_data(strengths):
    penalty_W, penalty_H = make_penalties((6, 5), **strengths)
    ours = penalty_W.l1, penalty_W.l2, penalty_H.l1, penalty_H.l2
    assert ours == pytest.approx(reference.penalties((6, 5), **strengths))
