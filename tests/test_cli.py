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
from nmf_core.cli import commands, main
from nmf_core.cli.parser import make_parser
from nmf_core.cli.wording import in_options
from nmf_core.comparison import compare_solvers
from nmf_core.ensemble import RankSurvey, rank_survey
from nmf_core.io import read_matrix, read_triplets
from nmf_core.model_selection import RankSelection, cross_validate_rank

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
    """The one line that a command prints when its input is bad, after what it says of text that it reads."""
    before = names()
    assert main([str(argument) for argument in arguments]) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    *said, error = printed.err.splitlines()
    assert error.startswith("nmf-core: error: ")
    assert not any(line.startswith("nmf-core: error: ") for line in said)
    assert names() == before
    return error


def test_fit_writes_a_model_with_labels(table, capsys):
    assert main(["fit", "table.csv", "-k", "3", "--seed", "0"]) == 0
    printed = capsys.readouterr()
    taken = "first line taken for labels of columns, first column taken for labels of rows"
    assert printed.err == f"nmf-core: table.csv: 12 rows x 7 columns; {taken}\n"
    assert "relative error" in printed.out
    assert "table.nmf.npz" in printed.out
    f = nmf_core.load("table.nmf.npz")
    assert (f.row_labels, f.column_labels) == (ROWS, COLUMNS)
    assert f.n_components == 3
    assert f.summary()["relative_error"] < 0.1
    assert names() == ["table.csv", "table.nmf.npz"]


