"""Known components that are alike: their W is exact, or nobody says that it has converged."""

import warnings
from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.exceptions import ConvergenceWarning

import nmf_core.model_selection
from nmf_core import MiniBatchNMF, factorize, non_negative_factorization
from nmf_core.data import RowBlocks
from nmf_core.solvers import condition


def spectra(apart, k=4, n=200):
    x = np.linspace(0, 1, n)
    return np.stack([np.exp(-(((x - 0.5 - apart * j) / 0.1) ** 2)) for j in range(k)])


def mixtures(H, n=30, seed=0):
    rng = np.random.default_rng(seed)
    W = rng.random((n, len(H))) * (rng.random((n, len(H))) < 0.6)
    return W, W @ H


def relative(X, W, H):
    return np.linalg.norm(X - W @ H) / np.linalg.norm(X)


def fitted(estimator, H):
    """The estimator as if it had been fitted with these components."""
    model = estimator.fit(np.ones((len(H), H.shape[1]), dtype=H.dtype))
    model.components_ = H.copy()
    return model


DOORS = {
    "factorize": lambda X, H: factorize(X, len(H), H=H, update_H=False).W,
    "Factorization.transform": lambda X, H: factorize(X[:2], len(H), H=H, update_H=False).transform(X),
    "NMF.transform": lambda X, H: fitted(nmf_core.NMF(len(H), init="random"), H).transform(X),
    "MiniBatchNMF.transform": lambda X, H: fitted(MiniBatchNMF(len(H), init="random"), H).transform(X),
    "non_negative_factorization": lambda X, H: non_negative_factorization(X, H=H, update_H=False)[0],
}
LAYOUTS = {
    "C": np.ascontiguousarray,
    "Fortran": np.asfortranarray,
    "csr": sp.csr_array,
    "csc": sp.csc_array,
}


@pytest.mark.parametrize("apart", [0.03, 0.01, 0.001])
@pytest.mark.parametrize("door", DOORS)
def test_alike_components_are_told_apart(door, apart):
    H = spectra(apart)
    W, X = mixtures(H)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = DOORS[door](X, H)
    np.testing.assert_allclose(found, W, atol=3e-16 * max(np.linalg.cond(H), 1e4))


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_however_X_is_stored(layout, dtype):
    H = spectra(0.01).astype(dtype)
    W, X = mixtures(H)
    result = factorize(LAYOUTS[layout](X.astype(dtype)), 4, H=H, update_H=False)
    assert result.W.dtype == dtype
    assert (result.converged, result.stop_reason, result.solver) == (True, "tol", "anls-bpp")
    np.testing.assert_allclose(result.W, W, atol=1e-11 if dtype == np.float64 else 1e-3)
    assert relative(X, result.W, H) < (1e-14 if dtype == np.float64 else 1e-6)
    assert result.history.objective[-1] == result.objective


def test_in_blocks():
    H = spectra(0.01)
    _, X = mixtures(H)
    blocks = RowBlocks(lambda: iter([X[:7], X[7:]]), X.shape, X.dtype)
    result = factorize(blocks, 4, H=H, update_H=False)
    np.testing.assert_array_equal(result.W, factorize(X, 4, H=H, update_H=False).W)
    np.testing.assert_array_equal(result.transform(blocks), result.W)


@pytest.mark.parametrize("apart", [0.01, 0.001])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("make", [np.asarray, sp.csr_array])
@pytest.mark.parametrize("missing", [None, "weights"])
def test_a_row_does_not_depend_on_those_beside_it(apart, dtype, make, missing):
    H = spectra(apart, 5).astype(dtype)
    _, X = mixtures(H, 70)
    X = make((X + 0.01 * np.random.default_rng(1).random(X.shape)).astype(dtype))
    result = factorize(X, 5, H=H, update_H=False)
    weights = None if missing is None else np.random.default_rng(2).random(X.shape).astype(dtype)

    def of(rows):
        return result.transform(X[rows], weights=None if weights is None else weights[rows])

    together = of(slice(None))
    for rows in (slice(0, 1), slice(3, 20), slice(69, 70)):
        np.testing.assert_array_equal(of(rows), together[rows])


