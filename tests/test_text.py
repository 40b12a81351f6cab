"""Text: how it is written, which of it is labels, and what is said about both."""

import gzip
import io
import logging
import sys

import numpy as np
import pandas as pd
import pytest

from nmf_core.io import TextFormat, read_matrix, read_triplets

A = np.array([[1.5, 0.25], [12.75, 3.0]])
PLAIN = "id,a,b\ns1,1.5,.25\ns2,12.75,3\n"
DECIMAL_COMMAS = PLAIN.replace(",", ";").replace(".", ",")
TAKEN = "first line taken for labels of columns, first column taken for labels of rows"


def written(path, text, encoding="utf-8"):
    path.write_bytes(text.encode(encoding))
    return path


def told(caplog):
    """Level and text of the only line that was logged."""
    [record] = caplog.records
    return record.levelname, record.getMessage()


@pytest.fixture(autouse=True)
def everything_is_logged(caplog):
    caplog.set_level(logging.INFO, "nmf_core")


@pytest.mark.parametrize(
    ("name", "text", "how"),
    [
        ("x.csv", PLAIN, ""),
        ("x.csv", PLAIN.replace(",", ";"), "separated by semicolons"),
        ("x.csv", PLAIN.replace(",", "\t"), "separated by tabs"),
        ("x.csv", PLAIN.replace(",", "|"), "separated by |"),
        ("x.csv", PLAIN.replace(",", "  "), "separated by blanks"),
        ("x.csv", DECIMAL_COMMAS, "separated by semicolons, decimal commas"),
        ("x.tsv", PLAIN.replace(",", "\t"), ""),
        ("x.tsv", DECIMAL_COMMAS, "separated by semicolons, decimal commas"),
        ("x.tsv", DECIMAL_COMMAS.replace(";", "\t"), "decimal commas"),
        ("x.csv", f"sep=;\r\n{DECIMAL_COMMAS}", "separated by semicolons, decimal commas, line 1 passed over"),
        ("x.csv", f'# "tool, 1.2\n\n#\n{PLAIN}', "lines 1 to 3 passed over"),
        ("x.tsv", PLAIN.replace("id", "# tool\n#OTU ID").replace(",", "\t"), "line 1 passed over"),
    ],
)
def test_how_text_is_written_is_recognised(tmp_path, caplog, name, text, how):
    X, rows, columns = read_matrix(written(tmp_path / name, text))
    np.testing.assert_array_equal(X, A)
    assert (rows, columns) == (("s1", "s2"), ("a", "b"))
    said = f"{tmp_path / name}: 2 rows x 2 columns; {how + '; ' if how else ''}{TAKEN}"
    assert told(caplog) == ("INFO", said)


@pytest.mark.parametrize(
    "text",
    [
        "1,5;,25\n12,75;3\n",  # two commas in every line, too
        "1,5\t,25\n12,75\t3\n",
        "1.5 .25\n 12.75   3 \n",
        '"a" "b"\n"r 1" 1.5 .25\n"r 2" 12.75 3\n',
        "k,a,b\nx;y,1.5,.25\nx;z,12.75,3\n",
        "k,a,b\nrow 1,1.5,.25\nrow 2,12.75,3\n",
    ],
)
def test_separators_are_those_that_make_numbers(tmp_path, text):
    np.testing.assert_array_equal(read_matrix(written(tmp_path / "x.csv", text)).X, A)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
@pytest.mark.parametrize("name", ["x.csv", "x.csv.gz"])
def test_encodings_with_a_mark_are_recognised(tmp_path, encoding, name):
    text = PLAIN.replace("a,b", "ä,β").encode(encoding)
    (tmp_path / name).write_bytes(gzip.compress(text) if name.endswith(".gz") else text)
    assert read_matrix(tmp_path / name).column_labels == ("ä", "β")


@pytest.mark.parametrize(
    ("encoding", "message"),
    [
        ("latin-1", r"byte 0xe4 is not UTF-8: encoding='latin-1', or another, says how the text is written"),
        ("utf-16-le", r"like UTF-16 without a byte order mark, which encoding='utf-16-le' reads"),
        ("utf-16-be", r"like UTF-16 without a byte order mark, which encoding='utf-16-be' reads"),
    ],
)
def test_other_encodings_are_told(tmp_path, encoding, message):
    path = written(tmp_path / "x.csv", PLAIN.replace("a", "ä"), encoding)
    with pytest.raises(ValueError, match=message):
        read_matrix(path)
    assert read_matrix(path, text=TextFormat(encoding=encoding)).column_labels == ("ä", "b")
    with pytest.raises(ValueError, match=r"x\.csv: there is no encoding 'klingon'"):
        read_matrix(path, text=TextFormat(encoding="klingon"))


