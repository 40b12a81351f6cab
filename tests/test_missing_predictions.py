"""What a model of incomplete data is asked: new samples, single entries, recommendations, filled holes; and biases."""

import missing
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import zoo
from missing import BETAS, PENALTIES, WAYS, some, stored, with_nan
from problems import noisy, start
from scipy.optimize import lsq_linear

from nmf_core import factorize, load
from nmf_core.interpretation import row_errors

K = 3
X = noisy(36, 25, K) + 0.2
KNOWN = some(X.shape, 0.5)
WEIGHTS = KNOWN * np.random.default_rng(5).uniform(0.2, 3.0, X.shape)
NEW = noisy(23, 25, K, seed=7) + 0.1
NEW_KNOWN = some(NEW.shape, 0.5, seed=8)
NEW_KNOWN[3] = True  # complete
NEW_KNOWN[4] = np.arange(25) == 7  # one entry
ROWS, COLUMNS = [f"user {i}" for i in range(36)], [f"item {j}" for j in range(25)]
PRECISIONS = {np.float32: 1e-5, np.float64: 1e-12}

every_way = pytest.mark.parametrize("way", WAYS)
every_loss = pytest.mark.parametrize("loss", BETAS)


def fitted(biases=False, dtype=np.float64, labels=False, **parameters):
    A = with_nan(X, KNOWN).astype(dtype)
    if labels:
        A = pd.DataFrame(A, index=ROWS, columns=COLUMNS)
    W, H = start(X.astype(dtype), K)
    return factorize(A, K, missing="nan", W=W, H=H, biases=biases, **{"alpha_W": 0.01} | parameters)


MODELS = {"plain": fitted(), "biases": fitted(biases=True)}
every_model = pytest.mark.parametrize("result", MODELS.values(), ids=MODELS)


# --- new samples


@pytest.mark.parametrize("biases", [False, True])
@every_way
@every_loss
def test_a_row_is_answered_by_itself(loss, way, biases):
    """To the last bit: neither which other rows there are matters, nor what is missing from them."""
    if biases and loss != "frobenius":
        return
    A, how = WAYS[way](X, KNOWN)
    result = factorize(A, K, random_state=0, loss=loss, biases=biases, max_iter=20, **how)

    def answer(rows):
        B, options = WAYS[way](NEW[rows], NEW_KNOWN[rows])
        return result.transform(B, weights=options.get("weights"))

    together = answer(np.arange(23))
    assert (together >= 0).all()
    for i in (0, 3, 4, 11, 22):
        np.testing.assert_array_equal(answer([i]), together[[i]])
    np.testing.assert_array_equal(answer(np.arange(23)[::-1]), together[::-1])
    np.testing.assert_array_equal(answer([4, 20, 3]), together[[4, 20, 3]])


@pytest.mark.parametrize("penalty", PENALTIES)
@pytest.mark.parametrize("loss", ["frobenius", "kullback-leibler"])
def test_the_samples_of_the_fit_are_answered_as_there(loss, penalty):
    """The penalty is that of the fit, too."""
    given = {"loss": loss, "missing": "nan", **PENALTIES[penalty]}
    W, H = start(X, K)
    result = factorize(with_nan(X, KNOWN), K, W=W, H=H, tol=1e-7, max_iter=20000, **given)
    again = result.transform(with_nan(X, KNOWN), tol=1e-9, max_iter=5000)
    np.testing.assert_allclose(again @ result.H, result.W @ result.H, atol=1e-3)
    (l1, l2), _ = missing.strengths(KNOWN, **PENALTIES[penalty])
    assert missing.violation(X, KNOWN, again, result.H.T, BETAS[loss], l1, l2).max() < 1e-6


@every_loss
def test_weights_of_new_samples(loss):
    H = start(X, K)[1]
    result = factorize(X, K, H=H, W=start(X, K)[0], weights=WEIGHTS, loss=loss, max_iter=5, tol=0, alpha_W=0.01)
    weights = NEW_KNOWN * np.random.default_rng(0).uniform(0.5, 2, NEW.shape)
    found = result.transform(NEW, weights=weights, tol=1e-7, max_iter=5000)
    (l1, l2), _ = missing.strengths(weights, alpha_W=0.01)
    slow = 1e-2 if BETAS[loss] not in (1, 2) else 1e-5
    assert missing.violation(NEW, weights, found, result.H.T, BETAS[loss], l1, l2).max() < slow
    hidden = np.where(weights > 0, NEW, 99.0)
    np.testing.assert_array_equal(result.transform(hidden, weights=weights), result.transform(NEW, weights=weights))
    complete = result.transform(NEW)
    assert missing.violation(NEW, np.ones(NEW.shape), complete, result.H.T, BETAS[loss], l1, l2).max() < 0.1


def test_a_new_sample_of_which_nothing_is_known_is_zero_beside_others():
    A = with_nan(NEW, NEW_KNOWN)
    A[9] = np.nan
    for loss in BETAS:
        found = fitted(loss=loss, max_iter=5).transform(A)
        assert not found[9].any()
        assert found[np.arange(23) != 9].any(axis=1).all()


@pytest.mark.parametrize("n_threads", [2, 3])
@pytest.mark.parametrize("loss", ["frobenius", "kullback-leibler", 1.5])
def test_transform_has_the_same_bits_at_any_number_of_threads(loss, n_threads):
    result = fitted(loss=loss, max_iter=5)
    A = np.tile(with_nan(NEW, NEW_KNOWN), (40, 1))
    expected, found = (result.transform(A, n_threads=n) for n in (1, n_threads))
    np.testing.assert_array_equal(found, expected)


