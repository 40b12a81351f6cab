"""Fits of data with missing entries or weights, by every loss and solver."""

import missing
import numpy as np
import pytest
import scipy.sparse as sp
import zoo
from missing import BETAS, DESCENT, PAIRS, PENALTIES, WAYS, some, stored, with_nan
from problems import image, noisy, start
from scipy.optimize import nnls

from nmf_core import factorize

PRECISIONS = {np.float32: 1e-5, np.float64: 1e-12}
K = 3
X = noisy(36, 25, K) + 0.2
KNOWN = some(X.shape, 0.5)
WEIGHTS = KNOWN * np.random.default_rng(5).uniform(0.2, 3.0, X.shape)

every_pair = pytest.mark.parametrize(("loss", "solver"), PAIRS)
every_descent = pytest.mark.parametrize(("loss", "solver"), DESCENT)
every_way = pytest.mark.parametrize("way", WAYS)
every_penalty = pytest.mark.parametrize("penalty", PENALTIES)


def fit(A, k=K, W=None, H=None, **parameters):
    """A fit from a custom start, for as many iterations as asked for."""
    if W is None and "init" not in parameters:
        W, H = start(X.astype(A.dtype), k)
    return factorize(A, k, W=W, H=H, **{"tol": 0, "max_iter": 20} | parameters)


def assert_same_bits(one, other):
    np.testing.assert_array_equal(one.W, other.W)
    np.testing.assert_array_equal(one.H, other.H)
    np.testing.assert_array_equal(one.history.objective, other.history.objective)
    np.testing.assert_array_equal(one.history.violation, other.history.violation)
    assert one.objective == other.objective


def assert_close(one, other, rtol=1e-7):
    np.testing.assert_allclose(one.W, other.W, rtol=rtol, atol=rtol * other.W.max())
    np.testing.assert_allclose(one.H, other.H, rtol=rtol, atol=rtol * other.H.max())
    assert one.objective == pytest.approx(other.objective, rel=rtol)


# --- the result


@pytest.mark.parametrize("dtype", PRECISIONS)
@every_penalty
@pytest.mark.parametrize("way", ["nan", "weights"])
@every_pair
def test_course_of_a_fit(loss, solver, way, penalty, dtype):
    """Nothing negative, the dtype kept, the objective that of what is known and never rising."""
    weights = WEIGHTS if way == "weights" else KNOWN
    A = (X if way == "weights" else with_nan(X, KNOWN)).astype(dtype)
    how = {"weights": weights} if way == "weights" else {"missing": "nan"}
    regularization, beta, kept = PENALTIES[penalty], BETAS[loss], []
    result = fit(
        A, loss=loss, solver=solver, max_iter=30, **how, **regularization,
        callback=lambda state: kept.append((state.W.copy(), state.H.copy(), state.objective)),
    )  # fmt: skip
    for factor, shape in ((result.W, (36, K)), (result.H, (K, 25))):
        assert factor.dtype == dtype
        assert factor.shape == shape
        assert np.isfinite(factor).all()
        assert (factor >= 0).all()
    weights, A = weights.astype(dtype), A.astype(np.float64)
    rounding = PRECISIONS[dtype] * (np.sum(weights * X**2) if beta == 2 else 10 * kept[0][2])
    for W, H, objective in kept[::6]:
        expected = missing.divergence(A, weights, W.astype(np.float64) @ H, beta)
        expected += missing.penalties(weights, W, H, **regularization)
        assert objective == pytest.approx(expected, abs=rounding)
    assert result.objective == pytest.approx(missing.objective(A, weights, result, **regularization), rel=1e-9)
    assert result.divergence == pytest.approx(missing.divergence(A, weights, missing.model(result), beta), rel=1e-9)
    errors = 2 * missing.divergence(A, weights, missing.model(result), 2)
    assert result.squared_error == pytest.approx(errors, rel=1e-6)
    assert result.X_squared_norm == pytest.approx(np.sum(weights[KNOWN] * A[KNOWN] ** 2), rel=1e-6)
    assert result.history.objective[-1] == result.objective
    assert (np.diff(result.history.objective) <= rounding).all()
    assert result.objective < 0.7 * kept[0][2]
    assert result.parameters["missing"] == how.get("missing")


