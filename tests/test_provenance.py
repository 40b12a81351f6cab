"""What is said of where a factorization comes from: the paragraph, the references, the call and the digest."""

import inspect
import platform
import re
from copy import deepcopy
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import scipy
import scipy.sparse as sp
from problems import documents, noisy, start

import nmf_core
from nmf_core import Factor, factorize, load, refit
from nmf_core.initialization import INITIALIZERS, RANDOM
from nmf_core.losses import LOSSES, Loss
from nmf_core.paragraphs import methods
from nmf_core.provenance import (
    DEFAULTS,
    DESCRIBED_CLUSTERINGS,
    DESCRIBED_LOSSES,
    DESCRIBED_REPLICATES,
    DESCRIBED_SOLVERS,
    DESCRIBED_STARTS,
    REFERENCES,
    cite,
    fingerprint,
    rerun,
)
from nmf_core.solvers import SOLVERS, Method, QuadraticSolver
from nmf_core.start import BEST_OF, STARTS
from nmf_core.stopping import MaxIter, SmallDecrease, SmallStep

K = 3
X = noisy(40, 25, K)
HOLES = np.where(np.arange(X.size).reshape(X.shape) % 7 == 3, np.nan, X)
COUNTS = documents(50, 80, 4)
WEIGHTS = 1 + X
W0, H0 = start(X, K)
MODEL = factorize(X, K, random_state=0)


class Squares(Loss):
    """The Frobenius loss, by a class of one's own."""

    name = "squares"

    def value(self, x, y):
        return (x - y) ** 2 / 2

    def gradient_parts(self, x, y):
        return x, y


class ProjectedGradient(QuadraticSolver):
    """A solver of one's own."""

    name = "projected-gradient"
    method = Method(lambda F, cross, gram, order: F - (F @ gram - cross) / np.linalg.norm(gram, 2))


def fourth(state):
    return state.iteration == 4


# X, arguments: what a result holds itself
FITS = {
    "dense": (X, {}),
    "float32": (X.astype(np.float32), {}),
    "Fortran": (np.asfortranarray(X), {}),
    "seed": (X, {"init": "random", "random_state": 7}),
    "CSR": (COUNTS, {}),
    "CSC": (sp.csc_array(COUNTS), {"loss": "kullback-leibler"}),
    "Kullback-Leibler": (X, {"loss": "kullback-leibler"}),
    "Itakura-Saito": (COUNTS.toarray(), {"loss": "itakura-saito", "floor": "auto", "max_iter": 20}),
    "beta": (X, {"loss": 1.5, "max_iter": 20}),
    "negative beta": (X + 0.1, {"loss": -1, "max_iter": 20}),
    "NaN": (HOLES, {"missing": "nan"}),
    "unstored": (COUNTS, {"missing": "unstored", "alpha_W": 0.1, "alpha_scaling": "observed"}),
    "biases": (HOLES, {"missing": "nan", "biases": True, "alpha_W": 0.05}),
    "penalties": (X, {"alpha_W": 0.01, "alpha_H": 0.02, "l1_ratio": 0.5}),
    "l1": (X, {"alpha_W": 0.01, "l1_ratio": 1.0}),
    "several starts": (X, {"n_init": 4, "max_iter": 500}),
    "plain": (X, {"acceleration": False, "tol": 1e-3}),
    "shuffle": (X, {"shuffle": True, "max_iter": 15}),
    "mu": (X, {"solver": "mu", "max_iter": 30, "tol": 0.0}),
    "time limit": (X, {"time_limit": 0.0, "tol": 1e-9}),
    "callback": (X, {"callback": fourth, "loss": 1}),
}
STOP = SmallStep(1e-2) & SmallDecrease(1e-2)
FREE = np.array([True, False, True])
# X, arguments: what a result does not hold stands in the call by its name
NAMED = {
    "weights": (X, {"weights": WEIGHTS}),
    "unknown source": (X, {"init": "random", "random_state": np.random.RandomState(5)}),
    "both factors": (X, {"W": W0, "H": H0, "update_H": True}),
    "one factor": (X, {"W": None, "H": H0, "update_H": True}),
    "fixed": (X, {"W": None, "H": H0, "update_H": False}),
    "partly fixed": (X, {"W": W0, "H": H0, "update_H": FREE}),
    "bounds": (X, {"H": Factor(upper=0.7)}),
    "stop": (X, {"stop": STOP}),
    "loss": (X, {"loss": Squares(), "max_iter": 20}),
    "solver": (X, {"solver": ProjectedGradient(), "max_iter": 20}),
}


