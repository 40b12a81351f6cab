"""Many starts: the best of them, ensembles and what they agree on, surveys of numbers of components."""

import pickle
import re
import signal
import subprocess
import sys
import threading
import warnings
from itertools import permutations
from textwrap import dedent

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from scipy.cluster.hierarchy import cophenet, fcluster, linkage
from sklearn.base import clone
from sklearn.metrics import adjusted_rand_score, silhouette_samples
from sklearn.metrics.pairwise import cosine_similarity
from sklearn.model_selection import GridSearchCV

import nmf_core
from nmf_core import NMF, ConvergenceWarning, Ensemble, factorize, factorize_many, load_ensemble, rank_survey
from nmf_core.data import RowBlocks
from nmf_core.ensemble import RankSurvey, resample, running
from nmf_core.model_selection import cross_validate_rank

K = 3
BEST_OF = {"n_init": 4, "random_state": 0}
MANY = {"n_runs": 4, "random_state": 0}


def planted(n=60, m=40, k=K, noise=0.02, seed=0):
    """Rank k but for noise that multiplies, all entries above zero."""
    rng = np.random.default_rng(seed)
    X = rng.gamma(0.5, 1, (n, k)) @ rng.gamma(0.5, 1, (k, m))
    return X * rng.gamma(1 / noise, noise, (n, m)) + 1e-3


X = planted()
COUNTS = np.random.default_rng(1).poisson(3 * X).astype(float)
HOLEY = np.where(np.random.default_rng(2).random(X.shape) < 0.85, X, np.nan)
SPARSE = sp.csr_array(np.where(np.random.default_rng(3).random(X.shape) < 0.4, X, 0))
WEIGHTS = np.random.default_rng(4).random(X.shape)
WITHOUT_STRUCTURE = np.random.default_rng(5).random((40, 30))

# Data in all the ways in which they come, and the arguments that go with them.
KINDS = {
    "by rows": (X, {}),
    "by columns": (np.asfortranarray(X), {}),
    "CSR": (SPARSE, {}),
    "CSC": (sp.csc_array(SPARSE), {}),
    "NaN": (HOLEY, {"missing": "nan"}),
    "unstored": (SPARSE, {"missing": "unstored"}),
    "weights": (X, {"weights": WEIGHTS}),
}
LOSSES = ("frobenius", "kullback-leibler", "itakura-saito", 1.5)


def in_dtype(A, dtype):
    return A.astype(dtype)


def in_blocks(A):
    return RowBlocks([A[:25], A[25:]], A.shape, A.dtype)


def same_bits(a, b):
    assert np.array_equal(a.W, b.W)
    assert np.array_equal(a.H, b.H)


def same_runs(a, b):
    assert list(a.seeds) == list(b.seeds)
    assert np.array_equal(a.objectives, b.objectives)
    assert np.array_equal(a.labels, b.labels)
    for one, other in zip(a, b, strict=True):
        same_bits(one, other)


def single(A, k, seed, **parameters):
    return factorize(A, k, **{"init": "random", **parameters}, random_state=seed)


def is_one_sentence(message):
    """No more than a sentence or two, which end."""
    return "\n" not in message and len(message) < 400


def refused(error, match, call):
    """The call raises an error of just this class, or one that is derived from it, with a message that says it."""
    with pytest.raises(error, match=match) as raised:
        call()
    assert not isinstance(raised.value, KeyError | IndexError | AttributeError | AssertionError)
    assert is_one_sentence(str(raised.value))


def unless_refused(match, call):
    """What the call returns; None if it is refused, with a message that says why."""
    try:
        return call()
    except (TypeError, ValueError) as error:
        if not re.search(match, str(error)):
            raise
        return None


# --- n_init


@pytest.mark.parametrize("loss", ["frobenius", "kullback-leibler"])
@pytest.mark.parametrize("kind", ["by rows", "CSR", "NaN", "unstored", "weights"])
def test_the_best_of_several_starts_is_never_worse_than_the_first(kind, loss):
    A, arguments = KINDS[kind]
    best = factorize(A, K, loss=loss, **arguments, **BEST_OF)
    one = single(A, K, 0, loss=loss, **arguments)
    assert best.objective <= one.objective
    assert best.objective == min(start.objective for start in best.history.starts)
    assert best.init == "random"


def test_starts_say_how_they_ended():
    best = factorize(WITHOUT_STRUCTURE, 8, n_init=8, random_state=0, max_iter=500)
    starts = best.history.starts
    assert len(starts) == 8
    assert "dropped" in {start.stop_reason for start in starts}
    ended = [start for start in starts if start.stop_reason != "dropped"]
    winner = min(ended, key=lambda start: start.objective)
    assert winner.objective == best.objective
    assert winner.n_iter == best.n_iter == len(best.history.objective)
    assert winner.stop_reason == best.stop_reason
    for start in starts:
        fit = single(WITHOUT_STRUCTURE, 8, start.seed, max_iter=500)
        if start.stop_reason == "dropped":
            assert start.n_iter < fit.n_iter
            assert fit.objective >= best.objective  # the rule of thumb has held
        else:
            assert (start.objective, start.n_iter, start.stop_reason) == (fit.objective, fit.n_iter, fit.stop_reason)


def test_the_best_start_has_the_bits_of_its_own_fit():
    best = factorize(X, K, **BEST_OF)
    seed = min(best.history.starts, key=lambda start: start.objective).seed
    same_bits(best, single(X, K, seed))


def test_seeds_are_spawned_the_first_is_the_random_state():
    few, many = (factorize(X, K, n_init=n, random_state=7).history.starts for n in (3, 5))
    assert few[0].seed == 7
    assert many[:3] == few
    assert len({start.seed for start in many}) == 5
    assert [start.seed for start in many] == factorize_many(X, K, 5, random_state=7).seeds


@pytest.mark.parametrize("source", [lambda: 3, lambda: np.random.RandomState(3), lambda: np.random.default_rng(3)])
def test_every_source_of_randomness_can_be_repeated(source):
    first, second = (factorize(X, K, n_init=3, random_state=source()) for _ in range(2))
    assert first.history.starts == second.history.starts
    same_bits(first, second)
    assert len(factorize(X, K, n_init=3).history.starts) == 3


def test_none_draws_from_numpys_state():
    np.random.seed(3)  # noqa: NPY002
    first = factorize(X, K, n_init=2)
    np.random.seed(3)  # noqa: NPY002
    same_bits(first, factorize(X, K, n_init=2))


def test_starts_are_saved(tmp_path):
    best = factorize(X, K, **BEST_OF)
    best.save(tmp_path / "best.npz")
    loaded = nmf_core.load(tmp_path / "best.npz")
    assert loaded.history.starts == best.history.starts
    same_bits(loaded, best)


def test_starts_are_saved_where_the_first_has_no_seed(tmp_path):
    best = factorize(X, K, n_init=2, random_state=np.random.default_rng(0))
    best.save(tmp_path / "best.npz")
    assert nmf_core.load(tmp_path / "best.npz").history.starts == best.history.starts


@pytest.mark.parametrize("init", ["random", "random_vcol", "kmeans", "nndsvdar", "best-of"])
def test_every_random_start_is_taken(init):
    best = factorize(X, K, init=init, **BEST_OF)
    assert best.init == init
    assert len({start.objective for start in best.history.starts}) > 1


@pytest.mark.parametrize("kind", ["by rows", "CSR", "NaN"])
def test_one_start_is_what_it_was(kind):
    A, arguments = KINDS[kind]
    plain, one = (factorize(A, K, random_state=0, **arguments, **n) for n in ({}, {"n_init": 1}))
    same_bits(plain, one)
    assert plain.init == one.init
    assert not plain.history.starts
    assert not one.history.starts
    same_bits(factorize(X, K, W=X[:, :K], H=X[:K], n_init=1), factorize(X, K, W=X[:, :K], H=X[:K]))


def test_starts_with_some_components_held_fixed():
    mask = np.array([True, False, True])
    H = planted(seed=1)[:K]
    best = factorize(X, K, H=H, update_H=mask, **BEST_OF)
    assert np.array_equal(best.H[1], H[1])
    assert len(best.history.starts) == BEST_OF["n_init"]


@pytest.mark.parametrize("given", ["W", "H"])
def test_starts_from_one_factor(given):
    start = {"W": X[:, :K], "H": X[:K]}[given]
    objectives = {factorize(X, K, **{given: start}, random_state=seed).objective for seed in range(3)}
    assert len(objectives) > 1  # a single fit starts from another W or H with every seed
    single = factorize(X, K, **{given: start}, random_state=BEST_OF["random_state"]).objective
    assert factorize(X, K, **{given: start}, **BEST_OF).objective <= single


@pytest.mark.parametrize("given", ["W", "H"])
def test_if_one_factor_is_refused_the_message_names_n_init(given):
    start = {"W": X[:, :K], "H": X[:K]}[given]
    unless_refused("n_init", lambda: factorize(X, K, **{given: start}, **BEST_OF))


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"init": "nndsvda"}, r"n_init=4 .*init='nndsvda'"),
        ({"init": "nndsvd"}, r"n_init=4 .*init='nndsvd'"),
        ({"init": "spa"}, r"n_init=4 .*init='spa'"),
        ({"checkpoint": "fit.checkpoint"}, r"n_init=4 and checkpoint do not go together"),
        ({"out_W": np.empty((60, K))}, r"n_init=4 and out_W do not go together"),
        ({"W": X[:, :K], "H": X[:K]}, r"n_init=4 needs starts that differ"),
        ({"W": X[:, :K], "H": X[:K], "init": "custom"}, r"n_init=4 needs starts that differ"),
        ({"H": X[:K], "update_H": False}, "n_init=4"),
        ({"n_init": 0}, "n_init must be at least 1, got 0"),
        ({"n_init": -1}, "n_init must be at least 1, got -1"),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)
