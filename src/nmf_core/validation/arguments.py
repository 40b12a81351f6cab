"""Checks of arguments: numbers, choices, and what goes together."""

import difflib
import math
import numbers
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from nmf_core._core import Workspace
from nmf_core.labels import Axis, Labelled, labelled
from nmf_core.memory import physical_memory
from nmf_core.typing import Missing
from nmf_core.validation.matrices import (
    MISSING,
    ArrayOrSparse,
    check_factor,
    check_matrix,
    check_weighted,
    is_sparse,
)
from nmf_core.warning import warn

LARGEST_BETA = 10  # of a beta-divergence: higher powers overflow
# What losses are called elsewhere.
NICKNAMES = {
    **dict.fromkeys(["kl", "poisson", "i-divergence", "generalized-kl"], "kullback-leibler"),
    **dict.fromkeys(["is", "gamma"], "itakura-saito"),
    **dict.fromkeys(["l2", "fro", "euclidean", "gaussian", "ls", "mse", "least-squares"], "frobenius"),
}


def check_init(init: str, complete: bool, possible: Collection[str]) -> None:
    """Whether a start can do with what is known of X."""
    if not complete and init not in possible:
        raise ValueError(
            f"init={init!r} needs a complete X; where entries are missing, weighted or have biases, "
            f"use one of {', '.join(map(repr, possible))}."
        )


def check_start(init: str, local: bool, possible: Collection[str]) -> None:
    """Whether a start can do where W is not here."""
    if not local and init not in possible:
        raise ValueError(
            f"init={init!r} needs W in this process, but it is on the workers of a cluster; use one of "
            f"{', '.join(map(repr, possible))}."
        )


def check_workers(known: bool) -> None:
    """Whether it is known how to go on after a worker has been lost."""
    if not known:
        raise RuntimeError("A worker was lost before the first iteration; start the fit again.")


def check_any_workers(left: bool) -> None:
    """Whether there may still be workers that do what they are asked for."""
    if not left:
        raise RuntimeError("All workers of the cluster are lost and none has come instead.")


def check_biases(biases: bool, solver: str, loss: Any, all_of_H: bool) -> None:
    """Whether biases can be found."""
    if biases and solver != "hals":
        raise ValueError(
            f"biases are found by solver 'hals' for the Frobenius loss only, got solver={solver!r}, loss={loss!r}."
        )
    if biases and not all_of_H:
        raise ValueError("biases are found with all of H; leave out update_H.")


def check_enough(most: int, k: int) -> None:
    """Warn if every row, or every column, has fewer known entries than components to find from them."""
    if most < k:
        warn(
            f"n_components={k}, but no row or no column has more than {most} known entries: what is missing is hardly "
            f"determined. Use fewer components, or alpha_W and alpha_H."
        )


def check_given(pair: dict[str, Any], other: dict[str, Any]) -> None:
    """Whether all of one pair of arguments is given and nothing of the other."""
    given = [[value is not None for value in names.values()] for names in (pair, other)]
    if sorted(map(tuple, given)) != [(False, False), (True, True)]:
        raise ValueError(f"Either {' and '.join(pair)} must be given or {' and '.join(other)}.")


def check_same_rows(n: int, other: int) -> None:
    """Whether A and B have as many rows."""
    if n != other:
        raise ValueError(f"A has {n} rows, but B has {other} rows.")


def check_gram(gram: np.ndarray, cross: np.ndarray) -> None:
    """Whether there are normal equations of this Gram matrix and these right-hand sides."""
    k = len(cross)
    if gram.shape != (k, k):
        raise ValueError(f"gram has shape {gram.shape}, but cross, of {k} rows, needs {(k, k)}.")
    if not np.isfinite(gram).all() or not np.isfinite(cross).all():
        raise ValueError("products of A and B overflow. Scale them down.")
    high = np.abs(gram).max()
    if np.abs(gram - gram.T).max() > 1e-3 * high or (gram.diagonal() < 0).any():
        raise ValueError("gram is not a Gram matrix: it must be symmetric, its diagonal not negative.")


