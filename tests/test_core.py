"""The compiled kernels against their slow twins, closed forms, SciPy's nnls and scikit-learn."""

import inspect
import re
import shutil
import subprocess
import sys
from copy import deepcopy
from decimal import Decimal, localcontext
from itertools import pairwise, product
from pathlib import Path

import numpy as np
import pytest
import reference
from scipy.optimize import nnls

from nmf_core import _core
from nmf_core.data import as_container
from nmf_core.engine import factor_array
from nmf_core.losses import Beta
from nmf_core.solvers import SOLVERS, QuadraticSolver

KERNELS = sorted(
    name
    for name, value in vars(_core).items()
    if isinstance(value, type(_core.dense_pass)) and not name.startswith("_")
    if name not in ("best_level", "csr_passes", "dense_passes", "gauge", "max_threads", "unbalanced")
)
PARAMETERS = {name: list(inspect.signature(getattr(_core, name)).parameters) for name in KERNELS}
BETAS = (-1.0, 0.0, 0.5, 1.0, 1.5, 2.0, 2.5)
LEVELS = range(_core.best_level() + 1)
PRECISIONS = {np.float32: 2e-5, np.float64: 1e-12}
THREADS = (1, 2, 3)
# Kernels that have such a parameter can be asked for something more: entries with weights, components that may be
# negative, costs of components that differ from row to row.
VARIANTS = {"weights": "weighted", "lower": "unbounded", "damped": "each"}
# How work is dealt out does not depend on beta, but for the one whose denominators are known.
DEALT = (1.0, 1.5)


def choices(name):
    """What a kernel can be asked to compute, in words and by the arguments that say so."""
    found = {name: {}}
    if "method" in PARAMETERS[name]:
        # the steps are the same whatever holds X
        methods = _core.METHODS if name == "factor_pass" else ("hals", "mu")
        found = {f"{name} {method}": {"method": _core.METHODS[method]} for method in methods}
    if "rule" in PARAMETERS[name]:
        found = {f"{name} {rule}": {"rule": number} for rule, number in _core.PIVOT_RULES.items()}
    if "exponent" in PARAMETERS[name] or name.endswith("divergence"):
        # what zeros add to the divergence is finite for positive ones only
        found = {f"{name} {beta:g}": {"loss_beta": beta} for beta in BETAS if beta > 0 or name != "model_divergence"}
    for parameter, variant in VARIANTS.items():
        if parameter in PARAMETERS[name]:
            found |= {
                f"{words}, {variant}": choice | {variant: True}
                for words, choice in found.items()
                if choice.get("loss_beta", 1.0) in DEALT
            }
    return found


def each(calls):
    """Run a test for each of these kernels and choices."""
    return pytest.mark.parametrize(("name", "choice"), calls.values(), ids=calls)


def those_with(*parameters, betas=BETAS):
    """The kernels that have all these parameters; of beta-divergences these only."""
    return {
        words: (name, choice)
        for words, (name, choice) in CALLS.items()
        if {*parameters} <= {*PARAMETERS[name]} and choice.get("loss_beta", betas[0]) in betas
    }


# What there is to compute: by every kernel, by those that improve a factor, by multiplicative updates for any beta.
CALLS = {words: (name, choice) for name in KERNELS for words, choice in choices(name).items()}
STEPS = those_with("start")
IN_PARTS = those_with("exponent")
NEWTON = ("dense_newton", "csr_newton")
OBSERVED = [name for name in KERNELS if name.startswith("observed")]

# What makes their matrix and their rate.
OTHER_METHODS = {
    _core.METHODS[solver.method.name]: solver.method.prepared
    for solver in SOLVERS.values()
    if (isinstance(solver, QuadraticSolver) and solver.method.prepare is not None) or solver.name == "greedy"
}

# n, m, k, ld: around the widths of vectors, tiles and groups of coordinates; ld from no padding to a lot.
SHAPES = [
    (1, 1, 1, 1),
    (1, 9, 2, 2),
    (9, 1, 3, 3),
    (3, 5, 4, 4),
    (5, 3, 5, 8),
    (15, 16, 6, 7),
    (17, 31, 7, 12),
    (33, 8, 8, 8),
    (64, 33, 9, 9),
    (65, 40, 12, 12),
    (70, 17, 16, 16),
    (31, 50, 17, 24),
    (20, 64, 31, 31),
    (40, 23, 32, 32),
    (19, 70, 33, 48),
    (12, 37, 63, 64),
    (10, 90, 64, 64),
    (66, 45, 65, 65),
    (9, 30, 100, 104),
    (8, 20, 130, 130),
    (130, 35, 10, 16),
    (530, 33, 15, 16),  # two groups of rows
    (1040, 170, 3, 4),  # several groups, in pieces; several chunks of entries a block
    (80, 4200, 2, 4),  # several slabs of rows; rows too long to lie side by side
]
# Of sizes at the same edges the default run takes one.
BETWEEN = [(n, m, k, ld) for n, m, k, ld in SHAPES if k in (3, 4, 5, 6, 10, 12, 16, 31, 63, 100) and n < 500]


