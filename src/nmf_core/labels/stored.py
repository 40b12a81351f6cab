"""Labels as arrays of numbers and a description in JSON, for files without pickle."""

import importlib.util
import json
from collections.abc import Iterable, Mapping
from importlib import import_module
from typing import Any

import numpy as np

from nmf_core.labels.axis import Axis


def packed(index: Any, key: str) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Labels, and what else is needed to have the same index again.

    Parameters
    ----------
    index : pandas.Index or tuple
        Text, numbers and dates are kept as they are, also in the levels of a MultiIndex, and so are periods; objects of
        other kinds become text.
    key : str
        What the names of arrays begin with.

    Returns
    -------
    about : dict
        For JSON.
    arrays : dict of str to ndarray
        Without Python objects.
    """
    if isinstance(index, tuple):
        return _packed_objects(index, key)
    names = [name if isinstance(name, str | int | float | None) else str(name) for name in index.names]
    if index.nlevels > 1:
        levels = [packed(level, f"{key}.{i}") for i, level in enumerate(index.levels)]
        arrays = {name: array for _, more in levels for name, array in more.items()}
        arrays.update({f"{key}.{i}.codes": np.asarray(codes) for i, codes in enumerate(index.codes)})
        return {"levels": [about for about, _ in levels], "names": names}, arrays
    dtype = str(index.dtype)
    about = {"dtype": f"string[{index.dtype.storage}]" if dtype == "string" else dtype, "names": names}
    if hasattr(index, "step"):
        return {**about, "range": [index.start, index.stop, index.step]}, {}
    if isinstance(index.dtype, np.dtype) and index.dtype.kind in "iufb":
        return about, {key: index.to_numpy()}
    if hasattr(index, "asi8") and hasattr(index, "unit"):  # dates, or differences of them
        return {**about, "unit": index.unit, "freq": index.freqstr if "freqstr" in dir(index) else None}, {
            key: index.asi8
        }
    more, arrays = _packed_objects(tuple(index.map(str) if hasattr(index, "asi8") else index), key)
    return {**about, **more}, arrays


def unpacked(about: Mapping[str, Any], arrays: Mapping[str, np.ndarray], key: str) -> Axis:
    """The labels that `packed` has made these of; as a tuple where they were one, or pandas is not installed."""
    if "names" not in about or importlib.util.find_spec("pandas") is None:
        return Axis(_objects(about, arrays, key))
    return Axis(_index(about, arrays, key, import_module("pandas")))


def _index(about: Mapping[str, Any], arrays: Mapping[str, np.ndarray], key: str, pandas: Any) -> Any:
    """An index of pandas."""
    names, dtype = about["names"], about.get("dtype", "")
    if "levels" in about:
        levels = [_index(level, arrays, f"{key}.{i}", pandas) for i, level in enumerate(about["levels"])]
        codes = [arrays[f"{key}.{i}.codes"] for i in range(len(levels))]
        return pandas.MultiIndex(levels, codes, names=names)
    if "range" in about:
        return pandas.RangeIndex(*about["range"], name=names[0])
    if "unit" in about:
        index = pandas.Index(arrays[key].view(f"{'m' if 'timedelta' in dtype else 'M'}8[{about['unit']}]"))
        if "," in dtype:
            index = index.tz_localize("UTC").tz_convert(dtype.partition(", ")[2].rstrip("]"))
        if about["freq"]:
            index.freq = about["freq"]
        return index.rename(names[0])
    if "how" not in about:
        return pandas.Index(arrays[key], name=names[0])
    labels = list(_objects(about, arrays, key))
    try:
        return pandas.Index(labels, dtype=dtype, name=names[0], tupleize_cols=False)
    except (ImportError, TypeError, ValueError):  # a dtype that is not known here, or that labels as text do not fit
        return pandas.Index(labels, name=names[0], tupleize_cols=False)


def _objects(about: Mapping[str, Any], arrays: Mapping[str, np.ndarray], key: str) -> Iterable[Any]:
    """The labels as Python objects, or of NumPy where those are dates."""
    if "levels" in about:
        levels = [tuple(_objects(level, arrays, f"{key}.{i}")) for i, level in enumerate(about["levels"])]
        codes = [arrays[f"{key}.{i}.codes"] for i in range(len(levels))]
        columns = (
            [None if code < 0 else level[code] for code in own] for level, own in zip(levels, codes, strict=True)
        )
        return zip(*columns, strict=True)
    if "range" in about:
        return range(*about["range"])
    if "unit" in about:
        return list(arrays[key].view(f"{'m' if 'timedelta' in about['dtype'] else 'M'}8[{about['unit']}]"))
    if "how" not in about:
        return arrays[key].tolist()
    text, ends = arrays[key].tobytes(), arrays[f"{key}.ends"].tolist()
    labels = [text[first:end].decode("utf-8", "surrogatepass") for first, end in zip([0, *ends], ends, strict=False)]
    return labels if about["how"] == "text" else [_hashable(json.loads(label)) for label in labels]


def _packed_objects(labels: tuple[Any, ...], key: str) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Text as UTF-8, with the ends of labels in bytes; other objects as JSON."""
    how = "text" if all(isinstance(label, str) for label in labels) else "json"
    texts = labels if how == "text" else (json.dumps(label, default=_plain) for label in labels)
    data = [text.encode("utf-8", "surrogatepass") for text in texts]
    ends = np.cumsum([len(label) for label in data], dtype=np.int64)
    return {"how": how}, {key: np.frombuffer(b"".join(data), dtype=np.uint8), f"{key}.ends": ends}


def _plain(label: Any) -> Any:
    return label.item() if isinstance(label, np.generic) else str(label)


def _hashable(label: Any) -> Any:
    return tuple(map(_hashable, label)) if isinstance(label, list) else label