def test_n_init_that_makes_no_sense_is_refused(arguments, match, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    refused(ValueError, match, lambda: factorize(X, K, **{**BEST_OF, **arguments}))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("n_init", [2.5, "3", None, True])
def test_n_init_is_an_integer(n_init):
    refused(TypeError, "n_init must be an integer", lambda: factorize(X, K, n_init=n_init))


def test_callback_ends_all_starts():
    calls = []

    def stop(state):
        calls.append(state.iteration)
        return len(calls) == 3

    best = factorize(X, K, callback=stop, **BEST_OF)
    assert best.stop_reason == "callback"
    assert len(calls) == 3
    assert [start.stop_reason for start in best.history.starts] == ["callback"]


def test_callback_in_a_later_start_keeps_the_best():
    n_first = single(X, K, 0).n_iter
    calls = []

    def stop(state):
        calls.append(state.iteration)
        return len(calls) == n_first + 2

    best = factorize(X, K, callback=stop, **BEST_OF)
    assert len(calls) == n_first + 2
    assert len(best.history.starts) == 2
    same_bits(best, single(X, K, 0))


@pytest.mark.parametrize("time_limit", [0, 1e-9])
def test_time_limit_ends_all_starts(time_limit):
    best = factorize(X, K, n_init=50, random_state=0, time_limit=time_limit)
    assert best.stop_reason == "time_limit"
    assert len(best.history.starts) == 1


def test_one_warning_for_all_starts():
    with pytest.warns(ConvergenceWarning) as caught:
        factorize(X, K, max_iter=2, **BEST_OF)
    assert len(caught) == 1


def test_threads_do_not_change_the_best():
    same_bits(*(factorize(X, K, n_threads=n, **BEST_OF) for n in (1, 2)))


def test_blocks_are_fitted_from_several_starts():
    best = factorize(in_blocks(X), K, **BEST_OF)
    assert best.objective <= single(in_blocks(X), K, 0).objective
    assert len(best.history.starts) == 4


# --- n_init of the estimator


def test_estimator_keeps_the_best_start():
    model = NMF(K, n_init=4, random_state=0).fit(X)
    assert np.array_equal(model.components_, factorize(X, K, **BEST_OF).H)
    assert model.reconstruction_err_ <= NMF(K, init="random", random_state=0).fit(X).reconstruction_err_
    assert np.array_equal(*(NMF(K, random_state=0, **n).fit(X).components_ for n in ({}, {"n_init": 1})))


@pytest.mark.parametrize(
    "arguments",
    [{"missing": "nan"}, {"beta_loss": "kullback-leibler", "solver": "mu"}, {"init": "random_vcol"}],
    ids=str,
)
def test_estimator_takes_n_init_with_other_arguments(arguments):
    A = HOLEY if "missing" in arguments else X
    best, one = (NMF(K, random_state=0, n_init=n, **{"init": "random", **arguments}).fit(A) for n in (3, 1))
    assert best.reconstruction_err_ <= one.reconstruction_err_


def test_estimator_with_n_init_is_an_estimator():
    model = NMF(K, n_init=3, random_state=0)
    assert clone(model).n_init == 3
    assert model.get_params()["n_init"] == 3
    fitted = clone(model).fit(X)
    copy = pickle.loads(pickle.dumps(fitted))
    assert np.array_equal(copy.components_, fitted.components_)
    assert np.array_equal(copy.transform(X), fitted.transform(X))


def test_estimator_with_n_init_in_a_grid_search():
    def score(model, A, y=None):
        return -np.linalg.norm(A - model.inverse_transform(model.transform(A)))

    search = GridSearchCV(NMF(K, init="random", random_state=0), {"n_init": [1, 3]}, scoring=score, cv=2).fit(X)
    assert search.best_params_["n_init"] in (1, 3)


@pytest.mark.parametrize("n_init", [0, -1, 2.5, "3", None])
def test_estimator_refuses_a_bad_n_init(n_init):
    refused(ValueError, "n_init", lambda: NMF(K, n_init=n_init).fit(X))


def test_estimator_refuses_n_init_with_the_same_start():
    refused(ValueError, "n_init=2 needs starts that differ", lambda: NMF(K, n_init=2, init="nndsvd").fit(X))
    model = NMF(K, n_init=2, init="custom")
    refused(ValueError, "n_init=2 needs", lambda: model.fit_transform(X, W=X[:, :K].copy(), H=X[:K].copy()))


# --- runs have the bits of single fits


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_runs_are_single_fits(dtype, kind, loss):
    A, arguments = KINDS[kind]
    if loss == "itakura-saito" and kind in ("CSR", "CSC"):
        pytest.skip("zeros make it infinite")
    A = in_dtype(A, dtype)
    ensemble = factorize_many(A, K, 3, loss=loss, max_iter=30, random_state=5, **arguments)
    for i, seed in enumerate(ensemble.seeds):
        fit = single(A, K, seed, loss=loss, max_iter=30, **arguments)
        run = ensemble[i]
        same_bits(run, fit)
        assert run.W.dtype == run.H.dtype == dtype
        assert np.array_equal(ensemble.W[i], fit.W)
        assert np.array_equal(ensemble.H[i], fit.H)
        assert (run.objective, run.n_iter, run.stop_reason) == (fit.objective, fit.n_iter, fit.stop_reason)
        assert run.parameters == fit.parameters


PARAMETERS = {
    "penalties": {"alpha_W": 1e-3, "alpha_H": 1e-2, "l1_ratio": 0.5},
    "plain sweeps": {"acceleration": False},
    "shuffled": {"shuffle": True},
    "multiplicative": {"solver": "mu"},
    "exact": {"solver": "anls-bpp"},
    "random columns": {"init": "random_vcol"},
    "clusters": {"init": "kmeans"},
    "biases": {"biases": True},
    "floor": {"loss": "itakura-saito", "floor": 0.1},
    "converged": {"tol": 1e-2},
}


@pytest.mark.parametrize("name", PARAMETERS)
def test_runs_are_single_fits_with_other_arguments(name):
    parameters = {"max_iter": 30, **PARAMETERS[name]}
    ensemble = factorize_many(X, K, **MANY, **parameters)
    for run, seed in zip(ensemble, ensemble.seeds, strict=True):
        same_bits(run, single(X, K, seed, **parameters))


LARGE = {
    "dense float32": lambda: (planted(2000, 600, 4).astype(np.float32), 4),
    "dense float64": lambda: (planted(2000, 600, 4), 4),
    "sparse float32": lambda: (large_sparse().astype(np.float32), 6),
    "sparse float64": lambda: (large_sparse(), 6),
}


def large_sparse():
    rng = np.random.default_rng(0)
    A = sp.random_array((3000, 1500), density=0.05, rng=rng, format="csr")
    A.data = np.ceil(10 * A.data)
    return A


@pytest.mark.parametrize("loss", ["frobenius", "kullback-leibler"])
@pytest.mark.parametrize("data", LARGE)
def test_runs_on_large_data_are_single_fits(data, loss):
    A, k = LARGE[data]()
    ensemble = factorize_many(A, k, 6, random_state=5, loss=loss, max_iter=6)
    for i in (0, 3, 5):
        same_bits(ensemble[i], single(A, k, ensemble.seeds[i], loss=loss, max_iter=6))


@pytest.mark.parametrize("data", LARGE)
def test_runs_that_end_at_different_times_are_single_fits(data):
    """Those that are computed together with others go on alone."""
    A, k = LARGE[data]()
    ensemble = factorize_many(A, k, 5, random_state=5, tol=0.02, max_iter=25)
    assert len({run.n_iter for run in ensemble}) > 1
    for i in range(5):
        same_bits(ensemble[i], single(A, k, ensemble.seeds[i], tol=0.02, max_iter=25))


@pytest.mark.parametrize("name", ["penalties", "plain sweeps", "shuffled", "multiplicative", "biases"])
def test_runs_on_large_data_are_single_fits_with_other_arguments(name):
    A, k = LARGE["dense float32"]()
    parameters = {**PARAMETERS[name], "max_iter": 6}
    ensemble = factorize_many(A, k, 4, random_state=5, **parameters)
    for i in (0, 3):
        same_bits(ensemble[i], single(A, k, ensemble.seeds[i], **parameters))


@pytest.mark.parametrize("kind", ["by rows", "CSR", "NaN"])
def test_threads_do_not_change_runs(kind):
    A, arguments = KINDS[kind]
    one, *others = (factorize_many(A, K, n_threads=n, **MANY, **arguments) for n in (1, 2, 3))
    for other in others:
        same_runs(one, other)


def test_threads_do_not_change_runs_on_large_data():
    A = planted(1500, 400, 4).astype(np.float32)
    one, *others = (factorize_many(A, 4, 4, random_state=0, max_iter=8, n_threads=n) for n in (1, 2, 3))
    for other in others:
        same_runs(one, other)


@pytest.mark.parametrize("how", [None, "poisson", "bootstrap", "subsample"])
def test_the_first_of_more_runs_are_those_of_fewer(how):
    few, many = (factorize_many(COUNTS, K, n, resample=how, random_state=0) for n in (2, 5))
    assert many.seeds[:2] == few.seeds
    assert many.seeds[0] == 0
    for i in range(2):
        same_bits(few[i], many[i])


@pytest.mark.parametrize("source", [np.random.RandomState, np.random.default_rng])
def test_seeds_from_a_generator(source):
    first, second = (factorize_many(X, K, n, random_state=source(3)) for n in (2, 4))
    assert second.seeds[:2] == first.seeds
    assert all(isinstance(seed, int) for seed in second.seeds)
    generator = source(3)
    seeds = [factorize_many(X, K, 2, random_state=generator).seeds for _ in range(2)]
    assert seeds[0] != seeds[1]


def test_a_single_run_may_start_anywhere():
    for start in ({"init": "nndsvda"}, {"W": X[:, :K], "H": X[:K]}, {"H": X[:K]}):
        same_bits(factorize_many(X, K, 1, random_state=0, **start)[0], factorize(X, K, random_state=0, **start))


def test_blocks_are_fitted_run_by_run():
    ensemble = factorize_many(in_blocks(X), K, 3, random_state=0)
    for run, seed in zip(ensemble, ensemble.seeds, strict=True):
        same_bits(run, single(in_blocks(X), K, seed))


def test_data_are_not_modified():
    for A, arguments in KINDS.values():
        before = A.copy()
        factorize_many(A, K, 2, random_state=0, max_iter=5, **arguments)
        kept = (A.data, before.data) if sp.issparse(A) else (A, before)
        assert np.array_equal(*kept, equal_nan=True)
    counts = COUNTS.copy()
    factorize_many(counts, K, 2, random_state=0, max_iter=5, resample="poisson")
    assert np.array_equal(counts, COUNTS)


# --- labels of rows and columns

ROWS, COLUMNS = [f"s{i}" for i in range(60)], [f"f{i}" for i in range(40)]


@pytest.mark.parametrize("how", [None, "poisson", "bootstrap", "subsample"])
def test_labels_are_kept(how):
    frame = pd.DataFrame(COUNTS, index=ROWS, columns=COLUMNS)
    ensemble = factorize_many(frame, K, 3, random_state=0, resample=how)
    for run in (ensemble.best, ensemble[-1]):
        assert list(run.embedding.index) == ROWS
        assert list(run.components.columns) == COLUMNS
    for run, plain in zip(ensemble, factorize_many(COUNTS, K, 3, random_state=0, resample=how), strict=True):
        same_bits(run, plain)


def test_labels_of_polars_are_kept():
    polars = pytest.importorskip("polars")
    best = factorize_many(polars.DataFrame(X, schema=COLUMNS), K, 3, random_state=0).best
    assert isinstance(best.components, polars.DataFrame)
    assert [name for name in best.components.columns if name in COLUMNS] == COLUMNS


def test_labels_of_anndata_are_kept():
    anndata = pytest.importorskip("anndata")
    A = anndata.AnnData(X, obs=pd.DataFrame(index=ROWS), var=pd.DataFrame(index=COLUMNS))
    best = factorize_many(A, K, 3, random_state=0).best
    assert list(best.embedding.index) == ROWS
    assert list(best.components.columns) == COLUMNS


# --- replicates


def test_poisson_replicates():
    A = COUNTS.copy()
    A[0, 0] = np.nan
    replicate = resample(A, "poisson", 3)
    assert replicate.shape == A.shape
    assert np.array_equal(np.isnan(replicate), np.isnan(A))
    known = ~np.isnan(A)
    assert (replicate[known] == np.rint(replicate[known])).all()
    assert (replicate[known & (A == 0)] == 0).all()
    assert not np.array_equal(replicate[known], A[known])
    assert abs(replicate[known].sum() - A[known].sum()) < 5 * np.sqrt(A[known].sum())


@pytest.mark.parametrize("container", [sp.csr_array, sp.csc_array, sp.csr_matrix])
def test_poisson_replicates_of_sparse_data(container):
    A = container(COUNTS)
    replicate = resample(A, "poisson", 3)
    assert type(replicate) is type(A)
    assert np.array_equal(replicate.indices, A.indices)
    assert np.array_equal(replicate.indptr, A.indptr)


@pytest.mark.parametrize("container", [np.asfortranarray, sp.csr_array, sp.csc_array, sp.csc_matrix, sp.coo_array])
@pytest.mark.parametrize("how", ["poisson", "bootstrap", "subsample"])
def test_a_seed_draws_the_same_whatever_the_format(container, how):
    drawn = resample(container(COUNTS), how, 3)
    assert np.array_equal(drawn.toarray() if sp.issparse(drawn) else drawn, resample(COUNTS, how, 3))


def test_a_seed_draws_the_same_in_whatever_order_entries_are_stored():
    A = sp.csr_array(COUNTS)
    order = np.concatenate([np.arange(*ends)[::-1] for ends in zip(A.indptr[:-1], A.indptr[1:], strict=True)])
    backwards = sp.csr_array((A.data[order], A.indices[order], A.indptr), A.shape)
    assert np.array_equal(resample(backwards, "poisson", 3).toarray(), resample(COUNTS, "poisson", 3))


@pytest.mark.parametrize("how", ["poisson", "bootstrap"])
@pytest.mark.parametrize("arguments", [{"X": np.zeros((6, 4))}, {"X": COUNTS, "alpha_W": 1e9}], ids=["zeros", "alpha"])
def test_replicates_in_which_nothing_is_found(arguments, how):
    match = "nothing in its replicate of X, its H is full of zeros"
    refused(ValueError, match, lambda: factorize_many(n_components=2, n_runs=2, resample=how, loss=2, **arguments))


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64])
@pytest.mark.parametrize("how", ["poisson", "bootstrap", "subsample"])
def test_replicates_have_the_dtype(how, dtype):
    replicate = resample(COUNTS.astype(dtype), how, 0)
    assert replicate.dtype == dtype
    assert np.array_equal(replicate, resample(COUNTS.astype(dtype), how, 0))
    assert not np.array_equal(replicate, resample(COUNTS.astype(dtype), how, 1))