def test_new_samples_stay_as_they_are():
    for way in WAYS.values():
        A, how = way(X, KNOWN)
        result = factorize(A, K, random_state=0, max_iter=3, tol=0, **how)
        B, options = way(NEW, NEW_KNOWN)
        before = zoo.contents(B)
        result.transform(B, weights=options.get("weights"))
        assert all(a.tobytes() == b.tobytes() for a, b in zip(before, zoo.contents(B), strict=True))


# --- biases


@pytest.mark.parametrize("acceleration", [True, False])
@pytest.mark.parametrize("dtype", PRECISIONS)
@pytest.mark.parametrize("penalty", PENALTIES)
@pytest.mark.parametrize("weights", [None, KNOWN, WEIGHTS], ids=["complete", "missing", "weighted"])
def test_course_of_a_fit_with_biases(weights, penalty, dtype, acceleration):
    """The objective is that of the whole model, and never rises."""
    regularization = PENALTIES[penalty]
    W, H = start(X.astype(dtype), K)
    result = factorize(
        X.astype(dtype), K, W=W, H=H, weights=weights, biases=True, acceleration=acceleration, tol=0, max_iter=30,
        **regularization,
    )  # fmt: skip
    weights = np.ones(X.shape) if weights is None else weights.astype(dtype).astype(np.float64)
    mean, rows, columns = result.biases
    A = X.astype(dtype).astype(np.float64)
    assert mean == pytest.approx(np.sum(weights * A) / np.sum(weights), rel=1e-6)
    assert (rows.shape, columns.shape, rows.dtype, columns.dtype) == ((36,), (25,), dtype, dtype)
    assert (result.W >= 0).all()
    assert (result.H >= 0).all()
    assert min(rows.min(), columns.min()) < 0
    Y, bound = missing.model(result), 1e-9 if dtype == np.float64 else 1e-5
    assert result.objective == pytest.approx(missing.objective(A, weights, result, **regularization), rel=bound)
    assert result.divergence == pytest.approx(missing.divergence(A, weights, Y, 2), rel=bound)
    assert result.squared_error == pytest.approx(2 * missing.divergence(A, weights, Y, 2), rel=bound)
    assert result.X_squared_norm == pytest.approx(np.sum(weights * A**2), rel=1e-6)
    assert result.history.objective[-1] == result.objective
    assert (np.diff(result.history.objective) <= PRECISIONS[dtype] * result.X_squared_norm).all()


def test_a_callback_sees_the_factors_of_the_model():
    """Not how biases are carried along."""
    shapes = set()
    fitted(biases=True, callback=lambda state: shapes.add((state.W.shape, state.H.shape)))
    assert shapes == {((36, K), (K, 25))}


def test_biases_are_optimal():
    """Gradients vanish, of factors as far as they may."""
    penalty = {"alpha_W": 0.01, "alpha_H": 0.02, "l1_ratio": 0.3, "alpha_scaling": "observed"}
    result = factorize(X, K, weights=WEIGHTS, biases=True, random_state=0, tol=1e-14, max_iter=20000, **penalty)
    residual = WEIGHTS * (missing.model(result) - X)
    (l1_W, l2_W), (l1_H, l2_H) = missing.strengths(WEIGHTS, **penalty)
    assert result.converged
    np.testing.assert_allclose(residual.sum(axis=1) + l2_W * result.biases.rows, 0, atol=1e-4)
    np.testing.assert_allclose(residual.sum(axis=0) + l2_H * result.biases.columns, 0, atol=1e-4)
    of_W = residual @ result.H.T + l1_W[:, np.newaxis] + l2_W[:, np.newaxis] * result.W
    of_H = residual.T @ result.W + l1_H[:, np.newaxis] + l2_H[:, np.newaxis] * result.H.T
    assert np.abs(np.minimum(result.W, of_W)).max() < 1e-4
    assert np.abs(np.minimum(result.H.T, of_H)).max() < 1e-4


def test_sums_of_rows_and_columns_are_recovered():
    rng = np.random.default_rng(0)
    truth = 5 + rng.uniform(-2, 2, (40, 1)) + rng.uniform(-2, 2, 30)
    known = some(truth.shape, 0.4)
    parameters = {"missing": "nan", "biases": True, "random_state": 0, "tol": 1e-9, "max_iter": 5000}
    result = factorize(with_nan(truth, known), 1, alpha_W=1e-5, alpha_scaling="observed", **parameters)
    np.testing.assert_allclose(missing.model(result), truth, atol=0.02)


@every_way
def test_biases_however_it_is_said_what_is_missing(way):
    W, H = start(X, K)
    A, how = WAYS[way](X, KNOWN)
    result = factorize(A, K, W=W, H=H, biases=True, alpha_W=0.01, **how)
    expected = MODELS["biases"]
    np.testing.assert_array_equal(result.W, expected.W)
    np.testing.assert_array_equal(result.H, expected.H)
    assert result.biases.mean == expected.biases.mean
    np.testing.assert_array_equal(result.biases.rows, expected.biases.rows)
    np.testing.assert_array_equal(result.biases.columns, expected.biases.columns)


