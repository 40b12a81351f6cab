"""The command ``nmf-core``: fit, transform, rank, recommend, demo."""

import argparse
import importlib.util
import inspect
import json
import os
import re
import sys
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp

from nmf_core import __version__
from nmf_core.factorization import Factorization, Summary, load
from nmf_core.factorize import factorize
from nmf_core.files import written_whole
from nmf_core.initialization import INITIALIZERS
from nmf_core.interpretation import all_parameters, component_names, label_of
from nmf_core.io import (
    LABELS,
    READERS,
    WRITABLE,
    LabelledMatrix,
    check_destination,
    read_matrix,
    read_triplets,
    stem,
    write_matrix,
)
from nmf_core.losses import LOSSES
from nmf_core.model_selection import METHODS, RankSelection, cross_validate_rank
from nmf_core.penalties import ALPHA_SCALINGS
from nmf_core.solvers import ALIASES, SOLVERS
from nmf_core.validation import MISSING, Labels

FILES = f"""\
FILE ends in one of {", ".join(READERS)}.
Of several arrays in an .npz file, FILE.npz::NAME is read; row_labels and column_labels are its labels.
With --triplets FILE is a .csv, .tsv or .parquet file with a line for every entry that is stored, such as a rating:
three columns by their names, or by their numbers from 0. Rows and columns are in the order in which they come; no
pair may come twice.

"""

PICTURES = (".png", ".svg", ".pdf")

# More numbers of components than this are a mistake.
MOST_RANKS = 1000

DEFAULTS = {name: parameter.default for name, parameter in inspect.signature(factorize).parameters.items()}

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
    with warnings.catch_warnings():
        quiet = getattr(options, "quiet", False)
        warnings.showwarning = lambda message, *_, **__: None if quiet else _note(f"warning: {_one_line(message)}")
        return _run(options)


def _run(options: argparse.Namespace) -> int:
    try:
        status: int = options.command(options)
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
    _add_rank(command("rank", _rank, "compare numbers of components by the error of entries that are held out", FILES))
    _add_recommend(command("recommend", _recommend, "tell the columns that rows, such as users, should like best"))
    _add_demo(command("demo", _demo, "find the topics of 6,000 Debian packages"))
    return parser


