"""The result: its summary, its file, its frames, and what it makes of new samples."""

import functools
import json
import os
import stat
import sys
import tempfile
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import reference
import scipy.sparse as sp
import zoo
from problems import noisy, uniform
from scipy.optimize import nnls

from nmf_core import Factorization, beta_divergence, factorize, load
from nmf_core.interpretation import row_errors
from nmf_core.transform import transform

K = 3
X = noisy(40, 25, K)
MODEL = factorize(X, K, random_state=0, max_iter=50)


# --- summary


def hoyer(vector):
    """(sqrt(n) - |v|_1 / |v|_2) / (sqrt(n) - 1)."""
    n = len(vector)
    return (np.sqrt(n) - np.abs(vector).sum() / np.sqrt(np.sum(vector**2))) / (np.sqrt(n) - 1)


def test_summary_of_a_fit():
    summary = MODEL.summary()
    residual = X - MODEL.W @ MODEL.H
    expected = {
        "n_samples": 40,
        "n_features": 25,
        "n_components": K,
        "loss": "frobenius",
        "solver": "hals",
        "objective": np.sum(residual**2) / 2,
        "divergence": np.sum(residual**2) / 2,
        "relative_error": np.linalg.norm(residual) / np.linalg.norm(X),
        "explained_variance": 1 - np.sum(residual**2) / np.sum(X**2),
        "sparsity_W": np.mean([hoyer(column) for column in MODEL.W.T]),
        "sparsity_H": np.mean([hoyer(row) for row in MODEL.H]),
        "zeros_W": np.count_nonzero(MODEL.W == 0) / MODEL.W.size,
        "zeros_H": np.count_nonzero(MODEL.H == 0) / MODEL.H.size,
        "seconds": MODEL.seconds,
        "n_iter": MODEL.n_iter,
        "entries_per_second": X.size * MODEL.n_iter / MODEL.seconds,
        "stop_reason": MODEL.stop_reason,
        "converged": MODEL.converged,
    }
    assert list(summary) == list(expected)
    for name, value in expected.items():
        assert summary[name] == (pytest.approx(value) if isinstance(value, float) else value), name
    assert 0 < summary["zeros_H"] < 1
    assert json.loads(json.dumps(summary)) == summary


@pytest.mark.parametrize("loss", ["kullback-leibler", "itakura-saito", 1.5, -1])
def test_summary_of_a_fit_by_another_loss(loss):
    """Its error and explained variance are those of any other model; divergence and objective are the loss's."""
    result = factorize(X, K, loss=loss, alpha_W=0.01, random_state=0, max_iter=30)
    summary = result.summary()
    squared = np.sum((X - result.W @ result.H) ** 2)
    assert summary["loss"] == loss
    assert result.squared_error == pytest.approx(squared)
    assert summary["relative_error"] == pytest.approx(np.sqrt(squared) / np.linalg.norm(X))
    assert summary["explained_variance"] == pytest.approx(1 - squared / np.sum(X**2))
    assert summary["divergence"] == pytest.approx(beta_divergence(X, result.W, result.H, loss))
    assert summary["objective"] == result.objective > result.divergence
    assert json.loads(json.dumps(summary)) == summary
    assert str(loss) in repr(result)
    assert str(loss) in str(summary)


def test_penalties_are_no_part_of_the_error():
    result = factorize(X, K, alpha_W=0.1, random_state=0)
    summary = result.summary()
    assert summary["relative_error"] == pytest.approx(np.linalg.norm(X - result.W @ result.H) / np.linalg.norm(X))
    assert summary["objective"] > result.divergence


def test_summary_counts_stored_entries():
    A = sp.csr_array(zoo.matrix())
    result = factorize(A, 2, max_iter=5)
    assert result.n_stored == A.nnz
    assert result.summary()["entries_per_second"] == pytest.approx(A.nnz * result.n_iter / result.seconds)


def test_summary_prints_as_a_table():
    summary = MODEL.summary()
    lines = str(summary).splitlines()
    assert len(lines) == len(summary)
    starts = {len(line) - len(line.split("  ")[-1].lstrip()) for line in lines}
    assert len(starts) == 1
    for line, (name, value) in zip(lines, summary.items(), strict=True):
        assert line.startswith(name.replace("_", " "))
        assert line.split()[-1] == (f"{value:.6g}" if isinstance(value, float) else str(value))


