"""Labels are never lost and never ignored: whatever has names is brought into order by them, or refused."""

import decimal
import re
import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path

import anndata as ad
import narwhals as nw
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import scipy.sparse as sp

import nmf_core
from nmf_core import NMF, MiniBatchNMF, factorize
from nmf_core.cli import main
from nmf_core.interpretation import row_errors
from nmf_core.labels import Axis, labelled, packed, unpacked
from nmf_core.model_selection import cross_validate_rank, holdout_entries

N, M, K = 20, 8, 3
RNG = np.random.default_rng(0)
X = RNG.random((N, K)) @ RNG.random((K, M)) + 0.1
W, H = RNG.random((N, K)), RNG.random((K, M))
WEIGHTS = RNG.integers(0, 3, (N, M)).astype(float)
WEIGHTS[0, :] = WEIGHTS[:, 0] = 1
ROWS, COLUMNS = [f"s{i}" for i in range(N)], [f"f{j}" for j in range(M)]
COMPONENTS = [f"c{j + 1}" for j in range(K)]
P, J, L = RNG.permutation(N), RNG.permutation(M), np.array([2, 0, 1])


def pandas_frame(A, rows, columns):
    return pd.DataFrame(A, index=rows, columns=columns)


def sparse_frame(A, rows, columns):
    return pd.DataFrame(A, index=rows, columns=columns).astype(pd.SparseDtype(float, 0.0))


def polars_frame(A, rows, columns):
    return pl.DataFrame(A, schema=list(columns))


def arrow_table(A, rows, columns):
    return pa.table({name: A[:, j] for j, name in enumerate(columns)})


def indexed_table(A, rows, columns):
    return pa.Table.from_pandas(pandas_frame(A, rows, columns))


def wrapped(A, rows, columns):
    return nw.from_native(pl.DataFrame(A, schema=list(columns)))


def cells(A, rows, columns):
    return ad.AnnData(A, obs=pd.DataFrame(index=list(rows)), var=pd.DataFrame(index=list(columns)))


def sparse_cells(A, rows, columns):
    return cells(sp.csr_matrix(A), rows, columns)


# How data are labelled, and whether their rows are, too.
CONTAINERS = {
    "pandas": (pandas_frame, True),
    "sparse": (sparse_frame, True),
    "polars": (polars_frame, False),
    "arrow": (arrow_table, False),
    "arrow with an index": (indexed_table, True),
    "narwhals": (wrapped, False),
    "anndata": (cells, True),
    "sparse anndata": (sparse_cells, True),
}
every_container = pytest.mark.parametrize(("make", "has_rows"), CONTAINERS.values(), ids=CONTAINERS)
BOTH = (True, False)


class Turned:
    """X and what belongs to it in other orders, in one kind of container; rows only where it labels them."""

    def __init__(self, make, has_rows):
        i = P if has_rows else np.arange(N)
        rows = np.array(ROWS)[i].tolist()
        columns = np.array(COLUMNS)[J].tolist()
        self.rows = i
        self.straight = make(X, ROWS, COLUMNS)
        self.X = make(X[i][:, J], rows, columns)
        self.weights = make(WEIGHTS[i][:, J], rows, columns)
        self.some = make(X[i][:5][:, J], rows[:5], columns)
        self.H = make(H[:, J], COMPONENTS, columns)
        # columns of W are brought into the order of the rows of H, if these have labels
        components = L if has_rows else np.arange(K)
        self.W = make(W[i][:, components], rows, np.array(COMPONENTS)[components].tolist())
        self.W_alone = make(W[i], rows, COMPONENTS)


QUICK = {"max_iter": 5, "tol": 0.0}


def starts(A, **given):
    f = factorize(A, **QUICK, **given)
    return f.W, f.H


DOORS = {
    "weights of factorize": lambda X, t: starts(X, n_components=K, weights=t("weights", WEIGHTS), random_state=0),
    "W and H of factorize": lambda X, t: starts(X, W=t("W", W), H=t("H", H)),
    "W of factorize": lambda X, t: starts(X, W=t("W_alone", W), random_state=0),
    "H of factorize": lambda X, t: starts(X, H=t("H", H), update_H=False),
    "weights of initialize": lambda X, t: nmf_core.initialize(
        X, K, weights=t("weights", WEIGHTS), init="best-of", random_state=0
    ),
    "kkt_residual": lambda X, t: nmf_core.kkt_residual(X, t("W", W), t("H", H), weights=t("weights", WEIGHTS)),
    "beta_divergence": lambda X, t: nmf_core.beta_divergence(X, t("W", W), t("H", H), 1),
    "compare_solvers": lambda X, t: (
        nmf_core.compare_solvers(
            X, K, ["hals"], W=t("W", W), H=t("H", H), weights=t("weights", WEIGHTS), max_iter=3, time_limit=60
        )
        .results["hals"]
        .W
    ),
}


@every_container
@pytest.mark.parametrize("door", DOORS.values(), ids=DOORS)
def test_arguments_are_brought_into_the_order_of_X(door, make, has_rows):
    turned = Turned(make, has_rows)
    expected = door(X, lambda name, array: array)
    got = door(turned.straight, lambda name, array: getattr(turned, name))
    for one, other in (
        zip(np.atleast_1d(got), np.atleast_1d(expected), strict=True)
        if np.isscalar(got)
        else zip(got, expected, strict=True)
    ):
        np.testing.assert_allclose(one, other, rtol=1e-9)


def model(A=None, **how):
    return factorize(X if A is None else A, K, random_state=0, **QUICK, **how)


@every_container
def test_new_samples_are_brought_into_the_order_of_the_fit(make, has_rows):
    turned, f = Turned(make, has_rows), model(make(X, ROWS, COLUMNS))
    i = turned.rows
    expected = f.transform(X)
    np.testing.assert_allclose(np.asarray(f.transform(turned.X)), expected[i], rtol=1e-9)
    if has_rows:
        started = f.transform(turned.X, W=turned.W, max_iter=1)
        np.testing.assert_allclose(np.asarray(started), f.transform(X, W=W, max_iter=1)[i], rtol=1e-9)
    weighted = f.transform(X, weights=WEIGHTS)
    np.testing.assert_allclose(np.asarray(f.transform(turned.X, weights=turned.weights)), weighted[i], rtol=1e-9)
    np.testing.assert_allclose(np.asarray(f.transform(turned.straight, weights=turned.weights)), weighted, rtol=1e-9)
    np.testing.assert_allclose(row_errors(f, turned.X), row_errors(f, X))
    np.testing.assert_array_equal(f.recommend(new=turned.X, n=2).columns, f.recommend(n=2, new=X).columns[i])
    left_out = np.where(np.median(X) < X, X, 0)
    exclude = make(left_out[i][:, J], np.array(ROWS)[i].tolist(), np.array(COLUMNS)[J].tolist())
    np.testing.assert_array_equal(f.recommend(exclude=exclude).columns, f.recommend(exclude=left_out).columns)
    for call in (f.transform, lambda A: f.recommend(exclude=A), lambda A: row_errors(f, A)):
        with pytest.raises(ValueError, match=r"columns of .* are not those of the fit: .* 'f3'; .* 'z'"):
            call(make(X, ROWS, [name if name != "f3" else "z" for name in COLUMNS]))


