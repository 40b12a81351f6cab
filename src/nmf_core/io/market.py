"""Matrix Market, by way of SciPy."""

import gzip
from pathlib import Path
from typing import IO, Any, cast

import scipy.io
import scipy.sparse as sp


def read_market(path: Path) -> Any:
    """A matrix in Matrix Market, compressed or not: an array, or CSR."""
    with cast(IO[bytes], gzip.open(path) if path.suffix.lower() == ".gz" else path.open("rb")) as binary:
        X = scipy.io.mmread(_Lines(binary), spmatrix=False)
    return X.tocsr() if sp.issparse(X) else X


class _Lines:
    """Bytes of lines that all have an end, and no NUL: after half a number before either, SciPy 1.17 crashes."""

    def __init__(self, binary: IO[bytes]) -> None:
        self._binary, self._last = binary, b"\n"

    def read(self, size: int = -1) -> bytes:
        read = self._binary.read(size)
        if b"\0" in read:
            raise ValueError("it holds NUL, which no text does")
        if not read and self._last != b"\n":
            read = b"\n"
        self._last = read[-1:] or self._last
        return read
