"""Labels that look like data, and data that look like labels."""

import re
from collections.abc import Sequence

import numpy as np

from nmf_core.io.recognition import DIGITS, is_number
from nmf_core.labels import LabelledMatrix

# The argument `labels` that says which there are: of columns, of rows.
LABELS_OF = {(False, False): "none", (True, False): "columns", (False, True): "rows", (True, True): "both"}

_HEADS_LABELS = re.compile(
    r"(^|[^a-z])(ids?|index|idx|key|code|no|nr|number|sample|subject|patient|user|customer|gene|time|date|year|month|day|"
    r"hour|frame|wavelength|wavenumber|frequency|nm|mz)([^a-z]|$)"
)


def doubts(table: LabelledMatrix, first: Sequence[str] = (), header: np.ndarray | None = None) -> str:
    """What may have been taken for data or for labels by mistake, and how to say what it is; "" if nothing.

    `first` is the first line if it is text; `header` the labels of columns if all of them are numbers.
    """
    X, rows, columns = table
    if 0 in X.shape:
        return ""
    corner = first[0] if columns and first and len(first) > len(columns) else ""
    for labels, what, others in (
        (rows if not _heads_labels(corner) else None, "column", "columns" if columns else "none"),
        (columns, "line", "rows" if rows else "none"),
    ):
        if labels and _are_broken_numbers(labels):
            kept = LABELS_OF[columns is not None, rows is not None]
            return (
                f"the first {what} ({_beginning(labels)}) may be data, most of which are numbers: labels={others!r} "
                f"reads it as data, labels={kept!r} as labels"
            )
    if rows and columns:
        if header is None or len(header) < 3 or (_is_monotone(header) and not _is_like(header, X)):
            return ""
        return (
            f"the first line ({_beginning(first)}) may be data: labels='rows' reads it as data, labels='both' as labels"
        )
    heading = columns[0] if columns else ""
    line = not columns and any(_looks_like_labels(X[0, j:], X[1:, j:]) for j in (0, 1))
    column = not rows and any(_looks_like_labels(X[i:, 0], X[i:, 1:].T, heading) for i in (0, 1))
    if not line and not column:
        return ""
    first_column = ": ".join(filter(None, [heading, _beginning([f"{value:g}" for value in X[:4, 0]])]))
    suspects = [f"the first line ({_beginning(first)})"] * line + [f"the first column ({first_column})"] * column
    given = (columns is not None, rows is not None)
    return (
        f"{' and '.join(suspects)} may be labels: labels={LABELS_OF[given[0] or line, given[1] or column]!r} reads "
        f"them as labels, labels={LABELS_OF[given]!r} as data"
    )


def _beginning(cells: Sequence[str]) -> str:
    return ", ".join(cells[:3]) + ", ..." * (len(cells) > 3)


def _are_broken_numbers(labels: Sequence[str]) -> bool:
    """Whether most labels are what somebody takes for a number, but not all of them are one."""
    numbers = sum(is_number(label) for label in labels)
    meant = sum(is_number(label) or DIGITS.fullmatch(label) is not None for label in labels)
    return numbers < len(labels) < 2 * meant


def _heads_labels(heading: str) -> bool:
    """Whether a heading says that below it are labels."""
    return _HEADS_LABELS.search(re.sub(r"(?<=[a-z])(?=[A-Z])", "_", heading).lower()) is not None


def _looks_like_labels(values: np.ndarray, others: np.ndarray, heading: str = "") -> bool:
    """Whether a line or column is like ids, times or wavelengths, and not like the others, which are data.

    That is if its heading says so, if it goes up or down, evenly or for long, and the others do not, or if it has whole
    numbers far above all others.
    """
    if len(values) < 3 or len(others) == 0 or not np.isfinite(values).all() or len(np.unique(values)) < len(values):
        return False
    if _heads_labels(heading):
        return True
    if not _is_monotone(values):
        return bool(len(values) > 4 and (values == np.rint(values)).all() and values.min() > 10 * _range(others)[1])
    low, high = _range(others)
    steps = np.diff(values)
    stands_out = np.allclose(steps, steps[0], rtol=0.01) or len(values) > 5 or values.min() > high or values.max() < low
    alike = np.mean([_is_monotone(other) for other in others[:20]])
    return bool(values.min() > 10 * high or (stands_out and alike < 0.5))


def _is_monotone(values: np.ndarray) -> bool:
    steps = np.diff(values)
    return bool((steps > 0).all() or (steps < 0).all())


def _is_like(values: np.ndarray, data: np.ndarray) -> bool:
    """Whether numbers that are not whole are within the range of data."""
    low, high = _range(data)
    return bool((values != np.rint(values)).any() and low <= values.min() and values.max() <= high)


def _range(data: np.ndarray) -> tuple[float, float]:
    return float(np.fmin.reduce(data, None)), float(np.fmax.reduce(data, None))
