"""Whether what is asked of a result is there, and what is given for it fits."""

import difflib
import math
import numbers
import os
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from nmf_core.labels import Axis, Labelled, in_order
from nmf_core.memory import physical_memory
from nmf_core.validation.arguments import check_integer, check_number, nearest

_COMPARED = 100_000  # labels of which the one that is most like an unknown one is told


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


def check_nothing_else(name: str, said: str | None) -> None:
    """New rows are found without bounds and penalties of one's own."""
    if said:
        raise ValueError(f"transform knows no bounds and penalties of one's own, but {name} of the fit had {said}.")


def check_names(names: Any, name: str, there: Axis | None, n: int, what: str) -> Axis | None:
    """Labels of rows or columns: those that X has, or those that are given for an X that has none."""
    if names is None:
        return there
    if isinstance(names, Mapping):
        raise TypeError(
            f"{name} must be a list of labels in the order of the {what} of X, but they are a dict. If its values are "
            f"their places, give sorted(names, key=names.get); vectorizers have get_feature_names_out()."
        )
    if isinstance(names, str) or not isinstance(names, Iterable):
        raise TypeError(f"{name} must be labels, one for each of the {what} of X, got {names!r}.")
    given = Axis.of(names)
    assert given is not None
    _refuse_lists(given.original, name)
    if len(given) != n:
        raise ValueError(f"{name} are {len(given)} labels, but X has {n} {what}.")
    if there is not None and not there.is_numbering and there != given:
        raise ValueError(f"{name} are given, but the {what} of X have labels already, such as {there[0]!r}.")
    return given


def _refuse_lists(labels: Iterable[Any], name: str) -> None:
    """Labels are one beside the other: rows of a table are none."""
    nested = [label for label in labels if isinstance(label, list | np.ndarray)]
    if nested:
        raise TypeError(f"{name} must be single labels such as text, but among them is {nested[0]!r}.")


def check_order(order: Any, n: int) -> np.ndarray:
    """An order of n components: the numbers from 0 to n - 1, each once."""
    places = np.asarray(order)
    if places.shape != (n,) or places.dtype.kind not in "iu" or not np.array_equal(np.sort(places), np.arange(n)):
        raise ValueError(
            f"An order of {n} components must hold the numbers from 0 to {n - 1}, each once, got {order!r}."
        )
    return places


def check_reason(chosen: Any) -> str:
    """How a number of components was chosen, in words, which a survey and a choice have; none if it is None."""
    reason = getattr(chosen, "reason", chosen)
    if reason is not None and not isinstance(reason, str):
        raise TypeError(
            f"chosen must say in words how the number of components was chosen, or be a RankSurvey or what its "
            f"choose() returns, got {chosen!r}."
        )
    return reason or ""


def check_stability(stability: Any, n: int) -> np.ndarray:
    """How stable components are: a number for each of them."""
    values = np.asarray(stability)
    if values.dtype.kind not in "iufb" or values.shape != (n,):
        raise ValueError(
            f"stability must be {n} numbers, one for each component, such as ensemble.stability.mean, got shape "
            f"{values.shape}."
        )
    return values.astype(np.float64)


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
    _refuse_lists(given, "names")
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


def check_page(path: Any, has_model: bool) -> None:
    """Whether a page is to be written to a file, and of a factorization."""
    if not isinstance(path, str | os.PathLike) or not has_model:
        raise TypeError("write_report needs the path of the page and then a factorization: write_report(path, f, X).")


def check_same_length(n: int, wanted: int, name: str) -> None:
    """Whether there is a value for every feature."""
    if n != wanted:
        raise ValueError(f"{name} has {n} values, but there are {wanted} features.")


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
