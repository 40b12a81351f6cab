"""Checks of arguments: numbers, choices, and what goes together."""

import difflib
import math
import numbers
import os
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from nmf_core._core import Workspace
from nmf_core.labels import Axis, Labelled, in_order, labelled
from nmf_core.memory import physical_memory
from nmf_core.validation.matrices import (
    MISSING,
    ArrayOrSparse,
    check_factor,
    check_matrix,
    check_weighted,
    is_sparse,
    stored_values,
)
from nmf_core.warning import warn

MOST_COUNTS = 2.0**62  # that can be the mean of a Poisson distribution
SIZE = "squared norm of X"  # the entry of a problem that says how large its numbers are
LARGEST_BETA = 10  # of a beta-divergence: higher powers overflow
_COMPARED = 100_000  # labels of which the one that is most like an unknown one is told

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


def check_starts(
    number: Any, init: str, possible: Collection[str], fixed: Collection[str], name: str = "n_init"
) -> int:
    """A number of starts; of more than one, whether they differ, and whether what is given goes with them."""
    number = check_integer(number, name, 1)
    if number > 1 and init not in possible:
        raise ValueError(
            f"{name}={number} needs starts that differ, but those of init={init!r} are all the same; use one of "
            f"{', '.join(map(repr, possible))}."
        )
    for other in fixed:
        if number > 1:
            raise ValueError(f"{name}={number} and {other} do not go together: {other} is for a fit from one start.")
    return number


def check_decided(given: Collection[str], decided: Collection[str], why: str) -> None:
    """Whether none of some arguments has been given."""
    for name in decided:
        if name in given:
            raise TypeError(f"{name} cannot be given: {why}.")


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
) -> tuple[Any, Any, Any, Axis | None]:
    """Given factors in the order of the rows and columns of X, the number of their components, and labels of these."""
    components = None
    if H is not None:
        H, components, *_ = check_matrix(H, "H", factor=True).aligned("H", columns=columns)
        H = H.toarray() if is_sparse(H) else H
    if W is not None:
        W = check_matrix(W, "W", factor=True).aligned("W", rows).aligned("W", columns=components, of="H").values
        W = W.toarray() if is_sparse(W) else W
    if n_components is None:
        if W is None and H is None:
            raise TypeError("n_components must be an integer unless W or H is given, got None.")
        n_components = W.shape[1] if H is None else H.shape[0]
    return W, H, n_components, components


def check_model(
    W: Any, H: Any, shape: tuple[int, int], dtype: np.dtype, rows: Axis | None, columns: Axis | None
) -> tuple[np.ndarray, np.ndarray]:
    """Both factors of an X of this shape and dtype, in the order of its rows and columns."""
    W, H, k, _ = check_factors(W, H, None, rows, columns)
    H = check_factor(H, "H", (k, shape[1]), dtype, zeros=True)
    return check_factor(W, "W", (shape[0], k), dtype, zeros=True), H


def check_update_H(update_H: Any, k: int, components: Axis | None = None) -> np.ndarray:
    """A boolean mask (k,) of the components of H to update, which may have their labels."""
    if isinstance(update_H, (bool, np.bool_)):
        return np.full(k, bool(update_H))
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


def check_places(places: Any, n: int, labels: Axis | None, what: str) -> np.ndarray:
    """Numbers from 0 to n - 1, or labels, as an array of int64 of the same shape.

    Integers are labels where there are numbers among the labels.
    """
    array = _as_places(places, labels)
    if array.size == 0:
        return np.zeros(array.shape, dtype=np.int64)
    by_number = array.dtype.kind in "iu" or (array.dtype == object and all(map(_is_integer, array.flat)))
    if labels is None or (by_number and not labels.has_numbers):
        if not by_number:
            kind = "numbers from 0" if labels is None else "numbers from 0 or labels"
            raise TypeError(f"A {what} must be given by {kind}, got {places!r}.")
        if not 0 <= int(array.min()) <= int(array.max()) < n:
            bad = int(array.min()) if array.min() < 0 else int(array.max())
            hint = "" if labels is None else f"; or they are given by labels such as {labels[0]!r}"
            raise ValueError(f"There is no {what} {bad}: they are numbered from 0 to {n - 1}{hint}.")
        return array.astype(np.int64)
    found = labels.find(array.ravel())
    if (found < 0).any() or (array.dtype.kind == "b" and not isinstance(labels[0], bool)):
        _refuse_unknown(array.ravel()[int(found.argmin())], labels, what)
    if labels.twice and (twice := [i for i in found if labels[i] in labels.twice]):
        hint = "" if labels.has_numbers else ": give numbers from 0 instead of labels"
        raise ValueError(f"There are two {what}s {labels[twice[0]]!r}{hint}.")
    return found.reshape(array.shape)


