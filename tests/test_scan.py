"""The one pass over X before the first iteration: what it tells, and that there is no other."""

import inspect
from contextlib import suppress

import numpy as np
import pytest
import reference
import scipy.sparse as sp

import nmf_core
from nmf_core import _core
from nmf_core.data import Layout, RowBlocks, as_container
from nmf_core.validation import check_matrix, look_at
from nmf_core.validation.scan import in_order, scan

THREADS = (1, 2, 3)
LARGE = 1500, 1201  # so many entries that more than one thread looks at them, in many blocks


def positive(shape, dtype=np.float64, seed=0):
    return np.random.default_rng(seed).gamma(1.0, size=shape).astype(dtype) + dtype(0.1)


def twin(X):
    found = np.empty(6)
    reference.dense_scan(found, X)
    return found


def awkward(dtype):
    """Matrices by what is odd about them."""
    tiny, huge = np.finfo(dtype).smallest_subnormal, np.finfo(dtype).max
    X = positive((37, 23), dtype)

    def having(*values):
        changed = X.copy()
        changed[5, 7 : 7 + len(values)] = values
        return changed

    return {
        "one": X[:1, :1],
        "zero": np.zeros((1, 1), dtype),
        "minus zero": np.full((3, 2), -0.0, dtype),
        "no rows": X[:0],
        "no columns": X[:, :0],
        "row": X[:1],
        "column": X[:, :1],
        "zeros": X * (X > 1),
        "negative": -X,
        "NaN": having(np.nan),
        "only NaN": np.full((40, 3), np.nan, dtype),
        "infinite": having(np.inf),
        "both infinities": having(np.inf, -np.inf),
        "all": having(np.nan, np.inf, -np.inf, -0.0, 0.0, -1.0),
        "denormal": having(tiny, -tiny),
        "denormal alone": np.full((70, 3), tiny, dtype),
        "huge": having(huge, huge),
        "by columns": np.asfortranarray(X),
        "every other row": X[::2],
        "every third column": X[:, ::3],
        "backwards": X[::-1, ::-1],
        "columns backwards": np.asfortranarray(X)[:, ::-1],
        "part of rows": X[:, 3:19],
        "one row again and again": np.broadcast_to(X[0], (50, 23)),
        "unaligned": np.frombuffer(b"\0" + X.tobytes(), np.uint8)[1:].view(dtype).reshape(X.shape),
        "large": positive(LARGE, dtype) * (positive(LARGE, dtype, 1) > 0.3),
    }


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", awkward(np.float64))
def test_scan_equals_its_twin(name, dtype):
    X = awkward(dtype)[name]
    expected = twin(X)
    found = scan(X)
    assert found.size == X.size
    assert found[1:4] == tuple(expected[:3])
    assert found.zeros == expected[5]
    np.testing.assert_allclose(found[4:6], expected[3:5], rtol=1e-12)
    assert found.nan == np.isnan(X).any()
    assert found.finite == (not np.isinf(X).any())


@pytest.mark.parametrize("level", range(_core.best_level() + 1))
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_scan_has_the_same_bits_whatever_the_threads_and_strides(dtype, level):
    X = positive(LARGE, dtype)
    expected = scan(X, _core.Workspace(1, level))
    wide = np.zeros((LARGE[0], 2 * LARGE[1]), dtype)
    wide[:, ::2] = X
    padded = np.zeros((LARGE[0], LARGE[1] + 3), dtype)
    padded[:, : LARGE[1]] = X
    X.flags.writeable = False
    for n_threads in THREADS:
        workspace = _core.Workspace(n_threads, level)
        for A in (X, wide[:, ::2], padded[:, : LARGE[1]], X[::-1].copy()[::-1], X.ravel()):
            assert scan(A, workspace) == expected
        assert scan(np.asfortranarray(X.T), workspace) == expected, "columns in one piece are gone through like rows"


def test_scan_reads_memory_maps(tmp_path):
    X = positive((300, 40), np.float32)
    X.tofile(tmp_path / "X")
    assert scan(np.memmap(tmp_path / "X", np.float32, "r", shape=X.shape)) == scan(X)


# --- sparse matrices


