"""Counts of genes in cells as 10x Genomics writes them: a folder with a matrix and names of its rows and columns."""

import csv
import logging
from collections import Counter
from pathlib import Path

import scipy.sparse as sp

from nmf_core.io.market import read_market
from nmf_core.io.recognition import Text
from nmf_core.labels import LabelledMatrix

_log = logging.getLogger(__name__)


def read_10x(folder: Path) -> LabelledMatrix:
    """Cells as rows, genes as columns: barcodes and names of genes, or their ids where a name is there more than once.

    The folder has matrix.mtx, barcodes.tsv, and features.tsv or, before version 3, genes.tsv; each may end in .gz.
    """
    matrix, barcodes, features = (
        _one_of(folder, *names) for names in (("matrix.mtx",), ("barcodes.tsv",), ("features.tsv", "genes.tsv"))
    )
    X = sp.csr_array(read_market(matrix)).T.tocsr()
    cells = [row[0] for row in _rows(barcodes)]
    genes = _rows(features)
    if X.shape != (len(cells), len(genes)):
        raise ValueError(
            f"{matrix.name} is {X.shape[1]} x {X.shape[0]}, but {features.name} has {len(genes)} genes and "
            f"{barcodes.name} {len(cells)} cells"
        )
    names = [row[1] if len(row) > 1 else row[0] for row in genes]
    times = Counter(names)
    columns = [name if times[name] == 1 else row[0] for name, row in zip(names, genes, strict=True)]
    _log.info("%s: %d cells taken for rows, %d genes for columns", folder, len(cells), len(genes))
    return LabelledMatrix(X, tuple(cells), tuple(columns))


def _one_of(folder: Path, *names: str) -> Path:
    """The first of these files that is there, compressed or not."""
    for name in names:
        for path in (folder / name, folder / f"{name}.gz"):
            if path.exists():
                return path
    raise ValueError(f"a folder without {' or '.join(names)} (or .gz)")


def _rows(path: Path) -> list[list[str]]:
    """Cells of a table that has nothing but text."""
    with Text(path, b"", "utf-8-sig", "").lines() as lines:
        return [row for row in csv.reader(lines, delimiter="\t", quoting=csv.QUOTE_NONE) if row]