def fit(case):
    A, arguments = case
    return factorize(A, K, **{"random_state": 0, **deepcopy(arguments)})


def again(f, A, **named):
    return eval(rerun(f), {"nmf_core": nmf_core, "np": np, "X": A, **named})


MANY = nmf_core.factorize_many(X, K, 5, random_state=2)


def run_of(how, **more):
    """The second run of an ensemble of replicates."""
    return nmf_core.factorize_many(COUNTS, K, 2, resample=how, loss=1, random_state=2, **more)[1]


def common_to(ensemble, **options):
    return ensemble.components(**options).factorization


def parsed(text):
    """BibTeX entries: of every key its type and fields."""
    entries, at = {}, 0
    while (opening := re.compile(r"\s*@(\w+)\{(\w+),").match(text, at)) is not None:
        kind, key = opening.groups()
        assert key not in entries
        fields, at = {}, opening.end()
        while (field := re.compile(r"\s*(\w+) = \{").match(text, at)) is not None:
            depth, at, first = 1, field.end(), field.end()
            while depth:
                depth += {"{": 1, "}": -1}.get(text[at], 0)
                at += 1
            assert field[1] not in fields
            fields[field[1]] = text[first : at - 1]
            assert text[at] == ","
            at += 1
        closing = re.compile(r"\s*\}").match(text, at)
        assert closing is not None, text[at : at + 40]
        at = closing.end()
        entries[key] = kind, fields
    assert not text[at:].strip()
    return entries


def labels(f):
    """How the entries of `cite` are cited in a text."""
    return {REFERENCES[key].label for key in parsed(cite(f))}


def cited(text):
    """What a paragraph cites."""
    return set(re.findall(r"[(;] ?([^();]+?, \d{4})(?=[;)])", text))


# --- tables


@pytest.mark.parametrize(
    ("names", "described"),
    [(SOLVERS, DESCRIBED_SOLVERS), (LOSSES, DESCRIBED_LOSSES), ([*STARTS, "custom"], DESCRIBED_STARTS)],
)
def test_every_name_is_described(names, described):
    assert set(names) == set(described)
    for name, (words, keys) in described.items():
        assert words, name
        assert keys or name == "custom", name
        assert set(keys) <= set(REFERENCES), name


def test_references():
    assert len({reference.label for reference in REFERENCES.values()}) == len(REFERENCES)
    dois = [reference.doi for reference in REFERENCES.values() if reference.doi]
    assert len(set(dois)) == len(dois)
    for key, one in REFERENCES.items():
        assert key == "nmf_core" or re.fullmatch(r"[a-z]+\d{4}[a-z]*", key)
        assert str(one.year) in key or key == "nmf_core"
        assert one.kind in ("article", "inproceedings", "misc", "software")
        assert not one.doi or re.fullmatch(r"10\.\d{4,5}/\S+", one.doi)
        assert bool(one.venue) == (one.kind != "software")
        for author in one.authors.split(" and "):
            assert re.fullmatch(r"(de )?[A-Z][\w-]+, [A-Z]\.([ -][A-Z]\.)*|\{.+\}|others", author), author


def test_every_doi_of_a_docstring_about_a_solver_or_start_is_known():
    """As far as a solver, loss or start has a reference with a DOI, it is one of those that are cited."""
    known = {reference.doi for reference in REFERENCES.values()}
    objects = [*SOLVERS.values(), *LOSSES.values(), *INITIALIZERS.values()]
    said = {doi.rstrip(".,") for one in objects for doi in re.findall(r"doi:(10\.\S+)", inspect.getdoc(one) or "")}
    assert len(said) > 15
    assert said <= known


def test_defaults_are_those_of_factorize():
    """A new argument either changes the result, and is in the table, or it is named here."""
    neutral = {"X", "n_components", "time_limit", "n_threads", "callback", "progress", "checkpoint", "out_W",
               "sample_names", "feature_names"}  # fmt: skip
    parameters = inspect.signature(factorize).parameters
    assert set(parameters) - neutral <= set(DEFAULTS)
    assert {name: one.default for name, one in parameters.items() if name in DEFAULTS} == {
        name: value for name, value in DEFAULTS.items() if name in parameters
    }
    assert [name for name in parameters if name in DEFAULTS] == [name for name in DEFAULTS if name in parameters]


