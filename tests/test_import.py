"""What ``import nmf_core`` brings along, and what happens without scikit-learn."""

import subprocess
import sys
import textwrap
import types

import pytest

import nmf_core

HEAVY = (
    *("sklearn", "pandas", "matplotlib", "tqdm", "jinja2"),
    *("pyarrow", "h5py", "zarr", "anndata", "dask", "distributed"),
)

WITHOUT_SCIKIT_LEARN = """
    import sys

    class Missing:
        def find_spec(self, name, path=None, target=None):
            if name.partition(".")[0] == "sklearn":
                raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    sys.meta_path.insert(0, Missing())
    import nmf_core
"""


def python(program):
    """Run the program and return what it printed."""
    command = [sys.executable, "-W", "error", "-c", textwrap.dedent(program)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_import_is_light():
    loaded = python("import sys, nmf_core; print(*sys.modules)").split()
    assert not [name for name in HEAVY if name in loaded]


def test_public_names_exist_and_are_listed():
    for name in nmf_core.__all__:
        assert getattr(nmf_core, name) is not None
    assert set(nmf_core.__all__) <= set(dir(nmf_core))
    with pytest.raises(AttributeError, match="module 'nmf_core' has no attribute 'nothing'"):
        nmf_core.nothing  # noqa: B018


def test_completion_offers_what_users_need():
    modules = {name for name in dir(nmf_core) if name not in nmf_core.__all__}
    assert modules == set(nmf_core._MODULES)
    for name in modules - {"typing"}:
        module = getattr(nmf_core, name)
        assert not any(isinstance(getattr(module, public), types.ModuleType) for public in module.__all__)
    assert all(callable(getattr(nmf_core.plotting, name)) for name in nmf_core.plotting.__all__)


def test_star_import():
    names = python("before = {*globals()}\nfrom nmf_core import *\nprint(*{*globals()} - before)").split()
    assert set(names) - {"before"} == set(nmf_core.__all__)


def test_listing_the_names_imports_nothing():
    assert python("import sys, nmf_core; dir(nmf_core); print('sklearn' in sys.modules)") == "False\n"


@pytest.mark.parametrize(
    "use",
    [
        "nmf_core.NMF",
        "nmf_core.non_negative_factorization",
        "nmf_core.patch_sklearn()",
        "from nmf_core import NMF",
    ],
)
def test_without_scikit_learn_we_say_how_to_install_it(use):
    program = textwrap.dedent(WITHOUT_SCIKIT_LEARN) + textwrap.dedent(f"""
        try:
            {use}
        except ImportError as error:
            print(error)
        """)
    message = python(program)
    assert "pip install 'nmf-core[sklearn]'" in message
    assert "scikit-learn" in message


def test_without_scikit_learn_the_rest_works():
    program = textwrap.dedent(WITHOUT_SCIKIT_LEARN) + textwrap.dedent("""
        import numpy as np
        result = nmf_core.factorize(np.outer([1.0, 2.0, 3.0], [4.0, 5.0]), 1)
        assert np.allclose(result.W @ result.H, [[4, 5], [8, 10], [12, 15]], rtol=1e-2)
        for loss in ("kullback-leibler", 1.5, "itakura-saito"):
            result = nmf_core.factorize(np.outer([1.0, 2.0, 3.0], [4.0, 5.0]), 1, loss=loss)
            assert np.allclose(result.W @ result.H, [[4, 5], [8, 10], [12, 15]], rtol=1e-2)
        assert not nmf_core.is_patched()
        nmf_core.unpatch_sklearn()
        """)
    python(program)


def test_command_without_scikit_learn_says_so_in_one_line():
    program = textwrap.dedent(WITHOUT_SCIKIT_LEARN) + textwrap.dedent("""
        import runpy
        sys.argv[1:] = ["-m", "this"]
        runpy.run_module("nmf_core", run_name="__main__")
        """)
    done = subprocess.run([sys.executable, "-c", program], check=False, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith("python -m nmf_core: ")
    assert done.stderr.count("\n") == 1