def check_n_components(n_components: Any, shape: tuple[int, int], itemsize: int) -> int:
    """A number of components that makes sense for a matrix of this shape."""
    k = check_integer(n_components, "n_components", 1)
    n, m = shape
    if k > max(n * m, 1000):
        raise ValueError(f"n_components={k} is more than X has entries ({n} x {m}).")
    wanted = (n + m) * k * itemsize
    memory = physical_memory()
    if wanted > memory:
        raise ValueError(
            f"n_components={k} is too large: the factors alone would take {wanted / 2**30:.0f} GiB of this machine's "
            f"{memory / 2**30:.0f} GiB of memory."
        )
    return k


def check_given_factors(init: str, W: Any, H: Any, k: int, shape: tuple[int, int], mask: np.ndarray) -> None:
    """Whether the given factors are what the start and the fixed part of H ask for."""
    if not mask.all() and H is None:
        raise ValueError("update_H holds components of H fixed, so H must be given.")
    if not mask.any() and W is not None:
        raise ValueError("W is given, but with update_H=False it is found from X and H alone; leave it out.")
    if init == "custom":
        if W is None and H is None:
            raise ValueError("init='custom' needs W or H.")
    elif W is not None or H is not None:
        raise ValueError(f"W and H are starting points only with init='custom', got init={init!r}.")
    if init.startswith("nndsvd") and k > min(shape):
        raise ValueError(f"init = '{init}' can only be used when n_components <= min(n_samples, n_features)")
    if init == "kmeans" and k > shape[0]:
        raise ValueError(
            f"init='kmeans' makes n_components clusters, but n_components={k} is more than the {shape[0]} samples."
        )


def check_factors(
    W: Any, H: Any, n_components: Any, rows: Axis | None, columns: Axis | None
) -> tuple[Any, Any, Any, Axis | None, Axis | None]:
    """Given factors in the order of the rows and columns of X, how many components they have, and labels of H.

    Those of its columns are its own where X had none by which to put them in order.
    """
    components = features = None
    if H is not None:
        given = check_matrix(H, "H", factor=True)
        H, components, features, *_ = given.aligned("H", columns=columns)
        features = given.columns if H is given.values else features
        H = H.toarray() if is_sparse(H) else H
    if W is not None:
        W = check_matrix(W, "W", factor=True).aligned("W", rows).aligned("W", columns=components, of="H").values
        W = W.toarray() if is_sparse(W) else W
    if n_components is None:
        if W is None and H is None:
            raise TypeError("n_components must be an integer unless W or H is given, got None.")
        n_components = W.shape[1] if H is None else H.shape[0]
    return W, H, n_components, components, features


def check_model(
    W: Any, H: Any, shape: tuple[int, int], dtype: np.dtype, rows: Axis | None, columns: Axis | None
) -> tuple[np.ndarray, np.ndarray]:
    """Both factors of an X of this shape and dtype, in the order of its rows and columns."""
    W, H, k, *_ = check_factors(W, H, None, rows, columns)
    H = check_factor(H, "H", (k, shape[1]), dtype, zeros=True)
    return check_factor(W, "W", (shape[0], k), dtype, zeros=True), H


def check_update_H(update_H: Any, k: int, components: Axis | None = None, n_given: int | None = None) -> np.ndarray:
    """A boolean mask (k,) of the components of H to update, which may have their labels.

    Where H has only the first `n_given` rows, the other components are always updated.
    """
    n_given = k if n_given is None else n_given
    if isinstance(update_H, (bool, np.bool_)):
        return np.where(np.arange(k) < n_given, bool(update_H), True)
    update_H = labelled(update_H, "update_H").aligned("update_H", rows=components, of="H").values
    try:
        mask = np.asarray(update_H)
    except ValueError:  # ragged
        mask = np.empty(0)
    if mask.dtype != bool or mask.shape != (k,):
        raise ValueError(
            f"update_H must be True, False or a boolean array with one entry for each of the {k} components, "
            f"got {update_H!r}."
        )
    if not mask[n_given:].all():
        raise ValueError(
            f"update_H holds component {n_given + int(mask[n_given:].argmin())} fixed, but H, which has "
            f"{n_given} rows, does not say what it is."
        )
    return mask


