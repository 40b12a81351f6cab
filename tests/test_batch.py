"""Several pairs of factors in one pass over X: the bits of passes one by one."""

import threading

import numpy as np
import pytest
import scipy.sparse as sp

import nmf_core
from nmf_core import _core
from nmf_core.data import batch
from nmf_core.data.dense import Dense
from nmf_core.data.sparse import Sparse
from nmf_core.engine import Engine, factor_array, padded

SHAPES = [(1, 5), (70, 1), (300, 200), (38, 700), (5000, 38), (2500, 900)]
BATCHES = [(1,), (3,) * 5, (20,) * 3, (2,) * 9, (7,) * 20, (2, 5, 3, 20)]


def arguments(A, k, seed, *, extrapolated, statistics, method="hals", max_sweeps=3):
    """Those of `dense_pass`, but for X and the workspace."""
    rng, dtype = np.random.default_rng(seed), A.dtype
    n, m = A.shape
    G, start, previous = (padded(rng.random((rows, k)), dtype) for rows in (m, n, n))
    S = factor_array(m + (2 * k if extrapolated else k), k, dtype) if statistics else None
    gram = np.ascontiguousarray(Engine(1).gram(G, k))
    return (
        factor_array(n, k, dtype), factor_array(n, k, dtype) if extrapolated else None, S, np.zeros(_core.REPORT_SIZE),
        G, start, previous if extrapolated else start, np.ones(k, dtype), gram, gram, np.arange(k, dtype=np.int32),
        _core.METHODS[method], 0.01, 0.0, 0.3 if extrapolated else 0.0, max_sweeps, 0.1,
    )  # fmt: skip


def one_by_one(A, passes, workspace):
    A.engine = Engine(workspace=workspace)
    for one in passes:
        stored = A.stored_for(one[4], one[2] is not None)
        getattr(_core, f"{A.kind}_pass")(*one[:4], *stored, *one[4:], workspace)


def at_once(A, passes, workspace):
    getattr(_core, f"{A.kind}_passes")(passes, *A.stored_for_several(passes[0][4]), workspace)


def matrices(shape, dtype):
    rng = np.random.default_rng(0)
    X = rng.random(shape).astype(dtype)
    X[rng.random(shape) < 0.5] = 0
    yield Dense(X)
    yield Dense(np.asfortranarray(X))
    yield Sparse(sp.csr_array(X * (rng.random(shape) < 0.2)))


@pytest.mark.parametrize("level", range(_core.best_level() + 1))
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", SHAPES)
def test_bits_are_those_of_single_passes(shape, dtype, level):
    for A in matrices(shape, dtype):
        for number, ks in enumerate(BATCHES):
            if A.kind == "csr" and len(set(ks)) > 1:  # groups of rows depend on k
                continue
            how = {"extrapolated": number % 2 == 0, "statistics": number % 3 < 2, "max_sweeps": (3, 1, 0)[number % 3]}
            expected, found = ([arguments(A, k, i, **how) for i, k in enumerate(ks)] for _ in range(2))
            one_by_one(A, expected, _core.Workspace(1 + number % 2, level))
            at_once(A, found, _core.Workspace(2 - number % 2, level))
            for one, other in zip(expected, found, strict=True):
                assert all(np.array_equal(a, b) for a, b in zip(one[:4], other[:4], strict=True) if a is not None)


@pytest.mark.parametrize("method", ["hals", "mu", "greedy", "bpp"])
def test_every_method_of_rows(method):
    for A in matrices((300, 200), np.float64):
        how = {"extrapolated": False, "statistics": True, "method": method}
        expected, found = ([arguments(A, 4, i, **how) for i in range(5)] for _ in range(2))
        one_by_one(A, expected, _core.Workspace(1))
        at_once(A, found, _core.Workspace(2))
        for one, other in zip(expected, found, strict=True):
            assert all(np.array_equal(a, b) for a, b in zip(one[:4], other[:4], strict=True) if a is not None)


@pytest.mark.parametrize("form", [np.asarray, np.asfortranarray, sp.csr_array, sp.csc_array])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_runs_that_visit_x_together_are_single_fits(monkeypatch, form, dtype):
    monkeypatch.setattr(batch, "WORTH", 1)
    made = []
    original = batch.Batch._make
    monkeypatch.setattr(
        batch.Batch, "_make", lambda self, several: (made.append(len(several)), original(self, several))
    )
    rng = np.random.default_rng(0)
    X = form((rng.random((200, 90)) * (rng.random((200, 90)) < 0.3)).astype(dtype))
    ensemble = nmf_core.factorize_many(X, 3, 7, random_state=0, max_iter=60, alpha_W=1e-3, tol=1e-3)
    assert max(made) > 1
    for f, seed in zip(ensemble, ensemble.seeds, strict=True):
        g = nmf_core.factorize(X, 3, init="random", random_state=seed, max_iter=60, alpha_W=1e-3, tol=1e-3)
        assert np.array_equal(f.W, g.W)
        assert np.array_equal(f.H, g.H)
        assert (f.n_iter, f.objective, f.stop_reason) == (g.n_iter, g.objective, g.stop_reason)


def test_several_numbers_of_components_visit_x_together(monkeypatch):
    monkeypatch.setattr(batch, "WORTH", 1)
    X = np.random.default_rng(0).random((150, 60))
    survey = nmf_core.rank_survey(X, [2, 3, 4], 4, held_out=False, random_state=0)
    for k, ensemble in survey.items():
        f = nmf_core.factorize(X, k, init="random", random_state=ensemble.seeds[2])
        assert np.array_equal(ensemble.W[2], f.W)


def test_a_failure_reaches_every_run_that_waits(monkeypatch):
    monkeypatch.setattr(batch, "WORTH", 1)

    def fail(*_):
        raise MemoryError("no room")

    monkeypatch.setattr(Engine, "passes_quadratic", fail)
    with pytest.raises(MemoryError, match="no room"):
        nmf_core.factorize_many(np.random.default_rng(0).random((150, 60)), 3, 5, random_state=0)
    assert threading.active_count() < 20
