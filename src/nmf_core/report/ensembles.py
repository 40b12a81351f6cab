"""What a page says of many runs."""

from contextlib import suppress
from typing import Any

import numpy as np

from nmf_core import plotting
from nmf_core.ensemble import Ensemble, RankSurvey
from nmf_core.ensemble.matching import stability
from nmf_core.factorization import Factorization
from nmf_core.provenance import several
from nmf_core.report.parts import uri
from nmf_core.validation import check_shape

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


def runs(f: Factorization, ensemble: Ensemble, labels: Any, most: int) -> dict[str, Any]:
    """What runs have in common: how many, pictures, key numbers, and the stability of the first `most` components."""
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
        "cophenetic correlation": _plain(ensemble.cophenetic, ".4f"),
        "dispersion": _plain(ensemble.dispersion, ".4f"),
        "ambiguous pairs (PAC)": _plain(ensemble.pac, ".4f"),
        "mean silhouette": _plain(ensemble.silhouette.mean(), ".4f"),
    }
    rows = zip(f.names, mean, minimum, strict=True)
    stable = [(name, *(_plain(value, ".3f") for value in values)) for name, *values in rows]
    return {
        "title": f"{several(len(ensemble), 'run')} of {several(f.n_components, 'component')}",
        "pictures": [(text, uri(figure)) for text, figure in figures.items()],
        "numbers": {**replicates, **numbers},
        "stability": [("", "mean", "least"), *stable[:most]],
    }


def _plain(value: Any, how: str) -> str:
    """A number, or a dash where there is none, as of a single run."""
    return "-" if np.isnan(value) else f"{value:{how}}"


def _stability(f: Factorization, ensemble: Ensemble) -> tuple[np.ndarray, np.ndarray]:
    """How similar components are to those of the runs, but for one that is this very factorization."""
    check_shape(f.H.shape, ensemble.H[0].shape, "H of the page's factorization")
    same = next((i for i, H in enumerate(ensemble.H) if np.array_equal(H, f.H)), None)
    return stability(ensemble.align(f.H), without=same)


def survey_facts(survey: RankSurvey) -> dict[str, Any]:
    """What speaks for a number of components: the reason, pictures, and the table."""
    table, best = survey._columns(), survey.best
    columns = {head: about for head, about in SURVEYED.items() if about[0] in table}
    rows = [[_plain(np.asarray(table[name])[i], how) for name, how in columns.values()] for i in range(len(survey))]
    return {
        "best": best,
        "reason": survey.reason,
        "wide": uri(plotting.rank_survey(survey)),
        "narrow": uri(plotting.rank_survey(survey, n_columns=2)),
        "stability": uri(plotting.stability_error(survey)),
        "table": [list(columns), *rows],
        "chosen": survey.n_components.tolist().index(best) + 1,
    }