def test_repr_is_one_line():
    shown = repr(MODEL)
    assert "\n" not in shown
    for part in ("40 x 25", str(MODEL.n_iter), MODEL.stop_reason, f"{MODEL.objective:.6g}"):
        assert part in shown


@pytest.mark.parametrize("vector", [[1.0, 1, 1, 1], [0.0, 5, 0, 0], [3.0, 1, 0, 2]], ids=str)
def test_sparsity_of_one_component(vector):
    result = factorize(np.outer(np.ones(4), vector), 1, H=[vector], update_H=False)
    assert result.summary()["sparsity_H"] == pytest.approx(hoyer(np.array(vector)))
    assert result.summary()["sparsity_W"] == pytest.approx(0, abs=1e-12)


# --- files


LABELLED = factorize(
    pd.DataFrame(X, index=[f"sample {i}" for i in range(40)], columns=[f"größe_{j}" for j in range(25)]),
    K,
    random_state=0,
)
SINGLE = factorize(sp.csc_array(X.astype(np.float32)), 2, solver="mu", alpha_W=0.1, random_state=3, max_iter=4)


KL = factorize(X, K, loss="kullback-leibler", random_state=0, max_iter=20)
NUMBER = factorize(sp.csr_array(X), K, loss=1.5, alpha_W=0.01, random_state=0, max_iter=20)
NEGATIVE = factorize(X, K, loss=-1, solver="mu", random_state=0, max_iter=20)


def names_in(folder):
    return [path.name for path in folder.iterdir()]


def assert_equal(one, other):
    for name in Factorization.__dataclass_fields__:
        ours, theirs = getattr(one, name), getattr(other, name)
        if name == "history":
            for part in ("seconds", "objective", "violation"):
                np.testing.assert_array_equal(getattr(ours, part), getattr(theirs, part))
        elif isinstance(ours, np.ndarray):
            np.testing.assert_array_equal(ours, theirs)
            assert ours.dtype == theirs.dtype
        else:
            assert ours == theirs, name
            assert type(ours) is type(theirs), name


@pytest.mark.parametrize("name", ["model.npz", "model", "with space.npz", "größe.model"])
@pytest.mark.parametrize(
    "model",
    [MODEL, LABELLED, SINGLE, KL, NUMBER, NEGATIVE],
    ids=["plain", "labelled", "float32", "kullback-leibler", "beta 1.5", "beta -1"],
)
def test_round_trip(tmp_path, model, name):
    path = tmp_path / name
    model.save(path)
    assert names_in(tmp_path) == [name]
    assert_equal(load(path), model)
    assert_equal(load(os.fspath(path)), model)
    assert load(path).summary() == model.summary()
    np.testing.assert_array_equal(load(path).transform(X[:5]), model.transform(X[:5]))


def test_saving_again_replaces_the_file(tmp_path):
    path = tmp_path / "model.npz"
    MODEL.save(path)
    SINGLE.save(path)
    assert_equal(load(path), SINGLE)
    assert names_in(tmp_path) == ["model.npz"]


def test_the_file_is_an_ordinary_npz_without_pickle(tmp_path):
    path = tmp_path / "model.npz"
    LABELLED.save(path)
    with np.load(path, allow_pickle=False) as file:
        contents = {name: file[name] for name in file.files}
    np.testing.assert_array_equal(contents["W"], LABELLED.W)
    np.testing.assert_array_equal(contents["H"], LABELLED.H)
    assert not any(array.dtype == object for array in contents.values())


@pytest.mark.skipif(os.name == "nt", reason="permissions are those of POSIX")
def test_the_file_has_the_permissions_of_any_new_file(tmp_path):
    (tmp_path / "other").touch()
    MODEL.save(tmp_path / "model.npz")
    modes = {stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("other", "model.npz")}
    assert len(modes) == 1


def test_a_failing_save_leaves_what_was_there(tmp_path, monkeypatch):
    path = tmp_path / "model.npz"
    MODEL.save(path)

    def fill_the_disk(file, **arrays):
        file.write(b"half a file")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", fill_the_disk)
    with pytest.raises(OSError, match="No space left"):
        SINGLE.save(path)
    assert names_in(tmp_path) == ["model.npz"]
    assert_equal(load(path), MODEL)


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError):
        MODEL.save(tmp_path / "nowhere" / "model.npz")
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "nothing.npz")


