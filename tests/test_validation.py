"""Bad input: one clear error that names what and where, and nothing else happens."""

import re

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import zoo
from problems import start, uniform

from nmf_core import beta_divergence, factorize
from nmf_core.transform import transform
from nmf_core.validation import (
    check_factor,
    check_integer,
    check_matrix,
    check_n_components,
    check_number,
    check_random_state,
    check_update_H,
)

X = uniform(12, 9)
K = 3
W, H = start(X, K)
HUGE = np.iinfo(np.int32).max


def raises(kind, *parts):
    """The error of this kind whose one line holds all these parts, in this order."""
    return pytest.raises(kind, match=r"\A" + ".*".join(parts) + r".*\Z")


def one_bad_entry(value, row=4, column=7):
    A = X.copy()
    A[row, column] = value
    return A


# --- the matrix


MATRICES = {
    "nothing": (None, TypeError, "X", "real numbers", "NoneType"),
    "number": (3.0, ValueError, "X", "0"),
    "text": ("matrix", TypeError, "X", "strings"),
    "one dimension": (np.ones(5), ValueError, "X", "2 dimensions", "1"),
    "three dimensions": (np.ones((2, 3, 4)), ValueError, "X", "2 dimensions", "3"),
    "no rows": (np.ones((0, 5)), ValueError, "X", "empty", "0 x 5"),
    "no columns": (np.ones((5, 0)), ValueError, "X", "empty", "5 x 0"),
    "no rows, sparse": (sp.csr_array((0, 5)), ValueError, "X", "empty", "0 x 5"),
    "empty list": ([], ValueError, "X"),
    "ragged": ([[1.0, 2.0], [3.0]], ValueError, "X", "not a matrix"),
    "complex": (X + 1j, TypeError, "X", "complex"),
    "complex, sparse": (sp.csr_array(X + 1j), TypeError, "X", "complex"),
    "strings": (X.astype(str), TypeError, "X", "strings"),
    "bytes": (X.astype("S5"), TypeError, "X", "strings"),
    "objects": (np.array([[1, None], [{}, 2]], dtype=object), TypeError, "X", "objects"),
    "dates": (np.zeros((2, 2), dtype="datetime64[D]"), TypeError, "X", "datetime64"),
    "records": (np.zeros((2, 2), dtype=[("a", float)]), TypeError, "X"),
    "masked": (np.ma.masked_less(X, 0.5), TypeError, "X", "masked"),
    "dictionary": ({"a": 1}, TypeError, "X"),
    "frame with text": (pd.DataFrame({"n": [1, 2], "name": ["a", "b"]}), TypeError, "X", "name"),
    "one-dimensional sparse": (sp.coo_array(np.ones(4)), ValueError, "X", "2 dimensions"),
}


@pytest.mark.parametrize("case", MATRICES)
def test_what_is_not_a_matrix_of_numbers(case):
    bad, kind, *parts = MATRICES[case]
    for use in (lambda: factorize(bad, 1), lambda: transform(bad, H)):
        with raises(kind, *parts):
            use()


VALUES = {
    "NaN": (np.nan, "NaN"),
    "infinity": (np.inf, "infinity"),
    "minus infinity": (-np.inf, "negative"),
    "negative": (-0.25, r"negative value \(-0.25\)"),
    "barely negative": (-1e-300, r"negative value \(-1e-300\)"),
}


# Parts of a value that is stored twice are other values.
@pytest.mark.parametrize("name", [name for name in zoo.KEEPING if "duplicates" not in name])
@pytest.mark.parametrize("value", VALUES)
def test_bad_values_are_named_with_their_place(value, name):
    bad, what = VALUES[value]
    with np.errstate(invalid="ignore"):
        held = zoo.KEEPING[name](one_bad_entry(bad))
    for use in (lambda: factorize(held, K), lambda: transform(held, H)):
        with raises(ValueError, "X contains", what, "row 4, column 7"):
            use()


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_bad_values_of_other_types(dtype):
    with raises(ValueError, "X contains NaN", "row 4, column 7"):
        factorize(one_bad_entry(np.nan).astype(dtype), K)


def test_negative_integers():
    A = np.ones((3, 4), dtype=np.int8)
    A[2, 1] = -5
    with raises(ValueError, "X contains a negative value", "-5", "row 2, column 1"):
        factorize(A, 1)


def test_bad_values_of_a_frame():
    with raises(ValueError, "X contains NaN", "row 4, column 7"):
        factorize(pd.DataFrame(one_bad_entry(np.nan)), K)