@pytest.mark.parametrize("make", [np.asarray, np.asfortranarray, sp.csr_array, sp.csc_array])
def test_biases_of_complete_data(make):
    A = X * (X > 0.8)
    W, H = start(A, K)
    given = {"W": W, "H": H, "biases": True, "alpha_W": 0.01, "tol": 1e-6, "max_iter": 3000}
    result, expected = factorize(make(A), K, **given), factorize(A, K, weights=np.full(A.shape, 1.0), **given)
    np.testing.assert_allclose(missing.model(result), missing.model(expected), atol=1e-3)
    assert result.objective == pytest.approx(missing.objective(A, np.ones(A.shape), result, alpha_W=0.01), rel=1e-9)


def test_transposing_swaps_biases():
    given = {"missing": "nan", "biases": True, "tol": 1e-8, "max_iter": 20000, "alpha_scaling": "observed"}
    W, H = start(X, K)
    A = with_nan(X, KNOWN)
    straight = factorize(A, K, W=W, H=H, alpha_W=0.02, alpha_H=0.04, **given)
    turned = factorize(A.T, K, W=H.T, H=W.T, alpha_W=0.04, alpha_H=0.02, **given)
    assert turned.objective == pytest.approx(straight.objective, rel=1e-3)
    assert turned.biases.mean == pytest.approx(straight.biases.mean)
    assert (turned.biases.rows.shape, turned.biases.columns.shape) == ((25,), (36,))


def test_biases_of_what_nothing_is_known_of():
    """A row of which nothing is known gets the mean and the biases of the columns, no more."""
    known = KNOWN.copy()
    known[6] = known[:, 11] = False
    result = factorize(with_nan(X, known), K, missing="nan", biases=True, random_state=0, alpha_W=0.01)
    assert not result.W[6].any()
    assert not result.H[:, 11].any()
    assert result.biases.rows[6] == 0
    assert result.biases.columns[11] == 0
    np.testing.assert_allclose(missing.model(result)[6], result.biases.mean + result.biases.columns)


@pytest.mark.parametrize("n_threads", [2, 3])
def test_biases_have_the_same_bits_at_any_number_of_threads(n_threads):
    A = np.tile(with_nan(X, KNOWN), (8, 6))
    one, more = (factorize(A, 9, missing="nan", biases=True, random_state=0, max_iter=4, n_threads=n, alpha_W=0.1)
                 for n in (1, n_threads))  # fmt: skip
    np.testing.assert_array_equal(one.W, more.W)
    np.testing.assert_array_equal(one.biases.rows, more.biases.rows)
    np.testing.assert_array_equal(one.biases.columns, more.biases.columns)
    assert one.objective == more.objective


@pytest.mark.parametrize("labels", [False, True])
@pytest.mark.parametrize("biases", [False, True])
def test_a_saved_model_says_the_same(tmp_path, biases, labels):
    result = fitted(biases=biases, labels=labels, alpha_scaling="observed", tol=1e-5)
    result.save(tmp_path / "model")
    path = next(tmp_path.iterdir())
    again = load(path)
    assert again.parameters == result.parameters
    assert again.parameters["missing"] == "nan"
    assert again.parameters["alpha_scaling"] == "observed"
    assert (again.biases is None) == (not biases)
    if biases:
        assert again.biases.mean == result.biases.mean
        np.testing.assert_array_equal(again.biases.rows, result.biases.rows)
        np.testing.assert_array_equal(again.biases.columns, result.biases.columns)
    rows, columns = np.arange(36)[:, np.newaxis], np.arange(25)
    np.testing.assert_array_equal(again.predict(rows, columns), result.predict(rows, columns))
    A = with_nan(NEW, NEW_KNOWN)
    np.testing.assert_array_equal(again.transform(A), result.transform(A))
    np.testing.assert_array_equal(again.impute(A, new=True), result.impute(A, new=True))


# --- single entries


@pytest.mark.parametrize("dtype", PRECISIONS)
@pytest.mark.parametrize("biases", [False, True])
def test_predictions_are_those_of_the_model(biases, dtype):
    result = fitted(biases=biases, dtype=dtype)
    Y, close = missing.model(result), {"rtol": PRECISIONS[dtype], "atol": PRECISIONS[dtype] * X.max()}
    everything = result.predict(np.arange(36)[:, np.newaxis], np.arange(25))
    assert everything.dtype == dtype
    np.testing.assert_allclose(everything, Y, **close)
    i, j = np.random.default_rng(0).integers(0, [[36], [25]], (2, 300))
    np.testing.assert_allclose(result.predict(i, j), Y[i, j], **close)
    np.testing.assert_allclose(result.predict(i.reshape(3, 100), 4), Y[i, 4].reshape(3, 100), **close)
    np.testing.assert_allclose(result.predict(2, [5, 6]), Y[2, [5, 6]], **close)
    np.testing.assert_allclose(result.predict([[1], [2]], [[3, 4, 5]]), Y[1:3, 3:6], **close)
    assert np.shape(result.predict(7, 8)) == ()
    assert float(result.predict(7, np.uint8(8))) == pytest.approx(Y[7, 8], rel=10 * PRECISIONS[dtype])


def test_many_predictions():
    """More than are computed together."""
    i, j = np.random.default_rng(0).integers(0, [[36], [25]], (2, 600_001))
    np.testing.assert_allclose(MODELS["plain"].predict(i, j), missing.model(MODELS["plain"])[i, j], rtol=1e-12)


@pytest.mark.parametrize("biases", [False, True])
def test_predictions_by_labels(biases):
    result = fitted(biases=biases, labels=True)
    Y = missing.model(result)
    expected = {"rtol": 1e-12, "atol": 1e-12}
    np.testing.assert_allclose(result.predict("user 3", "item 9"), Y[3, 9], **expected)
    np.testing.assert_allclose(result.predict(["user 3", "user 35"], "item 9"), Y[[3, 35], 9], **expected)
    np.testing.assert_allclose(result.predict(3, ["item 9", "item 0"]), Y[3, [9, 0]], **expected)
    np.testing.assert_allclose(result.predict(np.array(ROWS)[:, np.newaxis], COLUMNS), Y, **expected)


