"""The command ``nmf-core``: fit, transform, rank, recommend, demo."""

import argparse
import os
import sys
import warnings
from collections.abc import Sequence

from nmf_core.cli.commands import note
from nmf_core.cli.parser import make_parser


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
    with warnings.catch_warnings():
        quiet = getattr(options, "quiet", False)
        warnings.showwarning = lambda message, *_, **__: None if quiet else note(f"warning: {_one_line(message)}")
        return _run(options)


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
        note(f"error: {_one_line(error)}")
        return 1
    except KeyboardInterrupt:
        note("interrupted")
        return 130


def _one_line(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    if isinstance(error, MemoryError):
        return f"not enough memory: {error}" if str(error) else "not enough memory"
    return " ".join(str(error).split()) or type(error).__name__
