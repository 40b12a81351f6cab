"""X that is not in memory: the same fit, block by block, from wherever the blocks come."""

import gc
import os
import subprocess
import sys
import tempfile
import threading
import warnings
import weakref
from itertools import pairwise

import numpy as np
import pytest
import scipy.sparse as sp
from problems import noisy, start

from nmf_core import NMF, beta_divergence, factorize, initialize, kkt_residual
from nmf_core.data import RowBlocks, row_blocks
from nmf_core.data.chunked import Chunked
from nmf_core.initialization import INITIALIZERS
from nmf_core.losses import make_loss
from nmf_core.solvers import SOLVERS
from nmf_core.transform import transform

pytestmark = pytest.mark.timeout(60)

K, N, M = 3, 203, 22
LOSSES = {"frobenius": 2, "kullback-leibler": 1, "itakura-saito": 0, 0.5: 0.5}
PAIRS = [
    (loss, name) for loss, beta in LOSSES.items() for name, s in SOLVERS.items() if s.handles(make_loss(loss), Chunked)
]
REFUSED = [
    (loss, name)
    for loss, beta in LOSSES.items()
    for name, s in SOLVERS.items()
    if s.handles(make_loss(loss)) and not s.handles(make_loss(loss), Chunked)
]
every_pair = pytest.mark.parametrize(("loss", "solver"), PAIRS)
QUICK = ("hals", "mu", "mue", "anls-bpp")
most_pairs = pytest.mark.parametrize(
    ("loss", "solver"),
    [p if p[1] in QUICK and p[0] != 0.5 else pytest.param(*p, marks=pytest.mark.slow) for p in PAIRS],
)
X = noisy(N, M, K) + 0.05
COUNTS = np.random.default_rng(5).poisson(0.7, (N, M)).astype(float)
COUNTS[:, 0] += 1
COUNTS[10] = 0
W0, H0 = start(X, K)
UNEVEN = (0, 7, 7, 71, 72, 150, N)  # one of them is empty
READER = "nmf_core reader"
SMALL = 64 * M * 8  # bytes of a block of 64 rows


def cut(A, bounds=UNEVEN):
    return [A[low:high] for low, high in pairwise(bounds)]


def in_blocks(A, bounds=UNEVEN):
    """X as a function of blocks of uneven size."""
    return RowBlocks(lambda: iter(cut(A, bounds)), A.shape, A.dtype)


def list_of(blocks, **options):
    """The same blocks in memory."""
    return RowBlocks([part.copy() for part in blocks], blocks.shape, blocks.dtype, **options)


def fit(A, loss="frobenius", solver="auto", **options):
    given = {"W": W0.astype(A.dtype), "H": H0.astype(A.dtype)} if "init" not in options else {}
    return factorize(A, K, **{"loss": loss, "solver": solver, "max_iter": 12, "tol": 0.0} | given | options)


def same_bits(one, other):
    assert one.n_iter == other.n_iter
    for name in ("W", "H"):
        a, b = np.asarray(getattr(one, name)), np.asarray(getattr(other, name))
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b, err_msg=name)
    np.testing.assert_array_equal(one.history.objective, other.history.objective)
    assert one.objective == other.objective


def close(one, other, rtol=1e-7):
    assert one.n_iter == other.n_iter
    model, expected = (np.asarray(r.W, dtype=float) @ np.asarray(r.H, dtype=float) for r in (one, other))
    np.testing.assert_allclose(model, expected, rtol=rtol, atol=rtol * expected.max())
    np.testing.assert_allclose(one.history.objective, other.history.objective, rtol=max(rtol, 1e-9))
    assert one.objective == pytest.approx(other.objective, rel=rtol)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def no_reader():
    return all(thread.name != READER for thread in threading.enumerate())


# --- every solver and loss


def test_something_is_tested():
    assert {"hals", "mu", "mue"} <= {name for _, name in PAIRS}
    assert {loss for loss, _ in PAIRS} == set(LOSSES)
    assert REFUSED


@every_pair
@pytest.mark.parametrize("form", ["dense", "csr"])
def test_fit_in_blocks_is_the_fit_in_memory(loss, solver, form):
    A = X if form == "dense" else sp.csr_array(X if loss in ("itakura-saito", 0.5) else COUNTS)
    options = {"init": "random", "random_state": 0} if solver in ("sequential", "randomized") else {}
    close(fit(in_blocks(A), loss, solver, **options), fit(A, loss, solver, **options), 1e-6)


@most_pairs
def test_one_block_gives_the_bits_of_memory(loss, solver):
    for A in (X, sp.csr_array(X)):
        same_bits(fit(in_blocks(A, (0, N)), loss, solver), fit(A, loss, solver))


@most_pairs
def test_function_and_list_give_the_same_bits(loss, solver):
    same_bits(fit(in_blocks(X), loss, solver), fit(RowBlocks(cut(X), X.shape), loss, solver))


@most_pairs
def test_threads_do_not_matter(loss, solver):
    for A in (X, sp.csr_array(X)):
        one = fit(in_blocks(A), loss, solver, n_threads=1)
        for n_threads in (2, 3):
            same_bits(fit(in_blocks(A), loss, solver, n_threads=n_threads), one)