@pytest.mark.parametrize(
    "hold",
    [pd.Index, pd.Series, lambda labels: np.array(labels, dtype=object), tuple],
    ids=["index", "series", "objects", "tuple"],
)
def test_labels_come_as_they_are_kept(hold):
    result = fitted(labels=True)
    np.testing.assert_allclose(
        result.predict(hold(ROWS[:3]), hold(COLUMNS[4:7])), np.diag(missing.model(result)[:3, 4:7])
    )
    np.testing.assert_array_equal(result.recommend(hold(ROWS[:3])).columns, result.recommend([0, 1, 2]).columns)


@pytest.mark.parametrize(
    ("rows", "columns", "kind", "message"),
    [
        (36, 0, ValueError, "row 36"),
        (-1, 0, ValueError, "row -1"),
        ([0, 1], [0, 25], ValueError, "column 25"),
        ("user 36", 0, ValueError, "row 'user 36'"),
        (0, ["item 1", "user 1"], ValueError, "column 'user 1'"),
        (1.0, 0, TypeError, "row"),
        (None, 0, TypeError, "row"),
        (0, True, TypeError, "column"),
        (np.array([True, False]), 0, TypeError, "row"),
    ],
)
def test_places_that_are_not_there(rows, columns, kind, message):
    result = fitted(labels=True)
    with pytest.raises(kind, match=message):
        result.predict(rows, columns)


def test_labels_where_there_are_none():
    with pytest.raises(TypeError, match=r"row.*numbers from 0"):
        MODELS["plain"].predict("user 3", 0)


def test_places_that_do_not_fit_each_other():
    with pytest.raises(ValueError, match=r"in pairs, but there are 3 rows and 2 columns: .*ix_"):
        MODELS["plain"].predict([0, 1, 2], [0, 1])
    with pytest.raises(ValueError, match=r"an array \(2, 2\) of rows and 3 columns"):
        MODELS["plain"].predict([[0, 1], [2, 3]], [0, 1, 2])
    rows, columns = ROWS[:3], COLUMNS[4:6]
    result = fitted(labels=True)
    np.testing.assert_allclose(result.predict(*np.ix_(rows, columns)), missing.model(result)[:3, 4:6])


@pytest.mark.parametrize("nothing", [np.empty(0, dtype=int), []], ids=["array", "list"])
@every_model
def test_no_places(result, nothing):
    assert result.predict(nothing, 3).shape == (0,)
    assert result.recommend(nothing, 4).columns.shape == (0, 4)


# --- recommendations


def ranking(Y, excluded, n):
    """Best columns and their scores, of equal ones the first; -1 and NaN where there are no more."""
    columns, scores = np.full((len(Y), n), -1), np.full((len(Y), n), np.nan)
    for i, row in enumerate(Y):
        left = np.flatnonzero(~excluded[i])
        best = left[np.argsort(-row[left], kind="stable")][:n]
        columns[i, : len(best)], scores[i, : len(best)] = best, row[best]
    return columns, scores


EXCLUDE = {
    "CSR": lambda A, seen: stored(A, seen),
    "CSC": lambda A, seen: stored(A, seen, sp.csc_matrix),
    "COO": lambda A, seen: stored(A, seen, sp.coo_array),
    "array with NaN": with_nan,
    "array with zeros": lambda A, seen: np.where(seen, A, 0),
    "bool": lambda A, seen: seen,
    "int": lambda A, seen: seen.astype(int),
    "data frame": lambda A, seen: pd.DataFrame(with_nan(A, seen)),
    "list": lambda A, seen: seen.tolist(),
    **{f"CSR, {quirk}": lambda A, seen, quirk=quirk: zoo.QUIRKS[quirk](sp.csr_array(stored(A, seen)))
       for quirk in zoo.QUIRKS if "zeros" not in quirk},
    **{f"CSC, {quirk}": lambda A, seen, quirk=quirk: zoo.QUIRKS[quirk](sp.csc_array(stored(A, seen)))
       for quirk in zoo.QUIRKS if "zeros" not in quirk},
}  # fmt: skip


@pytest.mark.parametrize("how", EXCLUDE)
@every_model
def test_recommendations_are_the_best_of_what_is_not_excluded(result, how):
    seen = KNOWN.copy()
    seen[5], seen[6], seen[7, :-2] = True, False, True
    exclude = EXCLUDE[how](X, seen)
    before = zoo.contents(exclude) if how != "list" else None
    columns, scores = result.recommend(n=4, exclude=exclude)
    wanted = ranking(missing.model(result), seen, 4)
    np.testing.assert_array_equal(columns, wanted[0])
    np.testing.assert_allclose(scores, wanted[1], rtol=1e-12)
    some_rows = result.recommend([30, 5, 7, 7], 4, exclude=exclude)
    np.testing.assert_array_equal(some_rows.columns, columns[[30, 5, 7, 7]])
    np.testing.assert_array_equal(some_rows.scores, scores[[30, 5, 7, 7]])
    if before:
        assert all(a.tobytes() == b.tobytes() for a, b in zip(before, zoo.contents(exclude), strict=True))