@every_descent
@pytest.mark.parametrize("weights", [KNOWN, WEIGHTS], ids=["missing", "weighted"])
@every_penalty
def test_conditions_of_optimality_hold_at_convergence(loss, solver, penalty, weights):
    regularization = PENALTIES[penalty]
    result = fit(X, loss=loss, solver=solver, weights=weights, tol=1e-6, max_iter=20000, **regularization)
    assert result.converged
    residual = missing.kkt(X, weights, result.W, result.H, BETAS[loss], **regularization)
    assert residual < (1e-4 if result.stop_reason == "tol" else 5e-3)


@every_descent
def test_acceleration_saves_more_than_half_of_the_iterations(loss, solver):
    A, known = noisy(100, 60, 6), some((100, 60), 0.5)
    W, H = start(A, 6)
    given = {"missing": "nan", "loss": loss, "solver": solver}
    plain = fit(with_nan(A, known), 6, W, H, max_iter=150, acceleration=False, **given)
    assert fit(with_nan(A, known), 6, W, H, max_iter=70, **given).objective <= plain.objective * (1 + 1e-4)


@pytest.mark.parametrize("solver", ["mu", "mue"])
@pytest.mark.parametrize("loss", BETAS)
def test_multiplicative_updates_are_those_of_the_formula(loss, solver):
    """Without acceleration both are the same: W first, every half of a gradient summed over what is known."""
    result = fit(X, loss=loss, solver=solver, weights=WEIGHTS, acceleration=False, max_iter=5)
    W, H = start(X, K)
    beta = BETAS[loss]
    exponent = 1 / (2 - beta) if beta < 1 else 1 if beta <= 2 else 1 / (beta - 1)
    for _ in range(5):
        for F, G, x, w in ((W, H.T, X, WEIGHTS), (H.T, W, X.T, WEIGHTS.T)):
            Y = F @ G.T
            F *= ((w * x * Y ** (beta - 2)) @ G / ((w * Y ** (beta - 1)) @ G)) ** exponent
    np.testing.assert_allclose(result.W, W, rtol=1e-8)
    np.testing.assert_allclose(result.H, H, rtol=1e-8)


