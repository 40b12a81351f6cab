"""Seconds of single kernels, beside what BLAS or SciPy take for the same products."""

import numpy as np
import scipy.sparse as sp
from threadpoolctl import threadpool_limits

from benchmarks.problems import problem
from nmf_core import _core
from nmf_core.data import BetaStep, NewtonStep, ObservedStep, Step, as_container, factor_array
from nmf_core.losses import make_loss
from nmf_core.solvers import SOLVERS


def _factor(n, k, dtype):
    F = factor_array(n, k, dtype)
    F[:, :k] = np.random.default_rng(0).random((n, k))
    return F


class Sweep:
    """One sweep over 20,000 rows, products with X known: 2 n k^2 operations."""

    params = (["hals", "mu"], [20, 50, 64, 100], ["float32", "float64"], [1, 2])
    param_names = ("method", "k", "dtype", "threads")

    def setup(self, method, k, dtype, threads):
        G = np.random.default_rng(1).random((k, 2 * k))
        self.F, self.cross = _factor(20000, k, dtype), _factor(20000, k, dtype)
        self.cross *= k / 2
        gram = (G @ G.T).astype(dtype)
        order = np.arange(k, dtype=np.int32)
        self.gram, self.workspace, self.report = gram, _core.Workspace(threads), np.zeros(_core.REPORT_SIZE)
        recipe = {solver.method.name: solver.method for solver in SOLVERS.values()}[method]
        matrix, rate = recipe.prepared(gram, order)
        self.step = Step(self.F, self.F, gram[0], gram, matrix, order, _core.METHODS[method], rate=rate)

    def time_factor_pass(self, method, k, dtype, threads):
        _core.factor_pass(self.F, None, None, self.report, self.cross, *self.step, self.workspace)

    def time_gemm(self, method, k, dtype, threads):
        with threadpool_limits(threads):
            self.F[:, :k] @ self.gram


class OtherLosses:
    """One iteration over X for other losses: multiplicative updates of W with statistics, or Newton steps of W."""

    params = (["dense", "csr"], ["mu", "newton"], [0.5, 1.0, 1.5], ["float32", "float64"], [1, 2])
    param_names = ("storage", "solver", "beta", "dtype", "threads")

    def setup(self, storage, solver, beta, dtype, threads):
        if solver == "newton" and beta != 1:
            raise NotImplementedError("for Kullback-Leibler only")
        rng = np.random.default_rng(0)
        if storage == "dense":
            X = rng.random((2000, 1000), dtype=dtype)
        else:
            X = sp.random_array((5000, 2000), density=0.02, rng=rng, format=storage, dtype=dtype)
        k = 20
        self.data = as_container(X)
        n, m = self.data.shape
        F, G = _factor(n, k, dtype), _factor(m, k, dtype)
        one, order = np.ones(k, dtype=dtype), np.arange(k, dtype=np.int32)
        sums, floors = G[:, :k].sum(axis=0), np.full(n, 1e-9, dtype=dtype)
        workspace, report = _core.Workspace(threads), np.zeros(_core.REPORT_SIZE)
        if solver == "mu":
            S = factor_array(m + (1 if beta == 1 else m), k, F.dtype)
            exponent = make_loss(beta).exponent
            step = BetaStep(F, F, one, sums, order, 0.0, 0.0, 0.0, 1, 0.0, beta, exponent, floors)
            self.call = lambda: self.data.improve_beta(F, None, S, report, G, step, workspace)
        else:
            l2 = np.zeros(n, dtype=dtype)
            step = NewtonStep(F, F, one, sums[np.newaxis], order, l2, 0.0, 1, 0.0, floors, False, False)
            self.call = lambda: self.data.newton(F, None, report, G, step, workspace)
        self.call()

    def time_iteration(self, storage, solver, beta, dtype, threads):
        self.call()


class Ratings:
    """One step of W for 1.8 million ratings, all others being missing, with up to 8 sweeps; the best 10 of each row."""

    params = ([20, 50], ["float32", "float64"], [1, 2])
    param_names = ("k", "dtype", "threads")

    def setup(self, k, dtype, threads):
        self.data = as_container(problem("planted_ratings", dtype), missing="unstored")
        n, m = self.data.shape
        self.F, self.G = _factor(n, k, dtype), _factor(m, k, dtype)
        one, order = np.ones(n, dtype=dtype), np.arange(k, dtype=np.int32)
        self.step = ObservedStep(self.F, self.F, one[:k], 0 * one[:k], order, 0.0, 0.003, one, 0.0, 8, 0.1)
        self.k, self.workspace, self.report = k, _core.Workspace(threads), np.zeros(_core.REPORT_SIZE)
        self.columns = np.empty((n, 10), dtype=np.int64)
        self.scores = np.empty((n, 10), dtype=dtype)
        self.excluded = self.data.indices.astype(np.int64), self.data.indptr.astype(np.int64)

    def time_step(self, k, dtype, threads):
        self.data.hals(self.F, None, self.report, self.G, self.step, self.workspace)

    def time_recommend(self, k, dtype, threads):
        _core.top_columns(self.columns, self.scores, self.F, self.G, k, *self.excluded, self.workspace)


class Pass:
    """One pass over X with k = 20 or 50: both products, one sweep, statistics; beside the two products alone."""

    params = (["dense", "fortran", "csr", "csc"], [20, 50], ["float32", "float64"], [1, 2])
    param_names = ("storage", "k", "dtype", "threads")

    def setup(self, storage, k, dtype, threads):
        rng = np.random.default_rng(0)
        if storage in ("dense", "fortran"):
            X = np.asarray(rng.random((10000, 1000), dtype=dtype), order="F" if storage == "fortran" else "C")
        else:
            X = sp.random_array((20000, 10000), density=0.01, rng=rng, format=storage, dtype=dtype)
        self.X = X
        self.data = as_container(X)
        n, m = self.data.shape
        self.F, self.G = _factor(n, k, dtype), _factor(m, k, dtype)
        self.W, self.H = self.F[:, :k].copy(), np.ascontiguousarray(self.G[:, :k].T)
        if self.data.transposed:
            self.W, self.H = np.ascontiguousarray(self.H.T), np.ascontiguousarray(self.W.T)
        self.S = np.zeros((m + k, self.F.shape[1]), dtype=dtype)
        gram = np.ascontiguousarray((self.G.T @ self.G)[:k, :k])
        order = np.arange(k, dtype=np.int32)
        self.step = Step(self.F, self.F, gram[0], gram, gram, order, _core.METHODS["hals"])
        self.workspace = _core.Workspace(threads)
        self.report = np.zeros(_core.REPORT_SIZE)

    def time_pass(self, storage, k, dtype, threads):
        self.data.improve(self.F, None, self.S, self.report, self.G, self.step, self.workspace)

    def time_two_products(self, storage, k, dtype, threads):
        with threadpool_limits(threads):
            self.X @ self.H.T
            self.X.T @ self.W
