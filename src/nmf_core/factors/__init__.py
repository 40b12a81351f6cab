"""What a factor may be, and what it prefers."""

from nmf_core.factors.factor import Factor
from nmf_core.factors.penalties import ALPHA_SCALINGS, Penalty, with_penalties

__all__ = ["ALPHA_SCALINGS", "Factor", "Penalty", "with_penalties"]
