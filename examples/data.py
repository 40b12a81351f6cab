"""Where the examples find their data, and the options that they share.

All data sets are in one folder, beside a file ``load.py`` that opens them:

- ``load.matrix(name)`` is the matrix of a data set, an array or a sparse matrix;
- ``load.arrays(name)`` is a dictionary of all arrays in ``name.npz``, such as labels;
- ``load.lines(name)`` is a list of the lines of ``name.txt``, such as words;
- ``load.spectrogram(name, n_fft, hop, power)`` is the spectrogram of a recording, frequencies in rows.

The folder is ``../shared/data`` beside the checkout, or the one that ``NMF_CORE_DATA`` or the option ``--data`` names.
For data of your own put in place of ``load.matrix(...)`` whatever makes an array or a sparse matrix of them.
"""

import argparse
import importlib.util
import os
import sys
from pathlib import Path
from types import ModuleType

DEFAULT = Path(__file__).resolve().parents[2] / "shared" / "data"


def arguments(description: str) -> argparse.Namespace:
    """The options of an example, from the command line: ``data``, ``quick`` and ``plot``."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument(
        "--data",
        metavar="FOLDER",
        type=Path,
        default=Path(os.environ.get("NMF_CORE_DATA") or DEFAULT),
        help="where load.py and the data sets are (default: NMF_CORE_DATA, or ../shared/data beside the checkout)",
    )
    parser.add_argument("--quick", action="store_true", help="a small setting that takes a few seconds")
    parser.add_argument("--plot", metavar="FILE.png", help="also draw a picture (needs matplotlib)")
    return parser.parse_args()


def open_folder(folder: Path, *files: str) -> ModuleType:
    """The module that opens the data sets. If it or one of these files is missing, the program ends with status 2."""
    for file in ("load.py", *files):
        if not (folder / file).is_file():
            print(
                f"no {file} in {folder}: name the folder of the data sets by --data or NMF_CORE_DATA", file=sys.stderr
            )
            raise SystemExit(2)
    spec = importlib.util.spec_from_file_location("load", folder / "load.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