@pytest.mark.parametrize(("loss", "solver"), REFUSED)
def test_solvers_that_need_memory_say_so(loss, solver):
    with pytest.raises(ValueError, match=f"solver='{solver}' needs X in memory"):
        fit(in_blocks(X), loss, solver)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize(
    "options",
    [
        {"alpha_W": 0.01, "l1_ratio": 0.5},
        {"update_H": [True, False, True]},
        {"update_H": False},
        {"shuffle": True, "random_state": 3},
        {"acceleration": False},
        {"tol": 1e-3, "max_iter": 200},
    ],
    ids=str,
)
def test_options(loss, options):
    solver = "auto" if loss == "frobenius" else "mue"  # what it is in blocks
    if options.get("update_H") is False:
        options = options | {"init": "custom", "W": None, "H": H0}
    close(fit(in_blocks(X), loss, **options), fit(X, loss, solver, **options), 1e-6)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("loss", LOSSES)
def test_dtype_is_kept(loss, dtype):
    A = X.astype(dtype)
    result = fit(in_blocks(A), loss, "mu")
    assert result.W.dtype == result.H.dtype == dtype
    close(result, fit(A, loss, "mu"), 1e-3 if dtype == "float32" else 1e-6)


def test_integers_and_narrow_floats_are_converted():
    A = COUNTS.astype(np.uint8)
    same_bits(fit(RowBlocks(cut(A), A.shape)), fit(in_blocks(COUNTS)))
    half = COUNTS.astype(np.float16)
    same_bits(fit(RowBlocks(cut(half), half.shape, np.float32)), fit(in_blocks(COUNTS.astype(np.float32))))


# --- other doors


@pytest.mark.parametrize("init", INITIALIZERS)
@pytest.mark.parametrize("form", ["dense", "csr"])
def test_initialize(init, form):
    A = X if form == "dense" else sp.csr_array(COUNTS)
    found = initialize(in_blocks(A), K, init, random_state=0)
    expected = initialize(A, K, init, random_state=0)
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("loss", LOSSES)
def test_divergence_and_residual(loss):
    for A in (X, sp.csr_array(X)):
        B = in_blocks(A)
        assert beta_divergence(B, W0, H0, loss) == pytest.approx(beta_divergence(A, W0, H0, loss), rel=1e-12)
        assert kkt_residual(B, W0, H0, loss) == pytest.approx(kkt_residual(A, W0, H0, loss), rel=1e-9)


@pytest.mark.parametrize("loss", ["frobenius", "kullback-leibler", "itakura-saito"])
def test_transform_is_row_by_row(loss):
    for A in (X, sp.csr_array(X)):
        expected = transform(A, H0, loss=loss).W
        np.testing.assert_array_equal(transform(in_blocks(A), H0, loss=loss).W, expected)


@pytest.mark.parametrize(("loss", "solver"), [("frobenius", "cd"), ("frobenius", "mu"), ("kullback-leibler", "mu")])
def test_estimator(loss, solver):
    model, expected = (
        NMF(K, init="random", random_state=0, solver=solver, beta_loss=loss, max_iter=30, tol=1e-9) for _ in range(2)
    )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Maximum number of iterations")
        W = model.fit_transform(in_blocks(X))
        W_expected = expected.fit_transform(X)
    np.testing.assert_allclose(W @ model.components_, W_expected @ expected.components_, rtol=1e-6)
    assert model.n_features_in_ == M
    assert model.reconstruction_err_ == pytest.approx(expected.reconstruction_err_, rel=1e-6)
    np.testing.assert_allclose(model.transform(in_blocks(X)), model.transform(X), rtol=1e-9)
    with pytest.raises(ValueError, match="features"):
        model.transform(in_blocks(X[:, 1:]))


# --- where blocks come from


def memmap_of(folder, A, order="C", mode="r"):
    path = folder / "X.bin"
    file = np.memmap(path, dtype=A.dtype, mode="w+", shape=A.shape, order=order)
    file[:] = A
    file.flush()
    del file
    return np.memmap(path, dtype=A.dtype, mode=mode, shape=A.shape, order=order)


def with_private_changes(folder, A):
    B = memmap_of(folder, 2 * A, mode="c")
    B[:] = A
    return B


def sliced_rows(folder, A):
    return memmap_of(folder, np.vstack([A[:9] + 3, A, A[:4] + 5]))[9 : 9 + N]


def sliced_columns(folder, A, order="C"):
    return memmap_of(folder, np.hstack([A[:, :2] + 3, A, A[:, :3] + 5]), order=order)[:, 2 : 2 + M]


def with_offset(folder, A):
    path = folder / "X.bin"
    path.write_bytes(b"head" * 1103 + A.tobytes())
    return np.memmap(path, dtype=A.dtype, mode="r", offset=4 * 1103, shape=A.shape)


def from_npy(folder, A):
    np.save(folder / "X.npy", A)
    return np.load(folder / "X.npy", mmap_mode="r")


def deleted(folder, A):
    with tempfile.TemporaryFile(dir=folder) as file:
        A.tofile(file)
        file.flush()
        return np.memmap(file, dtype=A.dtype, mode="r", shape=A.shape)


