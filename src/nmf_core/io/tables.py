"""Tables, by way of pandas."""

import csv
import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from nmf_core.io.base import LabelledMatrix, library
from nmf_core.validation import Labels


def import_pandas() -> Any:
    """The module pandas, or an ImportError that says how to get it."""
    return library("pandas", "tables", "cli")


def read_text(path: Path, _: str, labels: str) -> LabelledMatrix:
    """Read text with pandas, which sees cells only: it would rename labels, so they are recognised here."""
    pandas = import_pandas()
    separator = separator_of(path)
    header, line = first_line(path, separator)
    has_header = labels in ("both", "columns") or (labels == "auto" and not all(map(is_number, header)))
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
    if labels in ("both", "rows") or (labels == "auto" and (unnamed or not is_number(str(frame.iat[0, 0])))):
        # Read again as text: 007 stays 007, and NA is a label like any other.
        rows = tuple(read(usecols=[0], dtype=str, keep_default_na=False)[0].str.strip())
        frame = frame.iloc[:, 1:]
        header = header[len(header) > frame.shape[1] :]
        if frame.shape[1] == 0:
            raise ValueError(f"only labels; are cells separated by {separator!r}?")
    if has_header and len(header) != frame.shape[1]:
        raise ValueError(f"{len(header)} labels for {frame.shape[1]} columns")
    columns = tuple(header) if has_header else None
    return LabelledMatrix(numbers(frame, rows, columns), rows, columns)


def separator_of(path: Path) -> str:
    """What stands between cells, by the name of the file."""
    return "\t" if ".tsv" in [suffix.lower() for suffix in path.suffixes[-2:]] else ","


def open_text(path: Path) -> Any:
    """The file as text, compressed or not."""
    opened: Callable[..., Any] = gzip.open if path.suffix.lower() == ".gz" else open
    return opened(path, "rt", newline="", encoding="utf-8-sig")


def first_line(path: Path, separator: str) -> tuple[list[str], int]:
    """Cells of the first line that is not blank, and its number; quoted line breaks do not count."""
    with open_text(path) as file:
        for number, cells in enumerate(csv.reader(file, delimiter=separator, strict=True), 1):
            if any(cell.strip() for cell in cells):
                return [cell.strip() for cell in cells], number
    raise ValueError("it is empty")


def is_number(cell: str) -> bool:
    """Whether Python takes it for a number."""
    try:
        float(cell)
    except ValueError:
        return False
    return True


def read_frame(path: Path) -> Any:
    """The data frame in a .parquet file."""
    library("pyarrow", ".parquet", "cli")
    return import_pandas().read_parquet(path, engine="pyarrow")


def numbers(frame: Any, rows: Labels, columns: Labels) -> np.ndarray:
    """The frame as an array of float32 if that is what it holds, else of float64; a missing cell is NaN."""
    pandas = import_pandas()
    for j, kind in enumerate(frame.dtypes):
        if not pandas.api.types.is_numeric_dtype(kind):
            column = columns[j] if columns else j
            i = first_word(frame.iloc[:, j])
            if i is None:
                raise ValueError(f"column {column} holds {kind}, not numbers")
            row = rows[i] if rows else i
            raise ValueError(f"row {row}, column {column}: {fault(frame.iat[i, j])}")
    single = all(kind == np.float32 for kind in frame.dtypes)
    return frame.to_numpy(dtype=np.float32 if single else np.float64, na_value=np.nan)


def fault(cell: Any) -> str:
    """What is wrong with a cell that pandas takes for no number: to version 2 of pandas 1e999 is none."""
    return f"{cell!r} is not {'finite' if is_number(str(cell)) else 'a number'}"


def first_word(cells: Any) -> int | None:
    """Where the first cell is that is neither missing nor a number."""
    wrong = (import_pandas().to_numeric(cells, errors="coerce").isna() & cells.notna()).to_numpy()
    return int(wrong.argmax()) if wrong.any() else None
