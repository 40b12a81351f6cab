"""Containers: the same matrix, whatever holds it."""

import tracemalloc

import numpy as np
import pandas as pd
import pytest
import reference
import scipy.sparse as sp
import zoo

from nmf_core._core import METHODS
from nmf_core.data import Layout
from nmf_core.data import as_container as make_container
from nmf_core.data.sparse import Sparse
from nmf_core.engine import Engine, aligned_zeros, factor_array, padded
from nmf_core.losses import Beta
from nmf_core.problem import Problem, container_for, model_floors
from nmf_core.validation import check_matrix

X = zoo.matrix()
K = 3
ENGINE = Engine(2)
FLOOR = 1e-18
BETAS = (0.5, 1.0, 1.5, 2.0, 3.0)
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


def as_container(*arguments, row_major=False, sparsify=False, **options):
    layout = Layout(row_major=row_major, sparsify=sparsify)
    return make_container(*arguments, **options, layout=layout, engine=ENGINE)


def container(make, dtype=np.float64, **options):
    return as_container(check_matrix(make(X.astype(dtype)))[0], **options)


def factors(data, k=K):
    """Factor arrays F (n, ld) and G (m, ld) for the blocked matrix."""
    rng = np.random.default_rng(3)
    return [padded(rng.random((size, k)), data.dtype) for size in data.shape]


def close(actual, expected, dtype):
    np.testing.assert_allclose(actual, expected, rtol=0, atol=PRECISIONS[dtype] * np.abs(expected).max())


def assert_products(data, A, dtype):
    F, G = factors(data)
    close(data.product(G), A @ G.astype(np.float64), dtype)
    close(data.transposed_product(F), A.T @ F.astype(np.float64), dtype)


def divergence(data, F, G, beta):
    return data.divergence(F, G, Beta(beta), np.full(len(F), FLOOR))


def assert_divergences(data, A, betas=BETAS):
    F, G = factors(data)
    for beta in betas:
        expected = np.sum(reference.losses(A, reference.model(F, G, FLOOR), beta))
        assert divergence(data, F, G, beta) == pytest.approx(expected, rel=1e-12)


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
    assert type(data.sum()) is type(data.squared_norm()) is type(data.sum_of(np.sqrt)) is float
    assert data.sum() == X.sum()
    assert data.squared_norm() == np.sum(X**2)
    assert data.sum_of(np.sqrt) == pytest.approx(np.sqrt(X).sum(), rel=1e-14)
    assert data.sum_of(np.ones_like) == data.n_stored
    np.testing.assert_array_equal(data.sums(), A.sum(axis=1))
    np.testing.assert_array_equal(data.sums(columns=True), A.sum(axis=0))


@pytest.mark.parametrize("dtype", PRECISIONS)
@pytest.mark.parametrize("name", zoo.KEEPING)
def test_what_a_container_computes(name, dtype):
    data = container(zoo.KEEPING[name], dtype)
    A = X.T if data.transposed else X
    assert_products(data, A, dtype)
    assert_divergences(data, A)


@pytest.mark.parametrize("dtype", PRECISIONS)
@pytest.mark.parametrize("beta", [-1.0, 0.0])
@pytest.mark.parametrize("make", [np.ascontiguousarray, np.asfortranarray, sp.csr_array, sp.csc_array])
def test_divergence_of_data_without_zeros(make, beta, dtype):
    data = as_container(make((X + 1).astype(dtype)))
    assert_divergences(data, X.T + 1 if data.transposed else X + 1, [beta])


@pytest.mark.parametrize("dtype", PRECISIONS)
@pytest.mark.parametrize("name", zoo.KEEPING)
def test_the_same_matrix_in_double(name, dtype):
    data = container(zoo.KEEPING[name], dtype)
    double = data.in_double()
    assert double.dtype == np.float64
    assert (double.shape, double.transposed) == (data.shape, data.transposed)
    assert_products(double, X.T if data.transposed else X, np.float64)


