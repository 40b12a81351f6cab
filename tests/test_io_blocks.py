"""Formats that are read whole or block by block: what they hold, when they come in blocks, and what is wrong."""

import json
import os
import sys
import types

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import zarr

import nmf_core
from nmf_core.data import RowBlocks
from nmf_core.io import Budget, memory, read_matrix

N, M = 300, 8
ROWS, COLUMNS = tuple(f"r{i}" for i in range(N)), tuple("abcdefgh")
X = np.random.default_rng(0).poisson(2.0, size=(N, 3)) @ np.random.default_rng(1).random((3, M))
X[X < 1] = 0
# So small a block that there are several.
BLOCK = 64 * M * 8


def as_h5(path, array=X, name="X", **options):
    with h5py.File(path, "w") as file:
        file.create_dataset(name, data=array, **options)


def as_labelled_h5(path):
    as_h5(path, X, "group/data", chunks=(50, M), compression="gzip")
    with h5py.File(path, "a") as file:
        file["group/row_labels"], file["group/column_labels"] = ROWS, COLUMNS


def as_zarr(path, array=X, **options):
    zarr.create_array(path, data=array, **options)


def as_zarr_group(path):
    group = zarr.open_group(path, mode="w")
    group.create_array("deep/X", data=X, chunks=(70, 3))
    group.create_array("other", data=np.arange(3))


def as_h5ad(path, array=X, **layers):
    frames = {"obs": pd.DataFrame(index=list(ROWS)), "var": pd.DataFrame(index=list(COLUMNS))}
    anndata.AnnData(array, **frames, layers=layers).write_h5ad(path)


def as_parquet(path, frame=None):
    frame = pd.DataFrame(X, index=list(ROWS), columns=list(COLUMNS)) if frame is None else frame
    frame.to_parquet(path)


def as_folder(path, **frame):
    """Parts whose names are not in the order of the alphabet."""
    path.mkdir()
    frame = pd.DataFrame(X, **({"index": list(ROWS), "columns": list(COLUMNS)} | frame))
    for i, first in enumerate(range(0, N, 25)):
        frame.iloc[first : first + 25].to_parquet(path / f"part.{i}.parquet")
    (path / "_SUCCESS").touch()


def as_text_folder(path):
    path.mkdir()
    frame = pd.DataFrame(X, columns=list(COLUMNS))
    frame.insert(0, "name", ROWS)
    for part, rows in (("0", slice(0, 100)), ("1", slice(100, None))):
        (path / part).mkdir()
        frame.iloc[rows].to_parquet(path / part / "x.parquet", index=False)


FORMATS = {
    "array": ("x.npy", lambda path: np.save(path, X), False),
    "array by columns": ("x.npy", lambda path: np.save(path, np.asfortranarray(X)), False),
    "big-endian array": ("x.npy", lambda path: np.save(path, X.astype(">f8")), False),
    "HDF5": ("x.h5", as_h5, False),
    "chunked HDF5": ("x.hdf5", as_labelled_h5, True),
    "HDF5 by columns": ("x.H5", lambda path: as_h5(path, chunks=(100, 1)), False),
    "zarr": ("x.zarr", lambda path: as_zarr(path, chunks=(70, 3)), False),
    "zarr group": ("x.zarr", as_zarr_group, False),
    "AnnData": ("x.h5ad", as_h5ad, True),
    "AnnData CSR": ("x.h5ad", lambda path: as_h5ad(path, sp.csr_matrix(X)), True),
    "AnnData CSC": ("x.h5ad", lambda path: as_h5ad(path, sp.csc_matrix(X)), True),
    "AnnData layer": ("x.h5ad::layers/raw", lambda path: as_h5ad(path, None, raw=sp.csr_matrix(X)), True),
    "Parquet": ("x.parquet", as_parquet, True),
    "Parquet folder": ("parts", as_folder, True),
    "Parquet folder, named": ("x.parquet", as_text_folder, True),
}


SLOW = {"AnnData CSR", "AnnData CSC", "AnnData layer"}


@pytest.fixture(params=[pytest.param(name, marks=[pytest.mark.slow] * (name in SLOW)) for name in FORMATS])
def stored(request, tmp_path):
    name, save, labelled = FORMATS[request.param]
    save(tmp_path / name.partition("::")[0])
    return tmp_path / name, labelled


