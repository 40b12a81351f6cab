"""States of a fit in a file, from which it goes on after it has been stopped."""

import ast
import errno
import glob
import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nmf_core.files import check_destination, written_whole
from nmf_core.solvers.state import State
from nmf_core.stopping import Rule
from nmf_core.validation import check_integer, check_number, check_saved

_FORMAT = "nmf_core checkpoint 1"
_HEADER = "header"
OPTIONS = "options of the solver"  # the entry of a problem that holds them


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
    default_options : dict
        What options of the solver are that the file does not name: those that it did not have, or did not write down.

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

    def __init__(self, checkpoint: Checkpoint, problem: dict[str, Any], default_options: dict[str, Any]) -> None:
        self.checkpoint = checkpoint
        self.problem = json.loads(json.dumps(problem))
        self.default_options = default_options
        check_destination(checkpoint.path)
        self.saved: dict[str, Any] | None = self._read() if checkpoint.path.exists() else None
        target = checkpoint.path.resolve()
        for draft in target.parent.glob(f".{glob.escape(target.name)}.*.tmp"):  # of a process that was killed
            draft.unlink(missing_ok=True)
        self.remembered: dict[str, Any] = {}
        self.iteration = 0
        self.time = time.perf_counter()

    def _read(self) -> dict[str, Any]:
        header: Any = None
        arrays: dict[str, Any] = {}
        try:
            with self.checkpoint.path.open("rb") as file:
                arrays = dict(np.load(file, allow_pickle=False))
            header = json.loads(str(arrays.pop(_HEADER)))
            if header["arrays"] != list(arrays):  # names are not under the checksums of the archive
                header = None
            else:
                options = ast.literal_eval(header["problem"][OPTIONS]) or {}
                header["problem"][OPTIONS] = repr(self.default_options | options or None)
        except OSError as error:
            if error.errno != errno.EINVAL:  # which it is for a place before the beginning
                raise
        except Exception:  # what a damaged archive makes zipfile and numpy raise is of a dozen kinds
            pass
        values = check_saved(self.checkpoint.path, header, _FORMAT, self.problem)
        return values | arrays

    def look(self, solver: Any, s: State, rules: Sequence[Rule], random: np.random.RandomState | None) -> None:
        """After an iteration, and before the rules see it: write the file if it is time."""
        self.remembered = _memories(rules)
        often, seconds = self.checkpoint.iterations, self.checkpoint.seconds
        if (often is not None and s.iteration - self.iteration >= often) or (
            seconds is not None and time.perf_counter() - self.time >= seconds
        ):
            self.write(solver, s, random)

    def write(self, solver: Any, s: State, random: np.random.RandomState | None) -> None:
        """Write the file, with what rules knew before this iteration: they are asked about it again."""
        state = solver.saved(s) | self.remembered
        if random is not None:
            _, keys, *rest = random.get_state(legacy=True)
            state |= {"random keys": keys, "random rest": rest}
        # factors that are elsewhere become arrays
        arrays = {name: np.asarray(value) for name, value in state.items() if hasattr(value, "__array__")}
        values = {name: value for name, value in state.items() if name not in arrays}
        header = json.dumps({"format": _FORMAT, "problem": self.problem, "values": values, "arrays": list(arrays)})
        with written_whole(self.checkpoint.path) as draft, draft.open("wb") as file:
            np.savez(file, allow_pickle=False, **{_HEADER: np.array(header)}, **arrays)
        self.iteration, self.time = s.iteration, time.perf_counter()

    def resume(
        self, problem: Any, solver: Any, s: State, rules: Sequence[Rule], random: np.random.RandomState | None
    ) -> None:
        """Bring a state, its rules and its source of randomness to what was saved."""
        assert self.saved is not None
        state = self.saved
        solver.resume(problem, s, state)
        for i, rule in enumerate(rules):
            own = f"rule {i} {rule.kind} "
            remembered = {name.removeprefix(own): value for name, value in state.items() if name.startswith(own)}
            if remembered:  # else there was another rule: when to stop is no part of the problem
                rule.resume(remembered)
        self.remembered = _memories(rules)
        if random is not None and "random keys" in state:
            random.set_state(("MT19937", state["random keys"], *state["random rest"]))
        self.iteration, self.time, self.saved = s.iteration, time.perf_counter(), None


def _memories(rules: Sequence[Rule]) -> dict[str, Any]:
    """What rules remember, by their place, kind and name."""
    return {f"rule {i} {r.kind} {name}": value for i, r in enumerate(rules) for name, value in r.state().items()}
