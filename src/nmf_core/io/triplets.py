"""Long tables: a line for every entry of a sparse matrix."""

import logging
import os
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp

from nmf_core.io.base import LABELS, locate, naming, source_name
from nmf_core.io.duplicates import DUPLICATES
from nmf_core.io.recognition import NOTHING, RECOGNISED, Text, TextFormat, is_number, recognise
from nmf_core.io.tables import fault, first_word, import_pandas, numbers, read_frame
from nmf_core.io.text import read_cells, way_out
from nmf_core.labels import LabelledMatrix
from nmf_core.typing import Duplicates, LabelPlaces
from nmf_core.validation import check_choice

_log = logging.getLogger(__name__)


def read_triplets(
    file: str | os.PathLike,
    columns: Sequence[str | int],
    labels: LabelPlaces = "auto",
    *,
    text: TextFormat = RECOGNISED,
    transpose: bool = False,
    duplicates: Duplicates = "error",
) -> LabelledMatrix:
    """Read a long table, such as of users, items and ratings: a line for every entry of a sparse matrix.

    Users become rows and items columns, in the order in which they first appear. Their labels are text as it stands in
    the file, without blanks around it: 007 and 7 are two users. Entries that are zero are stored.

    Parameters
    ----------
    file : str or path
        A .csv, .tsv (also .gz) or .parquet file, or ``-`` for text from standard input.
    columns : sequence of three str or int
        Which columns hold rows, columns and entries: names from the first line, or numbers from 0.
    labels : {"auto", "both", "rows", "columns", "none"}
        Whether the first line of text has names, with "both" or "columns", or not. "auto" takes it for names if
        columns are given by name, or if there is something else than a number where an entry would be.
    text : TextFormat, optional
        How text is written; by default that is recognised.
    transpose : bool
        Whether what the first of `columns` holds become columns instead, and rows what the second holds.
    duplicates : {"error", "sum", "mean", "first", "last"}
        What becomes of entries of the same row and column.

    Returns
    -------
    LabelledMatrix
        X is a CSR array, of float32 if that is what a .parquet file holds, else of float64. `nmf_core.factorize` takes
        it with its labels, with ``missing="unstored"`` if what is not in the table is unknown.

    Raises
    ------
    OSError
        The file can't be read.
    ValueError
        It isn't such a table, an id or an entry is missing, an entry is negative, or a pair of row and column occurs
        twice and nothing says which one counts; the message says in which line.
    ImportError
        It needs pandas (or pyarrow), which is not installed.
    """
    check_choice(labels, "labels", LABELS)
    check_choice(duplicates, "duplicates", DUPLICATES)
    path, _, ending = locate(file, _TABLES, "a table of triplets")
    with naming(path):
        names = _three(columns)
        if text != RECOGNISED and _TABLES[ending] is not _text_triplets:
            raise ValueError("separator, decimal, encoding and comment say how text is written, which this is not")
        triplets = _TABLES[ending](path, names, labels, text)
        table = _sparse(triplets, duplicates)
    n, m = table.X.shape
    _log.info("%s: %d triplets, %d rows (%s) x %d columns (%s)%s",
              source_name(path), len(triplets.cells[0]), n, names[0], m, names[1], triplets.read)  # fmt: skip
    return table.transposed() if transpose else table