def _as_places(places: Any, labels: Axis | None) -> np.ndarray:
    """Places as an array: tuples are labels where labels are tuples, and text keeps all of its characters."""
    if labels is not None and isinstance(labels[0], tuple) and not isinstance(places, np.ndarray):
        if isinstance(places, tuple) and not all(isinstance(place, tuple) for place in places):
            places = [places]
            return np.fromiter(places, dtype=object, count=1).reshape(())
        if isinstance(places, Iterable) and not isinstance(places, str):
            places = list(places)
            return np.fromiter(places, dtype=object, count=len(places))
    array = np.asarray(places)
    return np.asarray(places, dtype=object) if array.dtype.kind in "US" else array


def _is_integer(place: Any) -> bool:
    return isinstance(place, numbers.Integral) and not isinstance(place, bool | np.timedelta64)


def _refuse_unknown(label: Any, labels: Axis, what: str) -> None:
    """Raise what is wrong with a label that is not there."""
    label = label.item() if isinstance(label, np.integer | np.floating | np.bool_) else label
    known = isinstance(label, str | tuple | type(labels[0])) or (isinstance(label, numbers.Real) and labels.has_numbers)
    if isinstance(label, bool) or not known:
        raise TypeError(f"A {what} must be given by numbers from 0 or labels, got {label!r}.")
    close = difflib.get_close_matches(label, labels.text[:_COMPARED], 1, 0.5) if isinstance(label, str) else []
    hint = f"did you mean {close[0]!r}?" if close else f"labels are such as {labels[0]!r}."
    raise ValueError(f"There is no {what} {label!r}: {hint}")


def check_list(places: np.ndarray, name: str) -> None:
    """Whether places stand in a row."""
    if places.ndim != 1:
        raise ValueError(f"{name} must be one or a list, got an array with {places.ndim} dimensions.")


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


def check_nothing_else(name: str, said: str | None) -> None:
    """New rows are found without bounds and penalties of one's own."""
    if said:
        raise ValueError(f"transform knows no bounds and penalties of one's own, but {name} of the fit had {said}.")


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


def check_saved(
    path: Any, header: Any, kind: str, problem: dict[str, Any], what: str = "a checkpoint"
) -> dict[str, Any]:
    """The values in the header of a file, if it is of this kind and about this problem."""
    if not isinstance(header, dict) or header.get("format") != kind:
        advice = "delete it or give another path" if what == "a checkpoint" else "give another path"
        raise ValueError(f"{path} is not {what} of nmf_core, or a damaged one: {advice}.")
    for name, value in problem.items():
        there = header.get("problem", {}).get(name)
        # sums may be of the same numbers in another order, and of numbers around zero
        real = isinstance(value, float) and isinstance(there, float)
        same = real and math.isclose(there, value, rel_tol=1e-11, abs_tol=1e-11 * problem.get(SIZE, 0.0) ** 0.5)
        if not same and there != value:
            raise ValueError(
                f"{path} is {what} of another problem: {name} is {there!r} there, but {value!r} "
                f"here. Delete it or give another path."
            )
    return dict(header.get("values", {}))


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


def check_incomplete(X: Any, missing: str | None) -> tuple[ArrayOrSparse, str | None]:
    """A validated X, and what is missing from it once entries are held out.

    That is NaN of an array, even if it is complete so far, or what canonical CSR does not store; or None for any other
    sparse matrix, of which only weights can tell what is missing.
    """
    X = check_data(X, missing)[0].values
    if not is_sparse(X):
        return X, "nan"
    if missing == "unstored":
        X = X.tocsr()
        if not X.has_canonical_format:
            X = X.copy()
            X.sum_duplicates()
    return X, missing


def check_ranks(n_components: Any, once: bool = False) -> np.ndarray:
    """Numbers of components to try: at least one, ascending, each once; `once`, whether none may be there twice."""
    if isinstance(n_components, str) or not isinstance(n_components, Iterable):
        raise TypeError(f"n_components must be numbers of components such as range(1, 11), got {n_components!r}.")
    asked = [check_integer(k, "every number in n_components", 1) for k in n_components]
    ranks = sorted(set(asked))
    if once and len(ranks) < len(asked):
        twice = next(k for k in ranks if asked.count(k) > 1)
        raise ValueError(f"n_components holds {twice} more than once; every number of components is surveyed once.")
    if not ranks:
        raise ValueError("n_components must hold at least one number of components, but it is empty.")
    return np.array(ranks)


