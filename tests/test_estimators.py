"""What the scikit-learn estimators do around the engine; test_scikit_learn_contract.py has their contract."""

import email.message
import pickle
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from covering import mainly
from sklearn import decomposition
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.exceptions import NotFittedError

import nmf_core
from nmf_core import NMF, Factor, MiniBatchNMF, beta_divergence, factorize, non_negative_factorization
from nmf_core.estimators import base
from nmf_core.estimators.base import _dealt
from nmf_core.stopping import SmallChange
from nmf_core.transform import transform

SOLVERS = ("cd", "mu", "hals", "auto", "mue")
SPARSE = [
    getattr(sp, f"{name}_{kind}")
    for name in ("bsr", "coo", "csc", "csr", "dia", "dok", "lil")
    for kind in ("array", "matrix")
]
KL = {"solver": "mu", "beta_loss": "kullback-leibler"}
BETAS = (-1, "itakura-saito", 0.5, "kullback-leibler", 1.5, 2, "frobenius", 2.5, 3)
# Solvers and losses whose data may contain zeros.
OTHERS = [
    KL,
    {"solver": "auto", "beta_loss": 1},
    {"solver": "newton", "beta_loss": "kullback-leibler"},
    {"solver": "mu", "beta_loss": 0.5},
    {"solver": "auto", "beta_loss": 1.5},
    {"solver": "mu", "beta_loss": 3},
]
EVERY = [*({"solver": s} for s in SOLVERS), *OTHERS]
LOOSE = {"tol": 1e-2, "max_iter": 2000}


def counts(n_samples=30, n_features=12, dtype=np.float64):
    """A small matrix of counts, a third of them zero, no row or column empty."""
    X = np.random.default_rng(0).poisson(1.1, (n_samples, n_features)).astype(dtype)
    X[:, 0] += 1
    X[0] += 1
    return X


def start(X, n_components=3):
    """Positive factors in the dtype of X."""
    rng = np.random.default_rng(1)
    W = rng.uniform(0.1, 1.0, (X.shape[0], n_components))
    H = rng.uniform(0.1, 1.0, (n_components, X.shape[1]))
    return W.astype(X.dtype), H.astype(X.dtype)


# --- results


@pytest.mark.parametrize("n_components", [2, 3])
@pytest.mark.parametrize("solver", ["cd", "mu"])
def test_iris_error_is_no_worse_than_that_of_scikit_learn_from_the_same_start(n_components, solver):
    X = load_iris().data
    W, H = start(X, n_components)
    parameters = {"solver": solver, "init": "custom", "tol": 1e-5, "max_iter": 5000}
    ours = NMF(n_components, **parameters)
    ours.fit(X, W=W, H=H)
    theirs = decomposition.NMF(n_components, **parameters)
    theirs.fit(X, W=W.copy(), H=H.copy())
    assert ours.reconstruction_err_ <= theirs.reconstruction_err_ * 1.001


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("penalties", [{}, {"alpha_W": 0.01, "alpha_H": 0.005, "l1_ratio": 0.3}], ids=str)
@pytest.mark.parametrize("container", [np.asarray, sp.csr_array])
@pytest.mark.parametrize("beta_loss", BETAS)
def test_multiplicative_updates_are_those_of_scikit_learn(beta_loss, container, penalties):
    """Class and function, from the same start, after as many iterations."""
    X = counts() + 0.5
    W, H = start(X)
    parameters = {"solver": "mu", "beta_loss": beta_loss, "init": "custom", "tol": 0, "max_iter": 25, **penalties}
    ours, theirs = NMF(3, **parameters), decomposition.NMF(3, **parameters)
    W_ours = ours.fit_transform(container(X), W=W, H=H)
    W_theirs = theirs.fit_transform(container(X), W=W.copy(), H=H.copy())
    np.testing.assert_allclose(W_ours, W_theirs, rtol=1e-8, atol=1e-12)
    np.testing.assert_allclose(ours.components_, theirs.components_, rtol=1e-8, atol=1e-12)
    assert ours.n_iter_ == theirs.n_iter_ == 25
    assert ours.reconstruction_err_ == pytest.approx(theirs.reconstruction_err_, rel=1e-8)
    W_function, H_function, n_iter = non_negative_factorization(container(X), W, H, **parameters)
    np.testing.assert_array_equal(W_function, W_ours)
    np.testing.assert_array_equal(H_function, ours.components_)
    assert n_iter == 25


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("tol", [1e-2, 1e-4])
@pytest.mark.parametrize("container", [np.asarray, sp.csr_array])
@pytest.mark.parametrize("beta_loss", BETAS)
def test_multiplicative_updates_stop_where_those_of_scikit_learn_stop(beta_loss, container, tol):
    X = counts() + 0.5
    W, H = start(X)
    parameters = {"solver": "mu", "beta_loss": beta_loss, "init": "custom", "tol": tol, "max_iter": 1000}
    ours = NMF(3, **parameters).fit(container(X), W=W, H=H)
    theirs = decomposition.NMF(3, **parameters).fit(container(X), W=W.copy(), H=H.copy())
    assert ours.n_iter_ == theirs.n_iter_
    assert ours.reconstruction_err_ == pytest.approx(theirs.reconstruction_err_, rel=1e-7)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("container", [np.asarray, sp.csr_array])
