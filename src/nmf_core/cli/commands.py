"""What the commands do."""

import argparse
import importlib.util
import inspect
import json
import sys
import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp

from nmf_core import __version__
from nmf_core.comparison import compare_solvers
from nmf_core.ensemble import RankSurvey, rank_survey
from nmf_core.factorization import Factorization, Summary, load
from nmf_core.factorize import factorize
from nmf_core.files import check_destination, written_whole
from nmf_core.interpretation import (
    all_parameters,
    component_shares,
    label_of,
    strongest_features,
    strongest_samples,
)
from nmf_core.io import (
    WRITABLE,
    Budget,
    LabelledMatrix,
    TextFormat,
    read_matrix,
    read_triplets,
    stem,
    write_matrix,
)
from nmf_core.labels import Axis, Labelled
from nmf_core.model_selection import RankSelection, cross_validate_rank
from nmf_core.validation import Labels

PICTURES = (".png", ".svg", ".pdf")
STRONGEST, TYPICAL = 8, 3  # features and samples of a component that are printed

# Columns of a survey that are printed as text, by their heads.
SURVEYED = {
    "components": "n_components",
    "runs": "n_runs",
    "held-out error": "held_out",
    "standard error": "held_out_se",
    "explained": "explained_variance",
    "null": "null_explained_variance",
    "cophenetic": "cophenetic",
    "dispersion": "dispersion",
    "pac": "pac",
    "silhouette": "silhouette",
    "stability": "stability_mean",
    "least": "stability_min",
}

DEFAULTS = {name: parameter.default for name, parameter in inspect.signature(factorize).parameters.items()}


def note(text: str) -> None:
    """Say something on standard error."""
    print(f"nmf-core: {text}", file=sys.stderr)


def fit(options: argparse.Namespace) -> int:
    """Factorize the matrix in a file and write the model."""
    model = options.output or Path(f"{stem(options.file)}.nmf.npz")
    base = model.name.removesuffix(".npz").removesuffix(".nmf")
    factors = [model.with_name(f"{base}.{name}.{options.factors}") for name in "WH"] if options.factors else []
    written = [path for path in (model, *factors, options.report) if path]
    _check_outputs(written, options.file)
    if options.report:
        from nmf_core import report  # what it lacks should be known before the work
    wholly = [flag for flag in ("report", "missing", "biases", "floor") if getattr(options, flag)]
    table = _read(options, f"--{wholly[0]}" if wholly else "", options.components)
    parameters = {name: getattr(options, name) for name in DEFAULTS if name in vars(options)}
    f = factorize(table, options.components, progress=_shows_progress(options), **parameters)
    if f.stop_reason == "interrupted":
        note(f"interrupted after {f.n_iter} iterations; keeping the factors so far")
    f.save(model)
    if factors:
        write_matrix(factors[0], f.W, table.row_labels, f.names.text)
        write_matrix(factors[1], f.H, f.names.text, table.column_labels)
    if options.report:
        report.write_report(
            options.report, f, table.X, title="standard input" if options.file == "-" else Path(options.file).name
        )
    more = {"file": options.file, "parameters": all_parameters(f), "written": list(map(str, written))}
    starts = {"starts": len(f.history.starts)} if f.history.starts else {}
    _tell(options, Summary(f.summary(), **starts), more, f)
    return 0


def show(options: argparse.Namespace) -> int:
    """Tell what is in a model."""
    f = load(options.model)
    _tell(options, f.summary(), {"file": options.model}, f)
    return 0


def transform(options: argparse.Namespace) -> int:
    """Find W of the rows in a file for the components of a model."""
    path = options.output or Path(f"{stem(options.file)}.W.csv")
    if path.suffix.lower() not in WRITABLE:
        raise ValueError(f"{path}: the name of W's file must end in one of {', '.join(WRITABLE)}")
    _check_outputs([path], options.file, options.model)
    f = load(options.model)
    if options.missing:
        f = replace(f, parameters={**f.parameters, "missing": options.missing})
    wholly = "a model of data with missing entries" if f.parameters.get("missing") or f.biases is not None else ""
    wholly = wholly or ("a model with a floor" if f.parameters.get("floor") else "")
    table = _read(options, wholly, f.n_components)
    X = _widened(table, f) if options.triplets else _in_order(table, f)
    W = f.transform(X, n_threads=options.threads)
    write_matrix(path, W, table.row_labels, f.names.text)
    summary = Summary(n_samples=W.shape[0], n_features=f.H.shape[1], n_components=f.n_components)
    _tell(options, summary, {"file": options.file, "model": options.model, "written": [str(path)]})
    return 0