def test_bytes_that_are_no_text_further_down(tmp_path):
    long = PLAIN + "s,1,2\n" * 300_000
    for last, message in ((b"\xe9,1,2\n", "byte 0xe9 is not UTF-8"), (b"s,1\0,2\n", "holds NUL")):
        (tmp_path / "x.csv").write_bytes(long.encode() + last)
        with pytest.raises(ValueError, match=message):
            read_matrix(tmp_path / "x.csv")


def test_comments_are_passed_over(tmp_path, caplog):
    path = written(tmp_path / "x.csv", '% "a, b\n' + PLAIN.replace("s2", '% "note\ns2') + "%\n")
    np.testing.assert_array_equal(read_matrix(path, text=TextFormat(comment="%")).X, A)
    assert "; lines that begin with % passed over; " in told(caplog)[1]
    path = written(tmp_path / "x.csv", "#1,1.5,.25\n#2,12.75,3\n")
    assert read_matrix(path, "rows", text=TextFormat(comment="")).row_labels == ("#1", "#2")
    with pytest.raises(ValueError, match="empty, but for lines that begin with #"):
        read_matrix(path)


@pytest.mark.parametrize(
    "text",
    [
        "id,a,b\n# note\ns1,1,2\n",
        "id,a,b\ns1,1,2\n# note\n",
        "id,a,b\ns1,1,2\n# a note, and more\n",
        "a,b\n1,2\n# note\n",
        "id,a,b\ns1,1,2\n# a, longer, note, still\n",
    ],
)
def test_comments_below_are_not_data(tmp_path, text):
    path = written(tmp_path / "x.csv", text)
    with pytest.raises(ValueError, match=r"; comment='#' passes over lines that begin with #$"):
        read_matrix(path)
    assert read_matrix(path, text=TextFormat(comment="#")).X.tolist() == [[1, 2]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("id;a\ns;1,234\nt;5,678\n", "'1,234' may have three decimals or stand for thousands: decimal=',' reads it as"),
        (
            "id;a\ns;1.234,5\nt;5,6\n",
            r"row s, column a: '1\.234,5' is not a number; write numbers without separators of",
        ),
        ('id,a\ns,"1,234.5"\n', r"'1,234\.5' is not a number; write numbers without separators of thousands"),
        ("id;a\ns;1 234\n", "'1 234' is not a number; write numbers without separators of thousands"),
        ('id,a\ns,"1,234"\n', "'1,234' is not a number; write thousands without separators, or decimal=',' and"),
        ('id,a\ns,"1,5"\n', "'1,5' is not a number; decimal=',' and separator=',' reads its comma as a decimal one"),
        ("id;a\ns;1.5\nt;1,5\n", "row t, column a: '1,5' is not a number; decimal=',' reads its comma"),
        ("a,b\n1,2\nx,3\n", "row 1, column a: 'x' is not a number; labels='both' takes it for a label"),
        ("1,x\n2,3\n4,y\n", "row 1, column x: 'y' is not a number$"),
    ],
)
def test_numbers_that_could_be_misread(tmp_path, text, message):
    with pytest.raises(ValueError, match=message):
        read_matrix(written(tmp_path / "x.csv", text))


def test_what_is_said_counts(tmp_path):
    path = written(tmp_path / "x.csv", 'id,a\ns,"1,234"\nt,"5,5"\n')
    assert read_matrix(path, text=TextFormat(separator=",", decimal=",")).X.tolist() == [[1.234], [5.5]]
    for separator in ";\t ":
        with pytest.raises(ValueError, match="no cells are separated by"):
            read_matrix(path, text=TextFormat(separator=separator))
    np.save(tmp_path / "x.npy", A)
    with pytest.raises(ValueError, match=r"x\.npy: separator, decimal, encoding and comment say how text is written"):
        read_matrix(tmp_path / "x.npy", text=TextFormat(decimal=","))
    with pytest.raises(ValueError, match=r"labels must be one of .*; did you mean 'rows'"):
        read_matrix(path, "row")


@pytest.mark.parametrize(
    ("text", "X", "rows", "columns"),
    [
        ("400,410\ns1,1,2\ns2,3,4\n", [[1, 2], [3, 4]], ("s1", "s2"), ("400", "410")),
        ("1,,3\n4,NA,6\n", [[1, np.nan, 3], [4, np.nan, 6]], None, None),
        ("a,b\n1,null\n,4\n", [[1, np.nan], [np.nan, 4]], None, ("a", "b")),
        (f"a,b\n1,{10**30}\n2,3\n", [[1, 1e30], [2, 3]], None, ("a", "b")),
        ("# a,b\n1,2\n", [[1, 2]], None, ("a", "b")),
    ],
)
def test_labels_and_cells(tmp_path, text, X, rows, columns):
    table = read_matrix(written(tmp_path / "x.csv", text))
    np.testing.assert_array_equal(table.X, X)
    assert table[1:] == (rows, columns)


