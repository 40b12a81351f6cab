"""Choosing the number of components: what is held out, and which number is found."""

import sys
import warnings
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from covering import mainly

from nmf_core import factorize, model_selection
from nmf_core.labels import LabelledMatrix
from nmf_core.model_selection import METHODS, RankSelection, cross_validate_rank, holdout_entries
from nmf_core.transform import transform


def planted(n=60, m=40, k=4, noise=0.1, seed=0):
    """Rank k, about a third of zeros in the factors, and noise relative to the spread of the entries."""
    rng = np.random.default_rng(seed)
    W, H = (rng.gamma(1.0, size=shape) * (rng.random(shape) < 0.6) for shape in ((n, k), (k, m)))
    return np.maximum(W @ H + noise * (W @ H).std() * rng.standard_normal((n, m)), 0)


def planted_sparse(n=200, m=150, k=4, noise=0.1, seed=0):
    """The same in CSR: factors are mostly zeros, and the noise multiplies."""
    rng = np.random.default_rng(seed)
    W, H = (rng.gamma(2.0, size=shape) * (rng.random(shape) < 0.25) for shape in ((n, k), (k, m)))
    return sp.csr_array(W @ H * np.maximum(1 + noise * rng.standard_normal((n, m)), 0))


def partly_known(X, seed=0, share=0.7):
    """CSR that stores a share of X, zeros too."""
    rows, columns = np.nonzero(np.random.default_rng(seed).random(X.shape) < share)
    return sp.csr_array((X[rows, columns], (rows, columns)), shape=X.shape)


def hardly_determined(n=30, m=20, k=3, seed=0):
    """Rank k, most of the factors zeros and little noise: without a fifth of it some rows are nearly free."""
    rng = np.random.default_rng(seed)
    W, H = (rng.gamma(1.0, size=shape) * (rng.random(shape) < 0.4) for shape in ((n, k), (k, m)))
    return W @ H * rng.gamma(2500, 1 / 2500, size=(n, m))


explosions = pytest.mark.filterwarnings("ignore:Errors of held-out entries have exploded")


# --- entries held out

COUNTS = np.random.default_rng(0).poisson(1.5, size=(11, 7))
HOLEY = np.where(np.random.default_rng(1).random(COUNTS.shape) < 0.8, COUNTS, np.nan)
KNOWN = partly_known(COUNTS.astype(float))

KINDS = {
    "float64": (COUNTS.astype(np.float64), None),
    "float32": (COUNTS.astype(np.float32), None),
    "integers": (COUNTS, None),
    "by columns": (np.asfortranarray(COUNTS.astype(np.float64)), None),
    "list": (COUNTS.tolist(), None),
    "data frame": (pd.DataFrame(COUNTS), None),
    "complete, NaN allowed": (COUNTS.astype(np.float64), "nan"),
    "NaN": (HOLEY, "nan"),
    "NaN float32": (HOLEY.astype(np.float32), "nan"),
    "CSR": (sp.csr_array(COUNTS.astype(np.float32)), None),
    "CSC matrix": (sp.csc_matrix(COUNTS.astype(np.float64)), None),
    "CSR of known": (KNOWN, "unstored"),
    "CSR matrix of known": (sp.csr_matrix(KNOWN), "unstored"),
    "CSC of known float32": (KNOWN.tocsc().astype(np.float32), "unstored"),
    "COO of known": (KNOWN.tocoo(), "unstored"),
}


def dense_with_nan(X, missing, weights=None):
    """What is known of X, NaN elsewhere."""
    if missing == "unstored":
        X = X.tocoo()
        full = np.full(X.shape, np.nan)
        full[X.row, X.col] = X.data
        return full
    full = np.array(X.toarray() if sp.issparse(X) else X, dtype=float)
    return full if weights is None else np.where(weights > 0, full, np.nan)