def test_bootstrap_draws_samples():
    numbered = np.repeat(np.arange(1.0, 51), 3).reshape(50, 3)
    drawn = resample(numbered, "bootstrap", 0)
    assert drawn.shape == (50, 3)
    assert (drawn == drawn[:, :1]).all()
    assert set(drawn[:, 0]) < set(numbered[:, 0])
    assert np.array_equal(resample(sp.csr_array(numbered), "bootstrap", 0).toarray(), drawn)


@pytest.mark.parametrize("fraction", [0.1, 0.5, 1])
def test_subsample_draws_a_share_of_the_samples(fraction):
    numbered = np.repeat(np.arange(1.0, 51), 3).reshape(50, 3)
    drawn = resample(numbered, "subsample", 0, fraction=fraction)
    assert len(drawn) == 50 * fraction
    assert len(set(drawn[:, 0])) == len(drawn)
    assert set(drawn[:, 0]) <= set(numbered[:, 0])


REPLICATED = {
    "dense": (COUNTS, {}),
    "float32": (COUNTS.astype(np.float32), {}),
    "by columns": (np.asfortranarray(COUNTS), {}),
    "CSR": (sp.csr_array(COUNTS), {}),
    "CSC": (sp.csc_array(COUNTS), {}),
    "NaN": (np.where(np.isnan(HOLEY), np.nan, COUNTS), {"missing": "nan"}),
    "unstored": (sp.csr_array(COUNTS), {"missing": "unstored"}),
}


@pytest.mark.parametrize("loss", ["frobenius", "kullback-leibler"])
@pytest.mark.parametrize("how", ["poisson", "bootstrap", "subsample"])
@pytest.mark.parametrize("kind", REPLICATED)
def test_components_are_those_of_replicates(kind, how, loss):
    A, arguments = REPLICATED[kind]
    ensemble = factorize_many(A, K, 3, resample=how, loss=loss, random_state=3, fraction=0.7, **arguments)
    assert ensemble.resample == how
    for i, seed in enumerate(ensemble.seeds):
        replicate = resample(A, how, seed, fraction=0.7)
        assert np.array_equal(ensemble.H[i], single(replicate, K, seed, loss=loss, **arguments).H)
        assert ensemble.W[i].shape == (60, K)
    H = ensemble.H[-1]
    whole = factorize(A, H=H, update_H=False, loss=loss, **arguments)
    np.testing.assert_allclose(ensemble.W[-1], whole.W, rtol=1e-3, atol=1e-3 * whole.W.max())
    assert ensemble.objectives[-1] == pytest.approx(whole.objective, rel=1e-3)


@pytest.mark.parametrize("how", ["poisson", "bootstrap", "subsample"])
def test_weights_are_those_of_the_drawn_samples(how):
    weights = WEIGHTS + 0.1
    ensemble = factorize_many(COUNTS, K, 2, resample=how, weights=weights, random_state=3)
    for i, seed in enumerate(ensemble.seeds):
        drawn = weights if how == "poisson" else resample(weights, how, seed)
        assert np.array_equal(ensemble.H[i], single(resample(COUNTS, how, seed), K, seed, weights=drawn).H)


def test_a_fixed_start_may_be_that_of_replicates():
    ensemble = factorize_many(COUNTS, K, 3, resample="poisson", init="nndsvda", random_state=0)
    assert len(set(ensemble.objectives)) == 3


def test_poisson_is_for_counts():
    for call in (
        lambda: factorize_many(X, K, 2, resample="poisson"),
        lambda: resample(X, "poisson", 0),
        lambda: factorize_many(SPARSE, K, 2, resample="poisson"),
    ):
        refused(ValueError, "poisson.*whole numbers", call)


@pytest.mark.parametrize("A", [COUNTS * 1e20, -COUNTS, np.where(COUNTS > 3, np.inf, COUNTS)], ids=["huge", "-", "inf"])
def test_counts_that_cannot_be_drawn(A):
    refused(ValueError, "X|poisson", lambda: resample(A, "poisson", 0))


def test_counts_that_are_too_large_to_be_drawn():
    refused(ValueError, "X|poisson", lambda: factorize_many(COUNTS * 1e20, K, 2, resample="poisson"))


@pytest.mark.parametrize("how", ["bootstrap", "subsample"])
@pytest.mark.parametrize("kind", [pd.DataFrame, np.ndarray.tolist])
def test_replicates_of_what_is_no_array(kind, how):
    """The docstring of `Ensemble` says how to get the same H from X, which may be a data frame."""
    replicate = unless_refused("X", lambda: resample(kind(COUNTS), how, 0))
    assert replicate is None or np.array_equal(replicate, resample(COUNTS, how, 0))


@pytest.mark.parametrize("seed", [-1, 1.5, None])
def test_seeds_of_replicates_are_integers(seed):
    with pytest.raises((TypeError, ValueError)):
        resample(COUNTS, "bootstrap", seed)


def test_blocks_are_not_resampled():
    for how in ("poisson", "bootstrap", "subsample"):
        match = "resample needs X in memory"
        refused(ValueError, match, lambda how=how: factorize_many(in_blocks(COUNTS), K, 2, resample=how))


# --- an ensemble and what is in it


@pytest.fixture(scope="module")
def ensemble():
    return factorize_many(X, K, 6, random_state=0)


@pytest.fixture(scope="module")
def undecided():
    """Runs that do not agree."""
    return factorize_many(WITHOUT_STRUCTURE, 4, 12, random_state=0)


def test_best_run(undecided):
    assert undecided.best.objective == undecided.objectives.min()
    assert undecided.i_best == np.argmin(undecided.objectives)
    assert [run.objective for run in undecided] == list(undecided.objectives)
    same_bits(undecided.best, undecided[undecided.i_best])


def test_an_ensemble_is_a_sequence(ensemble):
    assert len(ensemble) == ensemble.n_asked == 6
    assert ensemble.n_components == K
    assert len(ensemble.W) == len(ensemble.H) == len(ensemble.seeds) == 6
    assert [run.objective for run in ensemble[1:4]] == list(ensemble.objectives[1:4])
    assert [run.objective for run in ensemble[::-2]] == list(ensemble.objectives[::-2])
    same_bits(ensemble[-1], ensemble[5])
    same_bits(ensemble[np.int64(2)], ensemble[2])
    assert np.array_equal(ensemble.W[-1], ensemble[5].W)
    assert [H.shape for H in ensemble.H] == [(K, 40)] * 6
    assert [run.objective for run in reversed(ensemble)] == list(ensemble.objectives[::-1])
    for i in (6, -7):
        for sequence in (ensemble, ensemble.W, ensemble.H):
            with pytest.raises(IndexError):
                sequence[i]


def test_table_of_runs(ensemble):
    table = ensemble.table
    assert list(table) == [
        "run",
        "seed",
        "objective",
        "divergence",
        "n_iter",
        "converged",
        "stop_reason",
        "seconds",
        "relative_error",
        "explained_variance",
        "sparsity_W",
        "sparsity_H",
    ]
    assert list(table["run"]) == list(range(6))
    assert list(table["seed"]) == ensemble.seeds
    for i, run in enumerate(ensemble):
        row, summary = table.iloc[i], run.summary()
        for name in ("objective", "divergence", "n_iter", "converged", "stop_reason"):
            assert row[name] == getattr(run, name)
        for name in ("relative_error", "explained_variance", "sparsity_W", "sparsity_H"):
            assert row[name] == pytest.approx(summary[name])


def test_table_without_pandas(ensemble, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    table = ensemble.table
    assert isinstance(table, dict)
    assert list(table["seed"]) == ensemble.seeds


def test_labels_are_the_largest_contributions(undecided):
    assert undecided.labels.shape == (12, 40)
    for labels, run in zip(undecided.labels, undecided, strict=True):
        assert np.array_equal(labels, np.argmax(run.W * np.linalg.norm(run.H, axis=1), axis=1))


def test_samples_without_components_have_a_label_of_their_own():
    A = X.copy()
    A[5] = 0
    assert (factorize_many(A, K, 3, random_state=0).labels[:, 5] == K).all()


def by_all_pairs(labels):
    return np.mean(labels[:, :, np.newaxis] == labels[:, np.newaxis], axis=0)


def test_consensus_is_the_share_of_runs(undecided):
    square = by_all_pairs(undecided.labels)
    upper = np.triu_indices(len(square), 1)
    found = undecided.consensus(square=True)
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, square, rtol=1e-12)
    assert np.array_equal(found, found.T)
    assert (np.diag(found) == 1).all()
    np.testing.assert_allclose(undecided.consensus(), square[upper], rtol=1e-12)
    some = [7, 2, 30, 11]
    np.testing.assert_allclose(undecided.consensus(some, square=True), square[np.ix_(some, some)], rtol=1e-12)
    np.testing.assert_allclose(
        undecided.consensus(np.array(some)), square[np.ix_(some, some)][np.triu_indices(4, 1)], rtol=1e-12
    )
    assert undecided.consensus(range(3)).shape == (3,)
    assert undecided.consensus([3]).shape == (0,)


def test_consensus_by_label():
    ensemble = factorize_many(pd.DataFrame(X, index=ROWS), K, 3, random_state=0)
    expected = by_all_pairs(ensemble.labels)[np.ix_([5, 0, 9], [5, 0, 9])]
    np.testing.assert_allclose(ensemble.consensus(["s5", "s0", "s9"], square=True), expected)
    np.testing.assert_allclose(ensemble.consensus([5, 0, 9], square=True), expected)
    refused((TypeError, ValueError), "no sample 'zz'", lambda: ensemble.consensus(["s5", "zz"]))


