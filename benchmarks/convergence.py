"""Seconds and iterations of whole fits, scikit-learn's beside ours. Objectives are recomputed from the factors."""

import warnings

from sklearn.decomposition import NMF
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import threadpool_limits

import nmf_core
from benchmarks.problems import objective, problem, start
from nmf_core.losses import make_loss
from nmf_core.solvers import SOLVERS

PROBLEMS = ["planted", "planted_sparse", "digits", "words_tfidf", "pbmc3k_log1p", "audio_brahms"]


class Fit:
    """A default fit of 20 components from a random start, by every solver for the squared error."""

    params = (
        PROBLEMS,
        [name for name in sorted(SOLVERS) if SOLVERS[name].handles(make_loss(2))],
        ["float32", "float64"],
        [1, 2],
    )
    param_names = ("problem", "solver", "dtype", "threads")
    timeout = 600

    def setup(self, name, solver, dtype, threads):
        self.X = problem(name, dtype)
        self.W, self.H = start(name, 20, "random", dtype)

    def fit(self, solver, threads):
        return nmf_core.factorize(self.X, 20, W=self.W, H=self.H, solver=solver, n_threads=threads)

    def time_fit(self, name, solver, dtype, threads):
        self.fit(solver, threads)

    def track_iterations(self, name, solver, dtype, threads):
        return self.fit(solver, threads).n_iter

    def track_relative_objective(self, name, solver, dtype, threads):
        result = self.fit(solver, threads)
        return 2 * objective(self.X, result.W, result.H) / result.X_squared_norm


class OtherLosses:
    """A default fit of 20 components for other losses than the squared error, beside multiplicative updates."""

    params = (
        ["planted", "planted_sparse", "digits", "debian_words", "pbmc3k"],
        ["kullback-leibler", "itakura-saito", 0.5, 1.5],
        ["auto", "mu"],
        ["float32", "float64"],
    )
    param_names = ("problem", "loss", "solver", "dtype")
    timeout = 600

    def setup(self, name, loss, solver, dtype):
        small = name in ("planted", "digits")
        if loss == "itakura-saito" and name != "planted":
            raise NotImplementedError("zeros")
        if loss != "kullback-leibler" and not small:
            raise NotImplementedError("takes too long: the whole model is looked at")
        self.X = problem(name, dtype)
        self.W, self.H = start(name, 20, "random", dtype)

    def fit(self, loss, solver):
        return nmf_core.factorize(self.X, 20, W=self.W, H=self.H, loss=loss, solver=solver, n_threads=2)

    def time_fit(self, name, loss, solver, dtype):
        self.fit(loss, solver)

    def track_iterations(self, name, loss, solver, dtype):
        return self.fit(loss, solver).n_iter

    def track_objective(self, name, loss, solver, dtype):
        result = self.fit(loss, solver)
        return objective(self.X, result.W, result.H, loss)


class Transform:
    """W of new samples: one row, which shows the overhead, and all rows."""

    params = (["digits", "debian_words"], ["frobenius", "kullback-leibler"], ["float32", "float64"])
    param_names = ("problem", "loss", "dtype")
    timeout = 600

    def setup(self, name, loss, dtype):
        self.X = problem(name, dtype)
        self.result = nmf_core.factorize(self.X, 20, loss=loss, init="random", random_state=0, max_iter=10)
        self.result.transform(self.X[:1])

    def time_one_row(self, name, loss, dtype):
        self.result.transform(self.X[:1])

    def time_all_rows(self, name, loss, dtype):
        self.result.transform(self.X)


class ScikitLearn:
    """The same with scikit-learn."""

    params = (PROBLEMS, ["cd", "mu"], ["float32", "float64"], [1, 2])
    param_names = ("problem", "solver", "dtype", "threads")
    timeout = 600

    def setup(self, name, solver, dtype, threads):
        self.X = problem(name, dtype)
        self.W, self.H = start(name, 20, "random", dtype)

    def time_fit(self, name, solver, dtype, threads):
        with warnings.catch_warnings(), threadpool_limits(threads):
            warnings.simplefilter("ignore", ConvergenceWarning)
            NMF(20, init="custom", solver=solver).fit_transform(self.X, W=self.W.copy(), H=self.H.copy())


class Initialization:
    """Starts by themselves."""

    params = (["planted", "words_tfidf", "pbmc3k_log1p"], ["random", "nndsvda", "kmeans"])
    param_names = ("problem", "init")

    def setup(self, name, init):
        self.X = problem(name, "float32")

    def time_one_iteration(self, name, init):
        nmf_core.factorize(self.X, 20, init=init, random_state=0, max_iter=1)


class SmallProblem:
    """What an iteration costs when there is nothing to compute."""

    def setup(self):
        self.X = problem("planted")[:20, :10]

    def time_1000_iterations(self):
        nmf_core.factorize(self.X, 2, init="random", random_state=0, tol=0, max_iter=1000, acceleration=False)
