"""Reading matrices with their labels, and writing files whole or not at all."""

import functools
import gzip
import os
import re
import stat
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import scipy.io
import scipy.sparse as sp

import nmf_core
from nmf_core.files import check_destination, written_whole
from nmf_core.io import from_triplets, read_matrix, read_triplets, stem, write_matrix

A = np.array([[1.0, 0.0, 2.5], [0.0, 3.0, 0.25]])
ROWS, COLUMNS = ("r1", "r2"), ("a", "b", "c")
FRAME = pd.DataFrame(A, index=ROWS, columns=COLUMNS)


def save_npy(path):
    with path.open("wb") as file:  # given a name, np.save would add an ending
        np.save(file, A)


def save_npz(path):
    np.savez(path, X=A)


def save_labelled(path):
    np.savez(path, X=A, row_labels=ROWS, column_labels=COLUMNS)


def save_sparse(path):
    sp.save_npz(path, sp.csr_array(A))


def save_mtx(path):
    with (gzip.open if path.suffix == ".gz" else open)(path, "wb") as file:
        scipy.io.mmwrite(file, sp.coo_array(A))


@pytest.mark.parametrize(
    ("name", "save", "labelled"),
    [
        ("x.npy", save_npy, False),
        ("x.NPY", save_npy, False),
        ("x.npz", save_npz, False),
        ("x.npz", save_labelled, True),
        ("x.npz", save_sparse, False),
        ("x.npz", lambda path: sp.save_npz(path, sp.csc_matrix(A)), False),
        ("x.mtx", save_mtx, False),
        ("x.mtx.gz", save_mtx, False),
        ("x.mtx", lambda path: scipy.io.mmwrite(path, A), False),
        ("x.csv", FRAME.to_csv, True),
        ("x.csv.gz", FRAME.to_csv, True),
        ("x.tsv", lambda path: FRAME.to_csv(path, sep="\t"), True),
        ("x.tsv.gz", lambda path: FRAME.to_csv(path, sep="\t"), True),
        ("x.parquet", FRAME.to_parquet, True),
        ("x.parquet", lambda path: FRAME.reset_index().to_parquet(path), True),
    ],
)
def test_formats(tmp_path, name, save, labelled):
    save(tmp_path / name)
    X, rows, columns = read_matrix(tmp_path / name)
    np.testing.assert_array_equal(X.toarray() if sp.issparse(X) else X, A)
    assert (rows, columns) == ((ROWS, COLUMNS) if labelled else (None, None))


@pytest.mark.parametrize(
    ("text", "rows", "columns"),
    [
        ("1,0,2.5\n0,3,.25\n", None, None),
        ("a,b,c\n1,0,2.5\n0,3,.25\n", None, COLUMNS),
        ("name,a,b,c\nr1,1,0,2.5\nr2,0,3,.25\n", ROWS, COLUMNS),
        (",a,b,c\nr1,1,0,2.5\nr2,0,3,.25\n", ROWS, COLUMNS),
        ("a,b,c\nr1,1,0,2.5\nr2,0,3,.25\n", ROWS, COLUMNS),
        (",0,1,2\n007,1,0,2.5\n8,0,3,.25\n", ("007", "8"), ("0", "1", "2")),
        (",a,b,c\nNA,1,0,2.5\nnan,0,3,.25\n", ("NA", "nan"), COLUMNS),
        ('\ufeff\r\n"a", b ,"c"\r\n\r\n1,0,2.5\r\n0,3,2.5e-1\r\n', None, COLUMNS),
        ('"two\nlines","x ""y""",c\n1,0,2.5\n0,3,.25\n', None, ("two\nlines", 'x "y"', "c")),
    ],
)
def test_labels_of_text(tmp_path, text, rows, columns):
    (tmp_path / "x.csv").write_text(text, encoding="utf-8", newline="")
    table = read_matrix(tmp_path / "x.csv")
    np.testing.assert_array_equal(table.X, A)
    assert table[1:] == (rows, columns)


@pytest.mark.parametrize(
    ("labels", "text"),
    [
        ("none", "1,0,2.5\n0,3,.25\n"),
        ("columns", "7,8,9\n1,0,2.5\n0,3,.25\n"),
        ("rows", "7,1,0,2.5\n8,0,3,.25\n"),
        ("both", "0,7,8,9\n7,1,0,2.5\n8,0,3,.25\n"),
        ("both", "7,8,9\n7,1,0,2.5\n8,0,3,.25\n"),
    ],
)
def test_labels_that_are_numbers(tmp_path, labels, text):
    (tmp_path / "x.csv").write_text(text)
    table = read_matrix(tmp_path / "x.csv", labels)
    np.testing.assert_array_equal(table.X, A)
    assert table.row_labels == (("7", "8") if labels in ("rows", "both") else None)
    assert table.column_labels == (("7", "8", "9") if labels in ("columns", "both") else None)


