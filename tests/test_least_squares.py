"""Non-negative least squares: the kernel, and the function around it."""

import numpy as np
import pytest
import reference
import scipy.sparse as sp
from scipy import optimize

import nmf_core
from nmf_core import _core

LEVELS = range(_core.best_level() + 1)
SOLVERS = ("bpp", "fnnls", "cd", "pg", "nesterov")
rules = pytest.mark.parametrize("rule", _core.PIVOT_RULES.values(), ids=_core.PIVOT_RULES)


def problem(n=40, k=8, p=23, seed=0, noise=0.3):
    """A and B of any sign; about half of the unknowns are zero."""
    rng = np.random.default_rng(seed)
    A = rng.standard_normal((n, k)) + 0.5
    return A, A @ (rng.standard_normal((k, p)).clip(0)) + noise * rng.standard_normal((n, p))


def expected(A, B):
    return np.column_stack([optimize.nnls(A, b)[0] for b in B.T])


def residual(gram, cross, Z):
    """How far the Karush-Kuhn-Tucker conditions are from holding, relative to the size of the problem."""
    return np.abs(np.minimum(Z, gram @ Z - cross)).max() / np.abs(cross).max()


# --- the kernel


@rules
@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("k", [1, 2, 3, 4, 5, 8, 13, 20, 33])
@pytest.mark.parametrize(("dtype", "tol"), [("float64", 1e-10), ("float32", 2e-3)])
def test_kernel_equals_twin(level, k, dtype, tol, rule):
    A, B = problem(2 * k + 5, k, 37)
    A /= np.linalg.norm(A, axis=0)
    gram, cross = (A.T @ A).astype(dtype), np.ascontiguousarray((A.T @ B).T).astype(dtype)
    Z, twin = np.zeros((37, k), dtype=dtype), np.zeros((37, k))
    assert _core.nnls_pivot(Z, cross, gram, rule, 400, _core.Workspace(level=level)) == 0
    reference.nnls_pivot(twin, cross, gram, rule, 400)
    np.testing.assert_allclose(Z, twin, atol=tol * np.abs(twin).max())
    again = Z.copy()  # from the answer one step is enough
    assert _core.nnls_pivot(again, cross, gram, rule, 1, _core.Workspace(level=level)) == 0
    np.testing.assert_array_equal(again, Z)


@rules
def test_rows_that_have_not_ended_are_counted(rule):
    A, B = problem(60, 12, 30)
    A /= np.linalg.norm(A, axis=0)
    Z = np.zeros((30, 12))
    assert _core.nnls_pivot(Z, np.ascontiguousarray((A.T @ B).T), A.T @ A, rule, 1, _core.Workspace()) > 0
    assert (Z >= 0).all()


@rules
@pytest.mark.parametrize("level", LEVELS)
def test_a_row_does_not_depend_on_those_beside_it(level, rule):
    A, B = problem(50, 9, 29)
    A /= np.linalg.norm(A, axis=0)
    cross = np.ascontiguousarray((A.T @ B).T)
    together = np.zeros((29, 9))
    _core.nnls_pivot(together, cross, A.T @ A, rule, 400, _core.Workspace(level=level))
    for rows in (slice(0, 1), slice(3, 20), slice(28, 29)):
        alone = np.zeros((29, 9))[rows]
        _core.nnls_pivot(alone, cross[rows], A.T @ A, rule, 400, _core.Workspace(3, level=level))
        np.testing.assert_array_equal(alone, together[rows])


# --- the function


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("make", [np.asarray, np.asfortranarray, sp.csr_array, sp.csc_matrix])
def test_answers_are_those_of_scipy(solver, make):
    A, B = problem()
    Z = nmf_core.nnls(make(A), make(B), solver=solver)
    np.testing.assert_allclose(Z, expected(A, B), atol=1e-12 if solver in ("bpp", "fnnls") else 1e-7)
    assert Z.flags.c_contiguous
    np.testing.assert_allclose(nmf_core.nnls(gram=A.T @ A, cross=A.T @ B, solver=solver), Z, atol=1e-9)