def from_triplets(
    table: Any,
    columns: Sequence[str | int] | None = None,
    *,
    transpose: bool = False,
    duplicates: Duplicates = "error",
) -> LabelledMatrix:
    """Make a sparse matrix of a long table, such as of users, items and ratings: each of its lines is an entry.

    Users become rows and items columns, in the order in which they first appear. They are labels as they are, text
    without blanks around it. Entries that are zero are stored.

    Parameters
    ----------
    table : data frame, or tuple of three array-likes
        Of pandas, polars or Arrow; or the rows, columns and entries themselves.
    columns : sequence of three str or int, optional
        Which columns hold rows, columns and entries: names, or numbers from 0; by default all three that there are.
    transpose : bool
        Whether what the first of `columns` holds become columns instead, and rows what the second holds.
    duplicates : {"error", "sum", "mean", "first", "last"}
        What becomes of entries of the same row and column.

    Returns
    -------
    LabelledMatrix
        X is a CSR array, of float32 if that is what entries are, else of float64. `nmf_core.factorize` takes it with
        its labels, with ``missing="unstored"`` if what is not in the table is unknown.

    Raises
    ------
    ValueError
        It isn't such a table, an id or an entry is missing, an entry is negative, or a pair of row and column occurs
        twice and nothing says which one counts; the message says where.
    ImportError
        It needs pandas, which is not installed.

    Examples
    --------
    >>> import nmf_core
    >>> from nmf_core.io import from_triplets
    >>> users, films, stars = ["ann", "ann", "bob"], ["up", "her", "up"], [3, 4, 5]
    >>> ratings = from_triplets((users, films, stars))
    >>> ratings.row_labels, ratings.column_labels, ratings.X.toarray().tolist()
    (('ann', 'bob'), ('up', 'her'), [[3.0, 4.0], [5.0, 0.0]])
    >>> f = nmf_core.factorize(ratings, 1, missing="unstored", alpha_W=0.01, random_state=0)
    >>> f.recommend("bob", 1, exclude=ratings).labels.tolist()
    [['her']]
    """
    check_choice(duplicates, "duplicates", DUPLICATES)
    with naming(Path("triplets")):
        if isinstance(table, tuple | list):
            names, cells = _three(columns or ("row", "column", "entry")), [*table]
        else:
            header = list(getattr(table, "column_names", table.columns))  # that of Arrow, or of all others
            names = _three(header if columns is None else columns)
            cells = [table[header[j]] for j in _columns(list(map(str, header)), names)]
        cells = list(map(_series, cells))
        if len({len(cells) for cells in cells}) != 1 or len(cells) != 3:
            raise ValueError(f"they are three columns of the same length, got {', '.join(map(str, map(len, cells)))}")
        found = _sparse(_Triplets(cells, names, _counted, as_text=False), duplicates)
    return found.transposed() if transpose else found


def _series(cells: Any) -> Any:
    """A column as a series of pandas whose index counts from 0."""
    return cells.reset_index(drop=True) if hasattr(cells, "iloc") else import_pandas().Series(np.asarray(cells))


def _three(columns: Sequence[str | int]) -> list[str]:
    """The names or numbers of three columns as text."""
    names = list(map(str, columns))
    if len(names) != 3:
        raise ValueError(f"triplets are three columns, got {', '.join(names)}")
    return names


def _counted(i: int) -> str:
    return f"row {i} (counted from 0)"


class _Triplets(NamedTuple):
    """Columns of a table that hold rows, columns and entries, their names, and what messages call its line i.

    And whether labels become text; of text, how it is written, and how that was read in words.
    """

    cells: list[Any]
    names: list[str]
    place: Callable[[int], str]
    as_text: bool = True
    text: Text | None = None
    read: str = ""


def _text_triplets(path: Path, names: list[str], labels: str, form: TextFormat) -> _Triplets:
    text = recognise(path, form, names)
    header = text.sample[0]
    has_header = labels in ("both", "columns") or (labels == "auto" and _is_header(header, names, text.decimal))
    skipped = text.head() if has_header else 0
    where = _columns(header, names, has_header, text)
    # Ids are read as text, NA among them; as categories, which are smaller, pandas makes numbers of them.
    frame = read_cells(text, skipped, dtype=dict.fromkeys(where[:2], str), na_values={where[2]: NOTHING})
    if frame.shape[1] != len(header):
        raise ValueError(f"{len(header)} names of columns, but {frame.shape[1]} cells in the next line")
    read = "; ".join(filter(None, [text.description(), f"{'first' if has_header else 'no'} line taken for names"]))
    cells = [frame[j] for j in where]
    return _Triplets(cells, names, lambda i: f"line {text.line_of(i, skipped)}", text=text, read=f"; {read}")


def _is_header(first: Sequence[str], names: list[str], decimal: str) -> bool:
    """Whether the first line has names of columns, if columns are given by these names or numbers."""
    if not all(name.isdecimal() and int(name) < len(first) for name in names):
        return True
    cells = [first[int(name)] for name in names]
    if cells == names:
        line = ", ".join(first)
        raise ValueError(f"the first line, {line}, may be names or not: labels='columns' or labels='none' says which")
    return cells[2] != "" and not is_number(cells[2], decimal)


def _columns(header: Sequence[str], names: list[str], has_names: bool = True, text: Text | None = None) -> list[int]:
    """The numbers of the columns of these names, or of these numbers from 0."""
    other = ";" if text and text.separator == "," else ","
    advice = f"; it is taken to be {text.separated} unless separator={other!r} or another is given" if text else ""
    found = []
    for name in names:
        if has_names and header.count(name) > 1:
            raise ValueError(f"it has {header.count(name)} columns {name!r}")
        if has_names and name in header:
            found.append(header.index(name))
        elif not name.isdecimal():
            first = textwrap.shorten(", ".join(header), 200)
            what = "its first line is" if text else "there are"
            raise ValueError(f"it has no column {name!r}; {what} {first}{advice}")
        elif int(name) < len(header):
            found.append(int(name))
        else:
            raise ValueError(f"it has no column {name}: they are numbered from 0 to {len(header) - 1}{advice}")
    if len(set(found)) < len(found):
        raise ValueError(f"triplets are in three columns, {', '.join(names)} are fewer")
    return found


