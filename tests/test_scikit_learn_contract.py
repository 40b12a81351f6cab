"""The estimators keep scikit-learn's contract; its own classes and common checks are the judge."""

import pickle
import warnings
from inspect import Parameter, signature

import joblib
import numpy as np
import pytest
import scipy.sparse as sp
from sklearn import decomposition
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MaxAbsScaler
from sklearn.utils.estimator_checks import estimator_checks_generator

import nmf_core

KL = {"solver": "mu", "beta_loss": "kullback-leibler"}
IS = {"solver": "mu", "beta_loss": "itakura-saito"}
EXTRAS = ["missing", "alpha_scaling", "n_threads", "time_limit", "progress", "callback"]
EXTRAS += ["transform_tol", "transform_max_iter", "floor", "n_init", "factor_W", "factor_H"]
X = np.random.default_rng(0).uniform(0.1, 1.0, (8, 5))
W, H = np.random.default_rng(1).uniform(0.1, 1.0, (8, 2)), np.random.default_rng(2).uniform(0.1, 1.0, (2, 5))


def common_checks():
    """Yield every common check of scikit-learn, for every kind of computation behind the class; always for three."""
    mu = {"solver": "mu", "n_components": 2, "tol": 1e-6, "max_iter": 2000}
    auto = {"solver": "auto", "init": "random", "random_state": 0}
    rest = [pytest.mark.exhaustive]
    for parameters, marks in (
        ({}, []),
        (auto, rest),
        (auto | {"beta_loss": 1}, rest),
        (mu, rest),
        (mu | KL, rest),
        (mu | {"beta_loss": 0.5}, rest),
        (auto | {"missing": "nan"}, []),
    ):
        for estimator, check in estimator_checks_generator(nmf_core.NMF(**{"max_iter": 500} | parameters)):
            name = "-".join((check.func.__name__, *map(str, parameters.values())))
            yield pytest.param(estimator, check, id=name, marks=marks)
    steady = {"n_components": 2, "tol": 1e-6, "max_no_improvement": None, "max_iter": 2000}
    for parameters, marks in (
        ({}, []),
        (auto | {"batch_size": 10}, rest),
        ({"fresh_restarts": True, "batch_size": 10, "max_iter": 20}, rest),
        ({"beta_loss": 1, "init": "random", "random_state": 0}, rest),
        (steady | {"solver": "mu"}, rest),
        (steady | {"beta_loss": 0.5}, rest),
    ):
        for estimator, check in estimator_checks_generator(nmf_core.MiniBatchNMF(**{"max_iter": 500} | parameters)):
            name = "-".join((check.func.__name__, "MiniBatch", *map(str, parameters.values())))
            yield pytest.param(estimator, check, id=name, marks=marks)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize(("estimator", "check"), list(common_checks()))
def test_common_check(estimator, check):
    if check.func.__name__.startswith("check_sample_weight_equivalence"):
        # starts of repeated rows are others, and so are the minima that are found
        pytest.skip("the objective is not convex: tests/test_estimators.py compares objectives")
    check(estimator)


# --- signatures and attributes


@pytest.mark.parametrize(
    ("name", "extras"),
    [("NMF", EXTRAS), ("non_negative_factorization", EXTRAS), ("MiniBatchNMF", ["solver", "n_threads"])],
)
def test_signature_is_that_of_scikit_learn_and_then_some(name, extras):
    theirs = signature(getattr(decomposition, name)).parameters.values()
    ours = list(signature(getattr(nmf_core, name)).parameters.values())
    assert [(p.name, p.kind, p.default) for p in ours[: -len(extras)]] == [(p.name, p.kind, p.default) for p in theirs]
    assert [p.name for p in ours[-len(extras) :]] == extras
    assert all(p.kind is Parameter.KEYWORD_ONLY for p in ours[-len(extras) :])


@pytest.mark.parametrize("parameters", [{}, {"n_components": 2}, {"solver": "mu"}, KL, IS], ids=str)
def test_fitted_attributes(parameters):
    models = [
        module.NMF(max_iter=1000, tol=1e-3, random_state=0, **parameters).fit(X) for module in (nmf_core, decomposition)
    ]
    ours, theirs = (
        {name: type(value) for name, value in vars(model).items() if name not in (*EXTRAS, "result_")}
        for model in models
    )
    assert ours == theirs
    assert models[0].n_components_ == models[1].n_components_ == len(models[0].components_)


@pytest.mark.parametrize("name", ["NMF", "MiniBatchNMF"])
def test_tags(name):
    ours, theirs = (getattr(module, name)().__sklearn_tags__() for module in (nmf_core, decomposition))
    assert ours == theirs


