"""Zeros where a loss is infinite: what the message says, and what `floor` does."""

import inspect
import pickle
import re

import numpy as np
import pytest
import scipy.sparse as sp

import nmf_core
from nmf_core import NMF, MiniBatchNMF, factorize
from nmf_core.data import RowBlocks
from nmf_core.model_selection import cross_validate_rank

RNG = np.random.default_rng(0)
X = RNG.gamma(1.0, 1.0, (30, 12)) * (RNG.random((30, 12)) > 0.2)
LEAST = X[X > 0].min()
W, H = RNG.random((30, 3)) + 0.1, RNG.random((3, 12)) + 0.1
IS = {"loss": "itakura-saito", "random_state": 0, "init": "random", "tol": 0.0, "max_iter": 20}


def small():
    """What "auto" adds: a tenth of the least entry, in one digit."""
    return float(f"{LEAST / 10:.0e}")


REFUSING = {
    "factorize": (factorize, lambda: factorize(X, 3, loss=0)),
    "initialize": (nmf_core.initialize, lambda: nmf_core.initialize(X, 3, loss=0)),
    "kkt_residual": (nmf_core.kkt_residual, lambda: nmf_core.kkt_residual(X, W, H, loss=-1)),
    "beta_divergence": (nmf_core.beta_divergence, lambda: nmf_core.beta_divergence(X, W, H, 0)),
    "transform": (nmf_core.Factorization.transform, lambda: factorize(X + 1, 3, **IS).transform(X)),
    "NMF": (NMF, lambda: NMF(3, solver="mu", beta_loss=0).fit(X)),
    "MiniBatchNMF": (MiniBatchNMF, lambda: MiniBatchNMF(3, beta_loss=0).fit(X)),
    "partial_fit": (MiniBatchNMF, lambda: MiniBatchNMF(3, beta_loss=0).partial_fit(X)),
}


@pytest.mark.parametrize("door", REFUSING)
def test_zeros_are_refused_in_words_of_the_function(door):
    function, call = REFUSING[door]
    with pytest.raises(ValueError, match="X contains zeros") as caught:
        call()
    assert f"Add a small value to X, such as {small():g}." in str(caught.value)
    known = inspect.signature(function).parameters
    assert ("floor='auto'" in str(caught.value)) == ("floor" in known)
    assert ("beta_loss" in str(caught.value)) == (function in (NMF, MiniBatchNMF))


@pytest.mark.parametrize("make", [np.asarray, np.asfortranarray, sp.csr_array, sp.csc_matrix])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_a_floor_is_added_to_all_of_X(make, dtype):
    A = make(X.astype(dtype))
    before = A.copy()
    result, number = factorize(A, 3, floor="auto", **IS), factorize(A, 3, floor=0.25, **IS)
    assert result.parameters["floor"] == small()
    assert number.parameters["floor"] == 0.25
    for one, floor in ((result, small()), (number, 0.25)):
        expected = factorize(X.astype(dtype) + dtype(floor), 3, **IS)
        np.testing.assert_allclose(one.W, expected.W, rtol=1e-3)
        np.testing.assert_allclose(one.objective, expected.objective, rtol=1e-4)
    assert (before != A).sum() == 0


def test_new_samples_get_the_floor_of_the_model(tmp_path):
    result = factorize(X, 3, floor="auto", **IS)
    plain = factorize(X + small(), 3, **IS)
    np.testing.assert_allclose(result.transform(X), plain.transform(X + small()), rtol=1e-9)
    np.testing.assert_array_equal(result.transform(X[3:4]), result.transform(X)[3:4])
    result.save(tmp_path / "model.npz")
    np.testing.assert_array_equal(nmf_core.load(tmp_path / "model.npz").transform(X), result.transform(X))


def test_of_estimators():
    model = NMF(3, solver="mu", beta_loss=0, floor="auto", init="random", random_state=0).fit(X)
    assert model.floor_ == small()
    np.testing.assert_array_equal(model.transform(X[:2]), model.transform(X)[:2])
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(model)).transform(X), model.transform(X))
    found, _, _ = nmf_core.non_negative_factorization(
        X, H=model.components_, update_H=False, solver="mu", beta_loss=0, floor=model.floor_
    )
    np.testing.assert_array_equal(found, model.transform(X))
    assert not hasattr(model.set_params(floor=None, beta_loss=2).fit(X), "floor_")


