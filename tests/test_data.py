"""Containers: the same matrix, whatever holds it."""

import numpy as np
import pandas as pd
import pytest
import reference
import scipy.sparse as sp
import zoo

from nmf_core._core import METHODS, Team
from nmf_core.data import as_container, factor_array
from nmf_core.data.base import Step, aligned_zeros
from nmf_core.problem import padded
from nmf_core.validation import check_matrix

X = zoo.matrix()
K = 3
TEAM = Team(2)
PRECISIONS = {np.float32: 2e-6, np.float64: 1e-14}
DENSE = np.random.default_rng(0).random((12, 7))
# Read where they are; their memory is the caller's.
IN_PLACE = (
    "C",
    "Fortran",
    "every second row",
    "columns of a wider array",
    "rows of a taller Fortran array",
    "read-only",
    "read-only Fortran",
    "memory map",
    "memory map, Fortran",
)


def dense(A):
    """The ndarray that A stands for."""
    if sp.issparse(A):
        return A.toarray()
    return A.to_numpy(dtype=np.float64) if isinstance(A, pd.DataFrame) else np.asarray(A, dtype=np.float64)


def container(make, dtype=np.float64):
    return as_container(check_matrix(make(X.astype(dtype)))[0])


def factors(data, k=K):
    """Factor arrays F (n, ld) and G (m, ld) for the blocked matrix."""
    rng = np.random.default_rng(3)
    return [padded(rng.random((size, k)), data.dtype) for size in data.shape]


def close(actual, expected, dtype):
    np.testing.assert_allclose(actual, expected, rtol=0, atol=PRECISIONS[dtype] * np.abs(expected).max())


@pytest.mark.parametrize("name", zoo.EVERYTHING)
def test_zoo_holds_one_matrix(name):
    np.testing.assert_array_equal(dense(zoo.EVERYTHING[name](X)), X)


@pytest.mark.parametrize("dtype", PRECISIONS)
@pytest.mark.parametrize("name", zoo.KEEPING)
def test_what_a_container_says_of_its_matrix(name, dtype):
    data = container(zoo.KEEPING[name], dtype)
    A = X.T if data.transposed else X
    assert data.shape == A.shape
    assert data.dtype == dtype
    assert type(data.sum()) is type(data.squared_norm()) is float
    assert data.sum() == X.sum()
    assert data.squared_norm() == np.sum(X**2)
    np.testing.assert_allclose(data.row_means(), A.mean(axis=1), rtol=1e-14)


@pytest.mark.parametrize("dtype", PRECISIONS)
@pytest.mark.parametrize("name", zoo.KEEPING)
def test_what_a_container_computes(name, dtype):
    data = container(zoo.KEEPING[name], dtype)
    A = X.T if data.transposed else X
    F, G = factors(data)
    F64, G64 = F.astype(np.float64), G.astype(np.float64)
    close(data.product(G, TEAM), A @ G64, dtype)
    close(data.transposed_product(F, K, TEAM), A.T @ F64, dtype)
    residual = np.sum((A - F64 @ G64.T) ** 2)
    assert data.squared_residual(F, G, TEAM) == pytest.approx(residual, rel=1e-12)