def test_consensus_by_labels_that_are_numbers():
    ensemble = factorize_many(pd.DataFrame(X, index=np.arange(100, 160)), K, 3, random_state=0)
    expected = by_all_pairs(ensemble.labels)[np.ix_([5, 0], [5, 0])]
    np.testing.assert_allclose(ensemble.consensus([105, 100], square=True), expected)
    refused(ValueError, "no sample 5", lambda: ensemble.consensus([5]))


def test_what_the_consensus_says(undecided):
    square = by_all_pairs(undecided.labels)
    pairs = square[np.triu_indices(len(square), 1)]
    tree = linkage(1 - pairs, "average")
    assert undecided.cophenetic == pytest.approx(cophenet(tree, 1 - pairs)[0], rel=1e-9)
    assert undecided.dispersion == pytest.approx(np.mean(4 * (square - 0.5) ** 2), rel=1e-9)
    assert undecided.pac == pytest.approx(np.mean((pairs > 0.1) & (pairs < 0.9)), rel=1e-9)
    clusters = undecided.clusters
    assert adjusted_rand_score(clusters, fcluster(tree, 4, "maxclust")) == 1
    sizes = np.bincount(clusters)
    assert len(sizes) <= 4
    assert (np.diff(sizes) <= 0).all()
    expected = silhouette_samples(1 - square, clusters, metric="precomputed")
    np.testing.assert_allclose(undecided.silhouette, expected, atol=1e-12)


def test_runs_that_agree(ensemble):
    assert ensemble.cophenetic > 0.99
    assert ensemble.pac < 0.01
    assert ensemble.stability.minimum.min() > 0.99


def test_identical_runs_are_stable():
    """With one component there is only one minimum."""
    ensemble = factorize_many(X, 1, 4, random_state=0, tol=1e-8)
    np.testing.assert_allclose(ensemble.stability.mean, 1, rtol=1e-9)
    np.testing.assert_allclose(ensemble.stability.minimum, 1, rtol=1e-9)
    assert ensemble.cophenetic == ensemble.dispersion == 1
    assert ensemble.pac == 0


def test_stability_of_one_run_is_unknown():
    one = factorize_many(X, K, 1, random_state=0)
    assert np.isnan(one.stability.mean).all()
    assert np.isnan(one.stability.minimum).all()


def test_a_single_run_agrees_with_none():
    one = factorize_many(X, K, 1, random_state=0)
    for statistic in (one.cophenetic, one.dispersion, one.pac, one.silhouette):
        assert np.isnan(statistic).all()
    assert one.silhouette.shape == (60,)
    assert repr(one).startswith("<Ensemble of 1 run, ")
    for page in (repr(one), one._repr_html_()):
        assert "1.0000" not in page
        assert "nan" not in page
    refused(ValueError, "single run .*make more runs", one.components)
    survey = RankSurvey({K: one})
    for rule in survey.rules:
        choice = survey.choose(rule)
        assert choice.n_components == K
        assert choice.reason.startswith("a single run of each number of components says nothing")


def best_matching(run, reference):
    cosines = cosine_similarity(reference, run)
    order = max(permutations(range(len(reference))), key=lambda order: sum(cosines[range(len(order)), order]))
    return list(order), cosines[range(len(order)), order]


@pytest.mark.parametrize("reference", [None, 2, -1, "array"])
def test_components_are_matched(undecided, reference):
    if reference == "array":
        reference = np.random.default_rng(0).random((4, 30))
        H = reference
    else:
        H = undecided.H[undecided.i_best if reference is None else reference]
    order, cosine = undecided.align(reference)
    assert order.shape == cosine.shape == (12, 4)
    for i in range(12):
        expected, cosines = best_matching(undecided.H[i], H)
        assert list(order[i]) == expected
        np.testing.assert_allclose(cosine[i], cosines, rtol=1e-6)


def test_stability_is_that_of_the_other_runs(undecided):
    others = np.delete(undecided.align().cosine, undecided.i_best, axis=0)
    np.testing.assert_allclose(undecided.stability.mean, others.mean(axis=0))
    np.testing.assert_allclose(undecided.stability.minimum, others.min(axis=0))


@pytest.mark.parametrize("clustering", ["kmeans", "matching"])
@pytest.mark.parametrize("average", ["median", "mean"])
def test_planted_components_are_found(clustering, average):
    rng = np.random.default_rng(0)
    H = rng.gamma(0.5, 1, (K, 40)) + np.kron(np.eye(K), np.ones(14))[:, :40]
    A = rng.gamma(0.5, 1, (80, K)) @ H
    ensemble = factorize_many(A, K, 8, random_state=0, tol=1e-7, max_iter=2000)
    found = ensemble.components(clustering=clustering, average=average)
    np.testing.assert_allclose(found.H.sum(axis=1), 1, rtol=1e-6)
    assert best_matching(found.H, H)[1].min() > 0.99
    assert found.kept.shape == found.cluster.shape == found.density.shape == (8 * K,)
    W = factorize(A, H=found.H, update_H=False).W
    np.testing.assert_allclose(found.W, W, rtol=1e-3, atol=1e-3 * W.max())
    assert np.linalg.norm(A - found.W @ found.H) < 0.1 * np.linalg.norm(A)


def test_clusters_of_components_are_those_of_the_alignment(ensemble):
    found = ensemble.components()
    order = ensemble.align(found.H).order
    assert found.kept.all()
    clusters = found.cluster.reshape(6, K)
    for i in range(6):
        assert list(clusters[i][order[i]]) == list(range(K))


def test_components_of_frames():
    frame = pd.DataFrame(X, index=ROWS, columns=COLUMNS)
    found = factorize_many(frame, K, 4, random_state=0).components()
    plain = factorize_many(X, K, 4, random_state=0).components()
    assert np.array_equal(np.asarray(found.H), plain.H)
    assert np.array_equal(np.asarray(found.W), plain.W)


@pytest.mark.parametrize("kind", ["CSC", "NaN", "unstored", "weights"])
def test_components_of_other_data(kind):
    A, arguments = KINDS[kind]
    found = factorize_many(A, K, 6, random_state=0, **arguments).components(density_threshold=2)
    W = factorize(A, H=found.H, update_H=False, **arguments).W
    np.testing.assert_allclose(found.W, W, rtol=1e-3, atol=1e-3 * W.max())


@pytest.mark.parametrize("how", [None, "bootstrap"])
def test_names_that_are_given_go_with_components(how, tmp_path):
    names = {"sample_names": ROWS, "feature_names": COLUMNS}
    ensemble = factorize_many(COUNTS, K, 3, loss=1, random_state=0, resample=how, **names)
    survey = rank_survey(COUNTS, [K], 3, loss=1, random_state=0, resample=how, **names)
    ensemble.save(tmp_path / "runs")
    loaded = load_ensemble(tmp_path / "runs")
    frame = pd.DataFrame(COUNTS, index=ROWS, columns=COLUMNS)
    for found in (ensemble.components(), survey[K].components(), loaded.components(COUNTS),
                  loaded.components(frame.iloc[::-1, ::-1])):  # fmt: skip
        f = found.factorization
        assert list(f.row_labels) == ROWS
        assert list(f.column_labels) == COLUMNS
        assert np.array_equal(f.H, ensemble.components().H)
        assert np.array_equal(found.W, ensemble.components().W)
    assert np.array_equal(ensemble.best.H, factorize_many(COUNTS, K, 3, loss=1, random_state=0, resample=how).best.H)
    refused(ValueError, "X", lambda: loaded.components(frame.rename(columns={"f3": "other"})))


def test_components_have_names_without_W(tmp_path):
    H = pd.DataFrame(factorize(X, K, random_state=0).H, index=["a", "b", "c"])
    ensemble = factorize_many(pd.DataFrame(X, ROWS, COLUMNS), K, 3, H=H, random_state=0)
    ensemble.save(tmp_path / "runs")
    table = load_ensemble(tmp_path / "runs").components().components
    pd.testing.assert_frame_equal(table, ensemble.components().factorization.components)
    assert set(table.index) == {"a", "b", "c"}
    assert list(table.columns) == COLUMNS


def test_components_know_their_stability(tmp_path, undecided):
    found = undecided.components(density_threshold=2)
    similar = undecided.align(found.H).cosine.mean(axis=0)
    np.testing.assert_allclose(found.stability, similar, rtol=1e-6)
    f = found.factorization
    f.save(tmp_path / "f.npz")
    for g in (f, f.scaled(), nmf_core.load(tmp_path / "f.npz")):
        np.testing.assert_array_equal(g.component_info()["stability"], found.stability)
    order = list(range(f.n_components))[::-1]
    np.testing.assert_array_equal(f.sorted(order).component_info()["stability"], found.stability[::-1])
    given = np.arange(f.n_components)
    np.testing.assert_array_equal(f.component_info(stability=given)["stability"], given)
    assert "stability" not in undecided.best.component_info()


@pytest.mark.parametrize("library", ["polars", "pyarrow"])
def test_tables_are_of_the_library_of_X(library):
    frame = pytest.importorskip(library)
    data = {name: X[:, j] for j, name in enumerate(COLUMNS)}
    data = frame.DataFrame(data) if library == "polars" else frame.table(data)
    survey = rank_survey(data, [1, K], 2, held_out=False, null=True, random_state=0)
    for table in (survey.table, survey[K].table):
        assert type(table) is type(data)
    pytest.importorskip("matplotlib")
    assert nmf_core.plotting.rank_survey(survey)
    assert nmf_core.plotting.stability_error(survey)


def test_names_of_components_go_with_similar_ones():
    H = pd.DataFrame(factorize(X, K, random_state=0).H, index=["a", "b", "c"])
    ensemble = factorize_many(X, K, 4, H=H, random_state=0)
    found, best = ensemble.components().factorization, ensemble.best
    assert set(found.names) == {"a", "b", "c"}
    similar = cosine_similarity(found.H, best.H)
    assert [best.names[j] for j in similar.argmax(axis=1)] == list(found.names)


@pytest.mark.parametrize(
    ("arguments", "scaled"),
    [
        ({"alpha_W": 0.03}, True),
        ({"alpha_W": 0.03, "l1_ratio": 1.0}, True),
        ({"alpha_W": 0.0, "alpha_H": 0.0}, False),
        ({"H": nmf_core.Factor(upper=0.2)}, True),
    ],
    ids=str,
)
def test_components_of_runs_with_penalties_keep_their_scale(arguments, scaled):
    ensemble = factorize_many(X, K, 5, init="random", random_state=0, max_iter=500, **arguments)
    found = ensemble.components()
    sums = np.concatenate([H.sum(axis=1) for H in ensemble.H])
    wanted = [np.median(sums[found.cluster == j]) if scaled else 1 for j in range(K)]
    np.testing.assert_allclose(found.H.sum(axis=1), wanted, rtol=1e-6)
    f, best = found.factorization, ensemble.best
    assert f.summary()["explained_variance"] > best.summary()["explained_variance"] - 0.01
    assert f.objective < 1.01 * best.objective


@pytest.mark.parametrize("arguments", [{"biases": True}, {"W": nmf_core.Factor(upper=5.0)}], ids=["biases", "bounds"])
def test_components_of_runs_whose_W_cannot_be_found_again(arguments):
    ensemble = factorize_many(X, K, 3, init="random", random_state=0, **arguments)
    refused(ValueError, r"components\(\) cannot find W again, as the runs had", ensemble.components)