def test_stored_zeros_are_excluded():
    exclude = stored(0 * X, KNOWN)
    assert not exclude.data.any()
    columns = MODELS["plain"].recommend(n=25, exclude=exclude).columns
    np.testing.assert_array_equal(np.sum(columns >= 0, axis=1), np.sum(~KNOWN, axis=1))


@every_model
def test_recommendations_of_all_and_of_one(result):
    expected = ranking(missing.model(result), np.zeros(X.shape, dtype=bool), 10)
    recommended = result.recommend()
    np.testing.assert_array_equal(recommended.columns, expected[0])
    np.testing.assert_allclose(recommended.scores, expected[1], rtol=1e-12)
    one = result.recommend(8, 3)
    np.testing.assert_array_equal(np.ravel(one.columns), expected[0][8, :3])


@every_model
def test_more_recommendations_than_features(result):
    columns, scores = result.recommend(n=99)
    np.testing.assert_array_equal(np.sort(columns[:, :25], axis=1), np.broadcast_to(np.arange(25), X.shape))
    assert (columns[:, 25:] == -1).all()
    assert np.isnan(scores[:, 25:]).all()
    assert (np.diff(scores[:, :25], axis=1) <= 0).all()


def test_recommendations_of_equal_scores():
    result = factorize(np.ones((4, 30)), 1, W=np.ones((4, 1)), H=np.ones((1, 30)), max_iter=1)
    np.testing.assert_array_equal(result.recommend(n=12).columns, np.broadcast_to(np.arange(12), (4, 12)))


def test_recommendations_by_labels():
    result = fitted(labels=True)
    for rows in (["user 9", "user 0"], ("user 9", "user 0"), np.array(["user 9", "user 0"])):
        np.testing.assert_array_equal(result.recommend(rows, 5).columns, result.recommend([9, 0], 5).columns)
    np.testing.assert_array_equal(result.recommend("user 9", 5).columns, result.recommend(9, 5).columns)
    with pytest.raises(ValueError, match="row 'nobody'"):
        result.recommend("nobody")


@pytest.mark.parametrize("n_threads", [2, 3])
@every_model
def test_recommendations_are_the_same_at_any_number_of_threads(result, n_threads):
    rows = np.tile(np.arange(36), 60)
    one, more = (result.recommend(rows, 7, exclude=stored(X, KNOWN), n_threads=n) for n in (1, n_threads))
    np.testing.assert_array_equal(more.columns, one.columns)
    np.testing.assert_array_equal(more.scores, one.scores)


@pytest.mark.parametrize("dtype", PRECISIONS)
def test_dtypes_of_recommendations(dtype):
    columns, scores = fitted(dtype=dtype).recommend(n=2)
    assert columns.dtype == np.int64
    assert scores.dtype == dtype


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        ({"n": 0}, ValueError, "n"),
        ({"n": 2.5}, TypeError, "n"),
        ({"rows": 36}, ValueError, "row 36"),
        ({"rows": "user 1"}, TypeError, "row"),
        ({"exclude": X[:5]}, ValueError, r"exclude.*\(5, 25\).*\(36, 25\)"),
        ({"exclude": sp.csr_array(X[:, :5])}, ValueError, r"exclude.*\(36, 5\).*\(36, 25\)"),
        ({"exclude": X.astype(str)}, TypeError, "exclude"),
        ({"exclude": 3}, ValueError, "exclude"),
        ({"n_threads": -1}, ValueError, "n_threads"),
    ],
)
def test_recommendations_that_cannot_be(arguments, kind, message):
    with pytest.raises(kind, match=message):
        MODELS["plain"].recommend(**arguments)


# --- filled holes


@pytest.mark.parametrize("dtype", PRECISIONS)
@pytest.mark.parametrize("biases", [False, True])
def test_holes_are_filled_by_the_model(biases, dtype):
    result, A = fitted(biases=biases, dtype=dtype), with_nan(X, KNOWN).astype(dtype)
    before = A.copy()
    for make in (np.asarray, np.asfortranarray, lambda A: A.tolist()):
        filled = result.impute(make(A))
        np.testing.assert_array_equal(filled[KNOWN], A[KNOWN])
        close = 10 * PRECISIONS[dtype]
        np.testing.assert_allclose(filled[~KNOWN], missing.model(result)[~KNOWN], rtol=close, atol=close)
    np.testing.assert_array_equal(A, before)
    assert result.impute(A).dtype == dtype
    assert not np.shares_memory(result.impute(A), A)


def test_nothing_to_fill():
    np.testing.assert_array_equal(MODELS["plain"].impute(X), X)


@pytest.mark.parametrize("biases", [False, True])
def test_a_data_frame_stays_one(biases):
    result = fitted(biases=biases, labels=True)
    frame = pd.DataFrame(with_nan(X, KNOWN), index=ROWS, columns=COLUMNS)
    before = frame.copy()
    filled = result.impute(frame)
    assert isinstance(filled, pd.DataFrame)
    pd.testing.assert_frame_equal(frame, before)
    pd.testing.assert_index_equal(filled.index, frame.index)
    pd.testing.assert_index_equal(filled.columns, frame.columns)
    np.testing.assert_array_equal(filled.to_numpy(), result.impute(frame.to_numpy()))
    new = pd.DataFrame(with_nan(NEW, NEW_KNOWN), columns=COLUMNS)
    np.testing.assert_array_equal(result.impute(new, new=True).to_numpy(), result.impute(new.to_numpy(), new=True))


