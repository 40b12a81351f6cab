"""A page that shows a factorization, and the runs it is the best of: one HTML file that needs nothing else.

With its script, which the page holds together with the model, a reader asks for the components of a new sample, ranks
features, and searches and compares components.
"""

import base64
import hashlib
import os
from collections.abc import Mapping, Sequence
from typing import Any

from nmf_core.ensemble import Ensemble, RankSurvey
from nmf_core.factorization import Factorization
from nmf_core.files import written_whole
from nmf_core.interpretation import all_parameters, row_errors
from nmf_core.report import ensembles, parts
from nmf_core.report.model import as_json, model_data
from nmf_core.validation import check_page

try:
    import jinja2
    from markupsafe import Markup
except ImportError as error:
    raise ImportError('A report needs jinja2: pip install "nmf-core[cli]"') from error

__all__ = ["render_report", "write_report"]

# More components than this are not shown one by one.
MOST_COMPONENTS = 100
# What the script of a page is put together from: the model, and what a reader does with it.
SCRIPTS = ("model.js", "solving.js", "reading.js", "page.js")

Rows = Sequence[Sequence[Any]]


def write_report(path: str | os.PathLike, f: Factorization, X: Any = None, **options: Any) -> None:
    """Write the page of `render_report`, with the same further arguments, whole or not at all.

    Raises
    ------
    OSError
        The file can't be written.
    TypeError
        The path is none, or f is no factorization.
    """
    check_page(path, isinstance(f, Factorization))
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
    interactive: bool = True,
) -> str:
    """The page as HTML: key numbers, components, best and worst rows, pictures, parameters, versions.

    With an ensemble also what its runs have in common, with a survey what speaks for a number of components.

    The page answers: it holds the model, quantised, and a script that finds the components of a sentence or a row by
    the loss and the penalties of the fit, ranks features, and searches and compares components. Without scripts, and in
    print, it shows all that does not depend on a question.

    Parameters
    ----------
    f : Factorization
        The factorization.
    X : array-like, sparse matrix or data frame of shape (n_samples, n_features), optional
        What was factorized; without it the errors by row are left out, and words that are asked for are counted. If X
        holds no counts, a word counts as much as it does on average where it occurs in X.
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
    interactive : bool
        Whether the page holds the model and the script: about three bytes for an entry of H that is not zero, less of
        large models. Of more than two million entries it holds the strongest features, and says so.

    Returns
    -------
    str
        HTML without references to anything outside of it. Labels and titles are escaped, and browsers are told to run
        no other script, and to load nothing.

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
        entries=parts.entries(f),
        partial=parts.is_partial(f),
        loss=f.loss if isinstance(f.loss, str) else f"beta-divergence, beta = {f.loss:g}",
        pictures=parts.pictures(f, X, weights),
        components=parts.components(f, captions, MOST_COMPONENTS),
        n_left_out=max(0, f.n_components - MOST_COMPONENTS),
        extremes={} if X is None else parts.extremes(f, row_errors(f, X, weights)),
        tables=tables or {},
        runs=None if ensemble is None else ensembles.runs(f, ensemble, labels, MOST_COMPONENTS),
        survey=None if survey is None else ensembles.survey_facts(survey),
        facts={
            "Result": parts.words(f.summary()),
            "Parameters": parts.words(all_parameters(f)),
            **parts.biases(f),
            "Versions": parts.versions(),
        },
        **(_live(environment, f, X) if interactive else {}),
    )


def _live(environment: jinja2.Environment, f: Factorization, X: Any) -> dict[str, Any]:
    """The model, as values and as text for the page, the script, and its hash, by which browsers know it."""
    assert environment.loader is not None
    script = "\n".join(environment.loader.get_source(environment, name)[0] for name in SCRIPTS)
    model = model_data(f, X)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return {"model": model, "data": Markup(as_json(model)), "script": Markup(script), "digest": digest}
