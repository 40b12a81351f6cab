"""Types of the compiled kernels. Shapes: F (n, ld), G and the first rows of S (m, ld), gram (k, k) with k <= ld."""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from typing_extensions import disjoint_base

LEVELS: Final[tuple[str, ...]]
METHODS: Final[dict[str, int]]
REPORT_SIZE: Final[int]
PIVOT_RULES: Final[dict[str, int]]
OPENMP: Final[int]

def best_level() -> int: ...
def max_threads() -> int: ...

@disjoint_base
class Workspace:
    n_threads: int
    level: int
    def __init__(self, n_threads: int = 1, level: int | None = None) -> None: ...

def dense_pass(
    F: NDArray[Any],
    F_new: NDArray[Any] | None,
    S: NDArray[Any] | None,
    report: NDArray[np.float64],
    X: NDArray[Any],
    G: NDArray[Any],
    start: NDArray[Any],
    previous: NDArray[Any],
    scale: NDArray[Any],
    gram: NDArray[Any],
    matrix: NDArray[Any],
    order: NDArray[np.int32],
    method: int,
    l1: float,
    rate: float,
    momentum: float,
    max_sweeps: int,
    tol: float,
    workspace: Workspace,
) -> None: ...
def dense_passes(passes: list[tuple[Any, ...]], X: NDArray[Any], workspace: Workspace) -> None: ...
def csr_passes(
    passes: list[tuple[Any, ...]],
    data: NDArray[Any],
    indices: NDArray[np.int32],
    indptr: NDArray[np.int64],
    groups: NDArray[np.int64],
    workspace: Workspace,
) -> None: ...
def csr_pass(
    F: NDArray[Any],
    F_new: NDArray[Any] | None,
    S: NDArray[Any] | None,
    report: NDArray[np.float64],
    data: NDArray[Any],
    indices: NDArray[Any],
    indptr: NDArray[Any],
    splits: NDArray[Any],
    groups: NDArray[Any],
    G: NDArray[Any],
    start: NDArray[Any],
    previous: NDArray[Any],
    scale: NDArray[Any],
    gram: NDArray[Any],
    matrix: NDArray[Any],
    order: NDArray[np.int32],
    method: int,
    l1: float,
    rate: float,
    momentum: float,
    max_sweeps: int,
    tol: float,
    workspace: Workspace,
) -> None: ...
def factor_pass(
    F: NDArray[Any],
    F_new: NDArray[Any] | None,
    FtF: NDArray[Any] | None,
    report: NDArray[np.float64],
    cross: NDArray[Any],
    start: NDArray[Any],
    previous: NDArray[Any],
    scale: NDArray[Any],
    gram: NDArray[Any],
    matrix: NDArray[Any],
    order: NDArray[np.int32],
    method: int,
    l1: float,
    rate: float,
    momentum: float,
    max_sweeps: int,
    tol: float,
    workspace: Workspace,
) -> None: ...
def dense_product(C: NDArray[Any], X: NDArray[Any], G: NDArray[Any], workspace: Workspace) -> None: ...
def csr_product(
    C: NDArray[Any],
    data: NDArray[Any],
    indices: NDArray[Any],
    indptr: NDArray[Any],
    G: NDArray[Any],
    workspace: Workspace,
) -> None: ...
def dense_beta_pass(
    F: NDArray[Any],
    F_new: NDArray[Any] | None,
    S: NDArray[Any] | None,
    report: NDArray[np.float64],
    X: NDArray[Any],
    G: NDArray[Any],
    start: NDArray[Any],
    previous: NDArray[Any],
    scale: NDArray[Any],
    sums: NDArray[Any],
    order: NDArray[np.int32],
    l1: float,
    l2: float,
    momentum: float,
    max_sweeps: int,
    tol: float,
    loss_beta: float,
    exponent: float,
    floors: NDArray[Any],
    inner_updates: int,
    den_power: float,
    workspace: Workspace,
) -> None: ...
def csr_beta_pass(
    F: NDArray[Any],
    F_new: NDArray[Any] | None,
    S: NDArray[Any] | None,
    report: NDArray[np.float64],
    data: NDArray[Any],
    indices: NDArray[Any],
    indptr: NDArray[Any],
    splits: NDArray[Any],
    groups: NDArray[Any],
    G: NDArray[Any],
    start: NDArray[Any],
    previous: NDArray[Any],
    scale: NDArray[Any],
    sums: NDArray[Any],
    order: NDArray[np.int32],
    l1: float,
    l2: float,
    momentum: float,
    max_sweeps: int,
    tol: float,
    loss_beta: float,
    exponent: float,
    floors: NDArray[Any],
    inner_updates: int,
    den_power: float,
    workspace: Workspace,
) -> None: ...
def factor_beta_pass(
    F: NDArray[Any],
    F_new: NDArray[Any] | None,
    report: NDArray[np.float64],
    numerator: NDArray[Any],
    denominator: NDArray[Any],
    start: NDArray[Any],
    previous: NDArray[Any],
    scale: NDArray[Any],
    sums: NDArray[Any],
    order: NDArray[np.int32],
    l1: float,
    l2: float,
    momentum: float,
    loss_beta: float,
    exponent: float,
    den_power: float,
    workspace: Workspace,
) -> None: ...
def dense_newton(
    F: NDArray[Any],
    F_new: NDArray[Any] | None,
    report: NDArray[np.float64],
    X: NDArray[Any],
    G: NDArray[Any],
    start: NDArray[Any],
    previous: NDArray[Any],
    scale: NDArray[Any],
    sums: NDArray[Any],
    order: NDArray[np.int32],
    l2: NDArray[Any],
    momentum: float,
    max_sweeps: int,
    tol: float,
    floors: NDArray[Any],
    damped: bool,
    measure: bool,
    workspace: Workspace,
) -> None: ...
def csr_newton(
    F: NDArray[Any],
    F_new: NDArray[Any] | None,
    report: NDArray[np.float64],
    data: NDArray[Any],
    indices: NDArray[Any],
    indptr: NDArray[Any],
    rows: NDArray[Any],
    windows: NDArray[Any],
    G: NDArray[Any],
    start: NDArray[Any],
    previous: NDArray[Any],
    scale: NDArray[Any],
    sums: NDArray[Any],
    order: NDArray[np.int32],
    l2: NDArray[Any],
    momentum: float,
    max_sweeps: int,
    tol: float,
    floors: NDArray[Any],
    damped: bool,
    measure: bool,
    workspace: Workspace,
) -> None: ...
def observed_hals(
    F: NDArray[Any],
    F_new: NDArray[Any] | None,
    report: NDArray[np.float64],
    data: NDArray[Any],
    weights: NDArray[Any] | None,
    indices: NDArray[Any],
    indptr: NDArray[Any],
    bounds: NDArray[Any],
    G: NDArray[Any],
    start: NDArray[Any],
    previous: NDArray[Any],
    scale: NDArray[Any],
    lower: NDArray[Any],
    order: NDArray[np.int32],
    l1: float,
    l2: float,
    amounts: NDArray[Any],
    momentum: float,
    max_sweeps: int,
    tol: float,
    workspace: Workspace,
) -> None: ...
def observed_mu(
    F: NDArray[Any],
    F_new: NDArray[Any] | None,
    report: NDArray[np.float64],
    data: NDArray[Any],
    weights: NDArray[Any] | None,
    indices: NDArray[Any],
    indptr: NDArray[Any],
    bounds: NDArray[Any],
    G: NDArray[Any],
    start: NDArray[Any],
    previous: NDArray[Any],
    scale: NDArray[Any],
    sums: NDArray[Any],
    order: NDArray[np.int32],
    l1: float,
    l2: float,
    momentum: float,
    max_sweeps: int,
    tol: float,
    loss_beta: float,
    exponent: float,
    floors: NDArray[Any],
    amounts: NDArray[Any],
    workspace: Workspace,
) -> None: ...
def dense_divergence(
    X: NDArray[Any],
    F: NDArray[Any],
    G: NDArray[Any],
    beta: float,
    floors: NDArray[np.float64],
    workspace: Workspace,
) -> float: ...
def model_divergence(
    F: NDArray[Any],
    G: NDArray[Any],
    beta: float,
    floors: NDArray[np.float64],
    workspace: Workspace,
) -> float: ...
def csr_divergence(
    data: NDArray[Any],
    indices: NDArray[Any],
    indptr: NDArray[Any],
    F: NDArray[Any],
    G: NDArray[Any],
    beta: float,
    floors: NDArray[np.float64],
    workspace: Workspace,
) -> float: ...
def nnls_pivot(
    Z: NDArray[Any],
    cross: NDArray[Any],
    gram: NDArray[Any],
    rule: int,
    max_steps: int,
    workspace: Workspace,
) -> int: ...
def observed_divergence(
    data: NDArray[Any],
    weights: NDArray[Any] | None,
    indices: NDArray[Any],
    indptr: NDArray[Any],
    F: NDArray[Any],
    G: NDArray[Any],
    beta: float,
    floors: NDArray[np.float64],
    workspace: Workspace,
) -> float: ...
def top_columns(
    columns: NDArray[np.int64],
    scores: NDArray[Any],
    F: NDArray[Any],
    G: NDArray[Any],
    k: int,
    indices: NDArray[np.int64],
    indptr: NDArray[np.int64],
    workspace: Workspace,
) -> None: ...
def gauge(
    scale: NDArray[Any],
    then: NDArray[np.float64],
    now: NDArray[np.float64],
    order: NDArray[np.int32],
) -> None: ...
def unbalanced(
    sizes: NDArray[np.float64],
    others: NDArray[np.float64],
    share: float,
    limit: float,
    order: NDArray[np.int32],
) -> bool: ...
def factor_gram(
    FtF: NDArray[np.float64],
    F: NDArray[Any],
    workspace: Workspace,
) -> None: ...
def part_squares(
    squares: NDArray[np.float64],
    F: NDArray[Any],
    workspace: Workspace,
) -> None: ...
def keep_parts(
    F: NDArray[Any],
    factors: NDArray[Any],
    least: float,
    fill: float,
    workspace: Workspace,
) -> None: ...
def factor_product(
    F: NDArray[Any],
    T: NDArray[Any],
    workspace: Workspace,
) -> None: ...
def factor_sums(
    sums: NDArray[np.float64],
    F: NDArray[Any],
    workspace: Workspace,
) -> None: ...
def dense_scan(found: NDArray[np.float64], X: NDArray[Any], workspace: Workspace) -> None: ...
def csr_order(indices: NDArray[Any], indptr: NDArray[np.int64], m: int, workspace: Workspace) -> int: ...
def csr_split(
    splits: NDArray[Any], indices: NDArray[Any], indptr: NDArray[Any], bounds: NDArray[Any], workspace: Workspace
) -> None: ...
