"""What the benchmarks themselves compute: the objective, the starts and the time to an objective."""

import importlib
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp

import nmf_core

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


@pytest.mark.parametrize("loss", [-0.5, "itakura-saito", 0.5, "kullback-leibler", 1.5, 2.5])
@pytest.mark.parametrize("convert", [np.asarray, sp.csr_array, sp.csc_matrix])
def test_objective_of_other_losses_is_that_of_scikit_learn(benchmark, convert, loss):
    from sklearn.decomposition._nmf import _beta_divergence

    problems = benchmark("problems")
    rng = np.random.default_rng(0)
    W, H = rng.random((60, 3)) + 0.1, rng.random((3, 11)) + 0.1
    X = rng.random((60, 11)) + 0.1
    beta = problems.BETAS.get(loss, loss)
    if beta > 0:
        X[rng.random(X.shape) < 0.5] = 0
    assert problems.objective(convert(X), W, H, loss) == pytest.approx(_beta_divergence(X, W, H, beta), rel=1e-10)


@pytest.mark.parametrize("convert", [np.asarray, sp.csr_array])
def test_rank_one_model_has_the_sums_of_rows_and_columns(benchmark, convert):
    X = np.random.default_rng(0).poisson(1.0, (20, 7)).astype(np.float64)
    W, H = benchmark("problems").rank_one(convert(X))
    np.testing.assert_allclose((W @ H).sum(axis=0), X.sum(axis=0))
    np.testing.assert_allclose((W @ H).sum(axis=1), X.sum(axis=1))


def test_updates_to_an_objective_are_counted(benchmark):
    compare = benchmark("compare")
    X = benchmark("problems").problem("digits")[:200]
    rng = np.random.default_rng(0)
    W, H = rng.random((200, 4)), rng.random((4, X.shape[1]))
    ours = compare.run_ours(X, 4, W, H, 1, 1.0, solver="mu", tol=0, max_iter=7)
    assert compare.updates_to(X, 4, W, H, ours[1] * (1 + 1e-12), 1.0) == (7, True)
    assert compare.updates_to(X, 4, W, H, ours[1] * 1e-3, 1.0, most=50) == (50, False)
    assert compare.seconds_per_update(X, 4, W, H, 1, 1.0) != 0


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
    assert compare.seconds_to(None, 1, None, None, 1, goal=15.0, most=4) == pytest.approx(3.0)
    assert compare.seconds_to(None, 1, None, None, 1, goal=5.0, most=4) == float("inf")


def test_epochs_to_an_objective_are_interpolated(benchmark, monkeypatch):
    minibatch = benchmark("minibatch")
    runs = {1: (1.0, 50.0, 1.0), 2: (2.0, 20.0, 2.0), 4: (5.0, 10.0, 4.0)}
    monkeypatch.setattr(minibatch, "run", lambda *args, max_iter, **options: runs[max_iter])
    monkeypatch.setattr(minibatch, "MOST_EPOCHS", 4)
    assert minibatch.theirs_to(15.0, None, 1, None, None, "frobenius", 1) == pytest.approx((3.5, 3.0))
    assert minibatch.theirs_to(60.0, None, 1, None, None, "frobenius", 1) == (1.0, 1.0)
    assert minibatch.theirs_to(5.0, None, 1, None, None, "frobenius", 1) == (float("inf"), float("inf"))


@pytest.mark.skipif(shutil.which("gcc") is None, reason="the baseline is compiled by gcc")
@pytest.mark.parametrize(("inner", "tol", "start"), [(1, 0.0, "zero"), (3, 0.0, "random")])
def test_ccdpp_does_what_its_formulas_say(benchmark, inner, tol, start):
    """Against every component fitted to the residual of the others, with whole matrices."""
    recommendation = benchmark("recommendation")
    rng = np.random.default_rng(0)
    known = rng.random((60, 40)) < 0.2
    known[5] = known[:, 7] = False
    X = np.where(known, rng.random((60, 40)) + 0.5, 0).astype(np.float32)
    run = recommendation.ccdpp(sp.csr_array(X), 4, 0.01, inner=inner, tol=tol, start=start, seed=1)
    draws = np.random.default_rng(1)
    size = 2 * (X[known].mean() / 4) ** 0.5
    H = size * draws.random((4, 40), dtype=np.float32).astype(np.float64)
    W = size * draws.random((4, 60), dtype=np.float32) if start == "random" else np.zeros((4, 60))
    W = W.astype(np.float64)
    for _ in range(8):
        for t in range(4):
            rest = known * (X - W.T @ H + np.outer(W[t], H[t]))
            for _ in range(inner):
                W[t] = np.maximum(rest @ H[t], 0) / np.maximum(0.01 * known.sum(axis=1) + known @ H[t] ** 2, 1e-30)
                H[t] = np.maximum(W[t] @ rest, 0) / np.maximum(0.01 * known.sum(axis=0) + W[t] ** 2 @ known, 1e-30)
        _, W_found, H_found = next(run)
        np.testing.assert_allclose(W_found.T, W, atol=2e-3)
        np.testing.assert_allclose(H_found, H, atol=2e-3)


def test_grouped_least_squares_are_least_squares(benchmark):
    least_squares = benchmark("least_squares")
    A, B = least_squares.problem(6)
    np.testing.assert_allclose(least_squares.grouped(A, B[:, :50]), nmf_core.nnls(A, B[:, :50]), atol=1e-10)


def test_start_up_is_told_in_passes(benchmark, capsys, tmp_path):
    solve = importlib.import_module("nmf_core.factorize").solve
    benchmark("startup").main(["--size", "1e-4", "--repeats", "1", "--folder", str(tmp_path), "--file", "1e-4"])
    *starts, fit = capsys.readouterr().out.splitlines()
    assert len(starts) == 7
    assert all("factorize" in line and "NMF" in line for line in starts)
    assert "5 iterations" in fit
    assert importlib.import_module("nmf_core.factorize").solve is solve
    assert not list(tmp_path.iterdir())
