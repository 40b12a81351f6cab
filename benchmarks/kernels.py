"""Seconds of single kernels, beside what BLAS or SciPy take for the same products."""

import numpy as np
import scipy.sparse as sp
from threadpoolctl import threadpool_limits

from benchmarks.problems import problem
from nmf_core.data import as_container
from nmf_core.engine import Engine, Update, factor_array
from nmf_core.losses import make_loss


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
        self.gram, self.engine = gram, Engine(threads)
        self.update = Update(self.F, order, gram[0], method=method, gram=gram)

    def time_factor_pass(self, method, k, dtype, threads):
        self.engine.improve_rows(self.F, self.cross, self.update)

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
        self.data = as_container(X, engine=Engine(threads))
        n, m = self.data.shape
        F, G = _factor(n, k, dtype), _factor(m, k, dtype)
        one, order = np.ones(k, dtype=dtype), np.arange(k, dtype=np.int32)
        sums, floors = G[:, :k].sum(axis=0), np.full(n, 1e-9, dtype=dtype)
        loss = make_loss(beta)
        update = Update(F, order, one, loss=loss, sums=sums, floors=floors, exponent=loss.exponent)
        if solver == "mu":
            S = factor_array(m + (1 if loss.linear else m), k, F.dtype)
            self.call = lambda: self.data.pass_gradients(F, G, update, S=S)
        else:
            newton = update._replace(sums=sums[np.newaxis], l2=np.zeros(n, dtype=dtype))
            self.call = lambda: self.data.pass_newton(F, G, newton)
        self.call()

    def time_iteration(self, storage, solver, beta, dtype, threads):
        self.call()


class Ratings:
    """One step of W for 1.8 million ratings, all others being missing, with up to 8 sweeps; the best 10 of each row."""

    params = ([20, 50], ["float32", "float64"], [1, 2])
    param_names = ("k", "dtype", "threads")

    def setup(self, k, dtype, threads):
        self.data = as_container(problem("planted_ratings", dtype), missing="unstored", engine=Engine(threads))
        n, m = self.data.shape
        self.F, self.G = _factor(n, k, dtype), _factor(m, k, dtype)
        one, order = np.ones(n, dtype=dtype), np.arange(k, dtype=np.int32)
        self.update = Update(
            self.F, order, one[:k], l2=0.003, max_sweeps=8, tol=0.1, lower=0 * one[:k], row_weights=one
        )
        self.excluded = self.data.indices.astype(np.int64), self.data.indptr.astype(np.int64)

    def time_step(self, k, dtype, threads):
        self.data.pass_quadratic(self.F, self.G, self.update)

    def time_recommend(self, k, dtype, threads):
        self.data.engine.top_columns(self.F, self.G, k, self.excluded, 10)


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
        self.data = as_container(X, engine=Engine(threads))
        n, m = self.data.shape
        self.F, self.G = _factor(n, k, dtype), _factor(m, k, dtype)
        self.W, self.H = self.F[:, :k].copy(), np.ascontiguousarray(self.G[:, :k].T)
        if self.data.transposed:
            self.W, self.H = np.ascontiguousarray(self.H.T), np.ascontiguousarray(self.W.T)
        self.S = np.zeros((m + k, self.F.shape[1]), dtype=dtype)
        gram = np.ascontiguousarray((self.G.T @ self.G)[:k, :k])
        order = np.arange(k, dtype=np.int32)
        self.update = Update(self.F, order, gram[0], gram=gram)

    def time_pass(self, storage, k, dtype, threads):
        self.data.pass_quadratic(self.F, self.G, self.update, S=self.S)

    def time_two_products(self, storage, k, dtype, threads):
        with threadpool_limits(threads):
            self.X @ self.H.T
            self.X.T @ self.W
