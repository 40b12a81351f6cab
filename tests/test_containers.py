"""Whatever holds X, it is the same X: fits, transforms and divergences; what containers compute is in test_data.py."""

from functools import cache

import numpy as np
import pytest
import scipy.sparse as sp
import zoo
from divergences import BETAS
from problems import start

from nmf_core import beta_divergence, factorize
from nmf_core.losses import make_loss
from nmf_core.solvers import SOLVERS

K = 3
ALL = {"frobenius": 2, **BETAS}
# Every way to go through X: products with it, rows by Newton steps, the two halves of gradients.
WAYS = [
    ("frobenius", "hals"),
    ("kullback-leibler", "newton"),
    ("kullback-leibler", "mu"),
    ("itakura-saito", "mue"),
    (0.5, "mu"),
    (2.5, "mue"),
]
STORAGES = {"Fortran": np.asfortranarray, "CSR": sp.csr_array, "CSC": sp.csc_array}
# Others build components one by one, or depend on the order of rows: they have tests in test_solvers.py.
ELSEWHERE = ("sequential", "randomized", "sgd")
PAIRS = [
    (loss, name)
    for loss in ALL
    for name, solver in SOLVERS.items()
    if solver.handles(make_loss(loss)) and name not in ELSEWHERE
]


def fit(X, loss, solver, W, H):
    return factorize(X, K, W=W, H=H, loss=loss, solver=solver, alpha_W=0.01, tol=0, max_iter=12)


@cache
def answers(loss, solver):
    """X as a plain array, what its fit starts from, the fit, W of the same rows, and a divergence."""
    X = zoo.matrix() + (ALL[loss] <= 0)
    given = start(X, K)
    result = fit(X, loss, solver, *given)
    return X, given, result, result.transform(X, max_iter=30), beta_divergence(X, *given, loss)


@pytest.mark.parametrize("name", zoo.EVERYTHING)
@pytest.mark.parametrize(("loss", "solver"), WAYS)
def test_whatever_holds_the_data(loss, solver, name):
    X, given, expected, W, divergence = answers(loss, solver)
    held = zoo.EVERYTHING[name](X)
    before = zoo.contents(held), *(factor.copy() for factor in given)
    result = fit(held, loss, solver, *given)
    assert result.W.dtype == np.float64
    np.testing.assert_allclose(result.W, expected.W, rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(result.H, expected.H, rtol=1e-7, atol=1e-9)
    assert result.objective == pytest.approx(expected.objective, rel=1e-9)
    assert result.squared_error == pytest.approx(np.sum((X - result.W @ result.H) ** 2), rel=1e-9)
    assert result.X_squared_norm == np.sum(X**2)
    np.testing.assert_allclose(expected.transform(held, max_iter=30), W, rtol=1e-8, atol=1e-11)
    assert beta_divergence(held, *given, loss) == pytest.approx(divergence, rel=1e-10)
    assert zoo.same_contents(before[0], zoo.contents(held))
    for factor, copy in zip(given, before[1:], strict=True):
        np.testing.assert_array_equal(factor, copy)


@pytest.mark.parametrize("init", ["custom", "random", "nndsvda"])
@pytest.mark.parametrize("loss", ["frobenius", "kullback-leibler", "itakura-saito", 1.5])
def test_what_keeps_float32_is_fitted_in_it(loss, init):
    X = zoo.matrix() + (ALL[loss] <= 0)
    W, H = start(X.astype(np.float32), K) if init == "custom" else (None, None)
    parameters = {"loss": loss, "W": W, "H": H, "init": init, "random_state": 0, "tol": 0, "max_iter": 12}
    expected = factorize(X, K, **parameters)
    for name, make in zoo.KEEPING.items():
        result = factorize(make(X.astype(np.float32)), K, **parameters)
        assert result.W.dtype == result.H.dtype == np.float32, name
        assert result.objective == pytest.approx(expected.objective, rel=1e-2), name


@pytest.mark.parametrize(("loss", "solver"), PAIRS)
def test_every_solver_takes_every_storage(loss, solver):
    X, given, expected, _, _ = answers(loss, solver)
    for storage, make in STORAGES.items():
        result = fit(make(X), loss, solver, *given)
        np.testing.assert_allclose(result.W, expected.W, rtol=1e-7, atol=1e-9, err_msg=storage)
        np.testing.assert_allclose(result.H, expected.H, rtol=1e-7, atol=1e-9, err_msg=storage)
        assert result.objective == pytest.approx(expected.objective, rel=1e-9), storage
