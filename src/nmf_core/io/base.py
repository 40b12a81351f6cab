"""What all readers share: the result, and how a file and its faults are named."""

import csv
import errno
import importlib
import os
import zipfile
import zlib
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

# What readers raise on a file that isn't what its name says, or not all of it.
UNREADABLE = (
    *(ValueError, TypeError, LookupError, EOFError, OverflowError, RuntimeError),
    *(csv.Error, zlib.error, zipfile.BadZipFile),
)

# What stands for standard input, which is text.
STDIN = Path("-")

LABELS = ("auto", "both", "rows", "columns", "none")

# What arrays are called that hold the labels of one beside them.
LABEL_ARRAYS = ("row_labels", "column_labels")


def locate(
    file: str | os.PathLike,
    endings: Collection[str],
    what: str,
    keyed: Collection[str] = (),
    folders: Mapping[str, str] = MappingProxyType({}),
) -> tuple[Path, str, str]:
    """Path, name of an array in it, and ending, which is one of those given, of a file that is there.

    Endings that are `keyed` may have such a name, those of `folders` may be folders, also one of another name with a
    file as the pattern says. Standard input is text.
    """
    path, key, ending = split(file, endings)
    if path == STDIN:
        return path, "", ".csv"
    if path.is_dir():
        held = (kind for kind, pattern in folders.items() if next(path.glob(pattern), None))
        ending = ending or next(held, "")
        if ending not in folders:
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if ending not in endings:
        raise ValueError(f"{path}: the name of {what} must end in one of {', '.join(endings)}")
    if key and ending not in keyed:
        raise ValueError(f"{path}: ::{key} would choose an array of an .npz file or the like, which this is not")
    path.stat()  # readers differ in what they raise if the file is missing
    return path, key, ending


def split(file: str | os.PathLike, endings: Collection[str]) -> tuple[Path, str, str]:
    """Path, name of an array in it ("" if none is given), and ending of the path ("" if it is none of those given)."""
    name, key = os.fspath(file), ""
    if "::" in name and not Path(name).exists():
        name, _, key = name.rpartition("::")
    found = [ending for ending in endings if name.lower().rstrip("/").endswith(ending)]
    return Path(name), key, found[0] if found else ""


def choose(path: Path, what: str, matrices: Collection[str], names: Collection[str], key: str) -> str:
    """The name of the only matrix, or, of several or other arrays, the one that is called `key`."""
    if key and key.strip("/") in names:
        return key.strip("/")
    if key:
        raise ValueError(f"holds no {what} {key!r}, only {listed(names)}")
    if not matrices:
        raise ValueError(f"holds no matrix of numbers; it has {listed(names)}")
    if len(matrices) > 1:
        raise ValueError(f"holds {len(matrices)} {what}s ({listed(matrices)}); choose one as {path}::NAME")
    return next(iter(matrices))


def listed(names: Collection[str]) -> str:
    """Names for a message, not more than fit on a line."""
    shown = [*names][:20]
    more = f" and {len(names) - len(shown)} more" if len(names) > len(shown) else ""
    return f"{', '.join(shown)}{more}" if shown else "nothing"


def library(name: str, what: str, extra: str = "io") -> Any:
    """A library that is not always there, or an ImportError that says how to get it."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        needed = name.partition(".")[0]
        raise ImportError(f'Reading {what} needs {needed}: pip install "nmf-core[{extra}]"') from error


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Errors of readers become one line that begins with the name of the file."""
    name = source_name(path)
    try:
        yield
    except (*UNREADABLE, OSError, MemoryError) as error:
        text = " ".join(str(error).split()) or type(error).__name__
        if isinstance(error, OSError) and (error.filename is not None or name in text):
            raise
        raise ValueError(f"{name}: {text}") from error


def source_name(path: Path) -> str:
    """What messages call a file."""
    return "standard input" if path == STDIN else str(path)
