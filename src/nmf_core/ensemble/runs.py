"""The runs of an ensemble: in memory, or each in a file of its own."""

import json
import re
import tempfile
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from nmf_core.factorization import Factorization, load
from nmf_core.files import written_whole
from nmf_core.interpretation import strongest_components
from nmf_core.labels import packed, unpacked
from nmf_core.validation import check_run, check_saved

FORMAT = "nmf_core ensemble 1"
ABOUT, LABELS = "ensemble.json", "labels.npz"


class Runs(Sequence[Factorization]):
    """Factorizations by the number of their run, those that are there in ascending order.

    Parameters
    ----------
    folder : path, optional
        Where they are files; the last one that was read stays in memory. By default all of them do.
    temporary : TemporaryDirectory, optional
        What removes the folder when nobody needs it any more.

    Attributes
    ----------
    labels : dict of int to ndarray
        The strongest component of every sample (n_samples,) in each run; as many as there are where none contributes.
    """

    def __init__(self, folder: Path | None = None, temporary: Any = None) -> None:
        self.folder = folder
        self.temporary = temporary
        self.there: dict[int, Factorization | None] = {}
        self.labels: dict[int, np.ndarray] = {}
        self.axes: dict[str, Any] = {}
        self.recent: tuple[int, Factorization] | None = None
        self.lock = threading.Lock()

    @classmethod
    def in_temporary_files(cls) -> "Runs":
        """Runs in a folder that vanishes with them."""
        temporary = tempfile.TemporaryDirectory(prefix="nmf_core.")
        return cls(Path(temporary.name), temporary)

    def put(self, number: int, f: Factorization) -> None:
        """Keep a run."""
        labels = labels_of(f)
        if self.folder is not None:
            replace(f, row_labels=None, column_labels=None).save(self.folder / f"run-{number:05d}.npz")
        with self.lock:
            self.axes = {name: getattr(f, name) for name in ("row_labels", "column_labels", "frame_library")}
            self.labels[number] = labels
            self.there[number] = f if self.folder is None else None
            self.there = dict(sorted(self.there.items()))

    def __getstate__(self) -> dict[str, Any]:
        state = {name: value for name, value in vars(self).items() if name not in ("lock", "recent", "temporary")}
        if self.temporary is not None:  # the folder will not be there
            there = {number: self[i] for i, number in enumerate(self.numbers)}
            state |= {"there": there, "folder": None}
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, lock=threading.Lock(), recent=None, temporary=None)

    @property
    def numbers(self) -> list[int]:
        """The numbers of the runs that are there."""
        return list(self.there)

    def __len__(self) -> int:
        return len(self.there)

    def __getitem__(self, i: Any) -> Any:
        if isinstance(i, slice):
            return [self[j] for j in range(*i.indices(len(self)))]
        number = self.numbers[i]
        f = self.there[number]
        if f is not None or self.folder is None:
            return f
        recent = self.recent
        if recent is None or recent[0] != number:
            saved = load(self.folder / f"run-{number:05d}.npz")
            self.recent = recent = number, replace(saved, **self.axes)
        return recent[1]

    def __iter__(self) -> Iterator[Factorization]:
        return (self[i] for i in range(len(self)))

    # --- the folder

    def describe(self, about: dict[str, Any]) -> None:
        """Write down what the runs in the folder are about."""
        assert self.folder is not None
        self.folder.mkdir(parents=True, exist_ok=True)
        arrays, described = {}, {}
        for name in ("row_labels", "column_labels"):
            axis = self.axes.get(name)
            if axis is not None:
                described[name], more = packed(axis.original, name)
                arrays.update(more)
        with written_whole(self.folder / LABELS) as draft, draft.open("wb") as file:
            np.savez(file, allow_pickle=False, **arrays)
        about = {"format": FORMAT, "labels": described, "library": self.axes.get("frame_library"), **about}
        with written_whole(self.folder / ABOUT) as draft:
            draft.write_text(json.dumps(about, indent=1), encoding="utf-8")

    def read(self, problem: dict[str, Any] | None = None) -> dict[str, Any]:
        """Find the runs that are in the folder already, and what it says of them.

        Raises
        ------
        ValueError
            It is no ensemble, or about another problem than this one.
        """
        assert self.folder is not None
        about: Any = None
        try:
            about = json.loads((self.folder / ABOUT).read_text(encoding="utf-8"))
            with np.load(self.folder / LABELS, allow_pickle=False) as file:
                arrays = {name: file[name] for name in file.files}
            axes = {name: unpacked(label, arrays, name) for name, label in about["labels"].items()}
            self.axes = {"row_labels": None, "column_labels": None, "frame_library": about["library"], **axes}
        except (OSError, LookupError, TypeError, ValueError, EOFError):
            about = None
        check_saved(self.folder, about, FORMAT, json.loads(json.dumps(problem or {})), "an ensemble")
        seeds = about["seeds"]
        for path in sorted(self.folder.glob("run-*.npz")):
            if found := re.fullmatch(r"run-(\d+)", path.stem):
                self.there[int(found[1])] = None
        for i, number in enumerate(self.numbers):
            f = self[i]
            seed = seeds[number] if number < len(seeds) else None
            check_run(self.folder / f"run-{number:05d}.npz", f.parameters.get("random_state"), seed)
            self.labels[number] = labels_of(f)
        return about


def labels_of(f: Factorization) -> np.ndarray:
    """The strongest component of every sample (n_samples,), as many as there are where none contributes."""
    k = f.n_components
    labels = strongest_components(f)
    labels[~np.asarray(f.W).any(axis=1)] = k
    return labels.astype(np.uint8 if k < 256 else np.uint16)