def test_missing_cells_are_nan(tmp_path):
    (tmp_path / "x.csv").write_text("a,b,c\n1,,3\n4,5\n")
    np.testing.assert_array_equal(read_matrix(tmp_path / "x.csv").X, [[1, np.nan, 3], [4, 5, np.nan]])


def test_float32_is_kept(tmp_path):
    FRAME.astype("float32").to_parquet(tmp_path / "x.parquet")
    assert read_matrix(tmp_path / "x.parquet").X.dtype == np.float32


def test_one_of_several_arrays(tmp_path):
    path = tmp_path / "x.npz"
    np.savez(path, first=A, second=2 * A, row_labels=ROWS)
    with pytest.raises(ValueError, match=r"holds 2 arrays \(first, second\); choose one as .*x\.npz::NAME"):
        read_matrix(path)
    table = read_matrix(f"{path}::second")
    np.testing.assert_array_equal(table.X, 2 * A)
    assert table.row_labels is None
    with pytest.raises(ValueError, match="holds no array 'third', only first, second"):
        read_matrix(f"{path}::third")
    with pytest.raises(ValueError, match="which this is not"):
        read_matrix(f"{tmp_path / 'x.csv'}::first")


BAD_TEXT = {
    "": "it is empty",
    "\n \n": "it is empty",
    ",,\n,,\n": "it is empty",
    "a,b\n": "labels of columns, but no rows",
    "a,b\n1,2\n3,x\n": "row 1, column b: 'x' is not a number",
    "name,a\nr1,1\nr2,1;5\n": "row r2, column a: '1;5' is not a number",
    "a,a\n1,2\n": "column label 'a' occurs twice, at columns 0 and 1",
    ",a,b\nr,1,2\nr,3,4\n": "row label 'r' occurs twice, at rows 0 and 1",
    ",a,b\nr,1,2\n,3,4\n": "row 1 .* has an empty label",
    "a,b,\n1,2,\n": "column 2 .* has an empty label",
    "a,b\n1,2\n3,4,5\n": "Expected 2 fields in line 3, saw 3",
    "a,b\n1,2,3,4\n": "2 labels for 4 columns",
    "a:b\n1:2\n": "only labels; are cells separated by ','",
    '"a,b\n1,2\n': "unexpected end of data",
}


@pytest.mark.parametrize("text", BAD_TEXT)
def test_bad_text(tmp_path, text):
    (tmp_path / "x.csv").write_text(text)
    with pytest.raises(ValueError, match=BAD_TEXT[text]) as caught:
        read_matrix(tmp_path / "x.csv")
    assert str(caught.value).startswith(str(tmp_path / "x.csv"))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["x.npy", "x.npz", "s.npz", "x.mtx", "x.mtx.gz", "x.csv.gz", "x.parquet"])
