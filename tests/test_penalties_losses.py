"""Losses and penalties against closed forms, numerical derivatives, scikit-learn and the formulas of the objective."""

import numpy as np
import pytest
import reference
import scipy.sparse as sp

from nmf_core.data import as_container
from nmf_core.factors import Factor, with_penalties
from nmf_core.losses import LOSSES, Beta, make_loss

PENALTIES = [Factor(), Factor(l1=0.7), Factor(l2=1.3), Factor(l1=0.2, l2=0.4)]
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

ALL = {**LOSSES, **{f"{beta:g}": Beta(beta) for beta in (-1.0, 0.3, 0.5, 1.5, 2.5, 3.0)}}


@pytest.mark.parametrize("name", ALL)
class TestLoss:
    def test_is_a_distance(self, name):
        x, y = np.random.default_rng(0).uniform(0.1, 3.0, (2, 50))
        assert (ALL[name].value(x, y) > 0).all()
        np.testing.assert_allclose(ALL[name].value(x, x), 0, atol=1e-15)

    def test_is_its_definition(self, name):
        x, y = np.random.default_rng(3).uniform(0.1, 3.0, (2, 50))
        np.testing.assert_allclose(
            ALL[name].value(x, y), reference.losses(x, y, ALL[name].beta), rtol=1e-12, atol=1e-13
        )

    def test_gradient_is_the_derivative(self, name):
        x, y = np.random.default_rng(1).uniform(0.2, 3.0, (2, 40))
        numerical = derivative(lambda y: ALL[name].value(x, y).sum(), y)
        np.testing.assert_allclose(ALL[name].gradient(x, y), numerical, rtol=1e-6, atol=1e-7)

    def test_gradient_is_the_difference_of_its_parts(self, name):
        x, y = np.random.default_rng(4).uniform(0.2, 3.0, (2, 40))
        num, den = reference.gradient_parts(x, y, ALL[name].beta)
        np.testing.assert_allclose(ALL[name].gradient(x, y), den - num, rtol=1e-12, atol=1e-13)

    def test_quadratic_means_one_curvature_everywhere(self, name):
        x, y = np.random.default_rng(2).uniform(0.2, 3.0, (2, 40))
        h = 1e-3
        curvature = (ALL[name].gradient(x, y + h) - ALL[name].gradient(x, y - h)) / (2 * h)
        assert np.allclose(curvature, curvature[0]) == ALL[name].quadratic

    def test_zeros_of_the_data(self, name):
        """They add y^beta / beta where that is finite."""
        beta, y = ALL[name].beta, np.array([1e-9, 0.3, 7.0])
        if beta > 0:
            np.testing.assert_allclose(ALL[name].value(np.zeros(3), y), y**beta / beta, rtol=1e-14)
            np.testing.assert_allclose(ALL[name].gradient(np.zeros(3), y), y ** (beta - 1), rtol=1e-14)
        else:
            assert np.isinf(ALL[name].value(np.zeros(3), y)).all()

    def test_scales_as_the_power_of_its_unit(self, name):
        x, y = np.random.default_rng(5).uniform(0.1, 3.0, (2, 50))
        expected = 7.0 ** ALL[name].beta * ALL[name].value(x, y)
        np.testing.assert_allclose(ALL[name].value(7 * x, 7 * y), expected, rtol=1e-11, atol=1e-12)

    def test_is_that_of_scikit_learn(self, name):
        theirs = pytest.importorskip("sklearn.decomposition._nmf")._beta_divergence
        if ALL[name].beta < 0:
            return  # with another sign there
        rng = np.random.default_rng(6)
        X, W, H = rng.uniform(0.1, 3.0, (8, 5)), rng.random((8, 2)), rng.random((2, 5))
        assert ALL[name].value(X, W @ H).sum() == pytest.approx(theirs(X, W, H, ALL[name].beta), rel=1e-12)

    def test_constant_is_what_the_model_does_not_say(self, name):
        """The divergence without it is that of the parts: a function of the model and linear in the data."""
        beta, rng = ALL[name].beta, np.random.default_rng(7)
        X, Y = rng.uniform(0.1, 3.0, (2, 8, 5))
        rest = {
            0: lambda: X / Y + np.log(Y),
            1: lambda: X * np.log(X / Y) - X + Y,
        }.get(beta, lambda: Y**beta / beta - X * Y ** (beta - 1) / (beta - 1))
        for data in (as_container(X), as_container(sp.csr_array(X)), as_container(np.asfortranarray(X))):
            assert type(ALL[name].constant(data)) is type(ALL[name].mass(data)) is float
            divergence = np.sum(rest()) + ALL[name].constant(data)
            assert divergence == pytest.approx(ALL[name].value(X, Y).sum(), rel=1e-11)

    def test_mass_is_the_sum_of_powers(self, name):
        """The curvature of the divergence at the data, in units of the data."""
        X = np.random.default_rng(8).uniform(0.1, 3.0, (8, 5))
        h = 1e-5
        curvature = (ALL[name].gradient(X, X + h) - ALL[name].gradient(X, X - h)) / (2 * h)
        assert ALL[name].mass(as_container(X)) == pytest.approx(np.sum(X**2 * curvature), rel=1e-7)


