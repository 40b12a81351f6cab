"""Losses: scalar functions d(x, y) of an entry of X and of W @ H. A new loss is a file here and a line in `LOSSES`."""

from nmf_core.losses.base import Loss
from nmf_core.losses.beta import Beta

LOSSES: dict[str, Beta] = {
    name: Beta(beta, name) for name, beta in (("frobenius", 2), ("kullback-leibler", 1), ("itakura-saito", 0))
}


def make_loss(loss: str | float | Loss) -> Loss:
    """The loss of a name in `LOSSES`, the beta-divergence of a number, or the loss itself."""
    if isinstance(loss, Loss):
        return loss
    if isinstance(loss, str):
        return LOSSES[loss]
    return next((named for named in LOSSES.values() if named.beta == loss), Beta(loss))


__all__ = ["LOSSES", "Beta", "Loss", "make_loss"]
