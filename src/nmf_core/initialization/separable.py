"""Starts from rows of X that are pure: separable factorizations."""

import numpy as np

from nmf_core.data import FullMatrix
from nmf_core.engine import Update, padded
from nmf_core.initialization.base import Factors, divide, times

BATCH = 256  # rows that are looked at together
STEPS = 100  # of the projection onto what is chosen


def spa(data: FullMatrix, k: int, rng: np.random.RandomState) -> Factors:
    """H holds k rows of X, chosen by successive projection; W says how they mix.

    Rows are brought to the sum 1. The longest is chosen, then all are projected onto what is orthogonal to it, and so
    on. If every row is a mixture of k pure ones that are in X, these are found. X is read twice for every component.

    References
    ----------
    M. C. U. Araujo et al. (2001), "The successive projections algorithm for variable selection in spectroscopic
    multicomponent analysis", doi:10.1016/S0169-7439(01)00119-8. N. Gillis and S. A. Vavasis (2014), "Fast and robust
    recursive algorithms for separable nonnegative matrix factorization", doi:10.1109/TPAMI.2013.226.
    """
    rows = Candidates(data)
    residual = rows.squares.copy()
    basis: list[np.ndarray] = []
    for _ in range(k):
        row = rows.choose(residual, rng)
        direction = row.copy()
        for _ in range(2):  # a second time for what rounding has left
            for b in basis:
                direction -= (b @ direction) * b
        size = np.linalg.norm(direction)
        if size > 1e-7 * np.linalg.norm(row):
            basis.append(direction / size)
            residual -= rows.products(basis[-1]) ** 2
        residual[rows.chosen] = -np.inf
    return rows.mixed()


def snpa(data: FullMatrix, k: int, rng: np.random.RandomState) -> Factors:
    """The same, by successive non-negative projection: rows are projected onto the mixtures of those that are chosen.

    More robust, and it finds pure rows that depend on each other linearly; slower.

    References
    ----------
    N. Gillis (2014), "Successive nonnegative projection algorithm for robust nonnegative blind source separation",
    doi:10.1137/130946782.
    """
    rows = Candidates(data)
    # Mixtures only grow: a row's distance from them is at most what it was when it was last computed.
    distance = rows.squares.copy()
    gram, cross = np.zeros((0, 0)), np.zeros((len(distance), 0))
    for _ in range(k):
        current = np.zeros(len(distance), dtype=bool)
        while cross.shape[1] and not current.all():
            stale = np.flatnonzero(~current & (distance > -np.inf))
            if not len(stale) or distance[stale].max() <= distance[current].max(initial=-np.inf):
                break
            batch = stale[np.argsort(-distance[stale], kind="stable")[:BATCH]]
            mixture = _mixtures(gram, cross[batch])
            fitted = np.einsum("ij,ij->i", mixture, mixture @ gram - 2 * cross[batch])
            distance[batch] = rows.squares[batch] + fitted
            current[batch] = True
        row = rows.choose(distance, rng)
        products = rows.products(row)
        within = products[rows.chosen]
        gram = np.block([[gram, within[:-1, np.newaxis]], [within]])
        cross = np.column_stack([cross, products])
        distance[rows.chosen] = -np.inf
    return rows.mixed()


def _mixtures(gram: np.ndarray, cross: np.ndarray) -> np.ndarray:
    """Rows c >= 0 with a sum of at most 1 that minimise c gram c / 2 - cross c, by Nesterov's method."""
    C = Y = np.zeros_like(cross)
    t, rate = 1.0, 1 / max(float(np.linalg.norm(gram, 2)), 1e-300)
    for _ in range(STEPS):
        before, C = C, _onto_simplex(Y - rate * (Y @ gram - cross))
        last, t = t, (1 + np.sqrt(4 * t**2 + 1)) / 2
        Y = C + (last - 1) / t * (C - before)
    return C


def _onto_simplex(C: np.ndarray) -> np.ndarray:
    """The nearest rows without negative entries and with a sum of at most 1."""
    clipped = np.maximum(C, 0)
    over = clipped.sum(axis=1) > 1
    if over.any():
        descending = -np.sort(-C[over], axis=1)
        surplus = (np.cumsum(descending, axis=1) - 1) / np.arange(1, C.shape[1] + 1)
        last = (descending > surplus).sum(axis=1) - 1
        clipped[over] = np.maximum(C[over] - surplus[np.arange(len(last)), last][:, np.newaxis], 0)
    return clipped


class Candidates:
    """The rows of X, brought to the sum 1.

    Attributes
    ----------
    scale : ndarray of shape (n_samples,)
        One over their sums; zero for empty rows.
    squares : ndarray of shape (n_samples,)
        Their squared lengths.
    chosen : list of int
        Those that are chosen, in their order.
    """

    def __init__(self, data: FullMatrix) -> None:
        self.data = data
        sums = data.sums(columns=data.transposed)
        self.scale = divide(np.ones_like(sums), sums)
        self.squares = data.sums_of_squares(columns=data.transposed) * self.scale**2
        self.chosen: list[int] = []
        self.components: list[np.ndarray] = []

    def choose(self, merit: np.ndarray, rng: np.random.RandomState) -> np.ndarray:
        """The row (n_features,) of the largest merit, from now on chosen; if none has any, one at random."""
        best = int(np.argmax(merit))
        if not merit[best] > 1e-12 * self.squares.max(initial=0.0):
            left = np.setdiff1d(np.flatnonzero(self.scale), self.chosen)
            best = int(rng.choice(left)) if len(left) else int(rng.randint(len(merit)))
        self.chosen.append(best)
        indicator = np.zeros((len(merit), 1))
        indicator[best] = 1
        row = times(self.data, padded(indicator, self.data.dtype), transpose=True)[:, 0]
        self.components.append(row)
        return row.astype(np.float64) * self.scale[best]

    def products(self, v: np.ndarray) -> np.ndarray:
        """The inner products (n_samples,) of all rows with a vector, in double as far as that tells."""
        G = padded(v[:, np.newaxis], self.data.dtype)
        return times(self.data, G)[:, 0].astype(np.float64) * self.scale

    def mixed(self) -> Factors:
        """W and the transpose of H, H being the chosen rows as they are in X."""
        k = len(self.chosen)
        Ht = padded(np.column_stack(self.components), self.data.dtype)
        gram = np.ascontiguousarray((Ht.T @ Ht)[:k, :k])
        cross = times(self.data, Ht)
        W = np.zeros_like(cross)
        order = np.arange(k, dtype=np.int32)
        self.data.engine.improve_rows(W, cross, Update(W, order, gram[0], max_sweeps=100, tol=1e-3, gram=gram))
        return W[:, :k], Ht[:, :k]