@pytest.mark.parametrize("beta_loss", [0.5, "kullback-leibler", 1.5, 2, 2.5])
def test_counts_are_fitted_as_well_as_by_scikit_learn(beta_loss, container):
    """With zeros, where each has guards of its own; steps of "auto" are better ones."""
    X = counts(60)
    W, H = start(X)
    given = {"beta_loss": beta_loss, "init": "custom", "tol": 0, "max_iter": 100}
    theirs = decomposition.NMF(3, solver="mu", **given).fit(container(X), W=W.copy(), H=H.copy())
    same = NMF(3, solver="mu", **given).fit(container(X), W=W, H=H)
    better = NMF(3, solver="auto", **given).fit(container(X), W=W, H=H)
    assert same.reconstruction_err_ == pytest.approx(theirs.reconstruction_err_, rel=1e-3)
    assert better.reconstruction_err_ <= theirs.reconstruction_err_ * 1.01


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("beta_loss", BETAS)
def test_transform_ends_where_that_of_scikit_learn_ends(beta_loss):
    """Theirs with enough iterations for rows that depend on one another."""
    X = counts() + 0.5
    H = start(X)[1]
    parameters = {"solver": "mu", "beta_loss": beta_loss, "update_H": False}
    W, _, n_iter = non_negative_factorization(X, H=H, tol=1e-6, max_iter=3000, **parameters)
    W_theirs = decomposition.non_negative_factorization(X, H=H, tol=1e-10, max_iter=3000, **parameters)[0]
    np.testing.assert_allclose(W @ H, W_theirs @ H, rtol=0.02)
    assert 1 < n_iter <= 3000


@pytest.mark.parametrize("solver", ["auto", "newton", "hals", "mue"])
def test_solvers_that_scikit_learn_has_not(solver):
    X = counts()
    beta_loss = {"newton": 1, "hals": 2}.get(solver, 1.5)
    model = NMF(3, solver=solver, beta_loss=beta_loss, random_state=0, **LOOSE).fit(X)
    assert model.reconstruction_err_ > 0
    wrong = {"newton": 2, "hals": "kullback-leibler"}.get(solver)
    if wrong:
        message = f"Invalid beta_loss parameter: solver '{solver}' does not handle beta_loss = {wrong!r}"
        with pytest.raises(ValueError, match=message):
            NMF(3, solver=solver, beta_loss=wrong).fit(X)


@pytest.mark.parametrize("parameters", EVERY, ids=str)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_attributes_describe_the_returned_factors(parameters, dtype):
    X = counts(dtype=dtype)
    model = NMF(3, random_state=0, **LOOSE, **parameters)
    W = model.fit_transform(X)
    assert W.dtype == model.components_.dtype == model.transform(X).dtype == dtype
    assert 1 <= model.n_iter_ <= model.max_iter
    assert model.n_components_ == 3
    assert W.min() >= 0
    assert model.components_.min() >= 0
    beta_loss = parameters.get("beta_loss", 2)
    error = np.sqrt(2 * beta_divergence(X.astype(float), W.astype(float), model.components_.astype(float), beta_loss))
    assert model.reconstruction_err_ == pytest.approx(error, rel=1e-6)
    np.testing.assert_allclose(model.inverse_transform(W), W @ model.components_)


@pytest.mark.parametrize("dtype", [int, np.uint8, np.float16, bool])
def test_other_dtypes_become_float64(dtype):
    X = counts().astype(dtype)
    W, expected = (NMF(2, random_state=0, **LOOSE).fit_transform(A) for A in (X, X.astype(np.float64)))
    assert W.dtype == np.float64
    np.testing.assert_array_equal(W, expected)


