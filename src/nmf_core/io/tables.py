"""Data frames of pandas."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from nmf_core.io.base import library
from nmf_core.io.recognition import is_number
from nmf_core.validation import Labels


def import_pandas() -> Any:
    """The module pandas, or an ImportError that says how to get it."""
    return library("pandas", "tables", "cli")


def read_frame(path: Path) -> Any:
    """The data frame in a .parquet file."""
    library("pyarrow", ".parquet", "cli")
    return import_pandas().read_parquet(path, engine="pyarrow")


def numbers(
    frame: Any,
    rows: Labels,
    columns: Labels,
    hint: Callable[[int, int, str], str] = lambda i, j, cell: "",
    decimal: str = ".",
) -> np.ndarray:
    """The frame as an array of float32 if that is what it holds, else of float64; a missing cell is NaN.

    The error about a cell that is no number ends with the hint for this row, column and cell.
    """
    types = import_pandas().api.types
    for j, kind in enumerate(frame.dtypes):
        if types.is_numeric_dtype(kind):
            continue
        name, i = columns[j] if columns else j, first_word(frame.iloc[:, j], decimal)
        if i is not None:
            cell = frame.iat[i, j]
            raise ValueError(
                f"row {rows[i] if rows else i}, column {name}: {fault(cell, decimal)}{hint(i, j, str(cell))}"
            )
        if not (types.is_object_dtype(kind) or types.is_string_dtype(kind)):
            raise ValueError(f"column {name} holds {kind}, not numbers")
        # Of whole numbers that are too large to be integers.
        frame.isetitem(j, frame.iloc[:, j].astype(np.float64))
    single = all(kind == np.float32 for kind in frame.dtypes)
    return frame.to_numpy(dtype=np.float32 if single else np.float64, na_value=np.nan)


def fault(cell: Any, decimal: str = ".") -> str:
    """What is wrong with a cell that pandas takes for no number: to version 2 of pandas 1e999 is none."""
    return f"{cell!r} is not {'finite' if is_number(str(cell), decimal) else 'a number'}"


def first_word(cells: Any, decimal: str = ".") -> int | None:
    """Where the first cell is that is neither missing nor a number."""
    pandas = import_pandas()
    read = cells
    if decimal != ".":
        read = cells.str.replace(".", "_", regex=False).str.replace(decimal, ".", regex=False)
    wrong = (pandas.to_numeric(read, errors="coerce").isna() & cells.notna()).to_numpy()
    return int(wrong.argmax()) if wrong.any() else None