@pytest.mark.parametrize("name", LOSSES)
def test_names_of_losses(name):
    assert LOSSES[name].name == name
    assert make_loss(name) is make_loss(LOSSES[name].beta) is LOSSES[name]


def test_losses_without_a_name_go_by_their_number():
    assert make_loss(1.5).name == make_loss(1.5).beta == 1.5
    assert isinstance(make_loss(3).beta, float)


def test_closed_forms():
    x, y = np.array([3.0, 0.5]), np.array([1.0, 2.0])
    ratio = x / y
    for beta, expected in {
        -1: 0.5 / x + 0.5 * x / y**2 - 1 / y,
        0: ratio - np.log(ratio) - 1,
        0.5: 2 * (np.sqrt(x) - np.sqrt(y)) ** 2 / np.sqrt(y),
        1: x * np.log(ratio) - x + y,
        1.5: 4 / 3 * (x**1.5 + y**1.5 / 2 - 1.5 * x * np.sqrt(y)),
        2: (x - y) ** 2 / 2,
        3: (x - y) ** 2 * (x + 2 * y) / 6,
    }.items():
        np.testing.assert_allclose(Beta(beta).value(x, y), expected, rtol=1e-13, err_msg=str(beta))


def test_frobenius_is_half_the_squared_error():
    assert LOSSES["frobenius"].value(np.array([3.0, 0.0]), np.array([1.0, 5.0])).tolist() == [2.0, 12.5]


@pytest.mark.parametrize("away", [1e-3, 1e-6, 1e-9, 1e-12])
@pytest.mark.parametrize("beta", [0.0, 0.5, 1.0, 2.0])
def test_losses_are_continuous_in_beta(beta, away):
    """Also where the formula is another one: the difference is no more than that of the betas."""
    x, y = np.random.default_rng(0).uniform(0.01, 10.0, (2, 200))
    for side in (-away, away):
        for of in ("value", "gradient"):
            here, there = (getattr(Beta(b), of)(x, y) for b in (beta, beta + side))
            largest = np.abs(here).max()
            np.testing.assert_allclose(there, here, rtol=0, atol=(10 * away + 1e-14) * largest)


@pytest.mark.parametrize(
    ("beta", "exponent"), [(-1, 1 / 3), (0, 1 / 2), (0.5, 2 / 3), (1, 1), (1.5, 1), (2, 1), (2.5, 2 / 3), (3, 1 / 2)]
)
def test_exponent_of_a_multiplicative_update(beta, exponent):
    """One over the order of the powers of y that the parts of a majorising function differ by."""
    assert Beta(beta).exponent == pytest.approx(exponent, rel=1e-15)
    assert Beta(beta + 1e-12).exponent == pytest.approx(exponent, rel=1e-11)


# --- penalties


@pytest.mark.parametrize("penalty", PENALTIES, ids=str)
class TestPenalty:
    def test_value(self, penalty):
        expected = penalty.l1 * np.abs(F).sum() + penalty.l2 / 2 * np.linalg.norm(F) ** 2
        assert penalty.value(F, 3) == pytest.approx(expected, rel=1e-14)
        assert type(penalty.value(F, 3)) is float
        assert penalty.value(np.zeros((4, 2)), 2) == 0

    def test_value_is_summed_in_double(self, penalty):
        many = np.full((1000, 100), 0.1, dtype=np.float32)
        assert penalty.value(many, 100) == pytest.approx(penalty.value(many.astype(np.float64), 100), rel=1e-12)

    def test_shifted_subproblem_has_the_gradient_of_the_objective(self, penalty):
        """F (gram + shift) - cross + l1 is the derivative of the penalised error with respect to F."""
        rng = np.random.default_rng(1)
        G, X = rng.random((5, 3)), rng.random((6, 5))
        numerical = derivative(lambda F: np.sum((X - F @ G.T) ** 2) / 2 + penalty.value(F, 3), F)
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
    penalty_W, penalty_H = with_penalties((Factor(), Factor()), (6, 5), tuple(strengths.values()))
    ours = penalty_W.l1, penalty_W.l2, penalty_H.l1, penalty_H.l2
    assert ours == pytest.approx(reference.penalties((6, 5), **strengths))
