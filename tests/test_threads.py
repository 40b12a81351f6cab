"""One pool of threads: forks, other pools, other threads, limits, and an environment left as it was."""

import contextlib
import importlib.util
import os
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import joblib
import numpy as np
import pytest
import threadpoolctl
from problems import noisy

from nmf_core import _core, beta_divergence, factorize, show_config
from nmf_core.threads import available_threads, make_workspace, serial_blas

# Enough work for several threads in every pass.
X = noisy(600, 300, 12)
PARAMETERS = {"n_components": 12, "init": "random", "random_state": 0, "max_iter": 5, "tol": 0}

needs_openmp = pytest.mark.skipif(not _core.OPENMP, reason="built without OpenMP")
needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
needs_affinity = pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system sets no affinity")

PROGRAM = """
    import os, sys
    import numpy as np
    sys.path.insert(0, {tests!r})
    from nmf_core import factorize, threads
    from problems import noisy
    X = noisy(600, 300, 12)

    def fit(n_threads=None):
        return factorize(X, 12, init="random", random_state=0, max_iter=5, tol=0, n_threads=n_threads)
"""


def python(program, **environment):
    """What a program prints that knows `fit`."""
    return run_python(
        textwrap.dedent(PROGRAM).format(tests=str(Path(__file__).parent)) + textwrap.dedent(program), **environment
    )


def run_python(program, **environment):
    """What a program prints; it may not hang."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        check=False,
        capture_output=True,
        text=True,
        timeout=100,
        env={**os.environ, **environment},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def blas_threads():
    return {
        pool["filepath"]: pool["num_threads"] for pool in threadpoolctl.threadpool_info() if pool["user_api"] == "blas"
    }


@pytest.fixture
def blas_limit():
    """A number of BLAS threads that no fit would set."""
    with threadpoolctl.threadpool_limits(3, user_api="blas"):
        before = blas_threads()
        if set(before.values()) != {3}:
            pytest.skip("this BLAS takes no limits")
        yield before


def fit(n_threads=None, **others):
    return factorize(X, **PARAMETERS | others, n_threads=n_threads)


# --- how many


@needs_openmp
def test_as_many_as_asked_for():
    assert [fit(n).n_threads for n in (1, 2, 3, 17)] == [1, 2, 3, 17]


@needs_openmp
def test_by_default_what_is_available():
    assert fit().n_threads == available_threads() == make_workspace(None).n_threads >= 1


@needs_openmp
@pytest.mark.parametrize("limit", [1, 2])
@pytest.mark.parametrize("user_api", [None, "openmp"])
def test_limits_of_threadpoolctl_are_respected(limit, user_api):
    before = fit().n_threads
    with threadpoolctl.threadpool_limits(limit, user_api=user_api):
        assert fit().n_threads == min(limit, before)
    assert fit().n_threads == before


@needs_openmp
def test_environment_variable_is_respected():
    assert python("print(fit().n_threads, fit(3).n_threads)", OMP_NUM_THREADS="1") == ["1", "3"]


@needs_affinity
def test_affinity_is_respected():
    program = """
        os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])
        print(threads.available_threads(), fit().n_threads)
    """
    assert python(program) == ["1", "1"]


@needs_affinity
@pytest.mark.parametrize(
    ("affinity", "granted", "openmp", "expected"),
    [
        (8, np.inf, 16, 8),
        (8, np.inf, 3, 3),
        (8, 4.0, 16, 4),
        (8, 2.5, 16, 3),
        (8, 0.1, 16, 1),
        (2, 4.0, 16, 2),
    ],
)
def test_the_smallest_of_all_limits_counts(monkeypatch, affinity, granted, openmp, expected):
    """CPUs that the affinity mask allows, that the control group grants (rounded up), and OpenMP's own limit."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(affinity)))
    monkeypatch.setattr("nmf_core.threads._cgroup_cpus", lambda: granted)
    monkeypatch.setattr(_core, "max_threads", lambda: openmp)
    assert available_threads() == expected


# --- other pools


