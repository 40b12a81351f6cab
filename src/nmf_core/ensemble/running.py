"""Many fits of one matrix, side by side: who runs when, and what stops all of them."""

import inspect
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from dataclasses import replace
from typing import Any, NamedTuple

from nmf_core.data import FullMatrix, container_class
from nmf_core.data.base import Visited
from nmf_core.data.batch import MOST_TOGETHER, Batch, together
from nmf_core.data.resampling import RESAMPLE, resample, resampled_weights
from nmf_core.engine import Engine
from nmf_core.ensemble.runs import Runs
from nmf_core.factorization import Factorization
from nmf_core.factorize import (
    assemble,
    choose_loss,
    differing,
    factorize,
    identity,
    package,
    problem_of,
    read,
    take,
)
from nmf_core.memory import physical_memory
from nmf_core.shapes import Axes
from nmf_core.solvers import QuadraticSolver, solve
from nmf_core.threads import available_threads, serial_blas
from nmf_core.validation import (
    check_arguments,
    check_choice,
    check_decided,
    check_found,
    check_fraction,
    check_integer,
    check_number,
    check_resident,
    check_starts,
)
from nmf_core.warning import held_back, warn_once

# What an ensemble decides itself.
DECIDED = ("callback", "progress", "checkpoint", "out_W", "n_init", "update_H", "stop")
# What is said of X, which all runs get as it is then.
OF_X = ("weights", "sample_axes", "sample_names", "feature_names")
# What functions that make ensembles take besides the arguments of `factorize`.
OWN = ("n_runs", "resample", "fraction")
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
    axes : Axes, optional
        Which axes of an X of more than two dimensions are samples.
    data : Visited, optional
        X as the passes of kernels visit it, where those of several runs may be made together.
    """

    X: Any
    weights: Any
    how: str | None
    fraction: float
    parameters: dict[str, Any]
    axes: Axes | None = None
    data: Visited | None = None

    @property
    def in_memory(self) -> bool:
        """Whether X is an array or a sparse matrix."""
        return container_class(self.X.values) is FullMatrix

    def of(self, X: Any) -> "Subject":
        """The same with another matrix."""
        return self._replace(X=self.X._replace(values=X, scan=None), data=None)

    def prepared(self, request: Any) -> "Subject":
        """The same, ready for runs like this one whose passes are made together, if such runs there are."""
        if self.how or not self.in_memory or not isinstance(request.solver, QuadraticSolver):
            return self
        with serial_blas():
            data = problem_of(request).data
        whole = isinstance(data, Visited) and not request.parameters["floor"]
        return self._replace(data=data if whole else None)

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
        check_found(f.H)
        fixed = {name: value for name, value in self.parameters.items() if name not in ("init", "shuffle", "solver")}
        with held_back():
            g = factorize(self.X, H=f.H, update_H=False, weights=self.weights, **fixed, **how)
        drawn = {"resample": self.how, "fraction": self.fraction if self.how == "subsample" else None}
        return replace(
            g, n_iter=f.n_iter, converged=f.converged, stop_reason=f.stop_reason, history=f.history, solver=f.solver,
            init=f.init, seconds=f.seconds + g.seconds, parameters=f.parameters | drawn,
        )  # fmt: skip

    def together(self, k: int, n_threads: int) -> int:
        """How many fits of k components visit X together."""
        return 1 if self.data is None else together(self.data, k, n_threads)

    def join(self, batch: Batch, task: Task, how: dict[str, Any]) -> Factorization:
        """One run whose passes over X are made together with those of others."""
        assert self.data is not None
        more = {"n_components": task.k, "random_state": task.seed, "X": self.X, "weights": self.weights}
        request = read({**DEFAULTS, **self.parameters, **more, **how})
        with ExitStack() as stack:
            fit = assemble(request, stack, problem_of(request, batch.view(self.data)))
            solve(fit.problem, fit.solver, fit.state, fit.rules, fit.shuffle)
            batch.leave()  # the others need not wait for the rest
            return package(request, fit)


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
    for name in DECIDED:
        if name not in given:
            parameters.pop(name, None)
    check_decided(given, DECIDED, "an ensemble decides that itself")
    if how is not None:
        check_choice(how, "resample", RESAMPLE)
        check_decided(given, ("W", "H", "biases"), f"resample={how!r} does not know it")
    check_arguments(parameters, DEFAULTS, own=OWN)
    fraction = check_fraction(fraction)
    data, weights, axes = take({**DEFAULTS, **parameters, "X": X}, Engine.default)
    choose_loss(parameters.get("loss"), X, data.scan)
    for name in OF_X:
        parameters.pop(name, None)
    if how is not None:
        check_resident(Subject(data, None, None, 1.0, {}).in_memory, "resample")
    same = parameters.get("W") is None and parameters.get("H") is None
    if parameters.get("init") is None and same:
        parameters["init"] = "random"
    subject = Subject(data, weights, how, fraction, parameters, axes)

    def request(k: int, seed: int) -> Any:
        more = {"n_components": k, "random_state": seed, "X": data, "weights": weights}
        asked = read({**DEFAULTS, **parameters, **more})
        if how is None:
            check_starts(n_runs, asked.init, differing(asked.given, asked.mask), (), "n_runs")
        return asked

    return subject, request


def about(subject: Subject, request: Any) -> dict[str, Any]:
    """What makes an ensemble what it is: plain values."""
    with serial_blas():
        same = identity(problem_of(request), request)
    del same["random_state"]
    kind = getattr(subject.X.values, "format", None) or ("array" if subject.in_memory else "blocks")
    order = "F" if kind == "array" and not subject.X.values.flags.c_contiguous else "C"
    return {
        "the kind of X": f"{kind}, stored by columns" if order == "F" else kind,
        **same,
        "max_iter": request.max_iter,
        "tol": request.tol,
        "resample": subject.how,
        "fraction": subject.fraction if subject.how == "subsample" else None,
    }


class _Session:
    """What concerns all runs that are under way: threads, time, and what ends them."""

    def __init__(self, time_limit: float | None, watched: Any, batch: Batch | None) -> None:
        self.until = None if time_limit is None else time.perf_counter() + check_number(time_limit, "time_limit")
        self.watched = watched
        self.batch = batch
        self.stop = threading.Event()
        self.pending: set[Future] = set()
        self.doubts: list[Warning] = []
        self.cut: list[tuple[Runs, Task, Factorization]] = []

    def run(self, runs: Runs, task: Task, subject: Subject, n_threads: int) -> None:
        """One run, in a thread of its own."""
        try:
            if self.stop.is_set():
                return
            with held_back() as held:
                how = {"n_threads": n_threads, "callback": lambda state: self.stop.is_set()}
                f = subject.fit(task.k, task.seed, **how) if self.batch is None else subject.join(self.batch, task, how)
            f = replace(f, axes=subject.axes)
            if f.stop_reason in ("callback", "interrupted"):
                self.cut.append((runs, task, f))
                return
            self.doubts.extend(held[:1])
            runs.put(task.number, f)
            if self.watched is not None:
                self.watched()
        finally:
            if self.batch is not None:
                self.batch.leave()

    def wait(self) -> None:
        """Until all runs that were begun are over, which they are soon after the time is."""
        while self.pending:
            if self.until is not None and time.perf_counter() >= self.until:
                self.stop.set()
            seconds = 1.0 if self.until is None else min(1.0, max(0.01, self.until - time.perf_counter()))
            if self.batch is None:
                _, self.pending = wait(self.pending, seconds, FIRST_COMPLETED)
            else:
                self.batch.serve(seconds)
                self.pending = {future for future in self.pending if not future.done()}

    def drain(self) -> None:
        """After an interrupt: end what has begun, whatever else comes from the keyboard."""
        self.stop.set()
        while self.pending:
            with suppress(KeyboardInterrupt):
                self.wait()


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
    if not queue:
        return True
    threads = available_threads() if n_threads is None else check_integer(n_threads, "n_threads", 1)
    side = _side_by_side(queue, threads)
    several = min(side * (len(queue) > 1), *(subject.together(task.k, threads) for _, task, subject in queue))
    batch = Batch(Engine(threads)) if several > 1 else None
    if batch is not None:  # fits of as many components visit the matrix together
        side = several
        first = queue[0][2]
        queue.sort(key=lambda one: (one[2] is not first, one[1].number // side, -one[1].k))
    else:
        side = min(side, threads)
    session, interrupted = _Session(time_limit, watched, batch), False
    executor = ThreadPoolExecutor(side)
    each = max(1, threads // side) if batch is None else 1
    futures: list[Future] = []
    with serial_blas():
        try:
            for one in queue:
                futures.append(executor.submit(session.run, *one, each))
                session.pending.add(futures[-1])
            session.wait()
        except KeyboardInterrupt:
            interrupted = True
            session.drain()
        executor.shutdown(cancel_futures=True)
    for future in futures:
        if not future.cancelled():
            future.result()
    if not any(len(runs) for runs, *_ in queue):
        for runs, task, f in session.cut[:1]:
            runs.put(task.number, replace(f, stop_reason="interrupted" if interrupted else "time_limit"))
        if interrupted and not session.cut:
            raise KeyboardInterrupt
    warn_once(session.doubts, f"{len(queue)} runs")
    return all(task.number in runs.there for runs, task, _ in queue)


def _side_by_side(queue: list[Any], threads: int) -> int:
    """How many runs the memory allows at a time, one of what is not in memory."""
    subject = queue[0][2]
    if not subject.in_memory:
        return 1
    n, m = subject.shape
    largest = max(task.k for _, task, _ in queue)
    room = SHARE * physical_memory() / (6 * (n + m) * largest * 8 + (n * m * 8 if subject.how else 0))
    return int(max(1, min(len(queue), room, max(threads, MOST_TOGETHER))))


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
