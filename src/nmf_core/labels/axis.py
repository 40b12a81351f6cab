"""The labels of an axis, and the one rule by which two axes are brought into the same order."""

import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from functools import cached_property
from numbers import Real
from typing import Any

import numpy as np


class Axis(Sequence):
    """The labels of the rows or of the columns of a matrix.

    A sequence, which equals every other one of the same labels.

    Parameters
    ----------
    labels : pandas.Index or iterable
        Text, numbers, dates, tuples, or whatever can be a key of a dict.

    Attributes
    ----------
    original : pandas.Index or tuple
        The index as it was given; anything else as a tuple.

    Examples
    --------
    >>> from nmf_core.labels import Axis
    >>> genes = Axis(["a", "b", "c"])
    >>> genes[1], len(genes), genes == ("a", "b", "c")
    ('b', 3, True)
    >>> genes.find(["c", "z"])
    array([ 2, -1])
    """

    def __init__(self, labels: Any) -> None:
        self.original: Any = labels if hasattr(labels, "get_indexer") else tuple(labels)

    @classmethod
    def of(cls, labels: Any) -> "Axis | None":
        """An axis with these labels, which may be an axis already; None for None."""
        return labels if labels is None or isinstance(labels, Axis) else cls(labels)

    @cached_property
    def labels(self) -> tuple[Any, ...]:
        """The labels as a tuple of Python objects, of which every NaN is the same one, so that it can be found."""
        plain = (label.item() if isinstance(label, np.generic) and label.dtype.kind in "biufU" else label
                 for label in self.original)  # fmt: skip
        return tuple(math.nan if isinstance(label, float) and math.isnan(label) else label for label in plain)

    @cached_property
    def text(self) -> tuple[str, ...]:
        """The labels as text."""
        return tuple(map(str, self.labels))

    def __len__(self) -> int:
        return len(self.original)

    def __getitem__(self, i: Any) -> Any:
        return self.labels[i]

    def __iter__(self) -> Iterator[Any]:
        return iter(self.labels)

    def __eq__(self, other: object) -> bool:
        labels = other.original if isinstance(other, Axis) else other
        if labels is self.original:
            return True
        if hasattr(labels, "equals") and hasattr(self.original, "equals"):
            return bool(self.original.equals(labels))
        return isinstance(other, Sequence) and not isinstance(other, str) and self.labels == tuple(other)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        shown = ", ".join(map(repr, self.labels[:6]))
        return f"Axis([{shown}{', ...' if len(self) > 6 else ''}], length {len(self)})"

    @cached_property
    def _types(self) -> frozenset[type]:
        return frozenset(map(type, self.labels))

    @property
    def is_text(self) -> bool:
        """Whether all labels are text."""
        return all(issubclass(kind, str) for kind in self._types)

    @property
    def has_numbers(self) -> bool:
        """Whether numbers are among the labels, so that a number means a label and not a place."""
        return any(issubclass(kind, Real) and not issubclass(kind, bool) for kind in self._types)

    @cached_property
    def is_numbering(self) -> bool:
        """Whether the labels only count from 0, as those of frames do to which nobody has given any."""
        return bool(self.text[:1] == ("0",) and self.text == tuple(map(str, range(len(self)))))

    @property
    def names_nothing(self) -> bool:
        """Whether the labels only count: from 0, or c1, c2, ..., as components do to which nobody has given names."""
        return self.is_numbering or self == component_names(len(self))

    @cached_property
    def twice(self) -> frozenset[Any]:
        """Labels that occur more than once."""
        if len(self._places) == len(self):
            return frozenset()
        return frozenset(label for i, label in enumerate(self.labels) if self._places[label] != i)

    @cached_property
    def _places(self) -> dict[Any, int]:
        return dict(zip(reversed(self.labels), range(len(self) - 1, -1, -1), strict=True))

    def find(self, labels: Iterable[Any]) -> np.ndarray:
        """Where labels are: numbers from 0 (int64), -1 for those that are not here, the first place of one of several.

        Dates may also be given as text, or in the types of NumPy.
        """
        wanted: Any = labels if isinstance(labels, np.ndarray) else list(labels)
        kinds = [getattr(getattr(some, "dtype", None), "kind", "O") for some in (self.original, wanted)]
        if all(kind in "iuf" for kind in kinds) and self.original.is_unique:
            return np.asarray(self.original.get_indexer(wanted), dtype=np.int64)
        if hasattr(self.original, "asi8"):
            wanted = [label if label in self._places else self._date(label) for label in wanted]
        return np.array([self._places.get(label, -1) for label in wanted], dtype=np.int64)

    def _date(self, label: Any) -> Any:
        """What a label means among dates or times, or itself."""
        with suppress(TypeError, ValueError):
            return type(self.original)([label], dtype=self.original.dtype)[0]
        return label


def component_names(k: int) -> tuple[str, ...]:
    """Names of k components: c1, c2, ..."""
    return tuple(f"c{j + 1}" for j in range(k))


def in_order(given: Axis | None, wanted: Axis | None, name: str, what: str, of: str) -> np.ndarray | None:
    """The places of rows or columns that bring what is `given` into the order that is `wanted`.

    An axis without labels, or whose labels only count from 0, is taken as it stands, unless these are also the labels
    of the other one. Text and other labels are the same if they read the same.

    Parameters
    ----------
    given, wanted : Axis or None
        The labels that are there, and those to which they must fit.
    name, of : str
        What has these labels, for messages: such as "weights" and "X".
    what : {"row", "column"}
        What is labelled.

    Returns
    -------
    ndarray of int64, or None
        None if nothing has to be moved.

    Raises
    ------
    ValueError
        Labels of one are not among those of the other, or do not say what belongs together.
    """
    if given is None or wanted is None or given == wanted:
        return None
    if given.is_text != wanted.is_text:
        given, wanted = Axis(given.text), Axis(wanted.text)
        if given == wanted:
            return None
    places, own = given.find(wanted.labels), wanted.find(given.labels)
    if (places < 0).any() or (own < 0).any():
        if given.is_numbering or wanted.is_numbering:
            return None
        there = [
            f"{(absent < 0).sum()} of {len(absent)} {where}, the first {labels[int(absent.argmin())]!r}"
            for absent, labels, where in ((places, wanted, "are lacking"), (own, given, "are not known"))
            if (absent < 0).any()
        ]
        raise ValueError(f"The {what}s of {name} are not those of {of}: {'; '.join(there)}.")
    if repeated := given.twice or wanted.twice:
        raise ValueError(
            f"The {what}s of {name} are in another order than those of {of}, and cannot be told apart: "
            f"{min(repeated, key=str)!r} occurs twice."
        )
    if given.is_numbering:
        raise ValueError(
            f"The {what}s of {name} are numbered from 0, those of {of} are the same numbers in another order: give "
            f"both the same labels, or {name} as an array in the order of {of}."
        )
    return places