def test_blas_has_one_thread_inside_a_fit_and_its_own_number_afterwards(blas_limit):
    inside = []
    fit(callback=lambda state: inside.append(blas_threads()))
    assert set(inside[0].values()) == {1}
    assert blas_threads() == blas_limit


@pytest.mark.parametrize("how", ["exception", "interrupt", "bad input"])
def test_limits_are_restored_however_a_fit_ends(how, blas_limit):
    def fail(state):
        raise KeyboardInterrupt if how == "interrupt" else ZeroDivisionError

    with contextlib.suppress(ZeroDivisionError, ValueError):
        fit(callback=fail) if how != "bad input" else factorize(-X, 2)
    assert blas_threads() == blas_limit


def test_the_last_of_several_users_restores(blas_limit):
    with serial_blas():
        with serial_blas():
            assert set(blas_threads().values()) == {1}
        assert set(blas_threads().values()) == {1}
    assert blas_threads() == blas_limit


@needs_openmp
def test_openmp_keeps_its_number_of_threads():
    before = _core.max_threads()
    fit(3)
    assert _core.max_threads() == before


# --- fits at the same time


def test_fits_in_threads_of_python(blas_limit):
    expected = fit(1)
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda i: fit(1 + i % 3), range(12)))
    for result in results:
        np.testing.assert_array_equal(result.W, expected.W)
        np.testing.assert_array_equal(result.H, expected.H)
    assert blas_threads() == blas_limit


@pytest.mark.parametrize("loss", ["kullback-leibler", 1.5, "itakura-saito"])
def test_other_losses_in_threads_of_python(loss, blas_limit):
    """Fits, transforms and divergences at the same time, each with threads of its own."""
    A = X[:200, :100]
    expected = factorize(A, **PARAMETERS, loss=loss, n_threads=1)

    def use(i):
        result = factorize(A, **PARAMETERS, loss=loss, n_threads=1 + i % 3)
        W = result.transform(A, max_iter=5, n_threads=1 + i % 2)
        return result.W, result.H, W, beta_divergence(A, result.W, result.H, loss, n_threads=1 + i % 3)

    alone = use(0)
    np.testing.assert_array_equal(alone[0], expected.W)
    with ThreadPoolExecutor(4) as pool:
        for others in pool.map(use, range(8)):
            for one, other in zip(alone, others, strict=True):
                np.testing.assert_array_equal(one, other)
    assert blas_threads() == blas_limit


@pytest.mark.filterwarnings("ignore::UserWarning:joblib")
def test_fits_in_processes_of_joblib():
    expected = fit()
    jobs = (joblib.delayed(factorize)(X, **PARAMETERS) for _ in range(3))
    for result in joblib.Parallel(n_jobs=2, backend="loky")(jobs):
        np.testing.assert_array_equal(result.W, expected.W)


# --- forks: libgomp's threads are gone in the child, and its pool does not know


@pytest.mark.slow
@pytest.mark.parametrize("first", [True, False], ids=["loaded first", "loaded last"])
@pytest.mark.parametrize("other", ["torch", "sklearn"])
def test_beside_another_openmp_runtime(other, first):
    """PyTorch and scikit-learn bring OpenMP libraries of their own and use them before and after a fit."""
    if importlib.util.find_spec(other) is None:  # not importorskip: this process need not load it
        pytest.skip(f"{other} is not installed")
    use = {
        "torch": "import torch; assert torch.ones(600, 600).mm(torch.ones(600, 600)).sum() == 600**3",
        "sklearn": "from sklearn.cluster import KMeans; KMeans(3, n_init=1, random_state=0).fit(np.eye(600))",
    }[other]
    load = "from nmf_core import factorize, threads"
    program = f"""
        import sys
        import numpy as np
        {use if first else load}
        {load if first else use}
        sys.path.insert(0, {str(Path(__file__).parent)!r})
        from problems import noisy
        X = noisy(600, 300, 12)
        for n_threads in (2, 1, 2):
            {use}
            r = factorize(X, 12, init="random", random_state=0, max_iter=5, tol=0, n_threads=n_threads)
            print(r.history.objective[-1].hex())
    """
    expected = factorize(X, **PARAMETERS, n_threads=2).history.objective[-1].hex()
    assert run_python(program) == [expected] * 3


