"""Whether what is asked of a result is there, and what is given for it fits."""

import datetime
import difflib
import math
import numbers
import os
from collections.abc import Iterable, Mapping, Set, ValuesView
from typing import Any

import numpy as np

from nmf_core.labels import Axis, Labelled, in_order, labelled
from nmf_core.memory import physical_memory
from nmf_core.validation.arguments import check_integer, check_number, nearest
from nmf_core.validation.matrices import check_numeric, check_shape, is_sparse

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


def check_paired(rows: np.ndarray, columns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Places in rows and in columns, of one shape."""
    try:
        i, j = np.broadcast_arrays(rows, columns)
    except ValueError:
        sizes = [len(A) if A.ndim == 1 else f"an array {A.shape} of" for A in (rows, columns)]
        raise ValueError(
            f"rows and columns go in pairs, but there are {sizes[0]} rows and {sizes[1]} columns: "
            f"predict(*numpy.ix_(rows, columns)) takes every row with every column."
        ) from None
    return i, j


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
    if not _has_order(names):
        raise TypeError(f"{name} must be a list of labels in the order of the {what} of X, got {names!r}.")
    given = Axis.of(names)
    assert given is not None
    _refuse_lists(given.original, name)
    if len(given) != n:
        raise ValueError(f"{name} are {len(given)} labels, but X has {n} {what}.")
    if there is not None and not there.is_numbering and there != given:
        raise ValueError(f"{name} are given, but the {what} of X have labels already, such as {there[0]!r}.")
    return given


def _has_order(names: Any) -> bool:
    """Whether these are several, one after the other: neither a set nor what a dict is looked at by."""
    return isinstance(names, Iterable) and not isinstance(names, str | bytes | Set | Mapping | ValuesView)


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
        if not _has_order(names):
            raise TypeError(f"names must be a dict or a list with a name for each component, got {names!r}.")
        given = tuple(names)
    if len(given) != len(there):
        raise ValueError(f"names are {len(given)}, but there are {len(there)} components.")
    _refuse_lists(given, "names")
    if len(set(given)) < len(given):
        twice = next(name for name in given if given.count(name) > 1)
        raise ValueError(f"names must differ, but {twice!r} is there more than once.")
    return given


def check_as_many(n: int, k: int) -> None:
    """Whether there is another component for each of k."""
    if n != k:
        raise ValueError(
            f"other has {n} components, but the fit has {k}: f.named(nmf_core.match(f, other)) gives names to those "
            f"that have a partner."
        )


def check_model_room(n: int, m: int, itemsize: int) -> None:
    """Whether there is room for the model of so many samples as an array."""
    wanted, memory = n * m * itemsize, physical_memory()
    if wanted > memory / 2:
        raise ValueError(
            f"The model of {n} samples and {m} features would take {wanted / 2**30:.0f} GiB of this machine's "
            f"{memory / 2**30:.0f} GiB of memory; ask for some samples, or for single entries by predict."
        )


def check_sample_weight(counts: Any, n: int, samples: Axis | None = None) -> np.ndarray:
    """How often every sample counts: n finite numbers of at least 0, one of them above it.

    A series is brought into the order of the labels of samples.
    """
    values = np.asarray(labelled(counts, "sample_weight").aligned("sample_weight", rows=samples).values)
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


def check_two_axes(n_axes: int) -> None:
    """Whether X is a matrix where nobody has said which of its axes are samples."""
    if n_axes > 2:
        raise ValueError(
            f"X must be a matrix with 2 dimensions, but it has {n_axes}. sample_axes says which of them are samples, "
            f"such as sample_axes=0; all others are features."
        )


def check_array(data: Labelled, name: str) -> np.ndarray:
    """An array of numbers, as what has axes must be: nothing sparse, no data frame."""
    if is_sparse(data.values) or data.library is not None:
        kind, how = ("sparse", "toarray") if is_sparse(data.values) else ("a data frame", "to_numpy")
        raise TypeError(
            f"{name} must be an array, as its axes have been named by sample_axes, but it is {kind}: "
            f"{name}.{how}() makes an array of it."
        )
    array = np.asarray(data.values)
    check_numeric(array.dtype, name, complex_too=True)
    return array


def check_mixture(data: Labelled, shape: tuple[int, int]) -> np.ndarray:
    """A signal of the shape of X, real or complex and finite."""
    if is_sparse(data.values):
        raise TypeError("mixture must be an array, but it is sparse: mixture.toarray() makes an array of it.")
    array = np.asarray(data.values)
    check_numeric(array.dtype, "mixture", complex_too=True)
    check_shape(array.shape, shape, "mixture")
    if not np.isfinite(array).all():
        row, column = np.argwhere(~np.isfinite(array))[0]
        what = "NaN" if np.isnan(array[row, column]) else "infinity"
        raise ValueError(f"mixture contains {what}, first at {data.place(row, column)}: every entry must be finite.")
    return array


def check_positions(positions: tuple[Any, ...], shape: tuple[int, ...], what: str) -> tuple[np.ndarray, ...]:
    """Positions along the axes that rows or columns have in X, one for each axis; each may be an array of them."""
    arrays = tuple(map(np.asarray, positions))
    if len(arrays) != len(shape) or any(array.dtype.kind not in "iu" for array in arrays):
        raise ValueError(
            f"A {what} must be given by its number from 0 or by a tuple of its positions along {len(shape)} axes of X, "
            f"got {positions!r}."
        )
    if any(((array < 0) | (array >= n)).any() for array, n in zip(arrays, shape, strict=True)):
        raise ValueError(f"There is no {what} {positions!r}: its axes have lengths {shape}.")
    return tuple(np.broadcast_arrays(*arrays))


def check_one(places: np.ndarray, what: str) -> int:
    """A single place."""
    if places.ndim:
        raise ValueError(f"There must be one {what}, got an array of shape {places.shape}.")
    return int(places)


def check_same_axes(shape: tuple[int, ...], wanted: tuple[int, ...], samples: tuple[int, ...], name: str) -> None:
    """Whether an array has the axes of X, of the same lengths but for those of samples."""
    same = len(shape) == len(wanted)
    if not same or any(shape[axis] != wanted[axis] for axis in range(len(wanted)) if axis not in samples):
        lengths = ", ".join("any" if axis in samples else str(wanted[axis]) for axis in range(len(wanted)))
        single = tuple(length for axis, length in enumerate(wanted) if axis not in samples) == tuple(shape)
        place = ", ".join("None" if axis in samples else ":" for axis in range(len(wanted)))
        hint = f" For a single sample give {name}[{place}]." if single else ""
        raise ValueError(f"{name} has shape {tuple(shape)}, but its axes must be ({lengths}).{hint}")


def check_axes_of_factor(shape: tuple[int, ...], wanted: tuple[int, ...], name: str, what: str) -> None:
    """Whether a factor has, besides that of components, the axes that samples or features have in X."""
    if tuple(shape) != tuple(wanted):
        raise ValueError(f"{name} has axes {tuple(shape)} besides that of components, but {what} have {tuple(wanted)}.")


def check_picture(shape: tuple[int, ...], factor: str, what: str, other: str) -> None:
    """Whether a factor is made of pictures, with colours or without."""
    if len(shape) not in (2, 3):
        raise ValueError(
            f"{factor} has {len(shape)} axes besides that of components, and a picture has 2, or 3 with colours: "
            f"factorize an array whose {what}, and say so by sample_axes. plotting.{other} draws curves."
        )
    if len(shape) == 3 and shape[2] not in (1, 3, 4):
        raise ValueError(f"Colours are 3 values, or 4 with transparency, but the last axis of {factor} has {shape[2]}.")


def check_fit(able: bool, given: Any, what: str, how: str = "a fitted NMF") -> None:
    """Whether there is a factorization for what needs one; `how` an estimator is what holds one."""
    if not able:
        raise TypeError(
            f"{what} needs a factorization, or what holds one, such as an Ensemble or {how}; "
            f"got {type(given).__name__}."
        )


def check_x(x: Any, shape: tuple[int, ...], what: str) -> np.ndarray:
    """Places of all that has this shape, or along one of its axes: float64, dates, or an array of text.

    Text that reads as numbers is numbers.
    """
    array = _of_one_kind(x)
    n = math.prod(shape)
    if array.ndim != 1 or len(array) not in (n, *shape):
        found = f"{len(array)} values" if array.ndim == 1 else f"{array.ndim} dimensions"
        axes = f", along axes of {' and '.join(map(str, shape))}" if len(shape) > 1 else ""
        raise ValueError(f"x has {found}, but there are {n} {what}{axes}.")
    if array.dtype != object and not np.isfinite(array).all():
        raise ValueError("x must hold numbers, dates or names, but some of it is missing or infinite.")
    return array


def _of_one_kind(x: Any) -> np.ndarray:
    """Numbers as float64, dates as they are, everything else as text."""
    if isinstance(x, Axis):
        x = x.text if isinstance(x[0], tuple) else x.original
    array = np.asarray(x)
    if array.dtype.kind == "M" or (array.size and all(isinstance(one, datetime.date) for one in array.flat)):
        return array
    try:
        return array.astype(np.float64)
    except (TypeError, ValueError):
        return np.array([str(one) for one in array.flat], dtype=object).reshape(array.shape)


def check_page(path: Any, has_model: bool) -> None:
    """Whether a page is to be written to a file, and of a factorization."""
    if not isinstance(path, str | os.PathLike) or not has_model:
        raise TypeError("write_report needs the path of the page and then a factorization: write_report(path, f, X).")


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
