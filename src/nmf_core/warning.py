"""Warnings: their class, which line they point to, and functions that call others and warn once."""

import inspect
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_held: ContextVar[list[Warning] | None] = ContextVar("held", default=None)


class ConvergenceWarning(UserWarning):
    """A fit, or the solution of some rows, has stopped before it converged.

    Those of the estimators are scikit-learn's ConvergenceWarning, too.

    Examples
    --------
    >>> import warnings, nmf_core
    >>> warnings.simplefilter("ignore", nmf_core.ConvergenceWarning)
    """


def warn(message: str, category: type[Warning] = UserWarning) -> None:
    """Warn, pointing to the line outside of this package, and of scikit-learn, that has called it."""
    held = _held.get()
    if held is None:
        warnings.warn(message, category, stacklevel=_level())
    else:
        held.append(category(message))


_of_counts_told = False


def warn_of_counts() -> None:
    """Say once a process which loss suits counts."""
    global _of_counts_told
    if not _of_counts_told:
        _of_counts_told = True
        warn(
            "X holds whole numbers. If they are counts, loss='kullback-leibler' suits them better than the default, "
            "'frobenius'; naming a loss silences this."
        )


def _level() -> int:
    """How many frames the one of `warn` and the first one outside are apart, counted as `warnings` does."""
    frame, level = inspect.currentframe(), 0
    while frame is not None and str(frame.f_globals.get("__name__")).partition(".")[0] in ("nmf_core", "sklearn"):
        frame, level = frame.f_back, level + 1
    return level


@contextmanager
def held_back() -> Iterator[list[Warning]]:
    """Collect what public functions that are called inside warn of, in this thread, instead of showing it."""
    held: list[Warning] = []
    token = _held.set(held)
    try:
        yield held
    finally:
        _held.reset(token)


def warn_once(held: list[Warning], calls: str) -> None:
    """One warning for the first ones that some of several calls have held back; `calls` says how many these are."""
    if held:
        first = min(held, key=str)
        warn(f"{len(held)} of {calls} have warned, such as: {first}", type(first))