@pytest.mark.parametrize("fraction", [0.0, 0.1, 0.5, 1.0])
@pytest.mark.parametrize("kind", KINDS)
def test_held_out_and_left_are_everything_known(kind, fraction):
    X, missing = KINDS[kind]
    before = dense_with_nan(X, missing)
    train = holdout_entries(X, fraction, random_state=0, missing=missing)
    left = dense_with_nan(train.X, train.missing, train.weights)
    assert np.isnan(left[train.rows, train.columns]).all()
    left[train.rows, train.columns] = train.values
    np.testing.assert_array_equal(left, before)
    np.testing.assert_array_equal(dense_with_nan(X, missing), before)  # not modified

    n = np.count_nonzero(~np.isnan(before))
    assert len(train.values) == min(max(1, round(fraction * n)), n - 1)
    places = train.rows * 7 + train.columns
    assert (np.diff(places) > 0).all()


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_left_is_of_the_same_kind(kind):
    X, missing = KINDS[kind]
    train = holdout_entries(X, random_state=0, missing=missing)
    dtype = np.float32 if getattr(X, "dtype", None) == np.float32 else np.float64
    assert np.asarray(train.X).dtype == dtype if isinstance(X, pd.DataFrame) else train.X.dtype == dtype
    assert train.values.dtype == dtype
    assert train.values.ndim == train.rows.ndim == train.columns.ndim == 1
    if not sp.issparse(X):
        assert train.missing == "nan"
        assert train.weights is None
        if isinstance(X, pd.DataFrame):
            assert train.X.index.equals(X.index)
            assert train.X.columns.equals(X.columns)
        else:
            assert train.X.flags.f_contiguous == np.asarray(X).flags.f_contiguous
    elif missing == "unstored":
        assert train.missing == "unstored"
        assert train.weights is None
        assert type(train.X) is type(X.tocsr())
        assert train.X.has_canonical_format
    else:
        assert train.missing is None
        assert train.X is X
        assert train.weights.dtype == dtype


def test_stored_zeros_are_known_and_may_be_held_out():
    train = holdout_entries(KNOWN, 0.5, random_state=0, missing="unstored")
    assert (train.values == 0).any()
    assert (train.X.data == 0).any()


def test_unsorted_and_repeated_entries_count_once():
    X = sp.csr_array((np.array([1.0, 2, 3, 4, 5]), np.array([2, 0, 2, 1, 0]), np.array([0, 3, 3, 5])), shape=(3, 3))
    train = holdout_entries(X, 1.0, random_state=0, missing="unstored")
    everything = {*zip(train.rows, train.columns, train.values, strict=True), *zip(*sp.find(train.X), strict=True)}
    assert everything == {(0, 0, 2), (0, 2, 4), (2, 0, 5), (2, 1, 4)}
    assert X.nnz == 5


def test_held_out_entries_are_predicted_by_a_fit():
    rng = np.random.default_rng(0)
    X = rng.random((40, 3)) @ rng.random((3, 30))
    for train in (holdout_entries(X, random_state=0), holdout_entries(sp.csr_array(X), random_state=0)):
        f = factorize(train.X, 3, missing=train.missing, weights=train.weights, random_state=0)
        assert np.abs(f.predict(train.rows, train.columns) - train.values).max() < 0.1 * X.std()


@pytest.mark.parametrize("kind", ["NaN", "CSR of known", "CSR"])
def test_errors_of_a_fit_are_found_by_place(kind):
    """Labels are other numbers than places, and in another order."""
    X, missing = KINDS[kind]
    train = holdout_entries(X, 0.2, random_state=0, missing=missing)
    how = {"missing": train.missing, "weights": train.weights, "random_state": 0}
    f = factorize(train.X, 2, sample_names=np.arange(11)[::-1], feature_names=np.roll(range(7), 3), **how)
    expected = (f.W @ f.H)[train.rows, train.columns] - train.values
    np.testing.assert_allclose(train.errors(f), expected, rtol=1e-6)
    assert train.rmse(f) == pytest.approx(np.sqrt(np.mean(expected**2)))
    assert train.mean_loss(f) == pytest.approx(np.mean(expected**2) / 2)


def test_errors_count_the_floor_and_are_of_the_loss_of_the_fit():
    train = holdout_entries(COUNTS, 0.2, random_state=0)
    f = factorize(train.X, 2, missing="nan", loss="itakura-saito", floor=0.5, random_state=0)
    raised, model = train.values + 0.5, f.predict(train.rows, train.columns)
    np.testing.assert_allclose(train.errors(f), model - raised)
    assert train.mean_loss(f) == pytest.approx(np.mean(raised / model - np.log(raised / model) - 1))


def test_errors_of_a_fit_of_something_else_are_refused():
    train = holdout_entries(COUNTS, 0.2, random_state=0)
    with pytest.raises(ValueError, match=r"X has shape \(11, 7\), but \(7, 11\) was factorized"):
        train.errors(factorize(COUNTS.T, 2, loss="frobenius"))


def test_labels_stay_with_what_is_left():
    """As a data frame of the kind of X, or beside a sparse matrix."""
    frame = pd.DataFrame(HOLEY, index=[f"u{i}" for i in range(11)], columns=list("abcdefg"))
    train = holdout_entries(frame, 0.2, random_state=0, missing="nan")
    assert train.X.index.equals(frame.index)
    f = factorize(train.X, 2, missing="nan", random_state=0)
    assert train.rmse(f) == pytest.approx(holdout_entries(HOLEY, 0.2, random_state=0, missing="nan").rmse(f))
    beside = holdout_entries(LabelledMatrix(KNOWN, frame.index, None), 0.2, random_state=0, missing="unstored")
    assert beside.X.row_labels == tuple(frame.index)
    assert factorize(beside.X, 2, missing="unstored", random_state=0).row_labels == tuple(frame.index)