@pytest.mark.parametrize(
    "damage", [lambda whole: b"", lambda whole: whole[: len(whole) // 2], lambda whole: b"\xff" * 200]
)
def test_damaged_files(tmp_path, name, damage):
    rng = np.random.default_rng(0)
    big = rng.random((50, 30))
    save = {
        "x.npy": lambda path: np.save(path, big),
        "x.npz": lambda path: np.savez(path, X=big),
        "s.npz": lambda path: sp.save_npz(path, sp.csr_array(big)),
        "x.mtx": lambda path: scipy.io.mmwrite(path, big),
        "x.mtx.gz": save_mtx,
        "x.csv.gz": pd.DataFrame(big).to_csv,
        "x.parquet": pd.DataFrame(big).to_parquet,
    }
    path = tmp_path / name
    save[name](path)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises((ValueError, OSError)) as caught:
        read_matrix(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "arrays"),
    [("x.npz", {"X": A, "row_labels": ["only one"]}), ("x.npz", {}), ("x.npz", {"X": np.array([object()])})],
)
def test_bad_arrays(tmp_path, name, arrays):
    np.savez(tmp_path / name, **arrays)
    with pytest.raises(ValueError, match=r"x\.npz: "):
        read_matrix(tmp_path / name)


@pytest.mark.parametrize("content", ["6 4 6.47E-", "6 4 6.47E\x001\n"])
def test_half_a_number_in_matrix_market(tmp_path, content):
    """SciPy's reader of version 1.17 ends the process when a file ends in the middle of a number."""
    path = tmp_path / "x.mtx"
    path.write_text(f"%%MatrixMarket matrix coordinate real general\n6 4 2\n1 1 .5\n{content}")
    if "\0" in content:
        with pytest.raises(ValueError, match=r"x\.mtx: it holds NUL"):
            read_matrix(path)
    else:
        assert read_matrix(path).X.nnz == 2


def mutated(whole, rng):
    """The bytes with some of them changed, left out or put in."""
    some = bytearray(whole)
    kind = rng.integers(3)
    for place in sorted(rng.integers(len(whole), size=rng.integers(1, 4)), reverse=True):
        if kind == 0:
            some[place] ^= 1 << rng.integers(8)
        elif kind == 1:
            del some[place : place + rng.integers(1, 9)]
        else:
            some[place:place] = rng.bytes(rng.integers(1, 9))
    return bytes(some)


MUTATED = {
    "x.npy": save_npy,
    "x.npz": save_labelled,
    "s.npz": save_sparse,
    "x.mtx": save_mtx,
    "x.mtx.gz": save_mtx,
    "x.csv": FRAME.to_csv,
    "u.csv": lambda path: FRAME.to_csv(path, encoding="utf-16", sep=";", decimal=","),
    "x.tsv.gz": lambda path: FRAME.to_csv(path, sep="\t"),
    "x.parquet": FRAME.to_parquet,
    "triplets.csv": lambda path: RATINGS.to_csv(path, index=False),
}


@pytest.mark.filterwarnings("ignore")  # of libraries, about what they find
@pytest.mark.parametrize("name", MUTATED)
def test_mutated_files_are_one_line_or_a_matrix(tmp_path, name):
    MUTATED[name](tmp_path / name)
    whole, rng = (tmp_path / name).read_bytes(), np.random.default_rng(0)
    errors = []
    for _ in range(100):
        (tmp_path / name).write_bytes(mutated(whole, rng))
        try:
            table = read_triplets(tmp_path / name, NAMES) if "triplets" in name else read_matrix(tmp_path / name)
        except (ValueError, OSError) as error:
            errors.append(str(error))
        else:
            assert all(labels is None or len(labels) == n for labels, n in zip(table[1:], table.X.shape, strict=False))
    assert all("\n" not in error and name in error for error in errors)
    assert len(errors) > 30


def test_damaged_header_of_npy(tmp_path):
    save_npy(tmp_path / "x.npy")
    whole = (tmp_path / "x.npy").read_bytes()
    (tmp_path / "x.npy").write_bytes(whole.replace(b"}", b" ", 1))
    with pytest.raises(ValueError, match=r"x\.npy: not a valid \.npy file: "):
        read_matrix(tmp_path / "x.npy")


# --- labels that occur twice, columns as rows

TWICE = pd.DataFrame(
    [[1.0, 2, 4], [3, np.nan, np.nan], [5, 6, 7], [np.nan, 8, np.nan]], index=list("GGHG"), columns=list("aba")
)


@pytest.mark.parametrize(
    ("duplicates", "X"),
    [
        ("sum", [[8, 10], [12, 6]]),
        ("mean", [[3, 5], [6, 6]]),
        ("first", [[1, 2], [5, 6]]),
        ("last", [[np.nan, 8], [7, 6]]),
    ],
)
@pytest.mark.parametrize("transpose", [False, True])
def test_duplicates(tmp_path, duplicates, X, transpose):
    TWICE.to_csv(tmp_path / "x.csv")
    how = {"duplicates": duplicates, "transpose": transpose}
    table = read_matrix(tmp_path / "x.csv", **how)
    np.testing.assert_array_equal(table.X.T if transpose else table.X, X)
    assert table[1:] == ((("a", "b"), ("G", "H")) if transpose else (("G", "H"), ("a", "b")))
    whole = np.nan_to_num(TWICE.to_numpy())
    np.savez(tmp_path / "x.npz", X=whole, row_labels=list(TWICE.index), column_labels=list(TWICE.columns))
    dense = read_matrix(tmp_path / "x.npz", **how)
    sp.save_npz(tmp_path / "s.npz", sp.csc_array(whole))
    with np.load(tmp_path / "s.npz") as file, np.load(tmp_path / "x.npz") as labels:
        np.savez(tmp_path / "s.npz", **{**file, "row_labels": labels["row_labels"],
                                        "column_labels": labels["column_labels"]})  # fmt: skip
    sparse = read_matrix(tmp_path / "s.npz", **how)
    np.testing.assert_allclose(sparse.X.toarray(), dense.X)
    assert sparse[1:] == dense[1:] == table[1:]


def test_duplicates_are_refused_or_kept(tmp_path, caplog):
    TWICE.to_csv(tmp_path / "x.csv")
    said = "row label 'G' occurs twice, at rows 0 and 1 (counted from 0){}; duplicates='sum' makes one row of both"
    with pytest.raises(ValueError, match=re.escape(said.format(""))):
        read_matrix(tmp_path / "x.csv")
    table = read_matrix(tmp_path / "x.csv", duplicates="keep")
    assert table[1:] == (tuple(TWICE.index), tuple(TWICE.columns))
    assert [said.format(", and is kept so") in record.getMessage() for record in caplog.records] == [True, False]
    with pytest.raises(ValueError, match=r"duplicates must be one of 'keep', 'error', .*'avg'"):
        read_matrix(tmp_path / "x.csv", duplicates="avg")


@pytest.mark.parametrize(
    ("duplicates", "entries"),
    [("sum", [[9, 2], [3, 0]]), ("mean", [[3, 2], [3, 0]]), ("first", [[1, 2], [3, 0]]), ("last", [[6, 2], [3, 0]])],
)
@pytest.mark.parametrize("transpose", [False, True])
def test_duplicates_of_triplets(tmp_path, duplicates, entries, transpose):
    (tmp_path / "x.csv").write_text("u,i,r\na,x,1\nb,x,3\na,x,2\na,y,2\nb,y,0\na,x,6\n")
    how = {"duplicates": duplicates, "transpose": transpose}
    X, rows, columns = read_triplets(tmp_path / "x.csv", ("u", "i", "r"), **how)
    assert (rows, columns) == ((("x", "y"), ("a", "b")) if transpose else (("a", "b"), ("x", "y")))
    assert X.nnz == 4
    np.testing.assert_array_equal(X.T.toarray() if transpose else X.toarray(), entries)


@pytest.mark.parametrize(
    ("name", "save"),
    [
        ("x.npy", save_npy),
        ("x.npz", save_labelled),
        ("s.npz", save_sparse),
        ("x.mtx", save_mtx),
        ("x.csv", FRAME.to_csv),
        ("x.parquet", FRAME.to_parquet),
    ],
)
def test_columns_as_rows(tmp_path, name, save):
    save(tmp_path / name)
    table, usual = read_matrix(tmp_path / name, transpose=True), read_matrix(tmp_path / name)
    np.testing.assert_array_equal(table.X.toarray() if sp.issparse(table.X) else table.X, A.T)
    assert table[1:] == usual[:0:-1]


# --- folders of 10x Genomics

GENES = [["ENSG1", "TP53"], ["ENSG2", "MYC"], ["ENSG3", "MYC"], ["ENSG4", 'K"14']]
COUNTS = np.array([[1, 0], [0, 2], [3, 0], [0, 4]])  # of genes in cells


def save_10x(folder, *, old=False, genes=GENES, barcodes=("AAAC-1", "AAAG-1")):
    folder.mkdir()

    def save(name, text):
        opened = (folder / name).open if old else functools.partial(gzip.open, folder / f"{name}.gz")
        with opened("wb") as file:
            scipy.io.mmwrite(file, sp.coo_array(COUNTS)) if text is None else file.write(text.encode())

    save("matrix.mtx", None)
    save("barcodes.tsv", "".join(f"{barcode}\n" for barcode in barcodes))
    kind = [] if old else ["Gene Expression"]
    save("genes.tsv" if old else "features.tsv", "".join("\t".join([*gene, *kind]) + "\n" for gene in genes))


@pytest.mark.parametrize("old", [False, True])
def test_folders_of_10x(tmp_path, old):
    save_10x(tmp_path / "counts", old=old)
    X, rows, columns = read_matrix(tmp_path / "counts")
    assert X.format == "csr"
    np.testing.assert_array_equal(X.toarray(), COUNTS.T)
    # a name that is there twice is no name
    assert (rows, columns) == (("AAAC-1", "AAAG-1"), ("TP53", "ENSG2", "ENSG3", 'K"14'))
    matrix = tmp_path / "counts" / ("matrix.mtx" if old else "matrix.mtx.gz")
    assert read_matrix(matrix).X.shape == (4, 2)


def test_bad_folders_of_10x(tmp_path):
    save_10x(tmp_path / "genes", genes=GENES[:3])
    with pytest.raises(ValueError, match=r"genes: matrix\.mtx\.gz is 4 x 2, but features\.tsv\.gz has 3 genes and"):
        read_matrix(tmp_path / "genes")
    save_10x(tmp_path / "cells", old=True, barcodes=["A"])
    with pytest.raises(ValueError, match=r"genes\.tsv has 4 genes and barcodes\.tsv 1 cells"):
        read_matrix(tmp_path / "cells")
    (tmp_path / "cells" / "genes.tsv").unlink()
    with pytest.raises(ValueError, match=r"cells: a folder without features\.tsv or genes\.tsv \(or \.gz\)"):
        read_matrix(tmp_path / "cells")


RATINGS = pd.DataFrame({"when": [9, 8, 7, 6], "user": ["u2", "007", "u2", "7"], "item": ["NA", "b", "c", "NA"],
                        "rating": [5.0, 3.0, 0.0, 1.5]})  # fmt: skip
NAMES = ("user", "item", "rating")


@pytest.mark.parametrize(
    ("name", "save"),
    [
        ("x.csv", lambda path: RATINGS.to_csv(path, index=False)),
        ("x.csv.gz", lambda path: RATINGS.to_csv(path, index=False)),
        ("x.TSV", lambda path: RATINGS.to_csv(path, index=False, sep="\t")),
        ("x.parquet", RATINGS.to_parquet),
        ("x.parquet", RATINGS.set_index(["user", "item"]).to_parquet),
        ("x.parquet", RATINGS.astype({"user": "category"}).to_parquet),
    ],
)
def test_triplets(tmp_path, name, save):
    save(tmp_path / name)
    X, rows, columns = read_triplets(tmp_path / name, NAMES)
    assert (X.format, X.dtype, X.nnz) == ("csr", np.float64, 4)
    np.testing.assert_array_equal(X.toarray(), [[5, 0, 0], [0, 3, 0], [1.5, 0, 0]])
    assert X.has_canonical_format
    # in the order in which they come, as text
    assert (rows, columns) == (("u2", "007", "7"), ("NA", "b", "c"))


@pytest.mark.parametrize(
    ("text", "columns", "labels"),
    [
        ("007,a,5\n8,b,3\n", (0, 1, 2), "auto"),
        ("007,a,5\n8,b,3\n", ("0", "1", "2"), "none"),
        ("u,i,r\n007,a,5\n8,b,3\n", (0, 1, 2), "auto"),
        ("\n\nu,i,r\r\n\r\n007,a,5\r\n 8 ,b ,3\r\n", ("u", "i", 2), "auto"),
        ("\ufeff7,8,9\n5,a,007\n3,b,8\n", ("9", "8", "7"), "columns"),
        ("\ufeff5,a,007\n3,b,8\n", (2, 1, 0), "auto"),
        ('u,"a\nb",r,\n007,a,5,\n8,b,3,x\n', ("u", "a\nb", "r"), "auto"),
    ],
)
def test_columns_of_triplets(tmp_path, text, columns, labels):
    (tmp_path / "x.csv").write_text(text, encoding="utf-8", newline="")
    X, rows, items = read_triplets(tmp_path / "x.csv", columns, labels)
    np.testing.assert_array_equal(X.toarray(), [[5, 0], [0, 3]])
    assert (rows, items) == (("007", "8"), ("a", "b"))


def test_triplets_of_numbers(tmp_path):
    frame = pd.DataFrame({"u": [10, 9], "i": [1, 2], "r": np.array([1, 2], dtype="float32")})
    frame.to_csv(tmp_path / "x.csv", index=False)
    frame.to_parquet(tmp_path / "x.parquet")
    text, table = (read_triplets(tmp_path / name, ("u", "i", "r")) for name in ("x.csv", "x.parquet"))
    assert text[1:] == table[1:] == (("10", "9"), ("1", "2"))
    assert (text.X.dtype, table.X.dtype) == (np.float64, np.float32)


BAD_TRIPLETS = {
    "": "it is empty",
    "u,i,r\n": "names of columns, but no rows",
    "user,item,stars\n": "no column 'u'; its first line is user, item, stars",
    "u,i,r,r\na,b,1,2\n": "2 columns 'r'",
    "u,i,r\na,b\n": "3 names of columns, but 2 cells in the next line",
    "u,i,r\na,b,c,1\n": "3 names of columns, but 4 cells",
    "u,i,r\na,b,1\na,c,d,1\n": "Expected 3 fields in line 3, saw 4",
    "u,i,r\na,b,1\na": "line 3, column i: nothing is there",
    "u,i,r\na,b,1\na,c": "line 3, column r: nothing is there",
    "u,i,r\n\na,b,1\n \n,c,1\n": "line 5, column u: nothing is there",
    "u,i,r\na,NA,1\na,b,NA\n": "line 3, column r: nothing is there",
    'u,i,r\n"a\nb",c,1\na,c,x\n': "line 4, column r: 'x' is not a number",
    "u,i,r\na,b,1\na,c,-3\na,d,-10\n": "line 3, column r: -3 is negative; add 10 or more to all",
    "u,i,r\na,b,1\na,c,1e999\n": "line 3, column r: (inf|'1e999') is not finite$",
    "u,i,r\na,b,1\nc,b,2\n\nc,b,2\na,b,3\n": "u c, i b is there twice, in line 3 and line 5; leave one",
    'u,i,r\n"a,b,1\n': "EOF inside string|unexpected end of data",
}


@pytest.mark.parametrize("text", BAD_TRIPLETS)
def test_bad_triplets(tmp_path, text):
    (tmp_path / "x.csv").write_text(text)
    with pytest.raises(ValueError, match=BAD_TRIPLETS[text]) as caught:
        read_triplets(tmp_path / "x.csv", ("u", "i", "r"))
    assert str(caught.value).startswith(f"{tmp_path / 'x.csv'}: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "columns", "message"),
    [
        ("0,1,2\n0,1,3\n", (0, 1, 2), "may be names or not: labels='columns' or labels='none' says which"),
        ("a,b,1\n", (0, 1, 3), "no column 3: they are numbered from 0 to 2"),
        ("a,b,1\n", (0, 2, 2), "in three columns, 0, 2, 2 are fewer"),
        ("a,b,1\n", (0, 2), "triplets are three columns, got 0, 2"),
        ("a,b,\nc,d,1\n", (0, 1, 2), "line 1, column 2: nothing"),
    ],
)
def test_bad_columns_of_triplets(tmp_path, text, columns, message):
    (tmp_path / "x.csv").write_text(text)
    with pytest.raises(ValueError, match=message):
        read_triplets(tmp_path / "x.csv", columns)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"item": ["a", None, "b", "c"]}, r"row 1 \(counted from 0\), column item: nothing is there"),
        ({"rating": ["1", "x", "2", "3"]}, r"row 1 \(counted from 0\), column rating: 'x' is not a number"),
        ({"rating": pd.Series([1, None, 2, 3], dtype="Int64")}, "row 1 .*, column rating: nothing is there"),
        ({"user": 1, "item": [2, 3, 4, 3]}, "user 1, item 3 is there twice, in row 1 .* and row 3"),
        ({"rating": pd.Timestamp(0)}, "column rating holds datetime"),
    ],
)
def test_bad_triplets_in_parquet(tmp_path, changes, message):
    RATINGS.assign(**changes).to_parquet(tmp_path / "x.parquet")
    with pytest.raises(ValueError, match=message):
        read_triplets(tmp_path / "x.parquet", NAMES)


