"""Rows in a plain file, block by block."""

import ctypes
import errno
import mmap
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from nmf_core.engine import aligned_zeros
from nmf_core.validation import check_bytes_read

# Of madvise on Linux: map pages now, whatever has to be read for it; map them no longer.
_POPULATE, _DROP = 22, 4


def position_in_file(A: Any) -> int | None:
    """Where in its file the first byte of a memory map, or of a part of one, is."""
    if A._mmap is None:
        return None
    mapped = np.frombuffer(A._mmap, dtype=np.uint8).ctypes.data
    # the map begins where a page does, `offset` is that of its first entry
    return int(A.offset - A.offset % mmap.ALLOCATIONGRANULARITY + A.ctypes.data - mapped)


def file_blocks(path: Path, position: int, shape: tuple[int, int], dtype: np.dtype, step: int) -> Iterator[np.ndarray]:
    """Blocks of `step` rows of a matrix (n, m) that lies in a file from a position on.

    A block may be used until the third one after it is asked for. Where the system can do it, a block is a map of the
    file, whose pages are there before it is handed out and are given back afterwards, so that no more than three blocks
    are in memory. Elsewhere it is read into one of three buffers, a copy.

    Raises
    ------
    OSError
        The file is not there any more, or has been cut short.
    """
    n, m = shape
    end = position + n * m * dtype.itemsize
    with path.open("rb", buffering=0) as file:
        _check_size(file, path, position, end, shape)
        start = position - position % mmap.ALLOCATIONGRANULARITY
        pages = mmap.mmap(file.fileno(), end - start, access=mmap.ACCESS_READ, offset=start)
        everything = np.frombuffer(pages, dtype=np.uint8)
        if _advise(everything[:1], _POPULATE) not in (0, errno.EFAULT):
            del everything, pages
            yield from _read(file, path, position, shape, dtype, step)
            return
        rows = everything[position - start :].view(dtype).reshape(n, m)
        bounds = [*range(0, n, step), n]
        for i, first in enumerate(bounds[:-1]):
            if i >= 3:
                _advise(_bytes_of(rows[bounds[i - 3] : bounds[i - 2]]), _DROP)
            block = rows[first : bounds[i + 1]]
            _check_size(file, path, position, end, shape)
            # a page beyond the end of the file would end the process if it were touched
            check_bytes_read(_advise(_bytes_of(block), _POPULATE) == 0, 1, path, first)
            yield block


def _read(
    file: Any, path: Path, position: int, shape: tuple[int, int], dtype: np.dtype, step: int
) -> Iterator[np.ndarray]:
    n, m = shape
    rooms = [aligned_zeros((min(step, n), m), dtype) for _ in range(min(3, -(-n // step)))]
    file.seek(position)
    for i, first in enumerate(range(0, n, step)):
        block = rooms[i % 3][: n - first]
        wanted = _bytes_of(block).data
        done = 0
        while done < len(wanted) and (read := file.readinto(wanted[done:])):
            done += read
        check_bytes_read(done, len(wanted), path, first + done // (m * dtype.itemsize))
        yield block


def _check_size(file: Any, path: Path, position: int, end: int, shape: tuple[int, int]) -> None:
    size = os.fstat(file.fileno()).st_size
    check_bytes_read(size, end, path, max(0, size - position) * shape[0] // (end - position))


def _bytes_of(rows: np.ndarray) -> np.ndarray:
    return rows.reshape(-1).view(np.uint8)


def _advise(bytes_: np.ndarray, advice: int) -> int:
    """Tell the system about pages in memory; zero, or what is wrong. Python's own holds the GIL meanwhile."""
    if sys.platform != "linux":
        return errno.EINVAL
    first = bytes_.ctypes.data
    start = first - first % mmap.PAGESIZE
    if _madvise(start, first + bytes_.size - start, advice) == 0:
        return 0
    return ctypes.get_errno()


if sys.platform == "linux":
    _madvise = ctypes.CDLL(None, use_errno=True).madvise
    _madvise.argtypes = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int
