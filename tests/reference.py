"""Slow twins of the kernels in NumPy: the same names and arguments, without the workspace; and what optimality means.

Everything is computed in double, for one row after the other or with whole matrices, from the formulas alone.
"""

import inspect
from itertools import pairwise

import numpy as np
from scipy.optimize import nnls
from scipy.special import xlogy

from nmf_core._core import METHODS, REPORT_SIZE
from nmf_core.engine import Update


def call(function, **values):
    """Call the function with those of the values that it asks for."""
    return function(**{name: values[name] for name in inspect.signature(function).parameters})


def pass_values(F, G, S, method, **others):
    """Arguments of one plain sweep over F for a loss of any kind, by name; everything can be replaced."""
    k = others["gram"].shape[0] if "gram" in others else S.shape[0] - G.shape[0]
    values = {
        "F": F,
        "F_new": None,
        "S": S,
        "report": np.zeros(REPORT_SIZE),
        "start": F,
        "previous": F,
        "scale": np.ones(k, dtype=F.dtype),
        "G": G,
        "gram": np.ascontiguousarray((G.T @ G)[:k, :k]),
        "sums": G.sum(axis=0, dtype=np.float64)[:k].astype(F.dtype),
        "order": np.arange(k, dtype=np.int32),
        "method": method,
        "matrix": np.ascontiguousarray((G.T @ G)[:k, :k]),
        "l1": 0.0,
        "l2": 0.0,
        "rate": 0.0,
        "momentum": 0.0,
        "max_sweeps": 1,
        "tol": 0.0,
        "loss_beta": 1.0,
        "exponent": 1.0,
        "inner_updates": 0,
        "den_power": 0.0,
        "floors": np.full(len(F), 1e-10, dtype=F.dtype),
        "damped": False,
        "measure": True,
    }
    return {**values, **others}


def update_of(values, loss=None):
    """The same as an `Update`."""
    names = ("start", "order", "scale", "previous", "momentum", "l1", "l2", "max_sweeps", "tol", "gram", "matrix",
             "rate", "sums", "floors", "exponent", "inner_updates", "den_power", "damped", "measure")  # fmt: skip
    method = next(name for name, number in METHODS.items() if number == values["method"])
    return Update(**{name: values[name] for name in names}, method=method, loss=loss)


def for_newton(values):
    """The same with sums and l2 as Newton steps want them: sums for all rows or for each, an l2 for each."""
    F, sums = values["F"], np.atleast_2d(values["sums"])
    padding = ((0, 0), (0, F.shape[1] - sums.shape[1]))
    return values | {
        "sums": np.pad(sums, padding).astype(F.dtype),
        "l2": np.full(len(F), values["l2"], dtype=F.dtype),
    }


# --- steps: one sweep over the components of one row f, in place; the sum of squared scaled steps is returned


def hals_step(f, cross, gram, order, l1, matrix=None, rate=0.0, state=None, lower=None):
    """Set one coordinate after the other to its minimiser of f gram f / 2 - (cross - l1) f over f_c >= 0.

    Or over f_c >= lower_c, where l1 is for those that are bounded by zero.
    """
    lower = np.zeros(len(f)) if lower is None else lower
    length = 0.0
    for c in order:
        curvature = gram[c, c]
        downhill = cross[c] - (l1 if lower[c] == 0 else 0.0) - f @ gram[:, c]
        if curvature > 0:
            new = max(lower[c], f[c] + downhill / curvature)
        else:  # no partner: nothing to gain, but a penalty to lose
            new = f[c] if downhill >= 0 else 0.0
        length += (new - f[c]) ** 2 * curvature
        f[c] = new
    return length


def mu_step(f, cross, gram, order, l1, matrix, rate, state):
    """Multiply every coordinate by the ratio of the gradient's parts, both taken before any coordinate moves."""
    fitted = f @ gram
    length = 0.0
    for c in order:
        if gram[c, c] > 0:
            step = max(-f[c], (cross[c] - l1 - fitted[c]) / gram[c, c])
            length += step**2 * gram[c, c]
        denominator = fitted[c] + l1
        f[c] *= max(cross[c], 0.0) / (denominator if denominator > 0 else np.finfo(np.float32).eps)
    return length