# --- long tables that are no files


def polars_frame(frame):
    return pytest.importorskip("polars").DataFrame(frame.to_dict("list"))


def arrow_table(frame):
    return pytest.importorskip("pyarrow").Table.from_pandas(frame, preserve_index=False)


TABLES = {
    "pandas": lambda frame: frame,
    "another index": lambda frame: frame.set_axis(frame.index[::-1]),
    "categories": lambda frame: frame.astype({"user": "category", "item": "category"}),
    "polars": polars_frame,
    "Arrow": arrow_table,
    "arrays": lambda frame: tuple(frame[name].to_numpy() for name in frame),
    "lists": lambda frame: [frame[name].to_list() for name in frame],
}


@pytest.mark.parametrize("make", TABLES.values(), ids=TABLES)
def test_triplets_in_memory_are_those_of_a_file(tmp_path, make):
    frame = pd.DataFrame({"user": ["b", "a ", "b"], "item": ["x", "x", "y"], "rating": [1.0, 0.0, 3.0]})
    frame.to_csv(tmp_path / "x.csv", index=False)
    X, *labels = from_triplets(make(frame))
    expected, *names = read_triplets(tmp_path / "x.csv", NAMES)
    assert labels == names
    assert X.nnz == 3
    np.testing.assert_array_equal(X.toarray(), expected.toarray())


