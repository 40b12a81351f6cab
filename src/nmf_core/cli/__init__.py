"""The command ``nmf-core``: fit, transform, rank, consensus, compare, recommend, demo."""

import argparse
import logging
import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from nmf_core.cli.commands import note
from nmf_core.cli.parser import make_parser
from nmf_core.cli.wording import in_options


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Parameters
    ----------
    arguments : sequence of str, optional
        What stands behind ``nmf-core``; by default that of the process.

    Returns
    -------
    int
        Exit status: 0, 1 for bad input, 130 after an interrupt with nothing to keep.

    Raises
    ------
    SystemExit
        With 2 for wrong usage, 0 after ``--help`` and ``--version``.
    """
    options = make_parser().parse_args(arguments)
    with warnings.catch_warnings(), _noting(options):
        warnings.showwarning = lambda message, *_, **__: (
            None if options.quiet else note(f"warning: {_one_line(message, options)}")
        )
        return _run(options)


@contextmanager
def _noting(options: argparse.Namespace) -> Iterator[None]:
    """What the library logs becomes lines on standard error; if quiet, only what it warns of."""
    handler = _Notes(options)
    logger = logging.getLogger("nmf_core")
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.WARNING if options.quiet else logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)


class _Notes(logging.Handler):
    def __init__(self, options: argparse.Namespace) -> None:
        super().__init__()
        self._options = options

    def emit(self, record: logging.LogRecord) -> None:
        kind = "warning: " if record.levelno >= logging.WARNING else ""
        note(f"{kind}{in_options(record.getMessage(), self._options)}")


def _run(options: argparse.Namespace) -> int:
    try:
        status: int = options.command(options)
        sys.stdout.flush()
        return status
    except BrokenPipeError:
        # Who read our output has seen enough; Python must not try to flush the rest.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (ValueError, TypeError, OSError, ImportError, MemoryError) as error:
        note(f"error: {_one_line(error, options)}")
        return 1
    except KeyboardInterrupt:
        note("interrupted")
        return 130


def _one_line(error: BaseException, options: argparse.Namespace) -> str:
    if isinstance(error, OSError) and error.strerror and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    if isinstance(error, MemoryError):
        return f"not enough memory: {error}" if str(error) else "not enough memory"
    return in_options(" ".join(str(error).split()), options) or type(error).__name__
