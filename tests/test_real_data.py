"""Real data of all kinds: never a worse answer than scikit-learn's from the same start."""

import importlib.util

import divergences
import numpy as np
import pytest
import scipy.sparse as sp
from scipy.optimize import linear_sum_assignment
from sklearn.decomposition import non_negative_factorization
from sklearn.decomposition._nmf import _beta_divergence, _initialize_nmf

from nmf_core import beta_divergence, factorize

pytestmark = pytest.mark.slow

NAMES = (
    "karate",
    "breast21",
    "all_aml",
    "hawaiibirds",
    "jester5k",
    "pbmc3k",
    "tenx10k_dense",
    "audio_brahms",
    "audio_fishin_large",
    "debian_words",
    "debian_bigrams",
    "debian_tags",
)
K = 5


@pytest.fixture(scope="module")
def load(shared_data):
    """The module that opens the data sets."""
    spec = importlib.util.spec_from_file_location("shared_data_load", shared_data / "load.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def objective(X, W, H):
    """Half the squared error in double, without a dense product of the size of X."""
    W, H = W.astype(np.float64), H.astype(np.float64)
    values = (X.data if sp.issparse(X) else X).ravel()
    norm = np.einsum("i,i->", values, values, dtype=np.float64)
    return norm / 2 - np.sum((X @ H.T) * W) + np.sum((W.T @ W) * (H @ H.T)) / 2


def test_no_data_set_is_left_out(load):
    assert set(NAMES) == set(load.NAMES)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("init", ["nndsvda", "random"])
@pytest.mark.parametrize("name", NAMES)
def test_objective_beside_that_of_scikit_learn(load, name, init):
    X = load.matrix(name)
    if X.dtype not in (np.float32, np.float64):
        X = X.astype(np.float64)
    W, H = _initialize_nmf(X, K, init=init, random_state=0)
    parameters = {"tol": 1e-4, "max_iter": 200}
    theirs = objective(X, *non_negative_factorization(X, W.copy(), H.copy(), init="custom", **parameters)[:2])
    result = factorize(X, K, W=W, H=H, **parameters)
    assert result.W.dtype == result.H.dtype == X.dtype
    assert np.isfinite(result.W).all()
    assert np.isfinite(result.H).all()
    ours = objective(X, result.W, result.H)
    assert result.objective == pytest.approx(ours, rel=1e-6)
    assert ours <= 1.01 * theirs


# --- Kullback-Leibler and other divergences


def test_signatures_of_mutations_in_breast_cancer(load):
    """The divergence of the best of some random starts; multiplicative updates reach 1314 in 1000 iterations."""
    X = load.matrix("breast21").astype(np.float64)
    fits = [factorize(X, 5, loss="kullback-leibler", init="random", random_state=seed) for seed in range(10)]
    best = min(fits, key=lambda result: result.divergence)
    assert best.divergence <= 1314
    assert best.divergence == pytest.approx(divergences.divergence(X, best.W, best.H, 1), rel=1e-10)
    assert best.solver == "newton"
    assert best.n_iter <= 200


@pytest.mark.parametrize("k", [2, 3])
def test_kinds_of_leukemia(load, k):
    """All patients but one, at most, by the strongest component of the best of some random starts."""
    data = load.arrays("all_aml")
    fits = [factorize(data["X"], k, loss="kullback-leibler", init="random", random_state=seed) for seed in range(20)]
    best = min(fits, key=lambda result: result.divergence)
    strongest = (best.H * best.W.sum(axis=0)[:, np.newaxis]).argmax(axis=0)
    kinds = data["labels"] if k == 3 else np.array([label[:3] for label in data["labels"]])
    together = np.array([[np.sum((strongest == c) & (kinds == kind)) for kind in np.unique(kinds)] for c in range(k)])
    assert together[linear_sum_assignment(-together)].sum() >= len(kinds) - 1
    assert best.divergence <= {2: 16272587, 3: 13808128}[k]


COUNTED = ("karate", "breast21", "all_aml", "hawaiibirds", "jester5k", "debian_tags")


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("name", COUNTED)
def test_kullback_leibler_divergence_beside_that_of_scikit_learn(load, name):
    """From the same start: after 40 iterations about what updates need 200 for, and by updates what theirs are."""
    X = load.matrix(name).astype(np.float64)
    W, H = _initialize_nmf(X, K, init="random", random_state=0)
    given = {"tol": 0, "init": "custom"}
    theirs = non_negative_factorization(
        X, W.copy(), H.copy(), solver="mu", beta_loss="kullback-leibler", max_iter=200, **given
    )[:2]
    expected = beta_divergence(X, *theirs, "kullback-leibler")
    same = factorize(X, K, W=W, H=H, loss="kullback-leibler", solver="mu", max_iter=200, **given)
    better = factorize(X, K, W=W, H=H, loss="kullback-leibler", max_iter=40, **given)
    assert same.divergence == pytest.approx(expected, rel=1e-3)
    assert better.divergence <= 1.02 * expected
    assert np.isfinite(better.transform(X)).all()


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("name", ["audio_brahms", "tenx10k_dense"])
@pytest.mark.parametrize("beta_loss", [0, 0.5, 1.5])
def test_other_divergences_beside_those_of_scikit_learn(load, name, beta_loss):
    """Power spectra, and counts made positive."""
    X = load.matrix(name)[:600, :500].astype(np.float64)
    X = X**2 + 1e-6 if name.startswith("audio") else X + 0.1
    W, H = _initialize_nmf(X, K, init="random", random_state=0)
    given = {"tol": 0, "init": "custom", "max_iter": 50}
    theirs = non_negative_factorization(X, W.copy(), H.copy(), solver="mu", beta_loss=beta_loss, **given)[:2]
    expected = _beta_divergence(X, *theirs, beta_loss)
    same, better = (factorize(X, K, W=W, H=H, loss=beta_loss, solver=solver, **given) for solver in ("mu", "auto"))
    assert same.divergence == pytest.approx(expected, rel=1e-2)
    assert better.divergence <= 1.01 * expected
    rises = np.diff(better.history.objective)
    assert (rises <= 1e-10 * better.history.objective[0]).all()
