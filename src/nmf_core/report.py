"""A page that shows a factorization: one HTML file that needs nothing else, not even a network."""

import base64
import os
import platform
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import scipy

from nmf_core import __version__, plotting
from nmf_core.factorization import Factorization
from nmf_core.files import written_whole
from nmf_core.interpretation import (
    all_parameters,
    component_shares,
    label_of,
    row_errors,
    strongest_components,
    strongest_features,
)
from nmf_core.labels import component_names

try:
    import jinja2
except ImportError as error:
    raise ImportError('A report needs jinja2: pip install "nmf-core[cli]"') from error

# More components than this are not shown one by one, and labels are cut to this many characters.
MOST_COMPONENTS = 100
LONGEST_LABEL = 60

Rows = Sequence[Sequence[Any]]


def write_report(path: str | os.PathLike, f: Factorization, X: Any = None, **options: Any) -> None:
    """Write the page of `render_report`, with the same further arguments, whole or not at all.

    Raises
    ------
    OSError
        The file can't be written.
    """
    page = render_report(f, X, **options)
    with written_whole(path) as draft:
        draft.write_text(page, encoding="utf-8")


def render_report(
    f: Factorization,
    X: Any = None,
    *,
    weights: Any = None,
    title: str = "Non-negative matrix factorization",
    captions: Sequence[str] | None = None,
    tables: Mapping[str, Rows] | None = None,
) -> str:
    """The page as HTML: key numbers, pictures, components, best and worst rows, parameters, versions.

    Parameters
    ----------
    f : Factorization
        The factorization.
    X : array-like, sparse matrix or data frame of shape (n_samples, n_features), optional
        What was factorized; without it the errors by row are left out.
    weights : array-like, sparse matrix or data frame of shape (n_samples, n_features), optional
        Those of the fit, if it had some: for the errors by row.
    title : str
        Heading of the page.
    captions : sequence of str, optional
        A line about every component.
    tables : mapping of str to rows, optional
        Further tables by heading; the first row of each is its head.

    Returns
    -------
    str
        HTML without references to anything outside of it. Labels and titles are escaped.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("nmf_core"), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template("report.html").render(
        title=title,
        f=f,
        summary=f.summary(),
        entries=_entries(f),
        partial=_is_partial(f),
        loss=f.loss if isinstance(f.loss, str) else f"beta-divergence, beta = {f.loss:g}",
        pictures=_pictures(f, X, weights),
        components=_components(f, captions),
        n_left_out=max(0, f.n_components - MOST_COMPONENTS),
        extremes={} if X is None else _extremes(f, row_errors(f, X, weights)),
        tables=tables or {},
        facts={
            "Result": _words(f.summary()),
            "Parameters": _words(all_parameters(f)),
            **_biases(f),
            "Versions": _versions(),
        },
    )


def _entries(f: Factorization) -> str:
    """How many entries the fit has seen."""
    if not _is_partial(f):
        return f"{f.n_stored:,} entries"
    return f"{f.n_stored:,} known entries ({100 * f.n_stored / (f.W.shape[0] * f.H.shape[1]):.3g} % of all)"


def _is_partial(f: Factorization) -> bool:
    """Whether entries may have been missing."""
    return f.parameters.get("missing") is not None or bool(f.parameters.get("weighted"))


def _biases(f: Factorization) -> dict[str, dict[str, str]]:
    """Mean, ranges of biases, and features with the largest and the smallest, of a model that has some."""
    if f.biases is None:
        return {}
    mean, rows, columns = f.biases
    facts = {"mean": f"{mean:.4g}"}
    for what, values in (("samples", rows), ("features", columns)):
        facts[what] = f"{values.min():+.3g} to {values.max():+.3g}"
    for what, j in (("highest", columns.argmax()), ("lowest", columns.argmin())):
        facts[f"{what} feature"] = f"{_cut(label_of(f.column_labels, int(j)))} ({columns[j]:+.3g})"
    return {"Biases": facts}


def _pictures(f: Factorization, X: Any, weights: Any) -> list[tuple[str, str]]:
    """(description, data URI) of every picture."""
    figures = [("Objective and violation by time", plotting.convergence(f))]
    if X is not None:
        figures.append(("Error of every row", plotting.row_error(f, X, weights=weights)))
    figures.append(("Heat map of W", plotting.factor_heatmap(f, "W")))
    figures.append(("Heat map of H", plotting.factor_heatmap(f, "H")))
    return [
        (text, f"data:image/svg+xml;base64,{base64.b64encode(plotting.svg(figure)).decode()}")
        for text, figure in figures
    ]


def _components(f: Factorization, captions: Sequence[str] | None) -> list[dict[str, Any]]:
    names, shares = component_names(f.n_components), component_shares(f)
    return [
        {
            "name": names[j],
            "share": shares[j],
            "caption": captions[j] if captions else "",
            "features": [(_cut(feature.label), feature.weight) for feature in features],
        }
        for j, features in enumerate(strongest_features(f)[:MOST_COMPONENTS])
    ]


def _cut(label: str) -> str:
    return label if len(label) <= LONGEST_LABEL else label[: LONGEST_LABEL - 1] + "…"


def _extremes(f: Factorization, errors: np.ndarray, n: int = 8) -> dict[str, list[tuple[str, float, str]]]:
    """Rows described worst and best: label, error, strongest component."""
    order = np.argsort(errors, kind="stable")[: np.count_nonzero(np.isfinite(errors))]
    names, strongest = component_names(f.n_components), strongest_components(f)

    def rows(indices: np.ndarray) -> list[tuple[str, float, str]]:
        return [(_cut(label_of(f.row_labels, i)), errors[i], names[strongest[i]]) for i in indices]

    n = min(n, len(order) // 2)
    return {"Rows described best": rows(order[:n]), "Rows described worst": rows(order[::-1][:n])} if n else {}


def _words(values: Mapping[str, Any]) -> dict[str, str]:
    return {
        name.replace("_", " "): f"{value:.6g}" if isinstance(value, float) else str(value)
        for name, value in values.items()
    }


def _versions() -> dict[str, str]:
    return {
        "nmf-core": __version__,
        "NumPy": np.__version__,
        "SciPy": scipy.__version__,
        "Python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
    }