def rank(options: argparse.Namespace) -> int:
    """Compare numbers of components by the error of entries that are held out."""
    _check_picture(options)
    table = _read(options, "comparing numbers of components", max(options.ranks))
    # What is not said is left to cross-validation, which knows better what goes together.
    given = _given(options)
    selection = cross_validate_rank(
        table.X, options.ranks, method=options.method, n_folds=options.folds, n_repeats=options.repeats,
        n_jobs=options.jobs, progress=_shows_progress(options), **given,
    )  # fmt: skip
    _draw(options.plot, "rank_curve", selection)
    _tell_ranks(options, selection)
    return 0


def consensus(options: argparse.Namespace) -> int:
    """Factorize many times with several numbers of components."""
    others = [path for path in (options.output, options.report) if path]
    _check_picture(options, *others)
    if options.report:
        from nmf_core import report  # what it lacks should be known before the work
    table = _read(options, "comparing numbers of components", max(options.ranks))
    survey = rank_survey(
        table, options.ranks, options.n_runs, held_out=not options.no_held_out, null=options.null, rule=options.rule,
        resample=options.resample, fraction=options.fraction, progress=_shows_progress(options), **_given(options),
    )  # fmt: skip
    _note_missing_runs(options, survey)
    ensemble = survey[survey.best]
    if options.output:
        ensemble.best.save(options.output)
    _draw(options.plot, "rank_survey", survey)
    if options.report:
        title = "standard input" if options.file == "-" else Path(options.file).name
        report.write_report(options.report, ensemble.best, table.X, title=title, ensemble=ensemble, survey=survey)
    _tell_survey(options, survey, [str(path) for path in (*others, options.plot) if path])
    return 0


def compare(options: argparse.Namespace) -> int:
    """Fit by several solvers from one start."""
    _check_picture(options)
    table = _read(options, "comparing solvers", options.components)
    comparison = compare_solvers(
        table.X, options.components, options.solvers, time_limit=options.time_limit, tol=options.tol,
        **{name: value for name, value in _given(options).items() if name not in ("tol", "time_limit")},
    )  # fmt: skip
    _draw(options.plot, "solver_curves", comparison)
    written = [str(options.plot)] if options.plot else []
    if options.json:
        rows = [
            {
                "solver": name,
                "objective": result.objective,
                "n_iter": result.n_iter,
                "stop_reason": result.stop_reason,
                "history": {"seconds": result.history.seconds.tolist(), "objective": result.history.objective.tolist()},
            }
            for name, result in comparison.results.items()
        ]  # fmt: skip
        print(json.dumps({"version": __version__, "file": options.file, "solvers": rows, "written": written}, indent=2))
    elif not options.quiet:
        print(comparison)
        if written:
            print(f"\n{Summary(written=written[0])}")
    return 0


def recommend(options: argparse.Namespace) -> int:
    """Tell the columns that rows should like best."""
    if options.triplets and options.file is None:
        raise ValueError("--triplets says how to read the file of --exclude, which is not there")
    f = load(options.model)
    n = f.W.shape[0]
    users = _places(options.users, _text(f.row_labels), n)
    if (users < 0).any():
        unknown = options.users[int(users.argmin())]
        hint = f": its rows have no labels, but numbers from 0 to {n - 1}" if f.row_labels is None else ""
        raise ValueError(f"{options.model} has no row {unknown!r}{hint}")
    exclude = None if options.file is None else _excluded(_read(options, "--exclude"), f, options)
    rows = users if f.row_labels is None else [f.row_labels[i] for i in users]
    found = f.recommend(rows, options.n, exclude=exclude, n_threads=options.threads)
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


def demo(options: argparse.Namespace) -> int:
    """Show what the library does."""
    _check_outputs([options.report])
    from nmf_core.demo import run

    run(options.components, seed=options.seed, n_threads=options.threads, report=options.report)
    return 0


def _read(options: argparse.Namespace, needs_whole: str, n_components: int = 0) -> LabelledMatrix:
    """The matrix of the options; in blocks if it is large, unless something needs it whole."""
    limit = getattr(options, "memory_limit", None)
    text = TextFormat(options.separator, options.decimal, options.encoding, options.comment)
    if options.triplets:
        if limit is not None:
            raise ValueError("--memory-limit is not for --triplets, which are read whole")
        table = read_triplets(
            options.file, options.triplets, options.labels, text=text, transpose=options.transpose,
            duplicates=options.duplicates or "error",
        )  # fmt: skip
    else:
        budget = Budget(max(1, n_components), limit, needs_whole, options.dtype)
        table = read_matrix(
            options.file, options.labels, budget, text=text, transpose=options.transpose,
            duplicates=options.duplicates or "keep",
        )  # fmt: skip
    if options.dtype and table.X.dtype.kind in "fiub":
        with np.errstate(over="ignore"):  # an infinity is reported with its place
            return table._replace(X=table.X.astype(options.dtype))
    return table