def h5(folder, A, dtype=None, **options):
    h5py = pytest.importorskip("h5py")
    file = h5py.File(folder / "X.h5", "w")
    return file.create_dataset("X", data=A.astype(dtype or A.dtype), **options)


def zarr_array(folder, A, dtype=None):
    zarr = pytest.importorskip("zarr")
    return zarr.create_array(folder / "X.zarr", data=A.astype(dtype or A.dtype), chunks=(32, 10))


def annotated(A):
    anndata = pytest.importorskip("anndata")
    data = anndata.AnnData(A)
    data.obs_names = [f"cell {i}" for i in range(A.shape[0])]
    data.var_names = [f"gene {j}" for j in range(A.shape[1])]
    return data


def backed(folder, A):
    data = annotated(A)
    data.write_h5ad(folder / "X.h5ad")
    anndata = pytest.importorskip("anndata")
    return anndata.read_h5ad(folder / "X.h5ad", backed="r")


def parquet(folder, A, **options):
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    pq.write_table(pa.table({f"feature {j}": A[:, j] for j in range(A.shape[1])}), folder / "X.parquet", **options)
    return pq.ParquetFile(folder / "X.parquet")


def parquet_dataset(folder, A):
    ds = pytest.importorskip("pyarrow.dataset")
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    (folder / "parts").mkdir()
    for i, (low, high) in enumerate(pairwise((0, 90, 100, N))):
        table = pa.table({f"feature {j}": A[low:high, j] for j in range(A.shape[1])})
        pq.write_table(table, folder / "parts" / f"{i}.parquet")
    return ds.dataset(folder / "parts")


def dask_array(folder, A, chunks=64):
    da = pytest.importorskip("dask.array")
    return da.from_array(A, chunks=(chunks, A.shape[1]))


def dask_sparse(folder, A):
    da, dask = pytest.importorskip("dask.array"), pytest.importorskip("dask")
    parts = [
        da.from_delayed(dask.delayed(sp.csr_array)(block), block.shape, A.dtype, meta=sp.csr_array((0, 0)))
        for block in cut(A, (0, 50, 130, N))
    ]
    return da.concatenate(parts)


# name: how X is stored there, and in what way its blocks are compressed
SOURCES = {
    "memmap": (memmap_of, None),
    "memmap r+": (lambda f, A: memmap_of(f, A, mode="r+"), None),
    "memmap, private changes": (with_private_changes, None),
    "memmap, rows": (sliced_rows, None),
    "memmap, columns": (sliced_columns, None),
    "memmap, offset": (with_offset, None),
    "memmap, npy": (from_npy, None),
    "memmap, deleted": (deleted, None),
    "hdf5": (h5, None),
    "hdf5, chunked": (lambda f, A: h5(f, A, chunks=(32, 10)), None),
    "hdf5, compressed": (lambda f, A: h5(f, A, chunks=(16, 22), compression="gzip"), None),
    "hdf5, uint16": (lambda f, A: h5(f, A, "uint16"), None),
    "zarr": (zarr_array, None),
    "zarr, uint16": (lambda f, A: zarr_array(f, A, "uint16"), None),
    "anndata, dense": (backed, None),
    "anndata, dense X": (lambda f, A: backed(f, A).X, None),
    "anndata, csr": (lambda f, A: backed(f, sp.csr_matrix(A)), sp.csr_array),
    "anndata, csr X": (lambda f, A: backed(f, sp.csr_matrix(A)).X, sp.csr_array),
    "parquet": (parquet, None),
    "parquet, row groups": (lambda f, A: parquet(f, A, row_group_size=50), None),
    "parquet dataset": (parquet_dataset, None),
    "dask": (dask_array, None),
    "dask, sparse": (dask_sparse, sp.csr_array),
}
# stored by columns
COLUMNS = {
    "memmap, Fortran": (lambda f, A: memmap_of(f, A, order="F"), None),
    "memmap, Fortran, columns": (lambda f, A: sliced_columns(f, A, order="F"), None),
    "anndata, csc": (lambda f, A: backed(f, sp.csc_matrix(A)), sp.csc_array),
}


@pytest.mark.parametrize("name", SOURCES)
def test_sources(name, tmp_path):
    make, sparse = SOURCES[name]
    source = make(tmp_path, COUNTS)
    blocks = row_blocks(source, block_bytes=SMALL // (4 if sparse else 1))
    parts = [part.toarray() if sp.issparse(part) else part.copy() for part in blocks]
    assert len(parts) > 2
    np.testing.assert_array_equal(np.vstack(parts), COUNTS)
    bounds = np.cumsum([0, *map(len, parts)]).tolist()
    A = COUNTS if sparse is None else sparse(COUNTS)
    for loss in ("frobenius", "kullback-leibler"):
        result = fit(blocks, loss, max_iter=5)
        same_bits(result, fit(in_blocks(A, bounds), loss, max_iter=5))
        close(result, fit(A, loss, "auto" if loss == "frobenius" else "mue", max_iter=5), 1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in SOURCES if not name.startswith("memmap")])