@pytest.fixture
def in_small_blocks(monkeypatch):
    """A machine of so little memory that everything comes in blocks, and these are small."""
    monkeypatch.setattr(memory, "physical_memory", lambda: 0)
    monkeypatch.setattr("nmf_core.data.blocks.BLOCK_BYTES", BLOCK)
    monkeypatch.setattr("nmf_core.data.blocks._LANES", 64)
    monkeypatch.setattr("nmf_core.data.sources.BLOCK_BYTES", BLOCK)
    monkeypatch.setattr("nmf_core.data.sources._SMALL", 0)


def dense(A):
    return A.toarray() if sp.issparse(A) else A


def joined(source):
    """X of blocks."""
    A = np.vstack([dense(block).copy() for block in source])
    return A.T if source.transposed else A


def limited(path, limit, **others):
    return read_matrix(path, budget=Budget(n_components=3, limit=limit, **others))


def test_whole_and_in_blocks_are_the_same(stored, in_small_blocks):
    path, labelled = stored
    whole = read_matrix(path)
    np.testing.assert_array_equal(dense(whole.X), X)
    assert whole.X.dtype.newbyteorder("=") == np.float64
    assert type(whole.X) is np.ndarray or sp.issparse(whole.X)
    found = (ROWS, COLUMNS) if labelled else (None, None)
    assert whole[1:] == found

    blocks = read_matrix(path, budget=Budget())
    assert isinstance(blocks.X, RowBlocks)
    assert blocks.X.shape == X.shape
    assert blocks[1:] == found
    for _ in range(2):
        np.testing.assert_array_equal(joined(blocks.X), X)
    assert len(list(blocks.X)) > 1 or path.suffix == ".npy"  # whose 8 columns are a small block

    expected, f = (nmf_core.factorize(table.X, 3, random_state=0, max_iter=50) for table in (whole, blocks))
    np.testing.assert_allclose(f.W @ f.H, expected.W @ expected.H, rtol=1e-6, atol=1e-6)
    assert f.n_iter == expected.n_iter
    W = nmf_core.factorize(whole.X, 3, loss="kullback-leibler", solver="mue", random_state=0, max_iter=20).W
    if not blocks.X.transposed:
        f = nmf_core.factorize(blocks.X, 3, loss="kullback-leibler", random_state=0, max_iter=20)
        np.testing.assert_allclose(f.W, W, rtol=1e-5, atol=1e-8)


def test_large_data_come_in_blocks_unless_something_needs_them_whole(tmp_path, monkeypatch):
    as_h5(tmp_path / "x.h5")
    monkeypatch.setattr(memory, "physical_memory", lambda: 4 * X.nbytes)
    assert isinstance(read_matrix(tmp_path / "x.h5", budget=Budget()).X, np.ndarray)
    monkeypatch.setattr(memory, "physical_memory", lambda: 4 * X.nbytes - 4)
    assert isinstance(read_matrix(tmp_path / "x.h5", budget=Budget()).X, RowBlocks)
    with pytest.raises(ValueError, match=r"x\.h5: a picture needs X in memory; .* more than there is, 76\.8 KB"):
        read_matrix(tmp_path / "x.h5", budget=Budget(needs_whole="a picture"))
    monkeypatch.setattr(memory, "physical_memory", lambda: 2 * 10**8)
    assert isinstance(read_matrix(tmp_path / "x.h5", budget=Budget(needs_whole="a picture")).X, np.ndarray)


# --- limits


@pytest.fixture
def large(tmp_path):
    """An array of 160 MB that takes no room on a disk."""
    path = tmp_path / "x.npy"
    array = np.lib.format.open_memmap(path, "w+", np.float64, (100_000, 200))
    del array
    return path


