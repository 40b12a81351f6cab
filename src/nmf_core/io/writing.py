"""Factors into files."""

import csv
import os
from pathlib import Path

import numpy as np

from nmf_core.files import written_whole
from nmf_core.validation import Labels

WRITABLE = (".npy", ".csv", ".tsv")


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