def test_no_part_of_a_file_is_a_model(tmp_path):
    MODEL.save(tmp_path / "model.npz")
    whole = (tmp_path / "model.npz").read_bytes()
    path = tmp_path / "part.npz"
    for length in [*range(0, 200, 7), *range(200, len(whole), 97), len(whole) - 1]:
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match=r"part\.npz is not a saved factorization, or not a whole one"):
            load(path)


def test_a_damaged_file_is_noticed_or_harmless(tmp_path):
    """One byte after the other; all of those at the end, where the archive describes itself."""
    replace(MODEL, seconds=1.0).save(tmp_path / "model.npz")
    whole = bytearray((tmp_path / "model.npz").read_bytes())
    path = tmp_path / "damaged.npz"
    n_refused = 0
    for position in [*range(0, len(whole) - 500, 41), *range(len(whole) - 500, len(whole))]:
        damaged = whole.copy()
        damaged[position] ^= 0xFF
        path.write_bytes(damaged)
        try:
            model = load(path)
        except (ValueError, OSError) as error:
            assert "not a saved factorization" in str(error) or isinstance(error, OSError)  # noqa: PT017
            n_refused += 1
        else:
            np.testing.assert_array_equal(model.W, MODEL.W)
            np.testing.assert_array_equal(model.H, MODEL.H)
    assert n_refused > 300