def check_folds(n_folds: Any, n: int, what: str) -> int:
    """A number of folds of which each gets at least one of n things."""
    n_folds = check_integer(n_folds, "n_folds", 2)
    if n_folds > n:
        raise ValueError(f"X has {n} {what}, too few for {n_folds} folds.")
    return n_folds


def check_pairs(n: int) -> None:
    """Whether there is room for a number for every pair of so many samples."""
    wanted, memory = 8 * n * (n - 1) // 2, physical_memory()
    if wanted > memory / 2:
        raise ValueError(
            f"The consensus of all pairs of {n} samples would take {wanted / 2**30:.0f} GiB of this machine's "
            f"{memory / 2**30:.0f} GiB of memory; ask for some samples. cophenetic, dispersion, pac and silhouette "
            f"need no pairs."
        )


def check_same_seeds(path: Any, there: list[int], wanted: list[int]) -> None:
    """Whether the runs in a folder are those that are wanted, or the first of them."""
    n = min(len(there), len(wanted))
    if there[:n] != wanted[:n]:
        raise ValueError(
            f"{path} is an ensemble with other seeds, of another random_state. Delete it or give another path."
        )


def check_not_empty(path: Any, n_runs: int) -> None:
    """Whether there is a run in a folder."""
    if n_runs == 0:
        raise ValueError(f"{path} is an ensemble of which no run has ended yet.")


def check_surveyed(n_ranks: int) -> None:
    """Whether there is an ensemble of any number of components."""
    if n_ranks == 0:
        raise ValueError("A survey needs an ensemble of at least one number of components.")


def check_names(names: Any, name: str, there: Axis | None, n: int, what: str) -> Axis | None:
    """Labels of rows or columns: those that X has, or those that are given for an X that has none."""
    if names is None:
        return there
    if isinstance(names, str) or not isinstance(names, Iterable):
        raise TypeError(f"{name} must be labels, one for each of the {what} of X, got {names!r}.")
    given = Axis.of(names)
    assert given is not None
    if len(given) != n:
        raise ValueError(f"{name} are {len(given)} labels, but X has {n} {what}.")
    if there is not None and not there.is_numbering and there != given:
        raise ValueError(f"{name} are given, but the {what} of X have labels already, such as {there[0]!r}.")
    return given


def check_order(order: Any, n: int) -> np.ndarray:
    """An order of n components: the numbers from 0 to n - 1, each once."""
    places = np.asarray(order)
    if places.shape != (n,) or places.dtype.kind not in "iu" or not np.array_equal(np.sort(places), np.arange(n)):
        raise ValueError(
            f"An order of {n} components must hold the numbers from 0 to {n - 1}, each once, got {order!r}."
        )
    return places


def check_component_names(names: Any, there: Axis) -> tuple[Any, ...]:
    """Names of all components, from all of them or from new ones by those that there are."""
    if isinstance(names, dict):
        for name in names:
            if name not in there.labels:
                meant = nearest(name, list(map(str, there)))
                hint = "" if meant is None else f" Did you mean {meant!r}?"
                shown = f"{', '.join(map(repr, there[:6]))}{', ...' if len(there) > 6 else ''}"
                raise ValueError(f"There is no component {name!r}; they are {shown}.{hint}")
        given = tuple(names.get(label, label) for label in there)
    else:
        if isinstance(names, str) or not isinstance(names, Iterable):
            raise TypeError(f"names must be a dict or one name for each component, got {names!r}.")
        given = tuple(names)
    if len(given) != len(there):
        raise ValueError(f"names are {len(given)}, but there are {len(there)} components.")
    if len(set(given)) < len(given):
        twice = next(name for name in given if given.count(name) > 1)
        raise ValueError(f"names must differ, but {twice!r} is there more than once.")
    return given


def check_model_room(n: int, m: int, itemsize: int) -> None:
    """Whether there is room for the model of so many samples as an array."""
    wanted, memory = n * m * itemsize, physical_memory()
    if wanted > memory / 2:
        raise ValueError(
            f"The model of {n} samples and {m} features would take {wanted / 2**30:.0f} GiB of this machine's "
            f"{memory / 2**30:.0f} GiB of memory; ask for some samples, or for single entries by predict."
        )