def test_a_limit_is_kept_to(large):
    factors = 3 * 100_200 * 128  # of 13 columns, in the start; more than four times those of the fit
    whole = 160_000_000 + 100_000_000 + factors
    assert isinstance(limited(large, whole).X, np.ndarray)
    for limit in (whole - 1, 200_000_000, 145_000_000):
        source = limited(large, limit).X
        block = next(source.blocks())
        assert factors + 3 * block.nbytes + 100_000_000 < limit
        assert factors > 4 * 100_200 * 32
        assert block.nbytes > min(1 << 24, (limit - 100_000_000 - factors) // 5)
        assert len(block) % 64 == 0
    with pytest.raises(ValueError, match=r"100000 x 200 .* 3 components takes about 143 MB \(38\.5 MB .*, 140 MB$"):
        limited(large, 140_000_000)
    with pytest.raises(ValueError, match=r"--report needs X in memory; .* 298 MB, more than the memory limit, 200 MB$"):
        limited(large, 200_000_000, needs_whole="--report")
    assert isinstance(limited(large, whole, needs_whole="--report").X, np.ndarray)


def test_what_the_dtype_costs_counts(large):
    whole = 160_000_000 + 100_000_000 + 3 * 100_200 * 64
    assert isinstance(limited(large, whole + 79_000_000, dtype="float32").X, RowBlocks)
    assert isinstance(limited(large, whole + 81_000_000, dtype="float32").X, np.ndarray)


def test_a_limit_for_what_cannot_come_in_blocks(tmp_path):
    np.savetxt(tmp_path / "x.csv", X, delimiter=",")
    sp.save_npz(tmp_path / "x.npz", sp.csr_array(X))
    for name in ("x.csv", "x.npz"):
        assert limited(tmp_path / name, 10**9).X.shape == X.shape
        with pytest.raises(ValueError, match=r"take about 100 MB, more than the memory limit, 90 MB; of this format X"):
            limited(tmp_path / name, 90 * 10**6)


def test_chunks_taller_than_a_block_are_cut(tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "SMALLEST_BLOCK", 1)
    as_h5(tmp_path / "x.h5", chunks=(N, M))
    fixed = memory.BASE + 3 * (N + M) * 128 + X.nbytes
    source = limited(tmp_path / "x.h5", fixed + 4 * 1000).X
    assert {len(block) for block in source.blocks()} == {15}
    np.testing.assert_array_equal(joined(source), X)
    assert {len(block) for block in limited(tmp_path / "x.h5", fixed + 4 * 64).X.blocks()} == {1}
    with pytest.raises(ValueError, match="even if X comes in blocks"):
        limited(tmp_path / "x.h5", fixed + 4 * 63)


@pytest.mark.parametrize(("n_bytes", "text"), [(0, "0 B"), (999, "999 B"), (1500, "1.5 KB"), (2.5e9, "2.5 GB")])
def test_numbers_of_bytes_for_people(n_bytes, text):
    assert memory.in_units(n_bytes) == text


def test_memory_of_a_machine_that_tells_nothing(monkeypatch):
    monkeypatch.setattr(nmf_core.memory, "os", types.SimpleNamespace())
    assert 1 << 20 <= nmf_core.memory.physical_memory() <= 8 * 2**30


# --- types


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "int8", "uint16", "int64", "bool"])
def test_types(tmp_path, in_small_blocks, dtype):
    A = (X * 2).astype(dtype)
    np.save(tmp_path / "x.npy", A)
    as_h5(tmp_path / "x.h5", A)
    as_zarr(tmp_path / "x.zarr", A)
    as_h5ad(tmp_path / "d.h5ad", A)
    as_h5ad(tmp_path / "s.h5ad", None, x=sp.csr_matrix(A.astype("float32") if dtype == "float16" else A))
    if dtype != "float16":
        as_parquet(tmp_path / "x.parquet", pd.DataFrame(A).add_prefix("c"))
    result = "float32" if dtype == "float32" else "float64"
    for name in ("x.npy", "x.h5", "x.zarr", "x.parquet", "d.h5ad", "s.h5ad::layers/x"):
        if (name, dtype) in (("x.parquet", "float16"), ("s.h5ad::layers/x", "float16")):
            continue
        source = read_matrix(tmp_path / name, budget=Budget()).X
        assert source.dtype == result
        np.testing.assert_array_equal(joined(source), A.astype(result))
        np.testing.assert_array_equal(dense(read_matrix(tmp_path / name).X).astype(result), A.astype(result))


def test_blocks_in_another_type_and_order(tmp_path, in_small_blocks):
    as_h5ad(tmp_path / "x.h5ad", sp.csr_matrix(X))
    source = read_matrix(tmp_path / "x.h5ad", budget=Budget()).X.astype("float32")
    assert source.dtype == np.float32
    np.testing.assert_array_equal(joined(source), X.astype("float32"))
    chosen = source.take_columns([2, 0, 0])
    assert chosen.shape == (N, 3)
    np.testing.assert_array_equal(joined(chosen), X[:, [2, 0, 0]].astype("float32"))
    huge = RowBlocks([np.full((2, 2), 1e200)], (2, 2)).astype("float32")
    with pytest.raises(ValueError, match=r"block 0 of X \(rows 0 to 1\) contains infinity"):
        list(huge)
    with pytest.raises(ValueError, match="Columns in another order, of data that are stored by columns, needs X in"):
        RowBlocks([X.T], X.shape, transposed=True).take_columns([0])