def check_penalties(alpha_W: Any, alpha_H: Any, l1_ratio: Any, shape: tuple[int, int]) -> None:
    """Strengths of penalties that stay finite when they are scaled by the size of X."""
    if isinstance(alpha_H, str) and alpha_H != "same":
        raise ValueError(f"alpha_H must be 'same' or a number of at least 0, got {alpha_H!r}.")
    alpha_W = check_number(alpha_W, "alpha_W")
    alpha_H = alpha_W if isinstance(alpha_H, str) else check_number(alpha_H, "alpha_H")
    for name, strength in (("alpha_W", alpha_W * shape[1]), ("alpha_H", alpha_H * shape[0])):
        if strength == float("inf"):
            raise ValueError(f"{name} is too large: times the size of X it overflows.")
    check_number(l1_ratio, "l1_ratio", high=1.0)


def check_floor(floor: Any) -> float | str:
    """A number to be added to X, zero for None, or "auto"."""
    if floor is None:
        return 0.0
    return check_choice(floor, "floor", ["auto"]) if isinstance(floor, str) else check_number(floor, "floor")


def check_representable(value: float, name: str, dtype: np.dtype) -> None:
    """Whether a positive number is one in the dtype of X, too."""
    with np.errstate(over="ignore", under="ignore"):
        if not dtype.type(value):
            raise ValueError(f"{name}={value:g} is zero in {dtype}, the type of X.")


def check_balance(alpha_W: float, alpha_H: float | str) -> None:
    """Warn if a penalty on one of two factors that are both found is in vain, since scale moves to the other one."""
    if isinstance(alpha_H, str) or bool(alpha_W) == bool(alpha_H):
        return
    given, other, small, large = ("alpha_W", "alpha_H", "W", "H") if alpha_W else ("alpha_H", "alpha_W", "H", "W")
    warn(
        f"{given}={alpha_W or alpha_H:g} without {other} comes to nothing: {small} shrinks and {large} grows instead, "
        f"without end. Give {other}, too."
    )


def check_threads(n_threads: Any) -> int | None:
    """None, or a number of threads from 1 to 1024."""
    if n_threads is None:
        return None
    return check_integer(n_threads, "n_threads", 1, 1024)


def check_flag(value: Any, name: str) -> bool:
    """True or False."""
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name} must be True or False, got {value!r}.")
    return bool(value)


def check_callback(callback: Any) -> None:
    """None or something to call."""
    if callback is not None and not callable(callback):
        raise TypeError(f"callback must be a function of the state or None, got {callback!r}.")


def check_room(shape: tuple[int, int], itemsize: int, hint: str) -> None:
    """Whether all entries of a sparse matrix can be held one by one, in less than the memory of this machine."""
    wanted, memory = 6 * shape[0] * shape[1] * (itemsize + 4), physical_memory()
    if wanted > memory:
        raise ValueError(
            f"zeros of a sparse X of {shape[0]} x {shape[1]} are known entries, too: to hold all of them would take "
            f"{wanted / 2**30:.0f} GiB of this machine's {memory / 2**30:.0f} GiB of memory. {hint}"
        )


def check_dense(shape: tuple[int, int], itemsize: int) -> None:
    """Whether a sparse X, whose zeros get a floor, fits into half of the memory of this machine as an array."""
    wanted, memory = shape[0] * shape[1] * itemsize, physical_memory()
    if wanted > memory / 2:
        raise ValueError(
            f"floor makes an array of a sparse X of {shape[0]} x {shape[1]}, which would take {wanted / 2**30:.0f} GiB "
            f"of this machine's {memory / 2**30:.0f} GiB of memory. missing='unstored' takes zeros that are not stored "
            f"for unknown; a loss with beta > 0 does with zeros."
        )


