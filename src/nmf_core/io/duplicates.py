"""Labels of rows and columns: one for each, and what becomes of those that are there more than once."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp

from nmf_core.io.base import source_name
from nmf_core.labels import LabelledMatrix
from nmf_core.validation import Labels

_log = logging.getLogger(__name__)

# What becomes of several rows, columns or entries of the same labels: one, or none.
ONE_OF_SEVERAL = ("sum", "mean", "first", "last")
DUPLICATES = ("error", *ONE_OF_SEVERAL)


def check_labels(labels: Labels, what: str, size: int) -> None:
    """Whether there is a label for each that is not empty."""
    if labels is None:
        return
    if len(labels) != size:
        raise ValueError(f"{len(labels)} {what} labels for {size} {what}s")
    if "" in labels:
        raise ValueError(f"{what} {labels.index('')} (counted from 0) has an empty label")


def merged(table: LabelledMatrix, duplicates: str, path: Path) -> LabelledMatrix:
    """The matrix with one row and one column for each label, in the order in which labels first come.

    Missing entries of an array are passed over by sums and means; what a sparse matrix does not store is zero. With
    "keep" it remains as it is, with a warning.
    """
    X, found = table.X, [*table[1:]]
    for axis, (what, size) in enumerate(zip(("row", "column"), X.shape, strict=False)):
        labels = found[axis]
        check_labels(labels, what, size)
        if labels is None or len(set(labels)) == size:
            continue
        if duplicates in ONE_OF_SEVERAL:
            found[axis], rows = _merged_rows(labels, X if axis == 0 else X.T, duplicates)
            X = rows if axis == 0 else rows.T
            continue
        first: dict[str, int] = {}
        i, label = next((i, label) for i, label in enumerate(labels) if first.setdefault(label, i) != i)
        said = (
            f"{what} label {label!r} occurs twice, at {what}s {first[label]} and {i} (counted from 0)"
            f"{', and is kept so' if duplicates == 'keep' else ''}; duplicates='sum' makes one {what} of both, as "
            f"'mean', 'first' and 'last' do"
        )
        if duplicates == "error":
            raise ValueError(said)
        _log.warning("%s: %s", source_name(path), said)
    return LabelledMatrix(X, *found)


def _merged_rows(labels: tuple[str, ...], X: Any, duplicates: str) -> tuple[tuple[str, ...], Any]:
    """Labels, each once, and their rows."""
    number = {label: i for i, label in enumerate(dict.fromkeys(labels))}
    groups = np.array([number[label] for label in labels])
    if duplicates in ("first", "last"):
        place = dict(zip(labels, range(len(labels)), strict=True))
        if duplicates == "first":
            place.update(zip(reversed(labels), reversed(range(len(labels))), strict=True))
        return tuple(number), (X.tocsr() if sp.issparse(X) else X)[[place[label] for label in number]]
    dtype = X.dtype if X.dtype.kind == "f" else np.float64
    shares = np.ones(len(labels), dtype=dtype)
    if sp.issparse(X) and duplicates == "mean":
        shares /= np.bincount(groups)[groups]
    sums = sp.csr_array((shares, (groups, np.arange(len(labels)))), shape=(len(number), len(labels)))
    if sp.issparse(X):
        return tuple(number), sums @ X
    known = ~np.isnan(X)
    counts = sums @ known
    with np.errstate(invalid="ignore"):  # where nothing is known, that remains so
        total = (sums @ np.where(known, X, 0)) * (counts / counts)
        return tuple(number), total / counts if duplicates == "mean" else total
