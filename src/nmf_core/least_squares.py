"""Non-negative least squares with many right-hand sides."""

from typing import Any

import numpy as np

from nmf_core.engine import Engine, Update, padded
from nmf_core.labels import frame, labelled
from nmf_core.solvers import HALS, PG, Method, Nesterov
from nmf_core.solvers.anls import unit_diagonal
from nmf_core.solvers.base import MOST_SWEEPS
from nmf_core.solvers.exact import ALIKE, DOUBTFUL, condition, solve_rows
from nmf_core.threads import serial_blas
from nmf_core.typing import RowSolverName
from nmf_core.validation import (
    check_choice,
    check_given,
    check_gram,
    check_integer,
    check_matrix,
    check_number,
    check_same_rows,
    check_threads,
)
from nmf_core.warning import ConvergenceWarning, warn

# Those that are exact after a few exchanges, and those that come closer step by step.
EXACT = {"bpp": "bpp", "fnnls": "as"}
ITERATIVE = {"cd": HALS.method, "pg": PG().method, "nesterov": Nesterov().method}
SOLVERS = (*EXACT, *ITERATIVE)
# The condition of the normal equations beyond which their answers are not good enough, and may be plainly wrong.
LIMITS = {"float32": ALIKE, "float64": DOUBTFUL}
UNSURE = {"float32": 1e4, "float64": 1e10}
_BLOCK = 1 << 20  # numbers of A and B that are factorized together


def nnls(
    A: Any = None,
    B: Any = None,
    *,
    gram: Any = None,
    cross: Any = None,
    solver: RowSolverName = "bpp",
    alpha: float = 0.0,
    l1_ratio: float = 0.0,
    tol: float = 1e-10,
    max_iter: int = 10_000,
    n_threads: int | None = None,
) -> Any:
    """Find Z >= 0 with A @ Z ~ B, column by column.

    Minimises ``||A @ Z - B||_F^2 / 2 + alpha * l1_ratio * sum(Z) + alpha * (1 - l1_ratio) / 2 * ||Z||_F^2``, from A and
    B or from the normal equations alone.

    Parameters
    ----------
    A : array-like, sparse matrix or data frame of shape (n, k), optional
        Finite, of any sign.
    B : array-like, sparse matrix or data frame of shape (n, p), optional
        Right-hand sides. A vector (n,) is one of them. Labels of its rows are brought into the order of those of A, as
        are those of `cross` into the order of `gram`.
    gram : array-like of shape (k, k), optional
        ``A.T @ A``, instead of A and B.
    cross : array-like of shape (k, p), optional
        ``A.T @ B``, instead of A and B.
    solver : {"bpp", "fnnls", "cd", "pg", "nesterov"}
        Block principal pivoting [1]_ or the active set method [2]_, exact up to rounding after a few factorizations; or
        steps until `tol`: coordinate descent, which is faster where a rough answer does, or for many unknowns,
        projected gradient [3]_ or Nesterov's optimal gradient [4]_. Where columns of A are so alike that the normal
        equations lose digits, the first two go on from a QR factorization of A in double [5]_.
    alpha, l1_ratio : float
        Strength of the penalty, and the share of the l1 norm in it.
    tol : float
        Steps end for a column when their length has fallen to `tol` of the first, or to rounding.
    max_iter : int
        Steps at most.
    n_threads : int, optional
        Threads; by default all that are available. The result is the same to the last bit for any number.

    Returns
    -------
    ndarray of shape (k, p), or (k,) for a vector B
        In float32 if everything is, else in float64; of a data frame or series B or `cross`, one of its kind. Where
        columns of A depend on each other there are many answers; this is one of them.

    Warns
    -----
    ConvergenceWarning
        Steps have ended at `max_iter`.
    UserWarning
        The answer may be far off: columns of A are so alike that `gram`, or steps, cannot tell them apart.

    Raises
    ------
    TypeError, ValueError
        An argument is not what it must be, or not all of A and B, or of gram and cross, are given.

    References
    ----------
    .. [1] J. Kim and H. Park (2011), "Fast nonnegative matrix factorization: an active-set-like method and
       comparisons", doi:10.1137/110821172.
    .. [2] R. Bro and S. de Jong (1997), "A fast non-negativity-constrained least squares algorithm", Journal of
       Chemometrics 11, 393-401.
    .. [3] C.-J. Lin (2007), "Projected gradient methods for nonnegative matrix factorization",
       doi:10.1162/neco.2007.19.10.2756.
    .. [4] N. Guan, D. Tao, Z. Luo and B. Yuan (2012), "NeNMF: an optimal gradient method for nonnegative matrix
       factorization", doi:10.1109/TSP.2012.2190406.
    .. [5] C. L. Lawson and R. J. Hanson (1974), "Solving least squares problems", chapter 23.

    Examples
    --------
    >>> import numpy as np, nmf_core
    >>> A = np.array([[1.0, 0.0], [1.0, 1.0], [0.0, 2.0]])
    >>> nmf_core.nnls(A, np.array([1.0, 0.0, -1.0]))
    array([0.5, 0. ])
    """
    check_choice(solver, "solver", SOLVERS)
    alpha, l1_ratio = check_number(alpha, "alpha"), check_number(l1_ratio, "l1_ratio", high=1.0)
    tol, max_iter = check_number(tol, "tol"), check_integer(max_iter, "max_iter", 1)
    engine = Engine(check_threads(n_threads))
    check_given({"A": A, "B": B}, {"gram": gram, "cross": cross})
    given = labelled(B, "B") if gram is None else labelled(cross, "cross")
    vector = np.ndim(given.values) == 1
    if vector:
        given = given._replace(values=np.asarray(given.values)[:, np.newaxis])
    rows_given = gram is None
    if rows_given:
        left = check_matrix(A, "A", signed=True)
        given = check_matrix(given, "B", signed=True).aligned("B", rows=left.rows, of="A")
        A, B = left.values, given.values
        check_same_rows(A.shape[0], B.shape[0])
        A, B = (M.astype(np.result_type(A, B), copy=False) for M in (A, B))
        gram, cross = A.T @ A, A.T @ B
    else:
        left = check_matrix(gram, "gram", signed=True, squared=False)
        left = left.aligned("gram", rows=left.columns, of="its columns")
        given = check_matrix(given, "cross", signed=True, squared=False)
        given = given.aligned("cross", rows=left.columns, of="gram")
        gram, cross = left.values, given.values
    gram, cross = _dense(gram), _dense(cross)
    check_gram(gram, cross)
    dtype = np.result_type(gram, cross)
    l1, l2 = alpha * l1_ratio, alpha * (1 - l1_ratio)
    gram = gram.astype(dtype) + dtype.type(l2) * np.eye(len(gram), dtype=dtype)
    with serial_blas():
        alike = condition(gram)
        by_rows = rows_given and solver in EXACT and alike > LIMITS[dtype.name]
        if by_rows:
            Z, unsolved = solve_rows(*_triangle(A, B, l2), l1, engine)
        else:
            Z, unsolved = _solve(gram, cross.T - dtype.type(l1), solver, tol, max_iter, engine)
    if unsolved:
        way = f"tol={tol:g} in max_iter={max_iter} steps. Raise max_iter or tol."
        reason = "all digits: columns of A are too much alike." if by_rows else way
        warn(f"{unsolved} of {len(Z)} right-hand sides are not solved to {reason}", ConvergenceWarning)
    elif alike > UNSURE[dtype.name] and not rows_given:
        warn(
            f"gram has condition {alike:.0e}, more than its digits can tell: the answer may be far off. Give A and B, "
            f"from which it is found without squaring their condition."
        )
    elif solver not in EXACT and UNSURE[dtype.name] < alike < 1 / np.finfo(dtype).eps:  # beyond, columns are dependent
        warn("Columns of A are so alike that steps may have ended far from the answer: solver='bpp' finds it exactly.")
    Z = Z.astype(dtype, copy=False)
    return frame(Z[0] if vector else np.ascontiguousarray(Z.T), left.columns, given.columns, given.library)