def test_a_holdout_prints_in_a_line():
    train = holdout_entries(KNOWN, 0.2, random_state=0, missing="unstored")
    assert repr(train) == f"<Holdout: {len(train.values)} entries of 11 x 7; X without them has missing='unstored'>"


WEIGHTS = np.random.default_rng(2).integers(0, 4, COUNTS.shape).astype(np.float64)


@pytest.mark.parametrize("sparse_weights", [False, True])
@pytest.mark.parametrize("kind", ["float64", "NaN", "CSR", "CSC of known float32"])
def test_of_weighted_entries_those_that_count_are_held_out(kind, sparse_weights):
    X, missing = KINDS[kind]
    given = sp.csc_array(WEIGHTS) if sparse_weights else WEIGHTS
    train = holdout_entries(X, 0.3, random_state=0, missing=missing, weights=given)
    before = np.where(WEIGHTS > 0, dense_with_nan(X, missing), np.nan)
    left = dense_with_nan(train.X, train.missing)
    assert np.isnan(left[train.rows, train.columns]).all()
    left[train.rows, train.columns] = train.values
    np.testing.assert_array_equal(left, before)
    np.testing.assert_array_equal(train.value_weights, WEIGHTS[train.rows, train.columns])
    kept = np.where(np.isnan(dense_with_nan(train.X, train.missing)), 0, WEIGHTS)
    np.testing.assert_array_equal(train.weights.toarray(), kept)


def test_weighted_errors_are_those_of_entries_that_are_there_as_often():
    train = holdout_entries(COUNTS, 0.3, random_state=0, weights=WEIGHTS)
    f = factorize(train.X, 2, missing=train.missing, weights=train.weights, random_state=0)
    errors = np.repeat(train.errors(f), train.value_weights.astype(int))
    assert train.rmse(f) == pytest.approx(np.sqrt(np.mean(errors**2)))
    assert train.mean_loss(f) == pytest.approx(np.mean(errors**2) / 2)


def test_ranks_are_compared_by_weighted_errors():
    """What has no weight may be anything."""
    X = planted(k=3)
    weights = np.random.default_rng(0).integers(0, 3, X.shape)
    how = {"weights": weights, "random_state": 0, "alpha_W": 1e-3}
    found = cross_validate_rank(X, range(2, 6), **how)
    assert (found.method, found.best) == ("wold", 3)
    other = cross_validate_rank(np.where(weights > 0, X, 99.0), range(2, 6), **how)
    np.testing.assert_array_equal(other.errors, found.errors)


