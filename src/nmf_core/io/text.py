"""A matrix from text: pandas reads the cells; which of them are labels is decided here, and said."""

import logging
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nmf_core.io.base import LabelledMatrix, source_name
from nmf_core.io.recognition import NOTHING, Text, TextFormat, is_number, recognise
from nmf_core.io.tables import import_pandas, numbers

_log = logging.getLogger(__name__)

_THOUSANDS = re.compile(r"[+-]?\d{1,3}([ ,.'’\u00a0\u202f]\d{3})+([.,]\d*)?")
_HEADS_LABELS = re.compile(r"(^|[^a-z])(ids?|index|time|date|year|wavelength|wavenumber|frequency)([^a-z]|$)")
_PASSED_OVER = "comment='#' passes over lines that begin with #"
# The argument `labels` that says which there are: of columns, of rows.
_LABELS = {(False, False): "none", (True, False): "columns", (False, True): "rows", (True, True): "both"}


def read_text(path: Path, _: str, labels: str, form: TextFormat) -> LabelledMatrix:
    """A matrix with its labels as they stand in text: 007 stays 007, NA is a label like any other.

    Which labels there are does not depend on numbers further down, so that one row is read like thousands.
    """
    text = recognise(path, form)
    first, *below = text.sample
    # The column of row labels may have a heading of its own, an empty one, or none at all.
    headless = bool(below) and len(first) == len(below[0]) - 1 and any(row[-1] for row in below)
    has_header = labels in ("both", "columns") or (labels == "auto" and (headless or _is_header(first, text.decimal)))
    skipped = text.head() if has_header else 0
    if has_header and not below:
        raise ValueError("it has labels of columns, but no rows")
    unnamed = has_header and (first[0] == "" or headless)
    has_names = labels in ("both", "rows") or (labels == "auto" and (unnamed or _is_name(text, has_header)))
    frame = read_cells(
        text, skipped, dtype={0: str} if has_names else None,
        na_values={j: NOTHING for j in range(has_names, len(below[0] if has_header else first))},
    )  # fmt: skip
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
        right = _LABELS[has_header, True]
        return way_out(text, cell) or (f"; if it is a label, labels={right!r} says so" if j == 0 and not rows else "")

    table = LabelledMatrix(numbers(frame, rows, columns, hint), rows, columns)
    for i, label in enumerate(rows or ()):
        if label.startswith("#") and np.isnan(table.X[i]).all():
            raise ValueError(f"row {i} is {label!r} and nothing else; {_PASSED_OVER}")
    told = f"{table.X.shape[0]} rows x {width} columns", text.description(), _taken(has_header, has_names)
    doubts = _doubts(table, first, text.decimal) if labels == "auto" and not unnamed else ""
    _log.log(
        logging.WARNING if doubts else logging.INFO, "%s: %s", source_name(path), "; ".join(filter(None, (*told, doubts)))
    )
    return table


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


def _is_header(first: Any, decimal: str) -> bool:
    """Whether the first line has labels of columns: something else than numbers, of which some may be missing."""
    return not all(is_number(cell, decimal) or (j and cell in NOTHING) for j, cell in enumerate(first))


def _is_name(text: Text, has_header: bool) -> bool:
    """Whether the first column begins with no number."""
    known = (row[0] for row in text.sample[has_header:] if row[0] not in NOTHING)
    return not is_number(next(known, "0"), text.decimal)


def way_out(text: Text, cell: str) -> str:
    """What to do about a cell that is no number, if that can be guessed."""
    if cell.startswith("#"):
        return f"; {_PASSED_OVER}"
    if text.decimal == "." and "," in cell and is_number(cell, ","):
        both = f" and separator={text.separator!r}" if text.separator == "," else ""
        return f"; decimal=','{both} reads its comma as a decimal one"
    if _THOUSANDS.fullmatch(cell):
        return "; write numbers without separators of thousands"
    return ""


def _taken(header: bool, names: bool) -> str:
    """What was taken for labels, in words."""
    of_columns = "first line taken for labels of columns" if header else "no labels of columns"
    return f"{of_columns}, {'first column taken for labels of rows' if names else 'no labels of rows'}"


def _doubts(table: LabelledMatrix, first: Sequence[str], decimal: str) -> str:
    """What looks as if labels had been taken for data or data for labels, and how to say what it is."""
    X, rows, columns = table
    taken = (columns is not None, rows is not None)
    if columns and rows and all(is_number(cell, decimal) for cell in columns):
        header = np.array([float(cell.replace(decimal, ".")) for cell in columns])
        if len(header) < 3 or _is_monotone(header):
            return ""
        return f"the first line ({', '.join(first[:3])}, ...) may be data: labels='rows' reads it as data, labels='both' as labels"
    line = not columns and any(_looks_like_labels(X[0, j:], X[1:, j:]) for j in (0, 1))
    column = not rows and any(_looks_like_labels(X[i:, 0], X[i:, 1:].T, columns[0] if columns else "") for i in (0, 1))
    heading = f"{columns[0]}: " if columns else ""
    suspects = [f"the first line ({_beginning(X[0])})"] * line + [f"the first column ({heading}{_beginning(X[:, 0])})"] * column
    right = _LABELS[taken[0] or line, taken[1] or column]
    given = _LABELS[taken]
    if not suspects:
        return ""
    return f"{' and '.join(suspects)} may be labels: labels={right!r} reads them as labels, labels={given!r} as data"


def _beginning(values: np.ndarray) -> str:
    return ", ".join(f"{value:g}" for value in values[:3]) + ", ..." * (len(values) > 3)


def _looks_like_labels(values: np.ndarray, others: np.ndarray, heading: str = "") -> bool:
    """Whether a line or column of numbers is rather ids, times or wavelengths than like the others, which are data."""
    if len(values) < 3 or len(others) == 0 or not np.isfinite(values).all() or len(np.unique(values)) < len(values):
        return False
    if _HEADS_LABELS.search(re.sub(r"(?<=[a-z])(?=[A-Z])", "_", heading).lower()):
        return True
    low, high = np.fmin.reduce(others, None), np.fmax.reduce(others, None)
    steps = np.diff(values)
    if (steps > 0).all() or (steps < 0).all():
        even = np.allclose(steps, steps[0], rtol=0.01)
        apart = values.min() > high or values.max() < low
        alike = np.mean([_is_monotone(other) for other in others[:20]])
        return bool(values.min() > 10 * high or ((even or apart or len(values) > 5) and alike < 0.5))
    return bool(len(values) > 4 and (values == np.rint(values)).all() and values.min() > 10 * high)


def _is_monotone(values: np.ndarray) -> bool:
    steps = np.diff(values)
    return bool((steps > 0).all() or (steps < 0).all())
