"""The command line with files that are read block by block, and its limit of memory."""

import subprocess
import sys
from pathlib import Path

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import zarr

import nmf_core
from nmf_core.cli import main
from nmf_core.cli.parser import make_parser
from nmf_core.data import RowBlocks
from nmf_core.io import memory, read_matrix

N, M = 200, 6
ROWS, COLUMNS = tuple(f"cell {i}" for i in range(N)), tuple("uvwxyz")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """An empty folder as the current one."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def X():
    rng = np.random.default_rng(0)
    return rng.random((N, 3)) @ rng.random((3, M))


@pytest.fixture
def tiny(monkeypatch):
    """A machine on which everything is large."""
    monkeypatch.setattr(memory, "physical_memory", lambda: 0)
    monkeypatch.setattr("nmf_core.data.sources._SMALL", 0)
    monkeypatch.setattr("nmf_core.data.blocks.BLOCK_BYTES", 64 * M * 8)
    monkeypatch.setattr("nmf_core.data.blocks._LANES", 64)


def save_all(X):
    """X in every format that can be read in blocks, and what the file is called."""
    np.save("x.npy", X)
    with h5py.File("x.h5", "w") as file:
        file["a/X"], file["cube"] = X, np.ones((2, 2, 2))
    zarr.create_array("x.zarr", data=X)
    frames = {"obs": pd.DataFrame(index=list(ROWS)), "var": pd.DataFrame(index=list(COLUMNS))}
    anndata.AnnData(sp.csr_matrix(X), **frames).write_h5ad("x.h5ad")
    frame = pd.DataFrame(X, index=list(ROWS), columns=list(COLUMNS))
    frame.to_parquet("x.parquet")
    Path("parts").mkdir()
    frame.iloc[:120].to_parquet("parts/0.parquet")
    frame.iloc[120:].to_parquet("parts/1.parquet")
    return {"x.npy": False, "x.h5": False, "x.zarr": False, "x.h5ad": True, "x.parquet": True, "parts": True}


def failing(capsys, *arguments):
    """The one line that a command prints when its input is bad, after what it says of text that it reads."""
    assert main([str(argument) for argument in arguments]) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    *said, error = printed.err.splitlines()
    assert error.startswith("nmf-core: error: ")
    assert not any(line.startswith("nmf-core: error: ") for line in said)
    assert not list(Path().glob("*.nmf.npz"))
    return error


def test_fit_and_transform_in_blocks(X, tiny):
    whole = nmf_core.factorize(X, 2, random_state=0)
    for name, labelled in save_all(X).items():
        assert main(["fit", name, "-k", "2", "--seed", "0", "-q", "-o", "m.npz", "--factors", "csv"]) == 0
        f = nmf_core.load("m.npz")
        np.testing.assert_allclose(f.W @ f.H, whole.W @ whole.H, rtol=1e-6)
        assert f.n_iter == whole.n_iter
        assert (f.row_labels, f.column_labels) == ((ROWS, COLUMNS) if labelled else (None, None))
        assert main(["transform", "m.npz", name, "-o", "w.csv", "-q"]) == 0
        table = read_matrix("w.csv")
        np.testing.assert_allclose(table.X, f.transform(X), rtol=1e-6)
        assert table.row_labels == (ROWS if labelled else tuple(map(str, range(N))))


def test_default_names_of_outputs(X, tiny, monkeypatch):
    save_all(X)
    for name, stem in (("x.h5::a/X", "x"), ("x.zarr", "x"), ("parts", "parts"), ("parts/", "parts")):
        assert main(["fit", name, "-k", "2", "-q"]) == 0
        assert Path(f"{stem}.nmf.npz").is_file()
        Path(f"{stem}.nmf.npz").unlink()
    monkeypatch.chdir("parts")
    assert main(["fit", ".", "-k", "2", "-q"]) == 0
    assert sorted(path.name for path in Path().iterdir()) == ["0.parquet", "1.parquet", "parts.nmf.npz"]


def test_other_losses_and_types_in_blocks(X, tiny):
    save_all(X)
    options = ["--seed", "0", "-q", "-o", "m.npz", "--loss", "kullback-leibler", "--dtype", "float32"]
    assert main(["fit", "x.h5", "-k", "2", *options]) == 0
    f = nmf_core.load("m.npz")
    assert (f.solver, f.W.dtype) == ("mue", np.float32)
    assert f.summary()["relative_error"] < 0.1


def test_columns_are_matched_by_labels_in_blocks(X, tiny, capsys):
    save_all(X)
    assert main(["fit", "x.parquet", "-k", "2", "--seed", "0", "-q"]) == 0
    other = pd.DataFrame(X, index=list(ROWS), columns=list(COLUMNS))[list("zyxuvw")]
    other.to_parquet("other.parquet")
    assert main(["transform", "x.nmf.npz", "other.parquet", "-o", "w.npy", "-q"]) == 0
    np.testing.assert_allclose(np.load("w.npy"), nmf_core.load("x.nmf.npz").transform(X), rtol=1e-10)
    Path("x.nmf.npz").rename("m.npz")
    other.rename(columns={"u": "q"}).to_parquet("other.parquet")
    assert "lacking, the first 'u'" in failing(capsys, "transform", "m.npz", "other.parquet")


# --- limits


@pytest.mark.parametrize(
    ("text", "n_bytes"),
    [("100", 100), ("2GB", 2 * 10**9), ("1.5 MiB", 3 << 19), ("512kib", 1 << 19), ("3KB", 3000), (".5GiB", 1 << 29)],
)
def test_sizes(text, n_bytes):
    assert make_parser().parse_args(["fit", "x.npy", "-k", "2", "--memory-limit", text]).memory_limit == n_bytes


@pytest.mark.parametrize("text", ["", "much", "2 apples", "-1GB", "1e9", "GB", "1,5GB", "nan"])
def test_sizes_that_are_none(text, capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["fit", "x.npy", "-k", "2", f"--memory-limit={text}"])
    assert "is not like 2GB, 512MiB or 100000; units are B, KB, MB, GB" in capsys.readouterr().err


def test_what_needs_x_whole_says_so_before_the_work(X, capsys, monkeypatch):
    save_all(X)
    monkeypatch.setattr("nmf_core.cli.commands.factorize", lambda *_, **__: pytest.fail("work was begun"))
    fit = ["fit", "x.h5ad", "-k", "2", "--memory-limit", "10MB"]
    for options in (["--report", "page.html"], ["--missing", "nan"], ["--biases"]):
        error = failing(capsys, *fit, *options)
        assert f"x.h5ad: {options[0]} needs X in memory; with the work on it that takes about" in error
        assert "more than the memory limit, 10 MB" in error
    assert "with 2 components takes about" in failing(capsys, *fit)
    monkeypatch.setattr(memory, "physical_memory", lambda: 1000)
    for arguments in (["rank", "x.h5::a/X"], ["compare", "parts", "-k", "2"]):
        error = failing(capsys, *arguments)
        assert "needs X in memory" in error
        assert "more than there is, 1 KB" in error


def test_what_needs_x_whole_gets_it(X, monkeypatch):
    save_all(X)
    monkeypatch.setattr(memory, "SHARE", 0)
    assert main(["fit", "x.h5ad", "-k", "2", "-q", "--report", "page.html", "-o", "m.npz"]) == 0
    assert "<h1>x.h5ad</h1>" in Path("page.html").read_text(encoding="utf-8")
    assert main(["fit", "x.npy", "-k", "2", "-q", "--missing", "nan", "--memory-limit", "1GB"]) == 0
    assert main(["rank", "x.zarr", "--ranks", "1", "--seed", "0", "-q"]) == 0


def test_a_limit_decides_how_x_is_read(X, monkeypatch):
    save_all(X)
    given = []
    real = nmf_core.factorize

    def factorize(A, *arguments, **options):
        given.append(A.X)
        return real(A, *arguments, **options)

    monkeypatch.setattr("nmf_core.cli.commands.factorize", factorize)
    monkeypatch.setattr(memory, "SMALLEST_BLOCK", 1000)
    least = 100_000_000 + 3 * (N + M) * 96 + 4 * 1000
    for limit, kind in ((least, RowBlocks), ("101MB", np.ndarray)):
        assert main(["fit", "x.npy", "-k", "2", "-q", "--memory-limit", str(limit)]) == 0
        assert isinstance(given[-1], kind)
    assert [len(block) for block in given[-2].blocks()] == 10 * [20]


def test_a_limit_is_not_for_triplets(capsys):
    arguments = ["fit", "x.csv", "-k", "2", "--triplets", "a", "b", "c", "--memory-limit", "1GB"]
    assert "--memory-limit is not for --triplets" in failing(capsys, *arguments)


def test_errors_are_one_line(X, capsys, tiny):
    save_all(X)
    assert "x.h5: holds no dataset 'b', only a/X, cube" in failing(capsys, "fit", "x.h5::b", "-k", 2)
    assert "missing.h5: No such file" in failing(capsys, "fit", "missing.h5", "-k", 2)
    X[77, 3] = -2
    np.save("x.npy", X)
    error = failing(capsys, "fit", "x.npy", "-k", 2)
    assert "block 1 of X (rows 64 to 127) contains a negative value (-2), first at row 13, column 3" in error
    with Path("x.npy").open("r+b") as file:
        file.truncate(5000)
    assert "x.npy" in failing(capsys, "fit", "x.npy", "-k", 2)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peaks of memory are read where Linux tells them")
def test_peak_memory_stays_below_the_limit():
    rng = np.random.default_rng(0)
    rows = rng.random((4096, 3)) @ rng.random((3, 256))
    with Path("x.npy").open("wb") as file:
        np.lib.format.write_array_header_1_0(
            file, {"descr": "<f8", "fortran_order": False, "shape": (36 * len(rows), 256)}
        )
        for _ in range(36):
            file.write(rows.tobytes())
    assert Path("x.npy").stat().st_size > 300e6
    program = """
        import re, sys
        from pathlib import Path
        from nmf_core.cli import main
        assert main(sys.argv[1:]) == 0
        print(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1])
        """
    command = ["fit", "x.npy", "-k", "3", "--max-iter", "3", "--memory-limit", "250MB", "-q", "--seed", "0"]
    line = [sys.executable, "-c", "\n".join(text.strip() for text in program.splitlines()), *command]
    done = subprocess.run(line, check=True, capture_output=True, text=True, timeout=120)
    assert 1024 * int(done.stdout) < 250e6
    assert nmf_core.load("x.nmf.npz").summary()["relative_error"] < 0.2