def check_choice(value: Any, name: str, choices: Collection[str]) -> str:
    """One of the given strings; the message about another one has the nearest."""
    if not isinstance(value, str) or value not in choices:
        meant = nearest(value, choices)
        hint = "." if meant is None else f"; did you mean {meant!r}?"
        raise ValueError(f"{name} must be one of {', '.join(map(repr, choices))}, got {value!r}{hint}")
    return value


def nearest(name: Any, choices: Collection[str]) -> str | None:
    """The choice that somebody may have meant."""
    if not isinstance(name, str):
        return None
    name = name.strip().lower()
    if NICKNAMES.get(name) in choices:
        return NICKNAMES[name]
    return next(iter(difflib.get_close_matches(name, choices, n=1)), None)


def check_loss(loss: Any, names: Collection[str], name: str = "loss") -> Any:
    """The name of a loss, the beta of a beta-divergence, or a loss of one's own."""
    if hasattr(loss, "gradient_parts") and hasattr(loss, "value"):
        return loss
    if isinstance(loss, str):
        return check_choice(loss, name, names)
    number: Any = loss
    if isinstance(loss, (bool, np.bool_)) or not isinstance(loss, numbers.Real) or not abs(number) <= LARGEST_BETA:
        choices = ", ".join(map(repr, names))
        limit = f"from -{LARGEST_BETA} to {LARGEST_BETA}, the beta of a beta-divergence"
        raise ValueError(f"{name} must be one of {choices} or a number {limit}; got {loss!r}.")
    return float(loss)


def check_handles(handles: bool, solver: str, loss: Any, others: Collection[str]) -> None:
    """Whether a solver minimises a loss; `others` do."""
    if not handles:
        raise ValueError(f"solver={solver!r} does not minimise loss={loss!r}; {_quoted(['auto', *others])} do.")


def check_bounded(able: bool, solver: str, loss: Any) -> None:
    """Whether bounds and penalties of one's own can be had."""
    if not able:
        raise ValueError(
            f"Bounds and penalties of a Factor need solver='hals', loss='frobenius' and a complete X without biases; "
            f"got solver={solver!r} and loss={loss!r}, or an X with missing entries, weights or biases."
        )


def check_bound(bound: Any, name: str, k: int) -> np.ndarray | None:
    """A bound of all entries or of each of k components, as an array (k,); None stays."""
    if bound is None:
        return None
    array = np.asarray(bound, dtype=np.float64)
    if array.shape not in ((), (k,)) or np.isnan(array).any():
        raise ValueError(f"{name} must be a number or one for each of {k} components, not NaN; got {bound!r}.")
    return np.array(np.broadcast_to(array, k))


def check_alone(missing: Any, weights: Any, biases: bool) -> None:
    """A matrix of one's own knows all of its entries."""
    if missing is not None or weights is not None or biases:
        raise ValueError("A matrix of one's own class has no missing entries, weights or biases.")


def check_left_alone(name: str, value: Any, why: str) -> None:
    """Something that is set elsewhere must not be given."""
    if value is not None and not (isinstance(value, numbers.Real) and value == 0):
        raise ValueError(f"{name} cannot be given: {why}.")


def check_method(value: Any, name: str, method: str) -> None:
    """Something must have a method of this name."""
    if not callable(getattr(value, method, None)):
        raise TypeError(f"{name} must have a method {method!r}; got {value!r}.")


def check_below(lower: np.ndarray, upper: np.ndarray, name: str) -> None:
    """A factor's lower bounds must not be above its upper ones."""
    bad = np.flatnonzero(lower > upper)
    if len(bad):
        c = bad[0]
        raise ValueError(f"{name}: lower={lower[c]:g} is above upper={upper[c]:g} for component {c}.")


def check_handles_data(handles: bool, solver: str, resident: bool, others: Collection[str]) -> None:
    """Whether a solver can do with an X that is not complete, or not in memory; `others` can."""
    if not handles:
        needs = "a complete X, without missing entries, weights and biases" if resident else "X in memory"
        raise ValueError(f"solver={solver!r} needs {needs}; {_quoted(['auto', *others])} do without.")