@pytest.mark.parametrize(("alpha", "l1_ratio"), [(1e-9, 0.0), (1e-5, 1.0), (1e-6, 0.5)])
@pytest.mark.parametrize("weighted", [False, True])
def test_penalties(alpha, l1_ratio, weighted):
    H = spectra(0.01)
    _, X = mixtures(H)
    V = np.random.default_rng(3).uniform(0.5, 2, X.shape) if weighted else np.ones(X.shape)
    penalty = {"alpha_W": alpha, "l1_ratio": l1_ratio}
    W = factorize(X, 4, H=H, update_H=False, weights=V if weighted else None, **penalty).W
    l1, l2 = 200 * alpha * l1_ratio, 200 * alpha * (1 - l1_ratio)
    gradient = (V * (W @ H - X)) @ H.T + l2 * W + l1
    assert (W >= 0).all()
    assert np.abs(np.minimum(W, gradient)).max() < 1e-12


@pytest.mark.parametrize("given_as", ["nan", "unstored", "weights"])
def test_known_entries_tell_alike_components_apart(given_as):
    H = spectra(0.01)
    W, X = mixtures(H)
    known = np.random.default_rng(4).random(X.shape) < 0.7
    known[0] = False
    given = {
        "nan": lambda: (np.where(known, X, np.nan), {"missing": "nan"}),
        "unstored": lambda: (sp.csr_array((X[known], np.nonzero(known)), shape=X.shape), {"missing": "unstored"}),
        "weights": lambda: (X, {"weights": known * 1.0}),
    }
    data, how = given[given_as]()
    result = factorize(data, 4, H=H, update_H=False, **how)
    assert result.converged
    assert not result.W[0].any()
    np.testing.assert_allclose(result.W[1:], W[1:], atol=1e-10)
    again = result.transform(data, **({"weights": how["weights"]} if given_as == "weights" else {}))
    np.testing.assert_array_equal(again, result.W)
    if given_as == "nan":
        np.testing.assert_allclose(result.impute(data[1:], new=True), X[1:], atol=1e-12)


def test_components_that_are_equal_or_zero():
    H = spectra(0.1)
    H = np.vstack([H, H[1], np.zeros(200)])
    _, X = mixtures(H[:4])
    result = factorize(X, 6, H=H, update_H=False)
    assert result.converged
    assert relative(X, result.W, H) < 1e-13
    assert not result.W[:, 5].any()


def test_components_that_are_not_alike_go_the_usual_way():
    H = spectra(0.1)
    _, X = mixtures(H)
    assert condition(H @ H.T) < 1e3
    result = factorize(X, 4, H=H, update_H=False)
    assert (result.solver, result.converged) == ("hals", True)
    assert result.n_iter > 1


def test_other_losses_have_further_to_go():
    """That steps have become short says less, the more alike components are."""
    H = spectra(0.01)
    _, X = mixtures(H)
    with pytest.warns(nmf_core.ConvergenceWarning):
        result = factorize(X, 4, loss=1, H=H, update_H=False, max_iter=50)
    assert not result.converged


# --- what has not converged is told, once, at the caller's line