# --- BibTeX


def test_citing_the_library():
    ((key, (kind, fields)),) = parsed(cite()).items()
    assert (key, kind) == ("nmf_core", "software")
    assert fields["version"] == nmf_core.__version__
    assert "nmf-core" in fields["title"]


def test_every_reference_is_written():
    """All of them at once, by a fit that claims to have used everything."""
    required = {
        "article": {"journal"}, "inproceedings": {"booktitle"}, "misc": {"howpublished"}, "software": {"version"},
    }  # fmt: skip
    entries = {}
    for solver in SOLVERS:
        for init in STARTS:
            entries |= parsed(cite(replace(MODEL, solver=solver, init=init)))
    for loss in (*LOSSES, 0.5):
        entries |= parsed(cite(replace(MODEL, loss=loss)))
    observed = {**MODEL.parameters, "missing": "nan", "alpha_W": 1.0, "alpha_scaling": "observed"}
    entries |= parsed(cite(replace(MODEL, parameters=observed)))
    entries |= parsed(cite(replace(MODEL, parameters={**MODEL.parameters, "batches": {}})))
    for how in DESCRIBED_REPLICATES:
        entries |= parsed(cite(run_of(how)))
    for clustering in DESCRIBED_CLUSTERINGS:
        entries |= parsed(cite(common_to(MANY, clustering=clustering)))
    entries |= parsed(refit(X, H0, select="likelihood", n_bootstrap=2).cite())
    entries |= parsed(refit(X, H0, loss=Squares(), max_iter=5, tol=0.1).cite())
    assert set(entries) == set(REFERENCES)
    for key, (kind, fields) in entries.items():
        assert set(fields) - {"doi"} == {"author", "title", "year"} | required[kind], key
        assert all(value.isascii() and value.strip() for value in fields.values()), key
        assert fields.get("doi", "") == REFERENCES[key].doi
        assert not re.search(r"(?<!\\)[&%#]", fields["title"] + fields["author"])
    assert entries["fevotte2011"][1]["author"] == r"F{\'e}votte, C. and Idier, J."
    assert entries["araujo2001"][1]["author"].startswith(r"Ara{\'u}jo, M. C. U. and")
    assert r"Galv{\~a}o" in entries["araujo2001"][1]["author"]


@pytest.mark.parametrize(
    ("changes", "wanted", "unwanted"),
    [
        ({}, {"paatero1994", "lee1999", "lee2001", "cichocki2009", "ang2019", "boutsidis2008"}, {"zhou2008"}),
        ({"acceleration": False}, {"cichocki2009"}, {"ang2019"}),
        ({"loss": 1}, {"hien2021", "lee2001", "ang2019"}, {"cichocki2009"}),
        ({"loss": 0.5, "max_iter": 5}, {"fevotte2011", "hien2024", "ang2019"}, {"fevotte2009"}),
        ({"loss": 0.5, "max_iter": 5, "acceleration": False}, {"fevotte2011"}, {"hien2024", "ang2019"}),
        ({"loss": 0, "floor": 0.1, "max_iter": 5}, {"fevotte2009"}, {"lee2001"}),
        ({"solver": "mu", "max_iter": 5}, {"lee2001"}, {"ang2019"}),
        ({"init": "spa"}, {"araujo2001", "gillis2014fast"}, {"boutsidis2008", "halko2011"}),
        ({"alpha_W": 0.1, "alpha_scaling": "observed", "weights": WEIGHTS}, {"zhou2008"}, {"boutsidis2008"}),
        ({"alpha_W": 0.1, "alpha_scaling": "observed"}, set(), {"zhou2008"}),
        ({"W": W0, "H": H0}, {"cichocki2009"}, {"boutsidis2008", "pedregosa2011"}),
    ],
)
def test_what_was_used_is_cited(changes, wanted, unwanted):
    keys = set(parsed(cite(factorize(X, K, random_state=0, **changes))))
    assert wanted <= keys
    assert not unwanted & keys


@pytest.mark.parametrize("case", [*FITS, *NAMED])
def test_text_and_bibliography_agree(case):
    f = fit({**FITS, **NAMED}[case])
    assert cited(methods(f)) == labels(f)


# --- the paragraph