@pytest.mark.parametrize(
    ("container", "parameters"),
    mainly(
        lambda container, parameters: not parameters or container in (sp.coo_matrix, sp.csr_array),
        SPARSE,
        [{}, {"solver": "mu"}, *OTHERS],
    ),
    ids=str,
)
def test_sparse_containers_give_what_dense_data_give(container, parameters):
    X = counts()
    models = [NMF(3, init="random", random_state=0, **LOOSE, **parameters) for _ in range(2)]
    dense, sparse = models[0].fit_transform(X), models[1].fit_transform(container(X))
    np.testing.assert_allclose(sparse, dense, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(models[1].transform(container(X)), models[0].transform(X), rtol=1e-6, atol=1e-8)
    assert models[1].reconstruction_err_ == pytest.approx(models[0].reconstruction_err_, rel=1e-6)


@pytest.mark.parametrize("init", ["random", "nndsvd", "nndsvda", "nndsvdar", "kmeans", None])
def test_same_seed_same_result(init):
    X = counts()
    first, second = (NMF(3, init=init, random_state=7, **LOOSE).fit_transform(X) for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_without_seed_the_global_state_of_numpy_decides():
    X = counts()
    results = []
    for _ in range(2):
        np.random.seed(3)  # noqa: NPY002 - the legacy state is what scikit-learn's users set
        results.append(NMF(3, init="random", **LOOSE).fit_transform(X))
    np.testing.assert_array_equal(*results)


def test_shuffle_changes_the_path():
    X = counts()
    plain, shuffled = (NMF(4, shuffle=s, random_state=0, **LOOSE).fit_transform(X) for s in (False, True))
    assert not np.array_equal(plain, shuffled)


def test_n_components_from_h_or_else_all_features():
    X = counts()
    W, H = start(X, 2)
    assert NMF(init="custom", **LOOSE).fit(X, W=W, H=H).n_components_ == 2
    assert NMF(init="random", **LOOSE).fit(X).n_components_ == X.shape[1]
    assert NMF(None, init="random", **LOOSE).fit(X).n_components_ == X.shape[1]
    assert non_negative_factorization(X, H=H, update_H=False, **LOOSE)[0].shape == W.shape


@pytest.mark.parametrize("parameters", [{}, *OTHERS], ids=str)
def test_starts_may_be_lists(parameters):
    X = counts()
    W, H = start(X)
    from_arrays = non_negative_factorization(X, W, H, init="custom", **LOOSE, **parameters)
    from_lists = non_negative_factorization(X.tolist(), W.tolist(), H.tolist(), init="custom", **LOOSE, **parameters)
    np.testing.assert_array_equal(from_lists[0], from_arrays[0])
    np.testing.assert_array_equal(from_lists[1], from_arrays[1])


@pytest.mark.parametrize("given", [{}, {"W"}, {"H"}])
def test_custom_needs_both_factors(given):
    X = counts()
    factors = {name: F for name, F in zip("WH", start(X), strict=True) if name in given}
    with pytest.raises(ValueError, match="custom"):
        NMF(3, init="custom").fit(X, **factors)


def test_fixed_h_is_needed():
    with pytest.raises(ValueError, match="H"):
        non_negative_factorization(counts(), update_H=False)


# --- faults of scikit-learn that are not ours


@pytest.mark.parametrize("beta_loss", [0.5, 1, 1.5, 2.5, 3])
def test_csc_and_unsorted_data_are_not_mixed_up(beta_loss):
    X = counts()
    unsorted = sp.csr_array(X)
    for row in range(X.shape[0]):
        one = slice(unsorted.indptr[row], unsorted.indptr[row + 1])
        unsorted.indices[one], unsorted.data[one] = unsorted.indices[one][::-1], unsorted.data[one][::-1]
    unsorted.has_sorted_indices = False
    results = []
    for data in (X, sp.csc_array(X), unsorted):
        model = NMF(3, solver="mu", beta_loss=beta_loss, init="random", random_state=0, **LOOSE).fit(data)
        results.append((model.reconstruction_err_, model.components_, model.transform(data)))
    for result in results[1:]:
        for actual, expected in zip(result, results[0], strict=True):
            np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("beta_loss", [0.5, 1, 1.5, 2, 2.5, 3])
def test_stored_zeros_are_zeros(beta_loss):
    dense = counts()
    stored = sp.coo_array((dense.ravel(), np.indices(dense.shape).reshape(2, -1)), shape=dense.shape).tocsr()
    assert stored.nnz == dense.size
    parameters = {"solver": "mu", "beta_loss": beta_loss, "init": "random", "random_state": 0}
    W = NMF(3, **parameters, **LOOSE).fit_transform(stored)
    assert stored.nnz == dense.size
    np.testing.assert_allclose(W, NMF(3, **parameters, **LOOSE).fit_transform(dense), rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("parameters", [{"solver": "cd"}, {"solver": "mu"}, *OTHERS], ids=str)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_error_of_an_exact_sparse_fit_is_a_number(parameters, dtype):
    W, H = np.eye(8, 2, dtype=dtype) + 1, np.eye(2, 6, dtype=dtype) + 1
    X = sp.csr_array(W @ H)
    model = NMF(2, init="custom", max_iter=20000, tol=1e-6, **parameters).fit(X, W=W, H=H)
    assert 0 <= model.reconstruction_err_ < 1e-3 * sp.linalg.norm(X)


@pytest.mark.parametrize("container", [np.asarray, sp.csr_array])
def test_error_of_a_fit_that_is_exact_but_for_rounding_is_a_number(container):
    """Sums of divergences may come out below zero by rounding, whose root is no number."""
    X = np.random.RandomState(0).uniform(size=(40, 3))
    X[X < 0.6] = 0
    for seed in (16, 86, 382, 428, 442):
        model = NMF(3, solver="auto", beta_loss=1, init="random", random_state=seed, max_iter=500).fit(container(X))
        assert 0 <= model.reconstruction_err_ < 1e-3
        result = factorize(container(X), 3, loss=1, init="random", random_state=seed, max_iter=500)
        assert result.divergence >= 0
        assert result.squared_error >= 0
        assert beta_divergence(container(X), result.W, result.H, 1) >= 0


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("parameters", EVERY, ids=str)
@pytest.mark.parametrize("container", [np.asarray, sp.csr_array, sp.csc_array])
def test_arguments_are_never_modified(parameters, container):
    X = container(counts())
    W, H = start(X)
    arguments = [X.data if sp.issparse(X) else X, W, H]
    before = [a.copy() for a in arguments]
    W_out, H_out, _ = non_negative_factorization(X, W, H, init="custom", **LOOSE, **parameters)
    W_fixed, H_fixed, _ = non_negative_factorization(X, H=H, update_H=False, **LOOSE, **parameters)
    for F in (W_out, H_out, W_fixed, H_fixed):
        F[:] = -1
    for argument, value in zip(arguments, before, strict=True):
        np.testing.assert_array_equal(argument, value)


@pytest.mark.parametrize("parameters", [{}, {"solver": "mu"}, *OTHERS], ids=str)
@pytest.mark.parametrize("container", [np.asarray, sp.csr_array])
def test_negative_data_are_refused_whatever_the_start(parameters, container):
    X = counts()
    W, H = start(X)
    X[2, 3] = -1
    X = container(X)
    message = "Negative values in data passed to"
    with pytest.raises(ValueError, match=message):
        NMF(3, init="custom", **parameters).fit(X, W=W, H=H)
    with pytest.raises(ValueError, match=message):
        non_negative_factorization(X, H=H, update_H=False, **parameters)


@pytest.mark.parametrize("parameters", [{"solver": "cd"}, {"solver": "mu"}, *OTHERS], ids=str)
@pytest.mark.parametrize("container", [np.asarray, sp.csr_array])
def test_transform_of_a_row_depends_on_that_row_alone(parameters, container):
    X = counts(60)
    X[7] *= 1000
    model = NMF(4, random_state=0, **LOOSE, **parameters).fit(X)
    together = model.transform(container(X))
    for rows in (slice(0, 1), slice(7, 8), slice(3, 40), slice(None, None, -1)):
        np.testing.assert_array_equal(model.transform(container(X[rows])), together[rows])


def test_all_zero_components_transform_to_zero():
    X = counts()
    with pytest.warns(UserWarning, match="all zero"):
        strong = NMF(3, alpha_W=10.0, l1_ratio=1.0).fit(X)
    for model in (strong, NMF(3).fit(0 * X)):
        assert not model.components_.any()
        with pytest.warns(UserWarning, match="All components are zero"):
            W = model.transform(X)
        np.testing.assert_array_equal(W, np.zeros((30, 3)))
    with pytest.raises(ValueError, match="wrong second dimension"):
        non_negative_factorization(X, H=np.zeros((3, 4)), update_H=False)


# --- failures and interruptions


def test_failed_fit_leaves_the_model_unfitted_or_as_it_was():
    X = counts()
    model = NMF(3, **LOOSE)
    with pytest.raises(ValueError, match="Negative"):
        model.fit(-X)
    assert vars(model) == vars(clone(model))
    with pytest.raises(NotFittedError):
        model.transform(X)
    expected = model.fit(X).transform(X)
    with pytest.raises(ValueError, match="Negative"):
        model.fit(-X[:, :5])
    np.testing.assert_array_equal(model.transform(X), expected)


def test_callback_sees_iterations_and_stops_the_fit():
    seen = []

    def stop_at_third(state):
        seen.append(state.iteration)
        return state.iteration == 3

    model = NMF(3, init="random", random_state=0, tol=0, callback=stop_at_third).fit(counts())
    assert seen == [1, 2, 3]
    assert model.n_iter_ == 3


def test_interrupted_fit_keeps_the_factors_and_still_interrupts():
    def interrupt(state):
        if state.iteration == 2:
            raise KeyboardInterrupt

    model = NMF(3, init="random", random_state=0, tol=0, callback=interrupt)
    with pytest.raises(KeyboardInterrupt):
        model.fit(counts())
    assert model.transform(counts()[:2]).shape == (2, 3)
    with pytest.raises(KeyboardInterrupt):
        non_negative_factorization(counts(), n_components=3, tol=0, callback=interrupt)


@pytest.mark.parametrize(("solver", "expected"), [("cd", "violation: "), ("mu", "Epoch 10 reached after ")])
def test_verbose_prints_the_course(solver, expected, capsys):
    NMF(3, solver=solver, tol=1e-6, max_iter=5000, verbose=1).fit(counts())
    printed = capsys.readouterr().out
    assert printed.startswith(expected)
    assert "Converged at iteration" in printed
    NMF(3, solver=solver, **LOOSE).fit(counts())
    assert capsys.readouterr().out == ""


# --- threads


def test_one_model_serves_several_threads():
    X = counts(60)
    model = NMF(3, random_state=0, **LOOSE).fit(X)
    expected = model.transform(X)
    with ThreadPoolExecutor(4) as pool:
        for W in pool.map(lambda _: model.transform(X), range(8)):
            np.testing.assert_array_equal(W, expected)


def test_threads_do_not_change_the_result():
    X = counts(200)
    expected, *others = (NMF(3, n_threads=n, random_state=0, **LOOSE).fit_transform(X) for n in (1, 2, 3))
    for other in others:
        np.testing.assert_array_equal(other, expected)


# --- missing entries


def holes(X, share=0.2, seed=1):
    return np.where(np.random.default_rng(seed).random(X.shape) < share, np.nan, X)


@pytest.mark.parametrize("parameters", [{}, {"solver": "auto", "beta_loss": "kullback-leibler"}, {"solver": "mu"}])
@pytest.mark.parametrize("scaling", ["size", "observed"])
def test_missing_entries_are_those_of_factorize(parameters, scaling):
    X = holes(counts())
    fit = {"alpha_W": 1e-3, "alpha_scaling": scaling, "missing": "nan", "random_state": 0, "max_iter": 300}
    model = NMF(3, **fit, **parameters)
    W = model.fit_transform(X)
    loss = {"loss": parameters.get("beta_loss", "frobenius"), "solver": parameters.get("solver", "hals")}
    # in scikit-learn's place, multiplicative updates stop by scikit-learn's rule
    stop = SmallChange(1e-4) if parameters.get("solver") == "mu" else None
    expected = factorize(X, 3, stop=stop, sort=False, **fit, **loss)
    np.testing.assert_array_equal(W, expected.W)
    np.testing.assert_array_equal(model.components_, expected.H)
    assert model.reconstruction_err_ == np.sqrt(2 * expected.divergence)
    np.testing.assert_array_equal(
        model.set_params(transform_tol=1e-5, transform_max_iter=500).transform(X[:4]),
        expected.transform(X[:4], tol=1e-5, max_iter=500),
    )


def test_what_is_not_stored_may_be_missing():
    X = counts()
    stored = sp.csr_array(np.where(np.isnan(holes(X)), 0, X))
    known = np.where(stored.toarray() == 0, np.nan, stored.toarray())
    one, other = (
        NMF(3, missing=missing, random_state=0, alpha_W=1e-3, max_iter=1000).fit(A)
        for missing, A in (("unstored", stored), ("nan", known))
    )
    np.testing.assert_array_equal(one.components_, other.components_)
    np.testing.assert_array_equal(one.transform(stored), other.transform(known))
    zeros = NMF(3, random_state=0, init="random", alpha_W=1e-3, max_iter=1000).fit(stored)
    assert np.abs(zeros.components_ - one.components_).max() > 0.1


@pytest.mark.parametrize("missing", [None, "nan", "unstored"])
def test_tags_say_whether_nan_may_be_there(missing):
    tags = NMF(missing=missing).__sklearn_tags__().input_tags
    assert tags.allow_nan == (missing == "nan")
    assert tags.sparse == (missing != "nan")


@pytest.mark.parametrize(
    "call",
    [
        lambda X: NMF(2).fit(X),
        lambda X: NMF(2, missing="unstored").fit(X),
        lambda X: NMF(2).fit(np.ones((3, X.shape[1]))).transform(X),
        lambda X: non_negative_factorization(X, n_components=2),
    ],
)
def test_nan_that_is_not_asked_for_is_an_error_that_says_what_to_do(call):
    with pytest.raises(ValueError, match=r"(?s)contains NaN.*missing='nan'"):
        call(holes(counts()))


@pytest.mark.parametrize(
    ("options", "X", "message"),
    [
        ({"missing": "nan", "init": "nndsvd"}, holes(counts()), "complete X"),
        ({"missing": "nan"}, sp.csr_array(counts()), "[Ss]parse"),
        ({"missing": "unstored"}, counts(), "for sparse X"),
        ({"missing": "nan"}, -holes(counts()), "[Nn]egative"),
        ({"missing": "nan"}, np.full((4, 3), np.nan), "known"),
        ({"missing": "masked"}, counts(), "missing"),
        ({"alpha_scaling": "rows"}, counts(), "alpha_scaling"),
    ],
)
def test_missing_entries_of_the_wrong_kind(options, X, message):
    with pytest.raises((ValueError, TypeError), match=message):
        NMF(2, **options).fit(X)


def test_the_function_takes_missing_entries_too():
    X = holes(counts())
    W, H, _ = non_negative_factorization(X, n_components=3, missing="nan", alpha_W=1e-3, random_state=0)
    model = NMF(3, missing="nan", alpha_W=1e-3, random_state=0).fit(X)
    np.testing.assert_array_equal(H, model.components_)
    W_new, _, _ = non_negative_factorization(X, H=H, update_H=False, missing="nan", alpha_W=1e-3, n_components=3)
    np.testing.assert_array_equal(W_new, model.transform(X))
    assert W.shape == W_new.shape


@pytest.mark.parametrize(("fitted", "given"), [("float32", "float64"), ("float64", "float32")])
def test_new_samples_of_another_precision(fitted, given):
    X = np.random.default_rng(0).random((30, 12))
    model = NMF(3, random_state=0, max_iter=1000).fit(X.astype(fitted))
    W = model.transform(X.astype(given))
    assert W.dtype == given
    np.testing.assert_allclose(W, model.transform(X.astype(fitted)), atol=1e-3)


@pytest.mark.parametrize(
    ("parameters", "meant"),
    [
        ({"beta_loss": "kl", "solver": "mu"}, "kullback-leibler"),
        ({"solver": "hasl"}, "hals"),
        ({"init": "nndvsd"}, "nndsvd"),
    ],
)
def test_the_nearest_name_of_a_parameter(parameters, meant):
    X = np.ones((4, 3))
    for call in (NMF(1, **parameters).fit, lambda X: non_negative_factorization(X, n_components=1, **parameters)):
        with pytest.raises(ValueError, match=f"Did you mean '{meant}'"):
            call(X)
    with pytest.raises(ValueError, match="Did you mean 'kullback-leibler'"):
        MiniBatchNMF(1, beta_loss="kl").fit(X)


@pytest.mark.parametrize("Estimator", [NMF, MiniBatchNMF])
def test_names_of_anndata_that_occur_twice(Estimator):
    anndata = pytest.importorskip("anndata")
    X = np.random.default_rng(0).random((30, 6))
    cells = anndata.AnnData(X)
    cells.var_names = list("aabcde")
    model = Estimator(2, random_state=0, max_iter=1000).fit(cells)
    np.testing.assert_allclose(model.transform(cells), model.transform(X), rtol=1e-9)


# --- the result, scores, weights


def planted(rank, seed=0, n=90, m=60):
    rng = np.random.default_rng(seed)
    model = rng.gamma(0.5, size=(n, rank)) @ rng.gamma(0.5, size=(rank, m))
    return np.maximum(model + 0.1 * model.mean() * rng.standard_normal(model.shape), 0)


@pytest.mark.parametrize("Estimator", [NMF, MiniBatchNMF])
def test_the_result_of_a_fit(Estimator):
    X = planted(3)
    frame = pd.DataFrame(X, columns=[f"f{j}" for j in range(60)])
    model = Estimator(3, init="random", random_state=0, max_iter=1000).fit(frame)
    f = model.result_
    assert f.H is model.components_
    assert model.converged_
    assert f.converged
    assert len(model.history_) == getattr(model, "n_steps_", model.n_iter_)
    assert f.features(2)["component"].iloc[0] == "c1"
    assert list(f.components.columns) == list(frame.columns)
    error = X - f.W @ f.H
    assert f.divergence == pytest.approx((error**2).sum() / 2)
    assert model.reconstruction_err_ == pytest.approx(np.linalg.norm(error))
    assert f.history.objective[-1] == pytest.approx(f.objective, rel=1 if Estimator is MiniBatchNMF else 1e-12)
    np.testing.assert_array_equal(f.transform(frame, tol=model.tol), model.transform(frame))
    copy = pickle.loads(pickle.dumps(model))
    assert not hasattr(copy, "result_")
    np.testing.assert_array_equal(copy.transform(frame), model.transform(frame))
    for name in ("history_", "converged_", "result_"):
        with pytest.raises(AttributeError, match=f"has no {name}: only `fit` leaves one, and a pickled"):
            getattr(copy, name)


def test_a_stream_has_no_result():
    model = MiniBatchNMF(3, random_state=0).fit(planted(3))
    model.partial_fit(planted(3))
    assert not hasattr(model, "result_")


@pytest.mark.parametrize("Estimator", [NMF, MiniBatchNMF])
def test_the_page_of_an_estimator(Estimator, monkeypatch):
    assert Estimator(3)._get_doc_link() == ""  # there is no site yet
    about = email.message.Message()
    about["Project-URL"] = "Source, https://example.org/source"
    about["Project-URL"] = "Documentation, https://example.org/docs/"
    monkeypatch.setattr(base, "metadata", {"nmf-core": about}.__getitem__)
    base._site.cache_clear()
    try:
        expected = f"https://example.org/docs/generated/nmf_core.{Estimator.__name__}.html"
        assert Estimator(3)._get_doc_link() == expected
        assert expected in Estimator(3)._repr_html_()
    finally:
        base._site.cache_clear()


@pytest.mark.parametrize("rank", [3, 5])
def test_scores_choose_the_planted_rank(rank):
    from sklearn.model_selection import GridSearchCV

    search = GridSearchCV(NMF(init="random", random_state=0), {"n_components": range(1, 8)}, cv=4)
    assert search.fit(planted(rank)).best_params_ == {"n_components": rank}
    counts = np.random.default_rng(0).poisson(10 * planted(rank) / planted(rank).mean()).astype(float)
    search.set_params(estimator__beta_loss="kullback-leibler", estimator__solver="auto")
    batches = GridSearchCV(MiniBatchNMF(random_state=0, max_iter=1000), {"n_components": range(1, 8)}, cv=4)
    assert batches.fit(planted(rank)).best_params_ == {"n_components": rank}
    assert abs(search.fit(counts).best_params_["n_components"] - rank) <= 1


def test_a_score_is_the_mean_loss_of_held_out_features():
    X = planted(3)
    model = NMF(3, init="random", random_state=0, tol=1e-8, max_iter=1000).fit(X[:60])
    total = 0.0
    for held in _dealt(60):
        rest = np.delete(np.arange(60), held)
        W = transform(X[60:, rest], model.components_[:, rest], tol=1e-8, max_iter=1000).W
        total += np.sum((X[60:, held] - W @ model.components_[:, held]) ** 2) / 2
    assert model.score(X[60:]) == pytest.approx(-total / X[60:].size, rel=1e-9)
    sparse = NMF(3, init="random", random_state=0, tol=1e-8, max_iter=1000).fit(sp.csr_array(X[:60]))
    assert sparse.score(sp.csr_array(X[60:])) == pytest.approx(model.score(X[60:]), rel=1e-6)
    holes = np.where(np.random.default_rng(0).random(X.shape) < 0.1, np.nan, X)
    assert NMF(3, init="random", random_state=0, missing="nan").fit(holes[:60]).score(holes[60:]) < 0


@pytest.mark.parametrize("form", [np.asarray, sp.csr_array])
@pytest.mark.parametrize(
    "parameters",
    [{}, {"beta_loss": "kullback-leibler", "solver": "auto"}, {"alpha_W": 1e-3}, {"beta_loss": 1.5, "solver": "mu"}],
)
def test_samples_that_count_more(parameters, form):
    X, counts = planted(3), np.random.default_rng(0).integers(0, 4, 90)
    if parameters.get("alpha_W") and form is not np.asarray:
        pytest.skip("the penalty of repeated rows is repeated, too")
    how = {"init": "random", "random_state": 0, "tol": 1e-9, "max_iter": 5000, **parameters}
    model = NMF(3, **how).fit(form(X), sample_weight=counts)
    repeated = np.repeat(X, counts, axis=0)
    expected = min(NMF(3, **{**how, "random_state": seed}).fit(repeated).reconstruction_err_ for seed in range(3))
    if "alpha_W" not in parameters:
        assert model.reconstruction_err_ == pytest.approx(expected, rel=2e-3)
    W = model.result_.W
    assert W[counts == 0].any(axis=1).all()
    assert np.linalg.norm(X - W @ model.components_) < 0.3 * np.linalg.norm(X)


def test_weights_of_entries_and_of_samples():
    X, counts = planted(3), np.random.default_rng(0).integers(1, 4, 90)
    how = {"init": "random", "random_state": 0, "tol": 1e-9, "max_iter": 5000}
    weights = np.repeat(counts[:, np.newaxis], 60, axis=1).astype(float)
    one, other = NMF(3, **how).fit(X, weights=weights), NMF(3, **how).fit(X, sample_weight=counts)
    assert one.reconstruction_err_ == pytest.approx(other.reconstruction_err_, rel=1e-6)
    both = NMF(3, **how).fit(X, sample_weight=counts, weights=np.ones_like(X))
    assert both.reconstruction_err_ == pytest.approx(one.reconstruction_err_, rel=1e-6)


@pytest.mark.parametrize(
    ("counts", "said"),
    [
        ([1.0], "sample_weight must be 90 numbers"),
        (-np.ones(90), "at least 0"),
        (np.zeros(90), "zero for all samples"),
        (np.full(90, np.nan), "finite"),
        (["a"] * 90, "numbers"),
    ],
)
def test_bad_sample_weights(counts, said):
    with pytest.raises(ValueError, match=said):
        NMF(3).fit(planted(3), sample_weight=counts)


def test_sample_weights_are_routed():
    import sklearn
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import MaxAbsScaler

    with sklearn.config_context(enable_metadata_routing=True):
        model = NMF(3, init="random", random_state=0).set_fit_request(sample_weight=True)
        pipeline = make_pipeline(MaxAbsScaler(), model).fit(planted(3), sample_weight=np.ones(90))
    assert pipeline[-1].n_components_ == 3


def test_integers_with_the_default_loss_are_hinted_at_once(monkeypatch):
    monkeypatch.setattr(nmf_core.warning, "_of_counts_told", False)
    X = np.random.default_rng(0).poisson(3, (20, 10))
    with pytest.warns(UserWarning, match="X holds whole numbers") as caught:
        factorize(X, 2, random_state=0)
    factorize(X, 2, random_state=0)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    for more in ({"loss": "frobenius"}, {"loss": 1.0}):
        monkeypatch.setattr(nmf_core.warning, "_of_counts_told", False)
        factorize(X, 2, random_state=0, **more)
    factorize((X > 2).astype(int), 2, random_state=0)
    ratings = sp.csr_array(X + 1)
    for how in ({"missing": "unstored"}, {"weights": np.ones(X.shape)}, {"biases": True}):
        factorize(ratings, 2, random_state=0, **how)
    assert not nmf_core.warning._of_counts_told


@pytest.mark.parametrize(
    "call",
    [
        lambda X, **loss: nmf_core.factorize_many(X, 2, 2, random_state=0, **loss),
        lambda X, **loss: nmf_core.factorize_many(X, 2, 2, resample="poisson", random_state=0, **loss),
        lambda X, **loss: nmf_core.rank_survey(X, [1, 2], 2, random_state=0, **loss),
        lambda X, **loss: nmf_core.model_selection.cross_validate_rank(X, [1, 2], random_state=0, **loss),
        lambda X, **loss: nmf_core.refit(X, np.eye(10)[:3], **loss),
    ],
)
def test_the_hint_at_counts_comes_once_wherever_a_loss_is_chosen(monkeypatch, call):
    X = np.random.default_rng(0).poisson(3, (20, 10))
    monkeypatch.setattr(nmf_core.warning, "_of_counts_told", False)
    with pytest.warns(UserWarning, match="X holds whole numbers") as caught:
        call(X)
    assert caught[0].filename == __file__
    monkeypatch.setattr(nmf_core.warning, "_of_counts_told", False)
    call(X, loss="frobenius")
    call(X.astype(float))
    assert not nmf_core.warning._of_counts_told


def test_skops_keeps_a_model(tmp_path):
    io = pytest.importorskip("skops.io")
    X = planted(3)
    model = NMF(3, init="random", random_state=0).fit(X)
    io.dump(model, tmp_path / "model.skops")
    unknown = io.get_untrusted_types(file=tmp_path / "model.skops")
    copy = io.load(tmp_path / "model.skops", trusted=unknown)
    np.testing.assert_array_equal(copy.transform(X), model.transform(X))


# --- names of features, and what is said of factors

GENES = [f"g{j}" for j in range(40)]


@pytest.mark.parametrize("model", [NMF, MiniBatchNMF])
def test_features_are_named_where_X_has_no_names(model):
    """Frames are brought into their order, and scikit-learn does not warn of what has no names."""
    X = sp.csr_array(planted(3)[:, :40])
    fitted = model(3, init="random", random_state=0, max_iter=20, tol=0).fit(X, feature_names=GENES)
    assert fitted.result_.column_labels == tuple(GENES)
    assert not hasattr(fitted, "feature_names_in_")
    frame = pd.DataFrame(X.toarray(), columns=GENES)[GENES[::-1]]
    for copy in (fitted, pickle.loads(pickle.dumps(fitted))):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            np.testing.assert_allclose(copy.transform(frame), copy.transform(X))
        with pytest.raises(ValueError, match="columns of X are not those of the fit"):
            copy.transform(frame.rename(columns={"g0": "other"}))
    with pytest.raises(ValueError, match="feature_names are 2 labels, but X has 40 columns"):
        model(3).fit(X, feature_names=["a", "b"])
    with pytest.raises(ValueError, match="feature_names are given, but the columns of X have labels already"):
        model(3).fit(frame, feature_names=GENES)


def test_factors_of_an_estimator_are_those_of_a_fit():
    X, parameters = planted(3), {"init": "random", "random_state": 0, "max_iter": 30}
    factor = Factor(upper=0.5)
    model = NMF(3, factor_H=factor, **parameters).fit(X)
    expected = factorize(X, 3, H=factor, sort=False, loss="frobenius", **parameters)
    np.testing.assert_array_equal(model.components_, expected.H)
    assert model.components_.max() <= 0.5
    assert model.transform(X).shape == (len(X), 3)
    for copy in (clone(model), pickle.loads(pickle.dumps(model))):
        assert copy.get_params()["factor_H"].upper == 0.5
        np.testing.assert_array_equal(copy.fit(X).components_, expected.H)
    _, H, _ = non_negative_factorization(X, n_components=3, factor_H=factor, **parameters)
    np.testing.assert_array_equal(H, expected.H)


def test_a_custom_start_is_given_or_that_of_the_factors():
    X, rng = planted(3), np.random.default_rng(0)
    W, H = rng.random((len(X), 3)), rng.random((3, X.shape[1])) / 2
    free = np.array([True, False, True])
    how = {"init": "custom", "max_iter": 5}
    given = NMF(3, factor_H=Factor(upper=0.5, free=free), **how).fit(X, W=W, H=H)
    np.testing.assert_array_equal(given.components_[1], H[1])
    assert given.components_.max() <= 0.5
    held = NMF(3, factor_W=Factor(W), factor_H=Factor(H, upper=0.5, free=free), **how).fit(X)
    np.testing.assert_array_equal(held.components_, given.components_)


def test_what_is_said_of_W_is_not_known_to_transform():
    X = planted(3)
    model = NMF(3, factor_W=Factor(upper=1.0), init="random", random_state=0, max_iter=20)
    assert model.fit_transform(X).max() <= 1
    for call in (model.transform, model.score, model.result_.transform):
        with pytest.raises(ValueError, match=r"transform knows no bounds .* W of the fit had upper="):
            call(X)
    with pytest.raises(ValueError, match="Bounds and penalties of a Factor need"):
        model.fit(X, sample_weight=np.arange(1.0, len(X) + 1))
    with pytest.raises(ValueError, match="'factor_W' parameter of NMF must be an instance of"):
        NMF(3, factor_W=1.0).fit(X)
