"""Kernels for entries that are known one by one, and for recommendations, where they differ from all others.

What they share with the other kernels, test_core.py asks of them too: shapes, options, threads, rows by themselves.
"""

import numpy as np
import pytest
import reference
from scipy.optimize import nnls
from test_core import DONE, LEVELS, PRECISIONS, THREADS, assert_equals_twin, assert_same_bits, problem, run

from nmf_core import _core
from nmf_core.engine import factor_array

# Around the entries that are gathered together, and more than what statistics of dense rows are summed in.
LENGTHS = np.array([0, 1, 2, 63, 64, 65, 7, 128, 1023, 1024, 1025, 0, 1300])
LOSSES = {"observed_hals": 2.0, "observed_mu": 1.0, "observed_divergence": 0.5}

every_level = pytest.mark.parametrize("level", LEVELS)
every_dtype = pytest.mark.parametrize("dtype", PRECISIONS)
with_and_without_weights = pytest.mark.parametrize("weighted", [False, True], ids=["unweighted", "weighted"])


def dense_weights(values):
    """Weights of all entries, zero where nothing is known."""
    weights = np.ones(len(values["data"])) if values["weights"] is None else values["weights"]
    return reference.from_csr(weights, values["indices"], values["indptr"], len(values["G"]))


@pytest.mark.parametrize("plain", [True, False])
@every_dtype
@pytest.mark.parametrize("k", [1, 3, 8, 9, 20, 40, 65])
@pytest.mark.parametrize("name", LOSSES)
def test_rows_of_any_length_for_any_number_of_components(name, k, dtype, plain):
    """Extrapolated, in factor arrays as the library has them and in others."""
    rng = np.random.default_rng(k)
    stored = rng.permuted(np.arange(1300) < LENGTHS[:, np.newaxis], axis=1)
    given = {"stored": stored, "loss_beta": LOSSES[name], "max_sweeps": 3, "tol": DONE, "momentum": 0.7}
    if name == "observed_divergence":
        del given["momentum"]
    ld = k + 3 if plain else factor_array(1, k, dtype).shape[1]
    weighted = plain == (dtype == np.float32)
    values = problem(name, 13, 1300, k, ld, dtype, weighted=weighted, l1=0.3, l2=0.1, **given)
    values |= values["spare"]
    assert_equals_twin(name, values, dtype)


@every_level
@with_and_without_weights
@pytest.mark.parametrize("l1", [0.0, 1.0])
def test_sweeps_end_at_non_negative_least_squares_of_what_is_known(l1, weighted, level):
    """Min sum_j w_j (x_j - g_j f)^2 / 2 + a l1 sum(f) over f >= 0, row by row, is what SciPy's nnls solves too."""
    stop = {"max_sweeps": 20000, "tol": 1e-13}
    values = problem("observed_hals", 25, 30, 6, 8, np.float64, weighted=weighted, l1=l1, **stop)
    done = run(_core, "observed_hals", values, _core.Workspace(level=level))
    G, roots = values["G"][:, :6], np.sqrt(dense_weights(values))
    for f, x, root, amount in zip(done["F"][:, :6], values["X"], roots, values["amounts"], strict=True):
        known = root > 0
        if known.sum() < 6:
            continue  # more than one answer
        A, b = root[known, np.newaxis] * G[known], root[known] * x[known]
        shift = amount * l1 * A @ np.linalg.solve(A.T @ A, np.ones(6))
        np.testing.assert_allclose(f, nnls(A, b - shift)[0], atol=1e-8)
    assert done["report"][1] < 20000
    assert done["report"][2] == values["report"][2]