def test_small_sources_have_one_block(name, tmp_path):
    make, sparse = SOURCES[name]
    source = make(tmp_path, COUNTS)
    if len(list(row_blocks(source))) > 1:
        pytest.skip("comes in blocks of its own")
    expected = fit(COUNTS if sparse is None else sparse(COUNTS))
    result = factorize(source, K, W=W0, H=H0, max_iter=12, tol=0.0)
    same_bits(result, expected)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", [name for name in SOURCES if "uint16" not in name and name not in ("anndata, dense X", "anndata, csr X")]
)
def test_sources_in_single_precision(name, tmp_path):
    make, sparse = SOURCES[name]
    A = COUNTS.astype(np.float32)
    blocks = row_blocks(make(tmp_path, A), block_bytes=SMALL // (8 if sparse else 2))
    assert blocks.dtype == np.float32
    assert {block.dtype.name for block in blocks} == {"float32"}
    result = fit(blocks)
    assert result.W.dtype == result.H.dtype == np.float32
    close(result, fit(A if sparse is None else sparse(A)), 1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("name", COLUMNS)
def test_sources_stored_by_columns(name, tmp_path):
    make, sparse = COLUMNS[name]
    A = np.ascontiguousarray(COUNTS[:170].T)  # many columns, so that there are several blocks of them
    wide = A if sparse is None else sparse(A)
    if name == "memmap, Fortran, columns":
        source = memmap_of(tmp_path, np.hstack([A[:, :2] + 3, A, A[:, :3] + 5]), order="F")[:, 2:172]
    else:
        source = make(tmp_path, A)
    blocks = row_blocks(source, block_bytes=64 * M * (8 if sparse is None else 2))
    assert len(list(blocks)) > 2
    W, H = start(A, K)
    memory = np.asfortranarray(A) if sparse is None else wide
    for solver in ("hals", "mu", "greedy", "nesterov"):
        one = factorize(blocks, K, solver=solver, W=W, H=H, max_iter=12, tol=0.0)
        close(one, factorize(memory, K, solver=solver, W=W, H=H, max_iter=12, tol=0.0), 1e-6)
        same_bits(one, factorize(blocks, K, solver=solver, W=W, H=H, max_iter=12, tol=0.0, n_threads=3))
        same_bits(one, factorize(list_of(blocks, transposed=True), K, solver=solver, W=W, H=H, max_iter=12, tol=0.0))
    for loss in ("kullback-leibler", 0.5):  # which go through rows
        if sparse is None:
            loss_of = {"loss": loss, "W": W, "H": H, "max_iter": 12, "tol": 0.0}
            close(factorize(blocks, K, **loss_of), factorize(memory, K, solver="mue", **loss_of), 1e-6)
        else:
            with pytest.raises(ValueError, match="stored by columns, needs X in memory"):
                factorize(blocks, K, loss=loss, W=W, H=H)
    assert beta_divergence(blocks, W, H) == pytest.approx(beta_divergence(A, W, H), rel=1e-12)
    found, expected = (initialize(data, K, "nndsvda", random_state=0) for data in (blocks, A))
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-8)
    ours, theirs = transform(blocks, H).W, transform(wide, H).W
    np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-12)


def test_one_block_of_columns_gives_the_bits_of_memory(tmp_path):
    A = np.asfortranarray(COUNTS)
    blocks = row_blocks(memmap_of(tmp_path, A, order="F"), block_bytes=1 << 25)
    assert len(list(blocks)) == 1
    same_bits(fit(blocks), fit(A))
    csc = sp.csc_matrix(COUNTS)
    source = backed(tmp_path, csc)
    same_bits(factorize(source, K, W=W0, H=H0, max_iter=12, tol=0.0), fit(csc))


@pytest.mark.parametrize(
    "wanted",
    [{"missing": "nan"}, {"weights": np.ones((N, M))}, {"biases": True}],
    ids=lambda wanted: next(iter(wanted)),
)
def test_memory_maps_are_read_where_x_must_be_in_memory(tmp_path, monkeypatch, wanted):
    monkeypatch.setattr("nmf_core.data.sources._SMALL", 1000)
    mapped = memmap_of(tmp_path, X)
    assert row_blocks(mapped) is not None
    given = {"init": "random", "random_state": 0, "alpha_W": 0.01} | wanted
    same_bits(factorize(mapped, K, max_iter=12, **given), factorize(X, K, max_iter=12, **given))


def test_small_memory_maps_stay_as_they_are(tmp_path):
    assert row_blocks(memmap_of(tmp_path, X)) is None
    assert row_blocks(X) is None
    assert row_blocks(X, block_bytes=1000) is None


@pytest.mark.parametrize("form", ["dense", "csr", "csc", "in memory", "in memory, csr"])
def test_labels_of_anndata(form, tmp_path):
    if form.startswith("in memory"):
        source = annotated(sp.csr_matrix(COUNTS) if form.endswith("csr") else COUNTS)
    else:
        source = backed(tmp_path, {"dense": COUNTS, "csr": sp.csr_matrix(COUNTS), "csc": sp.csc_matrix(COUNTS)}[form])
    result = factorize(source, K, random_state=0, max_iter=3)
    assert result.row_labels == tuple(f"cell {i}" for i in range(N))
    assert result.column_labels == tuple(f"gene {j}" for j in range(M))


