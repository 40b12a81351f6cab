"""States of a fit in a file, from which it goes on after it has been stopped."""

import json
import os
import time
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from nmf_core.files import check_destination, written_whole
from nmf_core.solvers.fit import Fit
from nmf_core.stopping import Rule
from nmf_core.validation import check_integer, check_number, check_saved

_FORMAT = "nmf_core checkpoint 1"
_HEADER = "header"


class Checkpoint:
    """A file that holds the state of a fit, written again and again, whole or not at all.

    A fit with the same data and arguments whose file is there goes on from it, and ends with the same factors as one
    that was never stopped. The file stays when the fit is over: asked again, possibly with a larger `max_iter`, the fit
    goes on from its last iteration.

    Parameters
    ----------
    path : str or path
        The file.
    iterations : int, optional
        It is written after so many iterations,
    seconds : float, optional
        or when so many seconds have passed; by default 60, if neither is given.
    """

    def __init__(self, path: str | os.PathLike, *, iterations: int | None = None, seconds: float | None = None) -> None:
        self.path = Path(path)
        self.iterations = None if iterations is None else check_integer(iterations, "iterations", 1)
        if seconds is None and iterations is None:
            seconds = 60.0
        self.seconds = None if seconds is None else check_number(seconds, "seconds")


class Record:
    """A checkpoint as one fit uses it.

    Parameters
    ----------
    checkpoint : Checkpoint
        Where and how often.
    problem : dict
        What the fit is about: plain values, to which those in the file must be equal.

    Attributes
    ----------
    saved : dict or None
        The state in the file, if it is there.

    Raises
    ------
    OSError
        The file cannot be written, or what is there cannot be read.
    ValueError
        What is there is no checkpoint, or one of another problem.
    """

    def __init__(self, checkpoint: Checkpoint, problem: dict[str, Any]) -> None:
        self.checkpoint = checkpoint
        self.problem = json.loads(json.dumps(problem))
        check_destination(checkpoint.path)
        self.saved: dict[str, Any] | None = self._read() if checkpoint.path.exists() else None
        for draft in checkpoint.path.parent.glob(f".{checkpoint.path.name}.*.tmp"):  # of a process that was killed
            draft.unlink(missing_ok=True)
        self.iteration = 0
        self.time = time.perf_counter()

    def _read(self) -> dict[str, Any]:
        header: Any = None
        arrays: dict[str, Any] = {}
        try:
            with np.load(self.checkpoint.path, allow_pickle=False) as file:
                arrays = dict(file)
            header = json.loads(str(arrays.pop(_HEADER)))
        except (ValueError, KeyError, EOFError, zipfile.BadZipFile):
            pass
        values = check_saved(self.checkpoint.path, header, _FORMAT, self.problem)
        return values | arrays

    def look(self, fit: Fit, rules: list[Rule], random: np.random.RandomState | None) -> None:
        """Write the file if it is time."""
        often, seconds = self.checkpoint.iterations, self.checkpoint.seconds
        if (often is not None and fit.iteration - self.iteration >= often) or (
            seconds is not None and time.perf_counter() - self.time >= seconds
        ):
            self.write(fit, rules, random)

    def write(self, fit: Fit, rules: list[Rule], random: np.random.RandomState | None) -> None:
        """Write the file."""
        state = fit.state() | {f"rule {i} {name}": v for i, r in enumerate(rules) for name, v in r.state().items()}
        if random is not None:
            _, keys, *rest = random.get_state(legacy=True)
            state |= {"random keys": keys, "random rest": rest}
        # factors that are elsewhere become arrays
        arrays = {name: np.asarray(value) for name, value in state.items() if hasattr(value, "__array__")}
        values = {name: value for name, value in state.items() if name not in arrays}
        header = json.dumps({"format": _FORMAT, "problem": self.problem, "values": values})
        with written_whole(self.checkpoint.path) as draft, draft.open("wb") as file:
            np.savez(file, allow_pickle=False, **{_HEADER: np.array(header)}, **arrays)
        self.iteration, self.time = fit.iteration, time.perf_counter()

    def resume(self, fit: Fit, rules: list[Rule], random: np.random.RandomState | None) -> None:
        """Bring a fit, its rules and its source of randomness to the state that was saved."""
        assert self.saved is not None
        state = self.saved
        fit.resume(state)
        for i, rule in enumerate(rules):
            own = f"rule {i} "
            rule.resume({name.removeprefix(own): value for name, value in state.items() if name.startswith(own)})
        if random is not None and "random keys" in state:
            random.set_state(("MT19937", state["random keys"], *state["random rest"]))
        self.iteration, self.time, self.saved = fit.iteration, time.perf_counter(), None