def _dense(M: Any) -> np.ndarray:
    return np.asarray(getattr(M, "toarray", lambda: M)())


def _solve(
    gram: np.ndarray, right: np.ndarray, solver: str, tol: float, max_iter: int, engine: Engine
) -> tuple[np.ndarray, int]:
    """Solutions (p, k) of normal equations with right-hand sides (p, k), and how many of them are not solved."""
    # All unknowns of one size. One that no column asks for stays zero.
    unit, scale = unit_diagonal(gram, np.arange(len(gram)))
    right = np.ascontiguousarray(right * scale)
    Z, unsolved = np.zeros_like(right), len(right)
    if solver in EXACT:
        unsolved = engine.pivot(Z, right, unit, EXACT[solver])
    if unsolved:
        tol = max(tol, 8 * float(np.finfo(right.dtype).eps))  # steps of rounding are none
        unsolved = _step(Z, right, unit, ITERATIVE.get(solver, HALS.method), tol, max_iter, engine)
    Z *= scale
    return Z, unsolved


def _step(
    Z: np.ndarray, cross: np.ndarray, gram: np.ndarray, method: Method, tol: float, max_iter: int, engine: Engine
) -> int:
    """Improve the rows of Z step by step, in place; returns how many have not met `tol`."""
    k = len(gram)
    F = padded(Z, Z.dtype)
    order = np.arange(k, dtype=np.int32)
    matrix, rate = method.prepared(gram, order)
    sweeps = min(max_iter, MOST_SWEEPS)
    update = Update(
        F, order, gram[0], max_sweeps=sweeps, tol=tol, method=method.name, gram=gram, matrix=matrix, rate=rate
    )
    report = engine.improve_rows(F, padded(cross, Z.dtype), update)
    Z[:] = F[:, :k]
    return report.unfinished


def _triangle(A: Any, B: Any, l2: float) -> tuple[np.ndarray, np.ndarray]:
    """R (k, k) and C (p, k), in double, with ||A z - b||^2 + l2 ||z||^2 = ||R z - c||^2 up to a constant.

    By QR factorizations of some rows after the other, so that A and B may be sparse.
    """
    n, k = A.shape
    A, B = (M.tocsr() if hasattr(M, "tocsr") else M for M in (A, B))
    R, C = np.sqrt(l2) * np.eye(k), np.zeros((k, B.shape[1]))
    step = max(4 * k, _BLOCK // (k + B.shape[1]))
    for first in range(0, n, step):
        rows = slice(first, first + step)
        Q, R = np.linalg.qr(np.vstack([R, _dense(A[rows])]))
        C = Q.T @ np.vstack([C, _dense(B[rows])])
    return R, np.ascontiguousarray(C.T)