def test_labels_of_parquet(tmp_path):
    result = factorize(parquet(tmp_path, COUNTS), K, random_state=0, max_iter=3)
    assert result.column_labels == tuple(f"feature {j}" for j in range(M))


def test_index_of_pandas_is_no_feature(tmp_path):
    pq, pd = pytest.importorskip("pyarrow.parquet"), pytest.importorskip("pandas")
    frame = pd.DataFrame(COUNTS, columns=[f"f{j}" for j in range(M)], index=[f"row {i}" for i in range(N)])
    frame.to_parquet(tmp_path / "X.parquet")
    result = factorize(pq.ParquetFile(tmp_path / "X.parquet"), K, W=W0, H=H0, max_iter=12, tol=0.0)
    same_bits(result, fit(COUNTS))


def test_dask_without_a_client_gives_a_dask_array(tmp_path):
    da = pytest.importorskip("dask.array")
    result = factorize(dask_array(tmp_path, COUNTS), K, W=W0, H=H0, max_iter=12, tol=0.0)
    assert isinstance(result.W, da.Array)
    assert result.W.chunks[0] == (64, 64, 64, 11)
    assert isinstance(result.H, np.ndarray)
    same_bits(result, fit(in_blocks(COUNTS, (0, 64, 128, 192, N))))


@pytest.mark.parametrize("loss", ["frobenius", "kullback-leibler"])
def test_estimator_of_a_file(tmp_path, loss):
    model = NMF(K, init="random", random_state=0, solver="mu", beta_loss=loss, max_iter=20, tol=0)
    W = model.fit_transform(h5(tmp_path, COUNTS))
    expected = NMF(K, init="random", random_state=0, solver="mu", beta_loss=loss, max_iter=20, tol=0).fit(COUNTS)
    np.testing.assert_allclose(model.components_, expected.components_, rtol=1e-6)
    assert W.shape == (N, K)


# --- how blocks are read


class Source:
    """Blocks of 10 rows of X, with a record of what was asked for."""

    def __init__(self, n_blocks=30, form=np.array):
        self.n_blocks, self.form = n_blocks, form
        self.shape = 10 * n_blocks, 8
        self.passes = 0
        self.asked = [threading.Event() for _ in range(n_blocks)]
        self.threads = set()
        self.alive = 0
        self.most = 0
        self.lock = threading.Lock()

    def gone(self):
        with self.lock:
            self.alive -= 1

    def make(self, i):
        self.asked[i].set()
        self.threads.add(threading.current_thread())
        block = self.form(np.random.default_rng(i).random((10, 8)))
        with self.lock:
            self.alive += 1
            self.most = max(self.most, self.alive)
        weakref.finalize(block, self.gone)
        return block

    def __call__(self):
        self.passes += 1
        return (self.make(i) for i in range(self.n_blocks))

    def blocks(self):
        return RowBlocks(self, self.shape)


@pytest.mark.parametrize("solver", ["hals", "mu", "greedy", "admm"])
def test_x_is_read_once_an_iteration(solver):
    W, H = start(np.full((300, 8), 0.5), K)
    passes = []
    for max_iter in (4, 11, 40):
        source = Source()
        result = factorize(source.blocks(), K, W=W, H=H, solver=solver, max_iter=max_iter, tol=0.0)
        assert result.n_iter == max_iter
        passes.append(source.passes)
    assert np.diff(passes).tolist() == [7, 29]
    assert passes[0] - 4 <= 4


def test_blocks_are_read_ahead():
    source = Source()
    blocks = iter(source.blocks())
    assert not source.asked[0].is_set()
    next(blocks)
    assert source.asked[2].wait(20), "the third block waits until the second one is asked for"
    next(blocks)
    assert source.asked[3].wait(20)
    assert not source.asked[5].is_set()
    (reader,) = source.threads
    assert reader is not threading.current_thread()
    assert reader.name == READER
    blocks.close()
    assert not reader.is_alive()


@pytest.mark.parametrize("form", [np.array, sp.csr_array])
def test_three_blocks_at_a_time(form):
    source = Source(form=form)
    for loss in ("frobenius", "kullback-leibler"):
        factorize(source.blocks(), K, loss=loss, random_state=0, max_iter=10, tol=0.0)
    gc.collect()
    assert source.passes > 20
    assert source.alive == 0
    assert source.most == 3


def test_reader_is_gone_after_a_fit():
    source = Source()
    factorize(source.blocks(), K, random_state=0, max_iter=3)
    assert source.threads
    assert threading.current_thread() not in source.threads
    assert not any(thread.is_alive() for thread in source.threads)
    assert no_reader()


@pytest.mark.parametrize("kind", [RuntimeError, KeyboardInterrupt, SystemExit])
def test_reader_is_gone_after_an_error_in_a_callback(kind):
    source = Source()

    def fail(state):
        if state.iteration == 2:
            raise kind("enough")

    if kind is KeyboardInterrupt:
        assert factorize(source.blocks(), K, random_state=0, callback=fail).stop_reason == "interrupted"
    else:
        with pytest.raises(kind, match="enough"):
            factorize(source.blocks(), K, random_state=0, callback=fail)
    assert source.threads
    assert no_reader()


