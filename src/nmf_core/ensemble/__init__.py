"""Many factorizations of one matrix: what remains of them, and how many components there are."""

from nmf_core.data.resampling import resample
from nmf_core.ensemble.many import Ensemble, factorize_many, load_ensemble
from nmf_core.ensemble.matching import Alignment, ConsensusComponents, Stability
from nmf_core.ensemble.survey import RankSurvey, rank_survey

__all__ = [
    "Alignment",
    "ConsensusComponents",
    "Ensemble",
    "RankSurvey",
    "Stability",
    "factorize_many",
    "load_ensemble",
    "rank_survey",
    "resample",
]
