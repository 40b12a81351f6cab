"""Data that try the beta-divergences: zeros, emptiness, and numbers of very different sizes."""

import divergences
import numpy as np
import pytest
import scipy.sparse as sp
import zoo
from divergences import BETAS, PAIRS, PAIRS_WITH_ZEROS
from problems import noisy, start, uniform

from nmf_core import beta_divergence, factorize
from nmf_core.initialization import INITIALIZERS
from nmf_core.transform import transform

PENALTIES = [{}, {"alpha_W": 0.02}, {"alpha_W": 0.004, "alpha_H": 0.01, "l1_ratio": 0.5}]
CONTAINERS = [np.ascontiguousarray, np.asfortranarray, sp.csr_array, sp.csc_array]
STORED = [
    *CONTAINERS,
    lambda A: zoo.with_explicit_zeros(sp.csr_array(A)),
    lambda A: zoo.with_explicit_zeros(sp.csc_array(A)),
]
K = 4
X = noisy(40, 25, K)

every_pair = pytest.mark.parametrize(("loss", "solver"), PAIRS)
every_pair_with_zeros = pytest.mark.parametrize(("loss", "solver"), PAIRS_WITH_ZEROS)
every_container = pytest.mark.parametrize("make", CONTAINERS)


def assert_sound(result, rounding=1e-11):
    """Finite and non-negative, and the objective never rises."""
    for values in (result.W, result.H, result.history.objective, result.history.violation):
        assert np.isfinite(values).all()
    assert (result.W >= 0).all()
    assert (result.H >= 0).all()
    assert np.isfinite([value for value in result.summary().values() if isinstance(value, float)]).all()
    assert (np.diff(result.history.objective) <= rounding * max(1.0, result.history.objective[0])).all()


# --- zeros


@pytest.mark.parametrize("init", INITIALIZERS)
@every_pair_with_zeros
def test_all_zero_data_have_an_all_zero_model(loss, solver, init):
    for make in CONTAINERS:
        result = factorize(make(np.zeros((7, 5))), 2, init=init, loss=loss, solver=solver, random_state=0)
        assert_sound(result)
        np.testing.assert_allclose(result.W @ result.H, 0, atol=1e-6)
        assert result.objective == pytest.approx(0, abs=1e-3)
        assert result.converged


@pytest.mark.parametrize("make", STORED)
@pytest.mark.parametrize("loss", [loss for loss, beta in BETAS.items() if beta > 0])
def test_divergence_of_nothing_and_nothing_is_nothing(loss, make):
    A = np.zeros((7, 5))
    assert beta_divergence(make(A), A[:, :2], A[:2], loss) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("penalties", PENALTIES, ids=str)
@every_container
@every_pair_with_zeros
def test_what_is_not_in_the_data_is_not_in_the_model(loss, solver, make, penalties):
    """Rows and columns that are empty."""
    A = X.copy()
    A[[3, 17]] = 0
    A[:, [5, 20]] = 0
    result = factorize(make(A), K, loss=loss, solver=solver, random_state=0, tol=0, max_iter=60, **penalties)
    assert_sound(result)
    model = result.W @ result.H
    np.testing.assert_allclose(model[[3, 17]], 0, atol=1e-6)
    np.testing.assert_allclose(model[:, [5, 20]], 0, atol=1e-6)
    W = result.transform(make(A))
    assert np.isfinite(W).all()
    np.testing.assert_allclose(W[[3, 17]] @ result.H, 0, atol=1e-6)


@pytest.mark.parametrize("make", STORED)
@pytest.mark.parametrize("loss", [loss for loss, beta in BETAS.items() if beta <= 0])
def test_zeros_are_refused_where_they_cost_infinitely_much(loss, make):
    A = X.copy()
    A[7, 9] = 0
    W, H = start(A, K)
    for use in (
        lambda: factorize(make(A), K, loss=loss),
        lambda: transform(make(A), H, loss=loss),
        lambda: beta_divergence(make(A), W, H, loss),
        lambda: factorize(X, K, loss=loss, max_iter=2).transform(make(A)),
    ):
        with pytest.raises(
            ValueError, match=r"^X contains zeros, .* Add a small value to X, such as 3e-05\.( floor|$)"
        ):
            use()


