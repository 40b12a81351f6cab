"""Penalties that leave nothing, or that are in vain, do so with a word."""

import re
import warnings

import numpy as np
import pytest
import scipy.sparse as sp

from nmf_core import NMF, MiniBatchNMF, factorize

RNG = np.random.default_rng(0)
DATA = {
    "dense": RNG.random((50, 30)),
    "large": 100 * RNG.random((40, 5)) @ RNG.random((5, 25)),
    "skewed": RNG.gamma(0.1, 1, (60, 40)),
    "blocks": np.kron(np.eye(10), np.ones((6, 5))),
    "sparse": sp.random_array((100, 80), density=0.03, rng=1).tocsr(),
}
STRONG = r"W and H are all zero: alpha_W=(\S+) is too much for this X; about (\S+) or less"


def told(call, **how):
    """The text of the only warning besides those of convergence, which points to the line here."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        call(**how)
    told = [w for w in caught if w.category is UserWarning]
    assert all(w.filename == __file__ for w in told)
    assert len(told) <= 1
    return str(told[0].message) if told else ""


@pytest.mark.parametrize("data", DATA)
@pytest.mark.parametrize("l1_ratio", [0.0, 0.5, 1.0])
def test_a_penalty_that_leaves_nothing_says_how_strong_it_may_be(data, l1_ratio):
    X = DATA[data]
    how = {"l1_ratio": l1_ratio, "random_state": 0, "init": "random"}
    text = told(lambda: factorize(X, 3, alpha_W=1e4, **how))
    strong, bearable = map(float, re.match(STRONG, text).groups())
    assert strong == 1e4
    for init in ("random", "nndsvda"):
        assert factorize(X, 3, alpha_W=bearable, **{**how, "init": init}).H.any()
    # and not much too cautious
    with pytest.warns(UserWarning, match="all zero"):
        factorize(X, 3, alpha_W=200 * bearable, **how)


@pytest.mark.parametrize(
    "fit",
    [
        lambda X, **alphas: factorize(X, 3, **alphas),
        lambda X, **alphas: factorize(X, 3, solver="mu", init="random", random_state=0, **alphas),
        lambda X, **alphas: factorize(np.where(X > 0.9, np.nan, X), 3, missing="nan", **alphas),
        lambda X, **alphas: factorize(X, 3, alpha_scaling="observed", weights=X + 1, **alphas),
        lambda X, **alphas: NMF(3, **alphas).fit(X),
        lambda X, **alphas: NMF(3, **alphas).fit_transform(X),
        lambda X, **alphas: MiniBatchNMF(3, batch_size=10, **alphas).fit(X),
        lambda X, **alphas: MiniBatchNMF(3, batch_size=10, fresh_restarts=True, **alphas).fit(X),
    ],
)
def test_every_fit_tells(fit):
    X = DATA["dense"]
    text = told(fit, X=X, alpha_W=20.0, l1_ratio=0.5)
    bearable = float(re.match(STRONG, text).group(2))
    assert told(fit, X=X, alpha_W=bearable, l1_ratio=0.5) == ""
    assert re.search("alpha_W=20 and alpha_H=30 are too much", told(fit, X=X, alpha_W=20.0, alpha_H=30.0, l1_ratio=0.5))


H = RNG.random((3, 30))


@pytest.mark.parametrize("how", [{}, {"weights": DATA["dense"] + 1}, {"weights": H[:1] * np.ones((50, 1))}])
@pytest.mark.parametrize("scaling", ["size", "observed"])
def test_rows_for_a_fixed_H(how, scaling):
    X = DATA["dense"]
    fixed = {"H": H, "update_H": False, "l1_ratio": 1.0, "alpha_scaling": scaling, **how}
    text = told(lambda: factorize(X, 3, alpha_W=20.0, **fixed))
    bearable = float(re.match(r"W is all zero: alpha_W=20 .* about (\S+) or less", text).group(1))
    assert factorize(X, 3, alpha_W=bearable, **fixed).W.any()
    with pytest.warns(UserWarning, match="all zero"):
        factorize(X, 3, alpha_W=6 * bearable, **fixed)


def test_new_rows():
    X = DATA["dense"]
    for model in (
        factorize(X, 3, alpha_W=0.01, l1_ratio=1.0, random_state=0),
        NMF(3, alpha_W=0.01, l1_ratio=1.0, random_state=0).fit(X),
        MiniBatchNMF(3, alpha_W=0.01, l1_ratio=1.0, random_state=0).fit(X),
    ):
        assert told(model.transform, X=X[:1]) == ""
        assert "W is all zero: alpha_W=0.01" in told(model.transform, X=1e-6 * X)


def test_what_is_zero_for_another_reason():
    """Nothing in X, or nothing in common with the components."""
    A = np.hstack([H[:, :15], np.zeros((3, 15))])
    X = DATA["dense"] * (np.arange(30) >= 15)
    fixed = {"H": A, "update_H": False, "alpha_W": 0.1, "l1_ratio": 0.5}
    assert told(lambda: factorize(X, 3, **fixed)) == ""
    assert told(lambda: factorize(X, 3, weights=np.ones(X.shape), **fixed)) == ""
    assert told(lambda: factorize(0 * X, 3, alpha_W=0.1)) == ""
    assert told(lambda: factorize(X + 1, 3, H=H, update_H=False, alpha_W=0.1)) == ""


ONE_SIDED = {
    "factorize": lambda **alphas: factorize(DATA["dense"], 3, max_iter=5, **alphas),
    "NMF": lambda **alphas: NMF(3, max_iter=5, **alphas).fit(DATA["dense"]),
    "MiniBatchNMF": lambda **alphas: MiniBatchNMF(3, max_iter=5, **alphas).fit(DATA["dense"]),
    "partial_fit": lambda **alphas: MiniBatchNMF(3, **alphas).partial_fit(DATA["dense"]),
}


@pytest.mark.parametrize("door", ONE_SIDED)
def test_a_penalty_on_one_factor_only_is_in_vain(door):
    fit = ONE_SIDED[door]
    assert told(fit, alpha_W=0.1, alpha_H=0.0).startswith("alpha_W=0.1 without alpha_H comes to nothing: W shrinks")
    assert told(fit, alpha_H=0.1).startswith("alpha_H=0.1 without alpha_W comes to nothing: H shrinks")
    for alphas in ({}, {"alpha_W": 0.01}, {"alpha_W": 0.01, "alpha_H": 0.02}, {"alpha_W": 0.0, "alpha_H": 0.0}):
        assert told(fit, **alphas) == ""


def test_with_H_fixed_a_penalty_on_W_is_enough():
    assert told(lambda: factorize(DATA["dense"], 3, H=H, update_H=False, alpha_W=0.01, alpha_H=0.0)) == ""