ROWS = ["0.64,0.27,0.04,0.02", "0.81,0.91,0.61,0.73", "0.54,0.94,0.82,0.003", "0.86,0.03,0.73,0.18"]


def labelled(heading, labels):
    """Text with a first column of numbers."""
    header = [] if heading is None else [f"{heading},a,b,c,d"]
    return "\n".join([*header, *(f"{label},{row}" for label, row in zip(labels, ROWS, strict=True))]) + "\n"


@pytest.mark.parametrize(
    ("text", "suspect", "right", "given"),
    [
        ("\n".join(["400,410,420,430", *ROWS]), "the first line (400, 410, 420, ...)", "columns", "none"),
        ("\n".join(["430.5,421,412.3,400", *ROWS]), "the first line (430.5, 421, 412.3, ...)", "columns", "none"),
        (labelled("CustomerID", [12340, 12341, 12345, 12377]),
         "the first column (CustomerID: 12340, 12341, 12345, ...)", "both", "columns"),
        (labelled("CustomerID", [17, 12, 19, 11]), "the first column (CustomerID: 17, 12, 19, ...)", "both", "columns"),
        (labelled("t", ["0.000", "0.005", "0.010", "0.015"]),
         "the first column (t: 0, 0.005, 0.01, ...)", "both", "columns"),
        (labelled("gene", [715, 716, 720, 730]), "the first column (gene: 715, 716, 720, ...)", "both", "columns"),
        (labelled(None, [1, 2, 3, 4]), "the first column (1, 2, 3, ...)", "rows", "none"),
        (labelled(0, [1, 2, 3, 4]).replace("a,b,c,d", "400,410,420,430"),
         "the first line (0, 400, 410, ...) and the first column (0, 1, 2, ...)", "both", "none"),
    ],
)  # fmt: skip
def test_numbers_that_look_like_labels_are_data_with_a_warning(tmp_path, caplog, text, suspect, right, given):
    path = written(tmp_path / "x.csv", text)
    data = read_matrix(path)
    level, said = told(caplog)
    assert level == "WARNING"
    how = f"labels={right!r} reads them as labels, labels={given!r} as data"
    assert said.endswith(f" labels of rows; {suspect} may be labels: {how}")
    np.testing.assert_array_equal(read_matrix(path, given).X, data.X)
    labels = read_matrix(path, right)
    assert labels.X.shape == (4, 4)
    assert {record.levelname for record in caplog.records[1:]} == {"INFO"}


@pytest.mark.parametrize(
    "text",
    [
        "\n".join(ROWS),
        "\n".join(["a,b,c,d", *ROWS]),
        "\n".join([",400,410,420,430", *(f"s{i},{row}" for i, row in enumerate(ROWS))]),
        "\n".join(["s,400,410,420,430", *(f"s{i},{row}" for i, row in enumerate(ROWS))]),
        "a,b\n1,2\n3,4\n",
        "\n".join(f"{i},{i + 1},{i + 2}" for i in range(9)),
        "\n".join(f"{i},{2 * i},{i**2}" for i in range(1, 9)),
    ],
)
def test_usual_data_are_read_without_a_warning(tmp_path, caplog, text):
    read_matrix(written(tmp_path / "x.csv", text))
    assert told(caplog)[0] == "INFO"


def test_numbers_that_look_like_labels_in_a_data_frame(tmp_path, caplog):
    frame = pd.DataFrame({"CustomerID": [17850, 13047, 12583], "a": [1.0, 2.0, 1.5], "b": [2.0, 0.5, 1.0]})
    frame.to_parquet(tmp_path / "x.parquet")
    assert read_matrix(tmp_path / "x.parquet").X.shape == (3, 3)
    suspect = "the first column (CustomerID: 17850, 13047, 12583) may be labels: labels='both' reads them as labels"
    assert suspect in told(caplog)[1]
    assert read_matrix(tmp_path / "x.parquet", "both").row_labels == ("17850", "13047", "12583")
    frame.set_index("CustomerID").to_parquet(tmp_path / "x.parquet")
    read_matrix(tmp_path / "x.parquet")
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO", "INFO"]
    assert caplog.messages[-1].endswith("x.parquet: 3 rows x 2 columns; labels of columns, labels of rows")


