"""Problems whose answer is known: closed forms, planted factors, and scikit-learn's answer from the same start."""

import divergences
import numpy as np
import pytest
import reference
from covering import mainly
from problems import (
    COUNTING,
    PLANTED,
    SMALL,
    SPEECHES,
    WORDS,
    distance,
    documents,
    image,
    noisy,
    start,
    uniform,
    user_items,
)
from sklearn.datasets import load_digits, load_iris
from sklearn.decomposition import non_negative_factorization

from nmf_core import factorize
from nmf_core.losses import make_loss
from nmf_core.solvers import SOLVERS

# "sequential" finds other components: see test_solvers.py
QUADRATIC = [name for name, solver in SOLVERS.items() if solver.handles(make_loss(2)) and name != "sequential"]
THEIRS = {"hals": "cd", "mu": "mu", "mue": "mu"}
EXACT = {"tol": 1e-10, "max_iter": 20000}


def dense(X):
    return X.toarray() if hasattr(X, "toarray") else X


def error(X, W, H):
    return np.linalg.norm(dense(X) - W.astype(np.float64) @ H.astype(np.float64))


# --- small matrices


@pytest.mark.parametrize("loss", ["frobenius", *divergences.BETAS])
def test_counting_matrix_is_reconstructed(loss):
    tight = {} if loss == "frobenius" else {"tol": 1e-7, "max_iter": 5000}
    result = factorize(COUNTING, 2, loss=loss, init="random", random_state=0, **tight)
    np.testing.assert_allclose(result.W @ result.H, COUNTING, atol=0.01 if loss == "frobenius" else 0.2)


def test_small_matrix_is_as_close_as_rank_two_can_be():
    """The best approximation of rank two, negative numbers allowed, bounds the error from below."""
    result = factorize(SMALL, 2, init="random", random_state=0, **EXACT)
    assert error(SMALL, result.W, result.H) <= 1.02 * np.linalg.svd(SMALL, compute_uv=False)[2]


@pytest.mark.parametrize(
    ("loss", "solver"),
    [
        *(("frobenius", solver) for solver in QUADRATIC),
        *(pair for pair in divergences.PAIRS_WITH_ZEROS if pair[0] != 0.5),
    ],
)
def test_topics_of_speeches(loss, solver):
    result = factorize(SPEECHES, 2, loss=loss, solver=solver, random_state=0, max_iter=1000)
    leading = [WORDS[j] for j in result.H.argmax(axis=1)]
    assert sorted(leading) == ["employment", "energy"]
    assert leading[result.W[0].argmax()] == "employment"
    assert leading[result.W[2].argmax()] == "energy"


# --- closed forms


@pytest.mark.filterwarnings("ignore:W and H are all zero")
@pytest.mark.parametrize("solver", QUADRATIC)
@pytest.mark.parametrize(("alpha_W", "alpha_H"), [(0.0, 0.0), (0.05, 0.02), (0.02, "same"), (3.0, 4.0)])
def test_one_component_is_the_leading_singular_pair(solver, alpha_W, alpha_H):
    """With l2 penalties a and b, it is the pair with its singular value lowered by sqrt(a b), if that is left."""
    X = uniform(20, 13)
    _, l2_W, _, l2_H = reference.penalties(X.shape, alpha_W, alpha_H)
    U, s, Vt = np.linalg.svd(X)
    value = max(0.0, s[0] - np.sqrt(l2_W * l2_H))
    result = factorize(X, 1, solver=solver, alpha_W=alpha_W, alpha_H=alpha_H, init="random", random_state=0, **EXACT)
    np.testing.assert_allclose(result.W @ result.H, value * np.outer(U[:, 0], Vt[0]), atol=1e-4)


@pytest.mark.parametrize("k", [4, 7])
def test_with_enough_components_the_fit_is_exact(k):
    X = uniform(6, 4)
    result = factorize(X, k, init="random", random_state=0, **EXACT)
    assert error(X, result.W, result.H) < 1e-4 * np.linalg.norm(X)