X, H = np.random.default_rng(0).random((20, 12)), np.random.default_rng(1).random((3, 12))
MODEL = factorize(X, 3, random_state=0, max_iter=500)
HOLES = np.where(X > 0.8, np.nan, X)
INCOMPLETE = factorize(HOLES, 3, missing="nan", random_state=0, max_iter=1000)
UNFINISHED = {
    "factorize": lambda: factorize(X, 3, max_iter=2),
    "factorize, Kullback-Leibler": lambda: factorize(X, 3, loss=1, max_iter=2),
    "factorize, missing": lambda: factorize(HOLES, 3, missing="nan", max_iter=2),
    "factorize, H fixed": lambda: factorize(X, 3, H=H, update_H=False, max_iter=2),
    "best of ten": lambda: factorize(X, 3, init="best-of", random_state=0, max_iter=2),
    "transform": lambda: MODEL.transform(X, max_iter=1),
    "impute": lambda: _of_few_sweeps(INCOMPLETE).impute(HOLES, new=True),
    "recommend": lambda: _of_few_sweeps(MODEL).recommend(new=X),
    "NMF.fit": lambda: nmf_core.NMF(3, max_iter=2).fit(X),
    "NMF.fit_transform": lambda: nmf_core.NMF(3, max_iter=2).fit_transform(X),
    "NMF.transform": lambda: fitted(nmf_core.NMF(3, init="random", transform_max_iter=1), H).transform(X),
    "MiniBatchNMF.fit": lambda: MiniBatchNMF(3, max_iter=2).fit(X),
    "MiniBatchNMF.fit, fresh restarts": lambda: MiniBatchNMF(3, max_iter=1, fresh_restarts=True).fit(X),
    "MiniBatchNMF.transform": lambda: fitted(MiniBatchNMF(3, init="random", transform_max_iter=1), H).transform(X),
    "non_negative_factorization": lambda: non_negative_factorization(X, n_components=3, max_iter=2),
    "non_negative_factorization, H fixed": lambda: non_negative_factorization(X, H=H, update_H=False, max_iter=1),
    "cross_validate_rank": lambda: nmf_core.model_selection.cross_validate_rank(X, [2, 3], max_iter=2, n_jobs=2),
}


def _of_few_sweeps(model):
    """The model as if rows were found in one sweep."""
    return replace(model, H=spectra(0.001, 3, 12), loss=1.0)


@pytest.mark.parametrize("door", UNFINISHED)
def test_what_has_not_converged_is_told(door):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        UNFINISHED[door]()
    about = [w for w in caught if issubclass(w.category, nmf_core.ConvergenceWarning)]
    assert len(about) == len(caught) == 1
    assert about[0].filename == __file__


@pytest.mark.parametrize("estimator", [nmf_core.NMF, MiniBatchNMF])
def test_of_estimators_it_is_a_warning_of_scikit_learn_too(estimator):
    with pytest.warns(ConvergenceWarning, match="Maximum number of iterations 2 reached"):
        estimator(3, max_iter=2).fit(X)


QUIET = {
    "no tolerance": lambda: factorize(X, 3, max_iter=2, tol=0),
    "a rule": lambda: factorize(X, 3, max_iter=2, stop=nmf_core.stopping.SmallViolation(1e-9)),
    "a time limit": lambda: factorize(X, 3, time_limit=0),
    "a callback": lambda: factorize(X, 3, callback=lambda state: True),
    "an end": lambda: factorize(X, 3, random_state=0, max_iter=500),
    "transform, no tolerance": lambda: MODEL.transform(X, tol=0, max_iter=1),
    "NMF, no tolerance": lambda: nmf_core.NMF(3, max_iter=2, tol=0).fit(X),
    "NMF.transform, no tolerance": lambda: fitted(
        nmf_core.NMF(3, init="random", transform_tol=0, transform_max_iter=1), H
    ).transform(X),
    "compare_solvers": lambda: nmf_core.compare_solvers(X, 3, max_iter=2),
}


@pytest.mark.parametrize("door", QUIET)
def test_what_was_wanted_is_no_warning(door):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        QUIET[door]()


@pytest.mark.parametrize("l1", [0.0, 1e-3])
def test_of_components_that_are_multiples_of_each_other_the_largest_does_for_all(l1):
    A = np.vstack([spectra(0.1), 3 * spectra(0.1)[1], spectra(0.1)[0] / 2])
    _, data = mixtures(A[:4])
    found = factorize(data, 6, H=A, update_H=False, alpha_W=l1 / 200, l1_ratio=1.0).W
    assert not found[:, [1, 5]].any()
    gradient = (found @ A - data) @ A.T + l1
    assert np.abs(np.minimum(found, gradient)).max() < 1e-12