def slope_and_length(f, cross, gram, order, l1):
    """The gradient, and the sum of squared scaled steps that coordinate descent would take from f."""
    slope = f @ gram - cross + l1
    curvature = gram.diagonal()
    steps = [max(0.0, f[c] - slope[c] / curvature[c]) - f[c] if curvature[c] > 0 else 0.0 for c in order]
    return slope, float(np.sum(np.square(steps) * curvature[order]))


def with_partner(f, slope, gram, order):
    """Those of `order` that the other factor has; the rest stays, or becomes zero where that lowers a penalty."""
    alive = gram.diagonal()[order] > 0
    f[[c for c in order[~alive] if slope[c] > 0]] = 0
    return order[alive]


def greedy_step(f, cross, gram, order, l1, matrix, rate, state):
    """As often as there are components, move the coordinate that gains the most to its minimiser."""
    _, length = slope_and_length(f, cross, gram, order, l1)
    for turn in range(len(order)):
        slope = f @ gram - cross + l1
        new = {
            c: max(0.0, f[c] - slope[c] / gram[c, c]) if gram[c, c] > 0 else 0.0 if slope[c] > 0 else f[c]
            for c in order
        }
        gains = {c: -(new[c] - f[c]) * (slope[c] + (new[c] - f[c]) * gram[c, c] / 2) for c in order}
        best = max(gains, key=gains.get)
        if turn == 0:
            state.setdefault("least", gains[best] / 1000)
        if gains[best] <= 0 or gains[best] < state["least"]:
            break
        f[best] = new[best]
    return length


def als_step(f, cross, gram, order, l1, matrix, rate, state):
    """Solve for the coordinates in `order`, then project."""
    slope, length = slope_and_length(f, cross, gram, order, l1)
    order = with_partner(f, slope, gram, order)
    f[order] = np.maximum(0, f[order] - np.linalg.solve(gram[np.ix_(order, order)], slope[order]))
    return length


def decrease(d, slope, gram):
    """Whether the step d lowers the objective by at least a hundredth of what the slope promises."""
    return 0.99 * slope @ d + 0.5 * d @ gram @ d <= 0


def pg_step(f, cross, gram, order, l1, matrix, rate, state):
    """A projected gradient step, the longest by powers of ten that lowers the objective enough."""
    slope, length = slope_and_length(f, cross, gram, order, l1)
    free = np.isin(np.arange(len(f)), order)

    def step():
        return np.where(free, np.maximum(0, f - state["rate"] * slope) - f, 0.0)

    state.setdefault("rate", rate)
    best, d = np.zeros_like(f), step()
    if decrease(d, slope, gram):
        best = d
        for _ in range(19):
            state["rate"] *= 10
            d = step()
            if not decrease(d, slope, gram) or np.allclose(d, best, rtol=1e-13, atol=0):
                state["rate"] /= 10
                break
            best = d
    else:
        for _ in range(19):
            state["rate"] /= 10
            d = step()
            if decrease(d, slope, gram):
                best = d
                break
    f += best
    return length


def gd_step(f, cross, gram, order, l1, matrix, rate, state):
    """A projected gradient step to the minimum along the projected gradient, or a tenth, until that is low enough."""
    slope, length = slope_and_length(f, cross, gram, order, l1)
    free = np.isin(np.arange(len(f)), order)
    along = np.where(free & ((f > 0) | (slope < 0)), slope, 0.0)
    curvature = along @ gram @ along
    rate = along @ along / curvature if curvature > 0 else rate
    for _ in range(20):
        d = np.where(free, np.maximum(0, f - rate * slope) - f, 0.0)
        if decrease(d, slope, gram):
            f += d
            break
        rate /= 10
    return length