@pytest.mark.parametrize("bad_pass", [1, 2, 5])
@pytest.mark.parametrize("at", [0, 1, 5, 29])
def test_errors_of_the_source_come_through(bad_pass, at):
    source = Source()

    def blocks():
        source.passes += 1
        for i in range(30):
            if source.passes == bad_pass and i == at:
                raise LookupError(f"no block {i}")
            yield source.make(i)

    with pytest.raises(LookupError, match=f"^'?no block {at}'?$"):
        factorize(RowBlocks(blocks, source.shape), K, init="random", random_state=0, max_iter=10, tol=0.0)
    assert no_reader()
    gc.collect()
    assert source.alive == 0


def test_reader_is_gone_when_the_rest_is_not_wanted():
    for taken in (0, 1, 3):
        blocks = iter(Source().blocks())
        for _ in range(taken):
            next(blocks)
        blocks.close()
        assert no_reader()


def test_blocks_are_not_modified():
    parts = cut(X)
    before = [part.copy() for part in parts]
    for part in parts:
        part.flags.writeable = False
    for loss in LOSSES:
        fit(RowBlocks(parts, X.shape), loss)
    for part, old in zip(parts, before, strict=True):
        np.testing.assert_array_equal(part, old)


MEMORY = """
import resource, sys
import numpy as np, scipy.sparse, scipy.linalg
import nmf_core
from nmf_core.data import row_blocks
n, m, k = 100_000, 1000, 10
X = np.memmap(sys.argv[1], np.float32, "r", shape=(n, m) if sys.argv[2] == "C" else (m, n), order=sys.argv[2])
nmf_core.factorize(np.ones((500, 40), np.float32), 2, loss=sys.argv[3], random_state=0, max_iter=3)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
result = nmf_core.factorize(X, k, loss=sys.argv[3], init=sys.argv[4], random_state=0, max_iter=3, tol=0.0)
assert result.n_iter == 3
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)
"""


@pytest.fixture(scope="module")
def large_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("large") / "X.bin"
    rows = np.random.default_rng(0).random((1000, 1000), dtype=np.float32)
    with path.open("wb") as file:
        for _ in range(100):
            rows.tofile(file)
    yield path
    path.unlink()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss is in other units")
@pytest.mark.parametrize(
    ("order", "loss", "init"),
    [
        ("C", "frobenius", "random"),
        ("C", "frobenius", "nndsvda"),
        ("F", "frobenius", "random"),
        ("C", "kullback-leibler", "random"),
    ],
)
def test_peak_memory(large_file, order, loss, init):
    run = subprocess.run(
        [sys.executable, "-c", MEMORY, large_file, order, loss, init], capture_output=True, text=True, check=True
    )
    factors = (100_000 + 1000) * 10 * 4 / 2**20
    assert float(run.stdout) < 4 * factors + 3 * 32 + 100


# --- W where it is wanted


@pytest.mark.parametrize("source", ["memory", "blocks", "columns"])
@pytest.mark.parametrize("target", ["array", "Fortran", "memmap", "memmap, npy"])
@pytest.mark.parametrize("loss", ["frobenius", "kullback-leibler"])
def test_out_W(source, target, loss, tmp_path):
    if source == "columns" and loss != "frobenius":
        pytest.skip("refused: see above")
    folder = tmp_path / "out"
    folder.mkdir()
    A = {"memory": X, "blocks": in_blocks(X), "columns": row_blocks(memmap_of(tmp_path, X, order="F"), SMALL)}[source]
    if target == "memmap":
        out = np.memmap(folder / "W.bin", X.dtype, "w+", shape=(N, K))
    elif target == "memmap, npy":
        out = np.lib.format.open_memmap(folder / "W.npy", "w+", X.dtype, (N, K))
    else:
        out = np.full((N, K), np.nan, order="F" if target == "Fortran" else "C")
    before = names(folder)
    seen = []
    result = fit(A, loss, out_W=out, callback=lambda state: seen.append(names(folder)))
    assert result.W is out
    assert len(seen) == 12
    assert all(there == before for there in seen)
    assert names(folder) == before
    expected = fit(A, loss)
    same_bits(result, expected)
    if target == "memmap":
        out.flush()
        np.testing.assert_array_equal(np.fromfile(folder / "W.bin").reshape(N, K), expected.W)


@pytest.mark.parametrize(
    ("out", "kind", "message"),
    [
        (np.zeros((N, K + 1)), ValueError, "out_W has shape"),
        (np.zeros((N - 1, K)), ValueError, "out_W has shape"),
        (np.zeros(N * K), ValueError, "out_W has shape"),
        (np.zeros((N, K), np.float32), TypeError, "out_W must be an array of float64"),
        (np.zeros((N, K), int), TypeError, "out_W must be an array of float64"),
        ([[0.0] * K] * N, TypeError, "out_W must be an array of float64"),
        (np.broadcast_to(0.0, (N, K)), ValueError, "out_W is read-only"),
    ],
)
@pytest.mark.parametrize("source", [X, in_blocks(X)], ids=["memory", "blocks"])
def test_out_W_that_does_not_fit(out, kind, message, source):
    with pytest.raises(kind, match=message):
        fit(source, out_W=out)