def test_weights_are_wanted_where_the_runs_had_some(tmp_path):
    ensemble = factorize_many(X, K, 3, weights=WEIGHTS, random_state=0)
    ensemble.save(tmp_path / "runs")
    loaded = load_ensemble(tmp_path / "runs")
    assert np.array_equal(loaded.components(X, weights=WEIGHTS).W, ensemble.components().W)
    refused(ValueError, "give weights with X", lambda: loaded.components(X))


# --- arrays of more than two dimensions

CUBE = np.moveaxis(COUNTS.reshape(6, 10, 40), 2, 0)  # whose samples are along its last two axes


@pytest.mark.parametrize("arguments", [{}, {"resample": "subsample"}, {"weights": CUBE + 1}], ids=str)
def test_axes_of_samples(arguments, tmp_path):
    flat = {**arguments, **({"weights": COUNTS + 1} if "weights" in arguments else {})}
    plain = factorize_many(COUNTS, K, 3, loss=1, random_state=0, **flat)
    ensemble = factorize_many(CUBE, K, 3, loss=1, random_state=0, sample_axes=(1, 2), **arguments)
    same_runs(ensemble, plain)
    ensemble.save(tmp_path / "runs")
    loaded = load_ensemble(tmp_path / "runs")
    for f in (ensemble.best, ensemble.components().factorization, loaded.best,
              loaded.components(CUBE, weights=arguments.get("weights")).factorization,
              loaded.components(COUNTS, weights=flat.get("weights")).factorization):  # fmt: skip
        assert f.maps.shape == (6, 10, K)
        assert f.images.shape == (K, 40)
        assert "sample_axes=(1, 2)" in f.rerun()
    again = eval(ensemble.best.rerun(), {"nmf_core": nmf_core, "X": CUBE, "weights": arguments.get("weights")})
    same_bits(again, ensemble.best)
    refused(ValueError, "X", lambda: loaded.components(CUBE[:10], weights=arguments.get("weights")))


def test_axes_of_samples_in_a_survey(tmp_path):
    how = {"n_runs": 2, "loss": 1, "random_state": 0, "checkpoint": tmp_path}
    survey = rank_survey(CUBE, [2, 3], sample_axes=(1, 2), null=True, **how)
    assert survey[3].best.maps.shape == survey.null[3].best.maps.shape == (6, 10, 3)
    assert load_ensemble(tmp_path / "k-0003").best.images.shape == (3, 40)
    assert np.array_equal(survey.held_out.errors, cross_validate_rank(COUNTS, [2, 3], loss=1, random_state=0).errors)


def test_axes_of_samples_in_cross_validation():
    given = {"sample_axes": (1, 2), "sample_names": ROWS, "feature_names": COLUMNS}
    errors = cross_validate_rank(CUBE, [2], random_state=0, **given).errors
    assert np.array_equal(errors, cross_validate_rank(COUNTS, [2], random_state=0).errors)


# --- what it says of itself


@pytest.mark.parametrize("how", [None, "poisson"])
def test_an_ensemble_says_what_it_is(how):
    text = repr(factorize_many(COUNTS, K, 5, random_state=0, resample=how))
    assert re.search(r"Ensemble of 5 runs.*60 x 40 ~ 60 x 3 x 40", text)
    for word in ("objectives", "cophenetic", "dispersion", "pac", "stability"):
        assert word in text


def test_an_ensemble_can_be_pickled(ensemble):
    same_runs(pickle.loads(pickle.dumps(ensemble)), ensemble)


# --- convergence


def test_one_warning_for_all_runs():
    with pytest.warns(ConvergenceWarning, match="4 of 4 runs .*max_iter=2") as caught:
        ensemble = factorize_many(X, K, max_iter=2, **MANY)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    assert ensemble.n_unconverged == 4
    assert "4 runs did not converge" in repr(ensemble)
    assert not ensemble.table["converged"].any()


def test_converged_runs_do_not_warn():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ensemble = factorize_many(X, K, **MANY)
    assert ensemble.n_unconverged == 0
    assert "converge" not in repr(ensemble)


def test_one_warning_for_a_survey():
    with pytest.warns(ConvergenceWarning) as caught:
        survey = rank_survey(X, [2, 3], 3, max_iter=2, held_out=False, random_state=0)
    assert len(caught) == 1
    assert list(survey.table["n_unconverged"]) == [3, 3]


# --- limits and interrupts


@pytest.mark.parametrize("time_limit", [0, 1e-9, 0.01])
def test_one_run_is_kept_in_any_case(time_limit):
    ensemble = factorize_many(X, K, 3000, random_state=0, time_limit=time_limit, tol=0, max_iter=50)
    assert 1 <= len(ensemble) < 3000
    assert ensemble.n_asked == 3000
    assert len(ensemble.seeds) == len(ensemble.objectives) == len(ensemble.labels) == len(ensemble)
    assert f"{3000 - len(ensemble)} of 3000 runs are missing" in repr(ensemble)
    for run, seed in zip(ensemble[:2], ensemble.seeds[:2], strict=True):
        if run.stop_reason == "max_iter":
            same_bits(run, single(X, K, seed, tol=0, max_iter=50))


def test_time_that_suffices_changes_nothing():
    same_runs(factorize_many(X, K, time_limit=600, **MANY), factorize_many(X, K, **MANY))


PRELUDE = """
    import os, signal, sys
    import numpy as np
    from nmf_core import factorize, factorize_many, load_ensemble, rank_survey
    from nmf_core.ensemble import running

    signal.signal(signal.SIGINT, signal.default_int_handler)
    rng = np.random.default_rng(0)
    X = rng.gamma(0.5, 1, (60, 3)) @ rng.gamma(0.5, 1, (3, 40)) + 0.01
    calls, plain = 0, running.factorize

    def interrupting(*arguments, **parameters):
        global calls
        calls += 1
        if calls == INTERRUPTED:
            os.kill(os.getpid(), signal.SIGINT)
        return plain(*arguments, **parameters)

    running.factorize = interrupting
"""


def in_a_process(interrupted, script, *arguments):
    """What a script prints that is interrupted when so many runs begin; a process, because it may never end."""
    code = dedent(PRELUDE).replace("INTERRUPTED", str(interrupted)) + dedent(script)
    command = [sys.executable, "-c", code, *map(str, arguments)]
    # PYTHONPATH, for a package that is not installed; a process of its own has Ctrl-C even in the background.
    ended = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def test_runs_that_have_ended_are_returned_after_an_interrupt(tmp_path):
    script = """
        ensemble = factorize_many(X, 3, 8, random_state=0, n_threads=1, checkpoint=sys.argv[1])
        assert 1 <= len(ensemble) < 8, len(ensemble)
        assert ensemble.n_asked == 8
        assert "of 8 runs are missing" in repr(ensemble)
        for i, seed in enumerate(ensemble.seeds):
            fit = factorize(X, 3, init="random", random_state=seed)
            assert np.array_equal(ensemble[i].W, fit.W) and np.array_equal(ensemble[i].H, fit.H)
        there = load_ensemble(sys.argv[1])
        assert set(ensemble.seeds) <= set(there.seeds)
        whole = factorize_many(X, 3, 8, random_state=0, checkpoint=sys.argv[1])
        fresh = factorize_many(X, 3, 8, random_state=0)
        assert len(whole) == 8 and all(map(np.array_equal, whole.W, fresh.W))
        try:
            signal.getsignal(signal.SIGINT)(signal.SIGINT, None)
        except KeyboardInterrupt:
            print("handler is back")
    """
    assert "handler is back" in in_a_process(3, script, tmp_path / "runs")


def test_a_survey_is_interrupted():
    script = """
        survey = rank_survey(X, [2, 3, 4], 4, random_state=0, n_threads=1, null=True)
        print({k: len(ensemble) for k, ensemble in survey.items()}, survey.best, len(survey.table), repr(survey))
        assert 0 < sum(map(len, survey.values())) < 12
    """
    assert "{" in in_a_process(9, script)


def test_an_interrupt_at_the_very_beginning_ends():
    script = """
        try:
            print(len(factorize_many(X, 3, 2000, random_state=0, n_threads=2)))
        except KeyboardInterrupt:
            print("interrupted")
    """
    code = dedent(PRELUDE).replace("INTERRUPTED", "1") + dedent(script)
    for _ in range(3):  # a race: nearly always at the first attempt
        subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=4, check=True)


def test_an_error_in_a_run_is_raised(monkeypatch):
    def failing(*arguments, **parameters):
        raise RuntimeError("this run has failed")

    monkeypatch.setattr(running, "factorize", failing)
    with pytest.raises(RuntimeError, match="this run has failed"):
        factorize_many(X, K, **MANY)


def test_ensembles_are_made_in_threads_other_than_the_main_one():
    made = []
    thread = threading.Thread(target=lambda: made.append(factorize_many(X, K, **MANY)))
    thread.start()
    thread.join()
    same_runs(made[0], factorize_many(X, K, **MANY))
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


# --- in files


def test_saved_and_loaded(tmp_path, undecided):
    undecided.save(tmp_path / "runs")
    loaded = load_ensemble(tmp_path / "runs")
    assert isinstance(loaded, Ensemble)
    same_runs(loaded, undecided)
    assert loaded.n_components == 4
    assert loaded.i_best == undecided.i_best
    assert loaded.resample is None
    assert loaded.cophenetic == undecided.cophenetic
    assert np.array_equal(loaded.clusters, undecided.clusters)
    assert np.array_equal(loaded.align().order, undecided.align().order)
    assert loaded.table.equals(undecided.table)
    assert repr(loaded) == repr(undecided)
    assert [run.n_iter for run in loaded[2:4]] == [run.n_iter for run in undecided[2:4]]


def test_labels_are_saved(tmp_path):
    frame = pd.DataFrame(COUNTS, index=ROWS, columns=COLUMNS)
    ensemble = factorize_many(frame, K, 2, resample="bootstrap", random_state=0)
    ensemble.save(str(tmp_path / "runs"))
    loaded = load_ensemble(str(tmp_path / "runs"))
    same_runs(loaded, ensemble)
    assert loaded.resample == "bootstrap"
    pd.testing.assert_frame_equal(loaded.best.embedding, ensemble.best.embedding)
    pd.testing.assert_frame_equal(loaded.best.components, ensemble.best.components)
    np.testing.assert_allclose(loaded.consensus(["s3", "s1"]), ensemble.consensus([3, 1]))


def test_an_ensemble_is_saved_into_an_empty_folder_only(tmp_path, ensemble):
    (tmp_path / "empty").mkdir()
    ensemble.save(tmp_path / "empty")
    same_runs(load_ensemble(tmp_path / "empty"), ensemble)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").write_text("mine")
    for name in ("full", "empty"):
        with pytest.raises(FileExistsError, match=f"There is something in this folder already.*{name}"):
            ensemble.save(tmp_path / name)
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["notes.txt"]
    with pytest.raises(OSError, match="nowhere"):
        ensemble.save(tmp_path / "nowhere" / "runs")


def test_every_run_is_a_file_of_its_own(tmp_path, ensemble):
    ensemble.save(tmp_path / "runs")
    files = sorted((tmp_path / "runs").glob("run-*.npz"))
    assert len(files) == 6
    for path, run in zip(files, ensemble, strict=True):
        same_bits(nmf_core.load(path), run)


def test_components_of_a_loaded_ensemble(tmp_path, ensemble):
    ensemble.save(tmp_path / "runs")
    loaded = load_ensemble(tmp_path / "runs")
    found = ensemble.components()
    without = loaded.components()
    assert without.W is None
    with pytest.raises(AttributeError, match=r"needs X: give it, as in ensemble\.components\(X\)"):
        _ = without.factorization
    assert not hasattr(without, "factorization")
    assert np.array_equal(without.H, found.H)
    assert np.array_equal(loaded.components(X).W, found.W)