@pytest.mark.parametrize("kind", [np.int32, np.int64])
@pytest.mark.parametrize("n_threads", THREADS)
def test_order_of_columns(kind, n_threads):
    workspace = _core.Workspace(n_threads)
    A = sp.random_array((3000, 500), density=0.8, format="csr", random_state=np.random.default_rng(0))
    indptr = A.indptr
    indices = A.indices.astype(kind)
    row = slice(indptr[1777], indptr[1778])
    assert in_order(indices, indptr, 500, workspace) is True
    assert in_order(indices, indptr, int(indices.max()), workspace) is None
    for value, expected in ((-1, None), (500, None), (indices[row][5], False)):
        changed = indices.copy()
        changed[row.start + 6] = value
        assert in_order(changed, indptr, 500, workspace) is expected
    changed = indices.copy()
    changed[row] = changed[row][::-1]
    assert in_order(changed, indptr, 500, workspace) is False


def test_order_of_few_columns():
    assert in_order(np.empty(0, np.int32), np.array([0]), 3) is True
    assert in_order(np.empty(0, np.int32), np.array([0, 0, 0]), 3) is True
    assert in_order(np.array([2, 1, 0]), np.array([0, 1, 2, 3]), 3) is True, "a new row may begin anywhere"
    assert in_order(np.array([2, 1, 0]), np.array([0, 1, 1, 1, 3]), 3) is False
    assert in_order(np.array([0, 0]), np.array([0, 0, 2, 2]), 3) is False
    assert in_order(np.array([1, 2, 9]), np.array([0, 2]), 3) is True, "what is behind the last row does not count"
    assert in_order(np.array([0, 1], np.int16), np.array([0, 2]), 3) is True
    assert in_order(np.arange(6)[::2], np.array([0, 3]), 5) is True


@pytest.mark.parametrize("convert", [sp.csr_array, sp.csc_array])
def test_entries_that_occur_twice_are_added_up_first(convert):
    n = 40
    rows, columns = np.repeat(np.arange(n), 3), np.tile([1, 0, 1], n)
    A = sp.coo_array((positive(3 * n), (rows, columns)), shape=(n, 2))
    compressed = sp.csr_array((A.data, A.col, np.arange(0, 3 * n + 1, 3)), shape=A.shape)
    if convert is sp.csc_array:
        compressed = sp.csc_array((A.data, A.col, np.arange(0, 3 * n + 1, 3)), shape=A.shape[::-1])
    dense = compressed.toarray()
    checked = check_matrix(compressed)
    assert not checked.scan.canonical
    data = as_container(checked.values, scan=checked.scan)
    assert data.n_stored == 2 * n
    assert data.squared_norm() == pytest.approx((dense**2).sum())
    assert data.sum() == pytest.approx(dense.sum())


# --- what containers know


@pytest.mark.parametrize("missing", [None, "nan"])
@pytest.mark.parametrize("convert", [np.asarray, np.asfortranarray, sp.csr_array, sp.csc_array])
@pytest.mark.parametrize("sparsify", [True, False])
def test_containers_know_the_same_with_a_scan_and_without(convert, missing, sparsify):
    X = positive((60, 50)) * (positive((60, 50), seed=1) > 2.5)
    X = convert(X)
    if missing is not None and sp.issparse(X):
        pytest.skip("NaN is missing in arrays")
    given = as_container(X, missing=missing, layout=Layout(sparsify=sparsify), scan=look_at(X))
    found = as_container(X, missing=missing, layout=Layout(sparsify=sparsify))
    assert type(given) is type(found)
    for data in (given, found):
        assert data.sum() == pytest.approx(X.sum(), rel=1e-14)
        assert data.squared_norm() == pytest.approx((X * X).sum(), rel=1e-14)
        assert data.has_zeros()
        assert data.least() == (X.data if sp.issparse(X) else X[X > 0]).min()
    assert given.sum() == found.sum()


def test_what_is_brought_into_order_loses_its_scan():
    pandas = pytest.importorskip("pandas")
    X = pandas.DataFrame(positive((5, 4)), columns=list("abcd"))
    ours = check_matrix(X)
    assert ours.scan == scan(X.to_numpy())
    assert ours.aligned("X", columns=check_matrix(X[list("abcd")]).columns).scan is not None
    assert ours.aligned("X", columns=check_matrix(X[list("dcba")]).columns).scan is None


# --- one pass, and no other


@pytest.fixture
def looks(monkeypatch):
    """How many entries every scan has looked at."""
    sizes, look = [], _core.dense_scan

    def counted(found, X, workspace):
        sizes.append(X.size)
        look(found, X, workspace)

    monkeypatch.setattr(_core, "dense_scan", counted)
    return sizes