@pytest.mark.parametrize("make", [np.ascontiguousarray, np.asfortranarray, sp.csr_array])
def test_the_first_of_several_bad_values_is_named(make):
    A = X.copy()
    A[3, 8] = A[5, 0] = A[11, 1] = -1
    with raises(ValueError, "X contains a negative value", "first", "row 3, column 8"):
        factorize(make(A), K)


@pytest.mark.parametrize("make", [np.asarray, sp.csr_array])
@pytest.mark.parametrize(
    ("dtype", "value", "what"),
    [
        (np.float32, 1e30, "large"),
        (np.float64, 1e200, "large"),
        (np.float32, 1e-30, "small"),
        (np.float64, 1e-200, "small"),
    ],
)
def test_values_whose_squares_cannot_be_told(dtype, value, what, make):
    A = np.full((4, 3), value, dtype=dtype)
    for use in (lambda: factorize(make(A), 1), lambda: transform(make(A), H[:, :3])):
        with raises(ValueError, "X", f"too {what} for {np.dtype(dtype)}"):
            use()


# --- sparse matrices that do not hang together


def broken(form="csr_array", **parts):
    """A compressed matrix with some of its arrays replaced behind SciPy's back."""
    A = getattr(sp, form)(X)
    for name, array in parts.items():
        setattr(A, name, np.asarray(array, dtype=getattr(A, name).dtype))
    return A


def changed(array, position, value):
    array = array.copy()
    array[position] = value
    return array


SOUND = sp.csr_array(X)
BROKEN = {
    "index too large": {"indices": changed(SOUND.indices, 5, 9)},
    "index far too large": {"indices": changed(SOUND.indices, 5, HUGE)},
    "negative index": {"indices": changed(SOUND.indices, 5, -1)},
    "falling indptr": {"indptr": changed(SOUND.indptr, 3, 40)},
    "negative indptr": {"indptr": changed(SOUND.indptr, 1, -3)},
    "negative end": {"indptr": changed(SOUND.indptr, -1, -3)},
    "late start": {"indptr": changed(SOUND.indptr, 0, 2)},
    "indptr beyond the data": {"indptr": changed(SOUND.indptr, -1, 200)},
    "indptr that overflowed": {"indptr": [*SOUND.indptr[:-2], HUGE, -HUGE - 1]},
    "short indptr": {"indptr": SOUND.indptr[:-1]},
    "long indptr": {"indptr": [*SOUND.indptr, SOUND.indptr[-1]]},
    "no indptr": {"indptr": []},
    "short data": {"data": SOUND.data[:-1]},
    "short indices": {"indices": SOUND.indices[:-1]},
}


@pytest.mark.parametrize("case", BROKEN)
@pytest.mark.parametrize("form", ["csr_array", "csr_matrix"])
def test_compressed_matrices_that_point_outside_themselves(case, form):
    with raises(ValueError, "X is not a valid CSR matrix"):
        check_matrix(broken(form, **BROKEN[case]))


def test_compressed_columns_are_checked_too():
    A = sp.csc_array(X)
    A.indices = changed(A.indices, 5, 12)
    with raises(ValueError, "X is not a valid CSC matrix"):
        check_matrix(A)


# --- the other parameters


