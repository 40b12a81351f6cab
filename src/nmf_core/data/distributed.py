"""Blocks of rows on the workers of a Dask cluster.

X and the factor of its rows never leave the workers. For a pass the other factor is sent to one of them, from which the
others take it, and what they return is added up on the way back, two by two. Futures of a pass know nothing of those of
the last one: the state of a shard is in the worker, so the graph does not grow. If a worker is lost, its blocks of X
are computed again elsewhere, and its rows of the factor are found anew from the other factor.
"""

import contextlib
import itertools
import time
import uuid
import weakref
from asyncio import CancelledError
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any, NamedTuple

import numpy as np

from nmf_core.data import shards
from nmf_core.data.chunked import Chunked, Summary
from nmf_core.engine import Engine, Report, Update, factor_array
from nmf_core.losses import Loss
from nmf_core.validation import check_any_workers, check_resident, check_workers

_PATIENCE = 1.0  # seconds to wait for a result before asking whether its worker is still there
_GONE = 20.0  # seconds to wait for a new worker if there is none
_ATTEMPTS = 10  # to do something although workers come and go


class _Piece(NamedTuple):
    """A shard, its worker, the blocks that it holds, and where its rows are."""

    name: str
    address: str
    n_threads: int
    blocks: list[int]


class _Lost(Exception):
    """Workers have gone, and shards with them."""


class _Sent(NamedTuple):
    """An array that goes to one of the workers, from which the others take it."""

    array: np.ndarray


