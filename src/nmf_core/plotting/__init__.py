"""Pictures of a factorization, and of many, drawn with matplotlib.

Every function returns a :class:`matplotlib.figure.Figure` that pyplot does not know: a notebook shows it,
``savefig`` writes it, and nothing has to be closed. Settings of matplotlib are left as they are.
"""

from nmf_core.plotting.base import svg
from nmf_core.plotting.curves import convergence, rank_curve, solver_curves
from nmf_core.plotting.ensembles import component_clusters, consensus_map
from nmf_core.plotting.factors import factor_heatmap, row_error, top_features
from nmf_core.plotting.shapes import activations, images, maps, spectra
from nmf_core.plotting.surveys import rank_survey, stability_error

__all__ = [
    "activations",
    "component_clusters",
    "consensus_map",
    "convergence",
    "factor_heatmap",
    "images",
    "maps",
    "rank_curve",
    "rank_survey",
    "row_error",
    "solver_curves",
    "spectra",
    "stability_error",
    "svg",
    "top_features",
]