def test_read_only_file_for_W(tmp_path):
    out = memmap_of(tmp_path, np.zeros((N, K)))
    with pytest.raises(ValueError, match="out_W is read-only"):
        fit(in_blocks(X), out_W=out)


# --- bad input


def changed(i, j, value, n_blocks=40):
    """60 x 40 blocks of ones, with another value in one entry."""
    A = np.ones((60 * n_blocks, 5))
    A[i, j] = value
    return RowBlocks([A[low : low + 60] for low in range(0, len(A), 60)], A.shape)


@pytest.mark.parametrize(
    ("value", "word"),
    [(-1.0, "negative"), (np.nan, "NaN"), (np.inf, "infinity|infinite"), (-np.inf, "infinity|infinite|negative")],
)
@pytest.mark.parametrize("form", ["dense", "csr"])
def test_bad_value_in_block_37(value, word, form):
    source = changed(37 * 60 + 11, 2, value)
    if form == "csr":
        source = RowBlocks([sp.csr_array(part) for part in source.blocks()], source.shape)
    with pytest.raises(ValueError, match=rf"(?is)block 37 of X \(rows 2220 to 2279\).*({word})"):
        factorize(source, 2, random_state=0)
    assert no_reader()


def test_bad_value_in_every_door():
    source = changed(37 * 60 + 11, 2, -1.0)
    W, H = np.ones((2400, 2)), np.ones((2, 5))
    doors = [
        lambda: NMF(2, init="random").fit(source),
        lambda: initialize(source, 2, "random"),
        lambda: initialize(source, 2, "nndsvd"),
        lambda: beta_divergence(source, W, H),
        lambda: kkt_residual(source, W, H),
        lambda: transform(source, H),
        lambda: factorize(source, 2, H=H, update_H=False),
    ]
    for door in doors:
        with pytest.raises(ValueError, match="block 37"):
            door()


def test_bad_value_in_a_file(tmp_path):
    A = COUNTS.copy()
    A[130, 3] = -2
    for source in (memmap_of(tmp_path, A), h5(tmp_path, A), zarr_array(tmp_path, A), parquet(tmp_path, A)):
        with pytest.raises(ValueError, match=r"block 2 of X \(rows 128 to 191\)"):
            fit(row_blocks(source, block_bytes=SMALL))
    wide = np.ascontiguousarray(A.T)
    with pytest.raises(ValueError, match=r"block 2 of X \(columns 128 to 191\)"):
        factorize(row_blocks(memmap_of(tmp_path, wide, order="F"), block_bytes=SMALL), K)


def swapped(i, block, shape=X.shape, dtype=np.float64):
    parts = cut(X.astype(dtype), (0, 50, 100, 150, N))
    parts[i] = block
    return RowBlocks(parts, shape, dtype)


@pytest.mark.parametrize(
    ("source", "kind", "message"),
    [
        (swapped(2, X[100:150, 1:]), ValueError, r"block 2 of X \(rows from 100 on\) has width 21, but X has width 22"),
        (swapped(0, np.hstack([X, X])[:50]), ValueError, r"block 0 of X .* has width 44"),
        (swapped(2, X[100:150], dtype=np.float32), TypeError, r"block 2 of X .*float64.*float32"),
        (swapped(2, sp.csr_array(X[100:150]), dtype=np.float32), TypeError, r"block 2 of X .*float64.*float32"),
        (swapped(2, X[100:150].astype(np.longdouble)), TypeError, "block 2 of X .*(float128|longdouble|float96)"),
        (swapped(1, X[50:100].astype(str)), (TypeError, ValueError), "block 1 of X"),
        (swapped(1, X[50:100].astype(object)), (TypeError, ValueError), "block 1 of X"),
        (swapped(1, X[50:100].astype(complex)), (TypeError, ValueError), "block 1 of X"),
        (swapped(1, X[50]), ValueError, "block 1 of X must have 2 dimensions, but it has 1"),
        (swapped(1, X[50:100, :, np.newaxis]), ValueError, "block 1 of X must have 2 dimensions, but it has 3"),
        (swapped(3, X[150:200]), ValueError, "end after 200 of its 203 rows"),
        (swapped(3, np.vstack([X[150:], X[:1]])), ValueError, "block 3 of X ends after row 203, but X has 203"),
        (RowBlocks([], X.shape), ValueError, "end after 0 of its 203 rows"),
        (RowBlocks(lambda: None, X.shape), TypeError, "NoneType|iterator"),
    ],
)
def test_bad_blocks(source, kind, message):
    with pytest.raises(kind, match=message):
        factorize(source, K, random_state=0)
    assert no_reader()


