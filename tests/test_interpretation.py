"""What a factorization says, in numbers."""

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp

import nmf_core
from nmf_core import interpretation
from nmf_core.interpretation import component_shares, row_errors, strongest_components, strongest_features


@pytest.fixture
def f():
    """A factorization whose factors can be read."""
    W = np.array([[1.0, 0.0], [2.0, 1.0], [0.0, 0.0], [0.0, 3.0]])
    H = np.array([[4.0, 0.0, 2.0], [0.0, 10.0, 0.0]])
    f = nmf_core.factorize(W @ H, 2, W=W, H=H, max_iter=1)
    return replace(f, W=W, H=H, column_labels=("a", "b", "c"))


def test_strongest_features(f):
    assert strongest_features(f) == [[("a", 1.0), ("c", 0.5)], [("b", 1.0)]]
    assert strongest_features(f, 1) == [[("a", 1.0)], [("b", 1.0)]]
    unlabelled = replace(f, column_labels=None, H=f.H * [[1], [0]])
    assert strongest_features(unlabelled) == [[("0", 1.0), ("2", 0.5)], []]


def test_component_shares(f):
    np.testing.assert_allclose(component_shares(f), [18 / 58, 40 / 58])
    np.testing.assert_array_equal(component_shares(replace(f, W=np.zeros((4, 2)))), [0, 0])


def test_strongest_components_do_not_depend_on_the_scale_of_factors(f):
    np.testing.assert_array_equal(strongest_components(f), [0, 1, 0, 1])
    scaled = replace(f, W=f.W * [100, 1], H=f.H / [[100], [1]])
    np.testing.assert_array_equal(strongest_components(scaled), [0, 1, 0, 1])


@pytest.mark.parametrize("container", [np.asarray, np.asfortranarray, sp.csr_array, sp.csc_matrix, sp.coo_array])
@pytest.mark.parametrize("dtype", ["float64", "float32", "int64"])
def test_row_errors(container, dtype, monkeypatch):
    rng = np.random.default_rng(0)
    X = rng.poisson(2.0, (30, 8)).astype(dtype)
    X[4] = 0
    f = nmf_core.factorize(X, 3, random_state=0)
    with np.errstate(invalid="ignore"):
        expected = np.linalg.norm(X - f.W.astype(float) @ f.H, axis=1) / np.linalg.norm(X.astype(float), axis=1)
    expected[4] = np.nan
    np.testing.assert_allclose(row_errors(f, container(X)), expected, rtol=1e-6)
    monkeypatch.setattr(interpretation, "BLOCK_ENTRIES", 24)
    np.testing.assert_allclose(row_errors(f, container(X)), expected, rtol=1e-6)


def test_row_errors_need_the_matrix_of_the_fit(f):
    with pytest.raises(ValueError, match=r"X has shape \(2, 3\), but \(4, 3\) was factorized"):
        row_errors(f, np.ones((2, 3)))


@pytest.fixture
def holes():
    """Counts, of which some are NaN: all of row 4, all but zeros of row 5."""
    rng = np.random.default_rng(0)
    X = rng.poisson(2.0, (30, 8)).astype(float)
    X[rng.random(X.shape) < 0.3] = np.nan
    X[4] = np.nan
    X[5] = [0, *[np.nan] * 7]
    return X


def stored(X):
    """A sparse array that does not store what is NaN, and stores zeros."""
    known = ~np.isnan(X)
    rows, columns = np.nonzero(known)
    return sp.csr_array((X[known], (rows, columns)), shape=X.shape)


def expected_errors(f, X, weights=1.0):
    model = f.W.astype(float) @ f.H
    if f.biases is not None:
        model += f.biases.mean + f.biases.rows[:, np.newaxis] + f.biases.columns
    norms = np.nansum(weights * X**2, axis=1)
    norms[norms == 0] = np.nan
    return np.sqrt(np.nansum(weights * (X - model) ** 2, axis=1) / norms)


@pytest.mark.parametrize("block", [24, 1 << 20])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("options", [{}, {"biases": True, "alpha_W": 0.1}, {"loss": "kullback-leibler"}])
def test_row_errors_where_entries_are_missing(holes, options, dtype, block, monkeypatch):
    monkeypatch.setattr(interpretation, "BLOCK_ENTRIES", block)
    holes = holes.astype(dtype)
    f = nmf_core.factorize(holes, 2, missing="nan", random_state=0, **options)
    expected = expected_errors(f, holes)
    assert np.flatnonzero(np.isnan(expected)).tolist() == [4, 5]
    np.testing.assert_allclose(row_errors(f, holes), expected, rtol=1e-5)
    for container in (sp.csr_array, sp.csc_matrix, sp.coo_array):
        X = container(stored(holes))
        f = nmf_core.factorize(X, 2, missing="unstored", random_state=0, **options)
        np.testing.assert_allclose(row_errors(f, X), expected_errors(f, holes), rtol=1e-5)


def test_row_errors_with_biases_and_nothing_missing(holes):
    X = np.nan_to_num(holes)
    f = nmf_core.factorize(X, 2, biases=True, random_state=0)
    np.testing.assert_allclose(row_errors(f, X), expected_errors(f, X), rtol=1e-9)
    np.testing.assert_allclose(row_errors(f, sp.csr_array(X)), expected_errors(f, X), rtol=1e-9)


def test_row_errors_with_weights(holes):
    weights = np.random.default_rng(1).integers(0, 3, holes.shape).astype(float)
    weights[7] = 0
    X = np.nan_to_num(holes)
    for data, missing in ((holes, "nan"), (X, None), (sp.csr_array(X), None), (stored(holes), "unstored")):
        f = nmf_core.factorize(data, 2, missing=missing, weights=weights, random_state=0)
        expected = expected_errors(f, X if missing is None else holes, weights)
        assert np.isnan(expected[7])
        for given in (weights, sp.csr_array(weights), sp.csc_matrix(weights)):
            np.testing.assert_allclose(row_errors(f, data, given), expected, rtol=1e-9)
    with pytest.raises(ValueError, match=r"weights has shape \(8, 30\), but \(30, 8\) was factorized"):
        row_errors(f, data, weights.T)
