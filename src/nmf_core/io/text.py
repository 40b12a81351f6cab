"""A matrix from text: pandas reads the cells; which of them are labels is decided here, and said."""

import logging
import re
from pathlib import Path
from typing import Any

import numpy as np

from nmf_core.io.base import source_name
from nmf_core.io.doubts import LABELS_OF, doubts
from nmf_core.io.recognition import NOTHING, Text, TextFormat, is_number, recognise
from nmf_core.io.tables import import_pandas, numbers
from nmf_core.labels import LabelledMatrix

_log = logging.getLogger(__name__)

_THOUSANDS = re.compile(r"[+-]?\d{1,3}([ ,.'\u2019\u00a0\u202f]\d{3})+([.,]\d*)?")
_PASSED_OVER = "comment='#' passes over lines that begin with #"


def read_text(path: Path, _: str, labels: str, form: TextFormat) -> LabelledMatrix:
    """A matrix with its labels as they stand in text: 007 stays 007, NA is a label like any other.

    Which labels there are does not depend on numbers further down, so that one row is read like thousands.
    """
    text = recognise(path, form)
    has_header, has_names, unnamed = _layout(text, labels)
    first, *below = text.sample
    skipped = text.head() if has_header else 0
    if has_header and not below:
        raise ValueError("it has labels of columns, but no rows")
    width = len(below[0] if has_header else first)
    kinds = {0: str} if has_names else None
    frame = read_cells(text, skipped, dtype=kinds, na_values=dict.fromkeys(range(has_names, width), NOTHING))
    rows = tuple(frame.pop(0).str.strip()) if has_names else None
    width = frame.shape[1]
    if width == 0:
        raise ValueError(f"only labels; are cells separated by {text.separator!r}?")
    columns = tuple(first[len(first) > width :]) if has_header else None
    if columns and len(columns) != width:
        raise ValueError(f"{len(columns)} labels for {width} columns")

    def hint(i: int, j: int, cell: str) -> str:
        if rows and rows[i].startswith("#"):
            return f"; {_PASSED_OVER}"
        line, column = i == 0 and not has_header, j == 0 and not has_names
        right = LABELS_OF[has_header or line, has_names or column]
        return way_out(text, cell) or (f"; labels={right!r} takes it for a label" if line or column else "")

    table = LabelledMatrix(numbers(frame, rows, columns, hint, text.decimal), rows, columns)
    for i, label in enumerate(rows or ()):
        if label.startswith("#") and np.isnan(table.X[i]).all():
            raise ValueError(f"row {i} is {label!r} and nothing else; {_PASSED_OVER}")
    _tell(text, table, labels == "auto" and not unnamed)
    return table


def _layout(text: Text, labels: str) -> tuple[bool, bool, bool]:
    """Whether there are labels of columns, labels of rows, and these without a heading, by the first rows."""
    first, *below = text.sample
    # The column of row labels may have a heading of its own, an empty one, or none at all.
    headless = bool(below) and len(first) == len(below[0]) - 1 and any(row[-1] for row in below)
    numbers_only = all(is_number(cell, text.decimal) or (j and cell in NOTHING) for j, cell in enumerate(first))
    has_header = labels in ("both", "columns") or (labels == "auto" and (headless or not numbers_only))
    unnamed = has_header and (first[0] == "" or headless)
    column = (row[0] for row in text.sample[has_header:] if row[0] not in NOTHING)
    is_name = not is_number(next(column, "0"), text.decimal)
    return has_header, labels in ("both", "rows") or (labels == "auto" and (unnamed or is_name)), unnamed


def _tell(text: Text, table: LabelledMatrix, doubtful: bool) -> None:
    """Say what was taken for labels and what for data, and what may have been taken wrongly if anything can be."""
    X, rows, columns = table
    said = [
        f"{X.shape[0]} rows x {X.shape[1]} columns",
        text.description(),
        f"{'first line taken for' if columns else 'no'} labels of columns, "
        f"{'first column taken for' if rows else 'no'} labels of rows",
    ]
    doubt = ""
    if doubtful:
        header = None
        if columns and all(is_number(label, text.decimal) for label in columns):
            header = np.array([float(label.replace(text.decimal, ".")) for label in columns])
        doubt = doubts(table, text.sample[0], header)
    level = logging.WARNING if doubt else logging.INFO
    _log.log(level, "%s: %s", source_name(text.path), "; ".join(filter(None, [*said, doubt])))


def read_cells(text: Text, skipped: int, **options: Any) -> Any:
    """The data frame of all rows but some at the top, or an error that says where there are too many cells."""
    pandas = import_pandas()
    separator = r"\s+" if text.separator == " " else text.separator
    with text.lines() as lines:
        try:
            return pandas.read_csv(
                lines, sep=separator, decimal=text.decimal, header=None, skiprows=skipped, skipinitialspace=True,
                keep_default_na=False, low_memory=False, **options,
            )  # fmt: skip
        except pandas.errors.EmptyDataError:
            raise ValueError("it has names of columns, but no rows") from None
        except pandas.errors.ParserError as error:
            told = str(error).strip().rpartition("C error: ")[2]
            if told.startswith("Expected"):  # so many cells
                comments = any(row[0].startswith("#") for row in text.sample)
                told += f"; {_PASSED_OVER if comments else f'are cells separated by {text.separator!r}?'}"
            raise ValueError(told) from None


def way_out(text: Text, cell: str) -> str:
    """What to do about a cell that is no number, if that can be guessed."""
    if cell.startswith("#"):
        return f"; {_PASSED_OVER}"
    if text.decimal == "." and "," in cell and is_number(cell, ","):
        both = f" and separator={text.separator!r}" if text.separator == "," else ""
        thousands = "write thousands without separators, or " if _THOUSANDS.fullmatch(cell) else ""
        return f"; {thousands}decimal=','{both} reads its comma as a decimal one"
    if text.decimal == "," and "." in cell and is_number(cell):
        return "; decimal='.' reads its point as a decimal one"
    if _THOUSANDS.fullmatch(cell):
        return "; write numbers without separators of thousands"
    return ""