def test_a_data_frame_with_missing_integers():
    frame = pd.DataFrame(np.round(with_nan(X, KNOWN))).astype("Int64")
    result = factorize(frame, K, missing="nan", random_state=0, alpha_W=0.01)
    plain = factorize(np.round(with_nan(X, KNOWN)), K, missing="nan", random_state=0, alpha_W=0.01)
    np.testing.assert_array_equal(result.W, plain.W)
    np.testing.assert_array_equal(result.impute(frame).to_numpy(dtype=float), plain.impute(frame.to_numpy(dtype=float)))


# Fits that say differently what is missing; a new sample says it with NaN.
FITS = {
    "nan": lambda biases: factorize(with_nan(X, KNOWN), K, missing="nan", random_state=0, alpha_W=0.01, biases=biases),
    "complete": lambda biases: factorize(X, K, random_state=0, alpha_W=0.01, biases=biases),
    "unstored": lambda biases: factorize(
        stored(X, KNOWN), K, missing="unstored", random_state=0, alpha_W=0.01, biases=biases
    ),
    "weights": lambda biases: factorize(X, K, weights=WEIGHTS, random_state=0, alpha_W=0.01, biases=biases),
}


@pytest.mark.parametrize("biases", [False, pytest.param(True, marks=pytest.mark.slow)])
@pytest.mark.parametrize("how", FITS)
def test_holes_of_new_samples_are_filled(how, biases):
    result, A = FITS[how](biases), with_nan(NEW, NEW_KNOWN)
    filled = result.impute(A, new=True)
    np.testing.assert_array_equal(filled[NEW_KNOWN], NEW[NEW_KNOWN])
    assert np.isfinite(filled).all()
    (_, l2), _ = missing.strengths(NEW_KNOWN, alpha_W=0.01)
    for i, known in enumerate(NEW_KNOWN):
        H, shift = result.H.T, 0.0
        if biases:
            H, shift = np.column_stack([H, np.ones(25)]), result.biases.mean + result.biases.columns
        found = constrained(H[known], (NEW[i] - shift)[known], l2[i], bounded=K)
        np.testing.assert_allclose(filled[i], np.where(known, NEW[i], H @ found + shift), atol=0.02)


def constrained(A, b, l2, bounded):
    """The minimiser of ||A f - b||^2 / 2 + l2 ||f||^2 / 2 whose first entries are not negative, by SciPy."""
    k = A.shape[1]
    lower = np.where(np.arange(k) < bounded, 0.0, -np.inf)
    A, b = np.vstack([A, np.sqrt(l2) * np.eye(k)]), np.append(b, np.zeros(k))
    return lsq_linear(A, b, (lower, np.inf), tol=1e-14).x


def test_filled_samples_do_not_depend_on_each_other():
    A = with_nan(NEW, NEW_KNOWN)
    for result in MODELS.values():
        together = result.impute(A, new=True)
        for i in (0, 3, 4, 22):
            np.testing.assert_allclose(result.impute(A[[i]], new=True), together[[i]], rtol=1e-12)


@pytest.mark.parametrize(
    ("A", "new", "kind", "message"),
    [
        (stored(X, KNOWN), False, ValueError, "sparse"),
        (stored(NEW, NEW_KNOWN), True, ValueError, "sparse"),
        (with_nan(NEW, NEW_KNOWN), False, ValueError, r"\(23, 25\).*\(36, 25\)"),
        (with_nan(X, KNOWN)[:, :5], True, ValueError, "5 features.*25"),
        (-X, False, ValueError, "negative"),
        (X.astype(str), False, TypeError, "strings"),
    ],
)
def test_what_cannot_be_filled(A, new, kind, message):
    with pytest.raises(kind, match=message):
        MODELS["plain"].impute(A, new=new)


# --- what a reviewer stumbled over


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("loss", ["frobenius", "kullback-leibler"])
def test_long_columns_are_added_up_in_double(loss, dtype):
    """Large entries first: a sum in float32 would lose the small ones."""
    rng = np.random.default_rng(0)
    size = np.where(np.arange(300_000) < 8_000, 30.0, 1.0)[:, np.newaxis]
    A = size * np.where(size > 1, [1.0, 1.0], [1.0, 3.0]) * rng.gamma(20, 0.05, (300_000, 2))
    given = {"loss": loss, "random_state": 0, "max_iter": 30}
    exact = factorize(A, 1, init="random", **given)
    f = factorize(sp.csr_array(A.astype(dtype)), 1, missing="unstored", **given)
    assert f.objective == pytest.approx(exact.objective, rel=1e-5)
    assert f.history.objective[-2] == pytest.approx(exact.history.objective[-2], rel=1e-4)
    assert f.H[0, 1] / f.H[0, 0] == pytest.approx(exact.H[0, 1] / exact.H[0, 0], rel=1e-4)


@pytest.mark.parametrize("noise", [0, 1e-4])
def test_close_fits_in_float32_are_as_close_as_without_holes(noise):
    rng = np.random.default_rng(0)
    A = rng.gamma(1, size=(100, 4)) @ rng.gamma(1, size=(4, 60)) * (1 + noise * rng.standard_normal((100, 60)))
    holes = A.copy()
    holes[0, 0] = np.nan
    given = {"init": "random", "random_state": 0, "max_iter": 2000, "tol": 1e-6}
    single = factorize(holes.astype(np.float32), 4, missing="nan", **given)
    double = factorize(holes, 4, missing="nan", **given)
    assert single.objective <= 1.1 * double.objective + 1e-9 * np.sum(A**2)
    assert single.history.objective[-2] == pytest.approx(single.objective, rel=0.2)


