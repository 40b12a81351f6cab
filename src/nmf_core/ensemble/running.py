"""Many fits of one matrix, side by side: who runs when, and what stops all of them."""

import inspect
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from typing import Any, NamedTuple

from nmf_core.data import FullMatrix, accept, container_class
from nmf_core.data.resampling import RESAMPLE, resample, resampled_weights
from nmf_core.ensemble.runs import Runs
from nmf_core.factorization import Factorization
from nmf_core.factorize import factorize, identity, problem_of, read
from nmf_core.initialization import RANDOM
from nmf_core.memory import physical_memory
from nmf_core.start import BEST_OF
from nmf_core.threads import available_threads, serial_blas
from nmf_core.validation import (
    check_choice,
    check_decided,
    check_integer,
    check_number,
    check_resident,
    check_starts,
)
from nmf_core.warning import held_back, warn_once

# What an ensemble decides itself.
DECIDED = ("callback", "progress", "checkpoint", "out_W", "n_init", "update_H", "stop")
# The share of memory that factors of all runs may take before they go to files, and that of fits side by side.
SHARE = 0.25
DEFAULTS = {name: parameter.default for name, parameter in inspect.signature(factorize).parameters.items()}


class Task(NamedTuple):
    """One run: its number, its components and its seed."""

    number: int
    k: int
    seed: int


class Subject(NamedTuple):
    """What is fitted again and again.

    Attributes
    ----------
    X : Labelled
        The matrix, validated.
    weights : ndarray or sparse matrix, or None
        Weights of its entries.
    how : str or None
        How runs get replicates of X, a name in `RESAMPLE`.
    fraction : float
        Share of the samples in a subsample.
    parameters : dict
        Other arguments of `factorize`.
    """

    X: Any
    weights: Any
    how: str | None
    fraction: float
    parameters: dict[str, Any]

    @property
    def in_memory(self) -> bool:
        """Whether X is an array or a sparse matrix."""
        return container_class(self.X.values) is FullMatrix

    def of(self, X: Any) -> "Subject":
        """The same with another matrix."""
        return self._replace(X=self.X._replace(values=X, scan=None))

    @property
    def shape(self) -> tuple[int, int]:
        """(n_samples, n_features)."""
        return self.X.values.shape

    def fit(self, k: int, seed: int, **how: Any) -> Factorization:
        """One run. W of a replicate's components is that of X, and so is what they are worth."""
        if self.how is None:
            return factorize(self.X, k, weights=self.weights, random_state=seed, **self.parameters, **how)
        replicate = resample(self.X.values, self.how, seed, self.fraction)
        weights = resampled_weights(self.weights, self.how, seed, self.fraction)
        f = factorize(replicate, k, weights=weights, random_state=seed, **self.parameters, **how)
        fixed = {name: value for name, value in self.parameters.items() if name not in ("init", "shuffle", "solver")}
        with held_back():
            g = factorize(self.X, H=f.H, update_H=False, weights=self.weights, **fixed, **how)
        return replace(
            g, n_iter=f.n_iter, converged=f.converged, stop_reason=f.stop_reason, history=f.history, solver=f.solver,
            init=f.init, seconds=f.seconds + g.seconds, parameters=f.parameters,
        )  # fmt: skip


def subject_of(
    X: Any, how: str | None, fraction: float, n_runs: int, parameters: dict[str, Any]
) -> tuple[Subject, Callable[[int, int], Any]]:
    """Validate what all runs have in common.

    Returns
    -------
    subject : Subject
        What is fitted.
    request : callable
        Of a number of components and a seed, the validated request of a run.
    """
    given = [name for name, value in parameters.items() if value is not None]
    check_decided(given, DECIDED, "an ensemble decides that itself")
    if how is not None:
        check_choice(how, "resample", RESAMPLE)
        check_decided(given, ("W", "H", "biases"), f"resample={how!r} does not know it")
    fraction = check_number(fraction, "fraction", high=1.0)
    missing, weights = parameters.get("missing"), parameters.pop("weights", None)
    data, weights = accept(X, missing, weights, biases=parameters.get("biases", False))
    if how is not None:
        check_resident(Subject(data, None, None, 1.0, {}).in_memory, "resample")
    same = parameters.get("W") is None and parameters.get("H") is None
    if parameters.get("init") is None and same:
        parameters["init"] = "random"
    subject = Subject(data, weights, how, fraction, parameters)

    def request(k: int, seed: int) -> Any:
        more = {"n_components": k, "random_state": seed, "X": data, "weights": weights}
        asked = read({**DEFAULTS, **parameters, **more})
        if how is None:
            check_starts(n_runs, asked.init, [*RANDOM, BEST_OF], (), "n_runs")
        return asked

    return subject, request