def test_labels_of_triplets_in_memory_stay_what_they_are():
    """Numbers as text would be taken for places."""
    table = pd.DataFrame({"rating": [1, 2, 3], "item": ["x", "y", "x"], "user": [30, 10, 10], "time": 0})
    X = from_triplets(table, ("user", "item", "rating"))
    assert (X.row_labels, X.column_labels) == ((30, 10), ("x", "y"))
    f = nmf_core.factorize(X, 1, missing="unstored", alpha_W=0.1, random_state=0)
    assert f.row_labels == (30, 10)
    assert f.recommend(30, exclude=X).labels[0].tolist() == ["y", None]
    assert f.predict(10, "y") == f.predict([30, 10], ["x", "y"])[1]
    assert from_triplets(table, (2, 1, 0), transpose=True).row_labels == ("x", "y")


@pytest.mark.parametrize(("duplicates", "value"), [("sum", 5), ("mean", 2.5), ("first", 4), ("last", 1)])
def test_repeated_triplets_in_memory(duplicates, value):
    table = (["a", "b", "a"], ["x", "x", "x"], np.array([4, 2, 1], dtype=np.float32))
    X = from_triplets(table, duplicates=duplicates).X
    assert X.dtype == np.float32
    np.testing.assert_array_equal(X.toarray(), [[value], [2]])
    with pytest.raises(ValueError, match=r"row a, column x is there twice, in row 0 \(counted from 0\) and row 2"):
        from_triplets(table)


