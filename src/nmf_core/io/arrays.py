"""Arrays in the formats of NumPy, SciPy and Matrix Market."""

import tokenize
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp

from nmf_core.data import row_blocks
from nmf_core.io.base import LABEL_ARRAYS, choose
from nmf_core.io.market import read_market
from nmf_core.io.memory import Stored
from nmf_core.io.tenx import read_10x
from nmf_core.labels import LabelledMatrix


def read_npy(path: Path, *_: Any) -> LabelledMatrix | Stored:
    """One array, mapped into memory."""
    try:
        X = np.load(path, mmap_mode="r", allow_pickle=False)
    except (SyntaxError, tokenize.TokenError) as error:  # of its header, which is Python
        raise ValueError(f"not a valid .npy file: {error}") from None
    if not isinstance(X, np.ndarray):
        X.close()
        raise ValueError("not an .npy file; .npz is what its content looks like")
    # A memory map of NumPy's own class would come in blocks.
    whole = LabelledMatrix(np.asarray(X))
    source = row_blocks(X, 1)
    if source is None:
        return whole
    width = X.shape[0] if source.transposed else X.shape[1]
    converted = 0 if X.dtype == source.dtype else source.dtype.itemsize
    return Stored(
        shape=X.shape, dtype=source.dtype, n_stored=X.size, whole_bytes=X.size * (X.itemsize + converted),
        row_bytes=width * (X.itemsize + converted), whole=lambda: whole,
        blocks=lambda block_bytes: LabelledMatrix(row_blocks(X, block_bytes)),
    )  # fmt: skip


def read_npz(path: Path, key: str, *_: Any) -> LabelledMatrix:
    """A sparse matrix of SciPy, the only array, or the one that is called `key`; and labels beside it."""
    with path.open("rb") as binary:  # np.load would leave a damaged file open
        file = np.load(binary, allow_pickle=False)
        if not isinstance(file, np.lib.npyio.NpzFile):
            raise ValueError("not an .npz file; .npy is what its content looks like")
        labels = [tuple(map(str, file[name].astype(str))) if name in file else None for name in LABEL_ARRAYS]
        if not key and {"format", "shape", "data"} <= set(file.files):
            binary.seek(0)
            return LabelledMatrix(sp.load_npz(binary), *labels)
        names = [name for name in file.files if name not in LABEL_ARRAYS]
        X = np.asarray(file[choose(path, "array", names, names, key)])
    # The labels are those of the only matrix; of several, nobody knows which they belong to.
    return LabelledMatrix(X, *labels) if len(names) == 1 else LabelledMatrix(X)


def read_mtx(path: Path, *_: Any) -> LabelledMatrix:
    """A matrix of Matrix Market, or one in a folder with names of genes and barcodes of cells."""
    if path.is_dir():
        return read_10x(path)
    return LabelledMatrix(read_market(path))