@pytest.mark.parametrize("dtype", PRECISIONS)
@pytest.mark.parametrize("name", zoo.KEEPING)
def test_a_container_that_stands_upright(name, dtype):
    """It is visited by rows whatever its memory, and computes the same."""
    data = container(zoo.KEEPING[name], dtype, row_major=True)
    assert not data.transposed
    assert data.shape == X.shape
    np.testing.assert_array_equal(data.sums(), X.sum(axis=1))
    np.testing.assert_array_equal(data.sums(columns=True), X.sum(axis=0))
    assert_divergences(data, X)
    assert_products(data, X, dtype)
    assert_products(data.in_double(), X, np.float64)


@pytest.mark.parametrize("name", zoo.SPARSE)
def test_stored_entries(name):
    # Explicit zeros count; of duplicates only the sum does, and unused room holds nothing.
    A = zoo.SPARSE[name](X)
    assert container(zoo.SPARSE[name]).n_stored == (A.nnz // 2 if "duplicates" in name else A.tocsr().nnz)


def test_stored_entries_of_an_array():
    assert container(np.ascontiguousarray).n_stored == X.size


@pytest.mark.parametrize("name", zoo.CONVERTED)
def test_other_types_become_float64(name):
    converted = check_matrix(zoo.CONVERTED[name](X)).values
    assert converted.dtype == np.float64
    assert converted.dtype.isnative
    np.testing.assert_array_equal(dense(converted), X)


def test_booleans_become_float64():
    for make in (np.asarray, sp.csr_array, pd.DataFrame):
        converted = check_matrix(make(X > 1)).values
        assert converted.dtype == np.float64
        np.testing.assert_array_equal(dense(converted), X > 1)


@pytest.mark.parametrize("row_major", [False, True])
@pytest.mark.parametrize("name", IN_PLACE)
def test_nothing_is_copied_that_can_be_read_in_place(name, row_major):
    original = zoo.LAYOUTS[name](X)
    assert np.shares_memory(as_container(check_matrix(original)[0], row_major=row_major).array, original)


@pytest.mark.parametrize("row_major", [False, True])
@pytest.mark.parametrize(
    "name",
    [
        *("csr array", "csr matrix", "csc array", "csc matrix"),
        *(f"{form}, {q}" for form in ("csr", "csc") for q in ("int64 indices", "explicit zeros", "read-only arrays")),
    ],
)
def test_compressed_matrices_are_read_in_place(name, row_major):
    """But for columns where rows are wanted."""
    original = zoo.SPARSE[name](X)
    data = as_container(check_matrix(original)[0], row_major=row_major)
    for part in ("data", *(["indices"] if original.indices.dtype == np.int32 else [])):
        in_place = np.shares_memory(getattr(data, part), getattr(original, part))
        assert in_place is not (row_major and name.startswith("csc")), part
    assert data.indices.dtype == np.int32
    assert data.indptr.dtype == np.int64


@pytest.mark.parametrize("dtype", PRECISIONS)
@pytest.mark.parametrize("make", [np.ascontiguousarray, np.asfortranarray])
def test_nothing_that_a_fit_asks_of_an_array_copies_it(make, dtype):
    A = make(np.random.default_rng(0).random((3000, 1000)).astype(dtype))
    data = as_container(A, row_major=True)
    F, G = factors(data)
    S = np.zeros((1001, F.shape[1]), dtype=dtype)
    values, turned = (
        reference.pass_values(*pair, S, 0, gram=np.zeros((K, K), dtype=dtype)) for pair in ((F, G), (G, F))
    )
    tracemalloc.start()
    try:
        data.sum(), data.sums(), data.sums(columns=True), data.squared_norm(), data.sum_of(np.sqrt)
        divergence(data, F, G, 1.0)
        data.pass_gradients(F, G, reference.update_of(values, Beta(1)), S=S)
        data.pass_newton(F, G, reference.update_of(reference.for_newton(values), Beta(1)))
        data.pass_newton(G, F, reference.update_of(reference.for_newton(turned), Beta(1)), columns=True)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < A.nbytes


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


@pytest.mark.parametrize("row_major", [False, True])
@pytest.mark.parametrize("name", BROADCAST)
def test_broadcast_views(name, row_major):
    view = BROADCAST[name]
    data = as_container(check_matrix(view)[0], row_major=row_major)
    A = view.T if data.transposed else view
    np.testing.assert_allclose(data.sums(), A.sum(axis=1), rtol=1e-14)
    assert_divergences(data, A)
    assert_products(data, A, np.float64)


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1)])
@pytest.mark.parametrize("name", zoo.KEEPING)
def test_single_rows_and_columns(name, shape):
    small = np.arange(1.0, 10.0)[: max(shape)].reshape(shape)
    data = as_container(check_matrix(zoo.KEEPING[name](small))[0])
    A = small.T if data.transposed else small
    assert data.shape == A.shape
    assert_products(data, A, np.float64)
    assert_divergences(data, A)