@pytest.mark.parametrize("name", zoo.SPARSE)
def test_stored_entries(name):
    # Explicit zeros count; of duplicates only the sum does, and unused room holds nothing.
    A = zoo.SPARSE[name](X)
    assert container(zoo.SPARSE[name]).n_stored == (A.nnz // 2 if "duplicates" in name else A.tocsr().nnz)


def test_stored_entries_of_an_array():
    assert container(np.ascontiguousarray).n_stored == X.size


@pytest.mark.parametrize("name", zoo.CONVERTED)
def test_other_types_become_float64(name):
    converted, _, _ = check_matrix(zoo.CONVERTED[name](X))
    assert converted.dtype == np.float64
    assert converted.dtype.isnative
    np.testing.assert_array_equal(dense(converted), X)


def test_booleans_become_float64():
    for make in (np.asarray, sp.csr_array, pd.DataFrame):
        converted, _, _ = check_matrix(make(X > 1))
        assert converted.dtype == np.float64
        np.testing.assert_array_equal(dense(converted), X > 1)


@pytest.mark.parametrize("name", IN_PLACE)
def test_nothing_is_copied_that_can_be_read_in_place(name):
    original = zoo.LAYOUTS[name](X)
    assert np.shares_memory(as_container(check_matrix(original)[0]).array, original)


@pytest.mark.parametrize(
    "name",
    [
        *("csr array", "csr matrix", "csc array", "csc matrix"),
        *(f"{form}, {q}" for form in ("csr", "csc") for q in ("int64 indices", "explicit zeros", "read-only arrays")),
    ],
)
def test_compressed_matrices_are_read_in_place(name):
    original = zoo.SPARSE[name](X)
    data = as_container(check_matrix(original)[0])
    for part in ("data", "indices", "indptr"):
        assert np.shares_memory(getattr(data, part), getattr(original, part)), part


@pytest.mark.parametrize(
    ("name", "transposed"),
    [
        ("C", False),
        ("Fortran", True),
        ("csr array", False),
        ("csc array", True),
        ("memory map, Fortran", True),
    ],
)
def test_blocks_follow_the_memory(name, transposed):
    assert container(zoo.EVERYTHING[name]).transposed is transposed


BROADCAST = {
    "one row": np.broadcast_to(DENSE[0], (9, 7)),
    "one column": np.broadcast_to(DENSE[:, :1], (12, 5)),
    "one number": np.broadcast_to(DENSE[0, 0], (4, 6)),
    "one row, Fortran": np.broadcast_to(DENSE[0], (9, 7)).T,
}


@pytest.mark.parametrize("name", BROADCAST)
def test_broadcast_views(name):
    view = BROADCAST[name]
    data = as_container(check_matrix(view)[0])
    A = view.T if data.transposed else view
    F, G = factors(data)
    close(data.product(G, TEAM), A @ G, np.float64)
    close(data.transposed_product(F, K, TEAM), A.T @ F, np.float64)


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1)])
@pytest.mark.parametrize("name", zoo.KEEPING)
def test_single_rows_and_columns(name, shape):
    small = np.arange(1.0, 10.0)[: max(shape)].reshape(shape)
    data = as_container(check_matrix(zoo.KEEPING[name](small))[0])
    A = small.T if data.transposed else small
    F, G = factors(data)
    assert data.shape == A.shape
    close(data.product(G, TEAM), A @ G, np.float64)
    close(data.transposed_product(F, K, TEAM), A.T @ F, np.float64)


@pytest.mark.parametrize("dtype", PRECISIONS)
@pytest.mark.parametrize("form", ["bsr", "coo", "csc", "csr", "dia", "dok", "lil"])
def test_nothing_stored(form, dtype):
    empty = getattr(sp, f"{form}_array")((6, 4), dtype=dtype)
    data = as_container(check_matrix(empty)[0])
    F, G = factors(data)
    assert data.n_stored == data.sum() == data.squared_norm() == 0
    assert not data.product(G, TEAM).any()
    assert not data.transposed_product(F, K, TEAM).any()
    assert not data.row_means().any()
    expected = np.sum((F.astype(float) @ G.astype(float).T) ** 2)
    assert data.squared_residual(F, G, TEAM) == pytest.approx(expected)


@pytest.mark.parametrize("make", [np.ascontiguousarray, sp.csr_array, sp.csr_matrix])
def test_blocks_without_rows(make):
    data = as_container(make(np.empty((0, 5))))
    F, G = factors(data)
    assert data.shape == (0, 5)
    assert data.product(G, TEAM).shape == F.shape
    assert data.sum() == data.squared_norm() == data.squared_residual(F, G, TEAM) == 0
    assert not data.transposed_product(F, K, TEAM).any()
    assert data.row_means().shape == (0,)


