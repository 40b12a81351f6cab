"""Files that are written whole or not at all."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def written_whole(path: str | os.PathLike) -> Iterator[Path]:
    """A path to write to: the file there becomes `path` when the block ends, and vanishes if that fails.

    Parameters
    ----------
    path : str or path
        The file that is wanted. If it exists it is replaced in one step; a symbolic link stays one.

    Raises
    ------
    OSError
        It cannot be there; the error names it or its folder.
    """
    target = Path(path).resolve()
    check_destination(target)
    draft = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        yield draft
        with draft.open("rb") as file:
            os.fsync(file.fileno())  # whatever happens then, the name never stands for less than all of it
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)


def check_new_folder(path: Path) -> None:
    """Raise OSError unless there is room for a folder at `path`: nothing, or an empty folder."""
    if path.exists() and not path.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(path))
    if path.is_dir() and any(path.iterdir()):
        said = "There is something in this folder already: give a new or an empty one"
        raise FileExistsError(errno.ENOTEMPTY, said, str(path))
    if not path.parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, "No such folder", str(path.parent))


def check_destination(path: str | os.PathLike) -> None:
    """Raise OSError if a file can't be written whole at `path`: better before the work than after it."""
    path = Path(path)
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if path.exists() and not path.is_file():
        raise OSError(errno.EINVAL, "Not a regular file", str(path))
    if not path.parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, "No such folder", str(path.parent))
    if not os.access(path.parent, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path.parent))