@pytest.mark.parametrize("dtype", PRECISIONS)
@pytest.mark.parametrize("form", ["bsr", "coo", "csc", "csr", "dia", "dok", "lil"])
def test_nothing_stored(form, dtype):
    empty = getattr(sp, f"{form}_array")((6, 4), dtype=dtype)
    data = as_container(check_matrix(empty)[0])
    F, G = factors(data)
    assert data.n_stored == data.sum() == data.squared_norm() == data.sum_of(np.ones_like) == 0
    assert not data.product(G).any()
    assert not data.transposed_product(F).any()
    assert not data.sums().any()
    assert not data.sums(columns=True).any()
    for beta in BETAS:
        expected = np.sum(reference.model(F, G, FLOOR) ** beta) / beta
        assert divergence(data, F, G, beta) == pytest.approx(expected)


@pytest.mark.parametrize("make", [np.ascontiguousarray, sp.csr_array, sp.csr_matrix])
def test_blocks_without_rows(make):
    data = as_container(make(np.empty((0, 5))))
    F, G = factors(data)
    assert data.shape == (0, 5)
    assert data.product(G).shape == F.shape
    assert data.sum() == data.squared_norm() == data.sum_of(np.ones_like) == 0
    assert not data.transposed_product(F).any()
    assert data.sums().shape == (0,)
    np.testing.assert_array_equal(data.sums(columns=True), np.zeros(5))
    for beta in BETAS:
        assert divergence(data, F, G, beta) == 0


@pytest.mark.parametrize("beta", BETAS)
@pytest.mark.parametrize("change", [0.0, 1e-7, 1e-3])
@pytest.mark.parametrize("make", [np.ascontiguousarray, np.asfortranarray, sp.csr_array, sp.csc_array])
def test_divergence_of_an_almost_exact_fit(make, change, beta):
    """What is left is the rounding of entries, not that of large sums which cancel."""
    rng = np.random.default_rng(0)
    W, H = (rng.random(shape) * (rng.random(shape) < 0.6) for shape in ((40, K), (K, 30)))
    A = W @ H
    data = as_container(make(A))
    W[2, 1] += change
    F, G = (padded(f, data.dtype) for f in ((H.T, W) if data.transposed else (W, H.T)))
    # to second order, which is exact for squares; where x is zero, all that y adds
    y = np.maximum(W @ H, FLOOR)
    used = A > 0
    expected = np.sum(y[used] ** (beta - 2) * (A - W @ H)[used] ** 2) / 2 + np.sum(y[~used] ** beta) / beta
    rounding = 1e-29 * data.squared_norm() if beta == 2 else 1e-15 * np.sum(A[used] ** beta)
    assert divergence(data, F, G, beta) == pytest.approx(expected, rel=1e-2, abs=rounding)


@pytest.mark.parametrize("make", [np.ascontiguousarray, sp.csr_array])
def test_divergence_of_an_exact_fit_in_float32(make):
    rng = np.random.default_rng(0)
    W, H = (rng.integers(0, 4, shape).astype(np.float32) for shape in ((40, K), (K, 30)))
    A = W @ H
    data = as_container(make(A))
    F, G = padded(W, data.dtype), padded(H.T, data.dtype)
    for beta in BETAS:
        zeros = np.sum(A == 0) * FLOOR**beta / beta  # zeros of the model count as so much
        rounding = 0 if beta == 2 else 1e-15 * float(np.sum(A**beta))
        assert divergence(data, F, G, beta) == pytest.approx(zeros, rel=1e-12, abs=rounding)