@pytest.mark.parametrize("make", [pandas_frame, polars_frame, arrow_table, cells, wrapped])
def test_holes_are_filled_where_they_are(make):
    holes = np.where(RNG.random(X.shape) < 0.2, np.nan, X)
    f = model(make(holes, ROWS, COLUMNS), missing="nan")
    i = P if make in (pandas_frame, cells) else np.arange(N)
    turned = make(holes[i][:, J], np.array(ROWS)[i].tolist(), np.array(COLUMNS)[J].tolist())
    filled = f.impute(turned)
    np.testing.assert_allclose(np.asarray(filled), f.impute(holes)[i][:, J])
    np.testing.assert_allclose(np.asarray(f.impute(turned, new=True)), f.impute(holes, new=True)[i][:, J], rtol=1e-9)
    if make is pandas_frame:
        pd.testing.assert_frame_equal(filled.isna(), turned.isna() & False)


@pytest.mark.parametrize("make", [pandas_frame, sparse_frame])
def test_right_hand_sides_are_brought_into_the_order_of_A(make):
    A, B = RNG.random((N, K)), RNG.random((N, 2))
    expected = nmf_core.nnls(A, B)
    left, right = make(A, ROWS, COMPONENTS), make(B[P], np.array(ROWS)[P], ["x", "y"])
    Z = nmf_core.nnls(left, right)
    pd.testing.assert_frame_equal(Z, pd.DataFrame(expected, index=COMPONENTS, columns=["x", "y"]), rtol=1e-9)
    z = nmf_core.nnls(left, right["y"])
    pd.testing.assert_series_equal(z, pd.Series(expected[:, 1], index=COMPONENTS), rtol=1e-9)
    gram, cross = (pd.DataFrame(A.T @ other, index=COMPONENTS) for other in (A, B))
    gram = gram.set_axis(COMPONENTS, axis=1)
    np.testing.assert_allclose(nmf_core.nnls(gram=gram.iloc[L], cross=cross.iloc[L[::-1]]), expected, rtol=1e-6)
    with pytest.raises(ValueError, match=r"rows of B are not those of A: .* 's0'"):
        nmf_core.nnls(left, right.drop(index="s0"))


@pytest.mark.parametrize("known", [lambda f: f, lambda f: f.components], ids=["factorization", "frame"])
@pytest.mark.parametrize("make", [np.asarray, sp.csr_array, pd.DataFrame], ids=["array", "csr", "numbered"])
def test_features_without_names_have_those_of_H(make, known):
    f = factorize(pd.DataFrame(X, ROWS, COLUMNS), K, random_state=0).named(["a", "b", "c"])
    new = factorize(make(X[:5]), H=known(f), update_H=False)
    assert new.column_labels == f.column_labels
    assert new.names == f.names
    np.testing.assert_array_equal(new.H, f.H)
    given = [f"g{j}" for j in range(M)]
    other = factorize(pd.DataFrame(X[:5]), H=pd.DataFrame(f.H), update_H=False, feature_names=given)
    assert list(other.column_labels) == given


def test_features_that_are_numbers_keep_their_order():
    f = factorize(pd.DataFrame(X), K, random_state=0)
    H = pd.DataFrame(f.H, columns=list(map(str, range(M)))).iloc[:, J]
    new = factorize(pd.DataFrame(X), H=H, update_H=False)
    np.testing.assert_array_equal(new.H, f.H)
    assert list(map(int, new.column_labels)) == list(range(M))


def test_entries_that_are_refused_are_named():
    bad = X.copy()
    bad[3, 4] = -1
    frame = pd.DataFrame(bad, ROWS, COLUMNS)
    for call in (lambda: factorize(frame, K), lambda: factorize(X, K, weights=frame),
                 lambda: factorize(abs(frame), K).transform(frame)):  # fmt: skip
        with pytest.raises(ValueError, match=r"row 3 \('s3'\), column 4 \('f4'\)"):
            call()
    with pytest.raises(ValueError, match=r"row 3, column 4 \('f4'\)"):
        factorize(pl.DataFrame(bad, schema=COLUMNS), K)
    with pytest.raises(ValueError, match=r"row 3, column 4\."):
        factorize(pd.DataFrame(bad), K)


@pytest.mark.parametrize(
    ("names", "match"),
    [
        ({name: j for j, name in enumerate(COLUMNS)}, "feature_names .*are a dict.*get_feature_names_out"),
        ([["a", "b"]] * M, r"feature_names must be single labels .*\['a', 'b'\]"),
        (np.full((M, 2), "a"), "feature_names must be single labels"),
    ],
    ids=["dict", "lists", "table"],
)
def test_names_are_a_list_of_labels(names, match):
    with pytest.raises(TypeError, match=match):
        factorize(X, K, feature_names=names)


def test_components_to_keep_are_named():
    f = model(pandas_frame(X, ROWS, COLUMNS))
    kept = pd.Series([True, False, True], index=["c3", "c1", "c2"])
    g = factorize(X, H=f.components, W=f.embedding, update_H=kept, **QUICK)
    np.testing.assert_array_equal(g.H[0], f.H[0])
    assert not np.array_equal(g.H[2], f.H[2])
    with pytest.raises(ValueError, match=r"rows of update_H are not those of H: .* 'c1'; .* 'c4'"):
        factorize(X, H=f.components, update_H=kept.rename({"c1": "c4"}))


def test_known_components_and_some_to_learn_are_named():
    known = pd.DataFrame(model(X).H[:2], ["A", "E"], COLUMNS)
    held = pd.Series([True, False, False], index=["c3", "E", "A"])
    f = factorize(pandas_frame(X, ROWS, COLUMNS), 3, H=known[COLUMNS[::-1]], update_H=held, **QUICK)
    assert list(f.names) == ["A", "E", "c3"]
    np.testing.assert_array_equal(f.components.loc[["A", "E"]], known)


