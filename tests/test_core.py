"""The compiled kernels against their slow twins, SciPy's nnls and scikit-learn's coordinate descent."""

import inspect
import re
import shutil
import subprocess
from copy import deepcopy

import numpy as np
import pytest
import reference
from scipy.optimize import nnls

from nmf_core import _core
from nmf_core.data import factor_array
from nmf_core.solvers import SOLVERS

KERNELS = sorted(
    name
    for name, value in vars(_core).items()
    if isinstance(value, type(_core.dense_pass)) and not name.startswith("_")
    if name not in ("best_level", "max_threads")
)
PASSES = [name for name in KERNELS if "method" in inspect.signature(getattr(_core, name)).parameters]
# What there is to compute: every kernel, those that improve a factor by every method.
CALLS = [
    (name, method) for name in KERNELS for method in (_core.METHODS if name in PASSES else [next(iter(_core.METHODS))])
]
STEPS = [(name, method) for name, method in CALLS if name in PASSES]
LEVELS = range(_core.best_level() + 1)
PRECISIONS = {np.float32: 2e-5, np.float64: 1e-12}
THREADS = (1, 2, 3, 4)

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
    (1040, 700, 3, 4),  # several groups, in pieces
    (150, 4200, 2, 4),  # several slabs of rows
]


def problem(n, m, k, ld, dtype, index=np.int32, n_stripes=3, n_groups=2, seed=0, **options):
    """Arguments for all kernels, by name."""
    rng = np.random.default_rng(seed)

    def factor(rows, used=k):
        array = np.zeros((rows, ld), dtype=dtype)
        array[:, :used] = rng.random((rows, used))
        return array

    F, N, before, G = factor(n), factor(n), factor(n), factor(m)
    X = (rng.gamma(1.0, size=(n, m)) * (rng.random((n, m)) < 0.4)).astype(dtype)
    stored = X != 0
    values = reference.pass_values(F, G, factor(m + k), 0, gram=(G.T @ G)[:k, :k].copy()) | {
        "C": rng.random((n, ld)).astype(dtype),
        "FtF": factor(k),
        "report": np.array([0.5, 0.0, 3.0, 7.0]),
        "X": X,
        "cross": X @ G,
        "data": X[stored],
        "indices": np.nonzero(stored)[1].astype(index),
        "indptr": np.concatenate([[0], np.cumsum(stored.sum(axis=1))]).astype(index),
        "bounds": np.sort(rng.integers(0, m + 1, n_stripes - 1)).astype(index),
        "splits": np.zeros((n_stripes - 1, n), dtype=index),
        "groups": np.unique([0, *(n // 64 * 64 * np.arange(n_groups) // n_groups // 64 * 64), n]).astype(index),
    }
    values["spare"] = {"N": N, "before": before, "scale": rng.uniform(0.5, 2, k).astype(dtype)}
    values |= options
    reference.call(reference.csr_split, **values)
    return values


def run(module, name, values, team=None):
    """All arguments of a call afterwards, and what it returned; the given ones stay as they are."""
    values = deepcopy(values)
    result = reference.call(getattr(module, name), **values, **({} if team is None else {"team": team}))
    names = inspect.signature(getattr(reference, name)).parameters
    return {name: values[name] for name in names} | {"returned": result}


def assert_close(actual, expected, values, dtype):
    """Numbers within rounding of the largest that was or is in their array; integers and counts exactly."""
    assert actual.keys() == expected.keys()
    for name, wanted in expected.items():
        if name == "report":
            np.testing.assert_array_equal(actual[name][1:3], wanted[1:3])
            np.testing.assert_allclose(actual[name][[0, 3]], wanted[[0, 3]], rtol=10 * PRECISIONS[dtype])
        elif isinstance(wanted, (np.ndarray, float)) and np.asarray(wanted).dtype.kind == "f":
            largest = max(np.abs(wanted).max(initial=0), np.abs(values.get(name, 0.0)).max(initial=0))
            bound = PRECISIONS[dtype] * largest
            np.testing.assert_allclose(actual[name], wanted, rtol=0, atol=bound, err_msg=name)
        else:
            np.testing.assert_array_equal(actual[name], wanted, err_msg=name)


def assert_same_bits(actual, expected):
    assert actual.keys() == expected.keys()
    for name, wanted in expected.items():
        np.testing.assert_array_equal(actual[name], wanted, err_msg=name)


def assert_equals_twin(name, values, dtype, levels=LEVELS):
    expected = run(reference, name, values)
    for level in levels:
        assert_close(run(_core, name, values, _core.Team(level=level)), expected, values, dtype)


# --- twins


@pytest.mark.parametrize("name", KERNELS)
def test_every_kernel_has_a_twin_with_its_arguments(name):
    ours = list(inspect.signature(getattr(_core, name)).parameters)
    assert ours[-1] == "team"
    assert list(inspect.signature(getattr(reference, name)).parameters) == ours[:-1]


def test_every_method_has_a_twin_and_a_solver():
    assert set(reference.STEPS) == set(_core.METHODS)
    assert {solver.method for solver in SOLVERS.values()} == set(_core.METHODS.values())


@pytest.mark.parametrize("dtype", PRECISIONS)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize(("name", "method"), CALLS)
def test_kernel_equals_twin(name, method, shape, dtype):
    assert_equals_twin(name, problem(*shape, dtype, method=_core.METHODS[method]), dtype)


OPTIONS = {
    "three sweeps": {"max_sweeps": 3},
    "l1": {"l1": 2.5},
    "l1 larger than everything": {"l1": 1e3},
    "no statistics": {"S": None, "FtF": None},
    "no sweep": {"max_sweeps": 0},
    "no component": {"order": np.empty(0, dtype=np.int32)},
    "some components": {"order": np.array([1, 2, 4, 7, 8], dtype=np.int32)},
    "one component": {"order": np.array([5], dtype=np.int32)},
    "reversed": {"order": np.arange(10, dtype=np.int32)[::-1].copy(), "max_sweeps": 2},
    "shuffled": {"order": np.array([3, 1, 4, 9, 5, 2, 6, 8, 7, 0], dtype=np.int32), "l1": 0.5},
    "some, shuffled": {"order": np.array([8, 0, 6, 3, 2], dtype=np.int32), "max_sweeps": 3},
}


@pytest.mark.parametrize("dtype", PRECISIONS)
@pytest.mark.parametrize("option", OPTIONS)
@pytest.mark.parametrize(("name", "method"), STEPS)
def test_options_of_a_pass(name, method, option, dtype):
    values = problem(45, 30, 10, 12, dtype, method=_core.METHODS[method], **OPTIONS[option])
    assert_equals_twin(name, values, dtype)


@pytest.mark.parametrize("dtype", PRECISIONS)
@pytest.mark.parametrize("beta", [0.0, 0.7, 5.0])
@pytest.mark.parametrize("alias", [False, True])
@pytest.mark.parametrize(("name", "method"), STEPS)
def test_extrapolation(name, method, alias, beta, dtype):
    values = problem(45, 30, 10, 12, dtype, method=_core.METHODS[method], beta=beta, max_sweeps=2)
    values |= values["spare"]
    values["before" if alias else "start"] = values["N"] if alias else values["F"][::-1].copy()
    assert_equals_twin(name, values, dtype)


@pytest.mark.parametrize("l1", [0.0, 0.25])
@pytest.mark.parametrize("dtype", PRECISIONS)
@pytest.mark.parametrize(("name", "method"), STEPS)
def test_components_without_a_partner(name, method, dtype, l1):
    """Zero columns of G: zeros on the diagonal of gram and in cross."""
    values = problem(45, 30, 10, 12, dtype, method=_core.METHODS[method], l1=l1)
    values["G"][:, [2, 7]] = 0
    values["gram"][[2, 7]] = values["gram"][:, [2, 7]] = 0
    values["cross"] = values["X"] @ values["G"]
    assert_equals_twin(name, values, dtype)


@pytest.mark.parametrize("dtype", PRECISIONS)
@pytest.mark.parametrize("method", _core.METHODS)
def test_negative_cross(method, dtype):
    """Products with a residual may be negative; a factor never is."""
    values = problem(45, 30, 10, 12, dtype, method=_core.METHODS[method])
    values["cross"][::2] -= 2 * values["cross"].max()
    assert_equals_twin("factor_pass", values, dtype)
    assert run(_core, "factor_pass", values, _core.Team())["F"].min() >= 0


@pytest.mark.parametrize("tol", [0.3, 1e-2])
@pytest.mark.parametrize(("name", "method"), STEPS)
def test_sweeps_until_each_row_is_done(name, method, tol):
    values = problem(90, 30, 10, 12, np.float64, method=_core.METHODS[method], max_sweeps=12, tol=tol)
    values["X"][7] = values["cross"][7] = 0
    assert_equals_twin(name, values, np.float64)


@pytest.mark.parametrize("index", [np.int32, np.int64])
@pytest.mark.parametrize("n_stripes", [1, 2, 5])
@pytest.mark.parametrize("dtype", PRECISIONS)
@pytest.mark.parametrize("name", [name for name in KERNELS if name.startswith("csr")])
def test_compressed_rows(name, dtype, n_stripes, index):
    values = problem(70, 41, 10, 12, dtype, index=index, n_stripes=n_stripes)
    assert_equals_twin(name, values, dtype)


@pytest.mark.parametrize("dtype", PRECISIONS)
@pytest.mark.parametrize("name", [name for name in KERNELS if name.startswith("csr")])
def test_nothing_stored(name, dtype):
    none = np.zeros(0, dtype=np.int32)
    values = problem(70, 41, 10, 12, dtype, indices=none, indptr=np.zeros(71, dtype=np.int32))
    values["data"] = np.zeros(0, dtype=dtype)
    values["splits"][:] = 0
    assert_equals_twin(name, values, dtype)


@pytest.mark.parametrize("name", ["dense_pass", "dense_product"])
@pytest.mark.parametrize("dtype", PRECISIONS)
def test_rows_of_a_wider_array(name, dtype):
    values = problem(70, 41, 10, 12, dtype)
    wide = np.full((70, 60), 99, dtype=dtype)
    view = wide[:, 5:46]
    view[:] = values["X"]
    expected = run(reference, name, values)
    for level in LEVELS:
        done = deepcopy(values) | {"X": view}
        done["returned"] = reference.call(getattr(_core, name), **done, team=_core.Team(level=level))
        assert_close({key: done[key] for key in expected}, expected, values, dtype)


def test_statistics_too_large_for_every_group():
    """Tall and wide at once, and X one row again and again in memory."""
    values = problem(1030, 8000, 130, 130, np.float64, X=np.broadcast_to(np.arange(8000.0), (1030, 8000)), max_sweeps=0)
    S = values["S"].copy()
    expected = np.outer(values["X"][0], values["F"].sum(axis=0))
    reference.call(_core.dense_pass, **values, team=_core.Team(2))
    np.testing.assert_allclose(values["S"][:8000] - S[:8000], expected, rtol=1e-10)
    np.testing.assert_allclose(values["S"][8000:] - S[8000:], values["F"].T @ values["F"], rtol=1e-10)


# --- properties


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("dtype", PRECISIONS)
@pytest.mark.parametrize("shape", [(1200, 150, 24, 24), (190, 900, 40, 40)], ids=str)
@pytest.mark.parametrize(("name", "method"), CALLS)
def test_same_bits_at_any_number_of_threads(name, method, shape, dtype, level):
    values = problem(*shape, dtype, method=_core.METHODS[method], max_sweeps=5)
    expected = run(_core, name, values, _core.Team(1, level))
    for n_threads in THREADS:
        assert_same_bits(run(_core, name, values, _core.Team(n_threads, level)), expected)


@pytest.mark.parametrize("dtype", PRECISIONS)
def test_same_bits_at_any_number_of_stripes(dtype):
    results = []
    for n_stripes in (1, 2, 3, 8):
        result = run(_core, "csr_pass", problem(300, 150, 24, 24, dtype, n_stripes=n_stripes, seed=0), _core.Team(3))
        results.append({name: result[name] for name in ("F", "S", "report")})
    for result in results[1:]:
        assert_same_bits(result, results[0])


@pytest.mark.parametrize(("name", "method"), CALLS)
def test_a_team_keeps_nothing_between_calls(name, method):
    team = _core.Team(2)
    large = problem(300, 150, 40, 40, np.float64, method=_core.METHODS[method])
    small = problem(30, 15, 4, 4, np.float64, method=_core.METHODS[method])
    expected = run(_core, name, small, _core.Team(2))
    run(_core, name, large, team)
    assert_same_bits(run(_core, name, small, team), expected)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("dtype", PRECISIONS)
@pytest.mark.parametrize("tol", [0.0, 0.1])
@pytest.mark.parametrize("method", _core.METHODS)
def test_a_row_does_not_depend_on_the_rows_beside_it(method, tol, dtype, level):
    team = _core.Team(level=level)
    values = problem(141, 60, 13, 16, dtype, method=_core.METHODS[method], max_sweeps=7, tol=tol, S=None, FtF=None)
    together = {name: run(_core, name, values, team)["F"] for name in PASSES}
    low, high = values["indptr"][[40, 41]]
    row = slice(40, 41)
    alone = values | {name: values[name][row].copy() for name in ("F", "X", "cross")}
    alone |= {
        "start": alone["F"],
        "before": alone["F"],
        "data": values["data"][low:high],
        "indices": values["indices"][low:high],
        "indptr": np.array([0, high - low], dtype=np.int32),
        "splits": values["splits"][:, row] - low,
    }
    for name in PASSES:
        np.testing.assert_array_equal(run(_core, name, alone, team)["F"], together[name][row], err_msg=name)


@pytest.mark.parametrize("dtype", PRECISIONS)
@pytest.mark.parametrize("method", _core.METHODS)
def test_components_held_fixed_stay_to_the_last_bit(method, dtype):
    order = np.array([0, 3, 4, 8], dtype=np.int32)
    values = problem(45, 30, 10, 12, dtype, method=_core.METHODS[method], order=order, max_sweeps=4)
    F = run(_core, "factor_pass", values, _core.Team())["F"]
    fixed = np.setdiff1d(np.arange(12), order)
    np.testing.assert_array_equal(F[:, fixed], values["F"][:, fixed])
    assert (F[:, order] != values["F"][:, order]).any(axis=0).all()


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("method", _core.METHODS)
def test_permuted_components_in_permuted_order(method, level):
    values = problem(45, 30, 10, 10, np.float64, method=_core.METHODS[method], max_sweeps=3)
    p = np.random.default_rng(0).permutation(10).astype(np.int32)
    permuted = values | {
        "F": values["F"][:, p].copy(),
        "gram": values["gram"][np.ix_(p, p)].copy(),
        "cross": values["cross"][:, p].copy(),
        "order": np.argsort(p).astype(np.int32),
    }
    permuted["start"] = permuted["before"] = permuted["F"]
    team = _core.Team(level=level)
    expected = run(_core, "factor_pass", values, team)["F"][:, p]
    np.testing.assert_allclose(run(_core, "factor_pass", permuted, team)["F"], expected, rtol=1e-9, atol=1e-13)


@pytest.mark.parametrize("l1", [0.0, 3.0])
@pytest.mark.parametrize("dtype", PRECISIONS)
@pytest.mark.parametrize("method", _core.METHODS)
def test_no_row_ever_gets_worse(method, dtype, l1):
    values = problem(45, 30, 10, 12, dtype, method=_core.METHODS[method], l1=l1)
    gram, target = values["gram"].astype(np.float64), values["cross"].astype(np.float64)[:, :10] - l1

    def row_objectives(F):
        F = F[:, :10].astype(np.float64)
        return np.einsum("ij,ij->i", F @ gram / 2 - target, F)

    before = row_objectives(values["F"])
    for _ in range(8):
        values["F"] = values["start"] = run(_core, "factor_pass", values, _core.Team())["F"]
        after = row_objectives(values["F"])
        assert (after <= before + PRECISIONS[dtype] * np.abs(before)).all()
        before = after


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("l1", [0.0, 1.0])
def test_sweeps_end_at_non_negative_least_squares(level, l1):
    """Min ||x - G f||^2 / 2 + l1 sum(f) over f >= 0, row by row, is what SciPy's nnls solves too."""
    values = problem(25, 30, 6, 8, np.float64, l1=l1, max_sweeps=5000, tol=1e-13, method=_core.METHODS["hals"])
    done = run(_core, "dense_pass", values, _core.Team(level=level))
    G = values["G"][:, :6]
    # the l1 term moves into a right-hand side: G.T x' = G.T x - l1
    shift = l1 * G @ np.linalg.solve(G.T @ G, np.ones(6))
    expected = [nnls(G, x - shift)[0] for x in values["X"]]
    np.testing.assert_allclose(done["F"][:, :6], expected, atol=1e-9)
    assert done["report"][1] < 5000
    assert done["report"][2] == values["report"][2]


@pytest.mark.parametrize("dtype", PRECISIONS)
@pytest.mark.parametrize("level", LEVELS)
def test_hals_sweep_is_that_of_scikit_learn(dtype, level):
    cdnmf = pytest.importorskip("sklearn.decomposition._cdnmf_fast")
    values = problem(65, 40, 12, 12, dtype, method=_core.METHODS["hals"])
    theirs = values["F"].copy()
    cdnmf._update_cdnmf_fast(theirs, values["gram"].copy(), values["cross"].copy(), np.arange(12))
    ours = run(_core, "factor_pass", values, _core.Team(level=level))["F"]
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=PRECISIONS[dtype] * theirs.max())


# --- teams


def test_team():
    team = _core.Team(3, level=0)
    assert team.n_threads == (3 if _core.OPENMP else 1)
    assert team.level == 0
    assert _core.Team().n_threads == _core.Team(0).n_threads == 1
    assert _core.Team().level == _core.best_level()
    assert len(_core.LEVELS) > _core.best_level()


@pytest.mark.parametrize("level", [-1, _core.best_level() + 1])
def test_level_that_this_processor_lacks(level):
    with pytest.raises(ValueError, match=f"level must be between 0 and {_core.best_level()} .*, got {level}"):
        _core.Team(1, level)


def test_factor_arrays_fit_the_kernels():
    """What the library passes to kernels itself: rows filled up to whole vectors."""
    for dtype in PRECISIONS:
        for k in (1, 3, 5, 9):
            ld = factor_array(4, k, dtype).shape[1]
            assert_equals_twin("dense_pass", problem(21, 13, k, ld, dtype), dtype)


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