def test_a_seed_decides_what_is_held_out():
    first, again, other = (holdout_entries(COUNTS, random_state=seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first.X, again.X)
    assert not np.array_equal(first.X, other.X, equal_nan=True)
    assert len(holdout_entries(COUNTS, random_state=np.random.default_rng(0)).values) == 8
    assert len(holdout_entries(COUNTS).values) == 8


# --- numbers of components found


@explosions
@pytest.mark.parametrize(
    ("method", "noise"),
    mainly(lambda method, noise: noise == 0.1 or method == "wold", METHODS, [0.02, 0.1, 0.3]),
)
def test_planted_rank_is_found(method, noise):
    found = cross_validate_rank(planted(noise=noise), range(1, 8), method=method, random_state=0)
    assert found.best_one_standard_error == 4
    if method != "bi-cv":
        assert found.best == 4


@explosions
@pytest.mark.parametrize("noise", [0.02, 0.3])
@pytest.mark.parametrize("method", METHODS)
def test_planted_rank_is_found_in_sparse_data_with_missing_entries(method, noise):
    X = partly_known(planted(90, 80, noise=noise))
    found = cross_validate_rank(X, range(2, 7), method=method, missing="unstored", random_state=0)
    assert found.best_one_standard_error == 4


@explosions
@pytest.mark.parametrize("method", METHODS)
def test_planted_rank_is_found_where_nan_is_missing(method):
    X = planted(70, 60)
    X[np.random.default_rng(0).random(X.shape) < 0.2] = np.nan
    found = cross_validate_rank(X, range(2, 7), method=method, missing="nan", random_state=0)
    assert found.best_one_standard_error == 4


@pytest.mark.parametrize(
    ("loss", "noise"),
    mainly(lambda loss, noise: (loss == "frobenius") == (noise > 0.1), ["frobenius", "kullback-leibler"], [0.02, 0.3]),
)
def test_planted_rank_is_found_in_sparse_data_without_a_mask(noise, loss):
    X = planted_sparse(noise=noise)
    for A in (X, X.tocsc()):
        found = cross_validate_rank(A, range(1, 8), method="bi-cv", loss=loss, random_state=0)
        assert found.best_one_standard_error == 4


def test_planted_rank_is_found_in_sparse_data_with_a_mask():
    X = planted_sparse(60, 50, 3)
    sparse, dense = (cross_validate_rank(A, range(1, 6), random_state=0) for A in (X, X.toarray()))
    assert sparse.best_one_standard_error == 3
    np.testing.assert_allclose(sparse.errors, dense.errors, rtol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_planted_rank_is_found_in_counts(method):
    X = np.random.default_rng(0).poisson(10 * planted(80, 60, 3, noise=0))
    found = cross_validate_rank(X, range(1, 7), method=method, loss="kullback-leibler", random_state=0)
    assert found.best_one_standard_error == 3
    assert found.loss == "kullback-leibler"


def test_no_structure_is_one_component():
    X = np.random.default_rng(0).random((50, 40))
    assert [cross_validate_rank(X, range(1, 5), method=m, random_state=0).best for m in METHODS] == [1, 1, 1]


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("noise", [0.05, 0.2, 0.5])
@pytest.mark.parametrize("method", METHODS)
def test_planted_rank_is_found_in_larger_data(method, noise, seed):
    X = planted(300, 200, 8, noise, seed)
    assert cross_validate_rank(X, range(5, 12), method=method, random_state=seed).best_one_standard_error == 8


@pytest.mark.slow
def test_ratings_have_a_few_tastes(shared_data):
    ratings = np.load(shared_data / "jester5k.npz")
    X = sp.csr_array((ratings["rating"] + 10.0, (ratings["user"], ratings["item"])), shape=tuple(ratings["shape"]))
    found = cross_validate_rank(X, range(1, 9), missing="unstored", random_state=0, n_jobs=-1)
    assert found.best in (4, 5, 6)


@explosions
@pytest.mark.parametrize("warm_start", [False, pytest.param(True, marks=pytest.mark.exhaustive)])
def test_no_fold_rules_the_choice(warm_start):
    found = [
        cross_validate_rank(hardly_determined(seed=seed), range(1, 7), random_state=0, warm_start=warm_start)
        for seed in range(16, 24)
    ]
    assert any(selection.exploded for selection in found)
    by_mean, by_median = (
        sum(selection.n_components[centre(selection.errors, axis=1).argmin()] == 3 for selection in found)
        for centre in (np.mean, np.median)
    )
    assert sum(selection.best == 3 for selection in found) >= max(by_mean + (0 if warm_start else 3), by_median)
    assert sum(selection.best_one_standard_error == 3 for selection in found) >= by_median


@pytest.mark.slow
@explosions
@pytest.mark.parametrize("method", ["wold", "imputation"])
@pytest.mark.parametrize("kind", ["dense", "unstored"])
def test_ranks_are_found_as_often_as_by_the_median(kind, method):
    right = []
    for seed, k, shape in ((seed, k, shape) for seed in range(3) for k in (3, 5, 8) for shape in ((30, 20), (40, 30))):
        X = hardly_determined(*shape, k, seed)
        given = {"X": X} if kind == "dense" else {"X": partly_known(X, seed), "missing": "unstored"}
        found = cross_validate_rank(n_components=range(1, 13), method=method, random_state=seed, **given)
        centres = (np.mean(found.errors, axis=1), np.median(found.errors, axis=1), found.mean)
        right.append([found.n_components[centre.argmin()] == k for centre in centres])
    by_mean, by_median, by_ours = np.sum(right, axis=0)
    assert by_ours >= by_mean
    assert by_ours >= by_median - 1


# --- which method suits the data


@pytest.mark.parametrize(
    ("X", "missing", "method"),
    [
        (np.ones((40, 30)), None, "wold"),
        (np.ones((40, 30)), "nan", "wold"),
        (np.ones((2000, 600), dtype=np.float32), None, "bi-cv"),
        (np.ones((2000, 600), dtype=np.float32), "nan", "wold"),
        (sp.csr_array(np.ones((40, 30))), None, "wold"),
        (sp.csr_array(np.eye(200, 150)), None, "bi-cv"),
        (sp.csc_matrix(np.eye(200, 150)), None, "bi-cv"),
        (sp.csr_array(np.eye(200, 150)), "unstored", "wold"),
        (pd.DataFrame(np.ones((40, 30))), None, "wold"),
        (pd.DataFrame.sparse.from_spmatrix(sp.eye_array(200, 150, format="csr")), None, "bi-cv"),
    ],
)
def test_the_method_suits_the_data(X, missing, method, monkeypatch):
    def fit(X, n_components, **parameters):
        raise MemoryError(held_out[0])

    held_out = []
    for name, (hold_out, error) in METHODS.items():
        chosen = (lambda *args, name=name, hold_out=hold_out: held_out.append(name) or hold_out(*args), error)
        monkeypatch.setitem(METHODS, name, chosen)
    monkeypatch.setattr(model_selection, "factorize", fit)
    with pytest.raises(MemoryError, match=method):
        cross_validate_rank(X, [1], missing=missing)


def test_the_method_is_told():
    assert cross_validate_rank(planted(), [2], random_state=0).method == "wold"
    assert cross_validate_rank(planted_sparse(), [2], random_state=0).method == "bi-cv"
    X = planted_sparse(120, 100, noise=0.01)
    assert cross_validate_rank(X, [1, 2], random_state=0, biases=True, max_iter=5).method == "wold"


@pytest.mark.slow
def test_ranks_of_text_are_compared_by_blocks(shared_data):
    stored = np.load(shared_data / "debian_words.npz")
    X = sp.csr_array((stored["data"], stored["indices"], stored["indptr"]), shape=tuple(stored["shape"])).astype(float)
    X.data *= np.log(X.shape[0] / np.bincount(X.indices, minlength=X.shape[1]))[X.indices]
    found = cross_validate_rank(X, range(5, 30, 10), random_state=0)
    assert found.method == "bi-cv"
    assert np.isfinite(found.errors).all()


# --- folds


@pytest.fixture
def fits(monkeypatch):
    """Every fit of a cross-validation: what was fitted, with which parameters, and the result."""
    made = []

    def recorded(X, n_components, **parameters):
        made.append((X, parameters, factorize(X, n_components, **parameters)))
        return made[-1][2]

    monkeypatch.setattr(model_selection, "factorize", recorded)
    return made


@explosions
@pytest.mark.parametrize(("method", "n_repeats"), [("wold", 1), ("wold", 2), ("imputation", 1)])
def test_folds_are_the_same_for_all_ranks(method, n_repeats, fits):
    X = planted(20, 15)
    found = cross_validate_rank(X, [1, 2, 3], method=method, n_folds=4, n_repeats=n_repeats, random_state=0)
    held = np.array([np.isnan(A) for A, _, _ in fits]).reshape(4 * n_repeats, 3, *X.shape)
    assert (held == held[:, :1]).all()
    assert (held.sum(axis=(2, 3)) == X.size // 4).all()
    times = held[:, 0].reshape(n_repeats, 4, *X.shape).sum(axis=1)
    assert (times == 1).all() == (method == "wold")
    assert [f.n_components for _, _, f in fits] == [1, 2, 3] * 4 * n_repeats
    for error, (A, _, f) in zip(found.errors.T.ravel(), fits, strict=True):
        np.testing.assert_allclose(error, np.mean((X - f.W @ f.H)[np.isnan(A)] ** 2) / 2)


def test_folds_of_uneven_size_differ_by_one(fits):
    cross_validate_rank(planted(7, 7, 1), [1], n_folds=5, random_state=0)
    assert sorted(np.count_nonzero(np.isnan(A)) for A, _, _ in fits) == [9, 10, 10, 10, 10]


@pytest.mark.parametrize("missing", [None, "nan", "unstored", "sparse"])
def test_blocks_are_predicted_from_the_rest(missing, fits, monkeypatch):
    """By hand: dealt in turn, so that group i of n is every n-th row or column from the i-th on."""
    X = planted(12, 15, 2) + 0.1
    if missing == "nan":
        X[3, 4] = np.nan
    as_given = sp.csr_array(X) if missing in ("unstored", "sparse") else X
    missing = None if missing == "sparse" else missing
    monkeypatch.setattr(model_selection, "_dealt", lambda n, n_groups, rng: np.arange(n) % n_groups)
    alphas = {"alpha_W": 0.01, "alpha_H": 0.02, "l1_ratio": 0.5}
    found = cross_validate_rank(as_given, [2], method="bi-cv", n_folds=3, missing=missing, random_state=0, **alphas)
    assert found.errors.shape == (1, 9)
    for fold, (D, _, f) in enumerate(fits):
        rows, columns = np.arange(12) % 3 == fold // 3, np.arange(15) % 3 == fold % 3
        D = D.toarray() if sp.issparse(D) else D
        np.testing.assert_array_equal(D, X[np.ix_(~rows, ~columns)])
        as_in_fit = {"missing": "nan" if missing else None, "l1_ratio": 0.5}
        W = transform(X[np.ix_(rows, ~columns)], f.H, alpha_W=0.01, **as_in_fit).W
        Ht = transform(X[np.ix_(~rows, columns)].T, f.W.T, alpha_W=0.02, **as_in_fit).W
        expected = np.nanmean((X[np.ix_(rows, columns)] - W @ Ht.T) ** 2) / 2
        np.testing.assert_allclose(found.errors[0, fold], expected, rtol=1e-6)


def test_every_repeat_deals_anew():
    once, twice = (cross_validate_rank(planted(), [2], method="bi-cv", n_repeats=n, random_state=0) for n in (1, 2))
    assert twice.errors.shape == (1, 8)
    np.testing.assert_array_equal(twice.errors[:, :4], once.errors)
    assert len(np.unique(twice.errors)) == 8


# --- how it runs


@pytest.mark.parametrize("method", METHODS)
def test_the_result_depends_on_the_seed_not_on_threads(method):
    X = planted()
    first, again, threads, other = (
        cross_validate_rank(X, range(1, 5), method=method, random_state=seed, n_jobs=n_jobs)
        for seed, n_jobs in ((0, 1), (0, 1), (0, 3), (1, -1))
    )
    np.testing.assert_array_equal(first.errors, again.errors)
    np.testing.assert_array_equal(first.errors, threads.errors)
    assert not np.array_equal(first.errors, other.errors)


def test_parameters_reach_the_fits(fits):
    cross_validate_rank(planted(), [2], random_state=0, max_iter=3, alpha_W=0.1, biases=True, n_jobs=2)
    for _, parameters, f in fits:
        assert parameters["n_threads"] == 1
        assert f.n_iter <= 3
        assert f.parameters["alpha_W"] == 0.1
        assert f.biases is not None
    fits.clear()
    cross_validate_rank(planted(), [2], random_state=0, max_iter=3, n_threads=1)
    assert [parameters["n_threads"] for _, parameters, _ in fits] == [1] * 5


def test_fits_that_end_early_are_counted_and_no_more_than_one_warning_says_so():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        early = cross_validate_rank(planted(), [1, 2, 3], random_state=0, max_iter=1, n_jobs=2)
        done = cross_validate_rank(planted(noise=0.3), [1], random_state=0)
    assert len(caught) <= 1
    assert (early.n_unconverged, done.n_unconverged) == (15, 0)
    assert "\n15 of 15 fits did not converge\n" in str(early)
    assert "converge" not in str(done)


def test_a_failing_fit_stops_the_others(monkeypatch):
    calls = []

    def fail(X, n_components, **parameters):
        calls.append(n_components)
        raise MemoryError("no more")

    monkeypatch.setattr(model_selection, "factorize", fail)
    with pytest.raises(MemoryError, match="no more"):
        cross_validate_rank(planted(), range(1, 20), n_repeats=20, random_state=0, n_jobs=2)
    assert len(calls) < 1900 / 2


def test_progress_counts_fits(capsys):
    cross_validate_rank(planted(), [1, 2], random_state=0, progress=True, n_jobs=2)
    assert "10/10" in capsys.readouterr().err


def test_progress_without_tqdm_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    with pytest.raises(ImportError, match=r'A progress bar needs tqdm: pip install "nmf-core\[cli\]"'):
        cross_validate_rank(planted(), [1], progress=True)


def test_a_model_of_zero_is_not_infinitely_wrong():
    """A feature that only one sample has: held out, nothing tells the fit of it."""
    X = planted(20, 15) + 0.1
    X[:, 3] = 0
    X[5, 3] = 1
    for method in METHODS:
        found = cross_validate_rank(X, [1, 2], method=method, loss="kullback-leibler", random_state=0)
        assert np.isfinite(found.errors).all()


# --- the result

ERRORS = np.array([[4.0, 6.0], [1.2, 1.4], [1.1, 1.3], [2.0, 2.0]])
SELECTION = RankSelection(np.array([1, 2, 4, 8]), ERRORS, "wold", "frobenius")


def test_both_rules_choose():
    np.testing.assert_allclose(SELECTION.mean, [5.0, 1.3, 1.2, 2.0])
    np.testing.assert_allclose(SELECTION.standard_error, [1.0, 0.1, 0.1, 0.0], atol=1e-15)
    assert (SELECTION.best, SELECTION.best_one_standard_error) == (4, 2)
    assert SELECTION.threshold == pytest.approx(1.3)
    certain = replace(SELECTION, errors=ERRORS - [[0.0, 0.01], [0, 0], [0, 0.19], [0, 0]])
    assert (certain.best, certain.best_one_standard_error) == (4, 4)


@pytest.mark.parametrize("bad", [1e8, np.inf, np.nan])
def test_an_error_counts_as_at_most_twice_the_median(bad):
    errors = np.array([[4.0, 5, 6], [1.2, 1.4, 1.3], [1.0, bad, 1.1], [2.0, 2, 2]])
    found = replace(SELECTION, errors=errors)
    np.testing.assert_allclose(found.mean, [5.0, 1.3, (1.0 + 2.2 + 1.1) / 3, 2.0])
    assert np.isfinite(found.standard_error).all()
    assert (found.best, found.best_one_standard_error) == (2, 2)
    assert found.exploded == {4: [1]}
    assert "\n           4       1.43333            0.38  exploded in fold 1\n" in str(found)
    several = replace(SELECTION, errors=np.hstack([errors, errors[:, ::-1]]))
    assert several.exploded == {4: [1, 4]}
    assert "exploded in folds 1, 4\n" in str(several)


def test_of_two_fits_the_better_one_decides():
    found = replace(SELECTION, errors=np.array([[4.0, 6.0], [1.2, 1.4], [np.nan, 0.1], [2.0, 1e9]]))
    np.testing.assert_allclose(found.mean, [5.0, 1.3, 0.15, 3.0])
    assert found.exploded == {4: [0], 8: [1]}
    assert SELECTION.exploded == {}


def test_errors_count_as_they_are_where_most_are_zero():
    found = replace(SELECTION, errors=np.array([[0.0, 0, 3], [0, 0, 6], [0, 0, 0], [0, 0, 9]]))
    assert found.mean.tolist() == [1.0, 2.0, 0.0, 3.0]
    assert (found.best, found.exploded) == (4, {})


@pytest.mark.parametrize("bad", [np.inf, np.nan])
def test_where_most_errors_are_not_finite_nothing_is_chosen(bad):
    errors = np.array([[4.0, 6.0, 5.0], [bad, 0.1, bad], [bad, bad, bad], [2.0, 3.0, 2.5]])
    found = replace(SELECTION, errors=errors)
    assert found.mean.tolist() == [5.0, np.inf, np.inf, 2.5]
    assert (found.best, found.best_one_standard_error) == (8, 8)
    assert found.exploded == {2: [0, 2], 4: [0, 1, 2]}
    with pytest.raises(ValueError, match="not finite for any number of components"):
        replace(SELECTION, errors=errors[1:3])


def test_folds_that_exploded_are_named_in_one_warning(monkeypatch):
    errors = {k: [1.0, 1.0, 1.0, 1.0, 2.0] for k in range(1, 7)}
    errors[2][3], errors[4][0], errors[4][2], errors[5][1], errors[6][1] = 1e4, np.nan, 1e8, 1e8, np.inf
    f = factorize(planted(6, 5, 1), 1, random_state=0)
    # what is held out is the number of the fold
    by_hand = (lambda X, missing, weights, n_folds, seed, part: part, lambda fold, k, **given: (errors[k][fold], f))
    monkeypatch.setitem(METHODS, "wold", by_hand)
    message = (
        "exploded with 2 components in fold 3, with 4 components in folds 0, 2, with 5 components in fold 1, with 1 "
    )
    with pytest.warns(UserWarning, match=message) as caught:
        found = cross_validate_rank(planted(), range(1, 7), n_jobs=2)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    assert found.exploded == {2: [3], 4: [0, 2], 5: [1], 6: [1]}
    with pytest.warns(UserWarning, match="exploded with 2 components in fold 3: they count"):
        assert cross_validate_rank(planted(), [2, 3]).best == 3


def test_table_is_a_data_frame():
    table = SELECTION.table
    assert list(table) == ["n_components", "mean", "standard_error", "n_folds", "minimum", "one_standard_error"]
    assert table.n_components[table.minimum].tolist() == [4]
    assert table.n_components[table.one_standard_error].tolist() == [2]
    assert table.n_folds.tolist() == [2] * 4
    np.testing.assert_array_equal(table["mean"], SELECTION.mean)


def test_table_without_pandas_is_a_dict_of_arrays(monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr("importlib.util.find_spec", lambda name: None)
        patch.setitem(sys.modules, "pandas", None)
        table = SELECTION.table
    assert isinstance(table, dict)
    pd.testing.assert_frame_equal(pd.DataFrame(table), SELECTION.table)


def test_it_prints_as_a_table():
    assert str(SELECTION) == (
        "<RankSelection by wold, frobenius loss:\n"
        "n_components          mean  standard error\n"
        "           1             5               1\n"
        "           2           1.3             0.1\n"
        "           4           1.2             0.1\n"
        "           8             2               0\n"
        "best 4, within one standard error 2>"
    )


def test_ranks_are_sorted_and_tried_once():
    found = cross_validate_rank(planted(), (k for k in (3, 1, np.int64(3))), method="bi-cv", random_state=0)
    assert found.n_components.tolist() == [1, 3]


# --- what is refused

X = planted(6, 5)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"n_components": []}, ValueError, "n_components must hold at least one number of components, but it is empty"),
        ({"n_components": [2, 0]}, ValueError, "every number in n_components must be at least 1, got 0"),
        ({"n_components": [1.5]}, TypeError, "every number in n_components must be an integer, got 1.5"),
        ({"n_components": 3}, TypeError, r"n_components must be numbers of components such as range\(1, 11\), got 3"),
        ({"n_components": "auto"}, TypeError, "n_components must be numbers of components .*, got 'auto'"),
        (
            {"method": "gabriel"},
            ValueError,
            "method must be one of 'auto', 'wold', 'imputation', 'bi-cv', got 'gabriel'",
        ),
        ({"n_folds": 1}, ValueError, "n_folds must be at least 2, got 1"),
        ({"n_folds": 2.0}, TypeError, "n_folds must be an integer, got 2.0"),
        ({"n_folds": 31}, ValueError, "X has 30 known entries, too few for 31 folds"),
        ({"n_folds": 6, "method": "bi-cv"}, ValueError, "X has 5 rows or columns, too few for 6 folds"),
        ({"n_repeats": 0}, ValueError, "n_repeats must be at least 1, got 0"),
        ({"n_jobs": 0}, ValueError, "n_jobs must be at least 1, got 0"),
        ({"n_jobs": None}, TypeError, "n_jobs must be an integer, got None"),
        ({"loss": "huber"}, ValueError, "loss must be one of"),
        ({"loss": "itakura-saito"}, ValueError, "X contains zeros"),
        ({"missing": "none"}, ValueError, "missing must be one of 'nan', 'unstored', got 'none'"),
        ({"missing": "unstored"}, ValueError, "missing='unstored' is for sparse X"),
        ({"X": sp.csr_array(X), "missing": "nan"}, ValueError, "missing='nan' is for arrays"),
        ({"X": -X}, ValueError, "X contains a negative value"),
        ({"X": np.where(X > 1, np.nan, X)}, ValueError, "X contains NaN"),
        ({"X": [[1.0]]}, ValueError, "X has 1 known entries, too few for 5 folds"),
        ({"random_state": "x"}, TypeError, "random_state must be"),
        ({"progress": 1}, TypeError, "progress must be True or False"),
        ({"W": np.ones((6, 1))}, TypeError, "W cannot be given: cross-validation"),
        ({"weights": X, "method": "bi-cv"}, TypeError, "weights cannot be given with method='bi-cv'"),
        ({"biases": True, "method": "bi-cv"}, TypeError, "biases cannot be given with method='bi-cv'"),
        ({"alpha": 1}, TypeError, "unexpected keyword argument 'alpha'"),
    ],
)
def test_bad_arguments_are_named(arguments, error, message):
    with pytest.raises(error, match=message):
        cross_validate_rank(**{"X": X, "n_components": [1], **arguments})