@every_level
@every_dtype
@with_and_without_weights
def test_components_without_bounds_end_at_least_squares(weighted, dtype, level):
    """With l2 only and no bound at all the answer is that of a linear system."""
    values = problem("observed_hals", 25, 30, 6, 8, dtype, weighted=weighted, l1=3.0, l2=0.5, max_sweeps=5000, tol=1e-9)
    values["lower"][:] = -np.inf
    values["X"] -= values["X"].mean()  # the kernel knows no sign
    rows = np.repeat(np.arange(25), np.diff(values["indptr"]))
    values["data"] = values["X"][rows, values["indices"]]
    F = run(_core, "observed_hals", values, _core.Workspace(level=level))["F"][:, :6]
    G, W = values["G"][:, :6].astype(np.float64), dense_weights(values)
    for f, x, w, amount in zip(F, values["X"].astype(np.float64), W, values["amounts"], strict=True):
        expected = np.linalg.solve(G.T @ (w[:, np.newaxis] * G) + 0.5 * amount * np.eye(6), G.T @ (w * x))
        np.testing.assert_allclose(f, expected, atol=1e-8 if dtype == np.float64 else 2e-4)
    assert (F < 0).any()


@every_level
def test_complete_rows_are_improved_as_in_a_dense_pass(level):
    workspace = _core.Workspace(level=level)
    everything = np.ones((45, 30), dtype=bool)
    values = problem("observed_hals", 45, 30, 10, 12, np.float64, stored=everything, l1=0.5, max_sweeps=3)
    values["amounts"][:] = 1
    known = run(_core, "observed_hals", values, workspace)
    dense = values | {"method": _core.METHODS["hals"], "S": None}
    complete = run(_core, "dense_pass", dense, workspace)
    np.testing.assert_allclose(known["F"], complete["F"], rtol=1e-9, atol=1e-12)
    np.testing.assert_array_equal(known["report"][1:3], complete["report"][1:3])
    assert known["report"][0] == pytest.approx(complete["report"][0])


def repeated(values, times):
    """Every entry as often as its number says, side by side; a kernel need not know that they are one."""
    lengths = [times[a:b].sum() for a, b in zip(values["indptr"][:-1], values["indptr"][1:], strict=True)]
    return values | {
        "data": np.repeat(values["data"], times),
        "indices": np.repeat(values["indices"], times),
        "indptr": np.concatenate([[0], np.cumsum(lengths)]).astype(values["indptr"].dtype),
        "weights": None,
    }


@every_level
@every_dtype
@pytest.mark.parametrize("name", LOSSES)
def test_a_weight_of_three_is_an_entry_three_times_and_of_zero_none(name, dtype, level):
    workspace = _core.Workspace(level=level)
    options = {"loss_beta": LOSSES[name], "l1": 0.2, "l2": 0.1, "max_sweeps": 2, "tol": DONE}
    values = problem(name, 45, 30, 10, 12, dtype, **options)
    times = np.random.default_rng(0).integers(0, 4, len(values["data"]))
    values["weights"] = times.astype(dtype)
    weighted, often = run(_core, name, values, workspace), run(_core, name, repeated(values, times), workspace)
    precision = 10 * PRECISIONS[dtype]
    if name == "observed_divergence":
        assert weighted["returned"] == pytest.approx(often["returned"], rel=1e-12)
    else:
        np.testing.assert_allclose(weighted["F"], often["F"], atol=precision * weighted["F"].max())
        np.testing.assert_allclose(weighted["report"], often["report"], rtol=10 * precision)


@every_level
@every_dtype
@pytest.mark.parametrize("name", LOSSES)
def test_values_of_weight_zero_never_matter(name, dtype, level):
    workspace = _core.Workspace(level=level)
    values = problem(name, 45, 30, 10, 12, dtype, weighted=True, loss_beta=LOSSES[name], max_sweeps=3, l1=0.1)
    other = values | {"data": np.where(values["weights"] == 0, dtype(12345), values["data"])}
    assert (other["data"] != values["data"]).any()
    one, two = (run(_core, name, arguments, workspace) for arguments in (values, other))
    del one["data"], two["data"]
    assert_same_bits(one, two)


@every_dtype
@with_and_without_weights
def test_coordinate_descent_tells_the_error_of_its_result(weighted, dtype):
    values = problem("observed_hals", 45, 30, 10, 12, dtype, weighted=weighted, l1=0.3, l2=0.2, max_sweeps=3)
    done = run(_core, "observed_hals", values, _core.Workspace())
    errors = dense_weights(values) * (values["X"] - done["F"].astype(np.float64) @ values["G"].T) ** 2
    assert done["report"][3] - values["report"][3] == pytest.approx(errors.sum(), rel=100 * PRECISIONS[dtype])