def test_what_can_be_read_only_once():
    with pytest.raises(TypeError, match="read only once"):
        RowBlocks(iter(cut(X)), X.shape)
    with pytest.raises(TypeError, match="read only once"):
        RowBlocks((part for part in cut(X)), X.shape)
    once = iter(cut(X))
    with pytest.raises(ValueError, match="read only once"):
        factorize(RowBlocks(lambda: once, X.shape), K, random_state=0)
    assert no_reader()


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        ((3, X.shape), TypeError, "blocks must be a function"),
        ((cut(X), (N,)), TypeError, "shape must be"),
        ((cut(X), 5), TypeError, "shape must be"),
        ((cut(X), (N, 2.5)), TypeError, "shape must be"),
        ((cut(X), (0, M)), ValueError, "empty"),
        ((cut(X), X.shape, np.int64), TypeError, "dtype must be float32 or float64"),
        ((cut(X), X.shape, np.float16), TypeError, "dtype must be float32 or float64"),
    ],
)
def test_bad_descriptions(arguments, kind, message):
    with pytest.raises(kind, match=message):
        RowBlocks(*arguments)


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"missing": "nan"}, "missing='nan'"),
        ({"missing": "unstored"}, "missing='unstored'"),
        ({"weights": np.ones_like(X)}, "weights"),
        ({"biases": True}, "biases=True"),
    ],
)
def test_what_needs_memory(options, word, tmp_path):
    for source in (in_blocks(X), h5(tmp_path, X)):
        with pytest.raises(ValueError, match=f"{word}.* needs X in memory"):
            factorize(source, K, **options)


def test_sources_of_the_wrong_kind(tmp_path):
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "bad.h5", "w") as file:
        with pytest.raises(ValueError, match="dimension"):
            factorize(file.create_dataset("cube", data=np.ones((4, 5, 6))), 2)
        with pytest.raises(ValueError, match="dimension"):
            factorize(file.create_dataset("line", data=np.ones(4)), 2)
        for name, data in (("text", [["a", "b"], ["c", "d"]]), ("complex", np.ones((4, 5), complex))):
            with pytest.raises((TypeError, ValueError), match="X"):
                factorize(file.create_dataset(name, data=data), 1)
        with pytest.raises(ValueError, match=r"empty|at least one"):
            factorize(file.create_dataset("nothing", shape=(0, 4), dtype=float), 1)
    zarr = pytest.importorskip("zarr")
    with pytest.raises(ValueError, match="dimension"):
        factorize(zarr.create_array(tmp_path / "cube.zarr", data=np.ones((4, 5, 6))), 2)
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    pq.write_table(pa.table({"a": [1.0, 2.0], "b": ["x", "y"]}), tmp_path / "text.parquet")
    with pytest.raises((TypeError, ValueError), match="column 'b' of X"):
        factorize(pq.ParquetFile(tmp_path / "text.parquet"), 1)


def test_parquet_with_nulls(tmp_path):
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    pq.write_table(pa.table({"a": [1.0, None, 2.0], "b": [1, 2, 3]}), tmp_path / "X.parquet")
    with pytest.raises(ValueError, match="NaN"):
        factorize(pq.ParquetFile(tmp_path / "X.parquet"), 1)


def at_iteration(i, action):
    def callback(state):
        if state.iteration == i:
            action()

    return callback


def test_file_that_is_cut_short(tmp_path):
    blocks = row_blocks(memmap_of(tmp_path, X), block_bytes=SMALL)
    shorten = at_iteration(3, lambda: os.truncate(tmp_path / "X.bin", 150 * M * 8 + 5))
    with pytest.raises(OSError, match=r"X\.bin ends at row 150 of X"):
        fit(blocks, callback=shorten)
    assert no_reader()


def test_file_that_vanishes(tmp_path):
    blocks = row_blocks(memmap_of(tmp_path, X), block_bytes=SMALL)
    with pytest.raises(FileNotFoundError, match=r"X\.bin"):
        fit(blocks, callback=at_iteration(3, (tmp_path / "X.bin").unlink))
    data = parquet_dataset(tmp_path, X)
    with pytest.raises(OSError, match=r"2\.parquet"):
        fit(row_blocks(data, block_bytes=SMALL), callback=at_iteration(3, (tmp_path / "parts/2.parquet").unlink))
    assert no_reader()


def test_hdf5_file_that_is_closed(tmp_path):
    data = h5(tmp_path, X)
    with pytest.raises((ValueError, RuntimeError, OSError), match=r"(?i)dataset|file|identifier"):
        fit(row_blocks(data, block_bytes=SMALL), callback=at_iteration(3, data.file.close))
    assert no_reader()


def test_source_that_gets_shorter():
    parts = cut(X)
    blocks = RowBlocks(parts, X.shape)
    with pytest.raises(ValueError, match=r"end after 150 of its 203 rows\. It was complete before"):
        fit(blocks, callback=at_iteration(3, parts.pop))


@pytest.mark.skipif(not hasattr(np, "memmap") or sys.platform == "win32", reason="POSIX")
def test_reading_stops_where_a_pass_is_broken_off():
    """The reader does not go on reading all of X when nobody wants it any more."""
    source = Source()
    blocks = iter(source.blocks())
    next(blocks)
    blocks.close()
    assert not source.asked[10].is_set()