PARAMETERS = [
    ("n_components", 0, ValueError, "at least 1", "0"),
    ("n_components", -2, ValueError, "at least 1", "-2"),
    ("n_components", 2.0, TypeError, "integer", "2.0"),
    ("n_components", "3", TypeError, "integer", "'3'"),
    ("n_components", None, TypeError, "integer", "None"),
    ("n_components", True, TypeError, "integer", "True"),
    ("n_components", 10**6, ValueError, "1000000"),
    ("n_components", 10**30, ValueError, "10{30}"),
    ("loss", "manhattan", ValueError, "'frobenius'", "'manhattan'"),
    ("loss", "Frobenius", ValueError, "'frobenius'", "'Frobenius'"),
    ("loss", "1.5", ValueError, "'frobenius'", "'1.5'"),
    ("loss", np.nan, ValueError, "number", "nan"),
    ("loss", np.inf, ValueError, "number", "inf"),
    ("loss", True, ValueError, "number", "True"),
    ("loss", np.bool_(False), ValueError, "number", "False"),
    ("loss", None, ValueError, "number", "None"),
    ("loss", 1j, ValueError, "number", "1j"),
    ("loss", [1], ValueError, "number", r"\[1\]"),
    ("loss", 10**400, ValueError, "number from"),
    ("solver", "newtown", ValueError, "'hals'", "'newtown'"),
    ("solver", "newton", ValueError, "'newton'", "'frobenius'"),
    ("solver", None, ValueError, "'hals'", "None"),
    ("solver", ["hals"], ValueError, "'hals'", r"\['hals'\]"),
    ("init", "zeros", ValueError, "'random'", "'zeros'"),
    ("init", 1, ValueError, "'random'", "1"),
    ("alpha_W", -1, ValueError, "at least 0", "-1"),
    ("alpha_W", np.nan, ValueError, "nan"),
    ("alpha_W", np.inf, ValueError, "inf"),
    ("alpha_W", 1e308, ValueError, "too large"),
    ("alpha_W", "same", TypeError, "real number", "'same'"),
    ("alpha_W", None, TypeError, "real number", "None"),
    ("alpha_H", -0.1, ValueError, "at least 0", "-0.1"),
    ("alpha_H", "double", ValueError, "'same'", "'double'"),
    ("alpha_H", 1e308, ValueError, "too large"),
    ("l1_ratio", 1.01, ValueError, "at most 1", "1.01"),
    ("l1_ratio", -0.01, ValueError, "at least 0", "-0.01"),
    ("l1_ratio", [0.5], TypeError, "real number"),
    ("tol", -1e-9, ValueError, "at least 0"),
    ("tol", "small", TypeError, "real number", "'small'"),
    ("tol", 1j, TypeError, "real number"),
    ("max_iter", 0, ValueError, "at least 1", "0"),
    ("max_iter", 1.5, TypeError, "integer", "1.5"),
    ("time_limit", -1, ValueError, "at least 0", "-1"),
    ("time_limit", "1 min", TypeError, "real number", "'1 min'"),
    ("random_state", -1, ValueError, "0 and 2.*32", "-1"),
    ("random_state", 2**32, ValueError, "0 and 2.*32"),
    ("random_state", "seed", TypeError, "integer", "'seed'"),
    ("random_state", 1.0, TypeError, "integer", "1.0"),
    ("n_threads", 0, ValueError, "at least 1", "0"),
    ("n_threads", -1, ValueError, "at least 1", "-1"),
    ("n_threads", "all", TypeError, "integer", "'all'"),
    ("callback", 3, TypeError, "function", "3"),
    ("callback", "print", TypeError, "function", "'print'"),
    ("progress", "yes", TypeError, "True or False", "'yes'"),
    ("shuffle", "yes", TypeError, "True or False", "'yes'"),
    ("acceleration", "yes", TypeError, "True or False", "'yes'"),
    ("update_H", "no", ValueError, "boolean", "'no'"),
    ("update_H", None, ValueError, "boolean", "None"),
    ("update_H", [1, 0, 1], ValueError, "boolean"),
    ("update_H", [True, False], ValueError, "3 components"),
    ("update_H", [[True], [False, True]], ValueError, "boolean"),
    ("update_H", False, ValueError, "H must be given"),
    ("update_H", [True, False, True], ValueError, "H must be given"),
]


@pytest.mark.parametrize(
    ("name", "value", "kind", "parts"),
    [(n, v, k, parts) for n, v, k, *parts in PARAMETERS if (n, repr(v)) != ("loss", "None")],  # which is the default
)
def test_bad_parameter(name, value, kind, parts):
    with raises(kind, name, *parts):
        factorize(X, **{"n_components": K, name: value})


@pytest.mark.parametrize(
    ("name", "value", "kind"),
    [(n, v, k) for n, v, k, *_ in PARAMETERS if n in ("loss", "alpha_W", "l1_ratio", "tol", "max_iter", "n_threads")],
)
def test_bad_parameter_of_transform(name, value, kind):
    with raises(kind, name):
        transform(X, H, **{name: value})


@pytest.mark.parametrize(
    ("value", "parts"),
    [(v, parts) for n, v, _, *parts in PARAMETERS if n == "loss"],
    ids=lambda value: repr(value)[:40],
)
def test_bad_loss_of_a_divergence(value, parts):
    with raises(ValueError, "beta_loss", *parts):
        beta_divergence(X, W, H, value)


@pytest.mark.parametrize("loss", ["kullback-leibler", 1, "itakura-saito", 0.5, 1.5, np.float32(3)])
@pytest.mark.parametrize("solver", ["hals", "cd"])
def test_a_solver_that_does_not_minimise_the_loss(solver, loss):
    with raises(ValueError, "solver", f"'{solver}'", "loss", re.escape(repr(loss))):
        factorize(X, K, solver=solver, loss=loss)


