"""Several fits that visit one matrix together: X is read once for all of them."""

import threading
from copy import copy
from typing import Any

from nmf_core.data.base import Visited
from nmf_core.engine import Engine, Report

# Multiply-adds of a pass from which on it takes longer than to wait for each other.
WORTH = 1 << 20
# Bytes of a row of factors side by side, up to which more of them pay.
DENSE_BYTES, SPARSE_BYTES = 512, 256
LINE = 64  # bytes of a cache line
MOST_TOGETHER = 16


class _Asked:
    """A pass that a fit waits for."""

    def __init__(self, data: Visited, arguments: tuple[Any, ...]) -> None:
        self.data = data
        self.arguments = arguments
        self.ready = threading.Event()
        self.report: Report | None = None
        self.error: BaseException | None = None

    @property
    def key(self) -> tuple[Any, ...]:
        """What passes have in common that can be made as one."""
        _, G, _, _, S = self.arguments
        return self.data.kind, id(self.data.stored_for_several(G)[0]), G.shape, None if S is None else S.shape


class Batch:
    """Passes that fits in threads of their own ask for, made together once all of these fits wait.

    Every pass has the bits that it has by itself. A fit takes part from its first pass on, until it leaves.

    Parameters
    ----------
    engine : Engine
        What all passes are computed with.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.change = threading.Condition()
        self.members: set[int] = set()
        self.waiting: list[_Asked] = []
        self.left = False

    def view(self, data: Visited) -> Visited:
        """The matrix for a fit: the same, but its passes are made here."""
        view = copy(data)
        view.batch = self
        return view

    def ask(self, data: Visited, arguments: tuple[Any, ...]) -> Report:
        """One pass, given the arguments of `pass_quadratic`; waits until all members have asked for one."""
        asked = _Asked(data, arguments)
        with self.change:
            self.members.add(threading.get_ident())
            self.waiting.append(asked)
            if len(self.waiting) == len(self.members):
                self.change.notify_all()
        asked.ready.wait()
        if asked.error is not None:
            raise asked.error
        assert asked.report is not None
        return asked.report

    def leave(self) -> None:
        """The fit in this thread is over."""
        with self.change:
            self.members.discard(threading.get_ident())
            self.left = True
            self.change.notify_all()  # the others may be all that is waited for

    def serve(self, seconds: float) -> None:
        """Make the passes that all members have asked for, once they have, or wait until one leaves, or so long."""
        with self.change:
            self.change.wait_for(lambda: self._complete or self.left, seconds)
            self.left = False
            if not self._complete:
                return
            asked, self.waiting = self.waiting, []
        groups: dict[tuple[Any, ...], list[_Asked]] = {}
        for one in asked:
            groups.setdefault(one.key, []).append(one)
        for several in groups.values():
            self._make(several)

    @property
    def _complete(self) -> bool:
        return bool(self.waiting) and len(self.waiting) >= len(self.members)

    def _make(self, several: list[_Asked]) -> None:
        data, G = several[0].data, several[0].arguments[1]
        try:
            reports = self.engine.passes_quadratic(
                data.kind, data.stored_for_several(G), [one.arguments for one in several]
            )
            for one, report in zip(several, reports, strict=True):
                one.report = report
        except BaseException as error:
            for one in several:
                one.error = error
            if not isinstance(error, Exception):
                raise
        finally:
            for one in several:
                one.ready.set()


def together(data: Visited, k: int, n_threads: int) -> int:
    """How many fits of k components visit a matrix together: 1 where it does not pay.

    Small matrices are read fast, and waiting costs more. An entry of a sparse matrix asks for a row of the factor: rows
    that fill a cache line or more are no cheaper side by side.
    """
    row = k * data.dtype.itemsize
    sparse = data.n_stored < data.shape[0] * data.shape[1]
    if data.n_stored * k < WORTH or (sparse and row > LINE):
        return 1
    columns = (SPARSE_BYTES if sparse else DENSE_BYTES) // row
    return min(MOST_TOGETHER, columns * n_threads) if columns > 1 else 1