def test_loading_something_else_is_refused(tmp_path, ensemble):
    (tmp_path / "folder").mkdir()
    (tmp_path / "text").write_text("text")
    ensemble.best.save(tmp_path / "single.npz")
    for name in ("folder", "text", "single.npz", "nowhere"):
        refused(ValueError, f"{name} is not an ensemble", lambda name=name: load_ensemble(tmp_path / name))
    ensemble.save(tmp_path / "runs")
    with pytest.raises((OSError, ValueError), match="runs"):
        nmf_core.load(tmp_path / "runs")


@pytest.mark.parametrize("content", ["", "{", "[]", '{"format": "nmf_core ensemble 999"}'])
def test_a_damaged_ensemble_is_refused(tmp_path, ensemble, content):
    ensemble.save(tmp_path / "runs")
    (tmp_path / "runs" / "ensemble.json").write_text(content)
    refused(ValueError, "runs", lambda: load_ensemble(tmp_path / "runs"))


# --- checkpoints


@pytest.mark.parametrize("how", [None, "poisson"])
def test_a_checkpoint_only_adds_runs(tmp_path, how):
    path = tmp_path / "runs"
    arguments = {"resample": how, "random_state": 0}
    first = factorize_many(COUNTS, K, 2, checkpoint=path, **arguments)
    same_runs(load_ensemble(path), first)
    before = {file: file.stat().st_mtime_ns for file in path.glob("run-*")}
    whole = factorize_many(COUNTS, K, 5, checkpoint=path, **arguments)
    assert {file: file.stat().st_mtime_ns for file in before} == before
    same_runs(whole, factorize_many(COUNTS, K, 5, **arguments))
    same_runs(load_ensemble(path), whole)


def test_what_is_there_is_not_fitted_again(tmp_path, monkeypatch):
    whole = factorize_many(X, K, checkpoint=tmp_path / "runs", **MANY)
    monkeypatch.setattr(running, "factorize", None)
    same_runs(factorize_many(X, K, checkpoint=tmp_path / "runs", **MANY), whole)


@pytest.mark.parametrize("lost", [(0,), (3,), (1, 2), (0, 1, 2, 3)])
def test_a_killed_ensemble_goes_on(tmp_path, lost):
    path = tmp_path / "runs"
    whole = factorize_many(X, K, checkpoint=path, **MANY)
    files = sorted(path.glob("run-*"))
    for i in lost:
        files[i].unlink()
    if len(lost) < 4:
        there = load_ensemble(path)
        assert there.seeds == [seed for i, seed in enumerate(whole.seeds) if i not in lost]
        assert np.array_equal(there.labels, np.delete(whole.labels, lost, axis=0))
    else:
        refused(ValueError, "runs.*no run", lambda: load_ensemble(path))
    same_runs(factorize_many(X, K, checkpoint=path, **MANY), whole)


def test_a_killed_ensemble_goes_on_with_large_data(tmp_path):
    A = planted(1500, 400, 4).astype(np.float32)
    path = tmp_path / "runs"
    whole = factorize_many(A, 4, 4, random_state=0, max_iter=8, checkpoint=path)
    for file in sorted(path.glob("run-*"))[1:3]:
        file.unlink()
    same_runs(factorize_many(A, 4, 4, random_state=0, max_iter=8, checkpoint=path), whole)


def test_a_run_that_was_not_written_whole_is_refused(tmp_path):
    path = tmp_path / "runs"
    factorize_many(X, K, checkpoint=path, **MANY)
    file = sorted(path.glob("run-*"))[2]
    file.write_bytes(file.read_bytes()[:200])
    refused(ValueError, file.name, lambda: factorize_many(X, K, checkpoint=path, **MANY))
    refused(ValueError, file.name, lambda: load_ensemble(path))


def test_a_run_of_another_fit_is_refused(tmp_path):
    path = tmp_path / "runs"
    factorize_many(X, K, checkpoint=path, **MANY)
    single(X, K, 99).save(sorted(path.glob("run-*"))[2])
    with pytest.raises(ValueError, match="runs"):
        factorize_many(X, K, checkpoint=path, **MANY)


def test_seeds_from_nowhere_go_on(tmp_path):
    first = factorize_many(X, K, 2, checkpoint=tmp_path / "runs")
    second = factorize_many(X, K, 4, checkpoint=tmp_path / "runs")
    assert second.seeds[:2] == first.seeds
    assert len(set(second.seeds)) == 4
    for run, seed in zip(second, second.seeds, strict=True):
        same_bits(run, single(X, K, seed))


def two_swapped(A):
    A = A.copy()
    A[0, 0], A[7, 9] = A[7, 9], A[0, 0]
    return A


@pytest.mark.parametrize(
    ("A", "k", "arguments", "match"),
    [
        (2 * COUNTS, K, {}, "X"),
        (COUNTS[::-1].copy(), K, {}, "X"),
        (COUNTS[:, ::-1].copy(), K, {}, "X"),
        (two_swapped(COUNTS), K, {}, "X"),
        (COUNTS[:30], K, {}, "shape of X"),
        (COUNTS.astype(np.float32), K, {}, "dtype of X"),
        (COUNTS, 4, {}, "n_components is 3 there, but 4 here"),
        (COUNTS, K, {"loss": "kullback-leibler"}, "loss is 'frobenius' there, but 'kullback-leibler' here"),
        (COUNTS, K, {"alpha_W": 0.1}, "alpha_W is 0.0 there, but 0.1 here"),
        (COUNTS, K, {"solver": "mu"}, "solver"),
        (COUNTS, K, {"init": "random_vcol"}, "init"),
        (COUNTS, K, {"shuffle": True}, "shuffle"),
        (COUNTS, K, {"acceleration": False}, "acceleration"),
        (COUNTS, K, {"weights": WEIGHTS}, "weight"),
        (COUNTS, K, {"missing": "nan"}, "missing"),
        (COUNTS, K, {"biases": True}, "biases"),
        (COUNTS, K, {"resample": "bootstrap"}, "resample is None there, but 'bootstrap' here"),
        (COUNTS, K, {"random_state": 1}, "random_state"),
        (COUNTS, K, {"random_state": np.random.default_rng(0)}, "random_state"),
    ],
)
def test_a_checkpoint_of_something_else_is_refused(tmp_path, A, k, arguments, match):
    path = tmp_path / "runs"
    before = factorize_many(COUNTS, K, 2, random_state=0, checkpoint=path)
    call = lambda: factorize_many(A, k, 3, **{"random_state": 0, "checkpoint": path, **arguments})  # noqa: E731
    refused(ValueError, f"runs is .*{match}", call)
    same_runs(load_ensemble(path), before)


def test_a_checkpoint_with_another_fraction_is_refused(tmp_path):
    arguments = {"resample": "subsample", "random_state": 0, "checkpoint": tmp_path / "runs"}
    factorize_many(X, K, 2, fraction=0.5, **arguments)
    refused(
        ValueError,
        "runs is .*fraction is 0.5 there, but 0.7 here",
        lambda: factorize_many(X, K, 2, fraction=0.7, **arguments),
    )


@pytest.mark.parametrize(
    ("before", "after"), [({"max_iter": 2}, {}), ({"tol": 0.1}, {"tol": 1e-4}), ({"tol": 1e-3}, {})]
)
def test_a_checkpoint_with_other_limits_is_refused_or_goes_on(tmp_path, before, after):
    path = tmp_path / "runs"
    factorize_many(X, K, 2, random_state=0, checkpoint=path, **before)
    arguments = {"random_state": 0, **after}
    ensemble = unless_refused("runs", lambda: factorize_many(X, K, 4, checkpoint=path, **arguments))
    if ensemble is not None:
        same_runs(ensemble, factorize_many(X, K, 4, **arguments))


def test_a_checkpoint_of_a_sparse_array_is_not_one_of_an_array(tmp_path):
    path = tmp_path / "runs"
    factorize_many(SPARSE, K, 2, random_state=0, checkpoint=path)
    array = SPARSE.toarray()
    ensemble = unless_refused("runs", lambda: factorize_many(array, K, 3, random_state=0, checkpoint=path))
    if ensemble is not None:
        same_runs(ensemble, factorize_many(array, K, 3, random_state=0))


def test_a_checkpoint_in_another_order_says_so(tmp_path):
    path = tmp_path / "runs"
    factorize_many(X, K, 2, random_state=0, checkpoint=path)
    by_columns = np.asfortranarray(X)
    unless_refused(r"^(?!.*\[40, 60\])", lambda: factorize_many(by_columns, K, 2, random_state=0, checkpoint=path))


def test_a_checkpoint_knows_labels(tmp_path):
    path = tmp_path / "runs"
    factorize_many(pd.DataFrame(X, index=ROWS), K, 2, random_state=0, checkpoint=path)
    renamed = pd.DataFrame(X, index=[f"t{i}" for i in range(60)])
    ensemble = unless_refused("runs", lambda: factorize_many(renamed, K, 3, random_state=0, checkpoint=path))
    for run in ensemble or ():
        assert list(run.embedding.index) == list(renamed.index)


def test_threads_and_time_are_not_part_of_a_checkpoint(tmp_path):
    path = tmp_path / "runs"
    factorize_many(X, K, 2, random_state=0, checkpoint=path, n_threads=1)
    whole = factorize_many(X, K, 4, random_state=0, checkpoint=path, n_threads=2, time_limit=600)
    same_runs(whole, factorize_many(X, K, 4, random_state=0))


