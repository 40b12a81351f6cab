"""What all readers share: the result, and how a file and its faults are named."""

import csv
import errno
import os
import zipfile
import zlib
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from nmf_core.validation import Labels

# What readers raise on a file that isn't what its name says, or not all of it.
UNREADABLE = (
    *(ValueError, TypeError, LookupError, EOFError, OverflowError),
    *(csv.Error, zlib.error, zipfile.BadZipFile),
)

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


def locate(file: str | os.PathLike, endings: Collection[str], what: str) -> tuple[Path, str, str]:
    """Path, name of an array in it, and ending, which is one of those given, of a file that is there."""
    path, key, ending = split(file, endings)
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if ending not in endings:
        raise ValueError(f"{path}: the name of {what} must end in one of {', '.join(endings)}")
    if key and ending != ".npz":
        raise ValueError(f"{path}: ::{key} would choose an array of an .npz file, which this is not")
    path.stat()  # readers differ in what they raise if the file is missing
    return path, key, ending


def split(file: str | os.PathLike, endings: Collection[str]) -> tuple[Path, str, str]:
    """Path, name of an array in it ("" if none is given), and ending of the path ("" if it is none of those given)."""
    name, key = os.fspath(file), ""
    if "::" in name and not Path(name).exists():
        name, _, key = name.rpartition("::")
    found = [ending for ending in endings if name.lower().endswith(ending)]
    return Path(name), key, found[0] if found else ""


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Errors of readers become one line that begins with the name of the file."""
    try:
        yield
    except UNREADABLE as error:
        raise ValueError(f"{path}: {' '.join(str(error).split()) or type(error).__name__}") from error


def check_labels(labels: Labels, what: str, size: int) -> None:
    """Whether there is a label for each, and every one of its own."""
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