def _given(options: argparse.Namespace) -> dict[str, Any]:
    """Parameters of `factorize` that are not left as they are."""
    return {
        name: getattr(options, name)
        for name, default in DEFAULTS.items()
        if name in vars(options) and getattr(options, name) != default
    }


def _check_picture(options: argparse.Namespace, *others: Path) -> None:
    """Whether the picture that is wanted, if one is, can be drawn, before the work is done, and other files written."""
    if not options.plot:
        return _check_outputs(others, options.file)
    if options.plot.suffix.lower() not in PICTURES:
        raise ValueError(f"{options.plot}: the name of a picture must end in one of {', '.join(PICTURES)}")
    _check_outputs([*others, options.plot], options.file)
    importlib.import_module("nmf_core.plotting")


def _draw(path: Path | None, picture: str, what: Any) -> None:
    """A picture of `plotting`, into a file."""
    if path is None:
        return
    from nmf_core import plotting

    kind = path.suffix.lower().removeprefix(".")
    figure = getattr(plotting, picture)(what)
    with written_whole(path) as draft:
        if kind == "svg":
            draft.write_bytes(plotting.svg(figure))
        else:
            figure.savefig(draft, format=kind, dpi=200)


def _shows_progress(options: argparse.Namespace) -> bool:
    return not options.quiet and sys.stderr.isatty() and importlib.util.find_spec("tqdm") is not None


def _in_order(table: LabelledMatrix, f: Factorization) -> Any:
    """X with its columns in the order of the model's, where both have labels."""
    X = Labelled(table.X, None, Axis.of(table.column_labels))
    return X.aligned("X", columns=f.column_labels, of="the model").values


def _widened(table: LabelledMatrix, f: Factorization) -> Any:
    """X of triplets with the columns of the model, also with those of which it stores nothing.

    Columns that the model does not know, such as new items, are passed over.
    """
    columns = _places(table.column_labels, _text(f.column_labels), f.H.shape[1])
    unknown = int(np.count_nonzero(columns < 0))
    if unknown == len(columns):
        raise ValueError("X has no column that the model knows.")
    if unknown:
        text = f"{unknown} of {len(columns)} columns are passed over: the model does not know them"
        warnings.warn(text, stacklevel=2)
    X = table.X.tocoo()
    known = columns[X.col] >= 0
    shape = (X.shape[0], f.H.shape[1])
    return sp.csr_array((X.data[known], (X.row[known], columns[X.col[known]])), shape=shape)


def _places(labels: Labels, known: Labels, n: int) -> np.ndarray:
    """Where labels are among those of a model, which are numbers from 0 to n - 1 if it has none; -1 where not."""
    place = {label: i for i, label in enumerate(map(str, range(n)) if known is None else known)}
    if len(place) < n:
        times = Counter(known)
        if repeated := next((label for label in labels or () if times[label] > 1), None):
            raise ValueError(
                f"{times[repeated]} rows or columns are labelled {repeated!r}: which one is meant is not said"
            )
    return np.array([place.get(label, -1) for label in labels or ()], dtype=np.int64)


def _text(labels: Axis | None) -> Labels:
    """Labels of a model as files hold them."""
    return None if labels is None else labels.text


def _tell_ranks(options: argparse.Namespace, selection: RankSelection) -> None:
    best, simplest = selection.best, selection.best_one_standard_error
    rows = list(zip(selection.n_components.tolist(), selection.mean.tolist(), selection.standard_error.tolist(),
                    strict=True))  # fmt: skip
    written = [str(options.plot)] if options.plot else []
    about = {"file": options.file, "method": selection.method, "loss": selection.loss}
    if options.json:
        ranks = [
            {"n_components": k, "mean": _finite(mean), "standard_error": _finite(spread),
             "errors": list(map(_finite, errors)), "exploded": selection.exploded.get(k, [])}
            for (k, mean, spread), errors in zip(rows, selection.errors.tolist(), strict=True)
        ]  # fmt: skip
        chosen = {"best": best, "best_one_standard_error": simplest}
        print(json.dumps({"version": __version__, **about, "ranks": ranks, **chosen, "written": written}, indent=2))
    elif not options.quiet:
        print(f"{'components':>10}  {'mean error':>12}  {'standard error':>14}")
        for k, mean, spread in rows:
            print(f"{k:>10}  {mean:>12.6g}  {spread:>14.2g}")
        print()
        chosen = {"smallest error": best, "within one standard error of it": simplest}
        print(Summary(**about, **chosen, **({"written": written[0]} if written else {})))