def nesterov_step(f, cross, gram, order, l1, matrix, rate, state):
    """A projected gradient step of fixed length from an extrapolated point."""
    y = state.setdefault("y", f.copy())
    t = state.get("t", 1.0)
    state["t"] = (1 + np.sqrt(4 * t**2 + 1)) / 2
    slope, length = slope_and_length(y, cross, gram, order, l1)
    before = f.copy()
    f[order] = np.maximum(0, y - rate * slope)[order]
    y[order] = (f + (t - 1) / state["t"] * (f - before))[order]
    return length


def admm_step(f, cross, gram, order, l1, matrix, rate, state):
    """The penalised minimiser without bounds, its projection, and the multipliers."""
    slope, length = slope_and_length(f, cross, gram, order, l1)
    if "u" not in state:
        state["u"] = np.where((f == 0) & (slope > 0), -slope / rate, 0.0)
    u = state["u"]
    free = gram[np.ix_(order, order)] + rate * np.eye(len(order))
    x = f[order] - np.linalg.solve(free, (slope + rate * u)[order])
    f[order] = np.maximum(0, x + u[order])
    u[order] += x - f[order]
    return length


def exact_step(f, cross, gram, order, l1, matrix, rate, state):
    """The solution of the non-negative least squares problem, by SciPy."""
    slope, length = slope_and_length(f, cross, gram, order, l1)
    order = with_partner(f, slope, gram, order)
    held = f.copy()
    held[order] = 0
    root = np.linalg.cholesky(gram[np.ix_(order, order)]).T
    f[order] = nnls(root, np.linalg.solve(root.T, (cross - l1 - held @ gram)[order]))[0]
    return length


STEPS = {
    "hals": hals_step,
    "mu": mu_step,
    "greedy": greedy_step,
    "als": als_step,
    "pg": pg_step,
    "gd": gd_step,
    "nesterov": nesterov_step,
    "admm": admm_step,
    "bpp": exact_step,
    "as": exact_step,
}
MAY_FAIL = ("nesterov", "admm", "bpp", "as")  # whose rows stay as they were where the objective has risen


def multiplicative_step(f, numerator, denominator, sums, order, l1, l2, exponent, cut, den_power=0.0):
    """Multiply every coordinate by a power of the ratio of the gradient's parts, both taken before any one moves.

    With a den_power the denominator then grows, in place, like that power of its coordinate.

    The curvature that scales a step is estimated from the denominator with its penalties, shared out among the
    components by what they hold of the model. With `cut` those that hold next to nothing become zero.
    """
    slope = denominator + l1 + l2 * f
    size = sums @ f
    length = 0.0
    for c in order:
        curvature = l2 + (slope[c] * sums[c] / size if size > 0 else 0.0)
        if curvature > 0:
            step = max(-f[c], (numerator[c] - slope[c]) / curvature)
            length += step**2 * curvature
        growth = (numerator[c] / (slope[c] if slope[c] > 0 else np.finfo(np.float32).eps)) ** exponent
        f[c] *= growth
        if den_power:
            denominator[c] *= growth**den_power
    if cut:
        shares = sums * f
        f[[c for c in order if shares[c] < np.finfo(np.float64).eps * shares.sum()]] = 0
    return length


def beta_step(f, x, G, sums, order, l1, l2, exponent, loss_beta, floor, inner_updates=0, den_power=0.0):
    """The same with the parts of the gradient at f, then inner_updates times with a new numerator only."""
    den_power = 0.0 if loss_beta == 1 else den_power
    num, den = gradient(f, x, G, sums, loss_beta, floor)
    length = multiplicative_step(f, num, den, sums, order, l1, l2, exponent, loss_beta < 1, den_power)
    for _ in range(inner_updates):
        num = gradient(f, x, G, sums, loss_beta, floor)[0]
        multiplicative_step(f, num, den, sums, order, l1, l2, exponent, loss_beta < 1, den_power)
    return length


