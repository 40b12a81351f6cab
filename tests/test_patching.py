"""Standing in for scikit-learn: the names, ``python -m nmf_core``, and scikit-learn's own tests."""

import os
import pickle
import subprocess
import sys
import textwrap
from importlib.util import find_spec
from xml.etree import ElementTree

import numpy as np
import pytest
from sklearn import decomposition
from sklearn.decomposition import _nmf

import nmf_core

NAMES = ("NMF", "MiniBatchNMF", "non_negative_factorization")
ORIGINAL = {name: getattr(decomposition, name) for name in NAMES}


@pytest.fixture
def patched():
    nmf_core.patch_sklearn()
    yield
    nmf_core.unpatch_sklearn()


def run(*arguments, cwd, status=0):
    """Run ``python`` with the arguments and return the finished process."""
    # Seen from another folder, relative entries of the path would name something else.
    path = os.pathsep.join(os.path.abspath(entry) for entry in sys.path if entry)  # noqa: PTH100
    command = [sys.executable, "-W", "error", *arguments]
    env = {**os.environ, "PYTHONPATH": path}
    done = subprocess.run(command, cwd=cwd, env=env, check=False, capture_output=True, text=True)
    assert done.returncode == status, done.stdout[-20000:] + done.stderr
    return done


def script(folder, text, name="script.py"):
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(textwrap.dedent(text))
    return str(path)


# --- the names


@pytest.mark.parametrize("module", [decomposition, _nmf])
def test_names_are_replaced_and_restored(module):
    assert not nmf_core.is_patched()
    for _ in range(2):
        nmf_core.patch_sklearn()
        assert nmf_core.is_patched()
        assert [getattr(module, name) for name in NAMES] == [getattr(nmf_core, name) for name in NAMES]
    for _ in range(2):
        nmf_core.unpatch_sklearn()
        assert not nmf_core.is_patched()
        assert {name: getattr(module, name) for name in ORIGINAL} == ORIGINAL


@pytest.mark.parametrize("name", ["NMF", "MiniBatchNMF"])
def test_our_class_still_derives_from_the_original(name, patched):
    assert issubclass(getattr(decomposition, name), ORIGINAL[name])
    assert getattr(decomposition, name) is not ORIGINAL[name]


def test_function_imported_before_uses_our_class(patched):
    X = np.random.default_rng(0).uniform(size=(20, 6))
    parameters = {"n_components": 2, "random_state": 0, "tol": 1e-2}
    before = ORIGINAL["non_negative_factorization"](X, **parameters)
    ours = nmf_core.non_negative_factorization(X, **parameters)
    np.testing.assert_array_equal(before[0], ours[0])


@pytest.mark.parametrize("beta_loss", ["kullback-leibler", 0.5, "itakura-saito"])
def test_other_losses_are_ours_too(patched, beta_loss):
    """Also by the function imported before, and without a trace of the original's own updates."""
    X = np.random.default_rng(0).uniform(0.1, 1, size=(20, 6))
    parameters = {"n_components": 2, "solver": "mu", "beta_loss": beta_loss, "random_state": 0, "tol": 1e-2}
    before = ORIGINAL["non_negative_factorization"](X, **parameters)
    model = decomposition.NMF(**parameters)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_nmf, "_fit_multiplicative_update", None)
        np.testing.assert_array_equal(model.fit_transform(X), before[0])
        np.testing.assert_array_equal(model.components_, before[1])
        assert model.transform(X[:3]).shape == (3, 2)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("parameters", [{}, {"solver": "mu", "beta_loss": "kullback-leibler"}], ids=str)
def test_model_pickled_by_scikit_learn_is_read_as_ours(parameters):
    X = np.random.default_rng(0).uniform(size=(20, 6))
    pickled = pickle.dumps(ORIGINAL["NMF"](2, random_state=0, tol=1e-2, **parameters).fit(X))
    nmf_core.patch_sklearn()
    try:
        model = pickle.loads(pickled)
    finally:
        nmf_core.unpatch_sklearn()
    assert type(model) is nmf_core.NMF
    assert model.n_threads is None
    assert model.transform_tol is None
    assert model.transform(X).shape == (20, 2)