def test_weights_of_samples_are_brought_into_the_order_of_X():
    frame = pandas_frame(X, ROWS, COLUMNS)
    counts = pd.Series(np.arange(N) % 4 + 1.0, index=ROWS)
    weights, how = pandas_frame(WEIGHTS, ROWS, COLUMNS), {"init": "random", "random_state": 0}
    for more, turned in (({}, {}), ({"weights": WEIGHTS}, {"weights": weights.iloc[P]})):
        expected = NMF(K, **how).fit(frame, sample_weight=counts.to_numpy(), **more)
        found = NMF(K, **how).fit(frame, sample_weight=counts[::-1], **turned)
        np.testing.assert_array_equal(found.components_, expected.components_)
        assert found.result_.row_labels == ROWS
    with pytest.raises(ValueError, match="The rows of sample_weight are not those of X"):
        NMF(K, **how).fit(frame, sample_weight=counts.rename({ROWS[0]: "other"}))


# --- which labels count


def numbered(A, **kwargs):
    return pd.DataFrame(A, **kwargs)


def test_labels_that_only_count_are_places():
    f = model(pandas_frame(X, ROWS, COLUMNS))
    np.testing.assert_array_equal(f.transform(numbered(X)).to_numpy(), f.transform(X))
    np.testing.assert_array_equal(f.transform(ad.AnnData(X)), f.transform(X))
    weights = numbered(WEIGHTS, index=range(100, 100 + N))
    np.testing.assert_array_equal(model(numbered(X), weights=weights).W, model(X, weights=WEIGHTS).W)
    np.testing.assert_array_equal(
        model(pandas_frame(X, ROWS, COLUMNS), weights=numbered(WEIGHTS)).W, model(X, weights=WEIGHTS).W
    )


def test_numbers_in_another_order_are_labels():
    f = model(numbered(X))
    np.testing.assert_allclose(f.transform(numbered(X)[J]), f.transform(X), rtol=1e-9)
    turned = model(numbered(X)[J])
    with pytest.raises(ValueError, match="columns of X are numbered from 0, those of the fit are the same numbers"):
        turned.transform(numbered(X))


def test_labels_that_read_the_same_are_the_same():
    years = pd.DataFrame(X, columns=range(2000, 2000 + M))
    f = model(years.rename(columns=str))
    np.testing.assert_allclose(f.transform(years[years.columns[J]]), f.transform(X), rtol=1e-9)


def test_labels_that_occur_twice_cannot_be_brought_into_order():
    names = ["a", "a", *COLUMNS[2:]]
    f = model(pandas_frame(X, ROWS, names))
    np.testing.assert_array_equal(f.transform(pandas_frame(X, ROWS, names)), f.transform(X))
    with pytest.raises(ValueError, match="'a' occurs twice"):
        f.transform(pandas_frame(X, ROWS, names).iloc[:, J])


def test_the_number_of_components_is_that_of_what_is_given():
    assert factorize(X, W=W, **QUICK).n_components == factorize(X, H=H, **QUICK).n_components == K
    with pytest.raises(TypeError, match="n_components must be an integer unless W or H is given"):
        factorize(X)
    with pytest.raises(ValueError, match="H has shape 3 x 8, but 2 x 8 is needed"):
        factorize(X, 2, H=H)
    with pytest.raises(ValueError, match="W has shape 20 x 2, but 20 x 3 is needed"):
        factorize(X, W=W[:, :2], H=H)


# --- what comes back

