"""Arrays in the formats of NumPy, SciPy and Matrix Market."""

from pathlib import Path

import numpy as np
import scipy.io
import scipy.sparse as sp

from nmf_core.io.base import LabelledMatrix

_LABEL_ARRAYS = ("row_labels", "column_labels")


def read_npy(path: Path, _: str) -> LabelledMatrix:
    """One array, mapped into memory."""
    X = np.load(path, mmap_mode="r", allow_pickle=False)
    if not isinstance(X, np.ndarray):
        X.close()
        raise ValueError("not an .npy file; .npz is what its content looks like")
    return LabelledMatrix(X)


def read_npz(path: Path, key: str) -> LabelledMatrix:
    """A sparse matrix of SciPy, the only array, or the one that is called `key`; and labels beside it."""
    with path.open("rb") as binary:  # np.load would leave a damaged file open
        file = np.load(binary, allow_pickle=False)
        if not isinstance(file, np.lib.npyio.NpzFile):
            raise ValueError("not an .npz file; .npy is what its content looks like")
        labels = [tuple(map(str, file[name].astype(str))) if name in file else None for name in _LABEL_ARRAYS]
        if not key and {"format", "shape", "data"} <= set(file.files):
            binary.seek(0)
            return LabelledMatrix(sp.load_npz(binary), *labels)
        names = [name for name in file.files if name not in _LABEL_ARRAYS]
        if not key and len(names) != 1:
            raise ValueError(f"holds {len(names)} arrays ({', '.join(names)}); choose one as {path}::NAME")
        if key and key not in names:
            raise ValueError(f"holds no array {key!r}, only {', '.join(names)}")
        X = np.asarray(file[key or names[0]])
    # The labels are those of the only matrix; of several, nobody knows which they belong to.
    return LabelledMatrix(X, *labels) if len(names) == 1 else LabelledMatrix(X)


def read_mtx(path: Path, _: str) -> LabelledMatrix:
    """A matrix of Matrix Market."""
    X = scipy.io.mmread(path, spmatrix=False)
    return LabelledMatrix(X.tocsr() if sp.issparse(X) else X)
