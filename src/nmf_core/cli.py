"""The command ``nmf-core``: fit, transform, demo."""

import argparse
import importlib.util
import inspect
import json
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from nmf_core import __version__
from nmf_core.factorization import Factorization, Summary, load
from nmf_core.factorize import factorize
from nmf_core.initialization import INITIALIZERS
from nmf_core.interpretation import all_parameters, component_names
from nmf_core.io import (
    LABELS,
    READERS,
    WRITABLE,
    LabelledMatrix,
    check_destination,
    read_matrix,
    stem,
    write_matrix,
)
from nmf_core.losses import LOSSES
from nmf_core.solvers import ALIASES, SOLVERS

FILES = f"""\
FILE ends in one of {", ".join(READERS)}.
Of several arrays in an .npz file, FILE.npz::NAME is read; row_labels and column_labels are its labels.

"""

EXIT_CODES = "Exit status: 0 done, 1 bad input (one line on standard error says what), 2 wrong usage."


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Parameters
    ----------
    arguments : sequence of str, optional
        What stands behind ``nmf-core``; by default that of the process.

    Returns
    -------
    int
        Exit status: 0, 1 for bad input, 130 after an interrupt with nothing to keep.

    Raises
    ------
    SystemExit
        With 2 for wrong usage, 0 after ``--help`` and ``--version``.
    """
    options = _parser().parse_args(arguments)
    try:
        status = options.command(options)
        sys.stdout.flush()
        return status
    except BrokenPipeError:
        # Who read our output has seen enough; Python must not try to flush the rest.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (ValueError, TypeError, OSError, ImportError, MemoryError) as error:
        _note(f"error: {_one_line(error)}")
        return 1
    except KeyboardInterrupt:
        _note("interrupted")
        return 130


def _note(text: str) -> None:
    print(f"nmf-core: {text}", file=sys.stderr)


def _one_line(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    if isinstance(error, MemoryError):
        return f"not enough memory: {error}" if str(error) else "not enough memory"
    return " ".join(str(error).split()) or type(error).__name__


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="nmf-core", description="Non-negative matrix factorization: X ~ W H.", epilog=EXIT_CODES
    )
    parser.add_argument("--version", action="version", version=f"nmf-core {__version__}")
    commands = parser.add_subparsers(title="commands", required=True)

    def command(name: str, run: Callable[[argparse.Namespace], int], text: str, epilog: str = "") -> Any:
        added = commands.add_parser(
            name,
            help=text,
            description=f"{text[0].upper()}{text[1:]}.",
            epilog=f"{epilog}{EXIT_CODES}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        added.set_defaults(command=run)
        return added

    _add_fit(command("fit", _fit, "factorize the matrix in a file", FILES))
    _add_transform(command("transform", _transform, "find W of new rows for the components of a model", FILES))
    _add_demo(command("demo", _demo, "find the topics of 6,000 Debian packages"))
    return parser


def _add_fit(parser: argparse.ArgumentParser) -> None:
    defaults = {name: parameter.default for name, parameter in inspect.signature(factorize).parameters.items()}

    def option(flag: str, name: str, kind: Any, text: str, **others: Any) -> None:
        default = defaults[name]
        shown = "" if default is None else f" (default: {default})"
        model.add_argument(flag, dest=name, type=kind, default=default, help=f"{text}{shown}", **others)

    parser.add_argument("file", metavar="FILE", help="the matrix X: rows are samples, columns are features")
    parser.add_argument("-k", "--components", type=int, required=True, metavar="N", help="number of components")
    model = parser.add_argument_group("the factorization")
    option("--loss", "loss", _loss, f"what is minimised: {', '.join(LOSSES)}, or a beta", metavar="LOSS")
    option("--solver", "solver", str, "how", choices=["auto", *SOLVERS, *ALIASES])
    option("--init", "init", str, "where it starts (default: nndsvda if it can)", choices=list(INITIALIZERS))
    option("--alpha-W", "alpha_W", float, "strength of the penalty on W", metavar="A")
    option("--alpha-H", "alpha_H", _number_or_same, "strength of the penalty on H", metavar="A")
    option("--l1-ratio", "l1_ratio", float, "share of l1 in the penalties, 0 to 1", metavar="R")
    option("--tol", "tol", float, "tolerance of the stopping rule", metavar="T")
    option("--max-iter", "max_iter", int, "iterations at most", metavar="N")
    option("--time-limit", "time_limit", float, "seconds after which no iteration starts", metavar="S")
    option("--seed", "random_state", int, "seed of a random start", metavar="N")
    option("--threads", "n_threads", int, "threads (default: all that are available)", metavar="N")
    _add_input(parser)
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


def _add_transform(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", help="model file written by fit")
    parser.add_argument("file", metavar="FILE", help="rows with the features of the model")
    parser.add_argument("--threads", type=int, metavar="N", help="threads (default: all that are available)")
    _add_input(parser)
    output = parser.add_argument_group("output")
    output.add_argument(
        "-o", "--output", type=Path, metavar="W",
        help=f"file for W, {', '.join(WRITABLE)} (default: FILE's name with .W.csv, here)",
    )  # fmt: skip
    _add_verbosity(output)


def _add_demo(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-k", "--components", type=int, default=20, metavar="N", help="topics (default: 20)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="seed of the random start (default: 0)")
    parser.add_argument("--threads", type=int, metavar="N", help="threads (default: all that are available)")
    parser.add_argument(
        "--report", type=Path, default=Path("nmf-core-demo.html"), metavar="HTML",
        help="where the page with pictures goes (default: %(default)s)",
    )  # fmt: skip


def _add_input(parser: argparse.ArgumentParser) -> None:
    reading = parser.add_argument_group("input")
    reading.add_argument(
        "--labels",
        choices=LABELS,
        default="auto",
        help="which labels .csv and .tsv have (default: by looking)",
    )
    reading.add_argument("--dtype", choices=["float32", "float64"], help="compute in this (default: as in FILE)")


def _add_verbosity(output: Any) -> None:
    output.add_argument("-q", "--quiet", action="store_true", help="print nothing but errors, show no progress")
    output.add_argument("--json", action="store_true", help="print a summary as JSON instead of text")


def _loss(text: str) -> float | str:
    return text if text in LOSSES else float(text)


def _number_or_same(text: str) -> float | str:
    return text if text == "same" else float(text)


def _read(options: argparse.Namespace) -> LabelledMatrix:
    table = read_matrix(options.file, options.labels)
    if options.dtype and table.X.dtype.kind in "fiub":
        with np.errstate(over="ignore"):  # an infinity is reported with its place
            return table._replace(X=table.X.astype(options.dtype))
    return table


def _fit(options: argparse.Namespace) -> int:
    model = options.output or Path(f"{stem(options.file)}.nmf.npz")
    base = model.name.removesuffix(".npz").removesuffix(".nmf")
    factors = [model.with_name(f"{base}.{name}.{options.factors}") for name in "WH"] if options.factors else []
    written = [path for path in (model, *factors, options.report) if path]
    _check_outputs(written, options.file)
    if options.report:
        from nmf_core import report  # what it lacks should be known before the work
    table = _read(options)
    names = [name for name in inspect.signature(factorize).parameters if name in vars(options)]
    progress = not options.quiet and sys.stderr.isatty() and importlib.util.find_spec("tqdm") is not None
    f = factorize(table.X, options.components, progress=progress, **{name: getattr(options, name) for name in names})
    f = replace(f, row_labels=table.row_labels, column_labels=table.column_labels)
    if f.stop_reason == "interrupted":
        _note(f"interrupted after {f.n_iter} iterations; keeping the factors so far")
    f.save(model)
    if factors:
        write_matrix(factors[0], f.W, f.row_labels, component_names(f))
        write_matrix(factors[1], f.H, component_names(f), f.column_labels)
    if options.report:
        report.write_report(options.report, f, table.X, title=Path(options.file).name)
    more = {"file": options.file, "parameters": all_parameters(f), "written": list(map(str, written))}
    _tell(options, f.summary(), more)
    return 0


def _transform(options: argparse.Namespace) -> int:
    path = options.output or Path(f"{stem(options.file)}.W.csv")
    if path.suffix.lower() not in WRITABLE:
        raise ValueError(f"{path}: the name of W's file must end in one of {', '.join(WRITABLE)}")
    _check_outputs([path], options.file, options.model)
    f = load(options.model)
    table = _read(options)
    X = _in_order(table, f)
    W = f.transform(X, n_threads=options.threads)
    write_matrix(path, W, table.row_labels, component_names(f))
    summary = Summary(n_samples=W.shape[0], n_features=f.H.shape[1], n_components=f.n_components)
    _tell(options, summary, {"file": options.file, "model": options.model, "written": [str(path)]})
    return 0


def _in_order(table: LabelledMatrix, f: Factorization) -> Any:
    """X with its columns in the order of the model's, where both have labels."""
    if table.column_labels is None or f.column_labels is None or table.column_labels == f.column_labels:
        return table.X
    place = {label: j for j, label in enumerate(table.column_labels)}
    for label in f.column_labels:
        if label not in place:
            raise ValueError(f"X has no column {label!r}, which the model needs.")
    if len(place) > len(f.column_labels):
        unknown = next(label for label in place if label not in f.column_labels)
        raise ValueError(f"X has a column {unknown!r}, which the model does not know.")
    return table.X[:, [place[label] for label in f.column_labels]]


def _demo(options: argparse.Namespace) -> int:
    _check_outputs([options.report])
    from nmf_core import demo

    demo.run(options.components, seed=options.seed, n_threads=options.threads, report=options.report)
    return 0


def _check_outputs(paths: Sequence[Path], *inputs: str) -> None:
    """Whether all files can be written, none in place of another or of an input, before the work is done."""
    taken = {Path(name.rpartition("::")[0] or name).resolve() for name in inputs}
    for path in paths:
        check_destination(path)
        if path.resolve() in taken:
            raise ValueError(f"{path} would be written over a file that is read or written too")
        taken.add(path.resolve())


def _tell(options: argparse.Namespace, summary: Summary, more: dict[str, Any]) -> None:
    """Print what was done, as text or as JSON."""
    if options.json:
        print(json.dumps({"version": __version__, **more, **summary}, indent=2))
    elif not options.quiet:
        print(Summary(file=more["file"], **summary, written=", ".join(more["written"])))


if __name__ == "__main__":
    sys.exit(main())