def _note_missing_runs(options: argparse.Namespace, survey: RankSurvey) -> None:
    """Say what there is, if there was an interrupt or no time for all of it."""
    asked = len(options.ranks) * options.n_runs
    done = sum(len(ensemble) for ensemble in survey.values())
    if done < asked:
        note(f"stopped after {done} of {asked} runs; what is told is of these")
    if options.rule not in (None, survey.rule):
        note(f"there are no errors of held-out entries for --rule {options.rule}; {survey.rule} chooses instead")


def _tell_survey(options: argparse.Namespace, survey: RankSurvey, written: list[str]) -> None:
    columns = {name: column.tolist() for name, column in survey._columns().items()}
    about = {"file": options.file, "loss": survey[survey.best].best.loss, "resample": options.resample}
    chosen = {"rule": survey.rule, "best": survey.best, "reason": survey.reason}
    if options.json:
        rows = [dict(zip(columns, map(_finite, row), strict=True)) for row in zip(*columns.values(), strict=True)]
        print(json.dumps({"version": __version__, **about, "ranks": rows, **chosen, "written": written}, indent=2))
    elif not options.quiet:
        shown = {head: columns[name] for head, name in SURVEYED.items() if name in columns}
        print("  ".join(shown))
        for row in zip(*shown.values(), strict=True):
            cells = [str(value) if isinstance(value, int) else f"{value:.4g}" for value in row]
            print("  ".join(f"{cell:>{len(head)}}" for head, cell in zip(shown, cells, strict=True)))
        print()
        about = {name: value for name, value in about.items() if value is not None}
        print(Summary(**about, components=survey.best, rule=survey.rule, reason=survey.reason,
                      **({"written": ", ".join(written)} if written else {})))  # fmt: skip


def _finite(value: float) -> float | None:
    """A number that JSON knows, or nothing."""
    return value if np.isfinite(value) else None


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
        ("row", "column"), table[1:], (_text(f.row_labels), _text(f.column_labels)), X.shape, shape, strict=True
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


def _check_outputs(paths: Sequence[Path], *inputs: str) -> None:
    """Whether all files can be written, none in place of another or of an input, before the work is done."""
    taken = {Path(name.rpartition("::")[0] or name).resolve() for name in inputs}
    for path in paths:
        check_destination(path)
        if path.resolve() in taken:
            raise ValueError(f"{path} would be written over a file that is read or written too")
        taken.add(path.resolve())


def _tell(options: argparse.Namespace, summary: Summary, more: dict[str, Any], f: Factorization | None = None) -> None:
    """Print what was done, and what a model consists of, as text or as JSON."""
    if options.json:
        told = {"version": __version__, **more, **summary}
        print(json.dumps(told if f is None else {**told, "components": _components(f)}, indent=2))
    elif not options.quiet:
        written = {"written": ", ".join(more["written"])} if "written" in more else {}
        print(Summary(file=more["file"], **summary, **written))
        if f is not None:
            print()
            print("\n".join(_lines(_components(f))))


def _components(f: Factorization) -> list[dict[str, Any]]:
    """Name, share, strongest features and, if these have names, samples of every component."""
    named = f.row_labels is not None and not f.row_labels.is_numbering
    shares, samples = component_shares(f), strongest_samples(f, TYPICAL)
    return [
        {
            "component": name,
            "share": float(share),
            "features": [feature.label for feature in features],
            **({"samples": [label_of(f.row_labels, int(i)) for i in rows]} if named else {}),
        }
        for name, share, features, rows in zip(f.names, shares, strongest_features(f, STRONGEST), samples, strict=True)
    ]


def _lines(components: list[dict[str, Any]]) -> list[str]:
    """A line for every component."""
    width = max(len(str(one["component"])) for one in components)
    return [
        f"{one['component']!s:<{width}}  {100 * one['share']:5.1f} %  {', '.join(one['features'])}"
        + (f"  [{', '.join(one['samples'])}]" if one.get("samples") else "")
        for one in components
    ]
