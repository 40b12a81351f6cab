"""Matrices from files, and factors into files. A new format is a function in this folder and a line in `READERS`."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from nmf_core.io.arrays import read_mtx, read_npy, read_npz
from nmf_core.io.base import LABELS, LabelledMatrix, check_labels, locate, naming, split
from nmf_core.io.tables import read_parquet, read_text
from nmf_core.io.triplets import read_triplets
from nmf_core.io.writing import WRITABLE, write_matrix

__all__ = [
    "LABELS",
    "READERS",
    "WRITABLE",
    "LabelledMatrix",
    "read_matrix",
    "read_triplets",
    "stem",
    "write_matrix",
]

READERS: dict[str, Callable[[Path, Any], LabelledMatrix]] = {
    ".npy": read_npy,
    ".npz": read_npz,
    ".mtx": read_mtx,
    ".mtx.gz": read_mtx,
    ".csv": read_text,
    ".csv.gz": read_text,
    ".tsv": read_text,
    ".tsv.gz": read_text,
    ".parquet": read_parquet,
}


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
    path, key, ending = locate(file, READERS, "a matrix")
    with naming(path):
        table = READERS[ending](path, key if ending == ".npz" else labels)
        for what, found, size in zip(("row", "column"), table[1:], table.X.shape, strict=False):
            check_labels(found, what, size)
    return table


def stem(file: str | os.PathLike) -> str:
    """The name of a file for `read_matrix`, without folder and ending."""
    path, _, ending = split(file, READERS)
    return path.name[: len(path.name) - len(ending)]
