"""Whether a matrix is read whole or block by block."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from nmf_core.data import RowBlocks
from nmf_core.data.blocks import BLOCK_BYTES
from nmf_core.engine import factor_array
from nmf_core.io.base import naming
from nmf_core.labels import LabelledMatrix
from nmf_core.memory import physical_memory

# What Python, NumPy, SciPy and this package take, and what kernels need besides.
BASE = 100 * 10**6
# What pyarrow, pandas or anndata take besides.
LARGE_LIBRARY = 100 * 10**6
# How many times the factors are there during a fit, and in its start, where some have a few columns more.
COPIES, START_COPIES, START_COLUMNS = 4, 3, 10
# Of a block: one is computed with, one waits, one is read, and the dtype of that one may change.
BLOCKS = 4
# Smaller blocks would cost more time than reading them takes.
SMALLEST_BLOCK = 1 << 20
# Of the physical memory, that may be filled with X if nobody says how much.
SHARE = 0.25
# What a label takes: text, its entry in a table, and once more while it is written.
LABEL = 200

UNITS = {
    "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12,
    "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40,
}  # fmt: skip


class Budget(NamedTuple):
    """How much memory there is for X and the work on it.

    Attributes
    ----------
    n_components : int
        Of the fit.
    limit : int or None
        Bytes that X and the work on it may take. By default X may take a quarter of the physical memory.
    needs_whole : str
        What needs all of X in memory, such as "--report"; "" if nothing does.
    dtype : str or None
        In which dtype X is wanted; by default in that of the file.
    """

    n_components: int = 0
    limit: int | None = None
    needs_whole: str = ""
    dtype: str | None = None


@dataclass(frozen=True)
class Stored:
    """A matrix in a file, which can be read whole or in blocks.

    Attributes
    ----------
    shape : tuple of int
        (n_samples, n_features).
    dtype : dtype
        float32 or float64, in which it is computed with.
    n_stored : int
        Entries.
    whole_bytes : int
        Memory that it takes to read it whole.
    row_bytes : int
        Of what it can be read by: rows, or columns if it is stored by columns.
    whole : callable
        Returns the `LabelledMatrix` in memory.
    blocks : callable
        Takes the bytes of a block, or None, and returns the `LabelledMatrix` with `RowBlocks`.
    extra : int
        Memory that reading takes besides: libraries, chunks, labels.
    """

    shape: tuple[int, int]
    dtype: np.dtype
    n_stored: int
    whole_bytes: int
    row_bytes: int
    whole: Callable[[], LabelledMatrix]
    blocks: Callable[[int | None], LabelledMatrix]
    extra: int = 0


def place(stored: Stored, path: Path, budget: Budget | None) -> LabelledMatrix:
    """What is stored, read whole if that fits into the budget, otherwise in blocks; without a budget whole.

    Raises
    ------
    ValueError
        It does not fit, and the message says how much it would take.
    """
    if budget is None:
        return stored.whole()
    dtype = np.dtype(budget.dtype or stored.dtype)
    factors = _work(stored.shape, dtype, budget.n_components)
    fixed = BASE + factors + stored.extra
    whole = fixed + stored.whole_bytes + (stored.n_stored * dtype.itemsize if dtype != stored.dtype else 0)
    memory = physical_memory()
    limit = memory if budget.limit is None else budget.limit
    if budget.needs_whole:
        if whole > limit:
            allowed = "there is" if budget.limit is None else "the memory limit"
            raise ValueError(
                f"{budget.needs_whole} needs X in memory; with the work on it that takes about {in_units(whole)}, more "
                f"than {allowed}, {in_units(limit)}"
            )
        return stored.whole()
    if budget.limit is None:
        return stored.whole() if stored.whole_bytes <= SHARE * memory else _named(path, stored.blocks(None))
    if whole <= limit:
        return stored.whole()
    least = max(SMALLEST_BLOCK, stored.row_bytes)
    room = (limit - fixed) // BLOCKS
    if room < least:
        n, m = stored.shape
        raise ValueError(
            f"the work on {n} x {m} entries with {budget.n_components} components takes about "
            f"{in_units(fixed + BLOCKS * least)} ({in_units(factors)} of them for factors) even if X comes in "
            f"blocks, more than the memory limit, {in_units(limit)}"
        )
    return _named(path, stored.blocks(min(room, BLOCK_BYTES)))


def check_fits(table: LabelledMatrix, budget: Budget | None) -> None:
    """Whether a matrix that had to be read whole is within the limit, as far as that can be told."""
    X = table.X
    if budget is None or budget.limit is None or X.ndim != 2:
        return
    parts = (X.data, X.indices, X.indptr) if hasattr(X, "indptr") else (X,)
    dtype = np.dtype(np.float32 if np.float32 in (budget.dtype, X.dtype) else np.float64)
    whole = BASE + _work(X.shape, dtype, budget.n_components) + sum(part.nbytes for part in parts)
    if whole > budget.limit:
        raise ValueError(
            f"X and the work on it take about {in_units(whole)}, more than the memory limit, {in_units(budget.limit)}; "
            f"of this format X can't come in blocks"
        )


def _work(shape: tuple[int, int], dtype: np.dtype, n_components: int) -> int:
    """Memory for factors, and for what is as large as one, during a fit and in its start."""
    k = max(1, n_components)
    rows = [
        copies * factor_array(1, columns, dtype).nbytes
        for copies, columns in ((COPIES, k), (START_COPIES, k + START_COLUMNS))
    ]
    return sum(shape) * max(rows)


def _named(path: Path, table: LabelledMatrix) -> LabelledMatrix:
    """The same blocks, but what goes wrong when they are read is named by the file."""
    source: RowBlocks = table.X
    source.blocks = partial(_reading, path, source.blocks)
    return table


def _reading(path: Path, blocks: Callable[[], Iterator[Any]]) -> Iterator[Any]:
    with naming(path):
        yield from blocks()


def in_units(n_bytes: int) -> str:
    """A number of bytes as people read it, such as 1.23 GB."""
    unit = next((unit for unit in ("TB", "GB", "MB", "KB") if n_bytes >= UNITS[unit]), "B")
    return f"{n_bytes / UNITS[unit]:.3g} {unit}"