@pytest.mark.parametrize("parameters", [{}, {"n_components": 2, "beta_loss": 1, "batch_size": 3}], ids=str)
def test_fitted_attributes_of_mini_batches(parameters):
    ours, theirs = (
        module.MiniBatchNMF(random_state=0, tol=1e-2, **parameters).fit(X) for module in (nmf_core, decomposition)
    )
    for name in (name for name in vars(theirs) if name.endswith("_") and not name.startswith("_")):
        assert type(getattr(ours, name)) is type(getattr(theirs, name)), name
        assert np.shape(getattr(ours, name)) == np.shape(getattr(theirs, name))


# --- errors and warnings


def with_entry(value):
    data = X.copy()
    data[1, 2] = value
    return data


NEAREST = " Did you mean 'kullback-leibler'?"


def outcome(call, module):
    """What `call` raises and warns with the given module's names, as (type, text) pairs."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            call(module.NMF, module.non_negative_factorization)
        except Exception as error:
            raised = (type(error), str(error))
        else:
            raised = None
    # of our own classes the one of scikit-learn or Python that they are, too
    kinds = [next(c for c in w.category.__mro__ if not c.__module__.startswith("nmf_core")) for w in caught]
    return raised, [(kind, str(warning.message)) for kind, warning in zip(kinds, caught, strict=True)]


ERRORS = {
    "n_components": lambda nmf, nnf: nmf(0).fit(X),
    "n_components, function": lambda nmf, nnf: nnf(X, n_components="two"),
    "beta_loss": lambda nmf, nnf: nmf(2, beta_loss="kl").fit(X),
    "tol": lambda nmf, nnf: nmf(2, tol=-1).fit(X),
    "max_iter": lambda nmf, nnf: nmf(2, max_iter=0).fit(X),
    "random_state": lambda nmf, nnf: nmf(2, random_state="a").fit(X),
    "alpha_W": lambda nmf, nnf: nmf(2, alpha_W=-1.0).fit(X),
    "alpha_H": lambda nmf, nnf: nmf(2, alpha_H="x").fit(X),
    "l1_ratio": lambda nmf, nnf: nmf(2, l1_ratio=2).fit(X),
    "shuffle": lambda nmf, nnf: nmf(2, shuffle="yes").fit(X),
    "verbose": lambda nmf, nnf: nmf(2, verbose=-1).fit(X),
    "update_H": lambda nmf, nnf: nnf(X, H=H, update_H="no"),
    "loss that needs mu": lambda nmf, nnf: nmf(2, beta_loss="kullback-leibler").fit(X),
    "loss that needs mu, by number": lambda nmf, nnf: nmf(2, solver="cd", beta_loss=1.5).fit(X),
    "loss that needs mu, function": lambda nmf, nnf: nnf(X, n_components=2, beta_loss="itakura-saito"),
    "loss that needs mu, H fixed": lambda nmf, nnf: nnf(X, H=H, update_H=False, beta_loss=1),
    "loss that needs no zeros": lambda nmf, nnf: nmf(2, solver="mu", beta_loss=0).fit(with_entry(0.0)),
    "loss that needs no zeros, by name": lambda nmf, nnf: nmf(2, **IS).fit(with_entry(0.0)),
    "loss that needs no zeros, negative": lambda nmf, nnf: nmf(2, solver="mu", beta_loss=-0.5).fit(with_entry(0.0)),
    "loss that needs no zeros, sparse": lambda nmf, nnf: nmf(2, **IS).fit(sp.csr_array(with_entry(0.0))),
    "loss that needs no zeros, CSC": lambda nmf, nnf: nmf(2, **IS).fit(sp.csc_array(with_entry(0.0))),
    "loss that needs no zeros, function": lambda nmf, nnf: nnf(with_entry(0.0), n_components=2, **IS),
    "zeros in transform": lambda nmf, nnf: nmf(2, tol=0.1, **IS).fit(X).transform(with_entry(0.0)),
    "negative, Kullback-Leibler": lambda nmf, nnf: nmf(2, **KL).fit(with_entry(-1.0)),
    "negative in transform, Kullback-Leibler": lambda nmf, nnf: (
        nmf(2, tol=0.1, **KL).fit(X).transform(with_entry(-1.0))
    ),
    "dtypes, Kullback-Leibler": lambda nmf, nnf: nmf(init="custom", **KL).fit(X, W=W.astype(np.float32), H=H),
    "features, Kullback-Leibler": lambda nmf, nnf: nmf(2, tol=0.1, **KL).fit(X).transform(X[:, :4]),
    "too many components": lambda nmf, nnf: nmf(6, init="nndsvd").fit(X),
    "negative": lambda nmf, nnf: nmf(2).fit(with_entry(-1.0)),
    "negative, sparse": lambda nmf, nnf: nmf(2).fit(sp.csr_array(with_entry(-1.0))),
    "negative in transform": lambda nmf, nnf: nmf(2, tol=0.1).fit(X).transform(with_entry(-1.0)),
    "negative H": lambda nmf, nnf: nnf(X, W, -H, init="custom"),
    "negative W": lambda nmf, nnf: nnf(X, -W, H, init="custom"),
    "zero H": lambda nmf, nnf: nnf(X, W, 0 * H, init="custom"),
    "first dimension": lambda nmf, nnf: nmf(2, init="custom").fit(X, W=W[:5], H=H),
    "second dimension": lambda nmf, nnf: nmf(2, init="custom").fit(X, W=W, H=H[:, :3]),
    "dtypes": lambda nmf, nnf: nmf(init="custom").fit(X, W=W.astype(np.float32), H=H),
    "dtype of fixed H": lambda nmf, nnf: nnf(X, H=H.astype(np.float32), update_H=False),
    "NaN": lambda nmf, nnf: nmf(2).fit(with_entry(np.nan)),
    "infinity": lambda nmf, nnf: nmf(2).fit(with_entry(np.inf)),
    "NaN, function": lambda nmf, nnf: nnf(with_entry(np.nan)),
    "features": lambda nmf, nnf: nmf(2, tol=0.1).fit(X).transform(X[:, :4]),
    "not fitted": lambda nmf, nnf: nmf(2).transform(X),
    "one dimension": lambda nmf, nnf: nmf(2).fit(X[0]),
    "no samples": lambda nmf, nnf: nmf(2).fit(X[:0]),
    "no features": lambda nmf, nnf: nmf(2).fit(X[:, :0]),
    "complex": lambda nmf, nnf: nmf(2).fit(X + 1j),
    "strings": lambda nmf, nnf: nmf(2).fit([["a", "b"], ["c", "d"]]),
}

WARNINGS = {
    "max_iter": lambda nmf, nnf: nmf(2, max_iter=1).fit(X),
    "max_iter, mu": lambda nmf, nnf: nmf(2, solver="mu", max_iter=1).fit(X),
    "max_iter, Kullback-Leibler": lambda nmf, nnf: nmf(2, max_iter=1, **KL).fit(X),
    "max_iter in transform, Kullback-Leibler": lambda nmf, nnf: nnf(X, H=H, update_H=False, max_iter=1, **KL),
    "zeros of nndsvd, Kullback-Leibler": lambda nmf, nnf: nmf(2, init="nndsvd", tol=0.1, **KL).fit(X),
    "max_iter in transform": lambda nmf, nnf: nnf(X, H=H, update_H=False, max_iter=1),
    "no tol, no warning": lambda nmf, nnf: nmf(2, max_iter=1, tol=0).fit(X),
    "ignored W and H": lambda nmf, nnf: nnf(X, W, H, n_components=2, tol=0.1),
    "ignored H": lambda nmf, nnf: nmf(2, tol=0.1).fit(X, H=H),
    "ignored W": lambda nmf, nnf: nnf(X, W, H, update_H=False, tol=0.1),
    "zeros of nndsvd": lambda nmf, nnf: nmf(2, solver="mu", init="nndsvd", tol=0.1).fit(X),
}

# The same of mini-batches: what is raised by `fit`, and by `partial_fit`.
MINI = {
    "n_components": lambda nmf: nmf(0),
    "batch_size": lambda nmf: nmf(2, batch_size=0),
    "forget_factor": lambda nmf: nmf(2, forget_factor=1.5),
    "max_no_improvement": lambda nmf: nmf(2, max_no_improvement=0),
    "fresh_restarts": lambda nmf: nmf(2, fresh_restarts="yes"),
    "fresh_restarts_max_iter": lambda nmf: nmf(2, fresh_restarts_max_iter=0),
    "transform_max_iter": lambda nmf: nmf(2, transform_max_iter=0),
    "beta_loss": lambda nmf: nmf(2, beta_loss="kl"),
    "too many components": lambda nmf: nmf(6, init="nndsvd"),
}


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
@pytest.mark.parametrize("case", MINI)
def test_error_of_mini_batches_is_that_of_scikit_learn(case, method):
    raised = []
    for module in (nmf_core, decomposition):
        with pytest.raises(ValueError, match=r".") as caught:
            getattr(MINI[case](module.MiniBatchNMF), method)(X)
        raised.append((type(caught.value), str(caught.value)))
    assert raised[0] == (raised[1][0], raised[1][1] + NEAREST * (case == "beta_loss"))


@pytest.mark.parametrize(
    "data", [X[0], X[:0], X[:, :0], with_entry(np.nan), with_entry(np.inf), with_entry(-1.0), X + 1j], ids=str
)
def test_data_that_mini_batches_refuse(data):
    raised = []
    for module in (nmf_core, decomposition):
        with pytest.raises(ValueError, match=r".") as caught:
            module.MiniBatchNMF(2).fit(data)
        raised.append((type(caught.value), str(caught.value)))
    assert raised[0] == raised[1]


@pytest.mark.parametrize("case", ERRORS)
def test_error_is_that_of_scikit_learn(case):
    ours, theirs = (outcome(ERRORS[case], module)[0] for module in (nmf_core, decomposition))
    assert theirs is not None
    hint = "\nmissing='nan' takes NaN in an array for missing entries." if "contains NaN" in theirs[1] else ""
    if "contains zeros" in theirs[1]:
        hint = "\nAdd a small value to X, such as 0.01." + ("" if "transform" in case else " floor='auto' does so.")
    if case == "beta_loss":
        hint = NEAREST
    assert ours == (theirs[0], theirs[1] + hint)


@pytest.mark.parametrize("case", WARNINGS)
def test_warnings_are_those_of_scikit_learn(case):
    ours, theirs = (outcome(WARNINGS[case], module) for module in (nmf_core, decomposition))
    assert ours == theirs
    assert bool(theirs[1]) == (case != "no tol, no warning")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("solver", "lbfgs"),
        ("init", "foo"),
        ("n_threads", 0),
        ("time_limit", 0),
        ("progress", 2),
        ("callback", 1),
        ("transform_tol", -1.0),
        ("transform_max_iter", 0),
    ],
)
def test_error_of_parameters_with_more_choices(name, value):
    message = rf"The '{name}' parameter of NMF must be .* Got {value!r} instead\."
    with pytest.raises(ValueError, match=message):
        nmf_core.NMF(2, **{name: value}).fit(X)
    with pytest.raises(ValueError, match=name):
        nmf_core.non_negative_factorization(X, n_components=2, **{name: value})


# --- with the rest of scikit-learn

LOOSE = {"tol": 1e-2, "max_iter": 2000, "random_state": 0}


def test_pipeline_and_grid_search():
    pipeline = make_pipeline(MaxAbsScaler(), nmf_core.NMF(init="random", n_threads=1, **LOOSE))

    def score(model, data, y=None):
        return -np.linalg.norm(data - model.inverse_transform(model.transform(data)))

    search = GridSearchCV(pipeline, {"nmf__n_components": [1, 4]}, cv=2, scoring=score, error_score="raise")
    assert search.fit(X).best_params_ == {"nmf__n_components": 4}
    assert search.best_estimator_.get_feature_names_out().tolist() == [f"nmf{i}" for i in range(4)]


@pytest.mark.parametrize("backend", [pytest.param("loky", marks=pytest.mark.slow), "threading"])
def test_models_in_workers_give_the_same_bits(backend):
    model = nmf_core.NMF(3, **LOOSE)
    expected = clone(model).fit_transform(X)
    fits = (joblib.delayed(nmf_core.NMF.fit_transform)(clone(model), X) for _ in range(3))
    for result in joblib.Parallel(n_jobs=2, backend=backend)(fits):
        np.testing.assert_array_equal(result, expected)


def test_pickled_and_cloned_models():
    model = nmf_core.NMF(3, n_threads=1, **LOOSE).fit(X)
    again = pickle.loads(pickle.dumps(model))
    assert again.get_params() == model.get_params() == clone(model).get_params()
    np.testing.assert_array_equal(again.transform(X), model.transform(X))


@pytest.mark.parametrize("parameters", [{}, KL, IS, {"solver": "auto", "beta_loss": 1}], ids=str)
def test_frames_in_and_out(parameters):
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame(X, columns=list("abcde"), index=[f"sample{i}" for i in range(8)])
    model = nmf_core.NMF(2, **LOOSE, **parameters).set_output(transform="pandas")
    for result in (model.fit_transform(frame), model.transform(frame)):
        assert list(result.columns) == ["nmf0", "nmf1"]
        assert list(result.index) == list(frame.index)
    assert model.feature_names_in_.tolist() == list(frame.columns)
    with pytest.raises(ValueError, match="feature names"):
        model.transform(frame.rename(columns={"a": "z"}))
