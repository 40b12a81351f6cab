"""Several fits that visit one matrix together: X is read once for all of them."""

import threading
from collections.abc import Callable
from copy import copy
from typing import Any

import numpy as np

from nmf_core.data.base import Visited
from nmf_core.engine import Engine, Report


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
            self.change.notify_all()

    def serve(self, over: Callable[[], bool], timeout: float | None = None) -> bool:
        """Make the passes that are asked for until everything is over, which is looked at when a fit leaves.

        Returns False if nothing was to be made for so many seconds.
        """
        while True:
            with self.change:
                if not self.change.wait_for(lambda: self._complete or over(), timeout):
                    return False
                asked, self.waiting = self.waiting, []
            if not asked:
                return True
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


def columns_together(k: int, dtype: np.dtype, sparse: bool) -> int:
    """How many fits of k components share the columns of a product, as far as that pays."""
    return max(2, (384 if sparse else 512) // (k * np.dtype(dtype).itemsize))
