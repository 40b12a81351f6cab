"""What may stand behind ``nmf-core``."""

import argparse
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

from nmf_core import __version__
from nmf_core.cli import commands
from nmf_core.cli.arguments import Parser, loss, n_bytes, number_or, ranks, separator
from nmf_core.cli.commands import DEFAULTS, PICTURES
from nmf_core.data.resampling import RESAMPLE
from nmf_core.ensemble.survey import RULES
from nmf_core.factors import ALPHA_SCALINGS
from nmf_core.io import DUPLICATES, LABELS, READERS, WRITABLE
from nmf_core.losses import LOSSES
from nmf_core.model_selection import METHODS
from nmf_core.solvers import ALIASES, SOLVERS
from nmf_core.start import STARTS
from nmf_core.validation import MISSING

FILES = f"""\
FILE ends in one of {", ".join(READERS)}, or is - for text from standard input.
What was taken for labels and how text is written is said on standard error; options say it where that is wrong.
A folder with matrix.mtx, features.tsv (or genes.tsv) and barcodes.tsv, also .gz, as 10x Genomics writes it, has cells
for rows and genes for columns.
.h5, .hdf5, .h5ad, .zarr and .parquet need pip install "nmf-core[io]". A folder with .parquet files is read as one.
Of several arrays in one file, FILE::NAME is read, such as FILE.npz::NAME, FILE.h5::PATH/OF/DATASET or
FILE.h5ad::layers/NAME; in .npz, HDF5 and zarr, row_labels and column_labels are its labels.
With --triplets FILE is a .csv, .tsv or .parquet file with a line for every entry that is stored, such as a rating:
three columns by their names, or by their numbers from 0. Rows and columns are in the order in which they come.

"""

EXIT_CODES = "Exit status: 0 done, 1 bad input (one line on standard error says what), 2 wrong usage."