@pytest.mark.parametrize("how", ["nan", "weights"])
@pytest.mark.parametrize("side", ["W", "H"])
def test_a_component_may_start_from_zero_on_one_side(how, side):
    f = factorize(X, K, random_state=0)
    rng = np.random.default_rng(1)
    W, H = (np.hstack([f.W, rng.random((36, 1))]), np.vstack([f.H, rng.random((1, 25))]))
    (W[:, -1] if side == "W" else H[-1])[:] = 0
    expected = factorize(X, K + 1, W=W, H=H).objective
    weights = np.full(X.shape, 2.0)
    holes = X.copy()
    holes[0, 0] = np.nan
    given = {"missing": "nan"} if how == "nan" else {"weights": weights}
    f = factorize(holes if how == "nan" else X, K + 1, W=W, H=H, **given)
    assert f.objective <= 2.1 * expected


@pytest.mark.parametrize("scale", [1e-20, 1, 1e10])
def test_units_of_weights_do_not_matter_to_kullback_leibler_in_float32(scale):
    rng = np.random.default_rng(0)
    A, weights = noisy(40, 30, 3) + 0.1, (1 + rng.random((40, 30))) * scale
    f = factorize(A.astype(np.float32), 3, weights=weights, loss="kullback-leibler", random_state=0)
    g = factorize(A, 3, weights=weights / scale, loss="kullback-leibler", random_state=0)
    assert f.objective == pytest.approx(g.objective * scale, rel=0.01)
    assert f.history.objective[-2] == pytest.approx(f.objective, rel=0.01)


@pytest.mark.parametrize("value", [np.nan, -999.0, np.inf])
@pytest.mark.parametrize("make", [np.asarray, sp.csr_array])
@pytest.mark.parametrize("frame", [False, True])
def test_anything_may_stand_where_the_weight_is_zero(value, make, frame):
    A = np.where(KNOWN, X, value)
    given = {"weights": make(KNOWN.astype(float)), "random_state": 0}
    f = factorize(pd.DataFrame(A) if frame else A, K, **given)
    g = factorize(X, K, **given)
    np.testing.assert_array_equal(f.W, g.W)
    assert f.row_labels == (tuple(range(36)) if frame else None)
    np.testing.assert_array_equal(f.transform(A, weights=KNOWN), g.transform(X, weights=KNOWN))


@pytest.mark.parametrize("biases", [False, True])
def test_nobody_is_an_answer_too(biases):
    """A new sample of which nothing is known is zeros, alone as beside others."""
    holes = np.where(KNOWN, X, np.nan)
    f = factorize(holes, K, missing="nan", random_state=0, biases=biases)
    alone = f.transform(np.full((1, 25), np.nan))
    np.testing.assert_array_equal(alone, np.zeros((1, K)))
    np.testing.assert_array_equal(f.transform(np.vstack([holes[:2], np.full((1, 25), np.nan)]))[2:], alone)
    model = f.impute(np.full((1, 25), np.nan), new=True)
    np.testing.assert_allclose(model[0], f.biases.mean + f.biases.columns if biases else 0)


@pytest.mark.parametrize("biases", [False, True])
def test_new_samples_get_recommendations(biases):
    holes = np.where(KNOWN, X, np.nan)
    f = factorize(holes, K, missing="nan", random_state=0, biases=biases)
    new = holes[5:9]
    best = f.recommend(new=new, n=4, exclude=new)
    scores = np.where(np.isnan(new), f.impute(new, new=True), -np.inf)
    order = np.argsort(-scores, axis=1, kind="stable")[:, :4]
    np.testing.assert_array_equal(best.columns, order)
    np.testing.assert_allclose(best.scores, np.take_along_axis(scores, order, axis=1))
    np.testing.assert_array_equal(f.recommend([2], 4, new=new, exclude=new).columns, best.columns[2:3])
    with pytest.raises(ValueError, match="no row 4"):
        f.recommend(4, new=new)
    with pytest.raises(ValueError, match="2 dimensions"):
        f.recommend([[0, 1], [2, 3]])


def test_labels_must_be_those_of_the_fit():
    frame = pd.DataFrame(np.where(KNOWN, X, np.nan), [f"s{i}" for i in range(36)], [f"f{j}" for j in range(25)])
    f = factorize(frame, K, missing="nan", random_state=0)
    with pytest.raises(ValueError, match=r"columns of X are not those of the fit: 1 of 25 .* 'f0'; 1 of 25 .* 'g0'"):
        f.impute(frame.rename(columns={"f0": "g0"}))
    with pytest.raises(ValueError, match=r"rows of X are not those of the fit: .* 's3'"):
        f.impute(frame.rename(index={"s3": "s99"}))
    f.impute(frame[:3], new=True)


def test_labels_that_occur_twice_name_nobody():
    frame = pd.DataFrame(X, ["a"] * 36)
    f = factorize(frame, K, random_state=0)
    with pytest.raises(ValueError, match="two rows 'a'"):
        f.predict("a", 0)
    assert f.predict(3, 0) == pytest.approx((f.W @ f.H)[3, 0])


def test_zeros_that_are_known_are_excluded():
    A = X.copy()
    A[0, 3] = 0
    A[0, 4] = np.nan
    f = factorize(A, K, missing="nan", random_state=0)
    assert f.recommend(0, 25, exclude=A).columns[0, :2].tolist() == [4, -1]


# --- new samples, in another form than those of the fit

ARRAYS = {"array": lambda A: A, "list": lambda A: A.tolist(), "frame": pd.DataFrame}