def test_a_folder_with_other_things_is_no_checkpoint(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    for path in (tmp_path, tmp_path / "notes.txt"):
        with pytest.raises((OSError, ValueError), match=path.name):
            factorize_many(X, K, 2, random_state=0, checkpoint=path)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


@pytest.mark.parametrize("checkpoint", [3, nmf_core.Checkpoint("fit.checkpoint")], ids=["number", "Checkpoint"])
def test_what_is_no_path_of_a_checkpoint(checkpoint):
    refused(
        (TypeError, ValueError), "checkpoint .*(path|folder)", lambda: factorize_many(X, K, 2, checkpoint=checkpoint)
    )


# --- what is refused

REFUSED = [
    ({"n_runs": 0}, ValueError, "n_runs must be at least 1, got 0"),
    ({"n_runs": -1}, ValueError, "n_runs must be at least 1, got -1"),
    ({"n_runs": 2.5}, TypeError, "n_runs must be an integer, got 2.5"),
    ({"n_runs": "3"}, TypeError, "n_runs must be an integer, got '3'"),
    ({"n_components": 0}, ValueError, "n_components must be at least 1, got 0"),
    ({"n_components": 2.5}, TypeError, "n_components must be an integer, got 2.5"),
    ({"n_components": 10**9}, ValueError, "n_components=1000000000 is more than"),
    ({"resample": "jackknife"}, ValueError, "resample must be one of 'poisson', 'bootstrap', 'subsample'"),
    ({"resample": "subsample", "fraction": 2}, ValueError, "fraction must be .* at most 1, got 2"),
    ({"resample": "subsample", "fraction": -1}, ValueError, "fraction must be .*, got -1"),
    ({"resample": "subsample", "fraction": np.nan}, ValueError, "fraction must be .*, got nan"),
    ({"resample": "subsample", "fraction": "half"}, TypeError, "fraction must be a real number, got 'half'"),
    ({"init": "nndsvda"}, ValueError, "n_runs=2 needs starts that differ, but those of init='nndsvda'"),
    ({"init": "spa"}, ValueError, "n_runs=2 needs starts that differ, but those of init='spa'"),
    ({"W": X[:, :K], "H": X[:K]}, ValueError, "n_runs=2 needs starts that differ"),
    ({"W": X[:, :K], "H": X[:K], "resample": "bootstrap"}, TypeError, "W cannot be given"),
    ({"init": "other"}, ValueError, "init must be one of"),
    ({"callback": print}, TypeError, "callback cannot be given"),
    ({"n_init": 3}, TypeError, "n_init cannot be given"),
    ({"out_W": np.empty((60, K))}, TypeError, "out_W cannot be given"),
    ({"update_H": False, "H": X[:K]}, TypeError, "update_H cannot be given"),
    ({"other": 3}, TypeError, "unexpected keyword argument 'other'"),
    ({"n_run": 3}, TypeError, "unexpected keyword argument 'n_run'.*Did you mean 'n_runs'"),
    ({"random_state": -1}, ValueError, "random_state must be between 0 and"),
    ({"random_state": "seed"}, TypeError, "random_state must be None, an integer"),
    ({"time_limit": -1}, ValueError, "time_limit must be .* at least 0, got -1"),
    ({"n_threads": 0}, ValueError, "n_threads must be at least 1, got 0"),
    ({"loss": "other"}, ValueError, "loss must be one of"),
    ({"max_iter": 0}, ValueError, "max_iter must be at least 1, got 0"),
    ({"missing": "other"}, ValueError, "missing must be one of"),
    ({"X": -X}, ValueError, "X contains a negative value .*row 0, column 0"),
    ({"X": HOLEY}, ValueError, "X contains NaN, first at row"),
    ({"X": np.empty((0, 5))}, ValueError, "X is empty: its shape is 0 x 5"),
    ({"X": X[0]}, ValueError, "X must be a matrix with 2 dimensions"),
    ({"X": "text"}, TypeError, "X must hold real numbers"),
]


@pytest.mark.parametrize(("arguments", "error", "match"), REFUSED, ids=[str([*case[0]]) for case in REFUSED])
def test_arguments_that_are_refused(tmp_path, arguments, error, match):
    given = {"X": X, "n_components": K, "n_runs": 2, "random_state": 0, **arguments}
    refused(error, match, lambda: factorize_many(**given))
    refused(error, match, lambda: factorize_many(**given, checkpoint=tmp_path / "runs"))
    if not {"other", "time_limit", "n_threads"} & set(arguments):
        assert not (tmp_path / "runs").exists()  # nothing is left where nothing began


@pytest.mark.parametrize("arguments", [{"time_limit": -1}, {"n_threads": 0}, {"other": 3}], ids=str)
def test_nothing_is_left_where_nothing_began(tmp_path, arguments):
    with pytest.raises((TypeError, ValueError)):
        factorize_many(X, K, 2, checkpoint=tmp_path / "runs", **arguments)
    assert not (tmp_path / "runs").exists()


def test_no_sample_is_no_subsample():
    refused(ValueError, "fraction", lambda: factorize_many(X, K, 2, resample="subsample", fraction=0))


def test_the_default_of_callback_may_be_given():
    factorize_many(X, K, 2, random_state=0, callback=None)


@pytest.mark.parametrize(
    ("samples", "match"),
    [
        ([0, 60], "no sample 60: they are numbered from 0 to 59"),
        ([-1], "no sample -1"),
        (["a"], "numbers from 0, got"),
        ([0.5], "numbers from 0, got"),
        ([True, False], "numbers from 0, got"),
    ],
)
def test_samples_that_are_not_there(ensemble, samples, match):
    refused((TypeError, ValueError), match, lambda: ensemble.consensus(samples))


def test_samples_are_a_list(ensemble):
    refused((TypeError, ValueError), "sample", lambda: ensemble.consensus([[0, 1], [2, 3]]))


@pytest.mark.parametrize(
    ("reference", "match"),
    [
        (np.ones((K, 7)), r"reference has shape \(3, 7\), but \(3, 40\) was factorized"),
        (np.ones((2, 40)), r"reference has shape \(2, 40\)"),
        (np.ones(40), "reference must be a matrix with 2 dimensions"),
        (-np.ones((K, 40)), "reference contains a negative value"),
        (np.full((K, 40), np.nan), "reference contains NaN"),
        (6, "reference must be at most 5, got 6"),
        (-7, "reference must be at least -6, got -7"),
        ("best", "reference must be an integer, got 'best'"),
        (1.5, "reference must be an integer, got 1.5"),
    ],
    ids=lambda value: None if isinstance(value, str) else type(value).__name__,
)
def test_references_that_are_none(ensemble, reference, match):
    refused((TypeError, ValueError), match, lambda: ensemble.align(reference))


@pytest.mark.parametrize("name", ["clustering", "average"])
def test_names_in_components_that_are_refused(ensemble, name):
    refused(ValueError, f"{name} must be one of", lambda: ensemble.components(**{name: "other"}))


@pytest.mark.parametrize("name", ["density_threshold", "neighbourhood"])
def test_options_of_components_are_numbers(ensemble, name):
    refused(TypeError, f"{name} must be", lambda: ensemble.components(**{name: "a"}))


@pytest.mark.parametrize(
    "options", [{"neighbourhood": 2}, {"neighbourhood": -1}, {"density_threshold": np.nan}], ids=str
)
def test_numbers_of_components_that_are_refused(ensemble, options):
    (name,) = options
    refused(ValueError, f"{name} must be", lambda: ensemble.components(**options))


def test_no_components_close_enough(undecided):
    match = "Only 0 components of all runs are close enough.*Raise density_threshold"
    refused(ValueError, match, lambda: undecided.components(density_threshold=1e-9))
    assert undecided.components(density_threshold=2).kept.all()


def test_components_of_data_with_other_features(ensemble):
    refused(ValueError, "features", lambda: ensemble.components(X[:, :10]))
    refused(ValueError, "negative", lambda: ensemble.components(-X))


def test_components_of_data_with_other_samples(ensemble):
    refused(ValueError, "samples|shape", lambda: ensemble.components(X[:10]))


# --- surveys

RANKS = range(2, 6)


@pytest.fixture(scope="module")
def survey():
    return rank_survey(X, RANKS, 5, null=True, random_state=0)


def test_a_survey_maps_numbers_to_ensembles(survey):
    assert list(survey) == list(survey.n_components) == list(RANKS)
    assert len(survey) == 4
    assert 3 in survey
    assert 9 not in survey
    for k, ensemble in survey.items():
        assert isinstance(ensemble, Ensemble)
        same_runs(ensemble, factorize_many(X, k, 5, random_state=0))
    with pytest.raises(KeyError):
        survey[9]


@pytest.mark.parametrize("how", ["poisson", "subsample"])
def test_ensembles_of_a_survey_are_those_of_replicates(how):
    survey = rank_survey(COUNTS, [4, 2], 3, held_out=False, resample=how, fraction=0.6, loss=1.5, random_state=1)
    assert list(survey) == [2, 4]
    for k, ensemble in survey.items():
        same_runs(ensemble, factorize_many(COUNTS, k, 3, resample=how, fraction=0.6, loss=1.5, random_state=1))


@pytest.mark.parametrize("n_threads", [1, 3])
def test_threads_do_not_change_a_survey(survey, n_threads):
    other = rank_survey(X, RANKS, 5, null=True, random_state=0, n_threads=n_threads)
    for k in RANKS:
        same_runs(other[k], survey[k])
        same_runs(other.null[k], survey.null[k])
    assert other.reason == survey.reason


OF_RUNS = ["objective", "relative_error", "explained_variance"]
OF_AGREEMENT = ["cophenetic", "dispersion", "pac", "silhouette", "stability_mean", "stability_min"]
DOCUMENTED = [
    *("n_components", "n_runs", "n_unconverged", *OF_RUNS, *OF_AGREEMENT[:4]),
    *("sparsity_W", "sparsity_H", "stability_mean", "stability_min", "seconds", "held_out", "held_out_se"),
]


def test_table_of_a_survey(survey):
    table = survey.table
    assert set(DOCUMENTED) <= set(table)
    assert all(name in DOCUMENTED or name.startswith("null_") for name in table)
    assert list(table["n_components"]) == list(RANKS)
    assert list(table["n_runs"]) == [5] * 4
    for (_, row), ensemble in zip(table.iterrows(), survey.values(), strict=True):
        summary = ensemble.best.summary()
        assert row["objective"] == ensemble.objectives.min()
        assert row["relative_error"] == pytest.approx(summary["relative_error"])
        assert row["explained_variance"] == pytest.approx(summary["explained_variance"])
        assert row["n_unconverged"] == ensemble.n_unconverged
        for name in ("cophenetic", "dispersion", "pac"):
            assert row[name] == getattr(ensemble, name)
        assert row["silhouette"] == pytest.approx(ensemble.silhouette.mean())
        assert row["stability_mean"] == pytest.approx(ensemble.stability.mean.mean())
        assert row["stability_min"] == pytest.approx(ensemble.stability.mean.min())
        assert row["seconds"] == pytest.approx(ensemble.table["seconds"].sum())


def test_columns_of_the_null_survey(survey):
    assert {f"null_{name}" for name in (*OF_RUNS, *OF_AGREEMENT, "seconds", "n_unconverged")} <= set(survey.table)
    for name in ("objective", "cophenetic"):
        assert np.array_equal(survey.table[f"null_{name}"], survey.null.table[name])


def test_number_of_runs_of_the_null_survey(survey):
    assert list(survey.table["null_n_runs"]) == [5] * 4


def test_columns_in_the_documented_order(survey):
    assert [name for name in survey.table if not name.startswith("null_")] == DOCUMENTED


def test_table_of_a_survey_without_held_out_entries():
    survey = rank_survey(X, [2, 3], 3, held_out=False, random_state=0)
    assert survey.held_out is None
    assert survey.null is None
    assert set(survey.table) == set(DOCUMENTED) - {"held_out", "held_out_se"}
    assert survey.rules == ["stability", "cophenetic", "pac"]
    assert survey.rule == "stability"


def test_held_out_entries_are_those_of_cross_validation(survey):
    alone = cross_validate_rank(X, RANKS, random_state=0)
    assert np.array_equal(survey.held_out.mean, alone.mean)
    assert list(survey.table["held_out"]) == list(alone.mean)


def test_the_null_survey_has_the_same_entries_in_every_column(survey):
    """Features that have nothing to do with each other are explained worse."""
    null = survey.null
    assert list(null) == list(RANKS)
    assert [len(ensemble) for ensemble in null.values()] == [5] * 4
    assert (null.table["explained_variance"] < survey.table["explained_variance"]).all()
    for k in RANKS:
        assert null[k].best.X_squared_norm == pytest.approx(survey[k].best.X_squared_norm)
    assert null.null is None


@pytest.mark.parametrize("kind", ["CSR", "CSC", "NaN", "unstored", "frame"])
def test_null_surveys_of_other_data(kind):
    A, arguments = (pd.DataFrame(X, columns=COLUMNS), {}) if kind == "frame" else KINDS[kind]
    survey = rank_survey(A, [2, 3], 2, null=True, held_out=False, random_state=0, **arguments)
    assert survey.null[2].best.n_stored == survey[2].best.n_stored
    assert survey.null[2].best.X_squared_norm == pytest.approx(survey[2].best.X_squared_norm)
    assert survey.null[2].best.objective != survey[2].best.objective


def test_the_null_survey_is_as_random_as_the_rest():
    first, second, other = (
        rank_survey(X, [2], 2, null=True, held_out=False, random_state=seed).null[2] for seed in (0, 0, 1)
    )
    same_runs(first, second)
    assert not np.array_equal(first.W[0], other.W[0])


def test_the_planted_number_is_found(survey):
    assert survey.rule == "one-standard-error"
    assert survey.best == K
    assert survey.reason == survey.choose(survey.rule).reason
    assert {survey.choose(rule).n_components for rule in survey.rules} <= set(RANKS)
    assert survey.choose("held-out").n_components == K


@pytest.mark.parametrize("k", [2, 4])
def test_another_planted_number_is_found_without_held_out_entries(k):
    rng = np.random.default_rng(k)
    blocks = np.kron(np.eye(k), np.ones((1, 12))) + 0.05
    A = (np.repeat(np.eye(k), 20, axis=0) + 0.05) @ blocks * rng.gamma(20, 0.05, (20 * k, 12 * k))
    survey = rank_survey(A, range(2, 7), 8, held_out=False, random_state=0)
    assert survey.best == survey.choose("pac").n_components == k


def test_choices_at_the_end_of_what_was_tried_say_so(survey):
    ranks = list(survey)
    assert len(ranks) > 2
    for k, said in (
        (ranks[0], "; fewer were not tried" if ranks[0] > 1 else ""),
        (ranks[1], ""),
        (ranks[-1], "; more were not tried"),
    ):
        assert survey._edge(k) == said
    one = RankSurvey({ranks[1]: survey[ranks[1]]})
    assert one.reason.endswith("; no other number was tried")


def test_samples_of_which_there_is_nothing_are_a_cluster_of_their_own():
    rng = np.random.default_rng(0)
    X = np.kron(np.eye(3), np.ones((8, 6))) * rng.gamma(20, size=(24, 18))
    ensemble = factorize_many(np.vstack([np.zeros((2, 18)), X]), 3, 4, loss="kullback-leibler", random_state=0)
    np.testing.assert_array_equal(ensemble.clusters, [3] * 2 + [0] * 8 + [1] * 8 + [2] * 8)


@pytest.mark.parametrize("rule", ["one-standard-error", "held-out", "stability", "cophenetic", "pac"])
def test_every_rule_gives_its_reason(survey, rule):
    assert rule in survey.rules
    choice = survey.choose(rule)
    assert choice.n_components in RANKS
    assert len(choice.reason) > 20
    assert is_one_sentence(choice.reason)
    row = survey.table.set_index("n_components").loc[choice.n_components]
    number = {
        "one-standard-error": f"{row['held_out']:.4g}",
        "held-out": f"{row['held_out']:.4g}",
        "stability": f"{row['stability_mean']:.3f}",
        "cophenetic": f"{row['cophenetic']:.4g}" if "correlation, " in choice.reason else "0.005",
        "pac": f"{row['pac']:.4g}",
    }[rule]
    assert number in choice.reason


def test_rules_are_what_they_say(survey):
    table = survey.table.set_index("n_components")
    assert survey.choose("held-out").n_components == table["held_out"].idxmin()
    assert table["pac"][survey.choose("pac").n_components] == table["pac"].min()
    least = table["held_out"].min() + table["held_out_se"][table["held_out"].idxmin()]
    assert survey.choose("one-standard-error").n_components == table.index[table["held_out"] <= least].min()


def test_options_of_the_rule_of_stability(survey):
    table = survey.table.set_index("n_components")
    for mean, minimum in ((0.99, 0.9), (0.5, 0), (0.9, 0.5)):
        stable = (table["stability_mean"] >= mean) & (table["stability_min"] >= minimum)
        choice = survey.choose("stability", mean=mean, minimum=minimum)
        assert choice.n_components == table.index[stable].max()
        for number in (mean, minimum):
            assert f"{number:g}" in choice.reason


@pytest.mark.parametrize("rule", ["held-out", "stability", "cophenetic", "pac"])
def test_the_rule_of_a_survey(rule):
    survey = rank_survey(X, [2, 3], 3, rule=rule, random_state=0)
    assert survey.rule == rule
    assert survey.best == survey.choose(rule).n_components
    assert survey.reason == survey.choose(rule).reason


def test_a_survey_printed_is_a_table(survey):
    lines = repr(survey).splitlines()
    header = next(i for i, line in enumerate(lines) if "n_components" in line)
    columns = lines[header].split()
    assert {"n_components", "explained_variance", "held_out", "cophenetic", "stability_mean"} <= set(columns)
    rows = [line.split() for line in lines[header + 1 : header + 5]]
    assert [int(row[0]) for row in rows] == list(RANKS)
    assert all(len(row) == len(columns) for row in rows)
    for row, value in zip(rows, survey.table["held_out"], strict=True):
        assert float(row[columns.index("held_out")]) == pytest.approx(value, rel=1e-3)
    assert survey.reason in repr(survey)


def test_a_survey_goes_on_from_a_checkpoint(tmp_path):
    arguments = {"null": True, "held_out": False, "random_state": 0, "checkpoint": tmp_path / "survey"}
    rank_survey(X, [2, 3], 2, **arguments)
    folders = {path.name for path in (tmp_path / "survey").iterdir()}
    assert len(folders) == 4  # one for every ensemble
    for path in sorted((tmp_path / "survey").rglob("run-*"))[1::3]:
        path.unlink()
    more = rank_survey(X, [2, 3, 4], 3, **arguments)
    fresh = rank_survey(X, [2, 3, 4], 3, null=True, held_out=False, random_state=0)
    for k in fresh:
        same_runs(more[k], fresh[k])
        same_runs(more.null[k], fresh.null[k])
    other = {**arguments, "random_state": 1}
    refused(ValueError, "survey.*random_state", lambda: rank_survey(X, [2, 3], 3, **other))
    refused(ValueError, "survey.*X", lambda: rank_survey(2 * X, [2, 3], 3, **arguments))


def test_an_ensemble_of_a_surveys_checkpoint_is_loaded(tmp_path):
    survey = rank_survey(X, [2, 3], 2, held_out=False, random_state=0, checkpoint=tmp_path / "survey")
    (folder,) = (path for path in (tmp_path / "survey").iterdir() if "3" in path.name)
    same_runs(load_ensemble(folder), survey[3])
    refused(ValueError, "survey is not an ensemble", lambda: load_ensemble(tmp_path / "survey"))


def test_a_survey_from_nowhere_has_the_same_seeds_for_all_numbers(tmp_path):
    first = rank_survey(X, [2, 3], 2, held_out=False, checkpoint=tmp_path / "survey")
    second = rank_survey(X, [2, 3], 3, held_out=False, checkpoint=tmp_path / "survey")
    for k in (2, 3):
        assert second[k].seeds[:2] == first[k].seeds
    assert first[2].seeds == first[3].seeds


def test_a_survey_in_time():
    survey = rank_survey(X, [2, 3], 500, random_state=0, time_limit=1e-9)
    assert 1 <= sum(map(len, survey.values())) < 1000
    assert survey.best in survey
    assert repr(survey)


def test_blocks_are_surveyed_without_held_out_entries():
    survey = rank_survey(in_blocks(X), [2, 3], 2, held_out=False, random_state=0)
    for k, ensemble in survey.items():
        same_runs(ensemble, factorize_many(in_blocks(X), k, 2, random_state=0))


REFUSED_SURVEYS = [
    ({"n_components": []}, ValueError, "n_components must hold at least one number"),
    ({"n_components": [2, 3, 2]}, ValueError, "n_components holds 2 more than once"),
    ({"n_components": [0, 1]}, ValueError, "n_components must be at least 1, got 0"),
    ({"n_components": [2.5]}, TypeError, "n_components must be an integer, got 2.5"),
    ({"n_components": ["a"]}, TypeError, "n_components must be an integer, got 'a'"),
    ({"n_components": 3}, TypeError, "n_components must be numbers of components such as range"),
    ({"n_components": [2, 10**9]}, ValueError, "n_components=1000000000 is more than"),
    ({"n_runs": 1}, ValueError, "n_runs must be at least 2, got 1"),
    ({"n_runs": 2.5}, TypeError, "n_runs must be an integer, got 2.5"),
    ({"rule": "other"}, ValueError, "rule must be one of .*'pac', got 'other'"),
    ({"rule": "held-out", "held_out": False}, ValueError, "rule must be one of 'stability', .*, got 'held-out'"),
    ({"rule": "one-standard-error", "held_out": False}, ValueError, "rule must be one of 'stability'"),
    ({"n_init": 2}, TypeError, "n_init cannot be given"),
    ({"other": 2}, TypeError, "unexpected keyword argument 'other'"),
    ({"init": "nndsvda"}, ValueError, "n_runs=2 needs starts that differ"),
    ({"resample": "poisson"}, ValueError, "poisson"),
    ({"X": -X}, ValueError, "X contains a negative value"),
    ({"X": HOLEY}, ValueError, "X contains NaN"),
    ({"X": in_blocks(X), "null": True, "held_out": False}, ValueError, "null needs X in memory"),
    ({"X": in_blocks(X), "resample": "bootstrap", "held_out": False}, ValueError, "resample needs X in memory"),
]


@pytest.mark.parametrize(("arguments", "error", "match"), REFUSED_SURVEYS, ids=[str([*c[0]]) for c in REFUSED_SURVEYS])
def test_surveys_that_are_refused(arguments, error, match, monkeypatch):
    fitted = []
    plain = running.factorize
    monkeypatch.setattr(running, "factorize", lambda *a, **p: fitted.append(1) or plain(*a, **p))
    refused(error, match, lambda: rank_survey(**{"X": X, "n_components": [2, 3], "n_runs": 2, **arguments}))
    assert not fitted or "other" in arguments  # it is refused before anything is computed


def test_entries_of_blocks_are_not_held_out(monkeypatch):
    fitted = []
    plain = running.factorize
    monkeypatch.setattr(running, "factorize", lambda *a, **p: fitted.append(1) or plain(*a, **p))
    refused((TypeError, ValueError), "held_out.*blocks", lambda: rank_survey(in_blocks(X), [2, 3], 2, random_state=0))
    assert not fitted


def test_weights_in_a_survey_count_in_held_out_errors_too():
    assert rank_survey(X, [2, 3], 2, held_out=False, weights=WEIGHTS, random_state=0).best in (2, 3)
    how = {"weights": WEIGHTS, "random_state": 0, "alpha_W": 1e-2}
    errors = cross_validate_rank(X, [2, 3], **how).errors
    np.testing.assert_array_equal(rank_survey(X, [2, 3], 2, **how).held_out.errors, errors)


@pytest.mark.parametrize("rule", ["other", None, 3])
def test_rules_that_are_none(survey, rule):
    refused(ValueError, "rule must be one of", lambda: survey.choose(rule))


@pytest.mark.parametrize(
    ("rule", "options"),
    [
        ("stability", {"other": 1}),
        ("pac", {"mean": 0.8}),
        ("stability", {"mean": "a"}),
        ("stability", {"mean": np.nan}),
    ],
)
def test_options_of_rules_that_are_refused(survey, rule, options):
    (name,) = options
    with pytest.raises((TypeError, ValueError), match=rf"{name}") as raised:
        survey.choose(rule, **options)
    assert not re.search(r"_[a-z]+\(\)", str(raised.value))