# --- Parquet


def test_labels_of_parquet(tmp_path, in_small_blocks):
    frame = pd.DataFrame({"id": [0, 1, 3, 2], "a": [1.0, 2, 3, 4], "b": [0.0, 1, 0, 1]})
    frame.to_parquet(tmp_path / "x.parquet")
    as_parquet(tmp_path / "named.parquet", frame.set_index("id"))
    as_parquet(tmp_path / "two.parquet", frame.set_index(["id", "a"]))
    for budget in (None, Budget()):
        assert read_matrix(tmp_path / "x.parquet", budget=budget)[1:] == (None, ("id", "a", "b"))
        rows, columns = ("0", "1", "3", "2"), ("a", "b")
        assert read_matrix(tmp_path / "x.parquet", "rows", budget)[1:] == (rows, columns)
        assert read_matrix(tmp_path / "named.parquet", budget=budget)[1:] == (rows, columns)
        pairs = tuple(f"({i}, {j}.0)" for i, j in zip(rows, range(1, 5), strict=True))
        assert read_matrix(tmp_path / "two.parquet", budget=budget)[1:] == (pairs, ("b",))


def test_a_folder_of_files_that_differ(tmp_path, in_small_blocks):
    frame = pd.DataFrame({"a": [1, 2], "b": [3, 4]})
    folder = tmp_path / "x"
    folder.mkdir()
    frame.to_parquet(folder / "1.parquet")
    frame.astype("float32")[["b", "a"]].to_parquet(folder / "2.parquet")  # another order, another type
    for budget in (None, Budget()):
        A, rows, columns = read_matrix(folder, budget=budget)
        np.testing.assert_array_equal(joined(A) if budget else A, [[1, 3], [2, 4], [1, 3], [2, 4]])
        assert (rows, columns) == (None, ("a", "b"))
    frame.assign(c=1.0).to_parquet(folder / "3.parquet")
    with pytest.raises(ValueError, match=r"x: 3\.parquet and 1\.parquet do not have the same columns.*them c$"):
        read_matrix(folder)
    frame.assign(b="no").to_parquet(folder / "3.parquet")
    with pytest.raises(ValueError, match=r"x: .*b"):
        read_matrix(folder)


# --- errors


def text_in_h5(path):
    as_h5(path, np.array([["a", "b"]], dtype=object), dtype=h5py.string_dtype())


def several_in_h5(path):
    as_h5(path)
    with h5py.File(path, "a") as file:
        file["deep/Y"], file["cube"], file["words"] = X, np.ones((2, 2, 2)), ["a"]


def no_matrix_in_h5(path):
    as_h5(path, np.ones(3), "line")