@pytest.mark.parametrize(
    ("table", "columns", "message"),
    [
        (RATINGS, None, "triplets: triplets are three columns, got when, user, item, rating"),
        (RATINGS, ("user", "film", "rating"), "no column 'film'; there are when, user, item, rating"),
        ((["a"], ["x"]), None, "three columns of the same length, got 1, 1"),
        ((["a", "b"], ["x"], [1]), None, "three columns of the same length, got 2, 1, 1"),
        ((["a", None], ["x", "x"], [1, 2]), None, r"row 1 \(counted from 0\), column row: nothing is there"),
        ((["a", "b"], ["x", "x"], [1, -2]), None, r"row 1 .*, column entry: -2 is negative"),
        ((["a", "b"], ["x", "x"], ["1", "many"]), None, "column entry: 'many' is not a number"),
    ],
)
def test_bad_triplets_in_memory(table, columns, message):
    with pytest.raises(ValueError, match=message):
        from_triplets(table, columns)


@pytest.mark.parametrize("make", [lambda frame: frame, polars_frame])
def test_a_long_table_is_no_matrix_but_can_be_one(make):
    with pytest.raises(TypeError, match=r"column 'user' has dtype .*nmf_core\.io\.from_triplets"):
        nmf_core.factorize(make(RATINGS), 1)
    wide = pd.DataFrame({**{f"x{j}": [1.0] for j in range(9)}, "name": ["a"]})
    with pytest.raises(TypeError) as caught:
        nmf_core.factorize(make(wide), 1)
    assert "from_triplets" not in str(caught.value)


