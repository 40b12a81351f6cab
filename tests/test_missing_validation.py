"""Bad input where something is missing or has weights: one clear error that names what, and X stays as it is."""

import re

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import zoo
from missing import some, stored, with_nan
from problems import noisy, start
from test_validation import raises

from nmf_core import factorize
from nmf_core.initialization import INITIALIZERS

K = 3
X = noisy(14, 11, K) + 0.2
KNOWN = some(X.shape, 0.5)
HOLED = with_nan(X, KNOWN)
ONES = np.ones(X.shape)
CONTAINERS = {"csr": sp.csr_array, "csc": sp.csc_matrix, "coo": sp.coo_array, "lil": sp.lil_array}


def fit(A, k=K, **parameters):
    return factorize(A, k, **{"random_state": 0, "max_iter": 3, "tol": 0} | parameters)


def changed(A, value, row=4, column=7):
    A = np.array(A, dtype=np.float64)
    A[row, column] = value
    return A


def with_value(value):
    """A stored value in a sparse matrix."""
    A = stored(X, KNOWN)
    A.data[5] = value
    return A


# what is wrong: X, parameters, kind of error, parts of the message
WRONG = {
    "NaN that is not said to be missing": (HOLED, {}, ValueError, "X", "NaN", "row", "column", "missing='nan'"),
    "NaN that has a weight": (HOLED, {"weights": ONES}, ValueError, "X", "NaN", "missing='nan'"),
    "data frame with NaN": (pd.DataFrame(HOLED), {}, ValueError, "X", "NaN", "missing='nan'"),
    "a mask": (np.ma.masked_invalid(HOLED), {}, TypeError, "X", "masked", "missing='nan'"),
    "a mask for missing": (np.ma.masked_invalid(HOLED), {"missing": "nan"}, TypeError, "X", "masked", "missing='nan'"),
    "unknown missing": (X, {"missing": "zeros"}, ValueError, "missing", "'nan'", "'unstored'", "'zeros'"),
    "missing is a number": (X, {"missing": np.nan}, ValueError, "missing", "'nan'", "nan"),
    "missing is a flag": (X, {"missing": True}, ValueError, "missing", "True"),
    "unstored in an array": (X, {"missing": "unstored"}, ValueError, "missing='unstored'", "sparse", "missing='nan'"),
    "unstored in a frame": (pd.DataFrame(X), {"missing": "unstored"}, ValueError, "missing='unstored'", "sparse"),
    **{f"NaN in {form}": (make(X), {"missing": "nan"}, ValueError, "missing='nan'", "sparse", "missing='unstored'")
       for form, make in CONTAINERS.items()},
    "stored NaN": (with_value(np.nan), {"missing": "unstored"}, ValueError, "X", "NaN"),
    "stored NaN, not said to be missing": (with_value(np.nan), {}, ValueError, "X", "NaN"),
    "stored NaN, with weights": (with_value(np.nan), {"weights": KNOWN}, ValueError, "X", "NaN"),
    "negative among NaN": (changed(HOLED, -2.0), {"missing": "nan"}, ValueError, "X", "negative", "-2", "4", "7"),
    "infinity among NaN": (changed(HOLED, np.inf), {"missing": "nan"}, ValueError, "X", "infinity", "4", "7"),
    "negative infinity among NaN": (changed(HOLED, -np.inf), {"missing": "nan"}, ValueError, "X", "negative", "4", "7"),
    "stored negative": (with_value(-1.0), {"missing": "unstored"}, ValueError, "X", "negative"),
    "too large among NaN": (changed(HOLED, 1e200), {"missing": "nan"}, ValueError, "X", "1e"),
    "all missing": (np.full(X.shape, np.nan), {"missing": "nan"}, ValueError, "X", "no known", "missing"),
    "all missing, float32": (np.full((3, 2), np.float32(np.nan)), {"missing": "nan"}, ValueError, "X", "no known"),
    "nothing stored": (sp.csr_array(X.shape), {"missing": "unstored"}, ValueError, "X", "no known"),
    "nothing stored, CSC": (sp.csc_array(X.shape), {"missing": "unstored"}, ValueError, "X", "no known"),
    "all weights zero": (X, {"weights": 0 * X}, ValueError, "X", "no known", "weight"),
    "no weights stored": (X, {"weights": sp.csr_array(X.shape)}, ValueError, "X", "no known", "weight"),
    "stored weights zero": (X, {"weights": stored(0 * X, KNOWN)}, ValueError, "X", "no known", "weight"),
    "weights of what is missing": (HOLED, {"missing": "nan", "weights": ~KNOWN}, ValueError, "X", "no known"),
    "weights of what is not stored": (
        stored(X, KNOWN), {"missing": "unstored", "weights": ~KNOWN}, ValueError, "X", "no known",
    ),
    "no weights of a sparse X": (sp.csr_array(X), {"weights": sp.csr_array(X.shape)}, ValueError, "X", "no known"),
    "negative weight": (X, {"weights": changed(ONES, -0.5)}, ValueError, "weights", "negative", "-0.5", "4", "7"),
    "NaN weight": (X, {"weights": changed(ONES, np.nan)}, ValueError, "weights", "NaN", "4", "7"),
    "infinite weight": (X, {"weights": changed(ONES, np.inf)}, ValueError, "weights", "infinity", "4", "7"),
    "stored negative weight": (X, {"weights": with_value(-1.0)}, ValueError, "weights", "negative", "-1"),
    "stored NaN weight": (X, {"weights": with_value(np.nan)}, ValueError, "weights", "NaN"),
    "enormous weight": (X, {"weights": changed(ONES, 1e308)}, ValueError, "weights", "1e"),
    "weights of another shape": (X, {"weights": ONES[:, :4]}, ValueError, "weights", "(14, 4)", "(14, 11)"),
    "weights of X.T": (X, {"weights": ONES.T}, ValueError, "weights", "(11, 14)", "(14, 11)"),
    "sparse weights of another shape": (X, {"weights": sp.csr_array(ONES[:4])}, ValueError, "weights", "(4, 11)"),
    "weights of rows": (X, {"weights": ONES[:, 0]}, ValueError, "weights", "2 dimensions"),
    "a weight": (X, {"weights": 2.0}, ValueError, "weights"),
    "weights are strings": (X, {"weights": ONES.astype(str)}, TypeError, "weights", "strings"),
    "weights are objects": (X, {"weights": np.full(X.shape, None)}, TypeError, "weights", "objects"),
    "weights are a word": (X, {"weights": "balanced"}, TypeError, "weights", "strings"),
    "weights are complex": (X, {"weights": ONES + 1j}, TypeError, "weights", "complex"),
    "weights are masked": (X, {"weights": np.ma.masked_equal(ONES, 0)}, TypeError, "weights", "masked"),
    "unknown scaling": (X, {"alpha_scaling": "rows"}, ValueError, "alpha_scaling", "'size'", "'observed'", "'rows'"),
    "scaling is a flag": (X, {"alpha_scaling": True}, ValueError, "alpha_scaling", "True"),
    "scaling is nothing": (X, {"alpha_scaling": None}, ValueError, "alpha_scaling", "None"),
    **{f"biases for {loss}": (X, {"biases": True, "loss": loss}, ValueError, "biases", "Frobenius", str(loss))
       for loss in ("kullback-leibler", "itakura-saito", 1.5)},
    "biases is a word": (X, {"biases": "yes"}, TypeError, "biases", "'yes'"),
    "biases is a number": (X, {"biases": 1}, TypeError, "biases", "1"),
    "biases with fixed components": (
        X, {"biases": True, "H": start(X, K)[1], "update_H": False}, ValueError, "biases", "update_H",
    ),
    **{f"{init} of incomplete data": (HOLED, {"missing": "nan", "init": init}, ValueError, "init", init, "'random'")
       for init in INITIALIZERS if init != "random"},
    "nndsvd with weights": (X, {"weights": 2 * ONES, "init": "nndsvd"}, ValueError, "init", "nndsvd", "'random'"),
    "nndsvd of what is unstored": (
        sp.csr_array(X), {"missing": "unstored", "init": "nndsvd"}, ValueError, "init", "nndsvd",
    ),
    "known zero": (changed(HOLED, 0.0), {"missing": "nan", "loss": 0}, ValueError, "X contains zeros", "beta <= 0"),
    "known zero, -1": (changed(HOLED, 0.0), {"missing": "nan", "loss": -1}, ValueError, "X contains zeros"),
    "stored zero": (with_value(0.0), {"missing": "unstored", "loss": 0}, ValueError, "X contains zeros", "beta <= 0"),
    "zero with a weight": (changed(X, 0.0), {"weights": 2 * ONES, "loss": 0}, ValueError, "X contains zeros"),
    "unstored with weights, not said to be missing": (
        stored(X, KNOWN), {"weights": 2 * ONES, "loss": 0}, ValueError, "X contains zeros", "beta <= 0",
    ),
}  # fmt: skip