@pytest.mark.parametrize("k", [1, 7, 50])
@pytest.mark.parametrize("spread", [0, 6])
def test_block_principal_pivoting_is_exact(k, spread):
    """Unknowns may be of sizes that lie far apart."""
    A, B = problem(3 * k, k, 200, seed=k)
    A *= 10.0 ** np.linspace(-spread, spread, k)
    sizes = np.linalg.norm(A, axis=0)
    Z = nmf_core.nnls(A, B) * sizes[:, np.newaxis]
    A /= sizes
    assert residual(A.T @ A, A.T @ B, Z) < 1e-10


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize(("alpha", "l1_ratio"), [(0.7, 0.0), (0.7, 1.0), (2.0, 0.3)])
def test_penalties(solver, alpha, l1_ratio):
    A, B = problem()
    gram = A.T @ A + alpha * (1 - l1_ratio) * np.eye(A.shape[1])
    cross = A.T @ B - alpha * l1_ratio
    Z = nmf_core.nnls(A, B, alpha=alpha, l1_ratio=l1_ratio, solver=solver)
    assert residual(gram, cross, Z) < (1e-12 if solver in ("bpp", "fnnls") else 1e-7)


@pytest.mark.parametrize("solver", SOLVERS)
def test_columns_that_depend_on_each_other_leave_many_answers_of_one_error(solver):
    A, B = problem(30, 6, 20)
    A = np.column_stack([A, A[:, 0], A[:, 1] + A[:, 2], np.zeros(30), A[:, 3]])
    Z = nmf_core.nnls(A, B, solver=solver)
    best = [optimize.nnls(A, b)[1] for b in B.T]
    np.testing.assert_allclose(np.linalg.norm(A @ Z - B, axis=0), best, rtol=1e-6)
    assert (Z >= 0).all()
    assert not Z[8].any()


def test_a_vector_is_one_right_hand_side():
    A, B = problem()
    z = nmf_core.nnls(A, B[:, 0])
    assert z.shape == (8,)
    np.testing.assert_array_equal(z, nmf_core.nnls(A, B[:, :1])[:, 0])


@pytest.mark.parametrize("solver", SOLVERS)
def test_float32_stays_float32(solver):
    A, B = problem()
    Z = nmf_core.nnls(A.astype(np.float32), B.astype(np.float32), solver=solver)
    assert Z.dtype == np.float32
    np.testing.assert_allclose(Z, expected(A, B), atol=1e-3)
    assert nmf_core.nnls(A.astype(np.float32), B).dtype == np.float64


@pytest.mark.parametrize("solver", SOLVERS)
def test_threads_change_no_bit(solver):
    A, B = problem(60, 20, 500)
    one = nmf_core.nnls(A, B, solver=solver, n_threads=1)
    for n_threads in (2, 3):
        np.testing.assert_array_equal(nmf_core.nnls(A, B, solver=solver, n_threads=n_threads), one)


def test_nothing_given_is_modified():
    A, B = problem()
    before = A.copy(), B.copy()
    nmf_core.nnls(A, B, alpha=1.0)
    np.testing.assert_array_equal(A, before[0])
    np.testing.assert_array_equal(B, before[1])


def test_w_of_a_fit_is_its_answer():
    rng = np.random.default_rng(0)
    X, H = rng.random((30, 12)), rng.random((4, 12))
    W = nmf_core.factorize(X, 4, H=H, update_H=False, tol=1e-12, max_iter=10000).W
    np.testing.assert_allclose(nmf_core.nnls(H.T, X.T).T, W, atol=1e-8)