def test_plain_coordinate_descent_is_that_of_the_formula():
    result = fit(X, weights=WEIGHTS, acceleration=False, max_iter=4, alpha_W=0.01, l1_ratio=0.3)
    W, H = start(X, K)
    (l1_W, l2_W), (l1_H, l2_H) = missing.strengths(WEIGHTS, alpha_W=0.01, l1_ratio=0.3)
    for _ in range(4):
        for F, G, x, w, l1, l2 in ((W, H.T, X, WEIGHTS, l1_W, l2_W), (H.T, W, X.T, WEIGHTS.T, l1_H, l2_H)):
            for c in range(K):
                slope = (w * (F @ G.T - x)) @ G[:, c] + l1 + l2 * F[:, c]
                F[:, c] = np.maximum(0, F[:, c] - slope / (w @ G[:, c] ** 2 + l2))
    np.testing.assert_allclose(result.W, W, rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(result.H, H, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("weighted", [False, True])
def test_with_fixed_components_every_row_is_non_negative_least_squares(weighted):
    weights = WEIGHTS if weighted else KNOWN.astype(float)
    H = start(X, K)[1]
    result = factorize(X, K, H=H, update_H=False, weights=weights, tol=1e-9, max_iter=5000)
    roots = np.sqrt(weights)
    expected = [nnls(root[:, np.newaxis] * H.T, root * x)[0] for root, x in zip(roots, X, strict=True)]
    np.testing.assert_allclose(result.W, expected, atol=1e-6)
    np.testing.assert_array_equal(result.H, H)


@pytest.mark.parametrize("loss", BETAS)
def test_with_fixed_components_every_row_is_optimal(loss):
    H = start(X, K)[1]
    penalty = {"alpha_W": 0.01, "l1_ratio": 0.5, "alpha_scaling": "observed"}
    result = factorize(X, K, H=H, update_H=False, weights=WEIGHTS, loss=loss, tol=1e-7, max_iter=5000, **penalty)
    (l1, l2), _ = missing.strengths(WEIGHTS, **penalty)
    slow = 1e-2 if BETAS[loss] not in (1, 2) else 1e-5
    assert missing.violation(X, WEIGHTS, result.W, H.T, BETAS[loss], l1, l2).max() < slow


@every_pair
def test_components_held_fixed_stay_to_the_last_bit(loss, solver):
    """Even where nothing is known."""
    known = KNOWN.copy()
    known[3] = known[:, 5] = False
    W, H = start(X, K)
    kept = np.array([False, True, False])
    result = fit(with_nan(X, known), K, W, H, missing="nan", update_H=~kept, loss=loss, solver=solver)
    np.testing.assert_array_equal(result.H[kept], H[kept])
    assert not result.H[~kept, 5].any()
    assert not result.W[3].any()
    assert np.diff(result.history.objective).max() <= 1e-9 * result.history.objective[0]


@every_descent
def test_a_seed_decides_everything(loss, solver):
    given = {"init": "random", "random_state": 3, "shuffle": True, "loss": loss, "solver": solver, "missing": "nan"}
    assert_same_bits(*(fit(with_nan(X, KNOWN), **given) for _ in range(2)))
    other = fit(with_nan(X, KNOWN), **given | {"random_state": 4})
    assert np.abs(other.W - fit(with_nan(X, KNOWN), **given).W).max() > 1e-3


# --- what does not matter


@every_pair
def test_values_under_a_mask_never_matter(loss, solver):
    """Whatever is there, zeros too, to the last bit."""
    others = np.random.default_rng(1).uniform(0, 1e3, X.shape) * (np.random.default_rng(2).random(X.shape) < 0.9)
    results = [
        fit(A, init="random", random_state=0, loss=loss, solver=solver, weights=WEIGHTS, max_iter=8)
        for A in (X, np.where(KNOWN, X, others), np.where(KNOWN, X, 0), sp.csr_array(np.where(KNOWN, X, others)))
    ]
    for result in results[1:]:
        assert_same_bits(result, results[0])
    masked = fit(
        with_nan(X, KNOWN), init="random", random_state=0, loss=loss, solver=solver, missing="nan", weights=WEIGHTS,
        max_iter=8,
    )  # fmt: skip
    assert_same_bits(masked, results[0])


@pytest.mark.parametrize("init", ["custom", "random"])
@every_pair
def test_however_it_is_said_what_is_missing(loss, solver, init):
    W, H = start(X, K) if init == "custom" else (None, None)
    results = []
    for way in WAYS.values():
        A, how = way(X, KNOWN)
        results.append(fit(A, K, W, H, init=init, random_state=0, loss=loss, solver=solver, max_iter=10, **how))
    for result in results[1:]:
        assert_same_bits(result, results[0])


@every_way
@pytest.mark.parametrize("dtype", PRECISIONS)
def test_whatever_is_given_stays_as_it_is(way, dtype):
    A, how = WAYS[way](X.astype(dtype), KNOWN)
    W, H = start(X.astype(dtype), K)
    given = [A, W, H, *(value for value in how.values() if not isinstance(value, (str, list)))]
    before = [zoo.contents(array) for array in given]
    result = factorize(A, K, W=W, H=H, max_iter=5, tol=0, alpha_W=0.01, alpha_scaling="observed", **how)
    for array, contents in zip(given, before, strict=True):
        assert all(a.tobytes() == b.tobytes() for a, b in zip(contents, zoo.contents(array), strict=True))
    assert result.W.dtype == dtype


@pytest.mark.parametrize("name", [name for name in zoo.LAYOUTS if "memory" not in name])
def test_whatever_array_holds_the_data(name):
    A = zoo.LAYOUTS[name](with_nan(zoo.matrix(), some((37, 22), 0.6)))
    W, H = start(zoo.matrix(), K)
    result, expected = (fit(B, K, W, H, missing="nan") for B in (A, np.array(A, dtype=np.float64)))
    assert_same_bits(result, expected)


FORMATS = [name for name in zoo.SPARSE if "explicit" not in name and not name.startswith(("bsr", "dia"))]


@pytest.mark.parametrize("loss", ["frobenius", "kullback-leibler"])
@pytest.mark.parametrize("name", FORMATS)
def test_whatever_sparse_matrix_holds_the_data(name, loss):
    A = zoo.matrix() + (zoo.matrix() > 0)
    held = zoo.SPARSE[name](A)
    before = zoo.contents(held)
    W, H = start(A, K)
    result = fit(held, K, W, H, missing="unstored", loss=loss)
    assert zoo.same_contents(before, zoo.contents(held))
    assert_same_bits(result, fit(with_nan(A, A > 0), K, W, H, missing="nan", loss=loss))


@pytest.mark.parametrize("name", FORMATS)
def test_whatever_sparse_matrix_holds_the_weights(name):
    A, weights = X[:, :22], zoo.matrix()[:36]
    W, H = start(A, K)
    held = zoo.SPARSE[name](weights)
    before = zoo.contents(held)
    assert_same_bits(fit(A, K, W, H, weights=held), fit(A, K, W, H, weights=weights))
    assert zoo.same_contents(before, zoo.contents(held))


@pytest.mark.parametrize("what", [None, "unstored"])
@pytest.mark.parametrize("name", FORMATS)
def test_whatever_sparse_matrix_holds_weighted_data(name, what):
    A, weights = zoo.matrix(), np.random.default_rng(0).uniform(0.5, 2, (37, 22)) * some((37, 22), 0.8)
    W, H = start(A, K)
    held = zoo.SPARSE[name](A)
    before = zoo.contents(held)
    expected = fit(A, K, W, H, weights=weights * (A > 0) if what else weights)
    for kind in (np.asarray, sp.csr_array, sp.csc_matrix):
        assert_same_bits(fit(held, K, W, H, missing=what, weights=kind(weights)), expected)
    assert zoo.same_contents(before, zoo.contents(held))


@pytest.mark.parametrize("form", ["csr", "csc"])
@every_pair
def test_stored_zeros_are_known(loss, solver, form):
    if BETAS[loss] <= 0:
        return  # has no use for zeros
    A = X * (np.random.default_rng(3).random(X.shape) < 0.7)
    W, H = start(A, K)
    known, positive = stored(A, KNOWN, getattr(sp, f"{form}_array")), stored(A, KNOWN & (A > 0))
    zeros = fit(known, K, W, H, loss=loss, solver=solver, missing="unstored")
    assert_same_bits(zeros, fit(with_nan(A, KNOWN), K, W, H, loss=loss, solver=solver, missing="nan"))
    without = fit(positive, K, W, H, loss=loss, solver=solver, missing="unstored")
    assert zeros.n_stored == KNOWN.sum() > without.n_stored == (KNOWN & (A > 0)).sum()
    assert np.abs(zeros.H - without.H).max() > 1e-3


def test_bool_weights_are_a_mask():
    assert_same_bits(fit(X, weights=KNOWN), fit(X, weights=KNOWN.astype(np.float32)))


@pytest.mark.parametrize("n_threads", [2, 3])
@pytest.mark.parametrize("dtype", PRECISIONS)
@every_pair
def test_same_bits_at_any_number_of_threads(loss, solver, dtype, n_threads):
    A, known = THREADED
    given = {"loss": loss, "solver": solver, "init": "random", "random_state": 0, "weights": known, "max_iter": 4}
    expected, result = (fit(A.astype(dtype), 12, n_threads=n, **given) for n in (1, n_threads))
    assert_same_bits(result, expected)


THREADED = noisy(260, 150, 8), some((260, 150), 0.5) * np.random.default_rng(0).uniform(0.5, 2, (260, 150))


# --- weights


@every_pair
def test_complete_data_are_taken_for_complete(loss, solver):
    given = {"loss": loss, "solver": solver, "init": "random", "random_state": 0}
    expected = fit(X, **given)
    assert_same_bits(fit(X, missing="nan", **given), expected)
    assert_same_bits(fit(X, weights=np.ones(X.shape), **given), expected)


@every_pair
def test_equal_weights_change_the_objective_alone(loss, solver):
    """The path that is taken for weights leads where that for complete data leads."""
    given = {"loss": loss, "solver": solver, "acceleration": False, "max_iter": 15}
    expected, result = fit(X, **given), fit(X, weights=np.full(X.shape, 2.5), **given)
    np.testing.assert_allclose(result.W, expected.W, rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(result.H, expected.H, rtol=1e-7, atol=1e-9)
    assert result.objective == pytest.approx(2.5 * expected.objective, rel=1e-8)


@every_descent
def test_nothing_missing_that_is_said_to_be_unstored(loss, solver):
    given = {"loss": loss, "solver": solver, "acceleration": False}
    assert_close(fit(sp.csr_array(X), missing="unstored", **given), fit(X, **given))


@every_penalty
@every_pair
def test_whole_weights_of_rows_are_rows_that_are_repeated(loss, solver, penalty):
    """With "observed", penalties too; "size" says how large X is, so that there H is penalized for more rows."""
    regularization = PENALTIES[penalty] | ({"alpha_scaling": "observed"} if penalty != "no penalty" else {})
    times = np.random.default_rng(0).integers(1, 4, len(X))
    W, H = start(X, K)
    given = {"loss": loss, "solver": solver, "acceleration": False, "max_iter": 12, **regularization}
    weighted = fit(X, K, W, H, weights=times[:, np.newaxis] * KNOWN, **given)
    A, known = np.repeat(X, times, axis=0), np.repeat(KNOWN, times, axis=0)
    repeated = fit(with_nan(A, known), K, np.repeat(W, times, axis=0), H, missing="nan", **given)
    assert weighted.objective == pytest.approx(repeated.objective, rel=1e-6)
    np.testing.assert_allclose(np.repeat(weighted.W, times, axis=0), repeated.W, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(weighted.H, repeated.H, rtol=1e-4, atol=1e-6)


@every_pair
def test_float32_is_close_to_float64(loss, solver):
    given = {"loss": loss, "solver": solver, "acceleration": False, "weights": WEIGHTS}
    single, double = fit(X.astype(np.float32), **given), fit(X, **given)
    assert single.objective == pytest.approx(double.objective, rel=2e-3)
    np.testing.assert_allclose(single.W @ single.H, double.W @ double.H, atol=5e-3 * X.max())


# --- symmetries


@every_pair
def test_transposing_the_data_swaps_the_factors(loss, solver):
    """One half step apart: from H and the W of a first iteration, X.T goes the way that X goes from there."""
    given = {"loss": loss, "solver": solver, "acceleration": False, "alpha_scaling": "observed"}
    W, H = start(X, K)
    penalty, swapped = {"alpha_W": 0.01, "alpha_H": 0.02}, {"alpha_W": 0.02, "alpha_H": 0.01}
    first, sixth, seventh = (fit(X, K, W, H, weights=WEIGHTS, max_iter=n, **given, **penalty) for n in (1, 6, 7))
    turned = fit(X.T, K, H.T, first.W.T, weights=WEIGHTS.T, max_iter=6, **given, **swapped)
    np.testing.assert_allclose(turned.W, sixth.H.T, rtol=1e-7, atol=1e-10)
    np.testing.assert_allclose(turned.H, seventh.W.T, rtol=1e-7, atol=1e-10)


@every_descent
def test_transposed_data_have_the_same_minimum(loss, solver):
    W, H = start(X, K)
    given = {"loss": loss, "solver": solver, "tol": 1e-8, "max_iter": 5000}
    straight, turned = fit(X, K, W, H, weights=WEIGHTS, **given), fit(X.T, K, H.T, W.T, weights=WEIGHTS.T, **given)
    assert turned.objective == pytest.approx(straight.objective, rel=1e-4)


@every_pair
def test_permuting_samples_and_features_permutes_the_factors(loss, solver):
    rng = np.random.default_rng(0)
    rows, columns = rng.permutation(36), rng.permutation(25)
    W, H = start(X, K)
    given = {"loss": loss, "solver": solver, "missing": "nan", "max_iter": 15}
    A = with_nan(X, KNOWN)
    plain = fit(A, K, W, H, **given)
    permuted = fit(A[rows][:, columns], K, W[rows], H[:, columns], **given)
    np.testing.assert_allclose(permuted.W, plain.W[rows], rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(permuted.H, plain.H[:, columns], rtol=1e-6, atol=1e-9)


# --- rows and columns of which nothing, or next to nothing, is known


@pytest.mark.parametrize("init", ["custom", "random"])
@every_way
@every_pair
def test_what_nothing_is_known_of_is_zero(loss, solver, way, init):
    known = KNOWN.copy()
    known[[4, 20]] = known[:, [0, 9]] = False
    A, how = WAYS[way](X, known)
    W, H = start(X, K) if init == "custom" else (None, None)
    result = fit(A, K, W, H, init=init, random_state=0, loss=loss, solver=solver, max_iter=6, **how)
    assert not result.W[[4, 20]].any()
    assert not result.H[:, [0, 9]].any()
    assert result.W[~np.isin(np.arange(36), [4, 20])].any(axis=1).all()
    assert result.H[:, ~np.isin(np.arange(25), [0, 9])].any(axis=0).all()
    assert result.objective == pytest.approx(missing.objective(X, known, result), rel=1e-9)


@every_pair
def test_a_single_known_entry(loss, solver):
    A = np.full((5, 4), np.nan)
    A[2, 1] = 3.0
    result = fit(A, 1, init="random", random_state=0, loss=loss, solver=solver, missing="nan", max_iter=500)
    assert (result.W @ result.H)[2, 1] == pytest.approx(3.0, rel=1e-3)
    assert np.count_nonzero(result.W) == np.count_nonzero(result.H) == 1


@pytest.mark.parametrize("dtype", PRECISIONS)
@every_pair
def test_few_entries_and_more_components_than_they_tell_of(loss, solver, dtype):
    """Finite, never rising, and with a penalty without a warning."""
    known = some((30, 20), 0.06)
    A = with_nan(noisy(30, 20, 3), known).astype(dtype)
    result = fit(
        A, 12, init="random", random_state=0, missing="nan", loss=loss, solver=solver, max_iter=100, alpha_W=1e-3
    )
    assert np.isfinite(result.W).all()
    assert np.isfinite(result.H).all()
    assert np.isfinite(result.history.objective).all()
    assert (np.diff(result.history.objective) <= 10 * PRECISIONS[dtype] * result.X_squared_norm).all()


@pytest.mark.filterwarnings("ignore:.* comes to nothing")
@pytest.mark.parametrize("penalty", [{}, {"alpha_W": 0.01}, {"alpha_W": 0.01, "alpha_H": 0.0}])
@pytest.mark.parametrize("k", [3, 4])
def test_more_components_than_any_row_or_column_knows_entries(k, penalty):
    """Three entries in every row and in every column."""
    known = np.zeros((8, 8), dtype=bool)
    for step in range(3):
        known[np.arange(8), (np.arange(8) + step) % 8] = True
    given = {"missing": "nan", "random_state": 0, "max_iter": 3, **penalty}
    A = with_nan(noisy(8, 8, 2), known)
    if k > 3 and penalty.get("alpha_H", penalty.get("alpha_W", 0.0)) == 0:
        with pytest.warns(UserWarning, match=r"n_components=4.* 3 "):
            factorize(A, k, **given)
    else:
        factorize(A, k, **given)


# --- what it is for


BOOKS = np.array(
    [[5, 3, np.nan, 1], [4, np.nan, np.nan, 1], [1, 1, np.nan, 5], [1, np.nan, np.nan, 4], [np.nan, 1, 5, 4]]
)


@pytest.mark.parametrize("seed", range(5))
def test_ratings_of_books(seed):
    result = factorize(
        BOOKS, 2, missing="nan", alpha_W=0.05, alpha_scaling="observed", random_state=seed, tol=1e-6, max_iter=2000
    )
    errors = np.abs(result.W @ result.H - BOOKS)[~np.isnan(BOOKS)]
    assert errors.max() < 0.5
    assert (result.W @ result.H).min() >= 0
    assert (result.W @ result.H).max() < 6


# Strengths of the 20 components, noise, penalty, and how much larger than the noise errors may be. Where all components
# are equally strong, 30,000 entries tell of 16,000 numbers, which makes errors 1.46 times as large by itself.
HELD_OUT = {"a few strong components": (0.4, 1.5, 0.15, 1.1), "equally strong components": (1.0, 1.0, 0.02, 1.5)}


@pytest.mark.parametrize("name", HELD_OUT)
def test_held_out_entries_are_predicted_about_as_well_as_noise_allows(name):
    """500 x 300, of which a fifth is known."""
    strength, noise, alpha, bound = HELD_OUT[name]
    rng = np.random.default_rng(0)
    truth = (rng.gamma(1.0, size=(500, 20)) * strength ** np.arange(20)) @ rng.gamma(1.0, size=(20, 300))
    A = np.maximum(truth + noise * rng.standard_normal(truth.shape), 0)
    known = rng.random(A.shape) < 0.2
    result = factorize(
        with_nan(A, known), 20, missing="nan", alpha_W=alpha, alpha_scaling="observed", random_state=0, max_iter=500
    )

    def error(guess):
        return np.sqrt(np.mean((A - guess)[~known] ** 2))

    assert error(result.W @ result.H) < bound * error(truth)
    assert error(A[known].mean()) > 1.5 * error(truth)


def peak_signal_to_noise(picture, found, where):
    return 10 * np.log10(255**2 / np.mean((picture - found)[where] ** 2))


def test_holes_in_a_picture_are_filled():
    """Better than by the means of the columns, and than by factors of a picture that was filled with them."""
    picture = image(256)
    known = np.random.default_rng(0).random(picture.shape) > 0.3
    holed = with_nan(picture, known)
    filled = np.where(known, picture, np.nanmean(holed, axis=0))
    parameters = {"init": "random", "random_state": 0, "max_iter": 100}
    ours, plain = factorize(holed, 20, missing="nan", **parameters), factorize(filled, 20, **parameters)
    quality = peak_signal_to_noise(picture, ours.W @ ours.H, ~known)
    assert quality > peak_signal_to_noise(picture, plain.W @ plain.H, ~known) + 3
    assert quality > peak_signal_to_noise(picture, filled, ~known) + 3