def test_a_whole_paragraph():
    versions = f"NumPy {np.__version__}, SciPy {scipy.__version__} and Python {platform.python_version()}"
    f = factorize(X, K, loss="kullback-leibler", init="random", random_state=4, alpha_W=0.01, l1_ratio=0.25)
    explained = 100 * (1 - np.sum((X - f.W @ f.H) ** 2) / np.sum(X**2))
    assert methods(f, "expression levels", chosen="the smallest error.") == (
        "The data matrix X (expression levels; 40 samples x 25 features; float64) was approximated by the product W H "
        "of two non-negative factors, W (40 x 3) and H (3 x 25), that is by 3 components (Paatero and Tapper, 1994; "
        "Lee and Seung, 1999). The number of components, 3, was chosen as follows: the smallest error. The loss was "
        "the generalised Kullback-Leibler divergence, the sum of x log(x / y) - x + y over entries x of X and y of the "
        "model (Lee and Seung, 2001). The penalty 0.01 x 25 (0.25 ||W||_1 + 0.75 ||W||_F^2 / 2) + 0.01 x 40 "
        "(0.25 ||H||_1 + 0.75 ||H||_F^2 / 2) was added, which grows with the size of X, 25 features and 40 samples. "
        "The factors were found by coordinate descent with Newton steps (Hsieh and Dhillon, 2011; Hien and Gillis, "
        "2021), accelerated by extrapolation (Ang and Gillis, 2019). The fit started from absolute values of normal "
        "random numbers, scaled to the mean of X (Pedregosa et al., 2011), with the random seed 4. This fit converged "
        f"after {f.n_iter} iterations, when ten of them had lowered the objective by less than 0.0001 of it. The model "
        f"explains {explained:.4g}% of the sum of squares of X (relative error {np.sqrt(1 - explained / 100):.4g}; the "
        f"loss is {f.divergence:.6g}). Computations were made with nmf-core {nmf_core.__version__} (nmf-core "
        f"developers, 2026), {versions}."
    )


@pytest.mark.parametrize(
    ("case", "facts"),
    [
        ("CSR", [f"{COUNTS.nnz} of 4000 entries ({100 * COUNTS.nnz / 4000:.4g}%) stored, all others zero"]),
        ("NaN", ["857 of 1000 entries (85.7%) known, the others missing", "only the known entries of X count"]),
        ("float32", ["features; float32)"]),
        ("biases", ["plus a mean, a bias of each sample", "Biases were penalised", "0.05 x 25 ||W||_F^2 / 2"]),
        ("unstored", ["term of every row of W and every column of H is multiplied by the number of known entries"]),
        ("penalties", ["0.01 x 25 (0.5 ||W||_1 + 0.5 ||W||_F^2 / 2) + 0.02 x 40 (0.5 ||H||_1 + 0.5 ||H||_F^2 / 2)"]),
        ("l1", ["0.01 x 25 ||W||_1 + 0.01 x 40 ||H||_1 was"]),
        ("beta", ["the beta-divergence with beta = 1.5", "the loss is"]),
        ("Itakura-Saito", ["Itakura-Saito divergence", "had been added to every entry of X", "limit of 20 iterations"]),
        ("several starts", ["from each of 4 starts", "seeds derived from 0", "lowest objective was kept (seed "]),
        ("plain", ["cyclic coordinate descent", "at most 0.001, relative to X"]),
        ("shuffle", ["random order", "limit of 15 iterations, before it had converged to a tolerance of 0.0001"]),
        ("mu", ["multiplicative updates", "stopped after 30 iterations, as had been asked for"]),
        ("time limit", ["stopped after 1 iteration by a time limit"]),
        ("callback", ["stopped after 4 iterations by a callback"]),
        ("weights", ["every entry of X counts with its weight", "weighted sum of squares of X"]),
        ("unknown source", ["no seed recorded"]),
        ("both factors", ["factors that were given."]),
        ("bounds", ["Further terms for H: upper=[0.7 0.7 0.7]."]),
        ("stop", ["by a rule of our own (small step and relative change)"]),
        ("loss", ["a loss of our own, 'squares'"]),
        ("solver", ["a solver of our own, 'projected-gradient'"]),
    ],
)
def test_facts(case, facts):
    text = methods(fit({**FITS, **NAMED}[case]))
    for fact in facts:
        assert fact in text


