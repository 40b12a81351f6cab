"""Long tables: a line for every entry of a sparse matrix."""

import csv
import os
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp

from nmf_core.io.base import LabelledMatrix, locate, naming
from nmf_core.io.tables import (
    fault,
    first_line,
    first_word,
    import_pandas,
    is_number,
    numbers,
    open_text,
    read_frame,
    separator_of,
)


def read_triplets(file: str | os.PathLike, columns: Sequence[str | int], labels: str = "auto") -> LabelledMatrix:
    """Read a long table, such as of users, items and ratings: a line for every entry of a sparse matrix.

    Users become rows and items columns, in the order in which they first appear. Their labels are text as it stands in
    the file, without blanks around it: 007 and 7 are two users. Entries that are zero are stored.

    Parameters
    ----------
    file : str or path
        A .csv, .tsv (also .gz) or .parquet file.
    columns : sequence of three str or int
        Which columns hold rows, columns and entries: names from the first line, or numbers from 0.
    labels : {"auto", "both", "rows", "columns", "none"}
        Whether the first line of text has names, with "both" or "columns", or not. "auto" takes it for names if
        columns are given by name, or if there is something else than a number where an entry would be.

    Returns
    -------
    LabelledMatrix
        X is a CSR array, of float32 if that is what a .parquet file holds, else of float64.

    Raises
    ------
    OSError
        The file can't be read.
    ValueError
        It isn't such a table, an id or an entry is missing, an entry is negative, or a pair of row and column occurs
        twice, of which only the user knows which one counts; the message says in which line.
    ImportError
        It needs pandas (or pyarrow), which is not installed.
    """
    path, _, ending = locate(file, _TABLES, "a table of triplets")
    with naming(path):
        names = [str(column) for column in columns]
        if len(names) != 3:
            raise ValueError(f"triplets are three columns, got {', '.join(names)}")
        return _sparse(_TABLES[ending](path, names, labels))


class _Triplets(NamedTuple):
    """Columns of a table that hold rows, columns and entries, their names, and what messages call its line i."""

    cells: list[Any]
    names: list[str]
    place: Callable[[int], str]


def _text_triplets(path: Path, names: list[str], labels: str) -> _Triplets:
    pandas, separator = import_pandas(), separator_of(path)
    header, line = first_line(path, separator)
    has_header = labels in ("both", "columns") or (labels == "auto" and _is_header(header, names))
    skipped = line if has_header else 0
    where = _columns(header, names, has_header)
    # Ids are read as text, NA among them; as categories, which are smaller, pandas makes numbers of them.
    kinds: dict[int, Any] = dict.fromkeys(where[:2], str)
    try:
        frame = pandas.read_csv(
            path, sep=separator, header=None, skiprows=skipped, low_memory=False, dtype=kinds, keep_default_na=False,
            na_values={where[2]: ["", "NA", "NaN", "nan"]},
        )  # fmt: skip
    except pandas.errors.EmptyDataError:
        raise ValueError("it has names of columns, but no rows") from None
    if frame.shape[1] != len(header):
        raise ValueError(f"{len(header)} names of columns, but {frame.shape[1]} cells in the next line")
    return _Triplets([frame[j] for j in where], names, lambda i: f"line {_line_number(path, separator, skipped, i)}")


def _is_header(first: list[str], names: list[str]) -> bool:
    """Whether the first line has names of columns, if columns are given by these names or numbers."""
    if not all(name.isdecimal() and int(name) < len(first) for name in names):
        return True
    cells = [first[int(name)] for name in names]
    if cells == names:
        line = ", ".join(first)
        raise ValueError(f"the first line, {line}, may be names or not; labels columns or none says which")
    return cells[2] != "" and not is_number(cells[2])


def _columns(header: list[str], names: list[str], has_names: bool) -> list[int]:
    """The numbers of the columns of these names, or of these numbers from 0."""
    found = []
    for name in names:
        if has_names and header.count(name) > 1:
            raise ValueError(f"it has {header.count(name)} columns {name!r}")
        if has_names and name in header:
            found.append(header.index(name))
        elif not name.isdecimal():
            first = textwrap.shorten(", ".join(header), 200)
            raise ValueError(f"it has no column {name!r}; its first line is {first}")
        elif int(name) < len(header):
            found.append(int(name))
        else:
            raise ValueError(f"it has no column {name}: they are numbered from 0 to {len(header) - 1}")
    if len(set(found)) < len(found):
        raise ValueError(f"triplets are in three columns, {', '.join(names)} are fewer")
    return found


def _line_number(path: Path, separator: str, skipped: int, i: int) -> int:
    """The line on which row i ends, after some lines that were skipped; blank lines are no rows."""
    with open_text(path) as file:
        reader = csv.reader(file, delimiter=separator)
        for number, cells in enumerate(reader):
            if number >= skipped and (len(cells) > 1 or "".join(cells).strip()):
                i -= 1
            if i < 0:
                break
        return reader.line_num


def _parquet_triplets(path: Path, names: list[str], _: str) -> _Triplets:
    frame = read_frame(path)
    if not isinstance(frame.index, import_pandas().RangeIndex):
        frame = frame.reset_index()
    header = list(map(str, frame.columns))
    where = _columns(header, names, True)
    return _Triplets([frame.iloc[:, j] for j in where], names, lambda i: f"row {i} (counted from 0)")


def _sparse(table: _Triplets) -> LabelledMatrix:
    """The matrix in CSR, once every triplet is whole and there once."""
    (row_cells, column_cells, cells), names, place = table
    if len(cells) == 0:
        raise ValueError("it has no rows")
    (rows, row_labels), (columns, column_labels) = _numbered(row_cells), _numbered(column_cells)
    if (word := None if import_pandas().api.types.is_numeric_dtype(cells.dtype) else first_word(cells)) is not None:
        raise ValueError(f"{place(word)}, column {names[2]}: {fault(cells.iat[word])}")
    values = numbers(cells.to_frame(), None, (names[2],))[:, 0]
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
    again = np.flatnonzero(pairs[order[1:]] == pairs[order[:-1]])
    if len(again):
        p = again[order[again + 1].argmin()]
        first, second = order[p], order[p + 1]
        pair = f"{names[0]} {row_labels[rows[first]]}, {names[1]} {column_labels[columns[first]]}"
        raise ValueError(f"{pair} is there twice, in {place(first)} and {place(second)}; leave one of them")
    indptr = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=n))])
    X = sp.csr_array((values[order], columns[order], indptr), shape=(n, m))
    return LabelledMatrix(X, row_labels, column_labels)


def _numbered(ids: Any) -> tuple[np.ndarray, tuple[str, ...]]:
    """Numbers of ids by first appearance, -1 for what is missing or empty, and their labels."""
    pandas = import_pandas()
    codes, found = pandas.factorize(ids)
    # Blanks around ids can make them the same.
    merged, labels = pandas.factorize(pandas.Series([str(label).strip() or None for label in found], dtype=object))
    return np.append(merged, -1)[codes].astype(np.int64), tuple(labels)


_TABLES: dict[str, Callable[[Path, list[str], str], _Triplets]] = {
    ".csv": _text_triplets,
    ".csv.gz": _text_triplets,
    ".tsv": _text_triplets,
    ".tsv.gz": _text_triplets,
    ".parquet": _parquet_triplets,
}