@pytest.mark.parametrize(
    ("A", "parameters", "kind", "parts"), [(a, p, k, m) for a, p, k, *m in WRONG.values()], ids=WRONG
)
def test_bad_input_is_one_clear_error(A, parameters, kind, parts):
    given = [A, *(value for value in parameters.values() if hasattr(value, "shape"))]
    before = [zoo.contents(array) for array in given]
    with raises(kind, *map(re.escape, parts)):
        fit(A, **parameters)
    for array, contents in zip(given, before, strict=True):
        assert all(a.tobytes() == b.tobytes() for a, b in zip(contents, zoo.contents(array), strict=True))


@pytest.mark.parametrize("loss", ["itakura-saito", -1])
def test_zeros_that_are_not_known_do_no_harm(loss):
    zeros = np.where(KNOWN, X, 0)
    expected = fit(HOLED, missing="nan", loss=loss)
    for A, how in (
        (zeros, {"weights": KNOWN}),
        (sp.csr_array(zeros), {"weights": KNOWN}),
        (sp.csc_array(zeros), {"missing": "unstored"}),
        (with_nan(zeros, np.arange(11) != 4), {"missing": "nan", "weights": KNOWN & (np.arange(11) != 4)}),
    ):
        result = fit(A, loss=loss, **how)
        assert np.isfinite(result.objective)
        if how.get("missing") != "nan":
            np.testing.assert_array_equal(result.W, expected.W)


