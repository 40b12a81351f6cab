"""The command line: what it reads, writes, prints and returns."""

import functools
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.io
import scipy.sparse as sp

import nmf_core
from nmf_core import cli
from nmf_core.cli import main
from nmf_core.io import read_matrix

ROWS, COLUMNS = tuple(f"row {i}" for i in range(12)), tuple("abcdefg")


@pytest.fixture
def X(rng):
    return rng.random((12, 3)) @ rng.random((3, 7))


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """An empty folder as the current one."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def table(X):
    frame = pd.DataFrame(X, index=ROWS, columns=COLUMNS)
    frame.to_csv("table.csv")
    return frame


def command(*arguments, **options):
    """The command in a process of its own."""
    line = [sys.executable, "-m", "nmf_core.cli", *map(str, arguments)]
    return subprocess.run(line, check=False, capture_output=True, text=True, timeout=120, **options)


def names(folder="."):
    return sorted(path.name for path in Path(folder).iterdir())


def run(line):
    return main(line.split())


def failing(capsys, *arguments):
    """The one line that a command prints when its input is bad."""
    before = names()
    assert main([str(argument) for argument in arguments]) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("nmf-core: error: ")
    assert printed.err.count("\n") == 1
    assert names() == before
    return printed.err


def test_fit_writes_a_model_with_labels(table, capsys):
    assert main(["fit", "table.csv", "-k", "3", "--seed", "0"]) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    assert "relative error" in printed.out
    assert "table.nmf.npz" in printed.out
    f = nmf_core.load("table.nmf.npz")
    assert (f.row_labels, f.column_labels) == (ROWS, COLUMNS)
    assert f.n_components == 3
    assert f.summary()["relative_error"] < 0.1
    assert names() == ["table.csv", "table.nmf.npz"]


@pytest.mark.parametrize(
    ("name", "save"),
    [
        ("x.npy", np.save),
        ("x.npz", lambda path, X: np.savez(path, X)),
        ("x.npz", lambda path, X: sp.save_npz(path, sp.csc_array(X))),
        ("x.mtx", lambda path, X: scipy.io.mmwrite(path, sp.coo_array(X))),
        ("x.csv", lambda path, X: np.savetxt(path, X, delimiter=",")),
        ("x.tsv", lambda path, X: np.savetxt(path, X, delimiter="\t")),
        ("x.parquet", lambda path, X: pd.DataFrame(X, columns=COLUMNS).to_parquet(path)),
    ],
)
def test_every_format_gives_the_same_result(X, name, save):
    save(name, X)
    assert main(["fit", name, "-k", "2", "--quiet"]) == 0
    expected = nmf_core.factorize(X, 2, random_state=0).summary()["relative_error"]
    assert nmf_core.load("x.nmf.npz").summary()["relative_error"] == pytest.approx(expected, rel=1e-2)


def test_options_arrive_at_the_fit(X):
    np.save("x.npy", X)
    options = "--solver mu --init random --alpha-W .01 --alpha-H .02 --l1-ratio .5 --tol 1e-3 --max-iter 7"
    more = "--time-limit 100 --seed 5 --threads 1 --dtype float32 -o other.npz -q"
    assert main(["fit", "x.npy", "-k", "2", *options.split(), *more.split()]) == 0
    penalties = {"alpha_W": 0.01, "alpha_H": 0.02, "l1_ratio": 0.5}
    stopping = {"tol": 1e-3, "max_iter": 7, "time_limit": 100}
    expected = nmf_core.factorize(
        X.astype("f4"), 2, solver="mu", init="random", random_state=5, n_threads=1, **penalties, **stopping
    )
    f = nmf_core.load("other.npz")
    assert f.parameters == expected.parameters
    assert (f.solver, f.init, f.n_threads) == ("mu", "random", 1)
    assert f.W.dtype == np.float32
    np.testing.assert_array_equal(f.W, expected.W)
    assert names() == ["other.npz", "x.npy"]


def test_factors_and_report_beside_the_model(table, capsys):
    Path("out").mkdir()
    assert run("fit table.csv -k 2 -o out/m.nmf.npz --factors csv --report out/page.html") == 0
    assert names("out") == ["m.H.csv", "m.W.csv", "m.nmf.npz", "page.html"]
    assert "out/page.html" in capsys.readouterr().out.replace(os.sep, "/")
    f = nmf_core.load("out/m.nmf.npz")
    W, H = read_matrix("out/m.W.csv"), read_matrix("out/m.H.csv")
    np.testing.assert_allclose(W.X, f.W, rtol=1e-12)
    np.testing.assert_allclose(H.X, f.H, rtol=1e-12)
    assert (W.row_labels, W.column_labels) == (ROWS, ("c1", "c2"))
    assert (H.row_labels, H.column_labels) == (("c1", "c2"), COLUMNS)
    assert "<h1>table.csv</h1>" in Path("out/page.html").read_text(encoding="utf-8")

    assert run("fit table.csv -k 2 -o m.npz --factors npy -q") == 0
    np.testing.assert_array_equal(np.load("m.H.npy"), nmf_core.load("m.npz").H)


def test_transform_gives_w_of_new_rows(table, X, rng):
    main(["fit", "table.csv", "-k", "3", "-q"])
    f = nmf_core.load("table.nmf.npz")
    table.iloc[:4].rename("new {}".format).to_csv("new.csv")
    assert main(["transform", "table.nmf.npz", "new.csv", "-q"]) == 0
    W = read_matrix("new.W.csv")
    np.testing.assert_allclose(W.X, f.transform(X[:4]), rtol=1e-9)
    assert W.column_labels == ("c1", "c2", "c3")

    table[list(rng.permutation(COLUMNS))].to_csv("shuffled.csv")
    assert main(["transform", "table.nmf.npz", "shuffled.csv", "-o", "w.npy", "--threads", "1", "-q"]) == 0
    np.testing.assert_allclose(np.load("w.npy"), f.transform(X), rtol=1e-9)


@pytest.mark.parametrize("loss", ["kullback-leibler", "itakura-saito", "frobenius", "1.5", "0.5", "-1"])
def test_loss_by_name_or_number(table, X, loss, capsys):
    """It is minimised, kept, told, and what `transform` minimises later."""
    assert main(["fit", "table.csv", "-k", "2", "--loss", loss, "--seed", "0", "--init", "random"]) == 0
    assert f" {loss}" in capsys.readouterr().out
    kept = float(loss) if loss[-1].isdigit() else loss
    expected = nmf_core.factorize(X, 2, loss=kept, random_state=0, init="random")
    f = nmf_core.load("table.nmf.npz")
    assert (f.loss, f.solver) == (kept, expected.solver)
    np.testing.assert_allclose(f.W, expected.W, rtol=1e-6, atol=1e-9)
    assert f.divergence == pytest.approx(nmf_core.beta_divergence(X, f.W, f.H, kept), rel=1e-9)
    table.iloc[:5].to_csv("new.csv")
    assert run("transform table.nmf.npz new.csv -o w.npy -q") == 0
    np.testing.assert_allclose(np.load("w.npy"), expected.transform(X[:5]), rtol=1e-6, atol=1e-9)


def test_loss_is_in_the_json_and_on_the_page(table):
    done = command("fit", "table.csv", "-k", 2, "--loss", "kullback-leibler", "--json", "--report", "page.html")
    assert (done.returncode, done.stderr) == (0, "")
    said = json.loads(done.stdout)
    assert said["loss"] == "kullback-leibler"
    assert said["parameters"]["solver"] == "newton"
    assert said["divergence"] == nmf_core.load("table.nmf.npz").divergence
    assert "kullback-leibler" in Path("page.html").read_text(encoding="utf-8")
    done = command("fit", "table.csv", "-k", 2, "--loss", "1.5", "--json")
    assert json.loads(done.stdout)["loss"] == 1.5


def test_losses_that_do_not_fit_are_one_line(table, capsys):
    table.iloc[2, 3] = 0.0
    table.to_csv("zeros.csv")
    zeros = failing(capsys, "fit", "zeros.csv", "-k", 2, "--loss", "itakura-saito")
    assert "When beta_loss <= 0 and X contains zeros" in zeros
    assert "loss" in failing(capsys, "fit", "table.csv", "-k", 2, "--loss", "nan")
    mismatch = failing(capsys, "fit", "table.csv", "-k", 2, "--loss", "kullback-leibler", "--solver", "hals")
    assert "'hals'" in mismatch
    assert "'kullback-leibler'" in mismatch
    assert main(["fit", "table.csv", "-k", "2", "--loss", "itakura-saito", "-q"]) == 0
    assert "contains zeros" in failing(capsys, "transform", "table.nmf.npz", "zeros.csv")


def test_json_is_all_that_is_printed(table):
    done = command("fit", "table.csv", "-k", 2, "--json", "--report", "page.html")
    assert (done.returncode, done.stderr) == (0, "")
    said = json.loads(done.stdout)
    assert said["n_components"] == 2
    assert said["parameters"]["solver"] == "hals"
    assert said["written"] == ["table.nmf.npz", "page.html"]
    assert said["version"] == nmf_core.__version__
    done = command("transform", "table.nmf.npz", "table.csv", "--json")
    assert json.loads(done.stdout)["n_samples"] == 12


def test_quiet_prints_nothing(table):
    done = command("fit", "table.csv", "-k", 2, "--quiet")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="needs a terminal to try on")
@pytest.mark.parametrize("quiet", [False, True])
def test_progress_bar_on_a_terminal_only(table, quiet):
    import termios

    ours, theirs = os.openpty()
    termios.tcsetwinsize(theirs, (24, 100))
    with os.fdopen(ours, "rb", buffering=0) as screen:
        line = [sys.executable, "-m", "nmf_core.cli", "fit", "table.csv", "-k", "2", *["--quiet"] * quiet]
        done = subprocess.run(line, check=True, stdout=subprocess.PIPE, stderr=theirs, timeout=120)
        os.write(theirs, b"end")
        shown = b""
        while not shown.endswith(b"end"):
            shown += screen.read(1000)
        os.close(theirs)
    assert (b"objective=" in shown) != quiet
    assert (done.stdout == b"") == quiet


def test_a_reader_that_leaves_is_no_reason_for_a_traceback(table):
    line = [sys.executable, "-m", "nmf_core.cli", "fit", "table.csv", "-k", "2"]
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(120) == 1
    assert "table.nmf.npz" in names()


def test_interrupt_keeps_the_factors_so_far(table, monkeypatch, capsys):
    def interrupt(state):
        if state.iteration == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(cli, "factorize", functools.partial(nmf_core.factorize, callback=interrupt))
    assert run("fit table.csv -k 2 --tol 0") == 0
    printed = capsys.readouterr()
    assert printed.err.startswith("nmf-core: interrupted after ")
    assert nmf_core.load("table.nmf.npz").stop_reason == "interrupted"


def test_interrupt_with_nothing_to_keep(table, monkeypatch, capsys):
    def interrupted(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "read_matrix", interrupted)
    assert run("fit table.csv -k 2") == 130
    assert capsys.readouterr().err == "nmf-core: interrupted\n"
    assert names() == ["table.csv"]


@pytest.mark.parametrize(
    "arguments",
    [
        "",
        "fit",
        "fit x.npy",
        "fit x.npy -k two",
        "fit x.npy -k 2 --solver none",
        "fit x.npy -k 2 --loss manhattan",
        "fit x.npy -k 2 --alpha-H x",
        "walk",
    ],
)
def test_wrong_usage(arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        run(arguments)
    assert caught.value.code == 2
    assert "usage: nmf-core" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", ["--help", "fit --help", "transform --help", "demo --help", "--version"])
def test_help(arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        run(arguments)
    assert caught.value.code == 0
    printed = capsys.readouterr().out
    assert "nmf-core" in printed
    if arguments == "--version":
        assert printed == f"nmf-core {nmf_core.__version__}\n"


def test_bad_files(X, capsys):
    assert "nothing.csv: No such file" in failing(capsys, "fit", "nothing.csv", "-k", 2)
    assert "must end in one of" in failing(capsys, "fit", "x.txt", "-k", 2)
    Path("folder.csv").mkdir()
    assert "folder.csv: Is a directory" in failing(capsys, "fit", "folder.csv", "-k", 2)
    Path("empty.csv").touch()
    assert "empty.csv: it is empty" in failing(capsys, "fit", "empty.csv", "-k", 2)
    Path("bad.npy").write_bytes(b"\x93NUMPY\x01\x00")
    assert "bad.npy: " in failing(capsys, "fit", "bad.npy", "-k", 2)
    np.savez("two.npz", A=X, B=X)
    assert "holds 2 arrays (A, B); choose one as two.npz::NAME" in failing(capsys, "fit", "two.npz", "-k", 2)
    assert main(["fit", "two.npz::B", "-k", "2", "-q"]) == 0
    assert Path("two.nmf.npz").exists()


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (np.array([[1.0, np.nan], [1, 1]]), "NaN, first at row 0, column 1"),
        (np.array([[1.0, 1], [-2, 1]]), r"negative value (-2), first at row 1, column 0"),
        (np.array([1.0, 2]), "2 dimensions"),
        (np.array([["a", "b"]]), "strings"),
        (np.array([[1 + 2j, 1], [0, 1]]), "complex"),
        (np.zeros((0, 3)), "empty"),
    ],
)
@pytest.mark.parametrize("dtype", [[], ["--dtype", "float32"]])
def test_bad_values(values, words, dtype, capsys):
    np.save("x.npy", values)
    assert words in failing(capsys, "fit", "x.npy", "-k", 1, *dtype)


@pytest.mark.parametrize(
    "arguments",
    [
        *("-k 0", "-k -3", "-k 99999999", "-k 10 --init nndsvd"),
        *("-k 2 --alpha-W -1", "-k 2 --l1-ratio 2", "-k 2 --tol nan", "-k 2 --max-iter 0"),
        *("-k 2 --threads 0", "-k 2 --seed -1"),
    ],
)
def test_bad_numbers(arguments, table, capsys):
    failing(capsys, "fit", "table.csv", *arguments.split())


def test_bad_destinations_are_found_before_the_work(table, monkeypatch, capsys):
    monkeypatch.setattr(cli, "read_matrix", None)
    Path("folder").mkdir()
    Path("m.npz").touch()
    fit = ("fit", "table.csv", "-k", 2)
    assert "nowhere: No such folder" in failing(capsys, *fit, "-o", "nowhere/m.npz")
    assert "folder: Is a directory" in failing(capsys, *fit, "-o", "folder")
    assert "No such folder" in failing(capsys, *fit, "--report", "nowhere/page.html")
    assert "written over" in failing(capsys, *fit, "-o", "table.csv")
    assert "written over" in failing(capsys, *fit, "-o", "m.npz", "--report", "m.npz")
    assert "must end in" in failing(capsys, "transform", "m.npz", "table.csv", "-o", "w.txt")
    assert "written over" in failing(capsys, "transform", "m.npz", "table.csv", "-o", "table.csv")


def test_bad_models(table, X, capsys):
    np.savez("other.npz", X=X)
    assert "not a saved factorization" in failing(capsys, "transform", "other.npz", "table.csv")
    assert "nothing.npz" in failing(capsys, "transform", "nothing.npz", "table.csv")
    main(["fit", "table.csv", "-k", "2", "-q"])
    whole = Path("table.nmf.npz").read_bytes()
    Path("half.npz").write_bytes(whole[: len(whole) // 2])
    assert "not a saved factorization" in failing(capsys, "transform", "half.npz", "table.csv")
    table.rename(columns={"b": "z"}).to_csv("renamed.csv")
    assert "no column 'b'" in failing(capsys, "transform", "table.nmf.npz", "renamed.csv")
    table.assign(z=1.0).to_csv("more.csv")
    assert "a column 'z'" in failing(capsys, "transform", "table.nmf.npz", "more.csv")
    np.save("narrow.npy", X[:, :3])
    failing(capsys, "transform", "table.nmf.npz", "narrow.npy")


def test_a_failing_write_leaves_nothing(table, monkeypatch, capsys):
    def full(*arguments, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "save", full)
    monkeypatch.setattr(np, "savez", full)
    assert "No space left on device" in failing(capsys, "fit", "table.csv", "-k", 2)


@pytest.mark.parametrize(
    ("missing", "arguments"),
    [
        ("pandas", ["fit", "table.csv", "-k", "2"]),
        ("jinja2", ["fit", "x.npy", "-k", "2", "--report", "page.html"]),
        ("matplotlib", ["fit", "x.npy", "-k", "2", "--report", "page.html"]),
        ("sklearn", ["demo"]),
    ],
)
def test_missing_libraries_are_named(missing, arguments, table, X):
    np.save("x.npy", X)
    program = f"import sys; sys.modules[{missing!r}] = None; from nmf_core.cli import main; exit(main({arguments}))"
    done = subprocess.run([sys.executable, "-c", program], check=False, capture_output=True, text=True)
    assert done.returncode == 1
    assert 'pip install "nmf-core[cli]"' in done.stderr
    assert done.stderr.count("\n") == 1
    assert names() == ["table.csv", "x.npy"]


def test_a_fit_needs_no_extras(X):
    np.save("x.npy", X)
    program = (
        "import sys; sys.modules.update(dict.fromkeys(['pandas', 'sklearn', 'matplotlib', 'tqdm']))\n"
        "from nmf_core.cli import main; exit(main(['fit', 'x.npy', '-k', '2']))"
    )
    subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, timeout=120)