class Began(Exception):
    """The first iteration is about to begin."""


def until_the_first_iteration(fit, monkeypatch):
    """Run a fit until its solver is called, and ask for what any of them asks for."""

    def stop(problem, *arguments, **more):
        problem.data.sum(), problem.data.squared_norm(), problem.data.has_zeros()
        raise Began

    monkeypatch.setattr(inspect.getmodule(nmf_core.factorize), "solve", stop)
    with suppress(Began):
        fit()
        pytest.fail("the solver is not called")


def by_factorize(X, **more):
    nmf_core.factorize(X, 2, init="random", random_state=0, **more)


def by_estimator(X, loss="frobenius", **more):
    nmf_core.NMF(2, init="random", random_state=0, solver="auto", beta_loss=loss, **more).fit(X)


def by_function(X, loss="frobenius", **more):
    nmf_core.non_negative_factorization(X, n_components=2, init="random", solver="auto", beta_loss=loss, **more)


@pytest.mark.parametrize("fit", [by_factorize, by_estimator, by_function])
@pytest.mark.parametrize("loss", ["frobenius", "kullback-leibler", "itakura-saito"])
@pytest.mark.parametrize("convert", [np.asarray, np.asfortranarray, sp.csr_array, sp.csc_array])
def test_x_is_looked_at_once_before_the_first_iteration(fit, loss, convert, looks, monkeypatch):
    X = convert(positive((50, 41)))
    until_the_first_iteration(lambda: fit(X, loss=loss), monkeypatch)
    converted = convert is sp.csc_array and loss == "itakura-saito"  # which visits rows of a copy
    assert looks == [X.size] * (1 + converted)


@pytest.mark.parametrize("fit", [by_factorize, by_estimator])
@pytest.mark.parametrize(("missing", "convert"), [("nan", np.asarray), ("unstored", sp.csr_array)])
def test_x_is_looked_at_once_where_entries_may_be_missing(fit, missing, convert, looks, monkeypatch):
    X = convert(positive((50, 41)))
    until_the_first_iteration(lambda: fit(X, missing=missing), monkeypatch)
    assert looks == [X.size]


@pytest.mark.parametrize("convert", [np.asarray, sp.csr_array])
@pytest.mark.parametrize("fit", [by_factorize, by_estimator])
def test_blocks_are_looked_at_once(fit, convert, looks, monkeypatch):
    X = positive((50, 41))
    passes = []

    def blocks():
        passes.append(1)
        return map(convert, (X[:20], X[20:]))

    until_the_first_iteration(lambda: fit(RowBlocks(blocks, X.shape)), monkeypatch)
    assert looks == [20 * 41, 30 * 41]
    assert len(passes) == 1


@pytest.mark.parametrize("fit", [by_factorize, by_estimator])
def test_threads_of_a_fit_are_those_of_its_scan(fit, monkeypatch):
    teams, look = [], _core.dense_scan

    def noted(found, X, workspace):
        teams.append(workspace.n_threads)
        look(found, X, workspace)

    monkeypatch.setattr(_core, "dense_scan", noted)
    for n_threads in THREADS:
        fit(positive((50, 41)), n_threads=n_threads, max_iter=1, tol=0)
    assert teams == list(THREADS) if _core.OPENMP else teams == [1, 1, 1]


def test_scikit_learn_does_not_look_too(monkeypatch):
    validation = pytest.importorskip("sklearn.utils.validation")
    monkeypatch.setattr(validation, "_assert_all_finite", None)
    until_the_first_iteration(lambda: by_estimator(positive((50, 41))), monkeypatch)


def test_blocks_that_change_between_fits_are_looked_at_again():
    X = positive((40, 6))
    blocks = RowBlocks([X[:20], X[20:]], X.shape)
    nmf_core.factorize(blocks, 2, random_state=0, max_iter=5, tol=0)
    X *= 3
    again = nmf_core.factorize(blocks, 2, random_state=0, max_iter=5, tol=0)
    expected = nmf_core.factorize(RowBlocks([X[:20], X[20:]], X.shape), 2, random_state=0, max_iter=5, tol=0)
    np.testing.assert_array_equal(again.W, expected.W)
    np.testing.assert_array_equal(again.history.objective, expected.history.objective)