@pytest.mark.parametrize("case", [*FITS, *NAMED])
def test_nothing_is_said_that_was_not(case):
    """Conditions are named only where there are some, and it is one line of whole sentences."""
    A, arguments = {**FITS, **NAMED}[case]
    f = fit((A, arguments))
    text = methods(f)
    assert text.isprintable()
    assert "  " not in text
    assert ".." not in text
    assert text.count("(") == text.count(")")
    words = {
        "penalty": "alpha_W", "missing": "missing", "weight": "weights", "bias": "biases", "added to every": "floor",
        "starts": "n_init", "random order": "shuffle", "Further": "bounds", "was chosen": "chosen",
    }  # fmt: skip
    for word, argument in words.items():
        given = argument in arguments or (argument == "bounds" and case == "bounds")
        assert (word in text) == given, word
    assert str(K) in text
    assert f"{f.n_iter} iteration" in text


def test_dropped_starts_are_counted():
    starts = [nmf_core.problem.Start(seed, 5.0 - seed, 20, "dropped" if seed < 2 else "tol") for seed in range(4)]
    f = replace(MODEL, history=replace(MODEL.history, starts=starts), stop_reason="tol", init="random")
    assert "kept (seed 3), and 2 fits were dropped early" in methods(f)
    f = replace(f, history=replace(f.history, starts=starts[1:]))
    assert "and 1 fit was dropped early" in methods(f)
    f = replace(f, stop_reason="time_limit")
    assert "converged after" in methods(f)
    assert "Further starts were cut short by a time limit." in methods(f)
    assert "n_init=3" in rerun(f)
    assert "may differ" in rerun(f)


@pytest.mark.parametrize("reason", ["interrupted", "overflow", "plateau", "small step", "max_iter"])
def test_other_ends(reason):
    text = methods(replace(MODEL, stop_reason=reason))
    wanted = {"interrupted": "from the keyboard", "overflow": "range of their precision", "plateau": "(plateau)",
              "small step": "changed each factor by at most 0.0001", "max_iter": "at the limit"}  # fmt: skip
    assert wanted[reason] in text


def test_sequential_fits_end_when_all_is_built():
    f = factorize(X, K, solver="sequential", random_state=0)
    assert "ended after 3 iterations, when all components had been built" in methods(f)


def test_nothing_to_explain():
    f = factorize(np.zeros((4, 3)), 1, random_state=0)
    assert "1 component (" in methods(f)
    assert "explains 100% of" in methods(f)


def test_results_of_estimators_and_of_others(monkeypatch):
    """What has the attributes is described: a fit of an estimator, an older file without some parameters."""
    kept = []

    def spy(**arguments):
        kept.append(factorize(**arguments))
        return kept[-1]

    monkeypatch.setattr("nmf_core.estimators.nmf.factorize", spy)
    nmf_core.NMF(K, random_state=0).fit(X)
    nmf_core.NMF(K, solver="mu", beta_loss=1, random_state=1).fit(X)
    assert "cyclic coordinate descent" in methods(kept[0])
    assert "rule of our own" in methods(kept[1])
    assert "seed 1" in methods(kept[1])
    assert "loss='kullback-leibler', solver='mu'" in rerun(kept[1])
    assert "stop=stop" in rerun(kept[1])
    names = ("W", "H", "n_components", "loss", "own_loss", "solver", "init", "history", "n_iter", "stop_reason",
             "n_stored", "squared_error", "X_squared_norm", "divergence", "biases")  # fmt: skip
    duck = SimpleNamespace(**{name: getattr(MODEL, name) for name in names}, parameters={"tol": 1e-4})
    assert methods(duck).startswith(methods(MODEL).partition(", with the random seed")[0])
    assert cite(duck) == cite(MODEL)
    assert rerun(duck).startswith(
        "nmf_core.factorize(X, 3, loss='frobenius', solver='hals', init='nndsvda', random_state=random_state)"
    )
    assert len(fingerprint(duck)) == 32


# --- the call


@pytest.mark.parametrize("case", FITS)
def test_the_call_repeats_the_fit(case):
    A, _ = FITS[case]
    f = fit(FITS[case])
    repeated = again(f, A)
    assert np.array_equal(repeated.H, f.H)
    assert np.array_equal(repeated.W, f.W)
    assert fingerprint(repeated) == fingerprint(f)


@pytest.mark.parametrize("case", NAMED)
def test_what_is_not_known_is_named(case):
    A, arguments = NAMED[case]
    f = fit(NAMED[case])
    call, _, comment = rerun(f).partition("  # ")
    for name in {name for name, value in arguments.items() if value is not None} - {"init", "max_iter", "update_H"}:
        assert f"{name}={name}" in call
        assert f"{name}: " in comment
    assert fingerprint(again(f, A, **deepcopy(arguments))) == fingerprint(f)