class Remote:
    """An array with a row for every row of A, on the workers.

    Parameters
    ----------
    data : Distributed
        Where its shards are.
    name : str
        What they call it.
    ld : int
        Columns of the array.
    """

    def __init__(self, data: "Distributed", name: str, ld: int) -> None:
        self.data, self.name = data, name
        self.shape = data.shape[0], ld
        self.dtype = data.dtype
        weakref.finalize(self, data.dropped.append, name)

    def __len__(self) -> int:
        return self.shape[0]

    def over(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """The sum of a function of the pieces, of further arguments, which may be like this one, and of an engine."""
        named = [each.name if isinstance(each, Remote) else each for each in (self, *arguments)]
        return self.data.run(shards.apply, function, *named)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.concatenate([np.asarray(block) for block in self.data.take(self, self.shape[1])]).astype(
            self.dtype if dtype is None else dtype, copy=False
        )

    def __getitem__(self, key: Any) -> np.ndarray:
        return np.asarray(self)[key]

    def __setitem__(self, key: Any, value: Any) -> None:
        rows, columns = key if isinstance(key, tuple) else (key, slice(None))
        if isinstance(value, Remote):
            k = value.shape[1] if columns == slice(None) else columns.stop
            self.data.run(shards.call, "copy", self.name, value.name, k)
            return
        first, end, _ = rows.indices(len(self))
        self.data.put(self.name, first, end, columns, value)

    def __imul__(self, number: Any) -> "Remote":
        self.over(_multiply, number)
        return self


def _multiply(F: np.ndarray, number: Any, engine: Engine) -> None:
    F *= number


class Distributed(Chunked):
    """A dask array whose blocks are on the workers of a cluster.

    Parameters
    ----------
    X : dask.array.Array of shape (n, m)
        Chunks of rows: arrays or sparse arrays.
    client : distributed.Client
        Whose workers work.
    dtype : dtype
        float32 or float64.
    n_threads : int, optional
        Threads of a worker; by default what it has.
    engine : Engine, optional
        What the factor of the columns, which is here, is computed with.
    """

    local = False

    def __init__(
        self, X: Any, client: Any, dtype: np.dtype, n_threads: int | None = None, *, engine: Engine = Engine.default
    ) -> None:
        self.engine = engine
        distributed: Any = import_module("distributed")
        self.client = client
        self.shape = X.shape
        self.transposed = False
        self.dtype = dtype
        self.n_threads = n_threads
        self._sums: dict[tuple[str, bool], np.ndarray] = {}
        self.dropped: list[str] = []
        self.recipes: dict[str, tuple[Any, ...]] = {}  # of all arrays on the workers
        self.last: tuple[np.ndarray, Any] | None = None  # from which rows can be found anew
        self.fit = uuid.uuid4().hex[:8]
        self.numbers = itertools.count()
        self.bounds = np.concatenate([[0], np.cumsum(X.chunks[0])]).tolist()
        self.chunks = X.chunks[0]
        X = client.persist(X)
        futures = {future.key: future for future in distributed.futures_of(X)}
        self.futures = [futures[key] for (key,) in X.__dask_keys__()]
        self.pieces: list[_Piece] = []
        self._forget = weakref.finalize(self, _forget, client, self.pieces)
        try:
            new, self._told = self._settle(list(range(len(self.futures))))
        except _Lost:
            check_workers(False)
        self.pieces[:] = new

    # --- shards

    def _settle(self, blocks: list[int]) -> tuple[list[_Piece], list[Any]]:
        """Make shards of blocks of X where these are; what `shards.make` tells of each."""
        futures = [self.futures[i] for i in blocks]
        self._wait(futures)
        where = self.client.who_has(futures)
        by_worker: dict[str, list[int]] = {}
        for i, future in zip(blocks, futures, strict=True):
            if future.status != "finished":
                future.result()  # raises what has happened
            if not where[future.key]:
                raise _Lost
            by_worker.setdefault(sorted(where[future.key])[0], []).append(i)
        threads = self._threads()
        told, new = [], []
        for address, own in sorted(by_worker.items(), key=lambda item: item[1][0]):
            if address not in threads:
                raise _Lost
            name = f"{self.fit}-{next(self.numbers)}"
            piece = _Piece(name, address, self.n_threads or threads[address], own)
            places = [(i, self.bounds[i]) for i in own]
            told.append(
                self._submit(piece, shards.make, [self.futures[i] for i in own], places, self.shape, self.dtype)
            )
            new.append(piece)
        return new, [self._result(future, new) for future in told]

    def _threads(self) -> dict[str, int]:
        """The workers that are there, by their addresses, and what threads they have.

        Not from `Client.scheduler_info`, which hands out what a timer of the client may just have replaced by
        information without any workers.
        """
        return self.client.nthreads()

    def _wait(self, futures: list[Any]) -> None:
        """Wait until futures are over, as long as there are workers."""
        distributed: Any = import_module("distributed")
        while True:
            try:
                distributed.wait(futures, timeout=_PATIENCE)
                return
            except TimeoutError:
                self._wait_for_workers()
            except CancelledError:
                raise _Lost from None

    def _wait_for_workers(self) -> None:
        """Wait for a worker, if there is none, but not for ever."""
        end = time.monotonic() + _GONE
        while not self._threads():
            check_any_workers(time.monotonic() < end)
            time.sleep(_PATIENCE / 10)

    def _send(self, array: np.ndarray) -> Any:
        """The array on one of the workers."""
        for _ in range(_ATTEMPTS):
            self._wait_for_workers()
            with contextlib.suppress(TimeoutError, OSError):  # it has gone at this moment
                return self.client.scatter(array, hash=False)
        check_any_workers(False)
        raise AssertionError

    def _submit(self, piece: _Piece, function: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        """Let the worker of a shard do something with it, of whose name it gets to know first."""
        key = f"nmf_core {function.__name__}-{piece.name}-{next(self.numbers)}"
        return self.client.submit(
            function, piece.name, *arguments, key=key, workers=[piece.address], pure=False, **options
        )

    def run(self, function: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        """What a function of the shards returns, added up in their order, whatever happens to the workers."""
        number, dropped, done = next(self.numbers), list(self.dropped), {}
        needed = set() if self.last is None else {value for value in self.last[1] if isinstance(value, str)}
        for name in dropped:
            # numbers of every row are few, and the step from which rows can be found anew may name them
            if name in self.recipes and not (self.recipes[name][0] == "map_rows" and name in needed):
                del self.recipes[name]
        self.dropped.clear()
        for attempt in itertools.count():
            sent = [self._send(a.array) if isinstance(a, _Sent) else a for a in arguments]
            for piece in self.pieces:
                if piece.name not in done:
                    done[piece.name] = self._submit(piece, function, number, dropped, piece.n_threads, *sent, **options)
            try:
                return self._sum([done[piece.name] for piece in self.pieces])
            except _Lost:
                check_any_workers(attempt < _ATTEMPTS)
                self._recover()
                here = {piece.name for piece in self.pieces}
                done = {name: future for name, future in done.items() if name in here and future.status == "finished"}

    def _sum(self, futures: list[Any]) -> Any:
        """The sum of what futures bring, two by two on the workers."""
        while len(futures) > 1:
            pairs = [futures[i : i + 2] for i in range(0, len(futures), 2)]
            futures = [
                self.client.submit(shards.add, pair, key=f"nmf_core add-{self.fit}-{next(self.numbers)}", pure=False)
                if len(pair) > 1
                else pair[0]
                for pair in pairs
            ]
        return self._result(futures[0])

    def _result(self, future: Any, pieces: list[_Piece] | None = None) -> Any:
        from distributed.client import FutureCancelledError
        from distributed.comm.core import CommClosedError
        from distributed.scheduler import KilledWorker

        while True:
            try:
                return future.result(timeout=_PATIENCE)
            except TimeoutError:
                if self._lost(pieces):
                    raise _Lost from None
            except (FutureCancelledError, CommClosedError, KilledWorker) as error:
                # what was sent may have been on a worker that has no shard
                sent = not isinstance(error, KilledWorker) and self.client.status == "running"
                if sent or self._lost(pieces):
                    raise _Lost from None
                raise

    def _lost(self, pieces: list[_Piece] | None = None) -> list[_Piece]:
        threads = self._threads()
        return [piece for piece in (self.pieces if pieces is None else pieces) if piece.address not in threads]

    def _recover(self) -> None:
        """Make the shards of lost workers again on others."""
        for _ in range(_ATTEMPTS):
            if not self._lost():
                return
            check_workers(self.last is not None)
            with contextlib.suppress(_Lost):
                self._replace()
        check_any_workers(False)

    def _replace(self) -> None:
        assert self.last is not None
        G, step = self.last
        lost = self._lost()
        kept = [piece for piece in self.pieces if piece not in lost]
        self._wait_for_workers()
        new, _ = self._settle([i for piece in lost for i in piece.blocks])
        factors = [name for name, (kind, *_) in self.recipes.items() if kind == "empty_factor"]
        vectors = [name for name, (kind, *_) in self.recipes.items() if kind == "map_rows"]
        fixed = self._send(G)
        for piece in new:
            calls: list[tuple[Any, ...]] = []
            for name in (*factors, *vectors):
                kind, *more = self.recipes[name]
                calls.append((kind, name, *more))
            calls.append(("find", factors, fixed, step))
            for one in calls:
                future = self._submit(piece, shards.call, next(self.numbers), [], piece.n_threads, *one)
                self._result(future, new)
        self.pieces[:] = sorted([*kept, *new], key=lambda piece: piece.blocks[0])

    # --- arrays of the size of a factor

    def empty_factor(self, k: int) -> Any:
        return self._array("empty_factor", k, ld=factor_array(1, k, self.dtype).shape[1])

    def map_rows(
        self, function: Callable[[np.ndarray], np.ndarray], mean: float | None = None, columns: bool = False
    ) -> Any:
        if columns:
            return super().map_rows(function, mean, columns)
        return self._array("map_rows", "means", mean, function, ld=1)

    def _array(self, kind: str, *more: Any, ld: int) -> Remote:
        name = f"array-{next(self.numbers)}"
        self.recipes[name] = kind, *more
        self.run(shards.call, kind, name, *more)
        return Remote(self, name, ld)

    def put(self, name: str, first: int, end: int, columns: slice, values: np.ndarray) -> None:
        """Overwrite some rows of an array on the workers."""

        def send(piece: _Piece, i: int, rows: slice) -> Any:
            low, high = max(first, self.bounds[i]), min(end, self.bounds[i + 1])
            if low >= high:
                return None
            here = slice(rows.start + low - self.bounds[i], rows.start + high - self.bounds[i])
            own = self.client.scatter(values[low - first : high - first], workers=[piece.address], hash=False)
            return self._submit(piece, shards.put, name, here, columns, own)

        self._of_blocks(send)

    def take(self, F: Remote, k: int) -> list[np.ndarray]:
        """The first k columns of a factor, block by block."""
        return self.client.gather(self._rows_of(F, k))

    def _rows_of(self, F: Remote, k: int) -> list[Any]:
        """Futures of the first k columns of a factor, block by block: they stay on the workers."""
        return self._of_blocks(lambda piece, i, rows: self._submit(piece, shards.take, F.name, rows, k))

    def _of_blocks(self, submit: Callable[[_Piece, int, slice], Any]) -> list[Any]:
        """Futures for every block, in their order, that are there, whatever happens to the workers until then."""
        distributed: Any = import_module("distributed")
        for _ in range(_ATTEMPTS):
            found = {i: submit(piece, i, rows) for piece, i, rows in self._rows_of_blocks()}
            futures = [future for _, future in sorted(found.items()) if future is not None]
            while not self._lost() and any(future.status == "pending" for future in futures):
                with contextlib.suppress(TimeoutError, CancelledError):
                    distributed.wait(futures, timeout=_PATIENCE)
            failed = [future for future in futures if future.status != "finished"]
            if not failed:
                return futures
            if not self._lost():
                failed[0].result()  # raises what has happened
            self._recover()
        check_any_workers(False)
        raise AssertionError

    def to_user(self, F: Any, k: int) -> Any:
        dask: Any = import_module("dask")
        da: Any = import_module("dask.array")
        arrays = [
            da.from_delayed(dask.delayed(future), (n, k), self.dtype)
            for future, n in zip(self._rows_of(F, k), self.chunks, strict=True)
        ]
        return self.client.persist(da.concatenate(arrays))

    def _rows_of_blocks(self) -> Iterator[tuple[_Piece, int, slice]]:
        """Every block with its shard and its rows there."""
        for piece in self.pieces:
            first = 0
            for i in piece.blocks:
                n = self.bounds[i + 1] - self.bounds[i]
                yield piece, i, slice(first, first + n)
                first += n

    # --- what a fit asks for

    @property
    def summary(self) -> Summary:
        sums, squares, stored, zeros, least = zip(*self._told, strict=True)
        return Summary(sum(sums), sum(squares), sum(stored), any(zeros), min(least))

    def sum_of(self, function: Callable[[np.ndarray], np.ndarray]) -> float:
        return float(self.run(shards.call, "total", "sum_of", function))

    def _of_rows(self, method: str, columns: bool) -> np.ndarray:
        if (method, columns) not in self._sums:
            if columns:
                self._sums[method, columns] = self.run(shards.call, "total", method, columns=True)
            else:
                sums = self._array("map_rows", method, None, np.asarray, ld=1)
                self._sums[method, columns] = np.concatenate(self.take(sums, 1))
        return self._sums[method, columns]

    def parts(self) -> Iterator[tuple[slice, Any]]:
        for i, future in enumerate(self.futures):
            ((_, part),) = shards.Shard([future.result()], self.dtype).parts
            yield slice(self.bounds[i], self.bounds[i + 1]), part

    def pass_newton(self, *arguments: Any, **options: Any) -> Report:
        check_resident(False, "Coordinate descent for Kullback-Leibler")
        raise AssertionError

    def product(self, G: np.ndarray) -> Any:
        C = self.empty_factor(G.shape[1])
        self.run(shards.call, "product", C.name, _Sent(G))
        return C

    def normal_product(self, G: np.ndarray) -> np.ndarray:
        return self.run(shards.call, "normal_product", _Sent(G))

    def _go_through(self, verb: str, F: Any, G: np.ndarray, update: Update, F_new: Any, **more: Any) -> Report:
        names: dict[str, Any] = {
            name: value.name for name, value in update._asdict().items() if isinstance(value, Remote)
        }
        update, S = update._replace(**names), more["S"]
        if update.max_sweeps:
            self.last = G.copy(), update
        into, height = None if F_new is None else F_new.name, 0 if S is None else len(S)
        added, report = self.run(shards.call, "go_through", verb, F.name, _Sent(G), update, into, height)
        if S is not None:
            S += added
        return report

    def divergence(self, F: Any, G: np.ndarray, loss: Loss, floors: Any) -> float:
        return float(self.run(shards.call, "divergence", F.name, _Sent(G), loss, floors.name))


def _forget(client: Any, pieces: list[_Piece]) -> None:
    """Let workers forget their shards."""
    distributed: Any = import_module("distributed")
    with contextlib.suppress(Exception):  # the cluster may be gone
        for piece in pieces:
            distributed.fire_and_forget(client.submit(shards.drop, piece.name, workers=[piece.address], pure=False))