def _add_fit(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", help="the matrix X: rows are samples, columns are features")
    parser.add_argument("-k", "--components", type=int, required=True, metavar="N", help="number of components")
    _add_factorization(parser.add_argument_group("the factorization"))
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


def _add_factorization(group: Any) -> None:
    def option(flag: str, name: str, kind: Any, text: str, **others: Any) -> None:
        default = DEFAULTS[name]
        shown = "" if default is None else f" (default: {default})"
        group.add_argument(flag, dest=name, type=kind, default=default, help=f"{text}{shown}", **others)

    option("--loss", "loss", _loss, f"what is minimised: {', '.join(LOSSES)}, or a beta", metavar="LOSS")
    option("--missing", "missing", str, "what is missing: empty cells, or what a sparse X does not store (default: "
           "nothing)", choices=MISSING)  # fmt: skip
    option("--solver", "solver", str, "how", choices=["auto", *SOLVERS, *ALIASES])
    option("--init", "init", str, "where it starts (default: nndsvda if it can)", choices=list(INITIALIZERS))
    option("--alpha-W", "alpha_W", float, "strength of the penalty on W", metavar="A")
    option("--alpha-H", "alpha_H", _number_or_same, "strength of the penalty on H", metavar="A")
    option("--l1-ratio", "l1_ratio", float, "share of l1 in the penalties, 0 to 1", metavar="R")
    option("--alpha-scaling", "alpha_scaling", str, "penalties grow with the size of X, or with the number of known "
           "entries in a row or column", choices=ALPHA_SCALINGS)  # fmt: skip
    group.add_argument("--biases", action="store_true", help="model a mean and biases of rows and columns, too")
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
    _add_input(parser)
    output = parser.add_argument_group("output")
    output.add_argument(
        "-o", "--output", type=Path, metavar="W",
        help=f"file for W, {', '.join(WRITABLE)} (default: FILE's name with .W.csv, here)",
    )  # fmt: skip
    _add_verbosity(output)


def _add_rank(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", help="the matrix X: rows are samples, columns are features")
    parser.add_argument(
        "--ranks", type=_ranks, default="1-10", metavar="RANKS",
        help="numbers of components to try, such as 2-12, 2-12:2 or 2,4,8 (default: %(default)s)",
    )  # fmt: skip
    held_out = parser.add_argument_group("what is held out")
    held_out.add_argument(
        "--method", choices=list(METHODS), default="wold",
        help="entries in folds, blocks of rows and columns, or entries at random (default: %(default)s)",
    )  # fmt: skip
    held_out.add_argument("--folds", type=int, metavar="N", help="parts (default: 5, of bi-cv 2 by 2)")
    held_out.add_argument("--repeats", type=int, default=1, metavar="N", help="how often (default: %(default)s)")
    held_out.add_argument("--jobs", type=int, default=1, metavar="N", help="fits at a time, -1: as many as processors")
    _add_factorization(parser.add_argument_group("every factorization"))
    _add_input(parser)
    output = parser.add_argument_group("output")
    output.add_argument("--plot", type=Path, metavar="PICTURE", help=f"draw the errors, {', '.join(PICTURES)}")
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


def _add_input(parser: argparse.ArgumentParser, *, dtype: bool = True) -> None:
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
    if dtype:
        reading.add_argument("--dtype", choices=["float32", "float64"], help="compute in this (default: as in FILE)")
    else:
        parser.set_defaults(dtype=None)


def _add_verbosity(output: Any) -> None:
    output.add_argument("-q", "--quiet", action="store_true", help="print nothing but errors, show no progress")
    output.add_argument("--json", action="store_true", help="print a summary as JSON instead of text")


def _loss(text: str) -> float | str:
    return text if text in LOSSES else float(text)


def _number_or_same(text: str) -> float | str:
    return text if text == "same" else float(text)


def _ranks(text: str) -> list[int]:
    """Numbers of components: single ones, ranges with both ends, and ranges with a step, separated by commas."""
    ranks: list[int] = []
    for part in text.split(","):
        found = re.fullmatch(r"\s*(\d{1,9})(?:-(\d{1,9})(?::(\d{1,9}))?)?\s*", part)
        if found is None:
            raise argparse.ArgumentTypeError(f"{part!r} is not like 5, 2-12 or 2-12:2")
        first, last, step = int(found[1]), int(found[2] or found[1]), int(found[3] or 1)
        if not (1 <= first <= last and step >= 1):
            raise argparse.ArgumentTypeError(f"{part!r} does not count up from 1 or more")
        if len(ranks) + len(range(first, last + 1, step)) > MOST_RANKS:
            raise argparse.ArgumentTypeError(f"{text!r} are more than {MOST_RANKS} numbers")
        ranks += range(first, last + 1, step)
    return ranks


def _read(options: argparse.Namespace) -> LabelledMatrix:
    if options.triplets:
        table = read_triplets(options.file, options.triplets, options.labels)
    else:
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
    parameters = {name: getattr(options, name) for name in DEFAULTS if name in vars(options)}
    f = factorize(table.X, options.components, progress=_shows_progress(options), **parameters)
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


def _shows_progress(options: argparse.Namespace) -> bool:
    return not options.quiet and sys.stderr.isatty() and importlib.util.find_spec("tqdm") is not None


def _transform(options: argparse.Namespace) -> int:
    path = options.output or Path(f"{stem(options.file)}.W.csv")
    if path.suffix.lower() not in WRITABLE:
        raise ValueError(f"{path}: the name of W's file must end in one of {', '.join(WRITABLE)}")
    _check_outputs([path], options.file, options.model)
    f = load(options.model)
    if options.missing:
        f = replace(f, parameters={**f.parameters, "missing": options.missing})
    table = _read(options)
    X = _widened(table, f) if options.triplets else _in_order(table, f)
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
    _places(table.column_labels, f.column_labels, len(f.column_labels), strict=True)
    return table.X[:, [place[label] for label in f.column_labels]]


def _widened(table: LabelledMatrix, f: Factorization) -> Any:
    """X of triplets with the columns of the model, also with those of which it stores nothing."""
    n, m = table.X.shape[0], f.H.shape[1]
    columns = _places(table.column_labels, f.column_labels, m, strict=True)
    X = sp.csr_array((table.X.data, columns[table.X.indices], table.X.indptr), shape=(n, m))
    X.sort_indices()
    return X


def _places(labels: Labels, known: Labels, n: int, *, strict: bool = False) -> np.ndarray:
    """Where labels are among those of a model, which are numbers from 0 to n - 1 if it has none; -1 where not."""
    place = {label: i for i, label in enumerate(map(str, range(n)) if known is None else known)}
    places = np.array([place.get(label, -1) for label in labels or ()], dtype=np.int64)
    if strict and (places < 0).any():
        unknown = (labels or ())[int(places.argmin())]
        raise ValueError(f"X has a column {unknown!r}, which the model does not know.")
    return places


def _rank(options: argparse.Namespace) -> int:
    if options.plot and options.plot.suffix.lower() not in PICTURES:
        raise ValueError(f"{options.plot}: the name of a picture must end in one of {', '.join(PICTURES)}")
    _check_outputs([options.plot] if options.plot else [], options.file)
    if options.plot:
        from nmf_core import plotting  # what it lacks should be known before the work
    table = _read(options)
    # What is not said is left to cross-validation, which knows better what goes together.
    given = {
        name: getattr(options, name)
        for name, default in DEFAULTS.items()
        if name in vars(options) and getattr(options, name) != default
    }
    selection = cross_validate_rank(
        table.X, options.ranks, method=options.method, n_folds=options.folds, n_repeats=options.repeats,
        n_jobs=options.jobs, progress=_shows_progress(options), **given,
    )  # fmt: skip
    if options.plot:
        with written_whole(options.plot) as draft:
            picture = options.plot.suffix.lower().removeprefix(".")
            figure = plotting.rank_curve(selection)
            if picture == "svg":
                draft.write_bytes(plotting.svg(figure))
            else:
                figure.savefig(draft, format=picture, dpi=200)
    _tell_ranks(options, selection)
    return 0


def _tell_ranks(options: argparse.Namespace, selection: RankSelection) -> None:
    best, simplest = selection.best, selection.best_one_standard_error
    rows = list(zip(selection.n_components.tolist(), selection.mean.tolist(), selection.standard_error.tolist(),
                    strict=True))  # fmt: skip
    written = [str(options.plot)] if options.plot else []
    about = {"file": options.file, "method": selection.method, "loss": selection.loss}
    if options.json:
        ranks = [
            {"n_components": k, "mean": mean, "standard_error": spread, "errors": errors}
            for (k, mean, spread), errors in zip(rows, selection.errors.tolist(), strict=True)
        ]
        chosen = {"best": best, "best_one_standard_error": simplest}
        print(json.dumps({"version": __version__, **about, "ranks": ranks, **chosen, "written": written}, indent=2))
    elif not options.quiet:
        print(f"{'components':>10}  {'mean error':>12}  {'standard error':>14}")
        for k, mean, spread in rows:
            print(f"{k:>10}  {mean:>12.6g}  {spread:>14.2g}")
        print()
        chosen = {"smallest error": best, "within one standard error of it": simplest}
        print(Summary(**about, **chosen, **({"written": written[0]} if written else {})))


def _recommend(options: argparse.Namespace) -> int:
    if options.triplets and options.file is None:
        raise ValueError("--triplets says how to read the file of --exclude, which is not there")
    f = load(options.model)
    n = f.W.shape[0]
    users = _places(options.users, f.row_labels, n)
    if (users < 0).any():
        unknown = options.users[int(users.argmin())]
        hint = f": its rows have no labels, but numbers from 0 to {n - 1}" if f.row_labels is None else ""
        raise ValueError(f"{options.model} has no row {unknown!r}{hint}")
    exclude = None if options.file is None else _excluded(_read(options), f, options)
    found = f.recommend(users, options.n, exclude=exclude, n_threads=options.threads)
    told = [
        [(label_of(f.column_labels, j), float(score)) for j, score in zip(*row, strict=True) if j >= 0]
        for row in zip(found.columns, found.scores, strict=True)
    ]
    if options.json:
        lists = [
            {"row": user, "columns": [{"column": label, "score": score} for label, score in best]}
            for user, best in zip(options.users, told, strict=True)
        ]
        print(json.dumps({"version": __version__, "model": options.model, "recommendations": lists}, indent=2))
        return 0
    for user, best in zip(options.users, told, strict=True):
        for label, score in best:
            print(*([user] if len(told) > 1 else []), label, f"{score:.6g}", sep="\t")
    return 0


def _excluded(table: LabelledMatrix, f: Factorization, options: argparse.Namespace) -> Any:
    """What a file stores, in the rows and columns of the model; what the model does not know is left out.

    They are matched by labels where the model has some, and always for triplets; by number if the file has no labels.
    """
    X, shape = table.X, (f.W.shape[0], f.H.shape[1])
    if X.ndim != 2 or X.dtype.kind not in "fiub":
        raise ValueError(f"{options.file} is not a matrix of numbers, but {X.ndim} dimensions of {X.dtype}")
    places = []
    bare = table.row_labels is None and table.column_labels is None
    for what, labels, known, size, wanted in zip(
        ("row", "column"), table[1:], (f.row_labels, f.column_labels), X.shape, shape, strict=True
    ):
        if labels is not None and (known is not None or options.triplets):
            places.append(_places(labels, known, wanted))
            if places[-1].max() < 0:
                raise ValueError(f"{options.file} has no {what} that the model knows; its first is {labels[0]!r}")
        elif known is not None and not bare:
            raise ValueError(f"{options.file} has no labels of {what}s; --labels says where labels are")
        elif size != wanted:
            raise ValueError(f"{options.file} has {size} {what}s without labels, but the model has {wanted}")
        else:
            places.append(np.arange(size))
    stored = sp.coo_array(X)
    rows, columns = places[0][stored.row], places[1][stored.col]
    known = (rows >= 0) & (columns >= 0) & ~np.isnan(stored.data)
    return sp.csr_array((np.ones(known.sum()), (rows[known], columns[known])), shape=shape)


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
