"""Many small problems at a time, each with components of its own."""

from typing import Any, NamedTuple

import numpy as np

_MOST_STEPS = 50  # of Newton's method; few are needed
EPS = float(np.finfo(np.float64).eps)


class Rows(NamedTuple):
    """Rows with components of their own, for the Frobenius loss or that of Kullback and Leibler.

    Attributes
    ----------
    x, weights : ndarray of shape (n, m)
        The rows, and how much their entries count.
    G : ndarray of shape (n, a, m)
        The components of every row, zero if it has fewer.
    there : ndarray of bool, shape (n, a)
        Which they are.
    quadratic : bool
        Which loss.
    """

    x: np.ndarray
    weights: np.ndarray
    G: np.ndarray
    there: np.ndarray
    quadratic: bool

    def some(self, rows: np.ndarray) -> "Rows":
        """Some of them."""
        return Rows(self.x[rows], self.weights[rows], self.G[rows], self.there[rows], self.quadratic)

    def divergence(self, y: np.ndarray, rows: Any = slice(None)) -> np.ndarray:
        """The loss of models (n, m), summed over each; infinity where one is zero, but x is not."""
        from scipy.special import kl_div

        x = self.x[rows]
        losses = (x - y) ** 2 / 2 if self.quadratic else kl_div(x, y)
        return (self.weights[rows] * losses).sum(axis=1)

    def derivatives(self, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Gradients (n, a) with respect to exposures at models (n, m), and matrices (n, a, a) of second derivatives."""
        if self.quadratic:
            slope, curvature = self.weights * (y - self.x), self.weights
        else:
            ratio = np.divide(self.x, y, out=np.zeros_like(y), where=self.x > 0)
            slope = self.weights * (1 - ratio)
            curvature = self.weights * np.divide(ratio, y, out=np.zeros_like(y), where=self.x > 0)
        gradient = (self.G @ slope[..., np.newaxis])[..., 0]
        return gradient, (self.G * curvature[:, np.newaxis]) @ self.G.swapaxes(1, 2)


def descend(problem: Rows, w: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Minimisers (n, a) of the divergence over w >= 0, and its values (n,).

    By Newton steps: each ends in the minimiser over w >= 0 of the quadratic function that the divergence is about
    there, or on the way to it if that is too far. Where a step is short the divergence of counts is so much like that
    function that there is nothing to look at.

    Parameters
    ----------
    problem : Rows
        The rows.
    w : ndarray of shape (n, a)
        Where to start, zero for components that a row does not have. Modified in place.
    """
    y = (w[:, np.newaxis] @ problem.G)[:, 0]
    values = problem.divergence(y)
    running = np.flatnonzero(np.isfinite(values) & (w > 0).any(axis=1))
    for _ in range(_MOST_STEPS):
        if len(running) == 0:
            break
        some, at, before = problem.some(running), w[running], values[running]
        gradient, curvature = some.derivatives(y[running])
        step = _newton_target(gradient, curvature, at, some.there) - at
        slope = (gradient * step).sum(axis=1)
        dy = (step[:, np.newaxis] @ some.G)[:, 0]
        share = np.ones(len(running))
        after = some.divergence(np.maximum(y[running] + dy, 0))
        short = problem.quadratic | (slope > -1e-3)
        for _ in range(50):
            far = np.flatnonzero(~short & ~(after <= before + 1e-4 * share * slope))
            if len(far) == 0:
                break
            share[far] /= 2
            after[far] = some.divergence(np.maximum(y[running[far]] + share[far, np.newaxis] * dy[far], 0), far)
        w[running] = np.maximum(at + share[:, np.newaxis] * step, 0)
        y[running] = (w[running][:, np.newaxis] @ some.G)[:, 0]
        values[running] = after = some.divergence(y[running])
        running = running[(slope < -1e-10 * before) & (after < before)]
    return w, values


def _newton_target(gradient: np.ndarray, curvature: np.ndarray, w: np.ndarray, there: np.ndarray) -> np.ndarray:
    """Minimisers (n, a) over z >= 0 of ``gradient @ (z - w) + (z - w) @ curvature @ (z - w) / 2``, row by row."""
    a = w.shape[1]
    sizes = np.sqrt(np.einsum("nii->ni", curvature))
    scale = np.where(sizes > 0, sizes, 1)
    Q = curvature / (scale[:, :, np.newaxis] * scale[:, np.newaxis])
    Q[:, np.arange(a), np.arange(a)] = np.where(sizes > 0, 1, 0) + 1e-10  # so that twins have an answer, too
    right = (Q @ (w * scale)[..., np.newaxis])[..., 0] - gradient / scale
    right = np.where(there, right, -1)
    return _pivoted(Q, right, w > 0) / scale


def _pivoted(Q: np.ndarray, right: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Minimisers (n, a) of ``z @ Q @ z / 2 - right @ z`` over z >= 0, row by row.

    By block principal pivoting: components that contradict the conditions of a minimum change sides, all at once as
    long as there are fewer of them every few times, then the last one.

    Parameters
    ----------
    Q : ndarray of shape (n, a, a)
        Positive definite, ones on the diagonal.
    right : ndarray of shape (n, a)
        Right-hand sides.
    inside : ndarray of bool, shape (n, a)
        Which components may be above zero.

    References
    ----------
    J. Kim and H. Park (2011), "Fast nonnegative matrix factorization: an active-set-like method and comparisons",
    doi:10.1137/110821172.
    """
    n, a = right.shape
    inside, found, eye = inside.copy(), np.zeros((n, a)), np.eye(a)
    fewest, left = np.full(n, a + 1), np.full(n, 3)
    running = np.arange(n)
    for _ in range(5 * a + 20):
        own, r, within = Q[running], right[running], inside[running]
        both = within[..., np.newaxis] & within[:, np.newaxis]
        z = np.linalg.solve(np.where(both, own, eye), np.where(within, r, 0)[..., np.newaxis])[..., 0]
        product = (own @ z[..., np.newaxis])[..., 0]
        rounding = 1e-12 * np.array([np.abs(v).max(axis=1) for v in (z, product, r)])[..., np.newaxis]
        wrong = np.where(within, z < -rounding[0], product - r < -(rounding[1] + rounding[2]))
        found[running] = np.maximum(z, 0)
        count = wrong.sum(axis=1)
        left[running] = np.where(count < fewest[running], 3, left[running] - 1)
        fewest[running] = np.minimum(fewest[running], count)
        last = a - 1 - wrong[:, ::-1].argmax(axis=1)
        one = wrong & (np.arange(a) == last[:, np.newaxis])
        inside[running] = within ^ np.where(left[running, np.newaxis] < 0, one, wrong)
        running = running[count > 0]
        if len(running) == 0:
            break
    return found