@pytest.mark.parametrize("loss", ["frobenius", 2, 2.0, 0.999, "itakura-saito"])
def test_coordinate_descent_for_kullback_leibler_minimises_nothing_else(loss):
    with raises(ValueError, "solver", "'newton'", "loss", re.escape(repr(loss))):
        factorize(X, K, solver="newton", loss=loss)


DIVERGENCES = {
    "W of too few rows": (X, W[:-1], H, "W", "11 x 3", "12 x 3"),
    "W and H of different size": (X, W[:, :2], H, "W", "12 x 2", "12 x 3"),
    "H of too few columns": (X, W, H[:, :-1], "H", "3 x 8", "3 x 9"),
    "negative X": (-X, W, H, "X", "negative", "row 0, column 0"),
    "negative W": (X, -W, H, "W", "negative", "row 0, column 0"),
    "NaN in H": (X, W, H * np.nan, "H", "NaN", "row 0, column 0"),
    "one-dimensional X": (X[0], W, H, "X", "2 dimensions"),
}


@pytest.mark.parametrize("loss", ["frobenius", "kullback-leibler", 0.5])
@pytest.mark.parametrize("case", DIVERGENCES)
def test_bad_arguments_of_a_divergence(case, loss):
    A, F, G, *parts = DIVERGENCES[case]
    with raises(ValueError, *parts):
        beta_divergence(A, F, G, loss)
    with raises(ValueError, "n_threads", "0"):
        beta_divergence(X, W, H, loss, n_threads=0)


@pytest.mark.parametrize("limit", ["max_iter", "n_threads"])
@pytest.mark.parametrize("value", [2**31, 2**64])
def test_large_limits_are_limits_or_errors(limit, value):
    """Either is fine, a number that overflows inside is not."""
    for use in (
        lambda **given: factorize(X, K, H=H, update_H=False, **given),
        lambda **given: transform(X, H, **given),
    ):
        try:
            use(**{limit: value})
        except ValueError as error:
            assert limit in str(error)  # noqa: PT017 - no error is fine too


def test_too_many_components_for_this_machine():
    with raises(ValueError, "n_components=1000000", "GiB"):
        factorize(sp.csr_array((10**6, 10**6)), 10**6)


# --- factors that are given


FACTORS = {
    "W of too few rows": ({"W": W[:-1], "H": H}, ValueError, "W", "11 x 3", "12 x 3"),
    "W of too few columns": ({"W": W[:, :2], "H": H}, ValueError, "W", "12 x 2", "12 x 3"),
    "H transposed": ({"W": W, "H": H.T}, ValueError, "H", "9 x 3", "3 x 9"),
    "H of too many rows": ({"W": W, "H": H[[0, 1, 2, 0]]}, ValueError, "H", "4 x 9", "3 x 9"),
    "negative W": ({"W": -W, "H": H}, ValueError, "W", "negative", "row 0, column 0"),
    "NaN in H": ({"W": W, "H": H * np.nan}, ValueError, "H", "NaN", "row 0, column 0"),
    "infinite H": ({"W": W, "H": changed(H, (1, 2), np.inf)}, ValueError, "H", "infinity", "row 1, column 2"),
    "W one-dimensional": ({"W": W[:, 0], "H": H}, ValueError, "W", "2 dimensions"),
    "W of strings": ({"W": W.astype(str), "H": H}, TypeError, "W", "strings"),
    "W complex": ({"W": W + 1j, "H": H}, TypeError, "W", "complex"),
    "zero W": ({"W": 0 * W, "H": H}, ValueError, "W", "zeros"),
    "zero H": ({"W": W, "H": 0 * H}, ValueError, "H", "zeros"),
    "huge W": ({"W": W * 1e200, "H": H}, ValueError, "W", "too large"),
    "custom without any": ({"init": "custom"}, ValueError, "init='custom'", "W or H"),
    "W and a named start": ({"init": "random", "W": W}, ValueError, "W and H", "'random'"),
    "H and a named start": ({"init": "nndsvd", "H": H}, ValueError, "W and H", "'nndsvd'"),
    "bad W beside a fixed H": ({"W": "garbage", "H": H, "update_H": False}, (TypeError, ValueError), "W"),
}


@pytest.mark.parametrize("case", FACTORS)
def test_bad_factors(case):
    given, kind, *parts = FACTORS[case]
    with raises(kind, *parts):
        factorize(X, K, **given)


