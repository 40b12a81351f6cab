"""Matrices from files, and factors into files. A new format is a function in this folder and a line in `READERS`."""

import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import numpy as np

from nmf_core.io.arrays import read_mtx, read_npy, read_npz
from nmf_core.io.base import LABELS, STDIN, locate, naming, source_name, split
from nmf_core.io.chunks import read_h5ad, read_hdf5, read_zarr
from nmf_core.io.doubts import doubts
from nmf_core.io.duplicates import DUPLICATES, ONE_OF_SEVERAL, merged
from nmf_core.io.memory import UNITS, Budget, Stored, check_fits, place
from nmf_core.io.parquet import read_parquet
from nmf_core.io.recognition import RECOGNISED, TextFormat
from nmf_core.io.text import read_text
from nmf_core.io.triplets import from_triplets, read_triplets
from nmf_core.io.writing import WRITABLE, write_matrix
from nmf_core.labels import LabelledMatrix
from nmf_core.typing import Duplicates, LabelPlaces
from nmf_core.validation import check_choice

__all__ = [
    "DUPLICATES",
    "LABELS",
    "READERS",
    "STDIN",
    "UNITS",
    "WRITABLE",
    "Budget",
    "LabelledMatrix",
    "TextFormat",
    "from_triplets",
    "read_matrix",
    "read_triplets",
    "stem",
    "write_matrix",
]

_log = logging.getLogger(__name__)

READERS: dict[str, Callable[[Path, str, str, TextFormat], LabelledMatrix | Stored]] = {
    ".npy": read_npy,
    ".npz": read_npz,
    ".mtx": read_mtx,
    ".mtx.gz": read_mtx,
    ".csv": read_text,
    ".csv.gz": read_text,
    ".tsv": read_text,
    ".tsv.gz": read_text,
    ".parquet": read_parquet,
    ".h5": read_hdf5,
    ".hdf5": read_hdf5,
    ".h5ad": read_h5ad,
    ".zarr": read_zarr,
}

# Of which ``FILE::NAME`` chooses an array, and which may be folders: also one of another name that holds such files.
KEYED = (".npz", ".h5", ".hdf5", ".h5ad", ".zarr")
FOLDERS = {".parquet": "**/*.parquet", ".zarr": "zarr.json", ".mtx": "matrix.mtx*"}


def read_matrix(
    file: str | os.PathLike,
    labels: LabelPlaces = "auto",
    budget: Budget | None = None,
    *,
    text: TextFormat = RECOGNISED,
    transpose: bool = False,
    duplicates: Duplicates | Literal["keep"] = "error",
) -> LabelledMatrix:
    """Read a matrix; the end of the file's name says what it is.

    ===================== ================================================================================
    .npy                  one array, mapped into memory
    .npz                  a SciPy sparse matrix or arrays; of several, ``FILE.npz::NAME`` is read. Arrays
                          called row_labels and column_labels are its labels
    .mtx, .mtx.gz         Matrix Market; a folder with matrix.mtx, features.tsv or genes.tsv, and barcodes.tsv (or
                          .gz) as 10x Genomics writes it: cells become rows and genes columns, labelled by barcodes
                          and names of genes, or their ids where a name is there more than once
    .csv, .tsv            text (.csv.gz, .tsv.gz: compressed); ``-`` is text from standard input
    .parquet              a data frame: names of columns are labels, so are an index or a first column of text;
                          a folder is one with the rows of all its .parquet files
    .h5, .hdf5            a dataset of HDF5 with labels as in .npz; of several, ``FILE.h5::PATH`` is read
    .h5ad                 AnnData: X with the names of cells and genes, or ``FILE.h5ad::layers/NAME``
    .zarr                 a folder of zarr: an array, or one in a group as in .h5
    ===================== ================================================================================

    Parameters
    ----------
    file : str or path
        The file.
    labels : {"auto", "both", "rows", "columns", "none"}
        Which labels text has. "auto" takes the first line for labels of columns unless each of its cells is a
        number, and the first column for labels of rows if it starts with no number or has no heading. What was taken
        for what is logged, with a warning where numbers look like labels.
    budget : Budget, optional
        How much memory there is: .npy, .parquet, HDF5, AnnData and zarr that are larger come as `RowBlocks`. Without
        it everything is read whole.
    text : TextFormat, optional
        How text is written; by default that is recognised.
    transpose : bool
        Whether rows of the file become columns.
    duplicates : {"error", "keep", "sum", "mean", "first", "last"}
        What becomes of rows or columns of the same label; with "keep" nothing does.

    Returns
    -------
    LabelledMatrix

    Raises
    ------
    OSError
        The file can't be read.
    ValueError
        It doesn't hold a matrix, a label occurs twice, a cell of text is no number, or it does not fit into the
        budget; the message says where.
    ImportError
        It needs pandas or another library, which is not installed.
    """
    check_choice(labels, "labels", LABELS)
    check_choice(duplicates, "duplicates", ["keep", *DUPLICATES])
    path, key, ending = locate(file, READERS, "a matrix", KEYED, FOLDERS)
    with naming(path):
        if text != RECOGNISED and READERS[ending] is not read_text:
            raise ValueError("separator, decimal, encoding and comment say how text is written, which this is not")
        if labels != "auto" and READERS[ending] not in (read_text, read_parquet):
            raise ValueError("labels says what is read from a table as labels, but this is none")
        table = READERS[ending](path, key, labels, text)
        if isinstance(table, Stored):
            merges = duplicates in ONE_OF_SEVERAL
            needs_whole = "transpose=True" if transpose else f"duplicates={duplicates!r}" if merges else ""
            table = place(table, path, budget and budget._replace(needs_whole=budget.needs_whole or needs_whole))
        else:
            check_fits(table, budget)
        if READERS[ending] is not read_text:  # which says more
            _tell(path, table, READERS[ending] is read_parquet and labels == "auto")
        table = merged(table, duplicates, path)
    return table.transposed() if transpose else table


def _tell(path: Path, table: LabelledMatrix, doubtful: bool) -> None:
    """Say how large a matrix is and which labels it has, and what may have been taken wrongly if anything can be."""
    axes = ("columns", table.column_labels), ("rows", table.row_labels)
    said = ", ".join(f"{'no ' * (labels is None)}labels of {name}" for name, labels in axes)
    size = " x ".join(f"{n} {name}" for n, name in zip(table.X.shape, ("rows", "columns"), strict=False))
    doubt = doubts(table) if doubtful and isinstance(table.X, np.ndarray) else ""
    level = logging.WARNING if doubt else logging.INFO
    _log.log(level, "%s: %s", source_name(path), "; ".join(filter(None, [size, said, doubt])))


def stem(file: str | os.PathLike) -> str:
    """The name of a file for `read_matrix`, without folder and ending; "stdin" for standard input."""
    path, _, ending = split(file, READERS)
    if path == STDIN:
        return "stdin"
    name = path.name or path.resolve().name  # of the folder that is the current one
    return name[: len(name) - len(ending)]