@pytest.mark.parametrize("beta", BETAS)
@pytest.mark.parametrize("size", [0.0, 0.1])
@pytest.mark.parametrize("make", [np.ascontiguousarray, np.asfortranarray, sp.csr_array, sp.csc_array])
def test_divergence_of_zeros_is_that_of_the_model(make, size, beta):
    """Also where the mean of X, which says what is too small to count, is zero."""
    problem = Problem(as_container(make(np.zeros((6, 4)))), Beta(beta), K)
    W, Ht = (padded(np.full((n, K), size), np.dtype(np.float64)) for n in (6, 4))
    expected = 24 * (K * size**2) ** beta / beta
    assert problem.divergence(W, Ht) == pytest.approx(expected, rel=1e-12, abs=1e-9)
    assert problem.squared_error(W, Ht) == pytest.approx(24 * (K * size**2) ** 2, rel=1e-12, abs=1e-9)


@pytest.mark.parametrize("dtype", PRECISIONS)
@pytest.mark.parametrize("unit", [1e-15, 1e-10, 1.0, 1e10])
@pytest.mark.parametrize("beta", [-1.0, 0.0, 0.5, 1.0, 2.5])
def test_powers_of_floors_are_numbers(beta, unit, dtype):
    """As long as those of a small share of the data are: floors are below, and positive where nothing is."""
    power = 2.0 if beta == 1 else max(1.0, 2 - beta)
    if (1e-5 * unit) ** -power > float(np.finfo(dtype).max):
        return
    for make in (np.ascontiguousarray, sp.csr_array):
        data = as_container(make((unit * X).astype(dtype)))
        for columns in (False, True):
            floors = model_floors(data, Beta(beta), columns=columns, by_itself=True)
            assert floors.dtype == dtype
            means = unit * X.mean(axis=0 if columns else 1)
            assert (floors[means > 0] <= 1e-3 * means[means > 0]).all()
            assert (floors > 0).all()
            assert np.isfinite(floors ** dtype(-power)).all()


# --- the same matrix in another container


@pytest.mark.parametrize("dtype", PRECISIONS)
@pytest.mark.parametrize("beta", BETAS)
@pytest.mark.parametrize("row_major", [False, True])
@pytest.mark.parametrize("make", [np.ascontiguousarray, np.asfortranarray])
def test_arrays_with_few_entries_become_sparse_for_kullback_leibler(make, row_major, beta, dtype):
    A = make((X * (np.random.default_rng(1).random(X.shape) < 0.1)).astype(dtype))
    assert 0 < np.count_nonzero(A) <= 0.1 * A.size
    data, sparse = as_container(np.ascontiguousarray(A)), as_container(A, row_major=row_major, sparsify=True)
    assert isinstance(sparse, Sparse)
    assert sparse.n_stored == np.count_nonzero(A)
    assert (sparse.shape, sparse.transposed, sparse.dtype) == (A.shape, False, A.dtype)
    F, G = factors(data)
    expected = divergence(data, F, G, beta)
    assert divergence(sparse, F, G, beta) == pytest.approx(expected, rel=1e-12)
    assert isinstance(container_for(A, Beta(beta), layout=Layout(row_major=row_major)), Sparse) is (beta == 1)


@pytest.mark.parametrize("make", [np.ascontiguousarray, np.asfortranarray, sp.csr_array, sp.csc_array])
def test_others_stay_what_they_are(make):
    for A in (X, X * (X > 6)) if make in (sp.csr_array, sp.csc_array) else (X,):
        assert type(as_container(make(A), sparsify=True)) is type(as_container(make(A)))


@pytest.mark.parametrize("dtype", PRECISIONS)
@pytest.mark.parametrize("name", [name for name in zoo.SPARSE if name.startswith(("csr", "csc"))])
def test_sparse_matrices_by_columns(name, dtype):
    data = container(zoo.SPARSE[name], dtype)
    turned = data.by_columns()
    assert turned is data.by_columns()
    assert (turned.shape, turned.transposed, turned.dtype) == (data.shape[::-1], not data.transposed, data.dtype)
    assert turned.n_stored == data.n_stored
    A, T = (sp.csr_array((of.data, of.indices, of.indptr), shape=of.shape) for of in (data, turned))
    assert T.has_canonical_format
    np.testing.assert_array_equal(T.toarray(), A.toarray().T)


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


# --- steps: F improves, its statistics are added, and neither X nor the other factor is touched

STORED = ["C", "Fortran", "every third column", "csr array", "csc array", "coo matrix", "csr, int64 indices"]


