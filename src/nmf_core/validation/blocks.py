"""Checks of data that come in blocks of rows."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from nmf_core.labels import Labelled
from nmf_core.validation.matrices import check_matrix, check_numeric, is_sparse
from nmf_core.warning import warn


def check_blocks(blocks: Any) -> Callable[[], Iterator[Any]]:
    """What makes a new iterator over the blocks whenever it is called."""
    if callable(blocks):
        return blocks
    if hasattr(blocks, "__next__"):
        raise TypeError(
            "blocks can be read only once, but a fit reads them in every iteration: give a function that makes a new "
            "iterator, such as `lambda: read_blocks(path)`, or a list."
        )
    if not hasattr(blocks, "__iter__"):
        raise TypeError(f"blocks must be a function without arguments that returns an iterator, got {blocks!r}.")
    return lambda: iter(blocks)


def check_block_shape(shape: Any) -> tuple[int, int]:
    """A pair of positive integers."""
    if (
        not isinstance(shape, tuple | list)
        or len(shape) != 2
        or not all(isinstance(n, int | np.integer) for n in shape)
    ):
        raise TypeError(f"shape must be (n_samples, n_features), got {shape!r}.")
    if min(shape) < 1:
        raise ValueError(f"X is empty: its shape is {shape[0]} x {shape[1]}.")
    return int(shape[0]), int(shape[1])


def check_block_dtype(dtype: Any) -> np.dtype:
    """The dtype float32 or float64."""
    found = np.dtype(dtype)
    if found not in (np.float32, np.float64):
        raise TypeError(f"dtype must be float32 or float64, got {found}.")
    return found


def check_row_block(
    block: Any, i: int, first: int, shape: tuple[int, int], dtype: np.dtype, *, values: bool, what: str = "row"
) -> Labelled:
    """Block i of a matrix of this shape, which begins at row `first`, as an array or CSR in this dtype.

    Integers, booleans and narrower floats are converted. With `values` its entries are looked at, too, and it has its
    scan; `what` is what its rows are in X.
    """
    name = f"block {i} of X"
    if not is_sparse(block):
        block = np.asarray(block)
    elif block.format != "csr":
        block = block.tocsr()
    if block.ndim != 2:
        raise ValueError(f"{name} must have 2 dimensions, but it has {block.ndim}.")
    n, m = block.shape
    if m != shape[1]:
        raise ValueError(f"{name} ({what}s from {first} on) has width {m}, but X has width {shape[1]}.")
    if first + n > shape[0]:
        raise ValueError(f"{name} ends after {what} {first + n - 1}, but X has {shape[0]} {what}s.")
    if block.dtype != dtype:
        if block.dtype.kind == "f" and block.dtype.itemsize > dtype.itemsize:
            raise TypeError(f"{name} ({what}s from {first} on) has dtype {block.dtype}, but X is said to have {dtype}.")
        check_numeric(block.dtype, name)
        block = block.astype(dtype)
    if values and n:
        return check_matrix(block, f"{name} ({what}s {first} to {first + n - 1})")
    return Labelled(block)


def check_all_read(n_read: int, n: int, passes: int, what: str = "row") -> None:
    """Whether the blocks of a pass hold all of X."""
    if n_read == n:
        return
    if passes and n_read == 0:
        raise ValueError(
            "X can be read only once: its blocks were there in the first pass and none is in the next. The function "
            "that is called for them must make a new iterator each time."
        )
    hint = " It was complete before: has a file been cut short?" if passes else ""
    raise ValueError(f"The blocks of X end after {n_read} of its {n} {what}s.{hint}")


def check_bytes_read(n_read: int, n: int, path: Any, row: int) -> None:
    """Whether a file held what was wanted of it."""
    if n_read < n:
        raise OSError(f"{path} ends at row {row} of X: it has been cut short.")


def check_chunks(X: Any) -> Any:
    """A dask array of known size, whose chunks hold whole rows; one that is cut along its columns is rechunked."""
    if X.ndim != 2:
        raise ValueError(f"X must be a matrix with 2 dimensions, but it has {X.ndim}.")
    if any(np.isnan(n) for n in X.shape):
        raise ValueError("X has chunks of unknown size: X.compute_chunk_sizes() finds them out.")
    check_block_shape(X.shape)
    if len(X.chunks[1]) > 1:
        warn(
            f"X is cut into {len(X.chunks[1])} chunks along its columns; it is rechunked so that every chunk holds "
            f"whole rows. X.rechunk({{1: -1}}) does it once and for all."
        )
        X = X.rechunk({1: -1})
    return X


def check_resident(resident: bool, what: str) -> None:
    """Whether data are at hand, for what needs them so."""
    if not resident:
        raise ValueError(f"{what} needs X in memory, but it comes in blocks; read it first, if it fits.")
