"""Matrices with known answers, and what it takes to recognise an answer."""

import numpy as np
import scipy.sparse as sp
from scipy.linalg import block_diag
from scipy.optimize import linear_sum_assignment

COUNTING = np.arange(1.0, 13.0).reshape(3, 4)
SMALL = np.array([[1.0, 0.5, 0.0], [0.8, 0.3, 0.1], [0.0, 0.2, 1.0]])
SPEECHES = np.array([[36, 3, 45, 54], [4, 34, 23, 31], [9, 65, 11, 0], [17, 3, 3, 0], [0, 14, 7, 4]], dtype=np.float64)
WORDS = ("labour", "energy", "market", "employment")


def uniform(n, m, seed=0, low=0.1):
    """A matrix of positive noise."""
    return np.random.default_rng(seed).uniform(low, 1.0, (n, m))


def start(X, k, seed=1):
    """Positive factors W and H of the size that fits X, in its dtype."""
    rng = np.random.default_rng(seed)
    scale = np.sqrt(X.mean() / k) or 1.0
    W = scale * rng.uniform(0.2, 1.8, (X.shape[0], k))
    H = scale * rng.uniform(0.2, 1.8, (k, X.shape[1]))
    return W.astype(X.dtype), H.astype(X.dtype)


def noisy(n, m, k, seed=0, noise=0.1):
    """Low rank, sparse factors, some noise: what data are like."""
    rng = np.random.default_rng(seed)
    W, H = (rng.gamma(1.0, size=shape) * (rng.random(shape) < 0.6) for shape in ((n, k), (k, m)))
    return W @ H + noise * rng.random((n, m))


def image(size=256):
    """A grey image: a gradient, a disc, stripes and a dark frame."""
    y, x = np.mgrid[:size, :size] / size
    picture = 80.0 + 100.0 * x * y
    picture += 60.0 * ((x - 0.6) ** 2 + (y - 0.4) ** 2 < 0.05)
    picture += 30.0 * np.sin(40 * x) ** 2 * (y > 0.7)
    picture[:8] = picture[-8:] = picture[:, :8] = picture[:, -8:] = 5.0
    return np.round(picture)


def documents(n=1000, m=5000, topics=10, seed=0):
    """Word counts of documents about a few topics each, as CSR."""
    rng = np.random.default_rng(seed)
    words = rng.dirichlet(np.full(m, 0.02), size=topics)
    shares = rng.dirichlet(np.full(topics, 0.1), size=n)
    lengths = rng.integers(20, 80, size=n)
    counts = rng.poisson(shares @ words * lengths[:, np.newaxis])
    return sp.csr_array(counts.astype(np.float64))


def user_items(n=500, m=300, tastes=20, seed=0):
    """Ratings from 0 to 5 that come from a few tastes."""
    rng = np.random.default_rng(seed)
    liking = rng.gamma(0.5, size=(n, tastes)) @ rng.gamma(0.5, size=(tastes, m))
    return np.minimum(np.round(liking / liking.mean() * 2), 5.0)


# --- planted factors that are unique up to the order and scale of components


def laurberg(a=0.3):
    """The 6 x 3 factor F whose square F @ F.T has no other factorization as long as a < 1/2.

    H. Laurberg et al. (2008), "Theorems on positive data: on the uniqueness of NMF", doi:10.1155/2008/764206.
    """
    return np.array([[a, 1, 1, a, 0, 0], [1, a, 0, 0, a, 1], [0, 0, a, 1, 1, a]]).T


def separable(n, m, k, seed=0):
    """W and H with every component alone in a row of W and alone in a column of H: the rest is mixtures."""
    rng = np.random.default_rng(seed)
    W = np.vstack([np.eye(k), rng.random((n - k, k))])
    H = np.hstack([np.eye(k), rng.random((k, m - k))])
    return W[rng.permutation(n)], H[:, rng.permutation(m)]


PLANTED = {
    "laurberg 0.1": (laurberg(0.1), laurberg(0.1).T),
    "laurberg 0.3": (laurberg(0.3), laurberg(0.3).T),
    "blocks": (
        block_diag(*uniform(3, 7)[:, :, np.newaxis]),
        block_diag(*uniform(3, 5, seed=1)[:, np.newaxis]),
    ),
    "separable 20 x 15": separable(20, 15, 3),
    "separable 40 x 30": separable(40, 30, 5),
}


def distance(W, H, W_true, H_true):
    """Largest difference between factors after their components have been matched and scaled to unit rows of H."""
    (W, H), (W_true, H_true) = (unit(W, H), unit(W_true, H_true))
    ours, theirs = linear_sum_assignment(-H @ H_true.T)
    return max(np.abs(W[:, ours] - W_true[:, theirs]).max(), np.abs(H[ours] - H_true[theirs]).max())


def unit(W, H):
    """The same product with rows of H of length one."""
    length = np.linalg.norm(H, axis=1)
    return W * length, H / length[:, np.newaxis]
