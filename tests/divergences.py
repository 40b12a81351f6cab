"""The beta-divergence from its formula, and what it takes to be a minimum of it; everything in double."""

import numpy as np
import reference
import scipy.sparse as sp

from nmf_core.losses import make_loss
from nmf_core.solvers import SOLVERS

# Every loss but the Frobenius one: names, and numbers on both sides of 0, 1 and 2.
BETAS = {"itakura-saito": 0, "kullback-leibler": 1, -1: -1, 0.5: 0.5, 1.5: 1.5, 2.5: 2.5, 3: 3}
PAIRS = [
    (loss, name) for loss, beta in BETAS.items() for name, solver in SOLVERS.items() if solver.handles(make_loss(loss))
]
# Losses that can do with zeros in the data.
PAIRS_WITH_ZEROS = [(loss, name) for loss, name in PAIRS if BETAS[loss] > 0]


def dense(X):
    """X as an array in double."""
    return np.asarray(X.toarray() if sp.issparse(X) else X, dtype=np.float64)


def entries(x, y, beta):
    """d(x, y) of every pair of entries."""
    x, y = np.broadcast_arrays(np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64))
    if beta == 1:
        return np.where(x > 0, x * np.log(np.where(x > 0, x, 1.0) / np.where(x > 0, y, 1.0)), 0.0) - x + y
    if beta == 0:
        return x / y - np.log(x / y) - 1
    mixed = x * np.where(x > 0, y, 1.0) ** (beta - 1)
    return (x**beta + (beta - 1) * y**beta - beta * mixed) / (beta * (beta - 1))


def divergence(X, W, H, beta):
    """The sum over all entries; W @ H counts a tiny share of the mean of X or of its row at least."""
    share = 1e-12 if beta == 1 and X.dtype == np.float32 else 1e-18
    X, W, H = dense(X), dense(W), dense(H)
    means = X.mean() if beta == 1 else X.mean(axis=1, keepdims=True)
    return float(entries(X, np.maximum(W @ H, share * means), beta).sum())


def objective(X, W, H, beta, **regularization):
    """The divergence plus penalties."""
    l1_W, l2_W, l1_H, l2_H = reference.penalties(X.shape, **regularization)
    W, H = dense(W), dense(H)
    penalty = l1_W * W.sum() + l1_H * H.sum() + l2_W / 2 * np.sum(W**2) + l2_H / 2 * np.sum(H**2)
    return divergence(X, W, H, beta) + penalty


def gradient_parts(X, W, H, beta):
    """What falls and what rises when W grows, from X and from W @ H: the gradient is the second minus the first."""
    X, W, H = dense(X), dense(W), dense(H)
    Y = W @ H
    return np.where(X > 0, X * np.where(X > 0, Y, 1.0) ** (beta - 2), 0.0) @ H.T, Y ** (beta - 1) @ H.T


def kkt(X, W, H, beta, **regularization):
    """The largest violation of the Karush-Kuhn-Tucker conditions by any entry of W and of H.

    Nothing above zero may have a gradient, nothing at zero a negative one. Gradients are relative to the sum of their
    parts, which have opposite signs; factors are relative to their largest entry.
    """
    X, W, H = dense(X), dense(W), dense(H)
    l1_W, l2_W, l1_H, l2_H = reference.penalties(X.shape, **regularization)
    worst = []
    for A, F, G, l1, l2 in ((X, W, H, l1_W, l2_W), (X.T, H.T, W.T, l1_H, l2_H)):
        down, up = gradient_parts(A, F, G, beta)
        up = up + l1 + l2 * F
        relative = (up - down) / (up + down)
        worst.append(np.abs(np.minimum(F / F.max(), relative)).max())
    return max(worst)