def _parquet_triplets(path: Path, names: list[str], *_: Any) -> _Triplets:
    frame = read_frame(path)
    if not isinstance(frame.index, import_pandas().RangeIndex):
        frame = frame.reset_index()
    header = list(map(str, frame.columns))
    return _Triplets([frame.iloc[:, j] for j in _columns(header, names)], names, _counted)


def _entries(table: _Triplets) -> np.ndarray:
    """The entries, which are numbers, or missing."""
    cells, name, text = table.cells[2], table.names[2], table.text
    if not import_pandas().api.types.is_numeric_dtype(cells.dtype):
        decimal = text.decimal if text else "."
        word = first_word(cells, decimal)
        if word is not None:
            advice = way_out(text, str(cells.iat[word])) if text else ""
            raise ValueError(f"{table.place(word)}, column {name}: {fault(cells.iat[word], decimal)}{advice}")
    return numbers(cells.to_frame(), None, (name,))[:, 0]


def _sparse(table: _Triplets, duplicates: str) -> LabelledMatrix:
    """The matrix in CSR, once every triplet is whole and there once."""
    names, place = table.names, table.place
    if len(table.cells[2]) == 0:
        raise ValueError("it has no rows")
    (rows, row_labels), (columns, column_labels) = (_numbered(ids, table.as_text) for ids in table.cells[:2])
    values = _entries(table)
    for j, wrong in enumerate((rows < 0, columns < 0, np.isnan(values))):
        if wrong.any():
            raise ValueError(f"{place(int(wrong.argmax()))}, column {names[j]}: nothing is there")
    if not (values.min() >= 0 and values.max() < np.inf):
        i = int(np.argmax((values < 0) | (values == np.inf)))
        hint = f"; add {-values.min():g} or more to all, so that none is" if np.isfinite(values[i]) else ""
        wrong = "negative" if values[i] < 0 else "not finite"
        raise ValueError(f"{place(i)}, column {names[2]}: {values[i]:g} is {wrong}{hint}")
    n, m = len(row_labels), len(column_labels)
    pairs = rows * m + columns
    order = np.argsort(pairs, kind="stable")
    again = pairs[order[1:]] == pairs[order[:-1]]
    if again.any() and duplicates == "error":
        p = np.flatnonzero(again)[order[1:][again].argmin()]
        first, second = order[p], order[p + 1]
        pair = f"{names[0]} {row_labels[rows[first]]}, {names[1]} {column_labels[columns[first]]}"
        raise ValueError(
            f"{pair} is there twice, in {place(first)} and {place(second)}; leave one of them, or duplicates='last' "
            f"does, or 'first', 'mean' or 'sum'"
        )
    starts = np.flatnonzero(np.append(True, ~again))
    entries, kept = _one_each(values[order], starts, duplicates), order[starts]
    indptr = np.concatenate([[0], np.cumsum(np.bincount(rows[kept], minlength=n))])
    X = sp.csr_array((entries, columns[kept], indptr), shape=(n, m))
    return LabelledMatrix(X, row_labels, column_labels)


def _one_each(values: np.ndarray, starts: np.ndarray, duplicates: str) -> np.ndarray:
    """One entry for each run of entries that begins at a start."""
    ends = np.append(starts[1:], len(values))
    if duplicates == "last":
        return values[ends - 1]
    if duplicates in ("sum", "mean"):
        sums = np.add.reduceat(values, starts)
        return sums if duplicates == "sum" else sums / (ends - starts).astype(sums.dtype)
    return values[starts]


def _numbered(ids: Any, as_text: bool) -> tuple[np.ndarray, tuple[Any, ...]]:
    """Numbers of ids by first appearance, -1 for what is missing or empty, and their labels, perhaps all as text."""
    pandas = import_pandas()
    codes, found = pandas.factorize(ids)
    names = [str(label) if as_text else label for label in found.tolist()]
    # Blanks around ids can make them the same.
    stripped = [(name.strip() or None) if isinstance(name, str) else name for name in names]
    merged, labels = pandas.factorize(pandas.Series(stripped, dtype=object))
    return np.append(merged, -1)[codes].astype(np.int64), tuple(labels)


_TABLES: dict[str, Callable[[Path, list[str], str, TextFormat], _Triplets]] = {
    ".csv": _text_triplets,
    ".csv.gz": _text_triplets,
    ".tsv": _text_triplets,
    ".tsv.gz": _text_triplets,
    ".parquet": _parquet_triplets,
}