@pytest.mark.parametrize("biases", [False, True])
@pytest.mark.parametrize("make", ARRAYS.values(), ids=ARRAYS)
def test_nan_is_missing_for_a_fit_of_what_is_stored(make, biases):
    f = FITS["unstored"](biases)
    kept, holes = stored(NEW, NEW_KNOWN), make(with_nan(NEW, NEW_KNOWN))
    np.testing.assert_array_equal(f.transform(holes), f.transform(kept))
    best, expected = (f.recommend(new=new, exclude=kept, n=3) for new in (holes, kept))
    np.testing.assert_array_equal(best.columns, expected.columns)
    np.testing.assert_array_equal(f.predict([3, 4], 5, new=holes), f.predict([3, 4], 5, new=kept))
    filled = np.asarray(f.impute(holes, new=True))
    np.testing.assert_allclose(filled[~NEW_KNOWN], f.predict(*np.nonzero(~NEW_KNOWN), new=kept))
    A = with_nan(X, KNOWN)
    np.testing.assert_allclose(row_errors(f, make(A)), row_errors(f, stored(X, KNOWN)))


def test_what_may_be_zero_or_missing_is_asked_for():
    nan, unstored, new = FITS["nan"](False), FITS["unstored"](False), NEW * (NEW > 0.5)
    for call in (lambda f, A: f.recommend(new=A), lambda f, A: f.predict(0, 0, new=A)):
        with pytest.raises(ValueError, match=r"new is sparse, but in the fit NaN was missing: .*new.toarray"):
            call(nan, sp.csr_array(new))
        with pytest.raises(ValueError, match=r"new is an array with zeros and without NaN, .* a sparse matrix"):
            call(unstored, new)
    unstored.transform(new, weights=NEW_KNOWN)
    unstored.transform(NEW)  # no zeros
    with pytest.raises(ValueError, match="impute fills NaN in an array, but X is sparse: predict"):
        unstored.impute(stored(X, KNOWN))


@pytest.mark.parametrize("how", FITS)
@pytest.mark.parametrize("biases", [False, True])
def test_single_entries_of_new_samples(biases, how):
    f = FITS[how](biases)
    complete = NEW + 0.1
    i, j = np.array([[0, 3], [22, 3]]), np.array([7, 0])
    found = f.predict(i, j, new=complete)
    W, offsets, _ = f._samples(complete)
    expected = W @ f.H + offsets[:, np.newaxis] + (f.biases.columns if biases else 0)
    np.testing.assert_allclose(found, expected[i, j])


def test_new_samples_have_labels_of_their_own():
    f = fitted(biases=True, labels=True)
    new = pd.DataFrame(with_nan(NEW, NEW_KNOWN), [f"new {i}" for i in range(23)], COLUMNS)
    turned = new[COLUMNS[::-1]]
    expected = f.predict(3, "item 2", new=new.to_numpy())
    assert f.predict("new 3", "item 2", new=turned) == expected
    with pytest.raises(ValueError, match="no row 'user 3'"):
        f.predict("user 3", "item 2", new=new)
    best = f.recommend(["new 5", "new 3"], 4, new=turned)
    assert best.row_labels == ("new 5", "new 3")
    assert list(best.table["sample"]) == ["new 5"] * 4 + ["new 3"] * 4


# --- recommendations as they are shown


def test_nothing_is_recommended_to_somebody_unknown():
    """A model without biases expects the same of everything; with biases it knows what others like."""
    known = KNOWN.copy()
    known[6] = False
    for biases in (False, True):
        f = factorize(stored(X, known), K, missing="unstored", biases=biases, random_state=0, alpha_W=0.01)
        best, new = f.recommend([5, 6], 3), f.recommend(new=np.full((1, 25), np.nan), n=3)
        assert (best.columns[0] >= 0).all()
        for columns, scores in ((best.columns[1], best.scores[1]), (new.columns[0], new.scores[0])):
            if biases:
                np.testing.assert_array_equal(columns, np.argsort(-f.biases.columns)[:3])
            else:
                assert columns.tolist() == [-1] * 3
                assert np.isnan(scores).all()
        assert list(best.table["sample"]) == [5] * 3 + [6] * 3 * biases


def test_recommendations_are_a_table():
    f = fitted(labels=True)
    best = f.recommend(["user 9", "user 0"], 3, exclude=KNOWN)
    table = best.table
    assert list(table.columns) == ["sample", "rank", "feature", "score"]
    assert list(table["sample"]) == ["user 9"] * 3 + ["user 0"] * 3
    assert list(table["rank"]) == [1, 2, 3] * 2
    assert list(table["feature"]) == best.labels.ravel().tolist()
    np.testing.assert_array_equal(table["score"], best.scores.ravel())
    assert repr(best) == "<Recommendations: up to 3 features for each of 2 samples>"
    page = best._repr_html_()
    assert page.index("user 9") < page.index(best.labels[0, 0])
    plain = MODELS["plain"].recommend([7, 2], 2)
    assert plain.row_labels == (7, 2)
    assert plain.table["feature"].tolist() == plain.columns.ravel().tolist()


def test_recommendations_are_a_table_of_the_library_of_X():
    polars = pytest.importorskip("polars")
    f = factorize(polars.DataFrame(X, schema=COLUMNS), K, random_state=0)
    table = f.recommend(3, 2).table
    assert isinstance(table, polars.DataFrame)
    assert table["sample"].to_list() == [3, 3]


def test_biases_print_in_a_line():
    f = MODELS["biases"]
    assert repr(f.biases) == f"<Biases of 36 samples and 25 features, mean {f.biases.mean:.4g}>"