A, B = problem()


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"A": A}, ValueError, "A and B"),
        ({"A": A, "B": B, "gram": A.T @ A}, ValueError, "A and B"),
        ({"gram": A.T @ A}, ValueError, "gram and cross"),
        ({"A": A, "cross": A.T @ B}, ValueError, "must be given"),
        ({"A": A, "B": B[1:]}, ValueError, "rows"),
        ({"gram": np.eye(3), "cross": A.T @ B}, ValueError, "shape"),
        ({"gram": A[:8], "cross": A.T @ B}, ValueError, "symmetric"),
        ({"gram": -A.T @ A, "cross": A.T @ B}, ValueError, "diagonal"),
        ({"A": np.where(A > 0, A, np.nan), "B": B}, ValueError, "A contains NaN"),
        ({"A": A, "B": -np.inf * np.abs(B)}, ValueError, "B contains infinity"),
        ({"A": A.astype(str), "B": B}, TypeError, "strings"),
        ({"A": A, "B": B, "solver": "qp"}, ValueError, "solver"),
        ({"A": A, "B": B, "alpha": -1}, ValueError, "alpha"),
        ({"A": A, "B": B, "l1_ratio": 2}, ValueError, "l1_ratio"),
        ({"A": A, "B": B, "n_threads": 0}, ValueError, "n_threads"),
        ({"A": A, "B": B[:0]}, ValueError, "empty"),
    ],
)
def test_bad_input(given, error, message):
    with pytest.raises(error, match=message):
        nmf_core.nnls(**given)


@pytest.mark.parametrize("solver", ["cd", "pg", "nesterov"])
def test_any_number_of_steps_may_be_allowed(solver):
    A, B = np.eye(3), np.ones((3, 2))
    for max_iter in (2**31, 10**30):
        np.testing.assert_allclose(nmf_core.nnls(A, B, solver=solver, max_iter=max_iter), B)


# --- columns that are alike


def spectra(apart, k=4, n=200):
    """Bumps that lie so far apart: condition 4e3 for 0.01, 4e6 for 0.001, 1e8 for 0.0003, each time k = 4."""
    x = np.linspace(0, 1, n)
    return np.stack([np.exp(-(((x - 0.5 - apart * j) / 0.1) ** 2)) for j in range(k)], axis=1)


def abundances(k, p=20, seed=0):
    rng = np.random.default_rng(seed)
    return rng.random((k, p)) * (rng.random((k, p)) < 0.6)


@pytest.mark.parametrize("solver", ["bpp", "fnnls"])
@pytest.mark.parametrize(("apart", "k"), [(0.03, 4), (0.01, 4), (0.003, 4), (0.001, 4), (0.03, 15), (0.0003, 4)])
@pytest.mark.parametrize("make", [np.asarray, np.asfortranarray, sp.csr_array, sp.csc_array])
def test_alike_columns_are_told_apart(apart, k, solver, make):
    A, Z = spectra(apart, k), abundances(k)
    B = A @ Z
    close = max(1e-10, 3e-16 * np.linalg.cond(A)) * np.linalg.norm(Z)
    np.testing.assert_allclose(nmf_core.nnls(make(A), make(B), solver=solver), Z, atol=close)


@pytest.mark.parametrize("apart", [0.03, 0.003, 0.0003])
@pytest.mark.parametrize("noise", [1e-6, 1e-2])
@pytest.mark.parametrize("sign", [1, -1])
def test_alike_columns_and_noise(apart, noise, sign):
    A = spectra(apart) * [1, sign, 1, sign]
    B = sign * A @ abundances(4) + noise * np.random.default_rng(1).standard_normal((200, 20))
    np.testing.assert_allclose(nmf_core.nnls(A, B), expected(A, B), atol=1e-8)


@pytest.mark.parametrize(("alpha", "l1_ratio"), [(1e-12, 0.0), (1e-3, 0.0), (1e-6, 1.0), (1e-3, 0.5)])
def test_penalties_of_alike_columns(alpha, l1_ratio):
    """Those of l2 are rows more; those of l1 as the gradient says, in residuals."""
    A, Z = spectra(0.001), abundances(4)
    B = A @ Z
    found = nmf_core.nnls(A, B, alpha=alpha, l1_ratio=l1_ratio)
    more = np.sqrt(alpha * (1 - l1_ratio)) * np.eye(4)
    gradient = A.T @ (A @ found - B) + more @ (more @ found) + alpha * l1_ratio
    assert (found >= 0).all()
    assert np.abs(np.minimum(found, gradient)).max() < 1e-13
    if l1_ratio == 0:
        answer = expected(np.vstack([A, more]), np.vstack([B, np.zeros((4, 20))]))
        np.testing.assert_allclose(found, answer, atol=1e-8)