def make_parser() -> argparse.ArgumentParser:
    """The parser of the whole command line; `command` of what it returns is a function in `commands`."""
    parser = Parser(prog="nmf-core", description="Non-negative matrix factorization: X ~ W H.", epilog=EXIT_CODES)
    parser.add_argument("--version", action="version", version=f"nmf-core {__version__}")
    subparsers = parser.add_subparsers(title="commands", required=True)

    def command(name: str, run: Callable[[argparse.Namespace], int], text: str, epilog: str = "") -> Any:
        added = subparsers.add_parser(
            name,
            help=text,
            description=f"{text[0].upper()}{text[1:]}.",
            epilog=f"{epilog}{EXIT_CODES}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        added.set_defaults(command=run, quiet=False)
        return added

    _add_fit(command("fit", commands.fit, "factorize the matrix in a file", FILES))
    _add_transform(command("transform", commands.transform, "find W of new rows for the components of a model", FILES))
    _add_rank(
        command("rank", commands.rank, "compare numbers of components by the error of entries that are held out", FILES)
    )
    _add_consensus(
        command(
            "consensus",
            commands.consensus,
            "factorize many times with several numbers of components, to see how many there are",
            FILES,
        )
    )
    _add_compare(
        command(
            "compare", commands.compare, "fit by several solvers from one start, to see which is the fastest", FILES
        )
    )
    _add_recommend(
        command("recommend", commands.recommend, "tell the columns that rows, such as users, should like best")
    )
    _add_show(command("show", commands.show, "tell what is in a model, and of what its components consist"))
    _add_demo(command("demo", commands.demo, "find the topics of 6,000 Debian packages"))
    return parser


def _add_fit(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", help="the matrix X: rows are samples, columns are features")
    parser.add_argument("-k", "--components", type=int, required=True, metavar="N", help="number of components")
    factorization = parser.add_argument_group("the factorization")
    factorization.add_argument(
        "--runs", dest="n_init", type=int, default=DEFAULTS["n_init"], metavar="N",
        help="random starts, of which the best is kept (default: %(default)s)",
    )  # fmt: skip
    _add_factorization(factorization)
    _add_memory_limit(_add_input(parser))
    output = parser.add_argument_group("output")
    output.add_argument(
        "-o",
        "--output",
        type=Path,
        metavar="MODEL",
        help="model file (default: FILE's name with .nmf.npz, here)",
    )
    output.add_argument(
        "--factors",
        choices=["csv", "npy"],
        help="write W and H too, beside the model (labels are in csv only)",
    )
    output.add_argument("--report", type=Path, metavar="HTML", help="write a page with pictures of the result")
    _add_verbosity(output)


def _add_show(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", help="a model that fit has written, or Factorization.save")
    parser.add_argument("--json", action="store_true", help="print JSON")


def _add_factorization(group: Any, without: Collection[str] = ()) -> None:
    """Options of `factorize`, without some of its parameters."""

    def option(flag: str, name: str, kind: Any, text: str, **others: Any) -> None:
        if name in without:
            return
        default = DEFAULTS[name]
        shown = "" if default is None else f" (default: {default})"
        group.add_argument(flag, dest=name, type=kind, default=default, help=f"{text}{shown}", **others)

    option("--loss", "loss", loss, f"what is minimised: {', '.join(LOSSES)}, or a beta (default: frobenius)",
           metavar="LOSS")  # fmt: skip
    option("--missing", "missing", str, "what is missing: empty cells, or what a sparse X does not store (default: "
           "nothing)", choices=MISSING)  # fmt: skip
    option("--solver", "solver", str, "how", choices=["auto", *SOLVERS, *ALIASES])
    option("--init", "init", str, "where it starts (default: nndsvda if it can)", choices=list(STARTS))
    option("--alpha-W", "alpha_W", float, "strength of the penalty on W", metavar="A")
    option("--alpha-H", "alpha_H", number_or("same"), "strength of the penalty on H", metavar="A")
    option("--l1-ratio", "l1_ratio", float, "share of l1 in the penalties, 0 to 1", metavar="R")
    option("--alpha-scaling", "alpha_scaling", str, "penalties grow with the size of X, or with the number of known "
           "entries in a row or column", choices=ALPHA_SCALINGS)  # fmt: skip
    if "biases" not in without:
        group.add_argument("--biases", action="store_true", help="model a mean and biases of rows and columns, too")
    option("--floor", "floor", number_or("auto"), "a small number to add to X, for losses that zeros make infinite; "
           "auto finds one (default: none)", metavar="F")  # fmt: skip
    option("--tol", "tol", float, "tolerance of the stopping rule", metavar="T")
    option("--max-iter", "max_iter", int, "iterations at most", metavar="N")
    option("--time-limit", "time_limit", float, "seconds after which no iteration starts", metavar="S")
    option("--seed", "random_state", int, "seed of a random start", metavar="N")
    option("--threads", "n_threads", int, "threads (default: all that are available)", metavar="N")


def _add_transform(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", help="model file written by fit")
    parser.add_argument("file", metavar="FILE", help="rows with the features of the model")
    parser.add_argument("--missing", choices=MISSING, help="what is missing, as in fit (default: as for the model)")
    parser.add_argument("--threads", type=int, metavar="N", help="threads (default: all that are available)")
    _add_memory_limit(_add_input(parser))
    output = parser.add_argument_group("output")
    output.add_argument(
        "-o", "--output", type=Path, metavar="W",
        help=f"file for W, {', '.join(WRITABLE)} (default: FILE's name with .W.csv, here)",
    )  # fmt: skip
    _add_verbosity(output)


def _add_rank(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", help="the matrix X: rows are samples, columns are features")
    parser.add_argument(
        "--ranks", type=ranks, default="1-10", metavar="RANKS",
        help="numbers of components to try, such as 2-12, 2-12:2 or 2,4,8 (default: %(default)s)",
    )  # fmt: skip
    held_out = parser.add_argument_group("what is held out")
    held_out.add_argument(
        "--method", choices=["auto", *METHODS], default="auto",
        help="entries in folds, entries at random, or blocks of rows and columns (default: %(default)s, by the data)",
    )  # fmt: skip
    held_out.add_argument("--folds", type=int, metavar="N", help="parts (default: 5, of bi-cv 2 by 2)")
    held_out.add_argument("--repeats", type=int, default=1, metavar="N", help="how often (default: %(default)s)")
    held_out.add_argument("--jobs", type=int, default=1, metavar="N", help="fits at a time, -1: as many as processors")
    _add_factorization(parser.add_argument_group("every factorization"))
    _add_input(parser)
    output = parser.add_argument_group("output")
    output.add_argument("--plot", type=Path, metavar="PICTURE", help=f"draw the errors, {', '.join(PICTURES)}")
    _add_verbosity(output)


def _add_consensus(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", help="the matrix X: rows are samples, columns are features")
    parser.add_argument(
        "--ranks", type=ranks, default="2-10", metavar="RANKS",
        help="numbers of components to try, such as 2-12, 2-12:2 or 2,4,8 (default: %(default)s)",
    )  # fmt: skip
    many = parser.add_argument_group("the runs")
    many.add_argument(
        "--runs", dest="n_runs", type=int, default=30, metavar="N",
        help="runs with every number of components (default: %(default)s)",
    )  # fmt: skip
    many.add_argument("--init", choices=[*STARTS], help="where they start (default: random)")
    many.add_argument(
        "--resample", choices=RESAMPLE,
        help="every run gets a replicate of X: counts drawn anew, samples drawn with replacement, or some of the "
        "samples (default: X itself from another start)",
    )  # fmt: skip
    many.add_argument(
        "--fraction", type=float, default=0.8, metavar="F", help="share of the samples (default: %(default)s)"
    )
    many.add_argument(
        "--rule", choices=[*RULES], help="what chooses a number of components (default: the first of these that can)"
    )
    many.add_argument("--null", action="store_true", help="survey X with every column in random order, too")
    many.add_argument("--no-held-out", action="store_true", help="do without the errors of entries that are held out")
    many.add_argument(
        "--checkpoint", type=Path, metavar="FOLDER", help="write every run there; those that are there are not repeated"
    )
    many.add_argument("--time-limit", type=float, metavar="S", help="seconds after which runs that go on are given up")
    _add_factorization(parser.add_argument_group("every factorization"), without=("init", "time_limit"))
    _add_input(parser)
    output = parser.add_argument_group("output")
    output.add_argument(
        "-o", "--output", type=Path, metavar="MODEL", help="write the best run of the chosen number of components"
    )
    output.add_argument("--report", type=Path, metavar="HTML", help="write a page with pictures of that run and of all")
    output.add_argument("--plot", type=Path, metavar="PICTURE", help=f"draw what was found, {', '.join(PICTURES)}")
    _add_verbosity(output)


def _add_compare(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", help="the matrix X: rows are samples, columns are features")
    parser.add_argument("-k", "--components", type=int, required=True, metavar="N", help="number of components")
    parser.add_argument(
        "--solvers", nargs="+", metavar="SOLVER", choices=["auto", *SOLVERS, *ALIASES],
        help=f"which, of {', '.join(SOLVERS)} (default: all that can do it)",
    )  # fmt: skip
    parser.add_argument(
        "--time-limit", type=float, default=10.0, metavar="S", help="seconds for each (default: %(default)s)"
    )
    parser.add_argument(
        "--tol", type=float, default=1e-5, metavar="T", help="a solver ends with steps so short (default: %(default)s)"
    )
    decided = ("solver", "tol", "max_iter", "time_limit", "biases")
    _add_factorization(parser.add_argument_group("every factorization"), without=decided)
    _add_input(parser)
    output = parser.add_argument_group("output")
    output.add_argument(
        "--plot", type=Path, metavar="PICTURE", help=f"draw objectives against seconds, {', '.join(PICTURES)}"
    )
    _add_verbosity(output)


def _add_recommend(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", help="model file written by fit")
    parser.add_argument(
        "users", nargs="+", metavar="USER",
        help="label of a row of the fit, or its number from 0 if rows have no labels",
    )  # fmt: skip
    parser.add_argument("-n", type=int, default=10, metavar="N", help="columns of a row at most (default: 10)")
    parser.add_argument(
        "--exclude", dest="file", metavar="FILE", help="what is not recommended: what rows have already"
    )
    parser.add_argument("--threads", type=int, metavar="N", help="threads (default: all that are available)")
    parser.add_argument("--json", action="store_true", help="print JSON instead of labels and scores with tabs between")
    parser.add_argument("-q", "--quiet", action="store_true", help="say nothing about how FILE is read")
    _add_input(parser, dtype=False)
    parser.epilog = f"""\
Prints a line for every column: the row's label if there are several rows, the column's label, and the score.
--exclude names a file as fit reads it; its labels are matched with those of the model, and those that the model does
not know are passed over.

{EXIT_CODES}"""


def _add_demo(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-k", "--components", type=int, default=20, metavar="N", help="topics (default: 20)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="seed of the random start (default: 0)")
    parser.add_argument("--threads", type=int, metavar="N", help="threads (default: all that are available)")
    parser.add_argument(
        "--report", type=Path, default=Path("nmf-core-demo.html"), metavar="HTML",
        help="where the page with pictures goes (default: %(default)s)",
    )  # fmt: skip


def _add_memory_limit(reading: Any) -> None:
    reading.add_argument(
        "--memory-limit", type=n_bytes, metavar="SIZE",
        help="how much memory X and the work on it may take, such as 2GB or 512MiB; an .npy, .parquet, .h5, .hdf5, "
        ".h5ad or .zarr that is larger is read block by block in every iteration (default: a quarter of the memory "
        "there is for X)",
    )  # fmt: skip


def _add_input(parser: argparse.ArgumentParser, *, dtype: bool = True) -> Any:
    reading = parser.add_argument_group("input")
    reading.add_argument(
        "--labels",
        choices=LABELS,
        default="auto",
        help="which labels .csv and .tsv have (default: by looking)",
    )
    reading.add_argument(
        "--triplets",
        nargs=3,
        metavar=("ROW", "COLUMN", "ENTRY"),
        help="columns of a long table, such as user item rating",
    )
    reading.add_argument(
        "--duplicates", choices=DUPLICATES,
        help="what becomes of rows or columns of the same label (default: they are kept) or, with --triplets, of "
        "entries in the same place (default: error)",
    )  # fmt: skip
    reading.add_argument("--transpose", action="store_true", help="columns of FILE are the rows of X")
    reading.add_argument(
        "--separator", type=separator, metavar="C",
        help="what stands between cells of text: a character, tab, or blank for any number of blanks and tabs "
        "(default: by looking)",
    )  # fmt: skip
    reading.add_argument("--decimal", choices=[".", ","], help="what stands before decimals (default: by looking)")
    reading.add_argument(
        "--encoding", metavar="NAME", help="of text, such as latin-1 (default: by its byte order mark, or UTF-8)"
    )
    reading.add_argument(
        "--comment", metavar="START",
        help="lines of text that begin so are passed over, '' for none (default: those at the top that begin with #)",
    )  # fmt: skip
    if dtype:
        reading.add_argument("--dtype", choices=["float32", "float64"], help="compute in this (default: as in FILE)")
    else:
        parser.set_defaults(dtype=None)
    return reading


def _add_verbosity(output: Any) -> None:
    output.add_argument(
        "-q",
        "--quiet",
        action="store_true",
        help="print nothing but errors and what is odd about FILE, show no progress",
    )
    output.add_argument("--json", action="store_true", help="print a summary as JSON instead of text")