def about(subject: Subject, request: Any) -> dict[str, Any]:
    """What makes an ensemble what it is: plain values."""
    with serial_blas():
        same = identity(problem_of(request), request)
    del same["random_state"]
    return {**same, "resample": subject.how, "fraction": subject.fraction if subject.how == "subsample" else None}


def run_all(
    tasks: Iterable[tuple[Runs, Task, Subject]],
    *,
    n_threads: int | None,
    time_limit: float | None,
    watched: Any = None,
) -> bool:
    """Fit every task and put the result to its runs; whether all of them were fitted.

    Each run has the bits that it has by itself. After an interrupt from the keyboard, or when the time is over, what
    has not ended is left out, unless there would be nothing then.

    Parameters
    ----------
    tasks : iterable of (Runs, Task, Subject)
        Where runs go, which they are and what is fitted; the first are begun first.
    n_threads : int, optional
        Threads for all of them together, by default all that are available.
    time_limit : float, optional
        Seconds.
    watched : callable, optional
        Called after every run.
    """
    queue = list(tasks)
    side, each = _side_by_side(queue, n_threads)
    until = None if time_limit is None else time.perf_counter() + check_number(time_limit, "time_limit")
    stop, doubts, cut = threading.Event(), [], []

    def run(runs: Runs, task: Task, subject: Subject) -> None:
        if stop.is_set():
            return
        with held_back() as held:
            f = subject.fit(task.k, task.seed, n_threads=each, callback=lambda state: stop.is_set())
        if f.stop_reason in ("callback", "interrupted"):
            cut.append((runs, task, f))
            return
        doubts.extend(held[:1])
        runs.put(task.number, f)
        if watched is not None:
            watched()

    executor = ThreadPoolExecutor(side)
    interrupted = False
    try:
        pending: set[Future] = {executor.submit(run, *one) for one in queue}
        while pending:
            left = None if until is None else max(0.0, until - time.perf_counter())
            done, pending = wait(pending, timeout=left, return_when=FIRST_COMPLETED)
            for future in done:
                future.result()
            if until is not None and time.perf_counter() >= until:
                break
    except KeyboardInterrupt:
        interrupted = True
    finally:
        stop.set()
        executor.shutdown(cancel_futures=True)
    if not any(len(runs) for runs, *_ in queue):
        for runs, task, f in cut[:1]:
            runs.put(task.number, replace(f, stop_reason="interrupted" if interrupted else "time_limit"))
        if not cut and interrupted:
            raise KeyboardInterrupt
    warn_once(doubts, f"{len(queue)} runs")
    return not (cut or interrupted) and all(task.number in runs.there for runs, task, _ in queue)


def _side_by_side(queue: list[Any], n_threads: int | None) -> tuple[int, int]:
    """How many runs at a time, and the threads of each: many with one, as far as X and the memory allow."""
    threads = available_threads() if n_threads is None else check_integer(n_threads, "n_threads", 1)
    if not queue:
        return 1, threads
    subject = queue[0][2]
    if not subject.in_memory:
        return 1, threads
    n, m = subject.shape
    largest = max(task.k for _, task, _ in queue)
    room = SHARE * physical_memory() / (6 * (n + m) * largest * 8 + (n * m * 8 if subject.how else 0))
    side = int(max(1, min(threads, len(queue), room)))
    return side, max(1, threads // side)


def room_for(subject: Subject, sizes: Iterable[tuple[int, int]]) -> bool:
    """Whether the factors of so many runs of so many components may all be in memory."""
    n, m = subject.shape
    return sum(runs * k for runs, k in sizes) * (n + m) * 8 <= SHARE * physical_memory()


def watched(shown: bool, total: int) -> Any:
    """A progress bar, or something in its place: a context with a function that counts one on."""
    if not shown:
        return nullcontext(None)
    try:
        from tqdm.auto import tqdm
    except ImportError as error:
        raise ImportError('A progress bar needs tqdm: pip install "nmf-core[cli]"') from error

    return _counting(tqdm(total=total, unit="run", desc="nmf"))


@contextmanager
def _counting(bar: Any) -> Iterator[Callable[[], Any]]:
    with bar:
        yield bar.update