@pytest.mark.parametrize("change", [0.0, 1e-7, 1e-3])
@pytest.mark.parametrize("make", [np.ascontiguousarray, np.asfortranarray, sp.csr_array, sp.csc_array])
def test_residual_of_an_almost_exact_fit(make, change):
    """What is left is the rounding of entries, not that of squared norms which cancel."""
    rng = np.random.default_rng(0)
    W, H = (rng.random(shape) * (rng.random(shape) < 0.6) for shape in ((40, K), (K, 30)))
    A = W @ H
    data = as_container(make(A))
    W[2, 1] += change
    F, G = (padded(f, data.dtype) for f in ((H.T, W) if data.transposed else (W, H.T)))
    expected = np.sum((A - W @ H) ** 2)
    assert data.squared_residual(F, G, TEAM) == pytest.approx(expected, rel=1e-6, abs=1e-29 * data.squared_norm())


@pytest.mark.parametrize("make", [np.ascontiguousarray, sp.csr_array])
def test_residual_of_an_exact_fit_in_float32(make):
    rng = np.random.default_rng(0)
    W, H = (rng.integers(0, 4, shape).astype(np.float32) for shape in ((40, K), (K, 30)))
    data = as_container(make(W @ H))
    assert data.squared_residual(padded(W, data.dtype), padded(H.T, data.dtype), TEAM) == 0


@pytest.mark.parametrize("dtype", PRECISIONS)
@pytest.mark.parametrize("k", [1, 2, 3, 4, 5, 8, 9, 31, 130])
def test_factor_arrays(dtype, k):
    array = factor_array(11, k, dtype)
    assert array.dtype == dtype
    assert array.shape[0] == 11
    assert k <= array.shape[1] < k + 8 + 8 * (dtype == np.float32)
    assert array.flags.c_contiguous
    assert array.flags.writeable
    assert array.ctypes.data % 64 == 0
    assert array.strides[0] % 16 == 0
    assert not array.any()


@pytest.mark.parametrize("dtype", PRECISIONS)
@pytest.mark.parametrize("name", ["C", "Fortran", "every third column", "csr array", "csc array", "coo matrix"])
@pytest.mark.parametrize("method", METHODS)
def test_improve_is_one_pass(name, method, dtype):
    """F improves, its statistics are added, and neither X nor the other factor is touched."""
    original = zoo.KEEPING[name](X.astype(dtype))
    untouched = zoo.contents(original)
    data = as_container(check_matrix(original)[0])
    A = X.T if data.transposed else X
    F, G = factors(data)
    G_before, error_before = G.copy(), data.squared_residual(F, G, TEAM)
    S = np.zeros((data.shape[1] + K, F.shape[1]), dtype=dtype)
    values = reference.pass_values(F, G, S, METHODS[method])
    reference.call(data.improve, **values, step=reference.call(Step, **values), team=TEAM)
    assert data.squared_residual(F, G, TEAM) < error_before
    close(S[: data.shape[1]], A.T @ F.astype(np.float64), dtype)
    close(S[data.shape[1] :], (F.T.astype(np.float64) @ F)[:K], dtype)
    assert values["report"][3] == pytest.approx(np.sum((A @ G.astype(np.float64)) * F), rel=1e-6)
    np.testing.assert_array_equal(G, G_before)
    assert zoo.same_contents(untouched, zoo.contents(original))


def test_large_arrays_are_zero_aligned_and_may_be_written():
    for shape in [(1, 4), (300, 24), (40_000, 8), (200_000, 8)]:
        array = aligned_zeros(shape, np.dtype(np.float64))
        assert array.shape == shape
        assert array.ctypes.data % 64 == 0
        assert not array.any()
        array[:] = 1
        assert array.sum() == shape[0] * shape[1]


def test_no_room_is_a_memory_error():
    with pytest.raises(MemoryError):
        aligned_zeros((1 << 50, 8), np.dtype(np.float64))