def check_sample_weight(counts: Any, n: int) -> np.ndarray:
    """How often every sample counts: n finite numbers of at least 0, one of them above it."""
    values = np.asarray(counts)
    if values.ndim == 0 and values.dtype.kind in "iuf":
        values = np.full(n, values)
    if values.dtype.kind not in "iufb" or values.shape != (n,):
        raise ValueError(f"sample_weight must be {n} numbers, one for each sample, got shape {values.shape}.")
    values = values.astype(np.float64)
    if not (np.isfinite(values).all() and values.min(initial=0) >= 0):
        raise ValueError("sample_weight must be finite numbers of at least 0.")
    if not values.any():
        raise ValueError("sample_weight is zero for all samples: one must count.")
    return values


def check_arguments(given: Collection[str], known: Collection[str]) -> None:
    """Whether arguments are those of `factorize`."""
    for name in given:
        if name not in known:
            meant = nearest(name, list(known))
            hint = "" if meant is None else f" Did you mean {meant!r}?"
            raise TypeError(f"unexpected keyword argument {name!r}: factorize has none of that name.{hint}")


def check_sample_axes(axes: Any, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Axes of samples of an array of this shape, counted from 0; at least one axis remains for features."""
    given = (axes,) if isinstance(axes, numbers.Integral) else axes
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise TypeError(f"sample_axes must be an axis of X or a tuple of axes, got {axes!r}.")
    n = len(shape)
    found = tuple(check_integer(axis, "every axis in sample_axes", -n, n - 1) % n for axis in given)
    if not found or len(set(found)) < len(found) or len(found) == n:
        raise ValueError(
            f"sample_axes must name some of the {n} axes of X, each once, and leave at least one for features, got "
            f"{axes!r}."
        )
    return found


def check_same_axes(shape: tuple[int, ...], wanted: tuple[int, ...], samples: tuple[int, ...], name: str) -> None:
    """Whether an array has the axes of X, of the same lengths but for those of samples."""
    same = len(shape) == len(wanted)
    if not same or any(shape[axis] != wanted[axis] for axis in range(len(wanted)) if axis not in samples):
        lengths = ", ".join("any" if axis in samples else str(wanted[axis]) for axis in range(len(wanted)))
        raise ValueError(f"{name} has shape {tuple(shape)}, but its axes must be ({lengths}).")


def check_picture(n_axes: int, factor: str, what: str) -> None:
    """Whether a factor is made of pictures, with colours or without."""
    if n_axes not in (2, 3):
        raise ValueError(
            f"{factor} has {n_axes} axes besides that of components, and a picture has 2, or 3 with colours: factorize "
            f"an array whose {what}, and say so by sample_axes."
        )


def check_same_length(n: int, wanted: int, name: str) -> None:
    """Whether there is a value for every feature."""
    if n != wanted:
        raise ValueError(f"{name} has {n} values, but there are {wanted} features.")


def check_fraction(fraction: Any) -> float:
    """A share above 0 and at most 1."""
    share = check_number(fraction, "fraction", high=1.0)
    if share == 0:
        raise ValueError("fraction must be above 0 and at most 1, got 0.")
    return share


def check_limits(n_threads: Any, time_limit: Any, checkpoint: Any) -> None:
    """What concerns all runs of an ensemble."""
    if n_threads is not None:
        check_integer(n_threads, "n_threads", 1)
    if time_limit is not None:
        check_number(time_limit, "time_limit")
    if checkpoint is not None and not isinstance(checkpoint, (str, os.PathLike)):
        raise TypeError(f"checkpoint must be the path of a folder for the runs, got {checkpoint!r}.")


def check_run(path: Any, seed: Any, wanted: int | None) -> None:
    """Whether a file holds the run that belongs there."""
    if seed != wanted:
        raise ValueError(f"{path} is another run: its seed is {seed}, not {wanted}. Delete it.")


def check_rank_there(k: Any, there: list[int]) -> None:
    """Whether a number of components has been surveyed."""
    if k not in there:
        raise KeyError(f"no ensemble of {k!r} components; there are {', '.join(map(str, there))}")


def check_counts(X: ArrayOrSparse) -> None:
    """Whether what X holds are counts: whole numbers that can be drawn, besides what is missing."""
    values = stored_values(X)
    odd = (values != np.floor(values)) | (values < 0) | (values > MOST_COUNTS)
    odd &= ~np.isnan(values)
    if odd.any():
        first = values[odd].flat[0]
        raise ValueError(
            f"resample='poisson' draws counts with those of X as means, but X has entries that are no whole numbers "
            f"from 0 to {MOST_COUNTS:g}, such as {first:g}; 'bootstrap' and 'subsample' draw samples of any X."
        )


def check_errors(mean: np.ndarray) -> None:
    """Whether the mean error is finite for any number of components."""
    if not np.isfinite(mean).any():
        raise ValueError(
            "Errors of held-out entries are not finite for any number of components: nothing can be chosen by them."
        )


def check_free(parameters: Collection[str], blocks: bool) -> None:
    """Whether the other parameters of a fit leave to cross-validation what it decides on."""
    for name in ("W", "H", "update_H", "weights"):
        if name in parameters:
            raise TypeError(f"{name} cannot be given: cross-validation decides what is fitted, and finds both factors.")
    if blocks and "biases" in parameters:
        raise TypeError("biases cannot be given with method='bi-cv'; the other methods know them.")


def check_block(n_known: int) -> int:
    """Whether something is known in a block that is held out."""
    if n_known == 0:
        raise ValueError("No entry is known in a block that is held out; use fewer folds or another method.")
    return n_known


def check_kept(n_kept: int, k: int) -> None:
    """Whether enough components of many runs are left for k clusters."""
    if n_kept < k:
        raise ValueError(
            f"Only {n_kept} components of all runs are close enough to their nearest neighbours, too few for "
            f"{k} clusters. Raise density_threshold, or make more runs."
        )


def check_classes(labels: Any, n: int, samples: Axis | None) -> np.ndarray:
    """Classes of n samples, None where there is none; a series is brought into the order of their labels."""
    classes = np.array(labels, dtype=object)
    if classes.shape != (n,):
        raise ValueError(f"labels must hold a class for each of the {n} samples, but have shape {classes.shape}.")
    if hasattr(type(labels), "index") and hasattr(type(labels), "to_numpy"):  # a pandas series
        places = in_order(Axis(labels.index), samples, "labels", "row", "X")
        classes = classes if places is None else classes[places]
    classes[[_is_nothing(one) for one in classes]] = None
    return classes


def _is_nothing(one: Any) -> bool:
    """Whether it is None, NaN or the like: what is not equal to itself, or does not know whether it is."""
    same = one == one
    return one is None or not (isinstance(same, bool | np.bool_) and bool(same))


def check_catalogue(given: Labelled, name: str, n_features: int, features: Axis | None, of: str) -> Labelled:
    """Known components, each with a name of its own, and with their features in the order of those of others."""
    n, m = given.values.shape
    if features is not None and given.rows is not None:
        wanted, columns = set(features.text), set(() if given.columns is None else given.columns.text)
        if wanted <= set(given.rows.text) and not wanted & columns:
            raise ValueError(f"The rows of {name} are the features of {of}, but must be components: give {name}.T.")
    given = given.aligned(name, columns=features, of=of)
    if m != n_features:
        hint = f"; if its rows are the features, give {name}.T" if n == n_features else ""
        raise ValueError(f"{name} has {m} features, but {of} has {n_features}{hint}.")
    if given.rows is not None and given.rows.twice:
        raise ValueError(f"{name} has two components {min(given.rows.twice, key=str)!r}; give each a name of its own.")
    return given


def check_unbiased(biases: bool) -> None:
    """Components of a model with biases do not explain samples by themselves."""
    if biases:
        raise ValueError("H is a fit with biases, which refit does not know; its own transform does.")


def check_selectable(able: bool, loss: Any) -> None:
    """Whether it is known how a loss rises by chance."""
    if not able:
        raise ValueError(f"select='likelihood' is for loss='frobenius' and loss='kullback-leibler', got loss={loss!r}.")


def check_whole(odd: float | None) -> None:
    """Whether samples are counts: `odd` is an entry that is none."""
    if odd is not None:
        raise ValueError(
            f"select='likelihood' with loss='kullback-leibler' is for counts, but X has entries that are no whole "
            f"numbers, such as {odd:g}; loss='frobenius' finds out how strong the noise is."
        )


def check_share(value: Any, name: str) -> float:
    """A number between 0 and 1, but neither of them."""
    number = check_number(value, name, low=-math.inf)
    if not 0 < number < 1:
        raise ValueError(f"{name} must be above 0 and below 1, got {value!r}.")
    return number


def check_portable(**odd: bool) -> None:
    """Whether a transform is one that a graph of ONNX can do; of several reasons why not, the first is told."""
    reasons = {
        "own_loss": "a loss of one's own class",
        "missing": "missing entries",
        "weights": "weights",
        "biases": "biases",
        "bounds": "bounds and penalties of one's own",
    }
    for name, is_so in odd.items():
        if is_so:
            raise ValueError(f"A model with {reasons[name]} cannot be written as an ONNX graph.")