def test_what_needs_no_floor_gets_none_automatically():
    for how in ({"loss": 2}, {"loss": 1}):
        result = factorize(X, 3, floor="auto", random_state=0, **how)
        assert result.parameters["floor"] == 0
        np.testing.assert_array_equal(result.W, factorize(X, 3, random_state=0, **how).W)
    assert factorize(X + 1, 3, floor="auto", **IS).parameters["floor"] == 0


def test_only_what_is_known_gets_it():
    holes = np.where(RNG.random(X.shape) < 0.3, np.nan, X)
    stored = sp.csr_array(np.where(X > 0, X, 0))
    stored.data[5] = 0
    for A, missing in ((holes, "nan"), (stored, "unstored")):
        result = factorize(A, 3, missing=missing, floor="auto", **IS)
        raised = A + small() if missing == "nan" else sp.csr_array((A.data + small(), A.indices, A.indptr), A.shape)
        np.testing.assert_allclose(result.W, factorize(raised, 3, missing=missing, **IS).W, rtol=1e-9)
    weights = np.where(RNG.random(X.shape) < 0.5, 0, 2.0)
    result = factorize(sp.csr_array(X), 3, weights=weights, floor="auto", **IS)
    np.testing.assert_allclose(result.W, factorize(X + result.parameters["floor"], 3, weights=weights, **IS).W)


def test_extreme_data():
    """Nothing but zeros, and entries that are rounding beside the others."""
    assert factorize(0 * X, 2, floor="auto", **IS).parameters["floor"] > 0
    A = X.copy()
    A[0, 0] = 1e-30
    assert 1e-17 < factorize(A, 2, floor="auto", **IS).parameters["floor"] < 1e-15


def test_comparisons():
    assert np.isfinite(cross_validate_rank(X, [1, 2], floor="auto", loss=0, random_state=0).mean).all()
    comparison = nmf_core.compare_solvers(X, 2, ["mu", "mue"], loss=0, floor="auto", max_iter=5)
    assert all(result.parameters["floor"] == small() for result in comparison.results.values())


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"floor": "some"}, ValueError, "floor must be one of 'auto'"),
        ({"floor": -1.0}, ValueError, "floor must be a finite number of at least 0"),
        ({"floor": True}, TypeError, "floor must be a real number"),
        ({"X": RowBlocks(lambda: iter([X]), X.shape, X.dtype), "floor": 0.1}, ValueError, "floor needs X in memory"),
        ({"X": sp.csr_array((10**7, 10**7)), "floor": 0.1}, ValueError, "floor makes an array of a sparse X"),
    ],
)
def test_floors_that_cannot_be(given, error, message):
    with pytest.raises(error, match=re.escape(message)):
        factorize(**{"X": X, "n_components": 2, "loss": 0, **given})


# --- what else messages advise


def advice(call):
    with pytest.raises((TypeError, ValueError)) as caught:
        call()
    return str(caught.value)


HOLES = np.where(X > 2, np.nan, X)


def test_what_to_do_about_holes_in_X():
    """Only functions that can take them for missing say how."""
    taken = "missing='nan' takes NaN for missing entries."
    assert advice(lambda: factorize(HOLES, 3)).endswith(taken)
    assert advice(lambda: nmf_core.initialize(HOLES, 3)).endswith(taken)
    assert advice(lambda: nmf_core.kkt_residual(HOLES, W, H)).endswith(taken)
    assert "missing" not in advice(lambda: nmf_core.beta_divergence(HOLES, W, H))
    assert "missing" not in advice(lambda: factorize(X, 3).transform(HOLES))
    sparse = sp.csr_array(HOLES)
    assert advice(lambda: factorize(sparse, 3)).endswith("leave NaN out, with missing='unstored'.")
    assert ".toarray() makes an array" in advice(lambda: factorize(sparse, 3, missing="nan"))
    assert advice(lambda: factorize(sparse, 3, missing="unstored")).endswith(
        "Leave it out: what is not stored is missing."
    )


def test_what_to_do_about_holes_in_weights():
    weights = np.where(X > 2, np.nan, 1.0)
    assert "missing" not in advice(lambda: factorize(X, 3, weights=weights))
    masked = advice(lambda: factorize(X, 3, weights=np.ma.masked_invalid(weights)))
    assert "with 0 for what does not count" in masked
    assert "nan" not in masked
    assert "X.filled(numpy.nan)" in advice(lambda: factorize(np.ma.masked_invalid(HOLES), 3))
    assert "missing" not in advice(lambda: nmf_core.beta_divergence(np.ma.masked_invalid(HOLES), W, H))
    assert "filled" not in advice(lambda: factorize(X, 3, W=np.ma.masked_invalid(W), H=H))
