"""How many threads, and the only place that touches thread pools.

There is one pool for all parallel work inside a fit: the OpenMP pool of `_core`. BLAS is held to one thread
meanwhile, because two pools that take turns wait for each other: spinning workers of one keep the cores from the
other, which costs a factor of up to forty on small problems.
"""

import contextlib
import functools
import importlib
import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import threadpoolctl


@contextlib.contextmanager
def _short_spinning() -> Iterator[None]:
    """Let idle threads of an OpenMP runtime that is loaded meanwhile spin for a fraction of a millisecond only.

    The default of libgomp lets them spin for milliseconds, long enough to starve whatever runs next. Too short is no
    better: threads that fall asleep between the passes of a small fit double its time. A runtime reads the environment
    when it is loaded; a user's own choice is respected, and the environment is left as it was.
    """
    chosen = {"GOMP_SPINCOUNT", "OMP_WAIT_POLICY"} & os.environ.keys()
    if not chosen:
        os.environ["GOMP_SPINCOUNT"] = "10000"
    try:
        yield
    finally:
        if not chosen:
            del os.environ["GOMP_SPINCOUNT"]


with _short_spinning():
    from nmf_core import _core

_pool_used = False  # this process has run a kernel with more than one thread
_pool_lost = False  # ... and it is a fork of such a process


def _after_fork_in_child() -> None:
    """A fork inherits the state of libgomp's pool but not its threads: the next parallel loop would wait for ever."""
    global _pool_lost
    _pool_lost = _pool_used


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)


@functools.cache
def _cgroup_cpus() -> float:
    """CPUs that the control group of this process grants, infinity without a limit; looked up once."""
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        return float("inf") if quota == "max" else int(quota) / int(period)
    except (OSError, ValueError):
        pass
    try:
        folder = Path("/sys/fs/cgroup/cpu")
        quota_us = int((folder / "cpu.cfs_quota_us").read_text())
        period_us = int((folder / "cpu.cfs_period_us").read_text())
        return quota_us / period_us if quota_us > 0 else float("inf")
    except (OSError, ValueError):
        return float("inf")


def available_threads() -> int:
    """Threads that a fit uses by default.

    The smallest of: CPUs in the process's affinity mask, CPUs granted by its control group (rounded up), and what
    OpenMP was told by ``OMP_NUM_THREADS`` or `threadpoolctl`.
    """
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    granted = _cgroup_cpus()
    if granted < affinity:
        affinity = max(1, -int(-granted // 1))
    return max(1, min(affinity, _core.max_threads()))


def make_workspace(n_threads: int | None) -> _core.Workspace:
    """The workspace that serves one fit.

    Parameters
    ----------
    n_threads : int or None
        Threads, or None for `available_threads`. In a fork of a process that has used threads it is one.
    """
    global _pool_used
    n = 1 if _pool_lost else n_threads or available_threads()
    if n > 1:
        _pool_used = True
    return _core.Workspace(n)


class _SerialBlas:
    """BLAS on one thread while at least one fit is running, in whatever thread."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.users = 0
        self.controller: threadpoolctl.ThreadpoolController | None = None
        self.limit = None

    def enter(self) -> None:
        with self.lock:
            if self.users == 0:
                # Looking for the libraries takes 300 microseconds, setting a limit 10: look once.
                if self.controller is None:
                    self.controller = threadpoolctl.ThreadpoolController()
                self.limit = self.controller.limit(limits=1, user_api="blas")
            self.users += 1

    def leave(self) -> None:
        with self.lock:
            self.users -= 1
            if self.users == 0 and self.limit is not None:
                self.limit.restore_original_limits()
                self.limit = None


_serial_blas = _SerialBlas()


@contextlib.contextmanager
def serial_blas() -> Iterator[None]:
    """Hold BLAS to one thread; nested and concurrent uses count, the last one out restores the limits."""
    _serial_blas.enter()
    try:
        yield
    finally:
        _serial_blas.leave()


def show_config() -> None:
    """Print what nmf_core was built with and what it uses here: instruction set, threads, OpenMP, BLAS."""
    modules = [importlib.import_module(name) for name in ("nmf_core", "numpy", "scipy")]
    versions = ", ".join(f"{module.__name__} {module.__version__}" for module in modules)
    levels = [f"{name}{' (chosen)' if i == _core.best_level() else ''}" for i, name in enumerate(_core.LEVELS)]
    print(f"{versions}, Python {sys.version.split()[0]}")
    print(f"instruction set: {', '.join(levels[: _core.best_level() + 1])}")
    print(f"threads:         {available_threads()} by default, of {os.cpu_count()} CPUs")
    print(f"OpenMP:          {_core.OPENMP or 'not built in'}")
    for pool in threadpoolctl.threadpool_info():
        kind = pool["user_api"]
        version = pool.get("version") or ""
        print(f"{kind + ':':<16} {pool['internal_api']} {version} ({pool['num_threads']} threads) {pool['filepath']}")