@every_level
@pytest.mark.parametrize(("k", "dtype"), [(24, np.float64), (9, np.float32)])
@with_and_without_weights
@pytest.mark.parametrize("name", ["observed_hals", "observed_mu"])
def test_the_same_bits_in_any_tasks(name, weighted, k, dtype, level):
    """How rows are dealt out is no concern of theirs; those that are swept in step differ then."""
    ld = factor_array(1, k, dtype).shape[1]
    values = problem(name, 300, 200, k, ld, dtype, weighted=weighted, max_sweeps=3, tol=1e-2, momentum=0.5)
    values |= values["spare"]
    expected = run(_core, name, values, _core.Workspace(level=level))
    for bounds in ([0, 300], [0, 1, 2, 150, 300], range(301)):
        values["bounds"] = np.array(bounds)
        for n_threads in THREADS[:3]:
            done = run(_core, name, values, _core.Workspace(n_threads, level))
            np.testing.assert_array_equal(done["F"], expected["F"])
            np.testing.assert_array_equal(done["F_new"], expected["F_new"])
            np.testing.assert_allclose(done["report"], expected["report"], rtol=1e-12)


# --- recommendations


def likings(n, m, k, dtype, seed=0):
    """Factors with rounding, and nothing excluded."""
    rng = np.random.default_rng(seed)
    F, G = (rng.random((size, k)).astype(dtype) for size in (n, m))
    return {"F": F, "G": G, "k": k, "indices": np.empty(0, dtype=np.int64), "indptr": np.zeros(n + 1, dtype=np.int64)}


def best(values, n_best, workspace):
    n, dtype = len(values["F"]), values["F"].dtype
    values = values | {"columns": np.full((n, n_best), -1), "scores": np.full((n, n_best), -np.inf, dtype=dtype)}
    done = run(_core, "top_columns", values, workspace)
    return done["columns"], done["scores"]


@every_level
@every_dtype
@pytest.mark.parametrize("n_best", [1, 2, 10, 700])
def test_the_best_columns_in_order(n_best, dtype, level):
    values = likings(35, 700, 9, dtype)
    columns, scores = best(values, n_best, _core.Workspace(level=level))
    model = values["F"].astype(np.float64) @ values["G"].T.astype(np.float64)
    expected = -np.sort(-model, axis=1)[:, :n_best]
    np.testing.assert_allclose(scores, expected, rtol=PRECISIONS[dtype])
    np.testing.assert_allclose(np.take_along_axis(model, columns, axis=1), scores, rtol=PRECISIONS[dtype])
    assert all(len(set(row)) == n_best for row in columns.tolist())
    assert (np.diff(scores, axis=1) <= 0).all()


@every_level
@every_dtype
def test_of_equal_columns_the_first(dtype, level):
    values = likings(5, 600, 3, dtype)
    values["G"][:] = 1
    columns, _ = best(values, 20, _core.Workspace(level=level))
    np.testing.assert_array_equal(columns, np.broadcast_to(np.arange(20), (5, 20)))


@every_level
def test_where_all_or_almost_all_is_excluded(level):
    """What is not there stays as it was."""
    values = likings(3, 300, 4, np.float64)
    excluded = [np.arange(300), np.setdiff1d(np.arange(300), [299]), np.arange(0)]
    values["indices"] = np.concatenate(excluded).astype(np.int64)
    values["indptr"] = np.cumsum([0, *map(len, excluded)])
    columns, scores = best(values, 4, _core.Workspace(level=level))
    np.testing.assert_array_equal(columns[:2], [[-1] * 4, [299, -1, -1, -1]])
    assert (scores[0] == -np.inf).all()
    assert scores[1, 0] == pytest.approx(values["F"][1] @ values["G"][299])
    assert (columns[2] >= 0).all()