@pytest.mark.parametrize("init", STARTS)
def test_every_start_is_repeated(init):
    f = factorize(X, K, init=init, random_state=3, max_iter=5)
    assert f"init={init!r}" in rerun(f)
    assert fingerprint(again(f, X)) == fingerprint(f)


@pytest.mark.parametrize("init", [*RANDOM, BEST_OF])
def test_several_starts_are_repeated(init):
    f = factorize(X, K, init=init, random_state=3, max_iter=5, n_init=2)
    assert "n_init=2" in rerun(f)
    assert fingerprint(again(f, X)) == fingerprint(f)


@pytest.mark.parametrize("solver", SOLVERS)
def test_every_solver_is_repeated(solver):
    loss = next(loss for loss in LOSSES if SOLVERS[solver].handles(LOSSES[loss]))
    f = factorize(X, K, solver=solver, loss=loss, random_state=3, max_iter=5)
    assert f"solver={solver!r}" in rerun(f)
    assert fingerprint(again(f, X)) == fingerprint(f)


def test_defaults_are_left_out():
    f = factorize(X, K, random_state=0)
    assert rerun(f) == "nmf_core.factorize(X, 3, loss='frobenius', solver='hals', init='nndsvda', random_state=0)"


def test_the_order_of_components_is_repeated_where_the_result_knows_it():
    if "sort" not in inspect.signature(factorize).parameters:
        pytest.skip("components are never sorted")
    f = factorize(X, 8, random_state=0, max_iter=20, sort=False)
    f = replace(f, parameters={**f.parameters, "sort": False})
    assert "sort=False" in rerun(f)
    assert np.array_equal(again(f, X).H, f.H)


def test_the_call_is_one_line():
    """Whatever names and bounds look like."""
    odd = replace(MODEL, loss="of\nmine", solver="'x'\n", parameters={**MODEL.parameters, "factor_W": "a\r\nb"})
    line = rerun(odd)
    assert len(line.splitlines()) == 1
    compile(line, "line", "eval")
    assert cited(methods(odd))
    assert methods(odd).isprintable()


@pytest.mark.parametrize("update_H", [True, False, FREE], ids=str)
def test_what_was_held_fixed_is_told_and_repeated(update_H, tmp_path):
    f = factorize(X, H=H0, update_H=update_H, random_state=0)
    f.save(tmp_path / "f.npz")
    assert load(tmp_path / "f.npz").parameters == f.parameters
    text, call = methods(f), rerun(f)
    assert ("held fixed" in text) == (update_H is not True)
    assert ("Of H, c2 was given and held fixed." in text) == (update_H is FREE)
    assert ("W was found by" in text) == ("each row" in text) == ("extrapolation" not in text) == (update_H is False)
    assert (f"update_H={np.asarray(update_H).tolist()}" in call) == (update_H is not True)
    repeated = again(f, X, H=H0, W=None)
    assert np.array_equal(repeated.W, f.W)
    assert fingerprint(repeated) == fingerprint(f)


def test_options_of_a_solver_are_told_and_repeated(tmp_path):
    f = factorize(X, K, solver=nmf_core.solvers.SGD(rate=np.float64(0.1), rows=7), random_state=0, max_iter=5)
    f.save(tmp_path / "f.npz")
    f = load(tmp_path / "f.npz")
    assert "stochastic projected gradient descent with rate=0.1, rows=7 (Gemulla" in methods(f)
    assert "solver=nmf_core.solvers.SGD(rate=0.1, rows=7)" in rerun(f)
    assert fingerprint(again(f, X)) == fingerprint(f)
    same = factorize(X, K, solver=nmf_core.solvers.SGD(), random_state=0, max_iter=5)
    assert fingerprint(same) == fingerprint(factorize(X, K, solver="sgd", random_state=0, max_iter=5)) != fingerprint(f)


# --- of many runs


