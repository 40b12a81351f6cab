"""Types of the compiled kernels. Shapes: F (n, ld), G and the first rows of S (m, ld), gram (k, k) with k <= ld."""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from typing_extensions import disjoint_base

LEVELS: Final[tuple[str, ...]]
METHODS: Final[dict[str, int]]
OPENMP: Final[int]

def best_level() -> int: ...
def max_threads() -> int: ...

@disjoint_base
class Team:
    n_threads: int
    level: int
    def __init__(self, n_threads: int = 1, level: int | None = None) -> None: ...

def dense_pass(
    F: NDArray[Any],
    N: NDArray[Any] | None,
    S: NDArray[Any] | None,
    report: NDArray[np.float64],
    X: NDArray[Any],
    G: NDArray[Any],
    start: NDArray[Any],
    before: NDArray[Any],
    scale: NDArray[Any],
    gram: NDArray[Any],
    order: NDArray[np.int32],
    method: int,
    l1: float,
    beta: float,
    max_sweeps: int,
    tol: float,
    team: Team,
) -> None: ...
def csr_pass(
    F: NDArray[Any],
    N: NDArray[Any] | None,
    S: NDArray[Any] | None,
    report: NDArray[np.float64],
    data: NDArray[Any],
    indices: NDArray[Any],
    indptr: NDArray[Any],
    splits: NDArray[Any],
    groups: NDArray[Any],
    G: NDArray[Any],
    start: NDArray[Any],
    before: NDArray[Any],
    scale: NDArray[Any],
    gram: NDArray[Any],
    order: NDArray[np.int32],
    method: int,
    l1: float,
    beta: float,
    max_sweeps: int,
    tol: float,
    team: Team,
) -> None: ...
def factor_pass(
    F: NDArray[Any],
    N: NDArray[Any] | None,
    FtF: NDArray[Any] | None,
    report: NDArray[np.float64],
    cross: NDArray[Any],
    start: NDArray[Any],
    before: NDArray[Any],
    scale: NDArray[Any],
    gram: NDArray[Any],
    order: NDArray[np.int32],
    method: int,
    l1: float,
    beta: float,
    max_sweeps: int,
    tol: float,
    team: Team,
) -> None: ...
def dense_product(C: NDArray[Any], X: NDArray[Any], G: NDArray[Any], team: Team) -> None: ...
def csr_product(
    C: NDArray[Any],
    data: NDArray[Any],
    indices: NDArray[Any],
    indptr: NDArray[Any],
    G: NDArray[Any],
    team: Team,
) -> None: ...
def csr_inner(
    data: NDArray[Any],
    indices: NDArray[Any],
    indptr: NDArray[Any],
    F: NDArray[Any],
    G: NDArray[Any],
    team: Team,
) -> float: ...
def csr_split(
    splits: NDArray[Any], indices: NDArray[Any], indptr: NDArray[Any], bounds: NDArray[Any], team: Team
) -> None: ...