def test_factors_too_large_for_the_precision_of_the_data():
    with raises(ValueError, "W", "float32"):
        factorize(X.astype(np.float32), K, W=W * 1e39, H=H)
    with raises(ValueError, "H", "float32"):
        transform(X.astype(np.float32), H * 1e39)


@pytest.mark.parametrize("given", [H[:, :-1], H[:0], -H, np.full_like(H, np.nan), "H", None], ids=repr)
def test_bad_components_of_transform(given):
    with raises((TypeError, ValueError), "H|X"):
        transform(X, given)


@pytest.mark.parametrize("make", [list, sp.csr_array, pd.DataFrame, np.asfortranarray, lambda A: A.astype(np.float32)])
def test_factors_may_be_any_matrix(make):
    given, expected = (factorize(X, K, W=f(W), H=f(H), max_iter=3) for f in (make, np.asarray))
    np.testing.assert_allclose(given.W, expected.W, rtol=1e-5)
    assert given.W.dtype == np.float64


# --- starts that do not fit


@pytest.mark.parametrize("init", ["nndsvd", "nndsvda", "nndsvdar", "kmeans"])
def test_more_components_than_a_start_has(init):
    with raises(ValueError, f"init.*'{init}'", "n_components"):
        factorize(X[:8], 9, init=init)


# --- the checks themselves


@pytest.mark.parametrize("value", [3, np.int64(3), np.uint8(3)])
def test_integers(value):
    assert type(check_integer(value, "n", 3)) is int
    with raises(ValueError, "n must be at least 4, got 3"):
        check_integer(value, "n", 4)


@pytest.mark.parametrize("value", [1, 1.0, np.float32(1), np.int8(1)])
def test_numbers(value):
    assert type(check_number(value, "a", high=1.0)) is float
    with raises(ValueError, "a must be .*at least 2"):
        check_number(value, "a", low=2.0)


def test_n_components_up_to_the_size_of_the_data():
    assert check_n_components(1200, (30, 40), 8) == 1200
    with raises(ValueError, "n_components=1201", "30 x 40"):
        check_n_components(1201, (30, 40), 8)


def test_update_mask():
    assert check_update_H(True, 2).tolist() == [True, True]
    assert check_update_H(np.False_, 2).tolist() == [False, False]
    assert check_update_H([True, False], 2).tolist() == [True, False]


@pytest.mark.parametrize("value", [None, np.random.RandomState(0), np.random.default_rng(0)])
def test_random_states_pass(value):
    assert check_random_state(value) is value


def test_seeds_become_integers():
    assert type(check_random_state(np.uint32(2**32 - 1))) is int


def test_check_matrix_returns_what_it_got():
    for given in (X, np.asfortranarray(X), sp.csr_array(X), sp.csc_matrix(X), X.astype(np.float32)):
        assert check_matrix(given)[0] is given
        assert check_matrix(given)[1:4] == (None, None, None)


def test_labels_of_frames():
    frame = pd.DataFrame(X[:2, :2], index=["a", 7], columns=[("x", 1), "y"])
    array, rows, columns, library, *_ = check_matrix(frame)
    assert (rows, columns, library) == (("a", 7), (("x", 1), "y"), "pandas")
    np.testing.assert_array_equal(array, X[:2, :2])


def test_a_checked_factor_is_not_the_given_one_changed():
    given = W.copy()
    checked = check_factor(given, "W", W.shape, np.dtype(np.float32))
    assert checked.dtype == np.float32
    np.testing.assert_array_equal(given, W)


@pytest.mark.parametrize(
    ("parameters", "got", "meant"),
    [
        ({"loss": "kl"}, "kl", "kullback-leibler"),
        ({"loss": "IS"}, "IS", "itakura-saito"),
        ({"loss": "euclidean"}, "euclidean", "frobenius"),
        ({"loss": "l2"}, "l2", "frobenius"),
        ({"loss": "Frobenius"}, "Frobenius", "frobenius"),
        ({"loss": "kullback_leibler"}, "kullback_leibler", "kullback-leibler"),
        ({"solver": "cd2"}, "cd2", "cd"),
        ({"init": "nndsvd-a"}, "nndsvd-a", "nndsvda"),
        ({"missing": "NaN"}, "NaN", "nan"),
        ({"loss": "huber"}, "huber", None),
        ({"solver": "kl"}, "kl", None),
    ],
)
def test_the_nearest_name_is_told(parameters, got, meant):
    [name] = parameters
    hint = rf"; did you mean '{meant}'\?" if meant else r"\."
    with pytest.raises(ValueError, match=rf"^{name} must be one of .*, got '{got}'{hint}$"):
        factorize(X, K, **parameters)