def test_what_is_read_is_factorized_with_its_labels(tmp_path):
    FRAME.to_csv(tmp_path / "x.csv")
    table = read_matrix(tmp_path / "x.csv")
    f = nmf_core.factorize(table, 1, random_state=0)
    assert (f.row_labels, f.column_labels) == table[1:]
    np.testing.assert_array_equal(f.W, nmf_core.factorize(table.X, 1, random_state=0).W)
    np.testing.assert_array_equal(f.transform(table), f.transform(table.X))
    model = nmf_core.NMF(1).fit(table)
    assert model.result_.column_labels == table.column_labels


def test_files_that_hold_no_triplets(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_triplets(tmp_path / "x.csv", NAMES)
    np.save(tmp_path / "x.npy", A)
    with pytest.raises(ValueError, match=r"a table of triplets must end in one of \.csv, \.csv\.gz, \.tsv"):
        read_triplets(tmp_path / "x.npy", NAMES)
    for name, save in (("x.csv.gz", RATINGS.to_csv), ("x.parquet", RATINGS.to_parquet)):
        save(tmp_path / name)
        whole = (tmp_path / name).read_bytes()
        for part in (whole[: len(whole) // 2], b"\xff" * 200, b""):
            (tmp_path / name).write_bytes(part)
            with pytest.raises((ValueError, OSError)) as caught:
                read_triplets(tmp_path / name, NAMES)
            assert "\n" not in str(caught.value)


def test_names_of_files(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_matrix(tmp_path / "x.npy")
    with pytest.raises(ValueError, match=r"must end in one of \.npy, \.npz"):
        read_matrix(tmp_path / "x.xlsx")
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(IsADirectoryError):
        read_matrix(tmp_path / "folder.csv")
    np.savez(tmp_path / "is.npz", X=A)
    (tmp_path / "is.npz").rename(tmp_path / "is.npy")
    with pytest.raises(ValueError, match=r"not an \.npy file"):
        read_matrix(tmp_path / "is.npy")
    np.save(tmp_path / "is.npy", A)
    (tmp_path / "is.npy").rename(tmp_path / "is.npz")
    with pytest.raises(ValueError, match=r"not an \.npz file"):
        read_matrix(tmp_path / "is.npz")


def test_stem():
    assert [stem(name) for name in ("folder/x.y.mtx.gz", "x.npz::key", "x.csv", "x")] == [
        "x.y",
        "x",
        "x",
        "x",
    ]


@pytest.mark.parametrize("ending", [".npy", ".csv", ".tsv"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_matrices_come_back(tmp_path, ending, dtype):
    B = np.random.default_rng(0).random((5, 3)).astype(dtype)
    path = tmp_path / f"x{ending}"
    write_matrix(path, B, None, COLUMNS)
    table = read_matrix(path)
    np.testing.assert_allclose(table.X.astype(dtype), B, rtol=1e-12)  # pandas < 3 reads text to 1e-13 or so
    if ending != ".npy":
        assert table[1:] == (("0", "1", "2", "3", "4"), COLUMNS)


def test_matrices_are_written_in_known_formats_only(tmp_path):
    with pytest.raises(ValueError, match=r"must end in one of \.npy, \.csv, \.tsv"):
        write_matrix(tmp_path / "x.xlsx", A, None, None)


def test_a_failing_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text("old")

    def fail():
        with written_whole(path) as draft:
            draft.write_text("new")
            raise RuntimeError("disk on fire")

    with pytest.raises(RuntimeError, match="fire"):
        fail()
    with pytest.raises(ValueError, match="argument"):
        write_matrix(path, A, ("fewer",), COLUMNS)
    assert path.read_text() == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["x.csv"]


@pytest.mark.skipif(os.name == "nt", reason="needs links and permission bits")
def test_written_files_are_like_any_other(tmp_path):
    (tmp_path / "link.txt").symlink_to(tmp_path / "target.txt")
    with written_whole(tmp_path / "link.txt") as draft:
        draft.write_text("new")
    assert (tmp_path / "link.txt").is_symlink()
    assert (tmp_path / "target.txt").read_text() == "new"
    (tmp_path / "plain").touch()
    assert stat.S_IMODE((tmp_path / "target.txt").stat().st_mode) == stat.S_IMODE((tmp_path / "plain").stat().st_mode)


def test_destinations_are_checked_before(tmp_path):
    check_destination(tmp_path / "new.csv")
    with pytest.raises(IsADirectoryError):
        check_destination(tmp_path)
    with pytest.raises(FileNotFoundError, match="No such folder"):
        check_destination(tmp_path / "nowhere" / "x.csv")
    with pytest.raises(FileNotFoundError, match=r"folder: '.*nowhere'$"), written_whole(tmp_path / "nowhere/x"):
        pass
    with pytest.raises(OSError, match="Not a regular file"):
        check_destination(os.devnull)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["x.csv", "x.parquet"])
@pytest.mark.parametrize("missing", ["pandas", "pyarrow"])
def test_missing_libraries_are_named(tmp_path, name, missing):
    FRAME.to_csv(tmp_path / "x.csv")
    FRAME.to_parquet(tmp_path / "x.parquet")
    program = f"import sys; sys.modules[{missing!r}] = None; import nmf_core.io as io; io.read_matrix(sys.argv[1])"
    done = subprocess.run([sys.executable, "-c", program, tmp_path / name], check=False, capture_output=True, text=True)
    if (name, missing) == ("x.csv", "pyarrow"):
        assert done.returncode == 0, done.stderr
    else:
        assert f'needs {missing}: pip install "nmf-core[cli]"' in done.stderr
