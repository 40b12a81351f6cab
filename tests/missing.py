"""Divergences over known entries and the objectives made of them, entry by entry, in double; and holes to make."""

import divergences
import numpy as np
import scipy.sparse as sp
from divergences import dense

from nmf_core.data import ObservedMatrix
from nmf_core.losses import make_loss
from nmf_core.solvers import SOLVERS

BETAS = {"frobenius": 2, "kullback-leibler": 1, "itakura-saito": 0, -0.5: -0.5, 0.5: 0.5, 1.5: 1.5, 3: 3}
PAIRS = [
    (loss, name)
    for loss, beta in BETAS.items()
    for name, solver in SOLVERS.items()
    if solver.handles(make_loss(loss), ObservedMatrix)
]
# Solvers that descend to a point where the conditions of optimality hold.
DESCENT = [("frobenius", "hals"), ("kullback-leibler", "newton")]
PENALTIES = {
    "no penalty": {},
    "l2": {"alpha_W": 0.02},
    "l1": {"alpha_W": 0.01, "alpha_H": 0.002, "l1_ratio": 1.0},
    "both, observed": {"alpha_W": 0.004, "alpha_H": 0.01, "l1_ratio": 0.5, "alpha_scaling": "observed"},
}


def some(shape, share, seed=0):
    """Which entries are known: about so many, and two at least in every row and column."""
    known = np.random.default_rng(seed).random(shape) < share
    i, j = np.arange(max(shape)) % shape[0], np.arange(max(shape)) % shape[1]
    known[i, j] = known[i, j - 1] = True
    return known


def with_nan(X, known):
    """X with NaN for what is not known."""
    return np.where(known, X, np.asarray(np.nan, dtype=X.dtype))


def stored(X, known, make=sp.csr_array):
    """X in a sparse matrix that stores what is known, zeros too."""
    i, j = np.nonzero(known)
    return make(sp.coo_array((X[i, j], (i, j)), shape=X.shape))


# Ways to say what is known; every one gives the X to factorize and how.
WAYS = {
    "nan": lambda X, known: (with_nan(X, known), {"missing": "nan"}),
    "unstored": lambda X, known: (stored(X, known), {"missing": "unstored"}),
    "weights": lambda X, known: (X, {"weights": known.astype(int)}),
    "sparse weights": lambda X, known: (X, {"weights": sp.csc_array(known.astype(np.float64))}),
    "weights of a sparse X": lambda X, known: (sp.csc_array(X), {"weights": known.tolist()}),
}


def model(result):
    """All entries of what the factors and biases stand for."""
    Y = dense(result.W) @ dense(result.H)
    if result.biases is not None:
        Y += result.biases.mean + dense(result.biases.rows)[:, np.newaxis] + dense(result.biases.columns)
    return Y


def divergence(X, weights, Y, beta):
    """The sum over all entries with a weight."""
    known = np.asarray(weights) > 0
    x, y, w = (dense(A)[known] for A in (X, Y, weights))
    values = (x - y) ** 2 / 2 if beta == 2 else divergences.entries(x, y, beta)
    return float(np.sum(w * values))


def strengths(weights, alpha_W=0.0, alpha_H="same", l1_ratio=0.0, alpha_scaling="size"):
    """The l1 and l2 penalties of every row of W, and those of every column of H."""
    n, m = weights.shape
    weights = dense(weights)
    for alpha, size, amounts in (
        (alpha_W, m, weights.sum(axis=1)),
        (alpha_W if alpha_H == "same" else alpha_H, n, weights.sum(axis=0)),
    ):
        amounts = amounts if alpha_scaling == "observed" else np.full(len(amounts), float(size))
        yield alpha * l1_ratio * amounts, alpha * (1 - l1_ratio) * amounts


def penalties(weights, W, H, biases=None, **regularization):
    """What the factors cost; biases cost their squares."""
    total = 0.0
    for (l1, l2), F, bias in zip(
        strengths(weights, **regularization),
        (dense(W), dense(H).T),
        (0.0, 0.0) if biases is None else (dense(biases.rows), dense(biases.columns)),
        strict=True,
    ):
        total += l1 @ F.sum(axis=1) + l2 @ (np.sum(F**2, axis=1) + np.square(bias)) / 2
    return total


def objective(X, weights, result, **regularization):
    """The divergence of known entries plus penalties, for a result of `factorize`."""
    costs = penalties(weights, result.W, result.H, result.biases, **regularization)
    return divergence(X, weights, model(result), BETAS[result.loss]) + costs


def violation(x, w, F, G, beta, l1, l2):
    """How far every entry of F is from the Karush-Kuhn-Tucker conditions for F @ G.T ~ x, entries weighted by w.

    Nothing above zero may have a gradient, nothing at zero a negative one. Gradients are relative to the sum of their
    parts, which have opposite signs; factors are relative to their largest entry.
    """
    x, w, F, G = np.where(np.asarray(w) > 0, dense(x), 1.0), dense(w), dense(F), dense(G)
    y = np.where(w > 0, F @ G.T, 1.0)
    down, up = (w * x * y ** (beta - 2)) @ G, (w * y ** (beta - 1)) @ G
    up = up + np.reshape(l1, (-1, 1)) + np.reshape(l2, (-1, 1)) * F
    relative = np.divide(up - down, up + down, out=np.zeros_like(up), where=up + down > 0)
    return np.abs(np.minimum(F / F.max(), relative))


def kkt(X, weights, W, H, beta, **regularization):
    """The largest violation by any entry of W and of H."""
    of_W, of_H = strengths(weights, **regularization)
    return max(violation(X, weights, W, H.T, beta, *of_W).max(), violation(X.T, weights.T, H.T, W, beta, *of_H).max())