def cut_h5(path):
    as_h5(path)
    os.truncate(path, path.stat().st_size // 2)


def junk(path):
    path.write_bytes(b"this is not what the name says" * 100)


def junk_folder(path):
    path.mkdir()
    (path / "x.parquet").write_bytes(b"no" * 1000)


def words_in_folder(path):
    path.mkdir()
    pd.DataFrame({"a": ["x"], "b": [1.0], "c": ["y"]}).to_parquet(path / "x.parquet")


def empty_folder(path):
    path.mkdir()


ERRORS = {
    "several": ("x.h5", several_in_h5, r"holds 2 datasets \(X, deep/Y\); choose one as .*x\.h5::NAME"),
    "wrong name": ("x.h5::Z", several_in_h5, "holds no dataset 'Z', only X, cube, deep/Y, words"),
    "cube": ("x.h5::cube", several_in_h5, "dataset 'cube' has 3 dimensions, but a matrix has 2"),
    "words": ("x.h5::words", several_in_h5, "dataset 'words' has 1 dimensions"),
    "no matrix": ("x.h5", no_matrix_in_h5, "holds no matrix of numbers; it has line"),
    "text": ("x.h5::X", text_in_h5, "dataset 'X' holds text or objects, not numbers"),
    "empty": ("x.h5", lambda path: as_h5(path, np.ones((0, 3))), "is empty: its shape is 0 x 3"),
    "cut": ("x.h5", cut_h5, "truncated file"),
    "no HDF5": ("x.hdf5", junk, "file signature not found"),
    "no AnnData": ("x.h5ad", as_h5, "not AnnData"),
    "junk AnnData": ("x.h5ad", junk, "file signature not found"),
    "no X": ("x.h5ad", lambda path: as_h5ad(path, None, a=X, b=X), "no X, but layers/a, layers/b; choose one as"),
    "no layer": ("x.h5ad::layers/z", as_h5ad, "holds no matrix 'layers/z', only X"),
    "no zarr": ("x.zarr", empty_folder, "neither an array nor a group of zarr"),
    "no zarr folder": ("x.zarr", junk, "zarr"),
    "zarr cube": ("x.zarr", lambda path: as_zarr(path, np.ones((2, 2, 2))), "it has 3 dimensions"),
    "no such zarr array": ("x.zarr::a", as_zarr_group, "holds no dataset 'a', only"),
    "a zarr array has none": ("x.zarr::a", as_zarr, "an array of its own, without one called 'a'"),
    "empty Parquet folder": ("x.parquet", empty_folder, "a folder without .parquet files"),
    "junk Parquet folder": ("x", junk_folder, "Parquet"),
    "words in Parquet": ("x", words_in_folder, "column c holds .*string, not numbers"),
    "a name for Parquet": ("x.parquet::a", as_parquet, "::a would choose an array of an .npz file or the like"),
}


@pytest.mark.parametrize("what", ERRORS)
def test_errors_name_the_file(tmp_path, what):
    name, save, message = ERRORS[what]
    path = tmp_path / name.partition("::")[0]
    save(path)
    for budget in (None, Budget()):
        with pytest.raises(ValueError, match=message) as caught:
            read_matrix(tmp_path / name, budget=budget)
        assert str(caught.value).startswith(f"{path}: ")
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["x.h5", "x.h5ad", "x.zarr", "x.hdf5::X", "x.parquet", "folder"])
def test_missing_files(tmp_path, name):
    with pytest.raises((OSError, ValueError), match=name.partition("::")[0]):
        read_matrix(tmp_path / name)


def test_a_plain_folder_is_no_matrix(tmp_path):
    (tmp_path / "x.csv").touch()
    with pytest.raises(IsADirectoryError):
        read_matrix(tmp_path)


@pytest.mark.parametrize(("entry", "message"), [(-1.0, r"a negative value \(-1\)"), (np.nan, "NaN"), (np.inf, "inf")])
def test_entries_that_cannot_be_are_found_in_their_block(tmp_path, in_small_blocks, entry, message):
    A = X.copy()
    A[130, 2] = entry
    as_h5(tmp_path / "x.h5", A)
    source = read_matrix(tmp_path / "x.h5", budget=Budget()).X
    with pytest.raises(ValueError, match=rf"block 2 of X \(rows 128 to 191\) contains {message}.*row 2, column 2"):
        nmf_core.factorize(source, 2)


def test_a_file_that_is_damaged_inside(tmp_path, in_small_blocks):
    as_zarr(tmp_path / "x.zarr", chunks=(100, M))
    source = read_matrix(tmp_path / "x.zarr", budget=Budget()).X
    assert json.loads((tmp_path / "x.zarr/zarr.json").read_text())["node_type"] == "array"
    (tmp_path / "x.zarr/c/1/0").write_bytes(b"damaged")
    with pytest.raises(ValueError, match=r"x\.zarr: "):
        nmf_core.factorize(source, 2)


@pytest.mark.parametrize(
    ("name", "save", "missing"),
    [("x.h5", as_h5, "h5py"), ("x.zarr", as_zarr, "zarr"), ("x.h5ad", as_h5ad, "anndata"), ("x.h5ad", as_h5ad, "h5py")],
)
def test_a_library_that_is_not_there(tmp_path, monkeypatch, name, save, missing):
    save(tmp_path / name)
    monkeypatch.setitem(sys.modules, missing, None)
    if missing == "anndata":
        monkeypatch.setitem(sys.modules, "anndata.io", None)
    with pytest.raises(ImportError, match=rf'needs {missing}: pip install "nmf-core\[io\]"'):
        read_matrix(tmp_path / name)
