"""Non-negative matrix factorization, also in scikit-learn's place."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

# First, because it decides how the OpenMP runtime starts when `_core` is loaded.
from nmf_core.threads import show_config  # isort: split

from nmf_core.comparison import compare_solvers
from nmf_core.divergence import beta_divergence
from nmf_core.ensemble import Ensemble, RankSurvey, factorize_many, load_ensemble, rank_survey
from nmf_core.factorization import Factorization, load
from nmf_core.factorize import factorize
from nmf_core.factors import Factor
from nmf_core.known import Match, Refit, match, refit
from nmf_core.least_squares import nnls
from nmf_core.optimality import kkt_residual
from nmf_core.patching import is_patched, patch_sklearn, unpatch_sklearn
from nmf_core.solvers import Checkpoint
from nmf_core.start import initialize
from nmf_core.warning import ConvergenceWarning

if TYPE_CHECKING:
    from nmf_core.estimators import NMF, MiniBatchNMF, non_negative_factorization

__version__ = "0.1.0"

__all__ = [
    "NMF",
    "Checkpoint",
    "ConvergenceWarning",
    "Ensemble",
    "Factor",
    "Factorization",
    "Match",
    "MiniBatchNMF",
    "RankSurvey",
    "Refit",
    "__version__",
    "beta_divergence",
    "compare_solvers",
    "factorize",
    "factorize_many",
    "initialize",
    "is_patched",
    "kkt_residual",
    "load",
    "load_ensemble",
    "match",
    "nnls",
    "non_negative_factorization",
    "patch_sklearn",
    "rank_survey",
    "refit",
    "show_config",
    "unpatch_sklearn",
]

# Names that need scikit-learn, and modules that need other libraries: imported when one of them is first used.
_NEED_SCIKIT_LEARN = ("NMF", "MiniBatchNMF", "non_negative_factorization")
_MODULES = (
    "data",
    "ensemble",
    "factors",
    "interpretation",
    "io",
    "labels",
    "losses",
    "model_selection",
    "onnx",
    "plotting",
    "report",
    "solvers",
    "stopping",
    "typing",
)


def __getattr__(name: str) -> Any:
    if name in _NEED_SCIKIT_LEARN:
        return getattr(import_module("nmf_core.estimators"), name)
    if name in _MODULES:
        return import_module(f"nmf_core.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*__all__, *_MODULES})
