"""Non-negative least squares with many right-hand sides."""

from typing import Any

import numpy as np

from nmf_core import _core
from nmf_core.data import Step
from nmf_core.labels import frame, labelled
from nmf_core.problem import padded
from nmf_core.solvers import HALS, PG, Nesterov
from nmf_core.solvers.anls import unit_diagonal
from nmf_core.solvers.fit import MOST_SWEEPS, Method
from nmf_core.threads import make_team, serial_blas
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

# Those that are exact after a few exchanges, and those that come closer step by step.
EXACT = {"bpp": "bpp", "fnnls": "as"}
ITERATIVE = {"cd": HALS.method, "pg": PG().method, "nesterov": Nesterov().method}
SOLVERS = (*EXACT, *ITERATIVE)


def nnls(
    A: Any = None,
    B: Any = None,
    *,
    gram: Any = None,
    cross: Any = None,
    solver: str = "bpp",
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
        projected gradient [3]_ or Nesterov's optimal gradient [4]_.
    alpha, l1_ratio : float
        Strength of the penalty, and the share of the l1 norm in it.
    tol : float
        Steps end for a column when their length has fallen to `tol` of the first.
    max_iter : int
        Steps at most.
    n_threads : int, optional
        Threads; by default all that are available. The result is the same to the last bit for any number.

    Returns
    -------
    ndarray of shape (k, p), or (k,) for a vector B
        In float32 if everything is, else in float64; of a data frame or series B or `cross`, one of its kind. Where
        columns of A depend on each other there are many answers; this is one of them.

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
    team = make_team(check_threads(n_threads))
    check_given({"A": A, "B": B}, {"gram": gram, "cross": cross})
    given = labelled(B, "B") if gram is None else labelled(cross, "cross")
    vector = np.ndim(given.values) == 1
    if vector:
        given = given._replace(values=np.asarray(given.values)[:, np.newaxis])
    if gram is None:
        left = check_matrix(A, "A", signed=True)
        given = check_matrix(given, "B", signed=True).aligned("B", rows=left.rows, of="A")
        A, B = left.values, given.values
        check_same_rows(A.shape[0], B.shape[0])
        gram, cross = (_dense(A.T @ M) for M in (A, B))
    else:
        left = check_matrix(gram, "gram", signed=True)
        left = left.aligned("gram", rows=left.columns, of="its columns")
        given = check_matrix(given, "cross", signed=True).aligned("cross", rows=left.columns, of="gram")
        gram, cross = _dense(left.values), _dense(given.values)
    check_gram(gram, cross)
    dtype = np.result_type(gram, cross)
    gram = gram.astype(dtype) + dtype.type(alpha * (1 - l1_ratio)) * np.eye(len(gram), dtype=dtype)
    # All unknowns of one size. One that no column asks for stays zero.
    gram, scale = unit_diagonal(gram, np.arange(len(gram)))
    right = np.ascontiguousarray((cross.T - dtype.type(alpha * l1_ratio)) * scale, dtype=dtype)
    Z = np.zeros_like(right)
    with serial_blas():
        unsolved = len(right)
        if solver in EXACT:
            unsolved = _core.nnls_pivot(Z, right, gram, _core.PIVOT_RULES[EXACT[solver]], 3 * len(gram) + 50, team)
        if unsolved:
            _step(Z, right, gram, ITERATIVE.get(solver, HALS.method), tol, max_iter, team)
    Z *= scale
    return frame(Z[0] if vector else np.ascontiguousarray(Z.T), left.columns, given.columns, given.library)


def _dense(M: Any) -> np.ndarray:
    return np.asarray(getattr(M, "toarray", lambda: M)())


def _step(
    Z: np.ndarray, cross: np.ndarray, gram: np.ndarray, method: Method, tol: float, max_iter: int, team: _core.Team
) -> None:
    """Improve the rows of Z step by step, in place."""
    k = len(gram)
    F = padded(Z, Z.dtype)
    order = np.arange(k, dtype=np.int32)
    matrix, rate = method.prepare(gram, order)
    sweeps = min(max_iter, MOST_SWEEPS)
    step = Step(F, F, gram[0], gram, matrix, order, method.number, rate=rate, max_sweeps=sweeps, tol=tol)
    _core.factor_pass(F, None, None, np.zeros(_core.REPORT_SIZE), padded(cross, Z.dtype), *step, team)
    Z[:] = F[:, :k]