@functools.cache
def saved_arrays():
    """The arrays in the file of a model."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.npz"
        MODEL.save(path)
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}


def rewritten(file, **changes):
    """Write the saved model with some of its arrays replaced (None: left out)."""
    arrays = saved_arrays() | changes
    np.savez(file, **{name: array for name, array in arrays.items() if array is not None})


def described(file, **changes):
    """Write it with some entries of its description replaced (None: left out)."""
    entries = json.loads(str(saved_arrays()["about"])) | changes
    entries = {name: value for name, value in entries.items() if value is not None}
    rewritten(file, about=np.array(json.dumps(entries)))


def archive(file):
    with zipfile.ZipFile(file, "w") as writing:
        writing.writestr("readme.txt", "not a model")


FOREIGN = {
    "text": lambda file: file.write(b"W,H\n1,2\n"),
    "random bytes": lambda file: file.write(np.random.default_rng(0).bytes(1000)),
    "one array": lambda file: np.save(file, X),
    "other arrays": lambda file: np.savez(file, a=X),
    "factors without the rest": lambda file: np.savez(file, W=MODEL.W, H=MODEL.H),
    "objects": lambda file: np.save(file, np.array([{}], dtype=object)),
    "pickled": lambda file: rewritten(file, W=np.array([[1, "a"]], dtype=object)),
    "sparse matrix": lambda file: sp.save_npz(file, sp.csr_array(X)),
    "archive": archive,
    "no W": lambda file: rewritten(file, W=None),
    "no history": lambda file: rewritten(file, objective=None),
    "other description": lambda file: rewritten(file, about=np.array("[1, 2]")),
    "no description": lambda file: rewritten(file, about=np.array("W and H")),
    "later format": lambda file: described(file, format="nmf_core factorization 999"),
    "no format": lambda file: described(file, format=None),
    "entry missing": lambda file: described(file, n_iter=None),
    "no squared error": lambda file: described(file, squared_error=None),
    "unknown entry": lambda file: described(file, colour="red"),
    "factors that do not fit": lambda file: rewritten(file, W=MODEL.W[:, :-1]),
    "one-dimensional W": lambda file: rewritten(file, W=MODEL.W[:, 0]),
}


def test_the_rewritten_model_is_the_model(tmp_path):
    """Or else the files below would be refused for a fault of these functions."""
    with (tmp_path / "same.npz").open("wb") as file:
        described(file)
    assert_equal(load(tmp_path / "same.npz"), MODEL)


@pytest.mark.parametrize("name", FOREIGN)
def test_files_of_others(tmp_path, name):
    path = tmp_path / "foreign.npz"
    with path.open("wb") as file:
        FOREIGN[name](file)
    with pytest.raises(ValueError, match=r"foreign\.npz is not a saved factorization, or not a whole one\.$"):
        load(path)


def test_a_folder_is_not_a_file(tmp_path):
    with pytest.raises(OSError, match=r"directory|Permission denied"):
        load(tmp_path)


# --- data frames


def test_labels_are_kept():
    frame = pd.DataFrame(X, index=pd.Index(range(100, 140)), columns=[f"f{j}" for j in range(25)])
    result = factorize(frame, K, random_state=0, max_iter=50)
    np.testing.assert_array_equal(result.W, MODEL.W)
    assert result.row_labels == tuple(range(100, 140))
    assert result.column_labels == tuple(frame.columns)
    expected = pd.DataFrame(result.H, index=["c1", "c2", "c3"], columns=frame.columns)
    pd.testing.assert_frame_equal(result.components, expected)
    pd.testing.assert_frame_equal(
        result.embedding, pd.DataFrame(result.W, index=frame.index, columns=["c1", "c2", "c3"])
    )


def test_without_labels_there_are_arrays():
    assert MODEL.row_labels is MODEL.column_labels is None
    assert MODEL.components is MODEL.H
    assert MODEL.embedding is MODEL.W


def test_without_pandas_there_are_arrays(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setitem(sys.modules, "pandas", None)
    assert LABELLED.components is LABELLED.H
    assert LABELLED.embedding is LABELLED.W


# --- new samples


@pytest.mark.parametrize("make", [np.ascontiguousarray, np.asfortranarray, sp.csr_array, sp.csc_array])
def test_transform_is_non_negative_least_squares(make):
    A = np.random.default_rng(0).poisson(1.2, (37, 22)).astype(np.float64)
    A[5] = A[:, 3] = 0
    model = factorize(A, K, random_state=0)
    expected = [nnls(model.H.T, x)[0] for x in A]
    np.testing.assert_allclose(model.transform(make(A), tol=1e-9, max_iter=5000), expected, atol=1e-6)


@pytest.mark.parametrize("l1_ratio", [0.0, 0.4, 1.0])
def test_transform_has_the_penalty_of_the_fit(l1_ratio):
    penalties = {"alpha_W": 0.05, "l1_ratio": l1_ratio}
    model = factorize(X, K, random_state=0, tol=1e-9, max_iter=5000, **penalties)
    W = model.transform(X, tol=1e-9, max_iter=5000)
    np.testing.assert_allclose(W, model.W, atol=1e-4)
    weights = np.random.default_rng(0).uniform(0.9, 1.1, (50, *W.shape))
    best = reference.objective(X, W, model.H, **penalties)
    assert all(reference.objective(X, W * weight, model.H, **penalties) > best for weight in weights)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("model", [MODEL, SINGLE], ids=["float64", "float32"])
def test_transform_keeps_the_dtype_of_the_data(model, dtype):
    W = model.transform(X.astype(dtype))
    assert W.dtype == dtype
    assert W.shape == (40, model.n_components)
    assert (W >= 0).all()


# Many rows, many columns, and so many entries that they are visited in pieces.
SHAPES = [(300, 40), (40, 300), (700, 1100)]


def uneven(A):
    """Every other row or so has entries in the first half of the columns only."""
    half = np.arange(A.shape[1]) < A.shape[1] // 2
    return sp.csc_array(np.where(half | ((997 * A[:, :1]) % 1 > 0.5), A, 0))


@pytest.mark.parametrize("penalties", [{}, {"alpha_W": 0.01, "l1_ratio": 0.5}], ids=["plain", "penalised"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("make", [np.ascontiguousarray, np.asfortranarray, sp.csr_array, sp.csc_array, uneven])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_a_row_does_not_depend_on_the_rows_beside_it(shape, make, dtype, penalties):
    """To the last bit: alone, in a small group, or with all others, by any number of threads."""
    A = noisy(*shape, 5, noise=0.0).astype(dtype)
    H = uniform(5, shape[1])
    together = transform(make(A), H, n_threads=1, **penalties)[0]
    assert len(np.unique(together)) > 100
    threaded = transform(make(A), H, n_threads=3, **penalties)[0]
    np.testing.assert_array_equal(threaded, together)
    for rows in ([7], [0, 1, 5], range(20, 39)):
        few = transform(make(A[rows]), H, n_threads=1, **penalties)[0]
        np.testing.assert_array_equal(few, together[rows])


def test_transform_says_how_far_it_came():
    W, n_iter, converged, _ = transform(X, MODEL.H, tol=1e-6, max_iter=1000)
    assert 1 < n_iter < 1000
    assert converged
    _, n_iter, converged, _ = transform(X, MODEL.H, tol=1e-14, max_iter=2)
    assert n_iter == 2
    assert not converged
    np.testing.assert_array_equal(MODEL.transform(X, tol=1e-6, max_iter=1000), W)


@pytest.mark.filterwarnings("ignore:.* zero")
@pytest.mark.parametrize("alpha_W", [1.0, 8.0])
@pytest.mark.parametrize("max_iter", [1, 6, 40, 200])
def test_what_a_strong_penalty_leaves_is_still_a_model(alpha_W, max_iter):
    """Multiplicative updates come close to zero before they reach it: 1e-236 at the sixth iteration."""
    fitted = {"solver": "mu", "init": "random", "random_state": 0, "tol": 0, "max_iter": max_iter}
    model = factorize(X, K, alpha_W=alpha_W, l1_ratio=1.0, **fitted)
    W = model.transform(X)
    assert np.isfinite(W).all()
    assert reference.objective(X, W, model.H) <= np.sum(X**2) / 2


def test_empty_rows_stay_empty():
    A = X.copy()
    A[4] = 0
    W = MODEL.transform(A)
    assert not W[4].any()
    assert W[3].any()
    assert not MODEL.transform(np.zeros((2, 25))).any()


def test_arrays_may_be_changed_in_place_and_nothing_else():
    f = factorize(np.random.default_rng(0).random((20, 10)), 2, random_state=0)
    W, H = f.W.copy(), f.H.copy()
    f.H *= 2
    f.W /= 2
    np.testing.assert_array_equal(f.W, W / 2)
    np.testing.assert_array_equal(f.H, H * 2)
    for name in ("H", "W", "loss", "something"):
        with pytest.raises(AttributeError, match=f"cannot assign to field '{name}'"):
            setattr(f, name, H)


def test_integers_in_a_tuple_are_labels():
    f = factorize(np.random.default_rng(0).random((4, 3)), 2, random_state=0)
    f = replace(f, row_labels=(10, 11, 12, 13))
    assert f.predict(11, 0) == pytest.approx(f.W[1] @ f.H[:, 0])
    assert f.recommend([11, 12], n=1).columns.shape == (2, 1)
    with pytest.raises(ValueError, match="no row 1"):
        f.predict(1, 0)


def test_one_unknown_date_does_not_hide_the_others():
    X = pd.DataFrame(np.random.default_rng(0).random((4, 3)), index=pd.date_range("2024-05-01", periods=4))
    f = factorize(X, 2, random_state=0)
    assert f.predict("2024-05-02", 0) == pytest.approx(f.W[1] @ f.H[:, 0])
    with pytest.raises(ValueError, match="no row 'foo'"):
        f.predict(["2024-05-01", "foo"], 0)


def test_what_is_filled_in_is_without_the_floor():
    X = np.full((12, 9), 5.0)
    holes = X.copy()
    holes[3, 4] = np.nan
    f = factorize(holes, 1, floor=1.0, missing="nan", random_state=0, tol=1e-9, max_iter=1000)
    np.testing.assert_allclose(f.impute(holes), X, rtol=1e-3)
    np.testing.assert_allclose(f.predict(3, 4), 6, rtol=1e-3)
    assert row_errors(f, holes).max() < 1e-3


@pytest.mark.parametrize(
    ("floor", "dtype", "message"),
    [
        (1e39, "float32", "X with its floor contains infinity"),
        (1e200, "float64", "X with its floor is too large"),
        (1e-60, "float32", "floor=1e-60 is zero in float32"),
    ],
)
def test_a_floor_that_is_no_good(floor, dtype, message):
    with pytest.raises(ValueError, match=message):
        factorize(np.ones((4, 3), dtype=dtype), 1, loss="itakura-saito", floor=floor)
