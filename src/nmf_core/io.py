"""Matrices from files, and factors into files."""

import csv
import errno
import gzip
import os
import textwrap
import zipfile
import zlib
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import scipy.io
import scipy.sparse as sp

from nmf_core.files import written_whole
from nmf_core.validation import Labels

# What readers raise on a file that isn't what its name says, or not all of it.
_UNREADABLE = (
    *(ValueError, TypeError, LookupError, EOFError, OverflowError),
    *(csv.Error, zlib.error, zipfile.BadZipFile),
)

_LABEL_ARRAYS = ("row_labels", "column_labels")

LABELS = ("auto", "both", "rows", "columns", "none")


class LabelledMatrix(NamedTuple):
    """A matrix as a file holds it, and the names of its rows and columns where the file has them.

    Attributes
    ----------
    X : ndarray or sparse matrix of shape (n_samples, n_features)
        In the dtype of the file; text becomes float64.
    row_labels, column_labels : tuple of str or None
        Names, without repetition.
    """

    X: Any
    row_labels: Labels = None
    column_labels: Labels = None


def read_matrix(file: str | os.PathLike, labels: str = "auto") -> LabelledMatrix:
    """Read a matrix; the end of the file's name says what it is.

    ===================== ================================================================================
    .npy                  one array, mapped into memory
    .npz                  a SciPy sparse matrix or arrays; of several, ``FILE.npz::NAME`` is read. Arrays
                          called row_labels and column_labels are its labels
    .mtx, .mtx.gz         Matrix Market
    .csv, .tsv            text separated by commas or tabs (.csv.gz, .tsv.gz: compressed)
    .parquet              a data frame: names of columns are labels, so are an index or a first column of text
    ===================== ================================================================================

    Parameters
    ----------
    file : str or path
        The file.
    labels : {"auto", "both", "rows", "columns", "none"}
        Which labels text has. "auto" takes the first line for labels of columns unless each of its cells is a
        number, and the first column for labels of rows if it starts with no number or has no heading.

    Returns
    -------
    LabelledMatrix

    Raises
    ------
    OSError
        The file can't be read.
    ValueError
        It doesn't hold a matrix, or a label occurs twice; the message says where.
    ImportError
        It needs pandas (or pyarrow), which is not installed.
    """
    path, key, ending = _locate(file, READERS, "a matrix")
    with _naming(path):
        table = READERS[ending](path, key if ending == ".npz" else labels)
        for what, found, size in zip(("row", "column"), table[1:], table.X.shape, strict=False):
            _check_labels(found, what, size)
    return table


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
    path, _, ending = _locate(file, _TABLES, "a table of triplets")
    with _naming(path):
        names = [str(column) for column in columns]
        if len(names) != 3:
            raise ValueError(f"triplets are three columns, got {', '.join(names)}")
        return _sparse(_TABLES[ending](path, names, labels))


