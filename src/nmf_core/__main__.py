"""Run a program with the library in scikit-learn's place: ``python -m nmf_core script.py``."""

import runpy
import sys
from pathlib import Path

from nmf_core.patching import patch_sklearn

USAGE = """\
usage: python -m nmf_core script.py [argument ...]
       python -m nmf_core -m module [argument ...]

Runs the script or module as Python would, after nmf_core.patch_sklearn(): what it imports as
sklearn.decomposition.NMF and non_negative_factorization is then computed by nmf_core.
"""


def main(arguments: list[str]) -> None:
    """Patch scikit-learn and run the program that `arguments` name, with the rest as its ``sys.argv``.

    Parameters
    ----------
    arguments : list of str
        Path of a script and its arguments, or "-m", name of a module and its arguments.

    Raises
    ------
    SystemExit
        With 2 for wrong usage or a missing script, with 1 without scikit-learn; else what the program raises.
    """
    if arguments and arguments[0] in ("-h", "--help"):
        print(USAGE, end="")
        return
    is_module = arguments[:1] == ["-m"]
    program = arguments[is_module:]
    if not program or (program[0].startswith("-") and not is_module):
        sys.stderr.write(USAGE)
        raise SystemExit(2)
    if not is_module and not Path(program[0]).exists():
        sys.stderr.write(f"python -m nmf_core: no such file: {program[0]}\n")
        raise SystemExit(2)

    try:
        patch_sklearn()
    except ImportError as error:
        sys.stderr.write(f"python -m nmf_core: {error}\n")
        raise SystemExit(1) from None

    sys.argv[:] = program
    if is_module:
        runpy.run_module(program[0], run_name="__main__", alter_sys=True)
    else:
        if not sys.flags.safe_path:
            # "-m nmf_core" put the current folder first; a script expects its own.
            sys.path[0] = str(Path(program[0]).resolve().parent)
        runpy.run_path(program[0], run_name="__main__")


if __name__ == "__main__":
    main(sys.argv[1:])
