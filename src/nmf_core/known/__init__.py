"""Components that are known already: which of them a fit has found, and how much of each is in samples."""

from nmf_core.known.matching import Match, match
from nmf_core.known.refitting import Refit, refit

__all__ = ["Match", "Refit", "match", "refit"]