def entries(rng, n, m, full):
    """A matrix and which entries are stored: all, or without those of a row and a column, but with some zeros."""
    X, stored = rng.gamma(1.0, size=(n, m)), rng.random((n, m)) < 0.5
    if full:
        return X + 0.05, np.ones_like(stored)
    if min(n, m) > 2:
        stored[n // 2] = stored[:, m // 2] = False
    return X * stored * (rng.random((n, m)) < 0.8), stored


def compressed(X, stored, n_stripes, n_groups, rng):
    """CSR and how it is dealt out."""
    n, m = X.shape
    indptr = np.concatenate([[0], np.cumsum(stored.sum(axis=1))])
    windows = np.unique([0, n // 3, n])
    arrays = {
        "indices": np.nonzero(stored)[1],
        "indptr": indptr,
        "bounds": np.sort(rng.integers(0, m + 1, n_stripes - 1), kind="stable"),
        "splits": np.zeros((n_stripes - 1, n)),
        "groups": np.unique([0, *(n // 64 * 64 * np.arange(n_groups) // n_groups // 64 * 64), n]),
        "rows": np.concatenate(
            [a + np.argsort(-np.diff(indptr[a : b + 1]), kind="stable") for a, b in pairwise(windows)]
        ),
        "windows": windows,
    }
    arrays = {name: array.astype(np.int32 if name == "indices" else np.int64) for name, array in arrays.items()}
    reference.call(reference.csr_split, **arrays)
    return {"data": X[stored], **arrays}


def problem(
    name, n, m, k, ld, dtype, n_stripes=3, n_groups=2, seed=0, stored=None, loss_beta=1.0,
    weighted=False, unbounded=False, each=False, **options,
):  # fmt: skip
    """Arguments for a kernel, by name."""
    rng = np.random.default_rng(seed)

    def factor(rows):
        array = np.zeros((rows, ld), dtype=dtype)
        array[:, :k] = rng.random((rows, k))
        return array

    F, F_new, previous, G = factor(n), factor(n), factor(n), factor(m)
    if stored is None:
        X, stored = entries(rng, n, m, full=loss_beta <= 0 and name not in OBSERVED)
    else:
        X = rng.gamma(1.0, size=(n, m)) * stored
    if name in OBSERVED and loss_beta <= 0:
        X = (X + 0.05) * stored
    X = X.astype(dtype)
    one_sum = loss_beta == 1  # for all rows alike
    S = factor(m + (k if "exponent" not in PARAMETERS[name] else 1 if one_sum else m))
    values = reference.pass_values(F, G, S, 0, gram=(G.T @ G)[:k, :k].copy()) | {
        "C": rng.random((n, ld)).astype(dtype),
        "FtF": factor(k),
        "report": np.array([0.5, 0.0, 3.0, 7.0, 1.0, 2.0]),
        "X": X,
        "cross": X @ G,
        "numerator": factor(n),
        "denominator": factor(1 if one_sum else n),
        "loss_beta": loss_beta,
        "exponent": Beta(loss_beta).exponent,
    }
    values |= compressed(X, stored, n_stripes, n_groups, rng)
    values["spare"] = {"F_new": F_new, "previous": previous, "scale": rng.uniform(0.5, 2, k).astype(dtype)}
    if name in OBSERVED:
        amounts = rng.random(len(values["data"])) * (rng.random(len(values["data"])) < 0.9)
        values |= {
            "bounds": values["windows"],
            "weights": 2 * amounts.astype(dtype) if weighted else None,
            "amounts": rng.uniform(0.5, 1.5, n).astype(dtype),
            "lower": np.where(unbounded & (np.arange(k) % 3 == 1), -np.inf, 0).astype(dtype),
        }
    elif name == "top_columns":  # of whole numbers, so that there is no rounding, but many are equal
        F, G = (np.ceil(4 * A) for A in (F, G))
        best = (n, min(m, 7))
        values |= {"F": F, "G": G, "k": k, "columns": np.full(best, -1), "scores": np.full(best, -1, dtype=dtype)}
        values["indices"] = values["indices"].astype(np.int64)
    elif name == "factor_sums":
        values["sums"] = rng.random(k)
    elif name == "factor_gram":
        values["FtF"] = rng.random((k, ld))
    elif name == "part_squares":
        values |= {"F": rng.standard_normal((n, ld)).astype(dtype), "squares": rng.random((2, k))}
    elif name == "factor_product":
        values["T"] = np.zeros((k, ld), dtype=dtype)
        values["T"][:, :k] = rng.standard_normal((k, k))
    elif name == "keep_parts":
        values |= {"factors": rng.standard_normal(k).astype(dtype), "least": 0.1, "fill": 0.3}
    elif name == "csr_order":
        values["m"] = m
    elif name == "dense_scan":
        values["found"] = rng.random(6)
    elif name == "nnls_pivot":
        A = rng.standard_normal((4 * k + 5, k)) + 0.3
        A /= np.linalg.norm(A, axis=0)
        values |= {"Z": np.zeros((n, k), dtype=dtype), "gram": (A.T @ A).astype(dtype), "max_steps": 400}
        values["cross"] = (rng.standard_normal((n, len(A))) @ A).astype(dtype)
    if name.endswith("divergence"):
        values |= {"beta": loss_beta, "floors": values["floors"].astype(np.float64)}
    values |= options
    if values["method"] in OTHER_METHODS:  # a regular Gram matrix, so that there is one solution
        values["gram"] += np.diag(values["gram"].diagonal() / 5).astype(dtype)
        values = prepared(values)
    if name in NEWTON:  # the penalty is a part of what a component costs
        amounts = rng.uniform(0.5, 1.5, (n, 1)).astype(dtype) if each else dtype(1)
        values["sums"] = (values["sums"] + dtype(values["l1"])) * amounts
        values = reference.for_newton(values)
        values["l2"] *= np.ravel(amounts)
    return values


def prepared(values):
    """The same with the matrix and the rate that the method wants for this Gram matrix."""
    if values["method"] not in OTHER_METHODS:
        return values
    matrix, rate = OTHER_METHODS[values["method"]](values["gram"], values["order"])
    return values | {"matrix": matrix, "rate": rate}


def run(module, name, values, workspace=None, **in_place):
    """All arguments of a call afterwards, and what it returned; the given ones stay as they are, but those in place."""
    values = deepcopy({name: value for name, value in values.items() if name not in in_place}) | in_place
    result = reference.call(getattr(module, name), **values, **({} if workspace is None else {"workspace": workspace}))
    names = inspect.signature(getattr(reference, name)).parameters
    return {name: values[name] for name in names} | {"returned": result}


def precision(name, dtype, method=None):
    """What rounding may change, relative to the largest number of an array.

    A Newton step weighs entries by 1 / y^2, and y follows the coordinates by differences: where it has almost vanished
    it keeps the rounding of what it was. That makes up to 700 ulps here, at every level and in both dtypes; an ulp or
    two of an approximate reciprocal is nothing beside it. Gradients of rows with missing entries follow the coordinates
    by differences, too, and where a row has fewer entries than there are components, they vanish. Solutions of systems
    have the rounding of their matrix times its condition.
    """
    if method in (_core.METHODS["als"], _core.METHODS["admm"]):
        return 1e-3 if dtype == np.float32 else 1e-9
    return 1e-4 if name in (*NEWTON, "observed_hals", "nnls_pivot") and dtype == np.float32 else PRECISIONS[dtype]


def assert_close(actual, expected, values, precision):
    """Numbers within rounding of the largest that was or is in their array; integers and counts exactly."""
    assert actual.keys() == expected.keys()
    for name, wanted in expected.items():
        if name == "report":
            np.testing.assert_array_equal(actual[name][1:3], wanted[1:3])
            np.testing.assert_allclose(actual[name][[0, 3, 4, 5]], wanted[[0, 3, 4, 5]], rtol=10 * precision)
        elif isinstance(wanted, (np.ndarray, float)) and np.asarray(wanted).dtype.kind == "f":
            both = map(np.asarray, (wanted, values.get(name, 0.0)))
            largest = max(np.abs(A[np.isfinite(A)]).max(initial=0) for A in both)
            # sums in double are such in float32 too
            bound = (1e-12 if np.asarray(wanted).dtype == np.float64 and precision > 1e-6 else precision) * largest
            np.testing.assert_allclose(actual[name], wanted, rtol=0, atol=bound, err_msg=name)
        else:
            np.testing.assert_array_equal(actual[name], wanted, err_msg=name)


def assert_same_bits(actual, expected):
    assert actual.keys() == expected.keys()
    for name, wanted in expected.items():
        np.testing.assert_array_equal(actual[name], wanted, err_msg=name)


def assert_equals_twin(name, values, dtype, levels=LEVELS, **in_place):
    expected = run(reference, name, values)
    for level in levels:
        actual = run(_core, name, values, _core.Workspace(level=level), **in_place)
        assert_close(actual, expected, values, precision(name, dtype, values.get("method")))


# --- twins


@pytest.mark.parametrize("name", KERNELS)
def test_every_kernel_has_a_twin_with_its_arguments(name):
    assert PARAMETERS[name][-1] == "workspace"
    assert list(inspect.signature(getattr(reference, name)).parameters) == PARAMETERS[name][:-1]


def test_every_method_has_a_twin_and_a_solver():
    assert set(reference.STEPS) == set(_core.METHODS)
    assert {"mu", *(solver.method.name for solver in SOLVERS.values() if isinstance(solver, QuadraticSolver))} == set(
        _core.METHODS
    )


def combined(calls, *others, rest=()):
    """Parameters for each of these kernels and choices with all pairs of two lists; some of the first are the rest."""
    for words, call in calls.items():
        for one, other in product(*others):
            marks = [pytest.mark.exhaustive] * (one in rest)
            yield pytest.param(*call, one, other, id=f"{words}-{one}-{getattr(other, '__name__', other)}", marks=marks)


TWINS = those_with("workspace", betas=(0.0, 1.0, 1.5))  # all of them: below
FEW = {words: call for words, call in TWINS.items() if {*VARIANTS.values()} & {*call[1]}}


@pytest.mark.parametrize(
    ("name", "choice", "shape", "dtype"),
    [
        *combined({words: call for words, call in TWINS.items() if words not in FEW}, SHAPES, PRECISIONS, rest=BETWEEN),
        *combined(FEW, SHAPES[::3], PRECISIONS),
    ],
)
def test_kernel_equals_twin(name, choice, shape, dtype):
    assert_equals_twin(name, problem(name, *shape, dtype, **choice), dtype)


# Rounding may leave a row that is empty, or of which one coordinate is above zero, a step from its goal, or not; this
# counts it as done.
DONE = 1e-4
OPTIONS = {
    "three sweeps": {"max_sweeps": 3, "tol": DONE},
    "l1": {"l1": 2.5},
    "l1 larger than everything": {"l1": 1e3},
    "l2": {"l2": 2.5},
    "l1, l2, two sweeps": {"l1": 0.5, "l2": 20.0, "max_sweeps": 2, "tol": DONE},
    "no statistics": {"S": None, "FtF": None},
    "damped": {"damped": True},
    "no measure": {"measure": False},
    "no sweep": {"max_sweeps": 0},
    "no component": {"order": np.empty(0, dtype=np.int32)},
    "some components": {"order": np.array([1, 2, 4, 7, 8], dtype=np.int32)},
    "one component": {"order": np.array([5], dtype=np.int32)},
    "reversed": {"order": np.arange(10, dtype=np.int32)[::-1].copy(), "max_sweeps": 2, "tol": DONE},
    "shuffled": {"order": np.array([3, 1, 4, 9, 5, 2, 6, 8, 7, 0], dtype=np.int32), "l1": 0.5},
    "some, shuffled": {"order": np.array([8, 0, 6, 3, 2], dtype=np.int32), "max_sweeps": 3, "tol": DONE},
}


def knows(name, option):
    """Whether the option has a meaning for a kernel; Newton steps find l1 in the sums."""
    return bool(option.keys() & {*PARAMETERS[name], *(("l1",) if name in NEWTON else ())})


@pytest.mark.parametrize(
    ("name", "choice", "option", "dtype"),
    [p for p in combined(STEPS, OPTIONS, PRECISIONS) if knows(p.values[0], OPTIONS[p.values[2]])],
)
def test_options_of_a_step(name, choice, option, dtype):
    choice = choice | OPTIONS[option]
    assert_equals_twin(name, problem(name, 45, 30, 10, 12, dtype, **choice), dtype)


@pytest.mark.parametrize("alias", [False, True])
@pytest.mark.parametrize(("name", "choice", "momentum", "dtype"), [*combined(STEPS, [0.0, 0.7, 5.0], PRECISIONS)])
def test_extrapolation(name, choice, alias, momentum, dtype):
    values = problem(name, 45, 30, 10, 12, dtype, momentum=momentum, max_sweeps=2, tol=DONE, **choice)
    values |= values["spare"]
    values["previous" if alias else "start"] = values["F_new"] if alias else values["F"][::-1].copy()
    assert_equals_twin(name, values, dtype)


@pytest.mark.parametrize("dtype", PRECISIONS)
@pytest.mark.parametrize("shape", [(45, 30, 10, 12), (530, 33, 15, 16), (2000, 40, 5, 8)], ids=str)
@each({words: call for words, call in STEPS.items() if "gram" in PARAMETERS[call[0]]})
def test_gram_matrix_before_extrapolation(name, choice, shape, dtype):
    k = shape[2]
    values = problem(name, *shape, dtype, momentum=0.7, **choice)
    values |= values["spare"]
    plain = run(_core, name, values, _core.Workspace(2))
    array = "S" if "S" in PARAMETERS[name] else "FtF"
    values[array] = np.concatenate([values[array], np.zeros_like(values[array][:k])])
    if choice.get("method", 0) in (_core.METHODS["hals"], _core.METHODS["mu"]):
        assert_equals_twin(name, values, dtype)
    more = run(_core, name, values, _core.Workspace(2))
    F_new = more["F_new"].astype(np.float64)
    np.testing.assert_allclose(more[array][-k:], (F_new.T @ F_new)[:k], rtol=10 * PRECISIONS[dtype])
    more[array] = more[array][:-k]
    assert_same_bits(more, plain)


@pytest.mark.parametrize("dtype", PRECISIONS)
@pytest.mark.parametrize("shape", [(70, 41), (1200, 110)])
@each(
    {
        words: (name, choice)
        for words, (name, choice) in those_with("S", "max_sweeps", betas=DEALT).items()
        if choice.get("method", 0) == 0
    }
)
def test_the_first_part_of_statistics_alone(name, choice, shape, dtype):
    values = problem(name, *shape, 10, 12, dtype, **(choice | {"max_sweeps": 0}))
    m = shape[1]
    whole = run(_core, name, values, _core.Workspace(2))["S"]
    room = values["S"].copy()
    room[m:] = 99
    alone = run(_core, name, values, _core.Workspace(2), S=room[:m])["S"]
    np.testing.assert_array_equal(alone, whole[:m])
    assert (room[m:] == 99).all()


def test_gauge():
    then, now = np.array([4.0, 4.0, 4.0, 0.0, 4.0, 4.0]), np.array([1.0, 0.0, 1e-9, 1.0, 16.0, 1.0])
    scale = np.ones(6)
    _core.gauge(scale, then, now, np.array([4, 0, 1, 2, 3], dtype=np.int32))
    np.testing.assert_array_equal(scale, [2.0, 1.0, 1.0, 1.0, 0.5, 1.0])


@pytest.mark.parametrize("dtype", PRECISIONS)
@each(IN_PARTS)
def test_extrapolation_leaves_a_quarter_of_an_entry(name, choice, dtype):
    """A zero would stay one for ever."""
    values = problem(name, 45, 30, 10, 12, dtype, momentum=1e3, **choice)
    values |= values["spare"]
    values["previous"][:] = 50
    done = run(_core, name, values, _core.Workspace())
    np.testing.assert_array_equal(done["F"], done["F_new"] / 4)
    assert (done["F_new"][:, :10] > 0).any()


@pytest.mark.parametrize("l1", [0.0, 0.25])
@pytest.mark.parametrize("dtype", PRECISIONS)
@each(STEPS)
def test_components_without_a_partner(name, choice, dtype, l1):
    """Zero columns of G: zeros on the diagonal of gram and in cross, in the sums and in numerators and denominators."""
    values = problem(name, 45, 30, 10, 12, dtype, l1=l1, **choice)
    values["gram"][[2, 7]] = values["gram"][:, [2, 7]] = 0
    for array in ("G", "numerator", "denominator"):
        values[array][:, [2, 7]] = 0
    values["sums"][..., [2, 7]] = l1 if name in NEWTON else 0
    values["cross"] = values["X"] @ values["G"]
    assert_equals_twin(name, prepared(values), dtype)


@pytest.mark.parametrize("dtype", PRECISIONS)
@pytest.mark.parametrize("method", _core.METHODS)
def test_negative_cross(method, dtype):
    """Products with a residual may be negative; a factor never is."""
    values = problem("factor_pass", 45, 30, 10, 12, dtype, method=_core.METHODS[method])
    values["cross"][::2] -= 2 * values["cross"].max()
    assert_equals_twin("factor_pass", values, dtype)
    assert run(_core, "factor_pass", values, _core.Workspace())["F"].min() >= 0


@pytest.mark.parametrize("dtype", PRECISIONS)
@pytest.mark.parametrize("inner_updates", [1, 4])
@pytest.mark.parametrize("shape", [(70, 41, 10, 12), (33, 30, 130, 130), (9, 150, 5, 5)])
@pytest.mark.parametrize("beta", [0.5, 1.0, 1.2, 1.5, 3.0])
@pytest.mark.parametrize("name", ["dense_beta_pass", "csr_beta_pass"])
def test_more_updates_by_new_numerators_alone(name, beta, shape, inner_updates, dtype):
    values = problem(name, *shape, dtype, loss_beta=beta, l1=0.1, l2=0.2, max_sweeps=2, tol=DONE)
    values["F"][::3, 2] = 0
    values |= {"order": values["order"][1:].copy(), "inner_updates": inner_updates, "den_power": 0.25, "exponent": 0.8}
    assert_equals_twin(name, values, dtype)


@pytest.mark.parametrize("dtype", PRECISIONS)
@pytest.mark.parametrize("den_power", [0.2, 0.5, 1.0])
def test_denominators_grow_with_a_factor(den_power, dtype):
    given = {"loss_beta": 1.5, "l1": 0.1, "den_power": den_power, "exponent": 0.8}
    values = problem("factor_beta_pass", 45, 30, 10, 12, dtype, **given)
    values["order"] = values["order"][1:].copy()
    values["F"][:, 3] = values["numerator"][:, 4] = 0
    assert_equals_twin("factor_beta_pass", values, dtype)


@pytest.mark.parametrize("beta", [1.2, 1.5, 1.8])
def test_more_updates_lower_the_divergence(beta):
    """Where denominators grow at least as much as they could, every update does, not only the first."""
    values = problem("csr_beta_pass", 70, 41, 10, 12, np.float64, loss_beta=beta, den_power=beta - 1, S=None)
    after = []
    for inner_updates in range(5):
        F = run(_core, "csr_beta_pass", values | {"inner_updates": inner_updates}, _core.Workspace())["F"]
        model = reference.model(F, values["G"], 1e-10)
        after.append([np.sum(reference.losses(x, y, beta)) for x, y in zip(values["X"], model, strict=True)])
    assert (np.diff(after, axis=0) <= 1e-12).all()
    assert np.mean(np.diff(after, axis=0) < -1e-6) > 0.5


@pytest.mark.parametrize("dtype", PRECISIONS)
def test_numerators_without_a_denominator(dtype):
    values = problem("factor_beta_pass", 45, 30, 10, 12, dtype, loss_beta=0.0)
    values["denominator"][::2, ::3] = 0
    assert_equals_twin("factor_beta_pass", values, dtype)


@pytest.mark.parametrize("dtype", PRECISIONS)
@pytest.mark.parametrize(
    ("name", "limit"), [("dense_beta_pass", 1), ("csr_beta_pass", 1), ("factor_beta_pass", 1.5), ("observed_mu", 1.5)]
)
@pytest.mark.parametrize("beta", BETAS)
def test_shares_that_are_next_to_nothing_become_zero_for_small_betas(beta, name, limit, dtype):
    values = problem(name, 45, 30, 10, 12, dtype, loss_beta=beta)
    values["numerator"] += dtype(0.5)
    values["F"][:, 3] = 1e-20
    values["F"][:, 4] = 1e-12
    assert_equals_twin(name, values, dtype)
    F = run(_core, name, values, _core.Workspace())["F"][values["X"].any(axis=1)]
    assert (F[:, 3] == 0).all() == (beta < limit)
    assert (F[:, 4] > 0).all()


@pytest.mark.parametrize("unit", [0.1, 10.0])
@pytest.mark.parametrize("dtype", PRECISIONS)
@each(those_with("floors"))
def test_models_below_their_floors(name, choice, dtype, unit):
    """Every row has its own. A Newton step looks at them before it moves; later it follows the model by differences."""
    values = problem(name, 45, 30, 10, 12, dtype, measure=False, **choice)
    if name in NEWTON:
        values["order"] = values["order"][3:4].copy()
    values["G"] *= dtype(unit)
    values["sums"] *= dtype(unit)
    typical = values["F"] @ values["G"].mean(axis=0)
    values["floors"] = (typical * np.random.default_rng(0).uniform(0.5, 1.5, 45)).astype(values["floors"].dtype)
    floored = values["F"] @ values["G"].T < values["floors"][:, np.newaxis]
    assert 0.2 < floored.mean() < 0.8
    if (name, choice) == ("csr_beta_pass", {"loss_beta": 1.0}):
        values["max_sweeps"] = 0  # the sum of its model, which a step tells, knows no floors
    assert_equals_twin(name, values, dtype)


@pytest.mark.parametrize("tol", [0.3, 1e-2])
@each(STEPS)
def test_sweeps_until_each_row_is_done(name, choice, tol):
    values = problem(name, 45, 30, 10, 12, np.float64, max_sweeps=12, tol=tol, **choice)
    values["cross"][7] = 0
    assert_equals_twin(name, values, np.float64)


@pytest.mark.parametrize("n_stripes", [1, 2, 5])
@pytest.mark.parametrize("dtype", PRECISIONS)
@each(those_with("indptr"))
def test_compressed_rows(name, choice, dtype, n_stripes):
    values = problem(name, 70, 41, 10, 12, dtype, n_stripes=n_stripes, **choice)
    assert_equals_twin(name, values, dtype)


@pytest.mark.parametrize("dtype", PRECISIONS)
@each(those_with("indptr", betas=[beta for beta in BETAS if beta > 0]))
def test_nothing_stored(name, choice, dtype):
    values = problem(name, 70, 41, 10, 12, dtype, stored=np.zeros((70, 41), dtype=bool), **choice)
    assert values["data"].size == 0
    assert_equals_twin(name, values, dtype)


@pytest.mark.parametrize("dtype", PRECISIONS)
@each(those_with("indptr", betas=DEALT))
def test_rows_of_any_length(name, choice, dtype):
    """Around what a block, a chunk, a vector of rows side by side in the second cache level can hold."""
    lengths = np.array([1023, 0, 1, 17, 409, 410, 819, 820, 3000, 0, 1638, 1639, 16, 1024, 2048, 100])
    rng = np.random.default_rng(1)
    stored = rng.permuted(np.arange(3000) < lengths[:, np.newaxis], axis=1)
    values = problem(name, 16, 3000, 10, 12, dtype, stored=stored, max_sweeps=2, tol=DONE, **choice)
    assert_equals_twin(name, values, dtype)


@pytest.mark.parametrize("dtype", PRECISIONS)
@each(those_with("X"))
def test_where_dense_data_lie(name, choice, dtype):
    """In rows of a wider array; for beta-divergences in columns too, of a taller one or not."""
    values = problem(name, 45, 600, 10, 12, dtype, **choice)
    layouts = [np.full((45, 700), 99, dtype=dtype)[:, 5:605]]
    if "method" not in choice and name != "dense_product":
        layouts += [np.full((600, 99), 99, dtype=dtype)[:, 5:50].T, np.asfortranarray(values["X"])]
    for X in layouts:
        X[:] = values["X"]
        assert_equals_twin(name, values, dtype, X=X)
        for level in LEVELS:
            in_place, copied = (run(_core, name, values, _core.Workspace(level=level), **at) for at in ({"X": X}, {}))
            assert_same_bits(in_place, copied)


@each(those_with("X", "S", betas=DEALT))
def test_statistics_too_large_for_every_group(name, choice):
    """Tall and wide at once, and X one row again and again in memory."""
    m = 8100
    values = problem(name, 1030, 5, 130, 130, np.float64, max_sweeps=0, **choice)
    others = len(values["S"]) - 5
    values["S"] = np.zeros((m + (m if others == 5 else others), 130))
    values["G"] = np.random.default_rng(0).random((m, 130))
    X = np.broadcast_to(np.arange(1.0, m + 1), (1030, m))
    expected = run(reference, name, values, X=X)["S"]
    actual = run(_core, name, values, _core.Workspace(2), X=X)["S"]
    np.testing.assert_allclose(actual, expected, rtol=1e-10)


# --- properties


@pytest.mark.parametrize(
    "level",  # the same work is dealt out at every one
    [*(pytest.param(level, marks=pytest.mark.exhaustive) for level in LEVELS[:-1]), LEVELS[-1]],
)
@pytest.mark.parametrize(("shape", "dtype"), [((1200, 110, 24, 24), np.float64), ((190, 500, 40, 40), np.float32)])
@each(those_with("workspace", betas=DEALT))
def test_same_bits_at_any_number_of_threads(name, choice, shape, dtype, level):
    values = problem(name, *shape, dtype, max_sweeps=2, **choice)
    expected = run(_core, name, values, _core.Workspace(1, level))
    for n_threads in THREADS[1:]:
        assert_same_bits(run(_core, name, values, _core.Workspace(n_threads, level)), expected)


@pytest.mark.parametrize("dtype", PRECISIONS)
@pytest.mark.parametrize("name", ["factor_beta_pass", "factor_gram", "factor_sums"])
def test_same_bits_where_only_a_long_factor_pays_for_threads(name, dtype):
    values = problem(name, 1, 1, 12, 12, dtype)
    F = np.random.default_rng(0).random((300_000, 12)).astype(dtype)
    values |= {"F": F, "start": F, "previous": F, "numerator": F[::-1].copy()}
    expected = run(_core, name, values, _core.Workspace(1))
    for n_threads in THREADS[1:]:
        assert_same_bits(run(_core, name, values, _core.Workspace(n_threads)), expected)


@pytest.mark.parametrize("dtype", PRECISIONS)
@each(those_with("S", "splits"))
def test_same_bits_at_any_number_of_stripes(name, choice, dtype):
    results = []
    for n_stripes in (1, 2, 3, 8):
        values = problem(name, 300, 150, 24, 24, dtype, n_stripes=n_stripes, **choice)
        result = run(_core, name, values, _core.Workspace(3))
        results.append({array: result[array] for array in ("F", "S", "report")})
    for result in results[1:]:
        assert_same_bits(result, results[0])


@pytest.mark.parametrize("dtype", PRECISIONS)
def test_same_bits_in_any_windows(dtype):
    """The rows of a window share a task, and those beside each other a tile."""
    values = problem("csr_newton", 300, 150, 24, 24, dtype, max_sweeps=3)
    expected = run(_core, "csr_newton", values, _core.Workspace())["F"]
    lengths = np.diff(values["indptr"])
    for windows in ([0, 300], [0, 1, 2, 150, 300], range(301)):
        rows = [a + np.argsort(-lengths[a:b], kind="stable") for a, b in pairwise(windows)]
        values |= {"windows": np.array(windows), "rows": np.concatenate(rows)}
        np.testing.assert_array_equal(run(_core, "csr_newton", values, _core.Workspace(2))["F"], expected)


@each(CALLS)
def test_a_workspace_keeps_nothing_between_calls(name, choice):
    workspace = _core.Workspace(2)
    large = problem(name, 300, 150, 40, 40, np.float64, **choice)
    small = problem(name, 30, 15, 4, 4, np.float64, **choice)
    expected = run(_core, name, small, _core.Workspace(2))
    run(_core, name, large, workspace)
    assert_same_bits(run(_core, name, small, workspace), expected)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("dtype", PRECISIONS)
@pytest.mark.parametrize("tol", [0.0, 0.1])
@each(STEPS)
def test_a_row_does_not_depend_on_the_rows_beside_it(name, choice, tol, dtype, level):
    workspace = _core.Workspace(level=level)
    values = problem(name, 141, 300, 13, 16, dtype, max_sweeps=5, tol=tol, S=None, FtF=None, **choice)
    together = run(_core, name, values, workspace)["F"]
    for i in (0, 38, 45, 76, 140):
        row = slice(i, i + 1)
        low, high = values["indptr"][[i, i + 1]]
        alone = {array: values[array][row].copy() for array in ("F", "X", "cross", "numerator", "floors")}
        if name in OBSERVED:
            alone["amounts"] = values["amounts"][row]
            alone["weights"] = None if values["weights"] is None else values["weights"][low:high]
        if name in NEWTON:
            alone["sums"] = values["sums"][row if len(values["sums"]) > 1 else slice(1)].copy()
            alone["l2"] = values["l2"][row]
        alone |= {
            "start": alone["F"],
            "previous": alone["F"],
            "denominator": values["denominator"][row if len(values["denominator"]) > 1 else slice(1)].copy(),
            "data": values["data"][low:high],
            "indices": values["indices"][low:high],
            "splits": values["splits"][:, row] - low,
        }
        alone |= {array: np.array([0, 1]) for array in ("groups", "windows", "bounds")}
        alone |= {"indptr": np.array([0, high - low]), "rows": np.zeros(1, dtype=np.int64)}
        np.testing.assert_array_equal(run(_core, name, values | alone, workspace)["F"], together[row])


@pytest.mark.parametrize("dtype", PRECISIONS)
@each(STEPS)
def test_components_held_fixed_stay_to_the_last_bit(name, choice, dtype):
    order = np.array([0, 3, 4, 8], dtype=np.int32)
    values = problem(name, 45, 30, 10, 12, dtype, order=order, max_sweeps=4, **choice)
    F = run(_core, name, values, _core.Workspace())["F"]
    fixed = np.setdiff1d(np.arange(12), order)
    np.testing.assert_array_equal(F[:, fixed], values["F"][:, fixed])
    assert (F[:, order] != values["F"][:, order]).any(axis=0).all()


@pytest.mark.parametrize("level", LEVELS)
@each(STEPS)
def test_permuted_components_in_permuted_order(name, choice, level):
    values = problem(name, 45, 30, 10, 10, np.float64, max_sweeps=3, **choice)
    p = np.random.default_rng(0).permutation(10).astype(np.int32)
    arrays = ("F", "G", "cross", "numerator", "denominator", "sums", "lower")
    permuted = values | {array: values[array][..., p].copy() for array in arrays if array in values}
    permuted |= {"gram": values["gram"][np.ix_(p, p)].copy(), "order": np.argsort(p).astype(np.int32)}
    permuted["start"] = permuted["previous"] = permuted["F"]
    workspace = _core.Workspace(level=level)
    expected = run(_core, name, values, workspace)["F"][:, p]
    np.testing.assert_allclose(run(_core, name, prepared(permuted), workspace)["F"], expected, rtol=1e-9, atol=1e-12)


def row_objectives(name, values, choice, l1, l2):
    """What the divergence and the penalties come to in every row of F."""
    F, G, X = (values[array].astype(np.float64) for array in "FGX")
    Y, squares = F @ G.T, np.sum(F**2, axis=1) / 2
    beta = choice.get("loss_beta", 1.0 if name in NEWTON else 2.0)
    if name in OBSERVED:
        weights = np.ones(len(values["data"])) if values["weights"] is None else values["weights"]
        weights = reference.from_csr(weights, values["indices"], values["indptr"], len(G))
        Y = np.where(weights > 0, Y, 1)
        losses = weights * reference.losses(np.where(weights > 0, X, 1), Y if beta == 2 else np.maximum(Y, 1e-30), beta)
        bounded = np.flatnonzero(values["lower"] == 0)
        return losses.sum(axis=1) + values["amounts"] * (l1 * F[:, bounded].sum(axis=1) + l2 * squares)
    losses = reference.losses(X, np.maximum(Y, 1e-30) if beta != 2 else Y, beta)
    if name in NEWTON:  # what the model costs is told by the sums, with its l1 penalty
        return (losses - Y).sum(axis=1) + np.sum(values["sums"] * F, axis=1) + values["l2"] * squares
    return losses.sum(axis=1) + l1 * F.sum(axis=1) + l2 * squares


@pytest.mark.parametrize(("l1", "l2"), [(0.0, 0.0), (3.0, 0.0), (0.5, 4.0)])
@pytest.mark.parametrize("dtype", PRECISIONS)
@each(those_with("start", "X") | those_with("start", "weights"))
def test_no_row_ever_gets_worse(name, choice, dtype, l1, l2):
    values = problem(name, 45, 30, 10, 12, dtype, l1=l1, l2=l2, S=None, **choice)
    values["gram"][range(10), range(10)] += l2
    before = row_objectives(name, values, choice, l1, l2)
    for _ in range(8):
        values["F"] = values["start"] = run(_core, name, values, _core.Workspace())["F"]
        after = row_objectives(name, values, choice, l1, l2)
        assert (after <= before + PRECISIONS[dtype] * np.abs(before)).all()
        before = after


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("l1", [0.0, 1.0])
def test_sweeps_end_at_non_negative_least_squares(level, l1):
    """Min ||x - G f||^2 / 2 + l1 sum(f) over f >= 0, row by row, is what SciPy's nnls solves too."""
    method = _core.METHODS["hals"]
    values = problem("dense_pass", 25, 30, 6, 8, np.float64, l1=l1, max_sweeps=5000, tol=1e-13, method=method)
    done = run(_core, "dense_pass", values, _core.Workspace(level=level))
    G = values["G"][:, :6]
    # the l1 term moves into a right-hand side: G.T x' = G.T x - l1
    shift = l1 * G @ np.linalg.solve(G.T @ G, np.ones(6))
    expected = [nnls(G, x - shift)[0] for x in values["X"]]
    np.testing.assert_allclose(done["F"][:, :6], expected, atol=1e-9)
    assert done["report"][1] < 5000
    assert done["report"][2] == values["report"][2]


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize(("l1", "l2"), [(0.0, 0.0), (1.0, 0.0), (0.5, 4.0)])
@pytest.mark.parametrize("name", NEWTON)
def test_newton_steps_end_where_the_conditions_of_optimality_hold(name, l1, l2, level):
    values = problem(name, 25, 30, 6, 8, np.float64, l1=l1, l2=l2, max_sweeps=5000, tol=1e-12)
    done = run(_core, name, values, _core.Workspace(level=level))
    F, G = done["F"][:, :6], values["G"][:, :6]
    empty = ~values["X"].any(axis=1)
    assert empty.any()
    assert not F[empty].any()
    F, X = F[~empty], values["X"][~empty]
    gradient = G.sum(axis=0) + l1 + l2 * F - (X / (F @ G.T)) @ G
    assert gradient.min() > -1e-8
    np.testing.assert_allclose(F * gradient, 0, atol=1e-8)
    assert done["report"][1] < 5000
    assert done["report"][2] == values["report"][2]


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("tiny", [1e-3, 1e-9])
@pytest.mark.parametrize("name", NEWTON)
def test_a_row_with_a_tiny_entry_is_not_done_before_others(name, tiny, level):
    """A step is at most the way to zero: how far beyond the first would have gone must not dwarf those that follow."""
    everything = np.ones((25, 30), dtype=bool)
    values = problem(name, 25, 30, 6, 8, np.float64, max_sweeps=5000, tol=1e-6, stored=everything)
    values["X"][:, 3] = tiny
    values["data"] = values["X"].ravel().copy()
    values["G"][:, 5] = np.arange(30) == 3  # a component of this column alone
    values["G"][3, :5] = 0
    values["sums"] = values["G"].sum(axis=0)[np.newaxis]
    F, G = run(_core, name, values, _core.Workspace(level=level))["F"][:, :6], values["G"][:, :6]
    gradient = G.sum(axis=0) - (values["X"] / (F @ G.T)) @ G
    np.testing.assert_allclose(np.minimum(F, gradient), 0, atol=1e-3)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("dtype", PRECISIONS)
@each(those_with("exponent", "floors", "S"))
def test_a_pass_tells_the_divergence_of_its_start(name, choice, dtype, level):
    values = problem(name, 45, 30, 10, 12, dtype, **choice)
    told = np.diff([array["report"][3] for array in (values, run(_core, name, values, _core.Workspace(level=level)))])
    X, loss = values["X"], Beta(choice["loss_beta"])
    divergence = loss.value(X.astype(np.float64), reference.model(values["F"], values["G"], 0)).sum()
    constant = loss.constant(as_container(X))
    assert told + constant == pytest.approx(divergence, abs=PRECISIONS[dtype] * (abs(constant) + divergence))


@pytest.mark.parametrize("dtype", PRECISIONS)
@pytest.mark.parametrize("name", NEWTON)
def test_a_newton_step_tells_the_divergence_of_its_result(name, dtype):
    values = problem(name, 45, 30, 10, 12, dtype, max_sweeps=3)
    done = run(_core, name, values, _core.Workspace())
    Y = reference.model(done["F"], values["G"], 1e-10)
    told = done["report"][3] - values["report"][3]
    divergence = Beta(1).value(values["X"].astype(np.float64), Y).sum()
    assert told + Y.sum() == pytest.approx(divergence, rel=10 * PRECISIONS[dtype])


@pytest.mark.parametrize("dtype", PRECISIONS)
@pytest.mark.parametrize("level", LEVELS)
def test_hals_sweep_is_that_of_scikit_learn(dtype, level):
    cdnmf = pytest.importorskip("sklearn.decomposition._cdnmf_fast")
    values = problem("factor_pass", 65, 40, 12, 12, dtype, method=_core.METHODS["hals"])
    theirs = values["F"].copy()
    cdnmf._update_cdnmf_fast(theirs, values["gram"].copy(), values["cross"].copy(), np.arange(12))
    ours = run(_core, "factor_pass", values, _core.Workspace(level=level))["F"]
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=PRECISIONS[dtype] * theirs.max())


@pytest.mark.parametrize("dtype", PRECISIONS)
@pytest.mark.parametrize(("l1", "l2"), [(0.0, 0.0), (0.5, 4.0)])
@each(those_with("exponent", "X"))
def test_a_multiplicative_update_is_that_of_scikit_learn(name, choice, l1, l2, dtype):
    theirs = pytest.importorskip("sklearn.decomposition._nmf")._multiplicative_update_w
    values = problem(name, 65, 40, 12, 12, dtype, l1=l1, l2=l2, **choice)
    X, W, H = values["X"], values["F"].copy(), np.ascontiguousarray(values["G"].T)
    expected = theirs(X, W, H, choice["loss_beta"], l1, l2, values["exponent"])[0]
    actual = run(_core, name, values, _core.Workspace())["F"]
    np.testing.assert_allclose(actual, expected, rtol=0, atol=PRECISIONS[dtype] * expected.max())


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("beta", [beta for beta in BETAS if beta >= 0])
def test_divergence_is_that_of_scikit_learn(beta, level):
    theirs = pytest.importorskip("sklearn.decomposition._nmf")._beta_divergence
    values = problem("dense_divergence", 65, 40, 12, 12, np.float64, loss_beta=beta)
    expected = theirs(values["X"], values["F"], np.ascontiguousarray(values["G"].T), beta)
    actual = run(_core, "dense_divergence", values, _core.Workspace(level=level))["returned"]
    assert actual == pytest.approx(expected, rel=1e-12)


# --- elementary functions


def exact_loss(x, y, beta):
    """The definition of the beta-divergence, in 60 digits."""
    with localcontext(prec=60):
        x, y, beta = map(Decimal, (x, y, beta))
        if beta == 0:
            return x / y - (x / y).ln() - 1
        if beta == 1:
            return (x * (x / y).ln() if x else 0) - x + y
        x_power = (beta * x.ln()).exp() if x else 0
        y_power = (beta * y.ln()).exp()
        return (x_power + (beta - 1) * y_power - beta * x / y * y_power) / (beta * (beta - 1))


# Around 1, and where an elementary function changes its formula; then the range of numbers.
RATIOS = np.array(
    [0.5, 0.7, 0.7071, 0.7072, 0.9, 1 - 1e-6, 1 - 1e-12, 1, 1 + 1e-12, 1 + 1e-6, 1.1, 1.41, 1.42, 2, 3]
    + [10.0**exponent for exponent in (-300, -200, -100, -30, -9, -4, -2, 2, 4, 9, 30, 100, 200, 300)]
)
BETAS_AND_THEIR_NEIGHBOURS = sorted({*BETAS, *(b + d for b in (0, 0.5, 1, 2) for d in (-1e-9, 1e-9)), -3, 0.3, 1.1, 4})


def numbers(dtype):
    """Ratios and powers of ten whose cubes, and ratios, the dtype can hold."""
    end = 12 if dtype == np.float32 else 100
    return np.concatenate([RATIOS[:15], 10.0 ** np.linspace(-end, end, 100)]).astype(dtype)


def assert_within_ulps(actual, expected, logarithms, ulps=2):
    """Powers raise the rounding of an exponent, and logarithms their own, by their size."""
    bound = ulps * np.finfo(actual.dtype).eps * (1 + np.abs(logarithms))
    assert (np.abs(actual / expected - 1) <= bound).all()


@pytest.mark.parametrize("beta", BETAS_AND_THEIR_NEIGHBOURS)
def test_losses_of_single_entries(beta):
    """By the kernel and by Beta.value; of one entry again and again, so that it fills vectors and what is left over."""
    size, one, tried = 19, np.ones((1, 1)), 0
    for y, ratio in product(np.array([1e-290, 7, 1e150]), [0.0, *RATIOS]):
        with np.errstate(all="ignore"):
            x = ratio * y
            terms = np.array([y**beta, x * y ** (beta - 1), x**beta])
            value = Beta(beta).value(x, y)
        used = np.array([x, ratio, *terms] if x else [beta, terms[0]])
        if not (used.min() > 1e-300 and used.max() < 1e300):
            continue  # infinite, or something on the way is no normal number
        actual = [value]
        for level in LEVELS:
            X, G, workspace = np.full((1, size), x), np.full((size, 1), y), _core.Workspace(level=level)
            actual.append(_core.dense_divergence(X, one, G, beta, np.full(1, 1e-300), workspace) / size)
        expected = float(exact_loss(x, y, beta))
        raised = 1 + np.abs(beta * np.log([y, x or y])).max()  # powers raise the rounding of an exponent by its size
        bound = 4 * np.finfo(np.float64).eps * max(expected, *terms) * raised
        np.testing.assert_allclose(actual, expected, rtol=0, atol=bound)
        tried += 1
    assert tried > 20


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("beta", BETAS)
def test_losses_of_models_around_their_floor(beta, level):
    floor = 1e-18
    for y, x in product(floor * np.array([0, 0.5, 1, 1 + 1e-12, 1.5]), (1e-20, 1e-18, 1.0)):
        X, F, G = np.full((1, 5), x), np.ones((1, 1)), np.full((5, 1), y)
        actual = _core.dense_divergence(X, F, G, beta, np.full(1, floor), _core.Workspace(level=level))
        assert actual == pytest.approx(5 * Beta(beta).value(np.array(x), max(y, floor)), rel=1e-12)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("dtype", PRECISIONS)
@pytest.mark.parametrize("beta", [*BETAS, 0.3, 1.1, 3.0])
def test_gradient_parts_of_single_entries(beta, dtype, level):
    """The statistics of a single row 1 are the numerators and denominators of the columns."""
    y, one = numbers(dtype), np.ones((1, 1), dtype=dtype)
    x = np.linspace(0.1, 3, len(y), dtype=dtype)
    S = np.zeros((len(y) + (1 if beta == 1 else len(y)), 1), dtype=dtype)
    values = reference.pass_values(
        one, y[:, np.newaxis].copy(), S, 0, gram=one, X=x[np.newaxis].copy(), max_sweeps=0, loss_beta=beta,
        floors=np.full(1, np.finfo(dtype).tiny),
    )  # fmt: skip
    reference.call(_core.dense_beta_pass, **values, workspace=_core.Workspace(level=level))
    y = y.astype(np.float64)
    logarithms = (abs(beta - 1) + 1) * np.log(y)
    assert_within_ulps(S[: len(y), 0], x * y ** (beta - 2), logarithms)
    assert_within_ulps(S[len(y) :, 0], y ** (beta - 1), logarithms if beta != 1 else 0)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("dtype", PRECISIONS)
@pytest.mark.parametrize("exponent", [1 / 3, 0.4, 0.5, 2 / 3, 1.0])
def test_powers_of_single_ratios(exponent, dtype, level):
    """Where f and the denominator are 1, the numerator's power is all that is left."""
    ratios = np.concatenate([numbers(dtype), numbers(dtype) ** 2])
    F, one = np.ones((2, 1, len(ratios)), dtype=dtype)
    values = reference.pass_values(
        F, one, F, 0, gram=np.ones((len(ratios),) * 2), numerator=ratios[np.newaxis], denominator=one, loss_beta=2.0,
        exponent=exponent,
    )  # fmt: skip
    reference.call(_core.factor_beta_pass, **values, workspace=_core.Workspace(level=level))
    ratios = ratios.astype(np.float64)
    assert_within_ulps(F[0], ratios**exponent, exponent * np.log(ratios))


@pytest.mark.parametrize("dtype", PRECISIONS)
def test_an_entry_becomes_zero_before_it_loses_digits(dtype):
    tiny = np.finfo(dtype).tiny
    F, one = np.ones((2, 1, 3), dtype=dtype)
    F[:] = 1000 * tiny
    numerator = np.array([[0.01, 1e-3, 1e-4]], dtype=dtype)
    values = reference.pass_values(F, one, F, 0, gram=np.eye(3), numerator=numerator, denominator=one, loss_beta=2.0)
    reference.call(_core.factor_beta_pass, **values, workspace=_core.Workspace())
    np.testing.assert_allclose(F, [[10 * tiny, 0, 0]], rtol=1e-6)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("dtype", PRECISIONS)
@pytest.mark.parametrize("name", ["dense_newton", "dense_beta_pass"])
def test_logarithms_of_single_entries(name, dtype, level):
    """Where nothing moves and the model is 1, a pass tells x (log x - 1), and a multiplicative one adds the model."""
    X = numbers(dtype)
    one = np.ones((1, 1), dtype=dtype)
    told = np.zeros((len(X), _core.REPORT_SIZE))
    for x, report in zip(X, told, strict=True):
        values = reference.pass_values(
            one, one.copy(), np.zeros((2, 1), dtype=dtype), 0, gram=one, X=np.full((1, 1), x), report=report,
            order=np.empty(0, dtype=np.int32), sums=np.zeros(1, dtype=dtype),
        )  # fmt: skip
        values = reference.for_newton(values) if name in NEWTON else values
        reference.call(getattr(_core, name), **values, workspace=_core.Workspace(level=level))
    X, model = X.astype(np.float64), 1.0 if name == "dense_beta_pass" else 0.0
    expected = X * (np.log(X) - 1) + model
    bound = 2 * np.finfo(dtype).eps * (X * (1 + np.abs(np.log(X))) + model)
    assert (np.abs(told[:, 3] - expected) <= bound).all()


# --- workspaces


def test_workspace():
    workspace = _core.Workspace(3, level=0)
    assert workspace.n_threads == (3 if _core.OPENMP else 1)
    assert workspace.level == 0
    assert _core.Workspace().n_threads == _core.Workspace(0).n_threads == 1
    assert _core.Workspace().level == _core.best_level()
    assert len(_core.LEVELS) > _core.best_level()


@pytest.mark.parametrize("max_sweeps", [1, 2**31 - 1])
def test_more_work_than_an_integer_holds(max_sweeps):
    """As much as the sweeps that may be needed: n k^2 max_sweeps exceeds 2^63."""
    n, k = 4400, 1000
    F, gram = np.zeros((n, k), dtype=np.float32), np.eye(k, dtype=np.float32)
    nothing = np.zeros(0, dtype=np.int32)  # to update, so that no sweep takes time
    report = np.zeros(_core.REPORT_SIZE)
    assert n * k**2 * (2**31 - 1) > 2**63
    step = F, F, gram[0], gram, gram, nothing, _core.METHODS["hals"], 0.0, 0.0, 0.0, max_sweeps, 0.0
    _core.factor_pass(F, None, None, report, F, *step, _core.Workspace(2))
    assert report[1] == 1
    assert not F.any()


@pytest.mark.parametrize("level", [-1, _core.best_level() + 1])
def test_level_that_this_processor_lacks(level):
    with pytest.raises(ValueError, match=f"level must be between 0 and {_core.best_level()} .*, got {level}"):
        _core.Workspace(1, level)


def test_factor_arrays_fit_the_kernels():
    """What the library passes to kernels itself: rows filled up to whole vectors."""
    for dtype in PRECISIONS:
        for k in (1, 3, 5, 9):
            ld = factor_array(4, k, dtype).shape[1]
            for name in ("dense_pass", "dense_beta_pass", "dense_newton"):
                assert_equals_twin(name, problem(name, 21, 13, k, ld, dtype), dtype)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("objdump") is None, reason="needs objdump to read the machine code")
@pytest.mark.skipif(len(_core.LEVELS) == 1, reason="there is one level only")
def test_newer_instructions_stay_in_their_variants():
    """A processor without AVX must never meet one of its instructions, one without AVX-512 none of those."""

    def objdump(*options):
        command = ["objdump", *options, _core.__file__]
        return subprocess.run(command, check=True, capture_output=True, text=True, timeout=100).stdout

    if "no symbols" in objdump("--syms"):
        pytest.skip("the names of functions have been stripped")
    lines = objdump("--disassemble", "--no-show-raw-insn", "--section=.text").splitlines()
    function, variants, strays = "", set(), set()
    for line in lines:
        if match := re.match(r"[0-9a-f]+ <(.+)>:", line):
            function = match[1]
        elif match := re.match(r"\s+[0-9a-f]+:\s+(v\w+)\s", line):
            needed = 2 if re.search(r"%zmm|%k[1-7]|%[xy]mm(1[6-9]|2\d|3[01])", line) else 1
            variant = re.search(r"[_fd]([12])(\.|$)", function)
            variants.add(needed)
            if variant is None or int(variant[1]) < needed:
                strays.add((function, line.strip()))
    assert variants == {1, 2}
    assert not strays


@pytest.mark.skipif(sys.platform != "linux" or shutil.which("gcc") is None, reason="needs gcc")
@pytest.mark.parametrize("other", ["-U__GNUC__", "-D__GNUC__=8", "-D_WIN32"])
def test_compilers_that_cannot_build_the_kernels_are_told_so(other):
    headers = Path(__file__).parents[1] / "src" / "nmf_core" / "_kernels"
    if not headers.is_dir():
        pytest.skip("the sources are not beside the tests")
    command = ["gcc", "-w", "-fsyntax-only", f"-I{headers}", "-xc", "-"]
    for options, expected in (([], 0), ([other], 1)):
        done = subprocess.run([*command, *options], input='#include "simd.h"', capture_output=True, text=True)
        assert (done.returncode != 0) == expected, done.stderr
    assert "nmf-core needs gcc 9 or later, or clang" in done.stderr