def test_what_is_in_a_model_is_told(table, capsys):
    assert main(["fit", "table.csv", "-k", "3", "--seed", "0"]) == 0
    f, printed = nmf_core.load("table.nmf.npz"), capsys.readouterr().out
    info = f.component_info(8)
    for name, features in zip(f.names, info["top_features"], strict=True):
        [line] = [line for line in printed.splitlines() if line.startswith(f"{name} ")]
        assert features in line
    assert main(["show", "table.nmf.npz"]) == 0
    shown = capsys.readouterr().out
    assert shown.splitlines()[-3:] == printed.splitlines()[-3:]
    assert "table.nmf.npz" in shown
    assert main(["show", "table.nmf.npz", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)["components"]
    assert [one["component"] for one in told] == list(f.names)
    assert [one["share"] for one in told] == pytest.approx(info["share"].tolist())
    assert told[0]["samples"] == f.component_info(3)["top_samples"][0].split(", ")
    assert "has no" in failing(capsys, "show", "none.npz") or "No such file" in failing(capsys, "show", "none.npz")


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


@pytest.mark.slow
def test_loss_is_in_the_json_and_on_the_page(table):
    done = command("fit", "table.csv", "-k", 2, "--loss", "kullback-leibler", "--json", "--report", "page.html", "-q")
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
    assert "X contains zeros" in zeros
    assert "beta_loss" not in zeros
    assert "loss" in failing(capsys, "fit", "table.csv", "-k", 2, "--loss", "nan")
    mismatch = failing(capsys, "fit", "table.csv", "-k", 2, "--loss", "kullback-leibler", "--solver", "hals")
    assert "--solver hals does not minimise --loss kullback-leibler; 'auto'" in mismatch
    assert main(["fit", "table.csv", "-k", "2", "--loss", "itakura-saito", "-q"]) == 0
    assert "contains zeros" in failing(capsys, "transform", "table.nmf.npz", "zeros.csv")


@pytest.mark.slow
def test_json_is_all_that_is_printed(table):
    done = command("fit", "table.csv", "-k", 2, "--json", "--report", "page.html", "-q")
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
@pytest.mark.parametrize("quiet", [False, pytest.param(True, marks=pytest.mark.exhaustive)])
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
        assert b"Traceback" not in process.stderr.read()
        assert process.wait(120) == 1
    assert "table.nmf.npz" in names()


def test_interrupt_keeps_the_factors_so_far(table, monkeypatch, capsys):
    def interrupt(state):
        if state.iteration == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(commands, "factorize", functools.partial(nmf_core.factorize, callback=interrupt))
    assert run("fit table.csv -k 2 --tol 0") == 0
    printed = capsys.readouterr()
    assert "\nnmf-core: interrupted after " in printed.err
    assert nmf_core.load("table.nmf.npz").stop_reason == "interrupted"


def test_interrupt_with_nothing_to_keep(table, monkeypatch, capsys):
    def interrupted(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(commands, "read_matrix", interrupted)
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
        "fit x.npy -k 2 --missing zeros",
        "fit x.npy -k 2 --triplets user item",
        *(f"rank x.npy --ranks {ranks}" for ranks in ("0-3", "5-2", "x", "2-", "2-9:0", "2,,3", "1-999999999")),
        "rank x.npy --method guess",
        "consensus x.npy --resample jackknife",
        "consensus x.npy --rule guess",
        "consensus x.npy --ranks 3-2",
        "recommend m.npz",
        "walk",
    ],
)
def test_wrong_usage(arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        run(arguments)
    assert caught.value.code == 2
    assert "usage: nmf-core" in capsys.readouterr().err


COMMANDS = ("fit", "transform", "rank", "consensus", "compare", "recommend", "demo")


@pytest.mark.parametrize("arguments", ["--help", *(f"{command} --help" for command in COMMANDS)])
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
    monkeypatch.setattr(commands, "read_matrix", None)
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
    assert "lacking, the first 'b'" in failing(capsys, "transform", "table.nmf.npz", "renamed.csv")
    table.assign(z=1.0).to_csv("more.csv")
    assert "1 of 8 are not known, the first 'z'" in failing(capsys, "transform", "table.nmf.npz", "more.csv")
    np.save("narrow.npy", X[:, :3])
    failing(capsys, "transform", "table.nmf.npz", "narrow.npy")


def test_a_failing_write_leaves_nothing(table, monkeypatch, capsys):
    def full(*arguments, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "save", full)
    monkeypatch.setattr(np, "savez", full)
    assert "No space left on device" in failing(capsys, "fit", "table.csv", "-k", 2)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("missing", "arguments"),
    [
        ("pandas", ["fit", "table.csv", "-k", "2"]),
        ("jinja2", ["fit", "x.npy", "-k", "2", "--report", "page.html"]),
        ("matplotlib", ["fit", "x.npy", "-k", "2", "--report", "page.html"]),
        ("matplotlib", ["rank", "x.npy", "--plot", "ranks.png"]),
        ("jinja2", ["consensus", "x.npy", "--report", "page.html"]),
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


# --- missing entries, triplets


@pytest.fixture
def ratings(rng):
    """Ratings of 40 users as a long table, in ratings.csv."""
    W, H = rng.gamma(1.0, size=(40, 2)), rng.gamma(1.0, size=(2, 15))
    users, items = np.nonzero(rng.random((40, 15)) < 0.5)
    frame = pd.DataFrame(
        {"item": [f"film {j}" for j in items], "user": [f"{i:03}" for i in users], "rating": (W @ H)[users, items]}
    )
    frame = frame.sample(frac=1, random_state=0)
    frame.to_csv("ratings.csv", index=False)
    return frame


TRIPLETS = ("--triplets", "user", "item", "rating")
KNOWN = (*TRIPLETS, "--missing", "unstored")


@pytest.fixture
def model(ratings):
    """A model of the ratings, in ratings.nmf.npz."""
    assert main(["fit", "ratings.csv", *KNOWN, "-k", "2", "--alpha-W", ".01", "--seed", "0", "-q"]) == 0
    return nmf_core.load("ratings.nmf.npz")


def test_fit_of_triplets(ratings):
    options = ["-k", "2", "--alpha-W", ".1", "--alpha-scaling", "observed", "--biases", "--seed", "0", "-q"]
    assert main(["fit", "ratings.csv", *KNOWN, *options, "--report", "page.html"]) == 0
    f = nmf_core.load("ratings.nmf.npz")
    X, rows, columns = read_triplets("ratings.csv", ("user", "item", "rating"))
    assert (f.row_labels, f.column_labels) == (rows, columns)
    assert rows == tuple(ratings["user"].drop_duplicates())
    same = {"alpha_W": 0.1, "alpha_scaling": "observed", "missing": "unstored", "biases": True}
    expected = nmf_core.factorize(X, 2, random_state=0, **same)
    assert f.parameters == expected.parameters
    np.testing.assert_array_equal(f.W, expected.W)
    np.testing.assert_array_equal(f.biases.columns, expected.biases.columns)
    assert f"{len(ratings)} known entries" in Path("page.html").read_text(encoding="utf-8")


def test_formats_and_dtype_of_triplets(ratings, model):
    ratings.to_csv("bare.tsv", sep="\t", index=False, header=False)
    ratings.to_parquet("r.parquet")
    same = ["--missing", "unstored", "-k", "2", "--alpha-W", ".01", "--seed", "0", "-q"]
    assert main(["fit", "bare.tsv", "--triplets", "1", "0", "2", *same, "-o", "a.npz"]) == 0
    assert main(["fit", "r.parquet", *TRIPLETS, *same, "-o", "b.npz", "--dtype", "float32"]) == 0
    a, b = nmf_core.load("a.npz"), nmf_core.load("b.npz")
    assert model.row_labels == a.row_labels == b.row_labels
    np.testing.assert_allclose(a.W, model.W, rtol=1e-9)
    assert b.W.dtype == np.float32


def test_empty_cells_are_missing_if_asked(table, capsys):
    table.iloc[2, 3] = table.iloc[4, 0] = np.nan
    table.to_csv("holes.csv")
    assert "--missing nan takes NaN for missing" in failing(capsys, "fit", "holes.csv", "-k", 2)
    assert "--missing unstored is for sparse" in failing(capsys, "fit", "holes.csv", "-k", 2, "--missing", "unstored")
    assert run("fit holes.csv -k 2 --missing nan --seed 0 -q") == 0
    f = nmf_core.load("holes.nmf.npz")
    # arrays of data frames are stored by rows or by columns, depending on the version of pandas
    holes = read_matrix("holes.csv").X
    np.testing.assert_array_equal(f.W, nmf_core.factorize(holes, 2, missing="nan", random_state=0).W)
    np.testing.assert_allclose(holes, table.to_numpy(), rtol=1e-15)
    assert run("transform holes.nmf.npz holes.csv -o w.npy -q") == 0
    np.testing.assert_allclose(np.load("w.npy"), f.transform(table.to_numpy()), rtol=1e-9)


def test_transform_of_rows_with_holes_by_a_model_of_complete_ones(table, capsys):
    assert run("fit table.csv -k 2 -q") == 0
    table.iloc[2, 3] = np.nan
    table.to_csv("holes.csv")
    assert "NaN" in failing(capsys, "transform", "table.nmf.npz", "holes.csv")
    assert run("transform table.nmf.npz holes.csv --missing nan -o w.npy -q") == 0
    known = np.delete(np.arange(7), 3)
    f = nmf_core.load("table.nmf.npz")
    expected = nmf_core.factorize(table.iloc[[2], known].to_numpy(), 2, H=f.H[:, known], update_H=False, tol=1e-9)
    np.testing.assert_allclose(np.load("w.npy")[2], expected.W[0], rtol=1e-2)


@pytest.mark.filterwarnings("default:.*passed over")
def test_transform_of_triplets(ratings, model, capsys):
    new = ratings[ratings["item"].isin(["film 3", "film 7", "film 1"])]
    new = new.iloc[::-1]
    new.to_csv("new.csv", index=False)
    assert main(["transform", "ratings.nmf.npz", "new.csv", *TRIPLETS, "-q"]) == 0
    W = read_matrix("new.W.csv")
    assert W.row_labels == tuple(new["user"].drop_duplicates())
    user = new["user"].iloc[0]
    mine = new[new["user"] == user]
    x = np.full(15, np.nan)
    x[[model.column_labels.index(item) for item in mine["item"]]] = mine["rating"]
    known = sp.csr_array(np.nan_to_num(x)[np.newaxis])
    np.testing.assert_allclose(W.X[0], model.transform(known)[0], rtol=1e-9)

    x[model.column_labels.index("film 3")] = np.nan
    new.replace("film 3", "film 99").to_csv("new.csv", index=False)
    capsys.readouterr()
    assert main(["transform", "ratings.nmf.npz", "new.csv", *TRIPLETS]) == 0
    assert "warning: 1 of 3 columns" in capsys.readouterr().err
    known = sp.csr_array(np.nan_to_num(x)[np.newaxis])
    np.testing.assert_allclose(read_matrix("new.W.csv").X[0], model.transform(known)[0], rtol=1e-9)
    new.assign(item="film 99").drop_duplicates("user").to_csv("new.csv", index=False)
    assert "no column that the model knows" in failing(capsys, "transform", "ratings.nmf.npz", "new.csv", *TRIPLETS)


def test_bad_triplets_are_one_line(ratings, capsys):
    fit = ("fit", "ratings.csv", "-k", 2, "--missing", "unstored", "--triplets")
    assert "no column 'stars'; its first line is item, user, rating" in failing(capsys, *fit, "user", "item", "stars")
    assert "must end in one of" in failing(capsys, "fit", "x.npy", "-k", 2, *TRIPLETS)
    whole = Path("ratings.csv").read_text()
    Path("ratings.csv").write_text(whole[: whole.rindex(",")])
    assert f"line {len(ratings) + 1}, column rating" in failing(capsys, *fit, *TRIPLETS[1:])
    pd.concat([ratings, ratings.iloc[[4]]]).to_csv("ratings.csv", index=False)
    twice = failing(capsys, *fit, *TRIPLETS[1:])
    assert f"is there twice, in line 6 and line {len(ratings) + 2}" in twice
    ratings.assign(rating=ratings["rating"] - 10).to_csv("ratings.csv", index=False)
    assert "negative; add" in failing(capsys, *fit, *TRIPLETS[1:])
    Path("ratings.csv").write_text("")
    assert "it is empty" in failing(capsys, *fit, *TRIPLETS[1:])


def test_warnings_are_one_line(X):
    X[np.sort(X, axis=1)[:, [-2]] > X] = np.nan
    np.save("x.npy", X)
    done = command("fit", "x.npy", "-k", 5, "--missing", "nan", "--max-iter", 2)
    assert done.returncode == 0
    read, few, unfinished = done.stderr.splitlines()
    assert read == "nmf-core: x.npy: 12 rows x 7 columns; no labels of columns, no labels of rows"
    assert few.startswith("nmf-core: warning: --components 5, but no row")
    assert unfinished.startswith("nmf-core: warning: The fit has stopped at --max-iter 2")
    assert command("fit", "x.npy", "-k", 5, "--missing", "nan", "--max-iter", 2, "-q").stderr == ""


# --- rank


def test_rank_prints_the_table_and_both_choices(ratings, capsys):
    options = ["--alpha-W", ".05", "--alpha-scaling", "observed", "--seed", "0", "--max-iter", "30"]
    line = ["rank", "ratings.csv", *KNOWN, "--ranks", "1-3", "--folds", "3", *options]
    assert main([*line, "--jobs", "2"]) == 0
    printed = capsys.readouterr()
    assert printed.err.startswith("nmf-core: ratings.csv: ")
    assert printed.err.count("\n") == 1
    X = read_triplets("ratings.csv", ("user", "item", "rating")).X
    same = {"alpha_W": 0.05, "alpha_scaling": "observed", "missing": "unstored", "max_iter": 30}
    expected = cross_validate_rank(X, [1, 2, 3], n_folds=3, random_state=0, **same)
    rows = [words.split() for words in printed.out.splitlines()[1:4]]
    assert [int(row[0]) for row in rows] == [1, 2, 3]
    np.testing.assert_allclose([float(row[1]) for row in rows], expected.mean, rtol=1e-5)
    assert f"smallest error                   {expected.best}\n" in printed.out
    assert f"within one standard error of it  {expected.best_one_standard_error}\n" in printed.out
    assert names() == ["ratings.csv"]

    assert main([*line, "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert [rank["errors"] for rank in said["ranks"]] == expected.errors.tolist()
    assert [rank["mean"] for rank in said["ranks"]] == expected.mean.tolist()
    assert (said["best"], said["best_one_standard_error"]) == (expected.best, expected.best_one_standard_error)
    assert (said["method"], said["loss"], said["written"]) == ("wold", "frobenius", [])


@pytest.mark.parametrize("text", ["1-3,5", "1,2,3,5", "1-2,3-5:2,1"])
def test_ranks(X, text, capsys):
    np.save("x.npy", X)
    options = "--method bi-cv --repeats 2 --loss kullback-leibler --seed 1 --max-iter 5 --json"
    assert run(f"rank x.npy --ranks {text} {options}") == 0
    said = json.loads(capsys.readouterr().out)
    assert [rank["n_components"] for rank in said["ranks"]] == [1, 2, 3, 5]
    assert [len(rank["errors"]) for rank in said["ranks"]] == [8] * 4
    assert (said["method"], said["loss"]) == ("bi-cv", "kullback-leibler")


def test_rank_chooses_how_and_names_what_exploded(X, capsys, monkeypatch):
    np.save("x.npy", X)
    sp.save_npz("x.npz", sp.csr_array(np.diag(np.arange(1.0, 151))))
    for name, method in (("x.npy", "wold"), ("x.npz", "bi-cv")):
        assert run(f"rank {name} --ranks 1 --max-iter 5 --seed 0 --json") == 0
        said = json.loads(capsys.readouterr().out)
        assert (said["method"], said["ranks"][0]["exploded"]) == (method, [])

    selection = RankSelection(np.array([1, 2]), np.array([[3.0, 3], [1, np.inf]]), "wold", "frobenius")
    monkeypatch.setattr("nmf_core.cli.commands.cross_validate_rank", lambda *args, **given: selection)
    assert run("rank x.npy --json") == 0
    rank = json.loads(capsys.readouterr().out)["ranks"][1]
    assert (rank["errors"], rank["mean"], rank["exploded"]) == ([1.0, None], 1.5, [1])


@pytest.mark.parametrize(
    ("name", "start"),
    [
        ("r.png", b"\x89PNG"),
        pytest.param("r.SVG", b"<?xml", marks=pytest.mark.exhaustive),
        pytest.param("r.pdf", b"%PDF", marks=pytest.mark.exhaustive),
    ],
)
def test_rank_draws_the_errors(X, name, start, capsys):
    np.save("x.npy", X)
    assert run(f"rank x.npy --plot {name} --ranks 1-2 --folds 2 --max-iter 5 --seed 0 -q") == 0
    assert capsys.readouterr() == ("", "")
    assert Path(name).read_bytes().startswith(start)


def test_bad_arguments_of_rank(X, capsys):
    np.save("x.npy", X)
    assert "must end in one of .png" in failing(capsys, "rank", "x.npy", "--plot", "x.jpg")
    assert "No such folder" in failing(capsys, "rank", "x.npy", "--plot", "nowhere/x.png")
    assert "--folds must" in failing(capsys, "rank", "x.npy", "--folds", 1)
    assert "too few for 9 folds" in failing(capsys, "rank", "x.npy", "--folds", 9, "--method", "bi-cv")
    assert "--jobs must" in failing(capsys, "rank", "x.npy", "--jobs", 0)
    assert "biases" in failing(capsys, "rank", "x.npy", "--method", "bi-cv", "--biases")
    assert "sparse" in failing(capsys, "rank", "x.npy", "--missing", "unstored")
    assert "No such file" in failing(capsys, "rank", "nothing.npy")


# --- consensus, and the best of several starts


def test_consensus_prints_the_table_and_the_choice(table, capsys):
    line = "consensus table.csv --ranks 2-4 --runs 5 --seed 0 --null"
    assert run(f"{line} -o best.npz --report page.html --plot survey.png") == 0
    printed = capsys.readouterr()
    assert printed.err.startswith("nmf-core: table.csv: ")
    expected = rank_survey(read_matrix("table.csv").X, [2, 3, 4], 5, null=True, random_state=0)
    lines = printed.out.splitlines()
    assert lines[0].split() == ["components", "runs", "held-out", "error", "standard", "error", "explained", "null",
                                "cophenetic", "dispersion", "pac", "silhouette", "stability", "least"]  # fmt: skip
    rows = np.array([line.split() for line in lines[1:4]], dtype=float)
    columns = ["n_components", "n_runs", "held_out", "held_out_se", "explained_variance", "null_explained_variance",
               "cophenetic", "dispersion", "pac", "silhouette", "stability_mean", "stability_min"]  # fmt: skip
    np.testing.assert_allclose(rows, expected.table[columns].to_numpy(), rtol=1e-3)
    said = dict(line.split("  ", 1) for line in lines[5:])
    said = {name: value.strip() for name, value in said.items()}
    assert (said["components"], said["rule"]) == (str(expected.best), expected.rule)
    assert said["reason"] == expected.reason
    assert said["written"] == "best.npz, page.html, survey.png"

    f, best = nmf_core.load("best.npz"), expected[expected.best].best
    np.testing.assert_array_equal(f.H, best.H)
    assert (f.row_labels, f.column_labels) == (ROWS, COLUMNS)
    page = Path("page.html").read_text(encoding="utf-8")
    assert f"5 runs of {expected.best} components" in page
    assert "Number of components" in page
    assert "<h1>table.csv</h1>" in page
    assert Path("survey.png").read_bytes().startswith(b"\x89PNG")


def test_consensus_of_replicates_as_json(X, capsys):
    np.save("x.npy", np.round(20 * X))
    line = "consensus x.npy --ranks 3,2 --runs 4 --resample poisson --no-held-out --rule pac --max-iter 20 --seed 1"
    assert run(f"{line} --loss kullback-leibler --checkpoint runs --json") == 0
    said = json.loads(capsys.readouterr().out)
    same = {"loss": "kullback-leibler", "max_iter": 20, "random_state": 1}
    expected = rank_survey(np.round(20 * X), [2, 3], 4, resample="poisson", held_out=False, rule="pac", **same)
    table = expected.table.drop(columns="seconds").to_dict("records")
    assert [{name: rank[name] for name in row} for rank, row in zip(said["ranks"], table, strict=True)] == table
    assert (said["resample"], said["loss"], said["written"]) == ("poisson", "kullback-leibler", [])
    assert (said["rule"], said["best"], said["reason"]) == ("pac", expected.best, expected.reason)
    assert names("runs") == ["k-0002", "k-0003"]
    assert len(nmf_core.load_ensemble("runs/k-0003")) == 4


def test_consensus_tells_what_is_done_after_an_interrupt(X, capsys, monkeypatch):
    np.save("x.npy", X)
    whole = rank_survey(X, [2, 3], 3, held_out=False, random_state=0)
    some = RankSurvey({2: nmf_core.factorize_many(X, 2, 2, random_state=0), 3: whole[3]})
    monkeypatch.setattr(commands, "rank_survey", lambda *arguments, **given: some)
    assert run("consensus x.npy --ranks 2-3 --runs 3 --rule held-out -o m.npz") == 0
    printed = capsys.readouterr()
    stopped, rule = printed.err.splitlines()[1:]
    assert stopped == "nmf-core: stopped after 5 of 6 runs; what is told is of these"
    assert rule.startswith("nmf-core: there are no errors of held-out entries for --rule held-out; ")
    assert nmf_core.load("m.npz").n_components == some.best

    def interrupted(*arguments, **given):
        raise KeyboardInterrupt

    monkeypatch.setattr(commands, "rank_survey", interrupted)
    assert run("consensus x.npy --ranks 2-3 -o n.npz") == 130
    assert names() == ["m.npz", "x.npy"]


def test_bad_arguments_of_consensus(X, capsys):
    np.save("x.npy", X)
    Path("m.npz").touch()
    line = ("consensus", "x.npy", "--ranks", "2-3")
    assert "must end in one of .png" in failing(capsys, *line, "--plot", "x.jpg")
    assert "No such folder" in failing(capsys, *line, "--report", "nowhere/x.html")
    assert "written over" in failing(capsys, *line, "--report", "m.npz", "-o", "m.npz")
    assert "written over" in failing(capsys, *line, "--plot", "x.png", "-o", "x.png")
    assert "--runs must be at least 2" in failing(capsys, *line, "--runs", 1)
    assert "--init nndsvd are all the same" in failing(capsys, *line, "--init", "nndsvd")
    assert "draws counts" in failing(capsys, *line, "--resample", "poisson")
    assert "--fraction must" in failing(capsys, *line, "--resample", "subsample", "--fraction", 2)
    assert "--rule must be one of" in failing(capsys, *line, "--rule", "held-out", "--no-held-out")
    assert "--time-limit must" in failing(capsys, *line, "--time-limit", -1)
    assert "--threads must" in failing(capsys, *line, "--threads", 0)
    assert "--ranks holds 2 more than once" in failing(capsys, "consensus", "x.npy", "--ranks", "2,2")
    assert "No such file" in failing(capsys, "consensus", "nothing.npy")


def test_fit_keeps_the_best_of_several_starts(X, capsys):
    np.save("x.npy", X)
    assert run("fit x.npy -k 3 --runs 4 --seed 0") == 0
    assert "\nstarts              4\n" in capsys.readouterr().out
    f = nmf_core.load("x.nmf.npz")
    np.testing.assert_array_equal(f.H, nmf_core.factorize(X, 3, n_init=4, random_state=0).H)
    assert run("fit x.npy -k 3 --runs 2 --seed 0 --json") == 0
    assert json.loads(capsys.readouterr().out)["starts"] == 2
    assert run("fit x.npy -k 3") == 0
    assert "starts" not in capsys.readouterr().out
    assert "--runs must be at least 1" in failing(capsys, "fit", "x.npy", "-k", 3, "--runs", 0)
    assert "--init nndsvd are all the same" in failing(capsys, "fit", "x.npy", "-k", 3, "--runs", 2, "--init", "nndsvd")


# --- compare


def test_compare_prints_the_table(X, capsys):
    np.save("x.npy", X)
    line = "compare x.npy -k 3 --seed 0 --time-limit 5 --solvers auto mu anls-bpp"
    assert run(line) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [words.split()[0] for words in lines] == ["solver", "hals", "mu", "anls-bpp"]
    assert run(f"{line} --json --alpha-W 0.1") == 0
    said = json.loads(capsys.readouterr().out)
    assert [solver["solver"] for solver in said["solvers"]] == ["hals", "mu", "anls-bpp"]
    expected = compare_solvers(X, 3, ["auto", "mu", "anls-bpp"], alpha_W=0.1, random_state=0).results
    for solver in said["solvers"]:
        assert solver["objective"] == pytest.approx(expected[solver["solver"]].objective, rel=1e-3)
        assert len(solver["history"]["seconds"]) == len(solver["history"]["objective"]) == solver["n_iter"]
    assert names() == ["x.npy"]


@pytest.mark.parametrize(
    ("name", "start"),
    [
        ("c.png", b"\x89PNG"),
        pytest.param("c.svg", b"<?xml", marks=pytest.mark.exhaustive),
        pytest.param("c.pdf", b"%PDF", marks=pytest.mark.exhaustive),
    ],
)
def test_compare_draws_the_curves(X, name, start, capsys):
    np.save("x.npy", X)
    assert run(f"compare x.npy -k 2 --solvers hals randomized --plot {name} --seed 0") == 0
    assert capsys.readouterr().out.endswith(f"written  {name}\n")
    assert Path(name).read_bytes().startswith(start)


def test_bad_arguments_of_compare(X, capsys):
    np.save("x.npy", X)
    assert "must end in one of .png" in failing(capsys, "compare", "x.npy", "-k", 2, "--plot", "x.jpg")
    assert "does not minimise" in failing(
        capsys, "compare", "x.npy", "-k", 2, "--solvers", "pg", "--loss", "itakura-saito"
    )
    assert "--time-limit must" in failing(capsys, "compare", "x.npy", "-k", 2, "--time-limit", "-1")
    assert "No such file" in failing(capsys, "compare", "nothing.npy", "-k", 2)


# --- recommend


def lines(printed):
    return [line.split("\t") for line in printed.out.splitlines()]


def test_recommend(ratings, model, capsys):
    assert run("recommend ratings.nmf.npz 007 -n 3") == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    best = model.recommend("007", 3)
    assert [label for label, _ in lines(printed)] == [model.column_labels[j] for j in best.columns[0]]
    np.testing.assert_allclose([float(score) for _, score in lines(printed)], best.scores[0], rtol=1e-5)

    assert run("recommend ratings.nmf.npz 011 007 -n 2 --threads 1") == 0
    told = lines(capsys.readouterr())
    assert [line[0] for line in told] == ["011", "011", "007", "007"]
    assert [line[1] for line in told[2:]] == [model.column_labels[j] for j in best.columns[0, :2]]

    assert run("recommend ratings.nmf.npz 011 007 -n 2 --json") == 0
    said = json.loads(capsys.readouterr().out)
    assert [one["row"] for one in said["recommendations"]] == ["011", "007"]
    assert [one["column"] for one in said["recommendations"][1]["columns"]] == [line[1] for line in told[2:]]
    assert said["recommendations"][1]["columns"][0]["score"] == best.scores[0, 0]


def test_recommend_without_what_is_excluded(ratings, model, capsys):
    """By labels, whatever the order in the file; of the others the model knows nothing."""
    has = set(ratings[ratings["user"] == "007"]["item"])
    more = pd.DataFrame({"item": ["film 99", "film 1"], "user": ["007", "nobody"], "rating": 1.0})
    pd.concat([ratings, more]).iloc[::-1].to_csv("has.csv", index=False)
    assert main(["recommend", "ratings.nmf.npz", "007", "-n", "99", "--exclude", "has.csv", *TRIPLETS]) == 0
    told = [label for label, _ in lines(capsys.readouterr())]
    assert sorted(told) == sorted(set(model.column_labels) - has)

    wide = ratings.pivot_table(index="user", columns="item", values="rating")
    wide.to_csv("wide.csv")
    assert main(["recommend", "ratings.nmf.npz", "007", "-n", "99", "--exclude", "wide.csv", "--labels", "both"]) == 0
    assert [label for label, _ in lines(capsys.readouterr())] == told
    unread = failing(capsys, "recommend", "ratings.nmf.npz", "007", "--exclude", "wide.csv")
    assert "wide.csv has no labels of rows; --labels says" in unread
    bare = wide.reindex(index=model.row_labels, columns=model.column_labels).to_numpy()
    np.save("bare.npy", bare)
    assert main(["recommend", "ratings.nmf.npz", "007", "-n", "99", "--exclude", "bare.npy"]) == 0
    assert [label for label, _ in lines(capsys.readouterr())] == told

    wide[:] = 1.0
    wide.to_csv("all.csv")
    assert run("recommend ratings.nmf.npz 007 --exclude all.csv --labels both -q") == 0
    assert capsys.readouterr() == ("", "")


def test_recommend_by_a_model_without_labels(X, capsys):
    np.save("x.npy", X)
    assert run("fit x.npy -k 2 -q") == 0
    assert run("recommend x.nmf.npz 11 -n 1") == 0
    best = nmf_core.load("x.nmf.npz").recommend(11, 7).columns[0]
    assert lines(capsys.readouterr())[0][0] == str(best[0])
    Path("has.csv").write_text(f"user,item,rating\n11,{best[0]},1\n11,{best[2]},0\n12,1,1\n")
    assert main(["recommend", "x.nmf.npz", "11", "--exclude", "has.csv", *TRIPLETS]) == 0
    told = [int(label) for label, _ in lines(capsys.readouterr())]
    assert told == [best[1], *best[3:]]
    unknown = failing(capsys, "recommend", "x.nmf.npz", "12")
    assert "x.nmf.npz has no row '12': its rows have no labels, but numbers from 0 to 11" in unknown


def test_bad_arguments_of_recommend(ratings, model, X, capsys):
    recommend = ("recommend", "ratings.nmf.npz")
    assert "has no row 'nobody'" in failing(capsys, *recommend, "007", "nobody")
    assert "n must be" in failing(capsys, *recommend, "007", "-n", 0)
    assert "not a saved factorization" in failing(capsys, "recommend", "ratings.csv", "007")
    assert "--exclude" in failing(capsys, *recommend, "007", *TRIPLETS)
    np.save("x.npy", X)
    wrong = failing(capsys, *recommend, "007", "--exclude", "x.npy")
    assert "x.npy has 12 rows without labels, but the model has 40" in wrong
    np.save("words.npy", np.array([["a", "b"]]))
    assert "is not a matrix of numbers" in failing(capsys, *recommend, "007", "--exclude", "words.npy")
    np.save("flat.npy", X[0])
    assert "is not a matrix of numbers" in failing(capsys, *recommend, "007", "--exclude", "flat.npy")
    swapped = ("--triplets", "item", "user", "rating")
    wrong = failing(capsys, *recommend, "007", "--exclude", "ratings.csv", *swapped)
    assert "ratings.csv has no row that the model knows; its first is 'film" in wrong


# --- what is not there, and how text is written


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ("fit x.csv -k 2 --loss kl", "nmf-core fit: error: argument --loss: {}'kl'; did you mean 'kullback-leibler'?"),
        ("fit x.csv -k 2 --loss is", "nmf-core fit: error: argument --loss: {}'is'; did you mean 'itakura-saito'?"),
        ("fit x.csv -k 2 --loss Euclidean", "argument --loss: {}'Euclidean'; did you mean 'frobenius'?"),
        ("fit x.csv -k 2 --loss huber", "argument --loss: {}'huber'."),
        ("fit x.csv -k 2 --solver cd2", "argument --solver: {}'cd2'; did you mean 'cd'?"),
        ("compare x.csv -k 2 --solvers hals newtons", "argument --solvers: {}'newtons'; did you mean 'newton'?"),
        ("fit x.csv -k 2 --init nndsvdb", "argument --init: {}'nndsvdb'; did you mean 'nndsvd"),
        ("rank x.csv --method bicv", "nmf-core rank: error: argument --method: {}'bicv'; did you mean 'bi-cv'?"),
        ("transform m.npz x.csv --labels row", "argument --labels: {}'row'; did you mean 'rows'?"),
        ("fit x.csv -k 2 --alpha-H all", "argument --alpha-H: 'all' is neither a number nor same"),
        ("fit x.csv -k 2 --separator ::", "argument --separator: '::' is neither one character nor tab or blank"),
        ("fti x.csv", "nmf-core: error: the command must be one of {}'fti'; did you mean 'fit'?"),
        ("", "nmf-core: error: the following arguments are required"),
    ],
)
def test_wrong_usage_is_one_line_with_the_nearest_name(arguments, error, capsys):
    with pytest.raises(SystemExit) as caught:
        run(arguments)
    assert caught.value.code == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    start, _, end = error.partition("{}")
    assert start in said
    assert end in said


TEXT = "# tool\nid;a;b;c\ns0;1,5;2;3,25\ns1;4;5,5;6\n# note\ns0;7;8;9\n"
WRITTEN = ["--separator", ";", "--decimal", ",", "--encoding", "utf-16", "--comment", "#"]


@pytest.fixture
def spreadsheet():
    Path("x.csv").write_text(TEXT, encoding="utf-16")
    return np.array([[1.5, 2, 3.25], [4, 5.5, 6], [7, 8, 9]])


def test_how_text_is_written_can_be_said(spreadsheet, capsys):
    more = ["--labels", "both", "--duplicates", "sum", "--transpose", "--seed", "0"]
    assert main(["fit", "x.csv", "-k", "1", *WRITTEN, *more]) == 0
    f = nmf_core.load("x.nmf.npz")
    assert (f.row_labels, f.column_labels) == (("a", "b", "c"), ("s0", "s1"))
    X = np.array([spreadsheet[0] + spreadsheet[2], spreadsheet[1]]).T
    np.testing.assert_allclose(f.W @ f.H, X, rtol=0.3)
    capsys.readouterr()
    assert main(["transform", "x.nmf.npz", "x.csv", *WRITTEN, *more[:-2], "-o", "w.npy", "-q"]) == 0
    np.testing.assert_allclose(np.load("w.npy"), f.transform(X), rtol=1e-9)
    assert main(["rank", "x.csv", *WRITTEN, "--ranks", "1", "--folds", "2", "--seed", "0", "-q"]) == 0
    assert main(["compare", "x.csv", "-k", "1", *WRITTEN, *more[:-2], "--solvers", "hals", "-q"]) == 0
    capsys.readouterr()
    assert main(["recommend", "x.nmf.npz", "a", "--exclude", "x.csv", *WRITTEN, *more[:-2], "-q"]) == 0
    assert capsys.readouterr() == ("", "")


def test_doubts_are_told_even_if_quiet(capsys):
    Path("x.csv").write_text("400,410,420,430\n.6,.3,.4,.1\n.8,.9,.6,.7\n.5,.9,.8,.1\n")
    assert run("fit x.csv -k 1 -q") == 0
    said = capsys.readouterr().err
    assert said.startswith("nmf-core: warning: x.csv: 4 rows x 4 columns; no labels of columns, no labels of rows; ")
    assert said.endswith("may be labels: --labels columns reads them as labels, --labels none as data\n")
    assert run("fit x.csv -k 1 -q --labels columns") == 0
    assert capsys.readouterr().err == ""
    assert nmf_core.load("x.nmf.npz").column_labels == ("400", "410", "420", "430")


def test_labels_that_occur_twice(capsys):
    Path("x.csv").write_text("gene,a,b,c\nG,1,2,3\nG,3,4,1\nH,5,6,2\n")
    assert run("fit x.csv -k 1 -q") == 0
    said = capsys.readouterr().err
    assert "warning: x.csv: row label 'G' occurs twice, at rows 0 and 1 (counted from 0), and is kept so; " in said
    assert "--duplicates sum makes one row of both" in said
    assert nmf_core.load("x.nmf.npz").row_labels == ("G", "G", "H")
    assert "labelled 'G'" in failing(capsys, "recommend", "x.nmf.npz", "G")
    assert run("recommend x.nmf.npz H -n 1") == 0
    capsys.readouterr()
    assert "row label 'G' occurs twice" in failing(capsys, "fit", "x.csv", "-k", 1, "--duplicates", "error")
    assert run("fit x.csv -k 1 --transpose -q") == 0
    Path("y.csv").write_text("gene,G,H\na,1,2\nb,3,4\n")
    assert "cannot be told apart: 'G' occurs twice" in failing(capsys, "transform", "x.nmf.npz", "y.csv")


@pytest.mark.parametrize("duplicates", ["first", "last", "mean", "sum"])
def test_triplets_that_occur_twice(ratings, capsys, duplicates):
    pd.concat([ratings, ratings.iloc[[4]]]).to_csv("ratings.csv", index=False)
    assert "or --duplicates last does" in failing(capsys, "fit", "ratings.csv", *KNOWN, "-k", 2)
    assert main(["fit", "ratings.csv", *KNOWN, "-k", "2", "--alpha-W", ".01", "-q", "--duplicates", duplicates]) == 0


def test_standard_input(spreadsheet):
    done = command("fit", "-", "-k", 1, "--comment", "#", input=TEXT)
    assert done.returncode == 0
    assert done.stderr.splitlines()[0].startswith(
        "nmf-core: standard input: 3 rows x 3 columns; separated by semicolons"
    )
    np.testing.assert_allclose(nmf_core.load("stdin.nmf.npz").H.sum(), 1, atol=20)
    done = command("transform", "stdin.nmf.npz", "-", "--comment", "#", "-q", input=TEXT)
    assert (done.returncode, done.stderr.count("occurs twice")) == (0, 1)
    assert read_matrix("stdin.W.csv", duplicates="keep").row_labels == ("s0", "s1", "s0")


def test_transposed_files_are_read_whole(X, capsys):
    np.save("x.npy", X)
    assert run("fit x.npy -k 2 --transpose -q") == 0
    assert nmf_core.load("x.nmf.npz").W.shape == (7, 2)
    said = failing(capsys, "fit", "x.npy", "-k", 2, "--transpose", "--memory-limit", "1MB", "-o", "y.npz")
    assert "x.npy: --transpose needs X in memory" in said
    assert "x.npy: separator, decimal, " in failing(capsys, "fit", "x.npy", "-k", 2, "--comment", "#", "-o", "y.npz")


@pytest.mark.parametrize(
    ("line", "message", "said"),
    [
        ("fit x -k 2", "NaN. missing='nan' takes it for missing.", "NaN. --missing nan takes it for missing."),
        ("rank x", "n_components=5, but. Use alpha_W, n_folds=3.", "--ranks 5, but. Use --alpha-W, --folds 3."),
        ("compare x -k 2", "solver='pg' needs X; tol must be", "--solvers pg needs X; --tol must be"),
        ("fit x -k 2", "text; separator=';' or comment='#' or transpose=True",
         "text; --separator ';' or --comment '#' or --transpose"),
        ("fit x -k 2", "max_iter.csv: column tol: n_components", "max_iter.csv: column tol: --components"),
        ("transform m x", "X is zero. Use alpha_W=0.1.", "X is zero."),
        ("transform m x", "alpha_W is; n_threads must be 2; update_H=False helps", "alpha_W is; --threads must be 2"),
        ("recommend m x", "There is no row 'missing=3'", "There is no row 'missing=3'"),
    ],
)  # fmt: skip
def test_messages_name_options(line, message, said):
    assert in_options(message, make_parser().parse_args(line.split())) == said


def test_a_floor_for_what_fits_into_memory(X, capsys):
    np.save("x.npy", X)
    assert run("fit x.npy -k 2 --loss itakura-saito --floor auto -q --memory-limit 1GB") == 0
    assert run("transform x.nmf.npz x.npy -o w.npy -q --memory-limit 1GB") == 0
    assert np.isfinite(np.load("w.npy")).all()
    assert "this is none" in failing(capsys, "fit", "x.npy", "-k", 2, "--labels", "rows")


def test_names_of_folders_stay_what_they_are(capsys):
    Path("max_iter=3").mkdir()
    Path("max_iter=3/x.csv").write_text("")
    assert "max_iter=3/x.csv: it is empty" in failing(capsys, "fit", "max_iter=3/x.csv", "-k", 1)