@pytest.mark.parametrize(
    ("how", "more", "said"),
    [
        ("poisson", {}, "a Poisson distribution with that of X as its mean (Islam et al., 2022), with the random seed"),
        ("bootstrap", {"weights": COUNTS.toarray() + 1}, "drawn from those of X with replacement (Efron, 1979)"),
        ("subsample", {"fraction": 0.7}, "of 0.7 of the samples of X, drawn without replacement"),
    ],
)
def test_runs_of_replicates_are_told_and_repeated(how, more, said, tmp_path):
    f = run_of(how, **more)
    f.save(tmp_path / "f.npz")
    f = load(tmp_path / "f.npz")
    assert f.parameters["resample"] == how
    assert f.parameters["random_state"] == nmf_core.initialization.make_seeds(2, 2)[1]
    assert said in methods(f)
    assert "W is that of X itself" in methods(f)
    assert cited(methods(f)) == labels(f)
    repeated = again(f, COUNTS, weights=more.get("weights"))
    assert np.array_equal(repeated.H, f.H)
    assert np.array_equal(repeated.W, f.W)
    assert fingerprint(repeated) == fingerprint(f)
    assert fingerprint(replace(f, parameters={**f.parameters, "resample": None})) != fingerprint(f)


@pytest.mark.parametrize(
    ("arguments", "options", "said"),
    [
        ({}, {}, "components of 5 runs. These were scaled to unit length; those with a mean distance of at least 0.5"),
        ({"loss": 1, "resample": "poisson"}, {"density_threshold": 2}, "runs, each of a replicate of X in which every"),
        ({}, {"clustering": "matching", "average": "mean"}, "none held two of one run; and each cluster became a "
                                                            "component, its mean, scaled to a sum of one"),
        ({"alpha_W": 0.01}, {"neighbourhood": 0.5}, "scaled to a sum of the median of theirs (Kotliar et al., 2019)"),
    ],
)  # fmt: skip
def test_what_runs_have_in_common_is_told_and_repeated(arguments, options, said, tmp_path):
    A = COUNTS.toarray() if arguments.get("resample") else X
    f = common_to(nmf_core.factorize_many(A, K, 5, random_state=2, **arguments), **options)
    f.save(tmp_path / "f.npz")
    f = load(tmp_path / "f.npz")
    text = methods(f)
    assert said in text
    assert "with seeds derived from 2" in text
    assert "In every run the factors were found by" in text
    assert text.isprintable()
    assert ".." not in text
    assert cited(text) == labels(f)
    repeated = again(f, A)
    assert np.array_equal(repeated.H, f.H)
    assert np.array_equal(repeated.W, f.W)
    assert fingerprint(repeated) == fingerprint(f)


def test_seeds_that_are_not_spawned_from_the_first_are_of_an_unknown_source():
    ensemble = nmf_core.factorize_many(X, K, 3, random_state=np.random.RandomState(0))
    line = rerun(common_to(ensemble))
    assert "random_state=random_state" in line
    assert "unknown source" in line
    names = {"nmf_core": nmf_core, "X": X, "random_state": np.random.RandomState(0)}
    assert fingerprint(eval(line, names)) == fingerprint(common_to(ensemble))


def test_components_held_fixed_in_all_runs():
    given = Factor(H0, free=FREE)
    f = common_to(nmf_core.factorize_many(X, K, 3, H=given, random_state=0))
    assert "update_H" not in rerun(f).partition("#")[0]
    assert "H: a Factor with free=[True, False, True]" in rerun(f)
    assert fingerprint(again(f, X, H=given, W=None)) == fingerprint(f)


def test_who_has_chosen_the_number_of_components():
    survey = nmf_core.rank_survey(X, [2, 3], 2, held_out=False, random_state=0)
    f = survey[survey.best].best
    texts = {f.methods(chosen=chosen) for chosen in (survey, survey.choose(survey.rule), survey.reason)}
    assert len(texts) == 1
    assert survey.reason in texts.pop()
    for chosen in (survey.best, ["a"]):
        with pytest.raises(TypeError, match=r"chosen must say in words .* or be a RankSurvey"):
            f.methods(chosen=chosen)


def test_fits_by_batches_are_told_and_repeated():
    pytest.importorskip("sklearn")
    model = nmf_core.MiniBatchNMF(K, batch_size=7, forget_factor=0.5, random_state=0).fit(X)
    f = model.result_
    assert "in batches of 7 samples" in f.methods()
    assert "counting 0.5 as much" in f.methods()
    assert "Mairal" in f.methods()
    assert "mairal2010" in f.cite()
    assert fingerprint(eval(rerun(f))) == f.fingerprint
    drawn = nmf_core.MiniBatchNMF(K, random_state=np.random.RandomState(0)).fit(X).result_
    assert "unknown source" in rerun(drawn)