@pytest.mark.slow
@pytest.mark.parametrize(
    "imports",
    [
        "import nmf_core",
        "import sklearn.decomposition, nmf_core",
        "from nmf_core import NMF; import nmf_core",
    ],
)
def test_order_of_imports_does_not_matter(imports, tmp_path):
    program = f"""
        {imports}
        nmf_core.patch_sklearn()
        from sklearn.decomposition import NMF, non_negative_factorization
        assert NMF is nmf_core.NMF
        assert non_negative_factorization is nmf_core.non_negative_factorization
        nmf_core.unpatch_sklearn()
        from sklearn.decomposition import NMF as original
        assert original.__module__ == "sklearn.decomposition._nmf"
        assert issubclass(NMF, original) and NMF is not original
    """
    run(script(tmp_path, program), cwd=tmp_path)


# --- python -m nmf_core

REPORT = """
    import sys
    from pathlib import Path
    import beside
    from sklearn.decomposition import NMF
    print(__name__, NMF.__module__, Path(sys.argv[0]).name, *sys.argv[1:])
    if sys.argv[-1] == "fail":
        sys.exit(7)
"""


@pytest.mark.slow
def test_script_runs_as_python_runs_it(tmp_path):
    script(tmp_path / "folder", "", "beside.py")
    path = script(tmp_path / "folder", REPORT)
    assert path.startswith(str(tmp_path))
    done = run("-m", "nmf_core", "folder/script.py", "--flag", "-m", "x", cwd=tmp_path)
    assert done.stdout == "__main__ nmf_core.estimators.nmf script.py --flag -m x\n"
    run("-m", "nmf_core", path, "fail", cwd=tmp_path, status=7)


@pytest.mark.slow
def test_module_runs_as_python_runs_it(tmp_path):
    script(tmp_path, "", "beside.py")
    script(tmp_path, REPORT, "program.py")
    done = run("-m", "nmf_core", "-m", "program", "--flag", cwd=tmp_path)
    assert done.stdout == "__main__ nmf_core.estimators.nmf program.py --flag\n"


@pytest.mark.parametrize("arguments", [[], ["-m"], ["--unknown"], ["missing.py"]])
def test_wrong_usage_is_told_in_short(arguments, tmp_path):
    done = run("-m", "nmf_core", *arguments, cwd=tmp_path, status=2)
    assert "python -m nmf_core" in done.stderr
    assert "Traceback" not in done.stderr


def test_help(tmp_path):
    assert run("-m", "nmf_core", "--help", cwd=tmp_path).stdout.startswith("usage: python -m nmf_core")


# --- scikit-learn's own tests


@pytest.mark.slow
def test_scikit_learn_passes_its_own_tests_with_us_inside(tmp_path):
    if find_spec("sklearn.decomposition.tests.test_nmf") is None:
        pytest.skip("this scikit-learn was installed without its tests")
    # Its own settings, none of this project's, whose pyproject.toml may lie in a folder above.
    settings = tmp_path / "pytest.ini"
    settings.write_text("[pytest]\n")
    report = tmp_path / "report.xml"
    # fmt: off
    run(
        "-W", "default", "-m", "nmf_core", "-m", "pytest", "--pyargs", "sklearn.decomposition.tests.test_nmf",
        "-c", str(settings), "--rootdir", str(tmp_path), "-p", "no:cacheprovider", "-q", "-W", "default",
        "--junitxml", str(report), cwd=tmp_path,
    )
    # fmt: on
    counts = ElementTree.parse(report).getroot().find("testsuite").attrib
    assert int(counts["tests"]) > 200
    assert counts["failures"] == counts["errors"] == counts["skipped"] == "0"
