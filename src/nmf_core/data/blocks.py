"""X in blocks of its rows, which are read ahead while others are computed with."""

import queue
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from nmf_core.validation import (
    ArrayOrSparse,
    Labels,
    Scan,
    check_all_read,
    check_block_dtype,
    check_block_shape,
    check_blocks,
    check_resident,
    check_row_block,
    is_sparse,
)

BLOCK_BYTES = 1 << 25  # of a block that we choose: three of them are there at a time
_LANES = 4096  # with so many rows, kernels give each thread rows of its own, and little time goes to adding them up
_TILE = 64  # rows of a block are a multiple of so many where we choose it, which kernels like


class RowBlocks:
    """X as blocks of its rows, one after the other, which can be gone through any number of times.

    Every pass of a fit goes through them once. While one is computed with, the next waits, and a thread in the
    background reads the one after: no more than three are there at a time.

    Parameters
    ----------
    blocks : callable or iterable
        Called without arguments, returns a new iterator over the blocks, from the first row to the last: arrays or
        sparse arrays or matrices of shape (any number of rows, n_features). Or something that can be iterated over
        again and again, such as a list. A block is not used any more when the third one after it is asked for.
    shape : tuple of int
        (n_samples, n_features).
    dtype : dtype
        float32 or float64. Blocks of integers and of narrower floats are converted.
    transposed : bool
        Whether they are blocks of columns of X instead, as rows of X.T: arrays of shape (any number of columns,
        n_samples).
    row_labels, column_labels : tuple of str, optional
        Labels of samples and features.
    wrap : callable, optional
        What makes of an array W what is returned.
    array : ndarray, optional
        The same, for what must be visited in another order, such as by rows where these are blocks of columns.

    Raises
    ------
    TypeError, ValueError
        It can be read only once, is empty, or does not say what it must; while it is read, if a block has a wrong
        width or dtype or an entry that is negative, NaN or infinite: the message names the block.

    Examples
    --------
    >>> import numpy as np, nmf_core
    >>> from nmf_core.data import RowBlocks
    >>> def blocks():
    ...     for seed in range(4):
    ...         yield np.random.default_rng(seed).random((100, 20))
    >>> nmf_core.factorize(RowBlocks(blocks, (400, 20)), 3, random_state=0).W.shape
    (400, 3)
    """

    def __init__(
        self,
        blocks: Any,
        shape: tuple[int, int],
        dtype: Any = np.float64,
        *,
        transposed: bool = False,
        row_labels: Labels = None,
        column_labels: Labels = None,
        wrap: Callable[[np.ndarray], Any] = lambda W: W,
        array: np.ndarray | None = None,
    ) -> None:
        self.blocks = check_blocks(blocks)
        self.shape = check_block_shape(shape)
        self.dtype = check_block_dtype(dtype)
        self.transposed = transposed
        self.row_labels = row_labels
        self.column_labels = column_labels
        self.wrap = wrap
        self.array = array
        self.passes = 0  # that have come to their end: what was seen there needs no further look
        self._sorted = True

    def astype(self, dtype: Any, copy: bool = False) -> "RowBlocks":
        """The same blocks in another dtype."""
        return self._changed(lambda block: _narrowed(block, np.dtype(dtype)), dtype=dtype)

    def take_columns(self, columns: Any) -> "RowBlocks":
        """The same rows with these columns, given by their numbers, in this order; without labels of columns."""
        check_resident(not self.transposed, "Columns in another order, of data that are stored by columns,")
        columns = np.asarray(columns)
        return self._changed(
            lambda block: _indexable(block)[:, columns], shape=(self.shape[0], len(columns)), column_labels=None
        )

    def _changed(self, change: Callable[[Any], Any], **others: Any) -> "RowBlocks":
        """Blocks of which each has been changed."""
        names = ("shape", "dtype", "transposed", "row_labels", "column_labels", "wrap")
        return RowBlocks(lambda: map(change, self.blocks()), **{name: getattr(self, name) for name in names} | others)

    def read(self) -> np.ndarray:
        """All of it in one array, of blocks that are arrays; not looked at."""
        array = np.empty(self.shape, self.dtype)
        first = 0
        for block in self.blocks():
            array[first : first + len(block)] = block
            first += len(block)
        return array

    def __iter__(self) -> Iterator[ArrayOrSparse]:
        """The blocks as arrays or CSR, checked and read ahead."""
        return (block for block, _ in read_ahead(lambda: self._checked(self.passes == 0)))

    def scanned(self) -> Iterator[tuple[ArrayOrSparse, Scan | None]]:
        """The same, with what is known of their entries, which are looked at whatever has been seen before."""
        return read_ahead(lambda: self._checked(True))

    def _checked(self, values: bool) -> Iterator[tuple[ArrayOrSparse, Scan | None]]:
        shape = self.shape[::-1] if self.transposed else self.shape
        what = "column" if self.transposed else "row"
        first = 0
        for i, block in enumerate(self.blocks()):
            checked = check_row_block(block, i, first, shape, self.dtype, values=values, what=what)
            rows = checked.values
            first += rows.shape[0]
            if is_sparse(rows):
                if self.passes and self._sorted:
                    rows.has_canonical_format = True  # to find out takes about as long as a pass
                self._sorted = self._sorted and bool(rows.has_canonical_format)
            if rows.shape[0]:
                yield rows, checked.scan
        check_all_read(first, shape[0], self.passes, what)
        self.passes += 1


def block_rows(n: int, row_bytes: int, multiple: int = _TILE, block_bytes: int | None = None) -> int:
    """How many rows, of n, a block should have: a multiple of `multiple`, such as the rows of a chunk in a file.

    If they must not take more than `block_bytes`, they may be fewer than `multiple`, but they are at least one.
    """
    wanted = (block_bytes or BLOCK_BYTES) // max(1, row_bytes)
    if block_bytes is None:
        wanted = max(wanted, min(_LANES, 4 * BLOCK_BYTES // max(1, row_bytes)), multiple, _TILE)
    rows = next((wanted // size * size for size in (multiple, _TILE) if wanted >= size), wanted)
    return max(1, min(n, rows))


def _indexable(block: Any) -> Any:
    """The block as an array or CSR."""
    return block.tocsr() if is_sparse(block) else np.asarray(block)


def _narrowed(block: Any, dtype: np.dtype) -> Any:
    """The block, floats that are wider than the dtype converted to it; what overflows is found as an infinity."""
    block = _indexable(block)
    if block.dtype.kind != "f" or block.dtype.itemsize <= dtype.itemsize:
        return block
    with np.errstate(over="ignore"):
        return block.astype(dtype)


def read_ahead(make: Callable[[], Iterator[Any]]) -> Iterator[Any]:
    """What an iterator yields, asked for in a thread of its own, two things ahead."""
    ready: queue.Queue[tuple[bool, Any]] = queue.Queue(maxsize=1)
    over = threading.Event()

    def put(last: bool, thing: Any) -> bool:
        while not over.is_set():
            try:
                ready.put((last, thing), timeout=0.1)
                return True
            except queue.Full:
                continue
        return False

    def read() -> None:
        try:
            for thing in make():
                if not put(False, thing):
                    return
        except BaseException as error:
            put(True, error)
        else:
            put(True, None)

    reader = threading.Thread(target=read, name="nmf_core reader", daemon=True)
    reader.start()
    try:
        while True:
            last, thing = ready.get()
            if not last:
                yield thing
                del thing
            elif thing is None:
                return
            else:
                raise thing
    finally:
        over.set()
        reader.join()
