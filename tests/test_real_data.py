"""Real data of all kinds: never a worse answer than scikit-learn's from the same start."""

import importlib.util

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.decomposition import non_negative_factorization
from sklearn.decomposition._nmf import _initialize_nmf

from nmf_core import factorize

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