def newton_step(f, x, G, sums, order, l2, floor, damped):
    """Move one coordinate after the other by Newton's method for 1 / q = 1 / s, where q - s is minus its slope.

    Where `damped`, not farther down than a multiplicative update does.
    """
    length = 0.0
    for c in order:
        y = np.maximum(floor, G @ f)
        q = np.sum(x * G[:, c] / y)
        h = np.sum(x * G[:, c] ** 2 / y**2)
        s = sums[c] + l2 * f[c]
        if s <= 0:  # costs nothing, so stays
            continue
        if h > 0:
            lowest = f[c] * q / s if damped and q < s else 0.0
            new = max(lowest, f[c] + (q - s) * (q / s) / (h + l2 * (q / s) ** 2))
            length += max(-f[c], (new - f[c]) / (q / s)) ** 2 * h + (new - f[c]) ** 2 * l2
        else:  # nothing asks for it
            new = 0.0
        f[c] = new
    return length


# --- rows: swept until done, then kept or extrapolated


def sweep(report, max_sweeps, tol, step, f, *others):
    """Take steps of the row f until their length has fallen to tol of the first; report as the kernels do."""
    lengths = []
    done = max_sweeps == 0
    while not done and len(lengths) < max_sweeps:
        lengths.append(step(f, *others))
        done = lengths[-1] <= tol**2 * lengths[0]
    report[0] += sum(lengths[:1])
    report[1] = max(report[1], len(lengths))
    report[2] += not done


def put(F, F_new, i, f, previous, scale, momentum, lower=0.0):
    """Row f into F; or, with F_new, into F_new, and into F what lies ahead of it, but not below some bound."""
    k = len(f)
    if F_new is None:
        F[i, :k] = f
    else:
        ahead = np.maximum(lower, f + momentum * (f - previous[i, :k] * scale))
        F_new[i, :k] = f
        F[i, :k] = ahead


def improve(
    F, F_new, report, cross, start, previous, scale, gram, matrix, order, method, l1, rate, momentum, max_sweeps, tol
):  # fmt: skip
    """Improve all rows of `start`, each by itself, into F; with F_new extrapolate them."""
    k = len(gram)
    name = next(name for name, number in METHODS.items() if number == method)
    if max_sweeps == 0:
        return
    gram = gram.astype(np.float64)
    for i in range(len(F)):
        f, target = start[i, :k].astype(np.float64), cross[i, :k].astype(np.float64)
        first = f.copy()
        if len(order):
            sweep(report, max_sweeps, tol, STEPS[name], f, target, gram, order, l1, matrix, rate, {})
        else:
            report[1] = max(report[1], 1)
        slope, d = first @ gram - target + l1, f - first
        if name in MAY_FAIL and slope @ d + d @ gram @ d / 2 > 0:
            f = first
        put(F, F_new, i, f, previous, scale, momentum)
        report[3:] += target @ f, target @ first, target @ F[i, :k]


# --- beta-divergences


def model(F, G, floors):
    """F @ G.T in double, entries at least so large: one number for all or one for each row."""
    return np.maximum(F.astype(np.float64) @ G.T.astype(np.float64), np.reshape(floors, (-1, 1)))


def gradient_parts(X, Y, loss_beta):
    """Numerator and denominator of the gradient with respect to the model Y."""
    return X * Y ** (loss_beta - 2), Y ** (loss_beta - 1)


def losses(x, y, beta):
    """The definition of the beta-divergence, entry by entry."""
    if beta == 0:
        return x / y - np.log(x / y) - 1
    if beta == 1:
        return xlogy(x, x / y) - x + y
    return (x**beta + (beta - 1) * y**beta - beta * x * y ** (beta - 1)) / (beta * (beta - 1))


def gradient(f, x, G, sums, loss_beta, floor):
    """Numerator and denominator of the gradient with respect to f."""
    num, den = gradient_parts(x, model(f[np.newaxis], G, floor)[0], loss_beta)
    return num @ G, sums.astype(np.float64) if loss_beta == 1 else den @ G


def losses_but_for_a_constant(x, y, beta):
    """The same without what x alone says."""
    if beta == 0:
        return x / y + np.log(y)
    if beta == 1:
        return losses(x, y, 1)
    return y**beta / beta - x * y ** (beta - 1) / (beta - 1)