@pytest.mark.parametrize("missing", [None, "unstored"])
def test_parts_of_a_stored_entry_may_be_zero(missing):
    """Duplicates are one entry, which is not zero if one of them is not."""
    A = zoo.with_duplicates(stored(np.round(X * 10), KNOWN if missing else ONES > 0))
    before = zoo.contents(A)
    result = fit(A, loss="itakura-saito", missing=missing)
    assert np.isfinite(result.objective)
    assert zoo.same_contents(before, zoo.contents(A))


def test_tiny_and_large_weights():
    """What matters is what they are beside each other."""
    W, H = start(X, K)
    weights = KNOWN * np.random.default_rng(0).uniform(0.5, 2, X.shape)
    expected = fit(X, W=W, H=H, weights=weights)
    for unit in (2.0**-200, 2.0**200):
        result = fit(X, W=W, H=H, weights=unit * weights)
        np.testing.assert_allclose(result.W, expected.W, rtol=1e-9, atol=1e-12)
        assert result.objective == pytest.approx(unit * expected.objective)


# --- new samples

TRANSFORMED = {
    "NaN that is not said to be missing": (None, HOLED, {}, ValueError, "X", "NaN"),
    "zeros in an array": ("unstored", X * (X > 1), {}, ValueError, "X", "zeros and without NaN", "sparse matrix"),
    "zeros in a frame": ("unstored", pd.DataFrame(X * (X > 1)), {}, ValueError, "X", "zeros and without NaN"),
    "NaN in sparse": ("nan", sp.csr_array(X), {}, ValueError, "X is sparse", "NaN was missing", "X.toarray()"),
    "negative": ("nan", changed(HOLED, -1.0), {}, ValueError, "X", "negative", "4", "7"),
    "weights of another shape": (None, X, {"weights": ONES[:3]}, ValueError, "weights", "(3, 11)", "(14, 11)"),
    "negative weights": ("nan", HOLED, {"weights": changed(ONES, -1.0)}, ValueError, "weights", "negative"),
    "other features": ("nan", HOLED[:, :5], {}, ValueError, "X", "5 features", "11"),
    "masked": ("nan", np.ma.masked_invalid(HOLED), {}, TypeError, "X", "masked", "X.filled(numpy.nan)"),
}


@pytest.mark.parametrize(
    ("missing", "A", "how", "kind", "parts"),
    [(f, a, h, k, m) for f, a, h, k, *m in TRANSFORMED.values()],
    ids=TRANSFORMED,
)
def test_bad_new_samples_are_one_clear_error(missing, A, how, kind, parts):
    result = {
        None: lambda: fit(X),
        "nan": lambda: fit(HOLED, missing="nan"),
        "unstored": lambda: fit(stored(X, KNOWN), missing="unstored"),
    }[missing]()
    before = zoo.contents(A)
    with raises(kind, *map(re.escape, parts)):
        result.transform(A, **how)
    assert all(a.tobytes() == b.tobytes() for a, b in zip(before, zoo.contents(A), strict=True))


@pytest.mark.parametrize("loss", ["itakura-saito", -1])
def test_zeros_of_new_samples(loss):
    result = fit(HOLED, missing="nan", loss=loss)
    with raises(ValueError, "X contains zeros", "beta <= 0", "such as"):
        result.transform(changed(HOLED, 0.0))
    hidden = np.where(KNOWN, X, 0)
    np.testing.assert_array_equal(result.transform(hidden, weights=KNOWN), result.transform(HOLED))
