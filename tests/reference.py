"""Slow twins of the kernels in NumPy: the same names and arguments, without the team; and what optimality means.

Everything is computed in double, for one row after the other or with whole matrices, from the formulas alone.
"""

import inspect

import numpy as np

from nmf_core._core import METHODS


def call(function, **values):
    """Call the function with those of the values that it asks for."""
    return function(**{name: values[name] for name in inspect.signature(function).parameters})


def pass_values(F, G, S, method, **others):
    """Arguments of one plain sweep of a pass, by name; everything can be replaced."""
    k = others["gram"].shape[0] if "gram" in others else S.shape[0] - G.shape[0]
    values = {
        "F": F,
        "N": None,
        "S": S,
        "report": np.zeros(4),
        "start": F,
        "before": F,
        "scale": np.ones(k, dtype=F.dtype),
        "G": G,
        "gram": np.ascontiguousarray((G.T @ G)[:k, :k]),
        "order": np.arange(k, dtype=np.int32),
        "method": method,
        "l1": 0.0,
        "beta": 0.0,
        "max_sweeps": 1,
        "tol": 0.0,
    }
    return {**values, **others}


# --- steps: one sweep over the components of one row f, in place; the sum of squared scaled steps is returned


def hals_step(f, cross, gram, order, l1):
    """Set one coordinate after the other to its minimiser of f gram f / 2 - (cross - l1) f over f_c >= 0."""
    length = 0.0
    for c in order:
        curvature = gram[c, c]
        downhill = cross[c] - l1 - f @ gram[:, c]
        if curvature > 0:
            new = max(0.0, f[c] + downhill / curvature)
        else:  # no partner: nothing to gain, but a penalty to lose
            new = f[c] if downhill >= 0 else 0.0
        length += (new - f[c]) ** 2 * curvature
        f[c] = new
    return length


def mu_step(f, cross, gram, order, l1):
    """Multiply every coordinate by the two halves of the gradient, both taken before any coordinate moves."""
    fitted = f @ gram
    length = 0.0
    for c in order:
        if gram[c, c] > 0:
            step = max(-f[c], (cross[c] - l1 - fitted[c]) / gram[c, c])
            length += step**2 * gram[c, c]
        denominator = fitted[c] + l1
        f[c] *= max(cross[c], 0.0) / (denominator if denominator > 0 else np.finfo(np.float32).eps)
    return length


STEPS = {"hals": hals_step, "mu": mu_step}


def improve(F, N, report, cross, start, before, scale, gram, order, method, l1, beta, max_sweeps, tol):
    """Improve all rows of `start`, each by itself, into F; with N extrapolate them."""
    k = len(gram)
    step = STEPS[next(name for name, number in METHODS.items() if number == method)]
    if max_sweeps == 0:
        return
    gram = gram.astype(np.float64)
    for i in range(len(F)):
        f, target = start[i, :k].astype(np.float64), cross[i, :k].astype(np.float64)
        lengths = []
        done = False
        while not done and len(lengths) < max_sweeps:
            lengths.append(step(f, target, gram, order, l1))
            done = lengths[-1] <= tol**2 * lengths[0]
        report[0] += lengths[0]
        report[1] = max(report[1], len(lengths))
        report[2] += not done
        report[3] += target @ f
        if N is None:
            F[i, :k] = f
        else:
            ahead = np.maximum(0.0, f + beta * (f - before[i, :k] * scale))
            N[i, :k] = f
            F[i, :k] = ahead


# --- kernels


def dense_pass(F, N, S, report, X, G, start, before, scale, gram, order, method, l1, beta, max_sweeps, tol):
    X = X.astype(np.float64)
    improve(F, N, report, X @ G, start, before, scale, gram, order, method, l1, beta, max_sweeps, tol)
    if S is not None:
        S[: len(G)] += (X.T @ F).astype(S.dtype)
        S[len(G) :] += gram_rows(F, len(gram), S.dtype)