def _locate(file: str | os.PathLike, endings: Collection[str], what: str) -> tuple[Path, str, str]:
    """Path, name of an array in it, and ending, which is one of those given, of a file that is there."""
    path, key, ending = _split(file)
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if ending not in endings:
        raise ValueError(f"{path}: the name of {what} must end in one of {', '.join(endings)}")
    if key and ending != ".npz":
        raise ValueError(f"{path}: ::{key} would choose an array of an .npz file, which this is not")
    path.stat()  # readers differ in what they raise if the file is missing
    return path, key, ending


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Errors of readers become one line that begins with the name of the file."""
    try:
        yield
    except _UNREADABLE as error:
        raise ValueError(f"{path}: {' '.join(str(error).split()) or type(error).__name__}") from error


def _split(file: str | os.PathLike) -> tuple[Path, str, str]:
    """Path, name of an array in it ("" if none is given), and ending of the path ("" if no reader has it)."""
    name, key = os.fspath(file), ""
    if "::" in name and not Path(name).exists():
        name, _, key = name.rpartition("::")
    endings = [ending for ending in READERS if name.lower().endswith(ending)]
    return Path(name), key, endings[0] if endings else ""


def stem(file: str | os.PathLike) -> str:
    """The name of a file for `read_matrix`, without folder and ending."""
    path, _, ending = _split(file)
    return path.name[: len(path.name) - len(ending)]


def _check_labels(labels: Labels, what: str, size: int) -> None:
    if labels is None:
        return
    if len(labels) != size:
        raise ValueError(f"{len(labels)} {what} labels for {size} {what}s")
    first: dict[str, int] = {}
    for i, label in enumerate(labels):
        if not label:
            raise ValueError(f"{what} {i} (counted from 0) has an empty label")
        if first.setdefault(label, i) != i:
            twice = f"{what}s {first[label]} and {i} (counted from 0)"
            raise ValueError(f"{what} label {label!r} occurs twice, at {twice}")


def _read_npy(path: Path, _: str) -> LabelledMatrix:
    X = np.load(path, mmap_mode="r", allow_pickle=False)
    if not isinstance(X, np.ndarray):
        X.close()
        raise ValueError("not an .npy file; .npz is what its content looks like")
    return LabelledMatrix(X)


def _read_npz(path: Path, key: str) -> LabelledMatrix:
    with path.open("rb") as binary:  # np.load would leave a damaged file open
        file = np.load(binary, allow_pickle=False)
        if not isinstance(file, np.lib.npyio.NpzFile):
            raise ValueError("not an .npz file; .npy is what its content looks like")
        labels = [tuple(map(str, file[name].astype(str))) if name in file else None for name in _LABEL_ARRAYS]
        if not key and {"format", "shape", "data"} <= set(file.files):
            binary.seek(0)
            return LabelledMatrix(sp.load_npz(binary), *labels)
        names = [name for name in file.files if name not in _LABEL_ARRAYS]
        if not key and len(names) != 1:
            raise ValueError(f"holds {len(names)} arrays ({', '.join(names)}); choose one as {path}::NAME")
        if key and key not in names:
            raise ValueError(f"holds no array {key!r}, only {', '.join(names)}")
        X = np.asarray(file[key or names[0]])
    # The labels are those of the only matrix; of several, nobody knows which they belong to.
    return LabelledMatrix(X, *labels) if len(names) == 1 else LabelledMatrix(X)


def _read_mtx(path: Path, _: str) -> LabelledMatrix:
    X = scipy.io.mmread(path, spmatrix=False)
    return LabelledMatrix(X.tocsr() if sp.issparse(X) else X)


def _pandas() -> Any:
    try:
        import pandas
    except ImportError as error:
        raise ImportError('Reading tables needs pandas: pip install "nmf-core[cli]"') from error
    return pandas


def _read_text(path: Path, labels: str) -> LabelledMatrix:
    """Read text with pandas, which sees cells only: it would rename labels, so they are recognised here."""
    pandas = _pandas()
    separator = _separator(path)
    header, line = _first_line(path, separator)
    has_header = labels in ("both", "columns") or (labels == "auto" and not all(map(_is_number, header)))
    skipped = line if has_header else 0

    def read(**options: Any) -> Any:
        return pandas.read_csv(path, sep=separator, header=None, skiprows=skipped, **options)

    try:
        frame = read(low_memory=False)
    except pandas.errors.EmptyDataError:
        raise ValueError("it has labels of columns, but no rows") from None
    # The column of row labels may have a heading of its own, an empty one, or none at all.
    unnamed = has_header and (header[0] == "" or len(header) == frame.shape[1] - 1)
    rows = None
    if labels in ("both", "rows") or (labels == "auto" and (unnamed or not _is_number(str(frame.iat[0, 0])))):
        # Read again as text: 007 stays 007, and NA is a label like any other.
        rows = tuple(read(usecols=[0], dtype=str, keep_default_na=False)[0].str.strip())
        frame = frame.iloc[:, 1:]
        header = header[len(header) > frame.shape[1] :]
        if frame.shape[1] == 0:
            raise ValueError(f"only labels; are cells separated by {separator!r}?")
    if has_header and len(header) != frame.shape[1]:
        raise ValueError(f"{len(header)} labels for {frame.shape[1]} columns")
    columns = tuple(header) if has_header else None
    return LabelledMatrix(_numbers(frame, rows, columns), rows, columns)


def _separator(path: Path) -> str:
    return "\t" if ".tsv" in [suffix.lower() for suffix in path.suffixes[-2:]] else ","


def _open_text(path: Path) -> Any:
    open_text: Callable[..., Any] = gzip.open if path.suffix.lower() == ".gz" else open
    return open_text(path, "rt", newline="", encoding="utf-8-sig")


def _first_line(path: Path, separator: str) -> tuple[list[str], int]:
    """Cells of the first line that is not blank, and its number; quoted line breaks do not count."""
    with _open_text(path) as file:
        for number, cells in enumerate(csv.reader(file, delimiter=separator, strict=True), 1):
            if any(cell.strip() for cell in cells):
                return [cell.strip() for cell in cells], number
    raise ValueError("it is empty")


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _read_frame(path: Path) -> Any:
    pandas = _pandas()
    try:
        return pandas.read_parquet(path)
    except ImportError as error:
        raise ImportError('Reading .parquet needs pyarrow: pip install "nmf-core[cli]"') from error


def _read_parquet(path: Path, labels: str) -> LabelledMatrix:
    pandas, frame = _pandas(), _read_frame(path)
    rows = None
    if not isinstance(frame.index, pandas.RangeIndex):
        rows = tuple(map(str, frame.index))
    elif labels in ("both", "rows") or (
        labels == "auto" and frame.shape[1] and not pandas.api.types.is_numeric_dtype(frame.dtypes.iloc[0])
    ):
        rows = tuple(map(str, frame.iloc[:, 0]))
        frame = frame.iloc[:, 1:]
    columns = tuple(map(str, frame.columns))
    return LabelledMatrix(_numbers(frame, rows, columns), rows, columns)


def _numbers(frame: Any, rows: Labels, columns: Labels) -> np.ndarray:
    """The frame as an array of float32 if that is what it holds, else of float64; a missing cell is NaN."""
    pandas = _pandas()
    for j, kind in enumerate(frame.dtypes):
        if not pandas.api.types.is_numeric_dtype(kind):
            column = columns[j] if columns else j
            i = _first_word(frame.iloc[:, j])
            if i is None:
                raise ValueError(f"column {column} holds {kind}, not numbers")
            row = rows[i] if rows else i
            raise ValueError(f"row {row}, column {column}: {frame.iat[i, j]!r} is not a number")
    single = all(kind == np.float32 for kind in frame.dtypes)
    return frame.to_numpy(dtype=np.float32 if single else np.float64, na_value=np.nan)


def _first_word(cells: Any) -> int | None:
    """Where the first cell is that is neither missing nor a number."""
    wrong = (_pandas().to_numeric(cells, errors="coerce").isna() & cells.notna()).to_numpy()
    return int(wrong.argmax()) if wrong.any() else None


class _Triplets(NamedTuple):
    """Columns of a table that hold rows, columns and entries, their names, and what messages call its line i."""

    cells: list[Any]
    names: list[str]
    place: Callable[[int], str]


def _text_triplets(path: Path, names: list[str], labels: str) -> _Triplets:
    pandas, separator = _pandas(), _separator(path)
    header, line = _first_line(path, separator)
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
    return cells[2] != "" and not _is_number(cells[2])


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
    with _open_text(path) as file:
        reader = csv.reader(file, delimiter=separator)
        for number, cells in enumerate(reader):
            if number >= skipped and (len(cells) > 1 or "".join(cells).strip()):
                i -= 1
            if i < 0:
                break
        return reader.line_num


def _parquet_triplets(path: Path, names: list[str], _: str) -> _Triplets:
    frame = _read_frame(path)
    if not isinstance(frame.index, _pandas().RangeIndex):
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
    if (word := None if _pandas().api.types.is_numeric_dtype(cells.dtype) else _first_word(cells)) is not None:
        raise ValueError(f"{place(word)}, column {names[2]}: {cells.iat[word]!r} is not a number")
    values = _numbers(cells.to_frame(), None, (names[2],))[:, 0]
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
    pandas = _pandas()
    codes, found = pandas.factorize(ids)
    # Blanks around ids can make them the same.
    merged, labels = pandas.factorize(pandas.Series([str(label).strip() or None for label in found], dtype=object))
    return np.append(merged, -1)[codes].astype(np.int64), tuple(labels)


READERS: dict[str, Callable[[Path, Any], LabelledMatrix]] = {
    ".npy": _read_npy,
    ".npz": _read_npz,
    ".mtx": _read_mtx,
    ".mtx.gz": _read_mtx,
    ".csv": _read_text,
    ".csv.gz": _read_text,
    ".tsv": _read_text,
    ".tsv.gz": _read_text,
    ".parquet": _read_parquet,
}


_TABLES: dict[str, Callable[[Path, list[str], str], _Triplets]] = {
    ".csv": _text_triplets,
    ".csv.gz": _text_triplets,
    ".tsv": _text_triplets,
    ".tsv.gz": _text_triplets,
    ".parquet": _parquet_triplets,
}


def check_destination(path: str | os.PathLike) -> None:
    """Raise OSError if a file can't be written whole at `path`: better before the work than after it."""
    path = Path(path)
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if path.exists() and not path.is_file():
        raise OSError(errno.EINVAL, "Not a regular file", str(path))
    if not path.parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, "No such folder", str(path.parent))
    if not os.access(path.parent, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path.parent))


