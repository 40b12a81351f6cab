"""A page that shows a factorization, and the runs it is the best of: one HTML file that needs nothing else."""

import base64
import os
import platform
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import numpy as np
import scipy

from nmf_core import __version__, plotting
from nmf_core.ensemble import Ensemble, RankSurvey
from nmf_core.ensemble.matching import stability
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
from nmf_core.validation import check_shape

try:
    import jinja2
except ImportError as error:
    raise ImportError('A report needs jinja2: pip install "nmf-core[cli]"') from error

# More components than this are not shown one by one, and labels are cut to this many characters.
MOST_COMPONENTS = 100
LONGEST_LABEL = 60

# Columns of the table of a survey, by their heads, and how their numbers are written.
SURVEYED = {
    "components": ("n_components", "d"),
    "runs": ("n_runs", "d"),
    "held-out error": ("held_out", ".4g"),
    "standard error": ("held_out_se", ".2g"),
    "explained variance": ("explained_variance", ".4f"),
    "cophenetic": ("cophenetic", ".4f"),
    "dispersion": ("dispersion", ".3f"),
    "ambiguous pairs": ("pac", ".3f"),
    "silhouette": ("silhouette", ".3f"),
    "stability": ("stability_mean", ".3f"),
    "least": ("stability_min", ".3f"),
}

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
    ensemble: Ensemble | None = None,
    survey: RankSurvey | None = None,
    labels: Any = None,
) -> str:
    """The page as HTML: key numbers, pictures, components, best and worst rows, parameters, versions.

    With an ensemble also what its runs have in common, with a survey what speaks for a number of components.

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
    ensemble : Ensemble, optional
        Runs with as many components, of which this factorization usually is the best: consensus of samples, clusters of
        components, key numbers, and how stable every component of this factorization is.
    survey : RankSurvey, optional
        What is found by number of components: pictures, a table, and why one is chosen.
    labels : array-like of shape (n_samples,), optional
        A class of every sample for the picture of the consensus, see `nmf_core.plotting.consensus_map`.

    Returns
    -------
    str
        HTML without references to anything outside of it. Labels and titles are escaped.

    Raises
    ------
    ValueError
        The runs of the ensemble have another shape, or labels are not one for each sample.

    Examples
    --------
    >>> import numpy as np, nmf_core
    >>> X = np.kron(np.eye(2), np.ones((4, 3))) + 0.1
    >>> ensemble = nmf_core.factorize_many(X, 2, 5, random_state=0)
    >>> page = nmf_core.report.render_report(ensemble.best, X, ensemble=ensemble)
    >>> "5 runs of 2 components" in page
    True
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
        runs=None if ensemble is None else _runs(f, ensemble, labels),
        survey=None if survey is None else _survey(survey),
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
    return [(text, _uri(figure)) for text, figure in figures]


def _uri(figure: Any) -> str:
    return f"data:image/svg+xml;base64,{base64.b64encode(plotting.svg(figure)).decode()}"


def _runs(f: Factorization, ensemble: Ensemble, labels: Any) -> dict[str, Any]:
    """What runs have in common: how many, pictures, key numbers, and the stability of components."""
    figures = {"Consensus of samples": plotting.consensus_map(ensemble, labels)}
    for threshold in (0.5, 2):  # all that are not zero, if too few of them are alike
        with suppress(ValueError):
            clusters = plotting.component_clusters(ensemble, density_threshold=threshold)
            figures["Components of all runs by cluster"] = clusters
            break
    mean, minimum = _stability(f, ensemble)
    replicates = {"replicates of X": ensemble.resample} if ensemble.resample else {}
    numbers = {
        "objective": f"{ensemble.objectives.min():.6g} to {ensemble.objectives.max():.6g}",
        "runs not converged": ensemble.n_unconverged,
        "cophenetic correlation": f"{ensemble.cophenetic:.4f}",
        "dispersion": f"{ensemble.dispersion:.4f}",
        "ambiguous pairs (PAC)": f"{ensemble.pac:.4f}",
        "mean silhouette": f"{ensemble.silhouette.mean():.4f}",
    }
    rows = zip(f.names, mean, minimum, strict=True)
    stable = [(name, *(_plain(value, ".3f") for value in values)) for name, *values in rows]
    return {
        "title": f"{_many(len(ensemble), 'run')} of {_many(f.n_components, 'component')}",
        "pictures": [(text, _uri(figure)) for text, figure in figures.items()],
        "numbers": {**replicates, **numbers},
        "stability": [("", "mean", "least"), *stable[:MOST_COMPONENTS]],
    }


def _many(n: int, what: str) -> str:
    return f"{n} {what}{'' if n == 1 else 's'}"


def _plain(value: Any, how: str) -> str:
    """A number, or a dash where there is none, as of a single run."""
    return "-" if np.isnan(value) else f"{value:{how}}"


def _stability(f: Factorization, ensemble: Ensemble) -> tuple[np.ndarray, np.ndarray]:
    """How similar components are to those of the runs, but for one that is this very factorization."""
    check_shape(f.H.shape, ensemble.H[0].shape, "H of the page's factorization")
    same = next((i for i, H in enumerate(ensemble.H) if np.array_equal(H, f.H)), None)
    return stability(ensemble.align(f.H), without=same)


def _survey(survey: RankSurvey) -> dict[str, Any]:
    """What speaks for a number of components: the reason, pictures, and the table."""
    table, best = survey.table, survey.best
    columns = {head: about for head, about in SURVEYED.items() if about[0] in table}
    rows = [[_plain(np.asarray(table[name])[i], how) for name, how in columns.values()] for i in range(len(survey))]
    return {
        "best": best,
        "reason": survey.reason,
        "wide": _uri(plotting.rank_survey(survey)),
        "narrow": _uri(plotting.rank_survey(survey, n_columns=2)),
        "stability": _uri(plotting.stability_error(survey)),
        "table": [list(columns), *rows],
        "chosen": survey.n_components.tolist().index(best) + 1,
    }


def _components(f: Factorization, captions: Sequence[str] | None) -> list[dict[str, Any]]:
    names, shares = f.names, component_shares(f)
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
    names, strongest = f.names, strongest_components(f)

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