def test_a_block_of_which_nothing_is_known_is_refused(monkeypatch):
    X = np.ones((9, 9))
    X[:3, 3:6] = 0
    monkeypatch.setattr(model_selection, "_dealt", lambda n, n_groups, rng: np.arange(n) // 3)
    with pytest.raises(ValueError, match="No entry is known in a block that is held out; use fewer folds"):
        cross_validate_rank(sp.csr_array(X), [1], method="bi-cv", missing="unstored", n_folds=3)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"fraction": 1.5}, ValueError, "fraction must be a finite number of at least 0 and at most 1, got 1.5"),
        ({"fraction": "half"}, TypeError, "fraction must be a real number"),
        ({"X": [[1.0]]}, ValueError, "X has 1 known entries"),
        ({"X": [[1.0, np.nan]], "missing": "nan"}, ValueError, "X has 1 known entries"),
        ({"missing": "unstored"}, ValueError, "missing='unstored' is for sparse X"),
    ],
)
def test_bad_holdouts_are_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        holdout_entries(**{"X": X, **arguments})


@pytest.mark.parametrize("hold_out", [holdout_entries, lambda X: cross_validate_rank(X, [1], method="wold")])
def test_more_zeros_than_there_is_room_for_are_refused(hold_out):
    X = sp.csr_array((np.ones(2), ([0, 1], [0, 1])), shape=(10**6, 10**6))
    with pytest.raises(ValueError, match=r"sparse X of 1000000 x 1000000 .* cross_validate_rank with method='bi-cv'"):
        hold_out(X)


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_warm_starts_find_planted_ranks_too(method):
    given = {"method": method, "random_state": 0, "max_iter": 100, "alpha_W": 1e-4, "init": "random"}
    X = planted(40, 30, 3, noise=0.02, seed=2)
    cold = cross_validate_rank(X, range(1, 6), **given)
    warm = cross_validate_rank(X, range(1, 6), warm_start=True, n_threads=1, **given)
    assert warm.best_one_standard_error == cold.best_one_standard_error == 3
    np.testing.assert_array_equal(warm.errors[0], cold.errors[0])
    assert (warm.errors[1:] != cold.errors[1:]).any()
    together = cross_validate_rank(X, range(1, 6), warm_start=True, n_jobs=2, **given)
    np.testing.assert_array_equal(together.errors, warm.errors)