def write_matrix(path: str | os.PathLike, A: np.ndarray, rows: Labels, columns: Labels) -> None:
    """Write a matrix whole or not at all, as .npy, .csv or .tsv by the end of the file's name.

    Parameters
    ----------
    path : str or path
        The file.
    A : ndarray of shape (n, m)
        The matrix. Text has every digit that it takes to read the same numbers back.
    rows, columns : tuple of str or None
        Labels for text, None for numbers from 0.

    Raises
    ------
    OSError
        The file can't be written.
    ValueError
        Its name ends in something else.
    """
    path = Path(path)
    ending = path.suffix.lower()
    if ending not in WRITABLE:
        raise ValueError(f"{path}: the name of a file to write must end in one of {', '.join(WRITABLE)}")
    with written_whole(path) as draft:
        if ending == ".npy":
            with draft.open("wb") as binary:
                np.save(binary, A)
            return
        with draft.open("w", newline="", encoding="utf-8") as text:
            writer = csv.writer(text, delimiter="\t" if ending == ".tsv" else ",", lineterminator="\n")
            writer.writerow(["", *(range(A.shape[1]) if columns is None else columns)])
            for label, row in zip(range(A.shape[0]) if rows is None else rows, A, strict=True):
                writer.writerow([label, *row])


WRITABLE = (".npy", ".csv", ".tsv")