# --- kernels


def dense_pass(
    F, F_new, S, report, X, G, start, previous, scale, gram, matrix, order, method, l1, rate, momentum, max_sweeps, tol
):
    X = X.astype(np.float64)
    improve(
        F, F_new, report, X @ G, start, previous, scale, gram, matrix, order, method, l1, rate, momentum, max_sweeps,
        tol,
    )  # fmt: skip
    if S is not None:
        S[: len(G)] += (X.T @ F).astype(S.dtype)
        add_grams(S[len(G) :], F, F_new, len(gram))


def csr_pass(
    F, F_new, S, report, data, indices, indptr, splits, groups, G, start, previous, scale, gram, matrix, order, method,
    l1, rate, momentum, max_sweeps, tol,
):  # fmt: skip
    X = from_csr(data, indices, indptr, len(G))
    dense_pass(
        F, F_new, S, report, X, G, start, previous, scale, gram, matrix, order, method, l1, rate, momentum, max_sweeps,
        tol,
    )  # fmt: skip


def factor_pass(
    F, F_new, FtF, report, cross, start, previous, scale, gram, matrix, order, method, l1, rate, momentum, max_sweeps,
    tol,
):  # fmt: skip
    improve(
        F, F_new, report, cross, start, previous, scale, gram, matrix, order, method, l1, rate, momentum, max_sweeps,
        tol,
    )  # fmt: skip
    if FtF is not None:
        add_grams(FtF, F, F_new, len(gram))


def dense_product(C, X, G):
    C[:] = X.astype(np.float64) @ G


def csr_product(C, data, indices, indptr, G):
    dense_product(C, from_csr(data, indices, indptr, len(G)), G)


def dense_beta_pass(
    F, F_new, S, report, X, G, start, previous, scale, sums, order, l1, l2, momentum, max_sweeps, tol, loss_beta,
    exponent, floors, inner_updates, den_power,
):  # fmt: skip
    k = len(sums)
    X, G = X.astype(np.float64), G.astype(np.float64)
    for i in range(len(F) if max_sweeps else 0):
        f = start[i, :k].astype(np.float64)
        report[3] += np.sum(losses_but_for_a_constant(X[i], model(f[np.newaxis], G[:, :k], floors[i])[0], loss_beta))
        others = X[i], G[:, :k], sums, order, l1, l2, exponent, loss_beta, floors[i], inner_updates, den_power
        sweep(report, max_sweeps, tol, beta_step, f, *others)
        put(F, F_new, i, f, previous, scale, momentum, lower=f / 4)
    if S is not None:
        num, den = (part.T @ F.astype(np.float64) for part in gradient_parts(X, model(F, G, floors), loss_beta))
        S[: len(G)] += num.astype(S.dtype)
        if len(S) > len(G):
            S[len(G) :] += (F.sum(axis=0, dtype=np.float64) if loss_beta == 1 else den).astype(S.dtype)


def csr_beta_pass(
    F, F_new, S, report, data, indices, indptr, splits, groups, G, start, previous, scale, sums, order, l1, l2,
    momentum, max_sweeps, tol, loss_beta, exponent, floors, inner_updates, den_power,
):  # fmt: skip
    X = from_csr(data, indices, indptr, len(G))
    dense_beta_pass(
        F, F_new, S, report, X, G, start, previous, scale, sums, order, l1, l2, momentum, max_sweeps, tol, loss_beta,
        exponent, floors, inner_updates, den_power,
    )  # fmt: skip


def factor_beta_pass(
    F, F_new, report, numerator, denominator, start, previous, scale, sums, order, l1, l2, momentum, loss_beta,
    exponent, den_power,
):  # fmt: skip
    k = len(sums)
    for i in range(len(F)):
        f = start[i, :k].astype(np.float64)
        num, den = (part[i if len(part) > 1 else 0, :k].astype(np.float64) for part in (numerator, denominator))
        report[0] += multiplicative_step(f, num, den, sums, order, l1, l2, exponent, loss_beta < 1.5, den_power)
        if den_power:
            denominator[i, :k] = den
        put(F, F_new, i, f, previous, scale, momentum, lower=f / 4)
    report[1] = max(report[1], 1)