def _quoted(names: Collection[str]) -> str:
    *first, last = map(repr, names)
    return f"{', '.join(first)} and {last}"


def check_solvers(solvers: Any) -> list[Any]:
    """Several things to compare, at least one."""
    if isinstance(solvers, str) or not isinstance(solvers, Iterable):
        raise TypeError(f"solvers must be several, such as ['hals', 'mu'], got {solvers!r}.")
    solvers = list(solvers)
    if not solvers:
        raise ValueError("solvers must hold at least one solver, but it is empty.")
    return solvers


def check_kind(value: Any, name: str, kind: type, what: str) -> None:
    """None, or an object of a class."""
    if value is not None and not isinstance(value, kind):
        raise TypeError(f"{name} must be None or {what}, got {value!r}.")


def check_integer(value: Any, name: str, low: int, high: int | None = None) -> int:
    """An integer of at least `low` and at most `high`."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, numbers.Integral):
        raise TypeError(f"{name} must be an integer, got {value!r}.")
    number = int(value)
    if number < low:
        raise ValueError(f"{name} must be at least {low}, got {value}.")
    if high is not None and number > high:
        raise ValueError(f"{name} must be at most {high}, got {value}.")
    return number


def check_out(out_W: Any, shape: tuple[int, int], dtype: np.dtype) -> Path | None:
    """Whether W fits into an array; the folder of its file, if it is a memory map."""
    if out_W is None:
        return None
    if not isinstance(out_W, np.ndarray) or out_W.dtype != dtype:
        found = f"dtype {out_W.dtype}" if isinstance(out_W, np.ndarray) else type(out_W).__name__
        raise TypeError(f"out_W must be an array of {dtype}, the type of X, got {found}.")
    if out_W.shape != shape:
        raise ValueError(f"out_W has shape {out_W.shape}, but W has shape {shape}.")
    if not out_W.flags.writeable:
        raise ValueError("out_W is read-only.")
    name = getattr(out_W, "filename", None)
    return None if name is None else Path(name).parent


def check_number(value: Any, name: str, low: float = 0.0, high: float = float("inf")) -> float:
    """A finite real number between `low` and `high`."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, numbers.Real):
        raise TypeError(f"{name} must be a real number, got {value!r}.")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not low <= number <= high or number == math.inf:
        above = f" and at most {high:g}" if high < math.inf else ""
        raise ValueError(f"{name} must be a finite number of at least {low:g}{above}, got {value!r}.")
    return number


def check_random_state(value: Any) -> Any:
    """None, an integer seed from 0 to 2**32 - 1, a RandomState or a Generator."""
    if value is None or isinstance(value, (np.random.RandomState, np.random.Generator)):
        return value
    if not isinstance(value, numbers.Integral) or isinstance(value, (bool, np.bool_)):
        raise TypeError(f"random_state must be None, an integer, a RandomState or a Generator, got {value!r}.")
    if not 0 <= int(value) < 2**32:
        raise ValueError(f"random_state must be between 0 and 2**32 - 1, got {value}.")
    return int(value)


def check_data(
    X: Any, missing: Any, weights: Any = None, *, hint: bool = True, workspace: Workspace | None = None
) -> tuple[Labelled, ArrayOrSparse | None]:
    """What `check_weighted` makes of X and its weights, once `missing` is one of the ways to say what is missing."""
    if missing is not None:
        check_choice(missing, "missing", MISSING)
    return check_weighted(X, weights, missing, hint=hint, workspace=workspace)


def check_incomplete(X: Any, missing: Missing | None) -> tuple[Labelled, Missing | None]:
    """A validated X with its labels, and what is missing from it once entries are held out.

    That is NaN of an array, even if it is complete so far, or what canonical CSR does not store; or None for any other
    sparse matrix, of which only weights can tell what is missing.
    """
    data = check_data(X, missing)[0]
    X = data.values
    if not is_sparse(X):
        return data, "nan"
    if missing == "unstored":
        X = X.tocsr()
        if not X.has_canonical_format:
            X = X.copy()
            X.sum_duplicates()
    return data._replace(values=X), missing