INDEXES = {
    "text": pd.Index(ROWS, name="sample"),
    "integers": pd.Index(np.arange(5, 5 + N)),
    "a range": pd.RangeIndex(N),
    "another range": pd.RangeIndex(3, 3 + 2 * N, 2, name=7),
    "floats": pd.Index(np.linspace(0, 1, N)),
    "dates": pd.date_range("2024-01-30", periods=N, name="day"),
    "dates somewhere": pd.date_range("2024-03-30 12:00", periods=N, freq="h", tz="Europe/Berlin"),
    "differences": pd.timedelta_range("1h", periods=N, freq="min"),
    "months": pd.period_range("2024-01", periods=N, freq="M"),
    "several levels": pd.MultiIndex.from_product(
        [["a", "b"], pd.date_range("2024-01-01", periods=N // 2)], names=["g", None]
    ),
    "a mixture": pd.Index([1, "one", 2.5, (3, "x"), None, *range(10, 5 + N)], tupleize_cols=False),
    "categories": pd.CategoricalIndex(ROWS),
    "nullable": pd.Index(np.arange(1, N + 1), dtype="Int64"),
    "arrow": pd.Index(ROWS, dtype="string[pyarrow]"),
}
every_index = pytest.mark.parametrize("index", INDEXES.values(), ids=INDEXES)


@every_index
def test_results_stand_beside_the_data(index, tmp_path):
    frame = pd.DataFrame(X, index=index, columns=COLUMNS)
    f = model(frame)
    pd.testing.assert_index_equal(f.embedding.index, index)
    pd.testing.assert_index_equal(model(frame.T).components.columns, index)
    pd.testing.assert_index_equal(f.transform(frame[::-1]).index, index[::-1])
    assert frame.join(f.embedding)["c1"].notna().all()
    np.testing.assert_allclose((frame - f.embedding @ f.components).to_numpy(dtype=float), X - f.W @ f.H)
    weights = pd.DataFrame(WEIGHTS, index=index, columns=COLUMNS)
    np.testing.assert_array_equal(model(frame, weights=weights.iloc[P]).W, model(X, weights=WEIGHTS).W)
    f.save(tmp_path / "f.npz")
    g = nmf_core.load(tmp_path / "f.npz")
    pd.testing.assert_index_equal(g.embedding.index, index, exact=False)
    assert type(g.embedding.index) is type(index)
    assert str(g.embedding.index.dtype) == str(index.dtype)
    assert g.row_labels == f.row_labels
    for i in (1, N - 1):
        assert g.predict([f.row_labels[i]], "f2") == pytest.approx((f.W @ f.H)[i, 2])


@pytest.mark.parametrize("named", [{"feature_names"}, {"sample_names"}, {"components"}, set()], ids=str)
def test_what_has_a_side_with_names_is_a_data_frame(named):
    names = {name: labels for name, labels in (("feature_names", COLUMNS), ("sample_names", ROWS)) if name in named}
    f = model(X, **names)
    if "components" in named:
        f = f.named([f"part {name}" for name in f.names])
    for table, sides in (
        (f.components, {"feature_names", "components"}),
        (f.embedding, {"sample_names", "components"}),
        (f.reconstruct(), {"feature_names", "sample_names"}),
    ):
        assert isinstance(table, pd.DataFrame if sides & named else np.ndarray)
    assert isinstance(f.transform(X), np.ndarray)  # as X is


@pytest.mark.parametrize("index", [["A", "E", "I"], [0, 1, 2]], ids=str)
def test_exposures_to_components_with_names(index):
    found = nmf_core.refit(X, pd.DataFrame(model(X).H, index=index)).exposures
    if index[0] == 0:
        assert isinstance(found, np.ndarray)
    else:
        assert list(found.columns) == index


@every_container
def test_results_come_as_what_the_data_were(make, has_rows, tmp_path):
    f = model(make(X, ROWS, COLUMNS))
    new, old = make(X[:4], ROWS[:4], COLUMNS), f.embedding
    kind = {pandas_frame: pd, sparse_frame: pd, polars_frame: pl, wrapped: pl, cells: pd, sparse_cells: pd}.get(make)
    kind = pa.Table if kind is None else kind.DataFrame
    f.save(tmp_path / "f.npz")
    for g in (f, nmf_core.load(tmp_path / "f.npz")):
        assert type(g.W) is type(g.H) is np.ndarray
        assert isinstance(g.components, kind)
        assert isinstance(g.embedding, kind)
    assert f.row_labels == (ROWS if has_rows else None)
    assert f.column_labels == COLUMNS
    np.testing.assert_array_equal(np.asarray(f.components), f.H)
    np.testing.assert_array_equal(np.asarray(old), f.W)
    assert isinstance(f.transform(new), np.ndarray if make in (cells, sparse_cells) else kind)
    if kind is pd.DataFrame:
        assert list(old.index) == ROWS
        assert list(f.components.index) == list(old.columns) == COMPONENTS
    else:
        assert list(nw.from_native(f.components).columns) == COLUMNS
        assert list(nw.from_native(f.transform(new)).columns) == COMPONENTS


def test_a_model_file_of_the_first_format():
    f = nmf_core.load(Path(__file__).parent / "golden" / "factorization-1.npz")
    assert f.row_labels == ("ann", "bob", "çé", "日本", "e f")
    assert f.column_labels == tuple("abcd")
    assert f.predict("日本", "d") == pytest.approx(0.4199971003783101)
    assert list(f.embedding.index) == list(f.row_labels)


def test_model_files_keep_every_character_and_no_more(tmp_path):
    labels = ["x" * 20_000, "", "a\0", "\0", "é\udc80", *map(str, range(N - 5))]
    f = replace(model(), row_labels=labels)
    f.save(tmp_path / "f.npz")
    assert nmf_core.load(tmp_path / "f.npz").row_labels == labels
    assert (tmp_path / "f.npz").stat().st_size < 60_000


def test_files_can_be_read_without_pandas(monkeypatch):
    for index in INDEXES.values():
        about, arrays = packed(index, "rows")
        assert not any(array.dtype.hasobject for array in arrays.values())
        with monkeypatch.context() as without:
            without.setattr("importlib.util.find_spec", lambda name: None)
            assert len(unpacked(about, arrays, "rows").labels) == N
    assert unpacked(*packed(tuple(ROWS), "rows"), "rows") == ROWS


# --- labels to ask by


def asked(index, rows, column="f2"):
    f = model(pd.DataFrame(X, index=index, columns=COLUMNS))
    return f.predict(rows, column), (f.W @ f.H)[:, COLUMNS.index(column)]


def test_integers_are_labels_where_labels_are_integers():
    got, Y = asked(pd.RangeIndex(1, N + 1), [1, 20, 2])
    np.testing.assert_allclose(got, Y[[0, 19, 1]])
    f = model(pd.DataFrame(X, index=range(1, N + 1), columns=range(10, 10 + M)))
    np.testing.assert_allclose(f.predict(np.array([[1], [20]]), [10, 17]), (f.W @ f.H)[[0, -1]][:, [0, -1]])
    np.testing.assert_array_equal(f.recommend(20, 2).columns, f.recommend(n=2).columns[-1:])
    for wanted in (0, 21, -1, 1.5):
        with pytest.raises(ValueError, match=f"There is no row {wanted}: labels are such as 1"):
            f.recommend(wanted)
    with pytest.raises(TypeError, match="column must be given"):
        f.predict(1, True)
    best = f.recommend([1, 20], 3)
    np.testing.assert_array_equal(best.labels, best.columns + 10)
    np.testing.assert_allclose(f.predict([[1], [20]], best.labels), best.scores)
    new = pd.DataFrame(X[:3], index=[7, 8, 9], columns=range(10, 10 + M))
    np.testing.assert_array_equal(f.recommend(9, 2, new=new).columns, f.recommend(n=2, new=new).columns[2:])


def test_the_command_line_knows_a_model_of_numbers(tmp_path, capsys):
    users, items = range(101, 101 + N), range(501, 501 + M)
    f = model(pd.DataFrame(X, index=users, columns=items))
    f.save(tmp_path / "f.npz")
    pd.DataFrame(X[:2], index=["a", "b"], columns=items).iloc[:, J].to_csv(tmp_path / "new.csv")
    arguments = [str(tmp_path / "f.npz"), str(tmp_path / "new.csv"), "-q", "-o", str(tmp_path / "W.csv")]
    assert main(["transform", *arguments]) == 0
    W = pd.read_csv(tmp_path / "W.csv", index_col=0)
    np.testing.assert_allclose(W.to_numpy(), f.transform(X[:2]), rtol=1e-6)
    assert main(["recommend", str(tmp_path / "f.npz"), "103", "-n", "1"]) == 0
    assert capsys.readouterr().out.split()[0] == str(f.recommend(103, 1).labels[0, 0])


def test_numbers_are_places_where_labels_are_text():
    got, Y = asked(ROWS, [1, 3])
    np.testing.assert_allclose(got, Y[[1, 3]])
    with pytest.raises(ValueError, match="There is no row 20: they are numbered from 0 to 19"):
        asked(ROWS, 20)


@pytest.mark.parametrize(
    "day",
    [
        "2024-01-03",
        pd.Timestamp("2024-01-03"),
        np.datetime64("2024-01-03"),
        pd.Timestamp("2024-01-03").to_pydatetime(),
        2,
    ],
    ids=lambda day: type(day).__name__,
)
def test_dates_are_labels(day):
    got, Y = asked(pd.date_range("2024-01-01", periods=N), day)
    assert got == pytest.approx(Y[2])
    got, Y = asked(pd.date_range("2024-01-01", periods=N), [day, day])
    np.testing.assert_allclose(got, Y[[2, 2]])


@pytest.mark.parametrize("name", ["dates", "dates somewhere", "differences", "months", "several levels", "floats"])
def test_an_index_is_labels(name):
    got, Y = asked(INDEXES[name], INDEXES[name][2:5])
    np.testing.assert_allclose(got, Y[2:5])
    got, Y = asked(INDEXES[name], INDEXES[name][2])
    assert got == pytest.approx(Y[2])


def test_dates_of_somewhere_are_labels():
    index = pd.date_range("2024-01-01", periods=N, tz="Europe/Berlin")
    for day in ("2024-01-03", index[2], index[2].tz_convert("UTC")):
        got, Y = asked(index, day)
        assert got == pytest.approx(Y[2])
    with pytest.raises(ValueError, match="There is no row 'never'"):
        asked(index, "never")


def test_best_features_have_their_labels():
    f = model(pd.DataFrame(X, columns=pd.MultiIndex.from_product([["a", "b"], range(M // 2)])))
    columns, scores = found = f.recommend(0, M + 3, exclude=np.eye(N, M))
    assert found.labels.shape == columns.shape == scores.shape == (1, M)
    assert found.labels[0, -1] is None
    assert found.labels[0, 0] == f.column_labels[columns[0, 0]]
    assert model().recommend(0).labels is None


def test_tuples_are_labels():
    index = pd.MultiIndex.from_product([["a", "b"], range(N // 2)])
    for rows, places in (
        (("b", 0), 10),
        ([("b", 0), ("a", 3)], [10, 3]),
        (index[4:6], [4, 5]),
        (7, 7),
        ([7, 1], [7, 1]),
    ):
        got, Y = asked(index, rows)
        np.testing.assert_allclose(got, Y[places])
    with pytest.raises(ValueError, match=r"There is no row \('c', 0\)"):
        asked(index, ("c", 0))


def test_unknown_text_is_told_with_what_may_be_meant():
    with pytest.raises(ValueError, match="There is no row 'S12': did you mean 's12'"):
        asked(ROWS, "S12")


def test_labels_that_occur_twice_name_nobody():
    numbers = [5, 5, *range(6, 4 + N)]
    assert asked(numbers, 7)[0] == pytest.approx(asked(numbers, 7)[1][3])
    with pytest.raises(ValueError, match=r"There are two rows 5\."):
        asked(numbers, 5)


# --- what is in data frames


@pytest.mark.parametrize("make", [pl.DataFrame, lambda d: pl.DataFrame(d).to_arrow(), pd.DataFrame])
def test_columns_of_all_kinds_of_numbers(make):
    columns = {
        "integers": [1, None, 3],
        "flags": [True, None, False],
        "prices": [decimal.Decimal("1.5"), None, decimal.Decimal("2")],
        "nothing": [None] * 3,
        "floats": [0.5, float("nan"), 2.5],
    }
    expected = [[1, 1, 1.5, np.nan, 0.5], [np.nan] * 5, [3, 0, 2, np.nan, 2.5]]
    got = nmf_core.labels.labelled(make(columns))
    np.testing.assert_array_equal(got.values, expected)
    assert got.columns == list(columns)
    f = factorize(make(columns), 1, missing="nan", random_state=0, alpha_W=0.01)
    np.testing.assert_array_equal(f.H, factorize(np.array(expected), 1, missing="nan", random_state=0, alpha_W=0.01).H)
    with pytest.raises(ValueError, match="X contains NaN, first at row 0, column 3"):
        factorize(make(columns), 1)


@pytest.mark.parametrize(
    "dtype", ["Int64", "Float32", "boolean", "float[pyarrow]", "int64[pyarrow]", pd.ArrowDtype(pa.decimal128(5, 2))]
)
def test_nullable_columns(dtype):
    column = [decimal.Decimal(1), None, decimal.Decimal(0)] if "decimal" in str(dtype) else [1, None, 0]
    frame = pd.DataFrame({"a": pd.array(column, dtype=dtype), "b": pd.array([1.0, 2.0, 3.0], dtype="float32")})
    values = nmf_core.labels.labelled(frame).values
    np.testing.assert_array_equal(values, [[1, 1], [np.nan, 2], [0, 3]])
    assert values.dtype == (np.float32 if str(dtype) in ("Float32", "float[pyarrow]") else np.float64)


def test_flags_beside_numbers():
    np.testing.assert_array_equal(nmf_core.labels.labelled(pd.DataFrame({"a": [True], "b": [2.5]})).values, [[1, 2.5]])


@pytest.mark.parametrize("make", [pl.DataFrame, lambda d: pl.DataFrame(d).to_arrow(), pd.DataFrame])
@pytest.mark.parametrize("text", ["1.5", "x"])
@pytest.mark.parametrize("fit", [lambda A: factorize(A, 1), NMF(1).fit, MiniBatchNMF(1).fit], ids=["f", "NMF", "Mini"])
def test_columns_of_text_are_named(make, text, fit):
    with pytest.raises(TypeError, match="X must hold real numbers, but its column 'who' has dtype"):
        fit(make({"a": [1.0, 2.0], "who": [text, text]}))


def test_frames_that_cannot_be_read():
    dd = pytest.importorskip("dask.dataframe")
    for lazy in (pl.DataFrame({"a": [1.0]}).lazy(), dd.from_pandas(pd.DataFrame({"a": [1.0]}), npartitions=1)):
        for fit in (lambda A: factorize(A, 1), NMF(1).fit, model().transform):
            with pytest.raises(TypeError, match=r"X is a \w+ of \w+, which is lazy: collect it first"):
                fit(lazy)
    with pytest.raises(TypeError, match="names of columns occur twice"):
        factorize(pa.Table.from_arrays([pa.array([1.0]), pa.array([2.0])], names=["a", "a"]), 1)
    with pytest.raises(TypeError, match="X is a RecordBatch of pyarrow, which is not supported"):
        factorize(pa.table({"a": [1.0]}).to_batches()[0], 1)


@pytest.mark.parametrize("kind", [pl.String, pl.Categorical])
@pytest.mark.parametrize("of", [lambda frame: frame, lambda frame: frame.to_arrow(), nw.from_native])
def test_a_first_column_of_text_labels_rows_where_there_is_no_index(kind, of):
    A = np.arange(6.0).reshape(3, 2)
    named = pl.DataFrame({"who": ["a", "b", "c"], "x": A[:, 0], "y": A[:, 1]}).with_columns(pl.col("who").cast(kind))
    found = labelled(of(named))
    np.testing.assert_array_equal(found.values, A)
    assert found.rows == ["a", "b", "c"]
    assert found.columns == ["x", "y"]
    f = nmf_core.factorize(of(named), 1, random_state=0)
    assert f.row_labels == ["a", "b", "c"]
    assert f.embedding.shape == (3, 1)
    catalogue = pl.DataFrame({"name": ["one", "two"], "y": [1.0, 3.0], "x": [2.0, 1.0]})
    assert nmf_core.match(f, of(catalogue)).names == ["one", "two"]
    weights = named[[2, 0, 1]]
    np.testing.assert_array_equal(
        nmf_core.factorize(of(named), 1, weights=of(weights), random_state=0).W,
        nmf_core.factorize(A, 1, weights=A, random_state=0).W,
    )
    for bad in (named.select("x", "who"), named.select("who"), named.with_columns(z=pl.lit("q"))):
        with pytest.raises(TypeError, match=r"must hold real numbers, but its column '(who|z)' has dtype"):
            labelled(of(bad))


def test_a_first_column_of_text_in_pandas_is_not_taken_for_the_index():
    with pytest.raises(TypeError, match=r"its column 'who' has dtype .* make it the index: .set_index\('who'\)\.$"):
        labelled(pd.DataFrame({"who": ["a", "b"], "x": [1.0, 2.0]}))


@pytest.mark.parametrize(
    ("labels", "bad", "shown"),
    [
        (np.linspace(0, 1, 3), 5, "There is no column 5: labels are such as 0.0."),
        (np.arange(1, 4), 5, "There is no column 5: labels are such as 1."),
        (np.array(["a", "b", "c"]), 7, "given by labels such as 'a'."),
        ([np.float32(0.5), np.float32(1), np.float32(2)], 5, "labels are such as 0.5."),
    ],
)
def test_messages_show_plain_labels(labels, bad, shown):
    f = factorize(np.ones((2, 3)), 1, feature_names=labels)
    with pytest.raises(ValueError, match=f"{re.escape(shown)}$"):
        f.predict(0, bad)
    assert f.predict(0, labels[1]) == f.predict(0, labels[2])
    assert type(f.column_labels[0]) in (float, int, str)


def test_differences_of_dates_stay_what_they_are():
    labels = np.array([1, 2], dtype="timedelta64[s]")
    assert Axis(labels).labels == tuple(labels)
    assert all(isinstance(label, np.timedelta64) for label in Axis(labels))


def test_without_narwhals_other_frames_are_refused_in_words(monkeypatch):
    monkeypatch.setitem(sys.modules, "narwhals", None)
    with pytest.raises(ImportError, match="Data frames of polars need narwhals: pip install"):
        factorize(pl.DataFrame({"a": [1.0]}), 1)
    assert isinstance(model(pandas_frame(X, ROWS, COLUMNS)).components, pd.DataFrame)


# --- what is missing is not data


def masked(A):
    return np.ma.masked_array(A, mask=np.median(A) < A)


WITH_MASK = {
    "factorize": lambda: factorize(masked(X), K),
    "factorize with NaN": lambda: factorize(masked(X), K, missing="nan"),
    "a list": lambda: factorize(list(masked(X)), K),
    "weights": lambda: factorize(X, K, weights=masked(WEIGHTS)),
    "W": lambda: factorize(X, K, W=masked(W)),
    "H": lambda: factorize(X, K, H=masked(H)),
    "initialize": lambda: nmf_core.initialize(masked(X), K),
    "kkt_residual": lambda: nmf_core.kkt_residual(X, masked(W), H),
    "beta_divergence": lambda: nmf_core.beta_divergence(masked(X), W, H),
    "transform": lambda: model().transform(masked(X)),
    "impute": lambda: model().impute(masked(X)),
    "exclude": lambda: model().recommend(exclude=masked(X)),
    "row_errors": lambda: row_errors(model(), masked(X)),
    "nnls": lambda: nmf_core.nnls(W, masked(X)),
    "a right-hand side": lambda: nmf_core.nnls(W, masked(X[:, 0])),
    "cross_validate_rank": lambda: cross_validate_rank(masked(X), [1]),
    "holdout_entries": lambda: holdout_entries(masked(X)),
    "NMF": lambda: NMF(K).fit(masked(X)),
    "NMF with NaN": lambda: NMF(K, missing="nan").fit(masked(X)),
    "NMF's W": lambda: NMF(K, init="custom").fit_transform(X, W=masked(W), H=H),
    "NMF's transform": lambda: NMF(K).fit(X).transform(masked(X)),
    "MiniBatchNMF": lambda: MiniBatchNMF(K).fit(masked(X)),
    "MiniBatchNMF's H": lambda: MiniBatchNMF(K, init="custom").fit_transform(X, W=W, H=masked(H)),
    "partial_fit": lambda: MiniBatchNMF(K).partial_fit(masked(X)),
    "non_negative_factorization": lambda: nmf_core.non_negative_factorization(masked(X)),
}


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("name", WITH_MASK)
def test_masked_arrays_are_refused(name):
    with pytest.raises(TypeError, match="is a masked array; masked entries are not supported") as caught:
        WITH_MASK[name]()
    text = str(caught.value)
    takes_missing = (
        "factorize",
        "initialize",
        "NMF",
        "cross_validate_rank",
        "holdout_entries",
        "a list",
        "non_negative",
    )
    assert ("missing='nan'" in text) == (
        text.startswith("X") and name.startswith(takes_missing) and name != "transform"
    )
    assert not text.startswith("weights") or "with 0 for what does not count" in text


HOLES = np.where(np.random.default_rng(1).random((N, M)) < 0.3, np.nan, X)
UNSTORED = pd.DataFrame(HOLES, ROWS, COLUMNS).astype(pd.SparseDtype(float, np.nan))


@pytest.mark.parametrize("missing", ["nan", "unstored"])
def test_sparse_frames_say_what_is_missing(missing):
    expected = model(HOLES, missing="nan")
    f = model(UNSTORED, missing=missing)
    np.testing.assert_allclose(f.W, expected.W, rtol=1e-9)
    np.testing.assert_allclose(f.transform(UNSTORED), expected.transform(HOLES), rtol=1e-9)
    np.testing.assert_allclose(row_errors(f, UNSTORED), row_errors(expected, HOLES), rtol=1e-9)
    how = {"missing": missing, "init": "random", "solver": "auto", "random_state": 0, "max_iter": 500}
    ours, plain = (NMF(K, **how | {"missing": m}).fit(A) for A, m in ((UNSTORED, missing), (HOLES, "nan")))
    np.testing.assert_allclose(ours.components_, plain.components_, rtol=1e-6)
    np.testing.assert_allclose(ours.transform(UNSTORED), plain.transform(HOLES), rtol=1e-6)
    errors = [
        cross_validate_rank(A, [1, 2], missing=m, random_state=0).errors
        for A, m in ((UNSTORED, missing), (HOLES, "nan"))
    ]
    np.testing.assert_allclose(*errors, rtol=1e-6)


@pytest.mark.parametrize(
    ("door", "advice"),
    [
        (lambda: factorize(UNSTORED, K), "missing='nan' takes it so, and so does missing='unstored'"),
        (lambda: NMF(K).fit(UNSTORED), "missing='nan' takes it so, and so does missing='unstored'"),
        (lambda: cross_validate_rank(UNSTORED, [1]), "missing='nan' takes it so, and so does missing='unstored'"),
        (lambda: MiniBatchNMF(K).fit(UNSTORED), "fill it in first"),
        (lambda: model().transform(UNSTORED), "fill it in first"),
        (lambda: nmf_core.nnls(W, UNSTORED), "fill it in first"),
        (lambda: factorize(X, K, weights=UNSTORED), "fill it in first"),
    ],
)
def test_nobody_has_said_that_entries_are_missing(door, advice):
    with pytest.raises(ValueError, match=f"is a sparse data frame whose fill value is NaN: .* {advice}"):
        door()


def test_sparse_frames_of_zeros_stay_sparse():
    counts = np.where(np.median(X) < X, X, 0)
    frame = pd.DataFrame(counts, ROWS, COLUMNS).astype(pd.SparseDtype(float, 0.0))
    values = nmf_core.labels.labelled(frame).values
    assert values.format == "csr"
    np.testing.assert_array_equal(values.toarray(), counts)
    np.testing.assert_allclose(model(frame).W, model(sp.csr_matrix(counts)).W)
    for estimator in (NMF(K, max_iter=500, random_state=0), MiniBatchNMF(K, random_state=0, max_iter=9, tol=0)):
        np.testing.assert_allclose(estimator.fit(frame).components_, estimator.fit(sp.csr_matrix(counts)).components_)


def test_sparse_columns_of_several_kinds():
    """What is not stored is what each column says."""
    frame = pd.DataFrame(HOLES, ROWS, COLUMNS)
    kinds = {name: pd.SparseDtype(float, fill) for name, fill in zip(COLUMNS, [0.0, np.nan, 1.0] * 3, strict=False)}
    np.testing.assert_allclose(model(frame.astype(kinds), missing="nan").W, model(HOLES, missing="nan").W)
    mixed = {name: kind for name, kind in kinds.items() if name > "f4"}
    np.testing.assert_allclose(model(frame.astype(mixed), missing="nan").W, model(HOLES, missing="nan").W)
    with pytest.raises(ValueError, match=r"fill value is NaN: .* missing='nan' takes it so"):
        factorize(frame.astype(kinds), K, missing="unstored")
    whole = pd.DataFrame(X, ROWS, COLUMNS).astype(pd.SparseDtype(float, 1.0))
    np.testing.assert_allclose(model(whole).W, model(X).W)


# --- AnnData

COUNTS = np.random.default_rng(3).poisson(1.0, (N, M)).astype(np.float32)


@pytest.mark.parametrize("backed", [False, True])
@pytest.mark.parametrize("make", [np.asarray, sp.csr_matrix, sp.csc_matrix])
def test_anndata_is_a_matrix_with_names(make, backed, tmp_path):
    adata = cells(make(COUNTS), ROWS, COLUMNS)
    plain, turned = make(COUNTS), adata[P][:, J]
    if backed:
        for name, data in (("a", adata), ("t", turned.copy())):
            data.write_h5ad(tmp_path / name)
        adata, turned = (ad.read_h5ad(tmp_path / name, backed="r") for name in "at")
    f, g = model(adata), model(plain)
    np.testing.assert_allclose(f.W, g.W, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(f.transform(plain), g.transform(plain), rtol=1e-3, atol=1e-4)
    if not (backed and make is sp.csc_matrix):
        np.testing.assert_allclose(f.transform(turned), f.transform(plain)[P], rtol=1e-3, atol=1e-4)
    for estimator in (NMF(K, init="random", random_state=0), MiniBatchNMF(K, init="random", random_state=0)):
        expected = estimator.fit(plain)
        H, W = expected.components_, expected.transform(plain)
        assert not hasattr(expected, "feature_names_in_")
        estimator.fit(adata)
        np.testing.assert_allclose(estimator.components_, H, rtol=1e-3, atol=1e-4)
        assert list(estimator.feature_names_in_) == COLUMNS
        np.testing.assert_allclose(estimator.transform(adata), W, rtol=1e-2, atol=1e-3)
        with pytest.raises(ValueError, match="Feature names must be in the same order as they were in fit"):
            estimator.transform(turned)
    MiniBatchNMF(K).partial_fit(adata).partial_fit(adata)
    errors = [cross_validate_rank(A, [1, 2], alpha_W=0.01, random_state=0).errors for A in (adata, plain)]
    np.testing.assert_allclose(*errors, rtol=1e-4)
    np.testing.assert_array_equal(
        holdout_entries(adata, random_state=0).values, holdout_entries(plain, random_state=0).values
    )


def test_anndata_without_X():
    adata = ad.AnnData(obs=pd.DataFrame(index=ROWS), var=pd.DataFrame(index=COLUMNS), layers={"raw": COUNTS})
    for fit in (lambda A: factorize(A, K), NMF(K).fit, MiniBatchNMF(K).fit, model().transform):
        with pytest.raises(ValueError, match=r"X is AnnData without X; give one of its layers, as .layers\['raw'\]"):
            fit(adata)
    np.testing.assert_array_equal(model(adata.layers["raw"]).W, model(COUNTS).W)
    np.testing.assert_array_equal(model(adata[:, J].layers["raw"]).W, model(COUNTS[:, J]).W)


def test_anndata_without_names():
    f = model(ad.AnnData(COUNTS))
    np.testing.assert_allclose(f.transform(ad.AnnData(COUNTS)[:, J]), f.transform(COUNTS), rtol=1e-3, atol=1e-4)


# --- the estimators

ESTIMATORS = {
    "NMF": lambda **how: NMF(K, **{"random_state": 0, "max_iter": 500} | how),
    "MiniBatchNMF": lambda **how: MiniBatchNMF(K, **{"random_state": 0} | how),
}
every_estimator = pytest.mark.parametrize("estimator", ESTIMATORS.values(), ids=ESTIMATORS)
LABELS = {
    "integers": pd.Index(range(400, 400 + M)),
    "a range": pd.RangeIndex(M),
    "floats": pd.Index(np.linspace(0, 1, M)),
    "dates": pd.date_range("2024-01-01", periods=M),
    "tuples": pd.MultiIndex.from_product([["a", "b"], range(M // 2)]),
}


@every_estimator
@pytest.mark.parametrize("labels", LABELS.values(), ids=LABELS)
def test_labels_that_scikit_learn_ignores(estimator, labels):
    frame = pd.DataFrame(X, columns=labels)
    fitted = estimator().fit(frame)
    expected = fitted.transform(X)
    np.testing.assert_allclose(fitted.transform(frame.iloc[:, J]), expected, rtol=1e-6, atol=1e-9)
    if labels[0] != 0 or labels[-1] != M - 1:
        with pytest.raises(ValueError, match="columns of X are not those of the fit: 8 of 8"):
            fitted.transform(frame.set_axis(pd.Index(range(50, 50 + M)), axis=1))
    streamed = MiniBatchNMF(K, random_state=0).partial_fit(frame)
    turned = MiniBatchNMF(K, random_state=0).partial_fit(frame).partial_fit(frame.iloc[:, J])
    np.testing.assert_allclose(turned.components_, streamed.partial_fit(frame).components_, rtol=1e-6)
    assert not hasattr(fitted.fit(X), "_column_labels")


@every_estimator
@pytest.mark.parametrize("make", [pandas_frame, polars_frame, arrow_table])
def test_names_are_as_in_scikit_learn(estimator, make):
    fitted = estimator().fit(make(X, ROWS, COLUMNS))
    assert list(fitted.feature_names_in_) == COLUMNS
    with pytest.raises(ValueError, match="Feature names must be in the same order as they were in fit"):
        fitted.transform(make(X[:, J], ROWS, np.array(COLUMNS)[J].tolist()))
    W = fitted.set_output(transform="pandas").transform(pandas_frame(X, ROWS, COLUMNS))
    assert list(W.index) == ROWS


@every_estimator
@every_container
def test_starts_of_estimators_are_brought_into_order(estimator, make, has_rows):
    turned = Turned(make, has_rows)
    expected, got = estimator(init="custom"), estimator(init="custom")
    W_expected = expected.fit_transform(X, W=W.copy(), H=H.copy())
    W_got = got.fit_transform(turned.straight, W=turned.W, H=turned.H)
    np.testing.assert_allclose(got.components_, expected.components_, rtol=1e-6)
    np.testing.assert_allclose(W_got, W_expected, rtol=1e-6, atol=1e-12)
    with pytest.raises(ValueError, match=r"columns of H are not those of X: .* 'f0'; .* 'z'"):
        got.fit_transform(turned.straight, W=W, H=make(H, COMPONENTS, ["z", *COLUMNS[1:]]))


def test_functions_of_scikit_learn_align_too():
    frame = pandas_frame(X, ROWS, COLUMNS)
    expected = nmf_core.non_negative_factorization(X, H=H, n_components=K, update_H=False)[0]
    got = nmf_core.non_negative_factorization(
        frame, H=pandas_frame(H, None, COLUMNS).iloc[:, J], n_components=K, update_H=False
    )[0]
    np.testing.assert_allclose(got, expected, rtol=1e-9)


@every_estimator
def test_starts_get_the_precision_of_X(estimator):
    fitted = estimator(init="custom")
    given = H.copy()
    assert fitted.fit_transform(X.astype(np.float32), W=W, H=given).dtype == np.float32
    assert fitted.components_.dtype == np.float32
    np.testing.assert_array_equal(given, H)


# --- what was changed in place, and what is found by name


@pytest.mark.parametrize("biases", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_factors_may_be_rescaled_in_place(biases, dtype):
    f = factorize(X.astype(dtype), K, random_state=0, biases=biases)
    f.transform(X[:1].astype(dtype)), f.predict(0, 0), f.recommend(0)
    scale = f.H.sum(axis=1)
    f.H[:] /= scale[:, np.newaxis]
    f.W[:] *= scale
    if biases:
        f.biases.columns[:] += 0.25
    parts = f.W @ f.H + (f.biases.mean + f.biases.rows[:, np.newaxis] + f.biases.columns if biases else 0)
    fresh = type(f)(**{name: getattr(f, name) for name in f.__dataclass_fields__})
    np.testing.assert_allclose(f.predict(np.arange(N)[:, np.newaxis], np.arange(M)), parts, rtol=1e-5)
    np.testing.assert_array_equal(f.transform(X.astype(dtype)), fresh.transform(X.astype(dtype)))
    np.testing.assert_array_equal(f.recommend(n=3).columns, np.argsort(-parts, axis=1, kind="stable")[:, :3])
    holes = np.full((N, M), np.nan, dtype=dtype)
    np.testing.assert_allclose(f.impute(holes), parts, rtol=1e-5)


def test_modules_are_found_without_importing_them():
    program = """
    import sys, nmf_core
    heavy = {"matplotlib", "jinja2", "pandas", "sklearn", "narwhals"}
    assert not heavy & {*sys.modules}
    for name in ("data", "interpretation", "io", "model_selection", "plotting", "report", "solvers", "stopping"):
        assert name in dir(nmf_core)
        assert getattr(nmf_core, name).__name__ == f"nmf_core.{name}"
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_an_axis_is_a_sequence():
    axis = Axis(pd.Index(["a", "b", "c"]))
    assert list(axis) == ["a", "b", "c"]
    assert axis == ("a", "b", "c") == axis
    assert axis == ["a", "b", "c"]
    assert axis == Axis(["a", "b", "c"])
    assert axis != Axis(pd.Index(["a", "c", "b"]))
    assert axis != "abc"
    assert axis[-1] == "c"
    assert axis.index("b") == 1
    assert "c" in axis
    assert repr(axis) == "Axis(['a', 'b', 'c'], length 3)"
    assert Axis.of(axis) is axis
    assert Axis.of(None) is None


def test_labels_of_any_kind_are_found():
    A = np.random.default_rng(0).random((4, 3))
    order = [2, 0, 3, 1]
    for index in (pd.Index([1, np.nan, 3, 4]), pd.interval_range(0, 4), pd.Index([b"a", b"b", b"c", b"d"])):
        f = factorize(pd.DataFrame(A, index=index), 2, random_state=0)
        assert f.predict(index[2], 0) == pytest.approx(f.W[2] @ f.H[:, 0])
        ones = pd.DataFrame(np.ones((4, 3)), index=index)
        weighted = factorize(pd.DataFrame(A, index=index), 2, random_state=0, weights=ones.iloc[order])
        assert weighted.row_labels == f.row_labels