def dense_newton(
    F, F_new, report, X, G, start, previous, scale, sums, order, l2, momentum, max_sweeps, tol, floors, damped, measure
):  # fmt: skip
    k = len(scale)
    X, G = X.astype(np.float64), G[:, :k].astype(np.float64)
    for i in range(len(F)):
        f, costs = start[i, :k].astype(np.float64), sums[i if len(sums) > 1 else 0, :k].astype(np.float64)
        sweep(report, max_sweeps, tol, newton_step, f, X[i], G, costs, order, l2[i], floors[i], damped)
        if measure:
            report[3] += np.sum(xlogy(X[i], X[i] / model(f[np.newaxis], G, floors[i])[0]) - X[i])
        put(F, F_new, i, f, previous, scale, momentum)


def csr_newton(
    F, F_new, report, data, indices, indptr, rows, windows, G, start, previous, scale, sums, order, l2, momentum,
    max_sweeps, tol, floors, damped, measure,
):  # fmt: skip
    X = from_csr(data, indices, indptr, len(G))
    dense_newton(
        F, F_new, report, X, G, start, previous, scale, sums, order, l2, momentum, max_sweeps, tol, floors, damped,
        measure,
    )  # fmt: skip


def observed_hals(
    F, F_new, report, data, weights, indices, indptr, bounds, G, start, previous, scale, lower, order, l1, l2, amounts,
    momentum, max_sweeps, tol,
):  # fmt: skip
    k = len(scale)
    for i, (x, w, g) in enumerate(known_entries(data, weights, indices, indptr, G[:, :k])):
        f = start[i, :k].astype(np.float64)
        gram = (w * g.T) @ g + l2 * amounts[i] * np.eye(k)
        sweep(report, max_sweeps, tol, hals_step, f, (w * x) @ g, gram, order, l1 * amounts[i], None, 0.0, {}, lower)
        report[3] += np.sum(w * (x - g @ f) ** 2)
        put(F, F_new, i, f, previous, scale, momentum, lower)


def observed_mu(
    F, F_new, report, data, weights, indices, indptr, bounds, G, start, previous, scale, sums, order, l1, l2, momentum,
    max_sweeps, tol, loss_beta, exponent, floors, amounts,
):  # fmt: skip
    k = len(sums)
    for i, (x, w, g) in enumerate(known_entries(data, weights, indices, indptr, G[:, :k])):

        def step(f, x=x, w=w, g=g, amount=amounts[i], floor=floors[i]):
            num, den = gradient_parts(x, model(f[np.newaxis], g, floor)[0], loss_beta)
            parts = (w * num) @ g, (w * den) @ g
            return multiplicative_step(f, *parts, sums, order, l1 * amount, l2 * amount, exponent, loss_beta < 1.5)

        f = start[i, :k].astype(np.float64)
        sweep(report, max_sweeps, tol, step, f)
        put(F, F_new, i, f, previous, scale, momentum, lower=f / 4)


def known_entries(data, weights, indices, indptr, G):
    """Of every row the stored entries, their weights, and the rows of G that belong to them, in double."""
    weights = np.ones(len(data)) if weights is None else weights
    for a, b in pairwise(indptr):
        yield data[a:b].astype(np.float64), weights[a:b].astype(np.float64), G[indices[a:b]].astype(np.float64)


def dense_divergence(X, F, G, beta, floors):
    return float(np.sum(losses(X.astype(np.float64), model(F, G, floors), beta)))


def model_divergence(F, G, beta, floors):
    return float(np.sum(model(F, G, floors) ** beta)) / beta


def csr_divergence(data, indices, indptr, F, G, beta, floors):
    rows = np.repeat(np.arange(len(F)), np.diff(indptr))
    x, y = data.astype(np.float64), model(F, G, floors)[rows, indices]
    return float(np.sum(losses(x, y, beta) - (y**beta / beta if beta > 0 else 0.0)))