@pytest.mark.parametrize("dtype", PRECISIONS)
@pytest.mark.parametrize("name", STORED)
@pytest.mark.parametrize("method", ["hals", "mu"])
def test_improve_is_one_pass(name, method, dtype):
    original = zoo.KEEPING[name](X.astype(dtype))
    untouched = zoo.contents(original)
    data = as_container(check_matrix(original)[0])
    A = X.T if data.transposed else X
    F, G = factors(data)
    G_before, error_before = G.copy(), divergence(data, F, G, 2.0)
    S = np.zeros((data.shape[1] + K, F.shape[1]), dtype=dtype)
    values = reference.pass_values(F, G, S, METHODS[method])
    report = data.pass_quadratic(F, G, reference.update_of(values), S=S)
    assert divergence(data, F, G, 2.0) < error_before
    close(S[: data.shape[1]], A.T @ F.astype(np.float64), dtype)
    close(S[data.shape[1] :], (F.T.astype(np.float64) @ F)[:K], dtype)
    assert report.inner_improved == pytest.approx(np.sum((A @ G.astype(np.float64)) * F), rel=1e-6)
    np.testing.assert_array_equal(G, G_before)
    assert zoo.same_contents(untouched, zoo.contents(original))


@pytest.mark.parametrize("dtype", PRECISIONS)
@pytest.mark.parametrize("name", STORED)
@pytest.mark.parametrize("beta", BETAS)
def test_improve_beta_is_one_pass(name, beta, dtype):
    original = zoo.KEEPING[name](X.astype(dtype))
    untouched = zoo.contents(original)
    data = as_container(check_matrix(original)[0], row_major=True)
    n, m = data.shape
    F, G = factors(data)
    G_before, before = G.copy(), divergence(data, F, G, beta)
    S = np.zeros((m + (1 if beta == 1 else m), F.shape[1]), dtype=dtype)
    loss = Beta(beta)
    values = reference.pass_values(
        F, G, S, 0, gram=np.zeros((K, K), dtype=dtype), loss_beta=beta, exponent=loss.exponent
    )  # fmt: skip
    report = data.pass_gradients(F, G, reference.update_of(values, loss), S=S)
    assert report.loss_sum + loss.constant(data) == pytest.approx(before, rel=1e-5)
    assert divergence(data, F, G, beta) < before
    num, den = reference.gradient_parts(X, reference.model(F, G, 1e-10), beta)
    close(S[:m], num.T @ F, dtype)
    close(S[m:], np.ones((1, n)) @ F if beta == 1 else den.T @ F, dtype)
    np.testing.assert_array_equal(G, G_before)
    assert zoo.same_contents(untouched, zoo.contents(original))


@pytest.mark.parametrize("dtype", PRECISIONS)
@pytest.mark.parametrize("columns", [False, True])
@pytest.mark.parametrize("row_major", [False, True])
@pytest.mark.parametrize("name", STORED)
def test_newton_improves_rows_or_columns(name, row_major, columns, dtype):
    original = zoo.KEEPING[name](X.astype(dtype))
    untouched = zoo.contents(original)
    data = as_container(check_matrix(original)[0], row_major=row_major)
    F, G = factors(data)
    before = divergence(data, F, G, 1.0)
    moving, fixed = (G, F) if columns else (F, G)
    fixed_before = fixed.copy()
    values = reference.pass_values(moving, fixed, moving, 0, gram=np.zeros((K, K), dtype=dtype))
    update = reference.update_of(reference.for_newton(values), Beta(1))
    report = data.pass_newton(moving, fixed, update, columns=columns)
    improved = divergence(data, F, G, 1.0)
    assert improved < before
    assert report.loss_sum + np.sum(reference.model(F, G, 0)) == pytest.approx(improved, rel=1e-5)
    np.testing.assert_array_equal(fixed, fixed_before)
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


@pytest.mark.parametrize("make", [np.asarray, sp.csr_array])
def test_a_part_has_sums_of_its_own(make):
    X = np.arange(12.0).reshape(4, 3)
    whole = as_container(make(X))
    assert (whole.sum(), whole.squared_norm()) == (X.sum(), (X**2).sum())
    part = whole.part(1, 3)
    assert (part.sum(), part.squared_norm()) == (X[1:3].sum(), (X[1:3] ** 2).sum())
    assert part.mean() == X[1:3].mean()