@pytest.mark.parametrize(
    ("solver", "name"),
    mainly(lambda solver, name: solver == "hals" or name == "separable 20 x 15", QUADRATIC, PLANTED),
)
def test_planted_factors_are_recovered(solver, name):
    W, H = PLANTED[name]
    budget = {"tol": 1e-9, "max_iter": 5000}
    results = [factorize(W @ H, len(H), solver=solver, init="random", random_state=seed, **budget) for seed in range(3)]
    best = min(results, key=lambda result: result.objective)
    assert distance(best.W, best.H, W, H) < (1e-5 if solver == "hals" else 5e-2)


# --- beside scikit-learn


# name: matrix, components, iterations
DATA = {
    "iris, 2": (lambda: load_iris().data, 2, 100),
    "iris, 3": (lambda: load_iris().data, 3, 100),
    "digits": (lambda: load_digits().data, 10, 30),
    "image": (image, 50, 20),
    "documents": (documents, 10, 30),
    "user-items": (user_items, 20, 50),
}


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("name", DATA)
@pytest.mark.parametrize("solver", THEIRS)
@pytest.mark.slow
def test_error_beside_that_of_scikit_learn(name, solver):
    """From the same start, in as many iterations: the same error by the same steps, no larger one by better steps."""
    make, k, max_iter = DATA[name]
    X = make()
    W, H = start(X, k)
    given = {"init": "custom", "tol": 0, "max_iter": max_iter}
    theirs = error(X, *non_negative_factorization(X, W.copy(), H.copy(), solver=THEIRS[solver], **given)[:2])
    plain = factorize(X, k, W=W, H=H, solver=solver, acceleration=False, **given)
    ours = factorize(X, k, W=W, H=H, solver=solver, **given)
    assert error(X, plain.W, plain.H) == pytest.approx(theirs, rel=1e-6)
    # Extrapolated updates may lead elsewhere; where they agree, they are ahead.
    assert error(X, ours.W, ours.H) <= theirs * (1 + (1e-3 if solver == "mue" else 1e-6))


@pytest.mark.parametrize(
    ("make", "k"),
    [(lambda: load_iris().data, 3), (lambda: image(64), 10), (user_items, 20), (lambda: noisy(100, 60, 6), 6)],
    ids=["iris", "image", "user-items", "noisy"],
)
def test_acceleration_saves_more_than_half_of_the_iterations(make, k):
    X = make()
    W, H = start(X, k)
    plain = factorize(X, k, W=W, H=H, tol=0, max_iter=150, acceleration=False)
    accelerated = factorize(X, k, W=W, H=H, tol=0, max_iter=70)
    assert accelerated.objective <= plain.objective * (1 + 1e-6)


PENALTIES = [
    {"alpha_W": 0.01},
    {"alpha_W": 0.002, "l1_ratio": 1.0},
    {"alpha_W": 0.0, "alpha_H": 0.03, "l1_ratio": 0.4},
    {"alpha_W": 0.03, "alpha_H": 0.0, "l1_ratio": 0.4},
    {"alpha_W": 0.01, "alpha_H": 0.02, "l1_ratio": 0.7},
]


@pytest.mark.filterwarnings("ignore:.* comes to nothing")
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("penalties", PENALTIES, ids=str)
@pytest.mark.parametrize("solver", THEIRS)
def test_penalised_steps_are_those_of_scikit_learn(solver, penalties):
    X = uniform(30, 20)
    W, H = start(X, 4)
    given = {"init": "custom", "tol": 0, "max_iter": 25, **penalties}
    W_theirs, H_theirs, _ = non_negative_factorization(X, W.copy(), H.copy(), solver=THEIRS[solver], **given)
    ours = factorize(X, 4, W=W, H=H, solver=solver, acceleration=False, **given)
    np.testing.assert_allclose(ours.W, W_theirs, atol=1e-9)
    np.testing.assert_allclose(ours.H, H_theirs, atol=1e-9)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("init", ["random", "nndsvd", "nndsvda"])
def test_starts_lead_where_those_of_scikit_learn_lead(init):
    X = load_iris().data
    given = {"init": init, "random_state": 3, "tol": 0, "max_iter": 30}
    theirs = error(X, *non_negative_factorization(X, n_components=3, **given)[:2])
    ours = factorize(X, 3, acceleration=False, **given)
    assert error(X, ours.W, ours.H) == pytest.approx(theirs, rel=1e-3)
