"""What the benchmarks themselves compute: the objective, the starts and the time to an objective."""

import importlib
import sys
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def benchmark(monkeypatch):
    if not (ROOT / "benchmarks").is_dir():
        pytest.skip("the benchmarks are not beside the tests")
    monkeypatch.syspath_prepend(str(ROOT))
    yield lambda name: importlib.import_module(f"benchmarks.{name}")
    for name in [name for name in sys.modules if name.split(".")[0] == "benchmarks"]:
        del sys.modules[name]


@pytest.mark.parametrize("convert", [np.asarray, sp.csr_array, sp.csc_matrix])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_objective_is_half_the_squared_error(benchmark, convert, dtype):
    rng = np.random.default_rng(0)
    W, H = rng.random((600, 3)).astype(dtype), rng.random((3, 11)).astype(dtype)
    X = (rng.random((600, 11)) * (rng.random((600, 11)) < 0.5)).astype(dtype)
    expected = np.sum((X.astype(np.float64) - W.astype(np.float64) @ H.astype(np.float64)) ** 2) / 2
    assert benchmark("problems").objective(convert(X), W, H) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("name", ["planted", "planted_sparse", "digits"])
def test_problems_and_starts_are_shared_and_read_only(benchmark, name):
    problems = benchmark("problems")
    X = problems.problem(name, "float32")
    assert X is problems.problem(name, "float32")
    assert X.dtype == np.float32
    values = X.data if sp.issparse(X) else X
    assert values.min() >= 0
    W, H = problems.start(name, 3, "random", "float32")
    assert (W.shape, H.shape, W.dtype) == ((X.shape[0], 3), (3, X.shape[1]), np.float32)
    assert not any(array.flags.writeable for array in (values, W, H))


def test_time_to_an_objective_is_interpolated(benchmark, monkeypatch):
    compare = benchmark("compare")
    runs = {1: (1.0, 50.0), 2: (2.0, 20.0), 4: (4.0, 10.0)}
    monkeypatch.setattr(compare, "run_theirs", lambda X, k, W, H, n_threads, max_iter, tol=0.0: runs[max_iter])
    monkeypatch.setattr(compare, "objective", lambda X, W, H: 100.0)
    assert compare.time_to(None, 1, None, None, 1, goal=15.0, most=4) == pytest.approx(3.0)
    assert compare.time_to(None, 1, None, None, 1, goal=5.0, most=4) == float("inf")
