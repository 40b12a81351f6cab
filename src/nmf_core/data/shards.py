"""What workers of a cluster hold of X and of the factor of its rows, and what they do with it.

A *shard* is some blocks of rows on one worker, with everything of their size. Functions here run on workers.
"""

import math
import threading
from collections.abc import Callable
from typing import Any

import numpy as np

from nmf_core.data.dense import Dense
from nmf_core.data.sparse import Sparse
from nmf_core.engine import Engine, Report, Update, factor_array
from nmf_core.losses import Loss
from nmf_core.validation import check_row_block, is_sparse

# Of rows that are found anew: until their steps have fallen to this share of the first.
_FOUND, _MOST_SWEEPS = 1e-4, 1000

_shards: dict[str, "Shard"] = {}  # of this process, by name


class Shard:
    """Blocks of rows, and arrays of their size by name.

    Attributes
    ----------
    parts : list of (slice, FullMatrix)
        Rows within the shard and their container.
    n : int
        Rows of all.
    arrays : dict of str to ndarray
        Factor arrays (n, ld) and numbers (n,) of every row.
    """

    def __init__(self, blocks: list[Any], dtype: np.dtype) -> None:
        self.dtype = dtype
        self.parts: list[tuple[slice, Dense | Sparse]] = []
        self.n = 0
        for block in blocks:
            rows = slice(self.n, self.n + block.shape[0])
            self.parts.append((rows, Sparse(block) if is_sparse(block) else Dense(block)))
            self.n = rows.stop
        self.arrays: dict[str, np.ndarray] = {}
        self.lock = threading.Lock()
        self.done: tuple[int, Any] = -1, None

    def once(self, number: int, dropped: list[str], function: Callable[[], Any]) -> Any:
        """What a function returns, called once for this number, however often it is asked for.

        A task whose result was on its way when a worker was lost may be sent again, and it changes arrays in place.
        Arrays that nobody needs any more are dropped before.
        """
        with self.lock:
            if self.done[0] != number:
                for array in dropped:
                    self.arrays.pop(array, None)
                self.done = number, function()
            return self.done[1]

    def work_with(self, engine: Engine) -> None:
        """Let all parts compute with this engine."""
        for _, part in self.parts:
            part.engine = engine

    def empty_factor(self, name: str, k: int) -> None:
        """Make zeros for a factor of k components."""
        self.arrays[name] = factor_array(self.n, k, self.dtype)

    def resolve(self, update: Update) -> Update:
        """An update with arrays where it has names of arrays."""
        fields = ("start", "previous", "floors")
        names: dict[str, Any] = {
            field: self.arrays[name] for field in fields if isinstance(name := getattr(update, field), str)
        }
        return update._replace(**names)

    def go_through(
        self, verb: str, F: str, G: np.ndarray, update: Update, F_new: str | None, height: int
    ) -> tuple[np.ndarray | None, Report]:
        """A pass over the shard: what it adds to the statistics, so many rows of them, and its report."""
        S = factor_array(height, G.shape[1], self.dtype) if height else None
        report, whole = Report(), self.resolve(update)
        for rows, part in self.parts:
            into = None if F_new is None else self.arrays[F_new][rows]
            report += getattr(part, verb)(self.arrays[F][rows], G, whole.of_rows(rows), into, S)
        return S, report

    def copy(self, to: str, source: str, k: int) -> None:
        """Overwrite the first k columns of an array by those of another one."""
        self.arrays[to][:, :k] = self.arrays[source][:, :k]

    def product(self, to: str, G: np.ndarray) -> None:
        """A @ G."""
        for rows, part in self.parts:
            self.arrays[to][rows] = part.product(G)

    def normal_product(self, G: np.ndarray) -> np.ndarray:
        """A.T @ (A @ G)."""
        S = factor_array(len(G), G.shape[1], self.dtype)
        for _, part in self.parts:
            part.add_product(part.product(G), S)
        return S

    def divergence(self, F: str, G: np.ndarray, loss: Loss, floors: str) -> float:
        """The divergence of the shard and its model."""
        W, low = self.arrays[F], self.arrays[floors]
        return float(sum(part.divergence(W[rows], G, loss, low[rows]) for rows, part in self.parts))

    def total(self, method: str, *arguments: Any, **options: Any) -> Any:
        """The sum of what a method of containers returns for the parts."""
        return sum(getattr(part, method)(*arguments, **options) for _, part in self.parts)

    def map_rows(
        self, name: str, method: str, value: float | None, function: Callable[[np.ndarray], np.ndarray]
    ) -> None:
        """A function of what a method of containers tells of every row, or of one value for all."""
        told = [getattr(part, method)() if value is None else np.full(part.shape[0], value) for _, part in self.parts]
        self.arrays[name] = function(np.concatenate(told))

    def find(self, names: list[str], G: np.ndarray, update: Update) -> None:
        """Put the best rows for the factor G into all of these arrays: nothing else is known of them."""
        first = names[0]
        F = self.arrays[first]
        plain = update._replace(start=first, previous=None, momentum=0.0, max_sweeps=_MOST_SWEEPS, tol=_FOUND)
        if plain.loss is not None:
            assert plain.sums is not None
            mass = float(plain.sums.sum(dtype=np.float64))
            sums = np.concatenate([part.sums() for _, part in self.parts])
            F[:, : len(plain.scale)] = (sums / mass if mass else sums)[:, np.newaxis]
        self.go_through("pass_quadratic" if plain.loss is None else "pass_gradients", first, G, plain, None, 0)
        for name in names[1:]:
            self.arrays[name][:] = F