@pytest.mark.parametrize("form", [sp.csr_array, sp.csc_array])
def test_entries_in_two_parts_of_which_one_is_zero_are_not_zeros(form):
    A = np.floor(10 * X) + 1
    held = zoo.with_duplicates(form(A))
    W, H = start(A, K)
    assert beta_divergence(held, W, H, 0) == pytest.approx(beta_divergence(A, W, H, 0), rel=1e-10)
    result, expected = (factorize(B, K, W=W, H=H, loss=0, max_iter=5, tol=0) for B in (held, A))
    np.testing.assert_allclose(result.W, expected.W, rtol=1e-8)


@pytest.mark.parametrize("form", [sp.csr_array, sp.csc_array])
def test_a_missing_entry_is_not_made_up_for_by_another_in_two_parts(form):
    A = np.floor(10 * X) + 1
    A[3, 4] = 0
    held = form(A)
    place = 0 if form is sp.csr_array else int(held.indptr[7])
    data, indices = np.insert(held.data, place, 1.0), np.insert(held.indices, place, held.indices[place])
    indptr = held.indptr + (held.indptr > place)
    held = form((data, indices, indptr), shape=A.shape)
    assert held.nnz == A.size
    with pytest.raises(ValueError, match="contains zeros"):
        factorize(held, K, loss="itakura-saito")


# --- starts with zeros


@every_container
@every_pair
def test_a_component_that_starts_at_zero(loss, solver, make):
    """In W, in H, or in both: the others go on."""
    W, H = start(X, K)
    for zero_W, zero_H in ((True, False), (False, True), (True, True)):
        given = W.copy(), H.copy()
        given[0][:, 1] *= not zero_W
        given[1][1] *= not zero_H
        result = factorize(make(X), K, W=given[0], H=given[1], loss=loss, solver=solver, tol=0, max_iter=25)
        assert_sound(result)
        assert result.objective < 0.8 * divergences.objective(X, *given, BETAS[loss])


@every_pair
def test_a_component_that_is_zero_and_fixed(loss, solver):
    W, H = start(X, K)
    H[1] = 0
    result = factorize(X, K, W=W, H=H, update_H=[True, False, True, True], loss=loss, solver=solver, max_iter=15, tol=0)
    assert_sound(result)
    assert not result.H[1].any()
    W = transform(X, H, loss=loss)[0]
    assert np.isfinite(W).all()
    expected = transform(X, np.delete(H, 1, axis=0), loss=loss)[0]
    np.testing.assert_allclose(W @ H, expected @ np.delete(H, 1, axis=0), rtol=1e-2, atol=1e-2)


@pytest.mark.filterwarnings("ignore:All components are zero")
@pytest.mark.parametrize("loss", BETAS)
def test_components_that_are_all_zero_leave_nothing_to_find(loss):
    W, n_iter, converged, _ = transform(X, np.zeros((K, 25)), loss=loss)
    assert np.isfinite(W).all()
    assert n_iter >= 1
    assert isinstance(converged, bool)


@pytest.mark.parametrize("init", INITIALIZERS)
@every_pair
def test_every_start_leads_down(loss, solver, init):
    result = factorize(X, K, init=init, loss=loss, solver=solver, random_state=0, tol=0, max_iter=25)
    assert_sound(result)
    assert result.history.objective[-1] < result.history.objective[0]


# --- sizes


@pytest.mark.parametrize("beta", [-1e300, -1e6, -100, -10, 10, 100, 1e6, 1e300])
def test_extreme_losses_are_finite_or_refused(beta):
    """Powers of that size overflow, which is to be said."""
    W, H = start(X, K)
    try:
        result = factorize(X, K, W=W, H=H, loss=beta, tol=0, max_iter=20)
    except ValueError as error:
        assert abs(beta) > 10
        assert "loss" in str(error)  # noqa: PT017 - no error is fine too
    else:
        assert_sound(result)