def test_a_first_sample_is_not_lost_without_a_word(tmp_path, caplog):
    path = written(tmp_path / "x.csv", "\n".join(f"s{i},{row}" for i, row in enumerate(ROWS)))
    assert read_matrix(path).X.shape == (3, 4)
    level, said = told(caplog)
    assert level == "WARNING"
    assert "the first line (s0, 0.64, 0.27, ...) may be data: labels='rows' reads it as data" in said
    assert read_matrix(path, "rows").X.shape == (4, 4)


def test_how_triplets_are_written(tmp_path, caplog):
    text = "# ratings\nu;i;r\n007;x,1;1,5\n7;y;2\n"
    X, rows, columns = read_triplets(written(tmp_path / "x.csv", text), ("u", "i", "r"))
    np.testing.assert_array_equal(X.toarray(), [[1.5, 0], [0, 2]])
    assert (rows, columns) == (("007", "7"), ("x,1", "y"))
    how = "separated by semicolons, decimal commas, line 1 passed over; first line taken for names"
    assert told(caplog) == ("INFO", f"{tmp_path / 'x.csv'}: 2 triplets, 2 rows (u) x 2 columns (i); {how}")
    with pytest.raises(ValueError, match=r"line 4, column r: '1\.5' is not a number; decimal='\.' reads its point"):
        read_triplets(
            written(tmp_path / "x.csv", text.replace(";2", ";1.5")), ("u", "i", "r"), text=TextFormat(";", ",")
        )


@pytest.mark.parametrize("columns", [("user", "item", "rating"), (0, 1, 2)])
def test_columns_that_are_asked_for_tell_the_separator(tmp_path, columns):
    """Blanks would make numbers of 1,3 and 2,4."""
    path = written(tmp_path / "x.csv", "user,item,rating\nann,film 1,3\nann,film 2,4\nbob,film 1,5\n")
    X, rows, items = read_triplets(path, columns)
    np.testing.assert_array_equal(X.toarray(), [[3, 4], [5, 0]])
    assert (rows, items) == (("ann", "bob"), ("film 1", "film 2"))
    with pytest.raises(ValueError, match=r"no column 'usr'; its first line is user, item, rating; .* by commas unless"):
        read_triplets(path, ("usr", "item", "rating"))
    with pytest.raises(
        ValueError, match=r"'user'; its first line is user,item,rating; .* by blanks unless separator=','"
    ):
        read_triplets(path, ("user", "item", "rating"), text=TextFormat(" "))


@pytest.mark.parametrize("compress", [bytes, gzip.compress])
def test_standard_input_is_text(monkeypatch, caplog, compress):
    def give(text):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(compress(text.encode()))))

    give(DECIMAL_COMMAS)
    np.testing.assert_array_equal(read_matrix("-").X, A)
    assert told(caplog)[1].startswith("standard input: 2 rows x 2 columns; separated by semicolons")
    give("u,i,r\na,x,1\n")
    assert read_triplets("-", ("u", "i", "r")).row_labels == ("a",)
    give("")
    with pytest.raises(ValueError, match=r"^standard input: it is empty"):
        read_matrix("-")


@pytest.mark.parametrize(
    ("text", "suspect"),
    [
        ("a,b,c\n-,2,3\n0.4,3,4\n0.5,6,8\n", "the first column (-, 0.4, 0.5) may be data"),
        ('a,b\n"1,234",2\n"2,345",3\n"3,456",5\n', "the first column (1,234, 2,345, 3,456) may be data"),
        ("1,2,3x\n4,5,6\n7,8,9\n", "the first line (1, 2, 3x) may be data"),
        ("id,a,b\nx1,2,3\n2,2,4\n3,3,4\n", ""),
        ("gene,400,410\ng1,2,3\ng2,2,4\ng3,3,4\n", ""),
    ],
)
def test_one_broken_number_makes_labels_of_data(tmp_path, caplog, text, suspect):
    read_matrix(written(tmp_path / "x.csv", text))
    level, said = told(caplog)
    assert (level == "WARNING") == bool(suspect)
    assert suspect in said


def test_a_column_that_is_said_to_be_separated(tmp_path):
    path = written(tmp_path / "x.csv", "v\n1\n2\n3\n")
    np.testing.assert_array_equal(read_matrix(path, text=TextFormat(separator=",")).X, [[1], [2], [3]])
    path = written(tmp_path / "y.csv", "a;b\n1;2\n3;4\n")
    with pytest.raises(ValueError, match="no cells are separated by ','"):
        read_matrix(path, text=TextFormat(separator=","))