def csr_pass(
    F, N, S, report, data, indices, indptr, splits, groups, G, start, before, scale, gram, order, method, l1, beta,
    max_sweeps, tol,
):  # fmt: skip
    X = from_csr(data, indices, indptr, len(G))
    dense_pass(F, N, S, report, X, G, start, before, scale, gram, order, method, l1, beta, max_sweeps, tol)


def factor_pass(F, N, FtF, report, cross, start, before, scale, gram, order, method, l1, beta, max_sweeps, tol):
    improve(F, N, report, cross, start, before, scale, gram, order, method, l1, beta, max_sweeps, tol)
    if FtF is not None:
        FtF += gram_rows(F, len(gram), FtF.dtype)


def dense_product(C, X, G):
    C[:] = X.astype(np.float64) @ G


def csr_product(C, data, indices, indptr, G):
    dense_product(C, from_csr(data, indices, indptr, len(G)), G)


def csr_inner(data, indices, indptr, F, G):
    return float(np.sum(from_csr(data, indices, indptr, len(G)) * (F.astype(np.float64) @ G.T.astype(np.float64))))


def csr_split(splits, indices, indptr, bounds):
    for i in range(splits.shape[1]):
        splits[:, i] = indptr[i] + np.searchsorted(indices[indptr[i] : indptr[i + 1]], bounds)


def gram_rows(F, k, dtype):
    """The first k rows of F.T @ F."""
    F = F.astype(np.float64)
    return (F.T @ F)[:k].astype(dtype)


def from_csr(data, indices, indptr, m):
    """The dense matrix with m columns, in double."""
    X = np.zeros((len(indptr) - 1, m))
    rows = np.repeat(np.arange(len(X)), np.diff(indptr))
    np.add.at(X, (rows, indices), data)
    return X


# --- the objective and its optimality, from W and H alone


def penalties(shape, alpha_W=0.0, alpha_H="same", l1_ratio=0.0):
    """l1_W, l2_W, l1_H, l2_H as they stand in the objective."""
    n, m = shape
    strength_W, strength_H = m * alpha_W, n * (alpha_W if alpha_H == "same" else alpha_H)
    return (
        strength_W * l1_ratio,
        strength_W * (1 - l1_ratio),
        strength_H * l1_ratio,
        strength_H * (1 - l1_ratio),
    )


def objective(X, W, H, **regularization):
    """Half the squared error plus penalties, in double."""
    X, W, H = (np.asarray(A, dtype=np.float64) for A in (X, W, H))
    l1_W, l2_W, l1_H, l2_H = penalties(X.shape, **regularization)
    penalty = l1_W * W.sum() + l1_H * H.sum() + l2_W / 2 * np.sum(W**2) + l2_H / 2 * np.sum(H**2)
    return np.sum((X - W @ H) ** 2) / 2 + penalty


def kkt_residual(X, W, H, **regularization):
    """How far W and H are from the Karush-Kuhn-Tucker conditions; zero where they hold.

    Every coordinate by itself would go to its minimiser, but not below zero. This is the length of all these steps,
    measured by the change of W @ H that each would make, relative to W @ H.
    """
    X, W, H = (np.asarray(A, dtype=np.float64) for A in (X, W, H))
    l1_W, l2_W, l1_H, l2_H = penalties(X.shape, **regularization)
    total = 0.0
    for F, G, A, l1, l2 in ((W, H.T, X, l1_W, l2_W), (H.T, W, X.T, l1_H, l2_H)):
        gradient = F @ (G.T @ G) - A @ G + l1 + l2 * F
        curvature = np.sum(G**2, axis=0) + l2
        steps = np.minimum(F, gradient / np.where(curvature > 0, curvature, 1.0))
        total += np.sum(steps**2 * curvature)
    return float(np.sqrt(total) / np.linalg.norm(W @ H))