def observed_divergence(data, weights, indices, indptr, F, G, beta, floors):
    rows = np.repeat(np.arange(len(F)), np.diff(indptr))
    values = losses(data.astype(np.float64), model(F, G, floors)[rows, indices], beta)
    return float(np.sum(values if weights is None else weights * values))


def top_columns(columns, scores, F, G, k, indices, indptr):
    Y = F[:, :k].astype(np.float64) @ G[:, :k].T.astype(np.float64)
    for i, (a, b) in enumerate(pairwise(indptr)):
        left = np.setdiff1d(np.arange(len(G)), indices[a:b])
        best = left[np.argsort(-Y[i, left], kind="stable")][: columns.shape[1]]
        columns[i, : len(best)], scores[i, : len(best)] = best, Y[i, best]


def factor_sums(sums, F):
    sums += F[:, : len(sums)].sum(axis=0, dtype=np.float64)


def part_squares(squares, F):
    F = F[:, : squares.shape[1]].astype(np.float64)
    squares += [(part**2).sum(axis=0) for part in (np.maximum(F, 0), np.minimum(F, 0))]


def keep_parts(F, factors, least, fill):
    kept = F[:, : len(factors)] * factors
    F[:, : len(factors)] = np.where(kept >= F.dtype.type(least), kept, F.dtype.type(fill))


def factor_product(F, T):
    F[:] = F[:, : len(T)].astype(np.float64) @ T


def factor_gram(FtF, F):
    add_grams(FtF, F, None, len(FtF))


def dense_scan(found, X):
    X = X.astype(np.float64).ravel()
    numbers = X[~np.isnan(X)]
    found[:3] = numbers.min(initial=np.inf), numbers.max(initial=-np.inf), X[X > 0].min(initial=np.inf)
    with np.errstate(over="ignore", invalid="ignore"):
        found[3:] = X.sum(), (X**2).sum(), (X == 0).sum()


def csr_order(indices, indptr, m):
    rows = [indices[first:end] for first, end in pairwise(indptr)]
    if any((row < 0).any() or (row >= m).any() for row in rows):
        return -1
    return int(all((np.diff(row) > 0).all() for row in rows))


def csr_split(splits, indices, indptr, bounds):
    for i in range(splits.shape[1]):
        splits[:, i] = indptr[i] + np.searchsorted(indices[indptr[i] : indptr[i + 1]], bounds)


def add_grams(grams, F, F_new, k):
    """Add the first k rows of F.T @ F, and where there is room those of F_new.T @ F_new."""
    for rows, A in zip((grams[:k], grams[k:]), (F, F_new), strict=True):
        if len(rows) and A is not None:
            A = A.astype(np.float64)
            rows += (A.T @ A)[:k].astype(rows.dtype)


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
    measured by the change of W @ H that each would make, relative to X.
    """
    X, W, H = (np.asarray(A, dtype=np.float64) for A in (X, W, H))
    l1_W, l2_W, l1_H, l2_H = penalties(X.shape, **regularization)
    total = 0.0
    for F, G, A, l1, l2 in ((W, H.T, X, l1_W, l2_W), (H.T, W, X.T, l1_H, l2_H)):
        gradient = F @ (G.T @ G) - A @ G + l1 + l2 * F
        curvature = np.sum(G**2, axis=0) + l2
        steps = np.minimum(F, gradient / np.where(curvature > 0, curvature, 1.0))
        total += np.sum(steps**2 * curvature)
    return float(np.sqrt(total) / np.linalg.norm(X))


def nnls_pivot(Z, cross, gram, rule, max_steps):
    """Least squares with f >= 0 for every row, by SciPy; nothing is left unsolved."""
    root = np.linalg.cholesky(np.asarray(gram, dtype=np.float64)).T
    for z, c in zip(Z, cross, strict=True):
        z[:] = nnls(root, np.linalg.solve(root.T, np.asarray(c, dtype=np.float64)))[0]
    return 0