def test_alike_columns_of_float32_are_told_apart_in_double():
    A, Z = spectra(0.01).astype(np.float32), abundances(4)
    found = nmf_core.nnls(A, (A @ Z).astype(np.float32))
    assert found.dtype == np.float32
    exact = expected(A.astype(np.float64), (A @ Z).astype(np.float32).astype(np.float64))
    np.testing.assert_allclose(found, exact, atol=1e-5)


def test_what_is_alike_and_more():
    """Equal columns, zero columns, nothing to gain, more unknowns than rows, unknowns of sizes far apart."""
    A = spectra(0.001)
    A = np.column_stack([A, A[:, 1], np.zeros(200), A[:, 2]])
    B = np.column_stack([A[:, :4] @ abundances(4), -A[:, 0]])
    for M, R in ((A, B), (A * 10.0 ** np.arange(-6, 8, 2), B), (A[:5], B[:5])):
        Z = nmf_core.nnls(M, R)
        assert (Z >= 0).all()
        assert not Z[5].any()
        assert not Z[:, -1].any()
        np.testing.assert_allclose(np.linalg.norm(M @ Z - R, axis=0)[:-1], 0, atol=1e-13)


def test_alike_columns_row_by_row():
    A = spectra(0.001)
    B = A @ abundances(4) + 1e-3
    Z = nmf_core.nnls(A, B)
    np.testing.assert_array_equal(nmf_core.nnls(A, B, n_threads=3), Z)
    np.testing.assert_allclose(nmf_core.nnls(A, B[:, 3]), Z[:, 3], atol=1e-8)


def test_a_gram_matrix_cannot_tell_alike_columns_apart():
    A = spectra(0.001)
    B = A @ abundances(4)
    with pytest.warns(UserWarning, match=r"gram has condition .* Give A and B") as caught:
        nmf_core.nnls(gram=A.T @ A, cross=A.T @ B)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    A, B = problem()
    nmf_core.nnls(gram=A.T @ A, cross=A.T @ B)


@pytest.mark.parametrize("solver", ["cd", "pg", "nesterov"])
def test_steps_that_have_not_ended_are_told(solver):
    A, B = problem()
    with pytest.warns(nmf_core.ConvergenceWarning, match="23 right-hand sides .* max_iter=2") as caught:
        nmf_core.nnls(A, B, solver=solver, max_iter=2)
    assert len(caught) == 1
    assert caught[0].filename == __file__


@pytest.mark.parametrize("solver", ["pg", "nesterov"])
def test_steps_that_cannot_tell_alike_columns_apart(solver):
    A = spectra(0.03).astype(np.float32)
    with pytest.warns(UserWarning, match="solver='bpp' finds it exactly"):
        nmf_core.nnls(A, A @ abundances(4).astype(np.float32), solver=solver)


@pytest.mark.parametrize("name", ["A", "B", "gram", "cross"])
def test_advice_is_about_parameters_that_are_there(name):
    A, B = problem()
    given = {"A": A, "B": B} if name in "AB" else {"gram": A.T @ A, "cross": A.T @ B}
    given[name] = np.where(given[name] == given[name][0, 0], np.nan, given[name])
    with pytest.raises(ValueError, match=rf"^{name} contains NaN, first at row 0, column 0\.$"):
        nmf_core.nnls(**given)
    given[name] = np.ma.masked_invalid(given[name])
    with pytest.raises(TypeError, match=rf"^{name} is a masked array; .* fill them first\.$"):
        nmf_core.nnls(**given)