def test_interrupted_fits_say_that_they_may_differ():
    assert "max_iter=1" in rerun(replace(MODEL, stop_reason="interrupted", n_iter=0))
    assert "may differ" in rerun(replace(MODEL, stop_reason="interrupted"))
    assert "may differ" not in rerun(replace(MODEL, stop_reason="callback"))


# --- the digest


@pytest.mark.parametrize("case", FITS)
def test_the_digest_does_not_depend_on_threads_or_time(case, tmp_path):
    A, arguments = FITS[case]
    prints = {fingerprint(fit((A, {**arguments, "n_threads": n}))) for n in (1, 2, 3)}
    assert len(prints) == 1
    assert re.fullmatch("[0-9a-f]{32}", *prints)
    f = fit(FITS[case])
    f.save(tmp_path / "f.npz")
    loaded = load(tmp_path / "f.npz")
    assert {fingerprint(f), fingerprint(loaded), fingerprint(replace(f, seconds=9.0, n_threads=77))} == prints
    assert methods(loaded) == methods(f)
    assert cite(loaded) == cite(f)
    assert rerun(loaded) == rerun(f)


@pytest.mark.parametrize("case", NAMED)
def test_a_file_knows_as_much(case, tmp_path):
    f = fit(NAMED[case])
    f.save(tmp_path / "f.npz")
    loaded = load(tmp_path / "f.npz")
    assert fingerprint(loaded) == fingerprint(f)
    assert rerun(loaded) == rerun(f)
    assert methods(loaded) == methods(f)


@pytest.mark.parametrize("name", [name for name in MODEL.parameters if name not in ("max_iter", "time_limit")])
def test_every_parameter_counts(name):
    other = replace(MODEL, parameters={**MODEL.parameters, name: "something else"})
    assert fingerprint(other) != fingerprint(MODEL)


@pytest.mark.parametrize(
    "changes",
    [
        {"loss": 1.5},
        {"solver": "mu"},
        {"init": "random"},
        {"n_iter": 3},
        {"biases": nmf_core.problem.Biases(1.0, np.zeros(40), np.zeros(25))},
        {"H": MODEL.H.astype(np.float32)},
        {"H": MODEL.H[::-1]},
        {"H": np.nextafter(MODEL.H, 9)},
        {"H": MODEL.H.reshape(1, -1)},
        {"H": MODEL.H.reshape(5, -1)},
    ],
)
def test_everything_counts(changes):
    assert fingerprint(replace(MODEL, **changes)) != fingerprint(MODEL)


def test_the_number_of_starts_counts():
    one, several = (factorize(X, K, init="random", random_state=0, n_init=n, max_iter=5) for n in (1, 3))
    assert fingerprint(one) != fingerprint(several)


def test_limits_that_were_not_reached_do_not_count():
    assert MODEL.converged
    assert fingerprint(factorize(X, K, random_state=0, max_iter=999, time_limit=3600)) == fingerprint(MODEL)
    assert fingerprint(factorize(X, K, random_state=0, max_iter=5)) != fingerprint(MODEL)


def test_how_H_lies_in_memory_does_not_count():
    zero = replace(MODEL, H=np.where(MODEL.H > 0.1, MODEL.H, 0.0))
    negative = replace(MODEL, H=np.where(MODEL.H > 0.1, MODEL.H, -0.0))
    assert np.signbit(negative.H).any()
    others = [np.asfortranarray(zero.H), np.repeat(zero.H, 2, axis=1)[:, ::2], zero.H.astype(">f8")]
    prints = {fingerprint(f) for f in (zero, negative, *(replace(zero, H=H) for H in others))}
    assert len(prints) == 1
    assert negative.H.tobytes() != zero.H.tobytes()  # and nothing was changed


def test_a_golden_digest():
    """It stays what it is from version to version, for the same bits."""
    H = np.arange(6.0).reshape(2, 3)
    history = nmf_core.problem.History(np.zeros(0), np.zeros(0), np.zeros(0))
    f = SimpleNamespace(H=H, parameters={"tol": 1e-4, "missing": None, "max_iter": 200}, loss="frobenius",
                        solver="hals", init="random", biases=None, n_iter=7, history=history)  # fmt: skip
    assert fingerprint(f) == "c6ca5e7ec01a86955f7fe78e5ffc1362"


def test_rules_are_not_confused():
    """A rule of one's own that counts iterations is a rule, whatever it is called."""
    f = factorize(X, K, random_state=0, stop=MaxIter(4))
    assert "stopped after 4 iterations, as had been asked for" in methods(f)
