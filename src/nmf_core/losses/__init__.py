"""Losses: scalar functions d(x, y) of an entry of X and of W @ H. A new loss is a file here and a line in `LOSSES`."""

from nmf_core.losses.base import Loss
from nmf_core.losses.frobenius import Frobenius

LOSSES: dict[str, Loss] = {loss.name: loss for loss in (Frobenius(),)}

__all__ = ["LOSSES", "Loss"]