def make(
    name: str, blocks: list[Any], places: list[tuple[int, int]], shape: tuple[int, int], dtype: np.dtype
) -> tuple[float, float, int, bool, float]:
    """Make a shard of blocks with these numbers and first rows; what a `Summary` holds, of it."""
    checked = [
        check_row_block(block, i, first, shape, dtype, values=True).values
        for block, (i, first) in zip(blocks, places, strict=True)
    ]
    shard = _shards[name] = Shard(checked, dtype)
    return (
        shard.total("sum"),
        shard.total("sum_of_squares"),
        sum(part.n_stored for _, part in shard.parts),
        any(part.has_zeros() for _, part in shard.parts),
        min((part.least() for _, part in shard.parts), default=math.inf),
    )


def call(
    name: str, number: int, dropped: list[str], n_threads: int, method: str, *arguments: Any, **options: Any
) -> Any:
    """Call a method of a shard."""
    shard = _shards[name]

    def work() -> Any:
        shard.work_with(Engine(n_threads))
        return getattr(shard, method)(*arguments, **options)

    return shard.once(number, dropped, work)


def apply(
    name: str, number: int, dropped: list[str], n_threads: int, function: Callable[..., Any], *arguments: Any
) -> Any:
    """A function of arguments, in which names stand for arrays of a shard, and an engine."""
    shard = _shards[name]

    def work() -> Any:
        resolved = [shard.arrays[each] if isinstance(each, str) else each for each in arguments]
        return function(*resolved, Engine(n_threads))

    return shard.once(number, dropped, work)


def put(name: str, array: str, rows: slice, columns: slice, values: np.ndarray) -> None:
    """Overwrite a part of an array."""
    _shards[name].arrays[array][rows, columns] = values


def take(name: str, array: str, rows: slice, k: int) -> np.ndarray:
    """A copy of some rows of a factor, or of numbers of rows."""
    found = _shards[name].arrays[array][rows]
    return (found[:, :k] if found.ndim == 2 else found).copy()


def drop(name: str) -> None:
    """Forget a shard."""
    _shards.pop(name, None)


def add(parts: list[Any]) -> Any:
    """The sum of what shards have returned, in their order."""
    total = parts[0]
    if total is None:
        return None
    for part in parts[1:]:
        if isinstance(total, tuple):  # statistics and a report
            (S, report), (S_more, report_more) = total, part
            both = Report()  # what tasks have returned is not changed
            both += report
            both += report_more
            total = (None if S is None else S + S_more), both
        else:
            total = total + part
    return total