@needs_fork
def test_a_fork_after_a_fit_with_threads():
    program = """
        expected = fit(4).W.tobytes()
        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            os.write(write, b"same" if fit(4).W.tobytes() == fit().W.tobytes() == expected else b"different")
            os._exit(0)
        print(os.read(read, 20).decode(), os.waitpid(child, 0)[1])
        print(fit(4).W.tobytes() == expected)
    """
    assert python(program) == ["same", "0", "True"]


@needs_fork
@pytest.mark.parametrize("loss", [pytest.param("kullback-leibler", marks=pytest.mark.exhaustive), 1.5])
def test_a_fork_after_a_fit_by_another_loss(loss):
    program = f"""
        def use():
            result = factorize(X, 5, loss={loss!r}, random_state=0, max_iter=3, n_threads=4)
            return result.W.tobytes() + result.transform(X[:50], max_iter=3, n_threads=4).tobytes()
        expected = use()
        child = os.fork()
        if child == 0:
            os._exit(0 if use() == expected else 1)
        print(os.waitpid(child, 0)[1])
    """
    assert python(program) == ["0"]


@needs_fork
def test_a_pool_of_forks_after_a_fit_with_threads():
    program = """
        import multiprocessing
        expected = fit(4).W.tobytes()
        with multiprocessing.get_context("fork").Pool(2) as pool:
            print(*[result.W.tobytes() == expected for result in pool.map(fit, [1, 2, 4, None])])
    """
    assert python(program) == ["True"] * 4


@needs_fork
@needs_openmp
def test_a_fork_before_any_fit_may_use_threads():
    program = """
        child = os.fork()
        if child == 0:
            fit(4)
            os._exit(0 if fit(4).n_threads == 4 else 1)
        print(os.waitpid(child, 0)[1])
    """
    assert python(program) == ["0"]


@needs_fork
def test_a_fork_of_a_fork():
    program = """
        expected = fit(4).W.tobytes()
        child = os.fork()
        if child == 0:
            fit(4)
            grandchild = os.fork()
            if grandchild == 0:
                os._exit(0 if fit(4).W.tobytes() == expected else 1)
            os._exit(os.waitpid(grandchild, 0)[1])
        print(os.waitpid(child, 0)[1])
    """
    assert python(program) == ["0"]


@needs_fork
def test_a_fork_inside_a_callback():
    program = """
        def fork(state):
            child = os.fork()
            if child == 0:
                os._exit(0 if factorize(X, 5, n_threads=4, max_iter=2).n_iter == 2 else 1)
            print(os.waitpid(child, 0)[1])
            return True
        factorize(X, 12, n_threads=4, callback=fork)
        print(fit(4).n_iter)
    """
    assert python(program) == ["0", "5"]


# --- the environment


def test_the_environment_is_left_as_it_was():
    program = """
        import os
        before = dict(os.environ)
        import nmf_core
        nmf_core.factorize([[1.0, 2.0], [3.0, 4.0]], 1, n_threads=2)
        assert os.environ == before
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("GOMP_", "OMP_"))}
    subprocess.run([sys.executable, "-c", textwrap.dedent(program)], check=True, timeout=100, env=environment)


@pytest.mark.parametrize("name", ["GOMP_SPINCOUNT", "OMP_WAIT_POLICY"])
def test_what_users_chose_stays(name):
    value = {"GOMP_SPINCOUNT": "7", "OMP_WAIT_POLICY": "passive"}[name]
    assert python(f"print(os.environ[{name!r}])", **{name: value}) == [value]


def test_show_config(capsys):
    show_config()
    shown = capsys.readouterr().out
    for part in (
        "nmf_core",
        "numpy",
        "scipy",
        "Python",
        _core.LEVELS[_core.best_level()],
        f"{available_threads()} by default",
    ):
        assert part in shown
    for pool in threadpoolctl.threadpool_info():
        assert pool["filepath"] in shown