@pytest.mark.parametrize("shape", [(1, 1), (1, 8), (8, 1), (2, 2)], ids=str)
@every_pair
def test_tiny_data(loss, solver, shape):
    """One row or one column is described exactly by one component."""
    A = np.arange(1.0, 1 + shape[0] * shape[1]).reshape(shape)
    for make in CONTAINERS:
        result = factorize(make(A), 1, init="random", random_state=0, loss=loss, solver=solver, max_iter=2000, tol=1e-9)
        assert_sound(result)
        if 1 in shape:
            np.testing.assert_allclose(result.W @ result.H, A, rtol=1e-3)


@every_pair
def test_more_components_than_rows_and_columns(loss, solver):
    A = uniform(5, 4)
    result = factorize(A, 9, init="random", random_state=0, loss=loss, solver=solver, max_iter=2000, tol=0)
    assert_sound(result, rounding=1e-9)
    assert result.W.shape == (5, 9)
    np.testing.assert_allclose(result.W @ result.H, A, rtol=0.1)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@every_container
@every_pair_with_zeros
def test_huge_counts(loss, solver, make, dtype):
    A = np.random.default_rng(0).poisson(1e9 * X * (np.median(X) < X)).astype(dtype)
    result = factorize(make(A), K, loss=loss, solver=solver, random_state=0, tol=0, max_iter=40)
    assert_sound(result, rounding=1e-5 if dtype == np.float32 else 1e-11)
    assert result.summary()["relative_error"] < 0.5
    assert np.isfinite(result.transform(make(A))).all()


@pytest.mark.parametrize("whole_row", [False, True], ids=["here and there", "a whole row"])
@pytest.mark.parametrize("tiny", [1e-300, 1e-100, 1e-30, 1e-12])
@every_pair
@pytest.mark.slow
def test_tiny_entries_among_others(loss, solver, tiny, whole_row):
    """Defined results: the tiny entries may be missed, but nothing else may suffer."""
    A = X.copy()
    A[::7, ::5] = tiny
    A[4] = tiny if whole_row else X[4]
    parameters = {"loss": loss, "solver": solver, "random_state": 0, "tol": 0, "max_iter": 40}
    for make in CONTAINERS:
        result = factorize(make(A), K, **parameters)
        assert_sound(result)
        assert np.isfinite(beta_divergence(make(A), result.W, result.H, loss))
        assert np.isfinite(result.transform(make(A))).all()
    if BETAS[loss] >= 1:
        expected = factorize(np.where(A > 1e-11, A, 0), K, **parameters)
        assert result.summary()["relative_error"] < 1.01 * expected.summary()["relative_error"]


@pytest.mark.parametrize("tiny", [1e-42, 1e-30, 1e-12])
@every_pair
def test_tiny_entries_in_float32(loss, solver, tiny):
    A = X.astype(np.float32)
    A[::7, ::5] = tiny
    for make in CONTAINERS:
        result = factorize(make(A), K, loss=loss, solver=solver, random_state=0, tol=0, max_iter=40)
        assert_sound(result, rounding=1e-5)


@pytest.mark.parametrize("spread", [1e-6, 1e-3])
@every_pair
def test_rows_and_columns_of_very_different_sizes(loss, solver, spread):
    rng = np.random.default_rng(0)
    A = X * spread ** rng.random((40, 1)) * spread ** rng.random(25)
    for make in CONTAINERS:
        assert_sound(factorize(make(A), K, loss=loss, solver=solver, random_state=0, tol=0, max_iter=40))


def test_fits_leave_arithmetic_below_the_normal_numbers_alone():
    """Kernels let such results become zero; the caller's mode must come back, in every kind of pass."""
    A = np.random.default_rng(0).random((300, 20), dtype=np.float32)
    for X in (A, A[:, ::-1].copy(order="F"), sp.csr_array(A * (A > 0.5))):
        for loss in ("kullback-leibler", 1.5):
            factorize(X, 3, loss=loss, solver="mu", init="random", max_iter=3, n_threads=1)
            assert np.float32(1e-38) * np.float32(0.1) > 0
