"""The model as a page holds it: quantised, so that the page can rank features, and find W of new rows, by itself."""

import base64
import json
from typing import Any

import numpy as np

from nmf_core.factorization import Factorization
from nmf_core.interpretation import component_shares, contributions, feature_scores, label_of, strongest_samples
from nmf_core.labels import labelled
from nmf_core.losses import make_loss
from nmf_core.report.parts import cut, is_partial

# Entries of H and features that a page holds at most, and entries that have 16 bits each: beyond, they have 8.
MOST_ENTRIES, MOST_FEATURES = 2_000_000, 100_000
FINE_ENTRIES = 250_000
# Samples of every component that are named, features of a static list, and numbers of X that are looked at.
N_SAMPLES, N_FEATURES = 12, 10
_LOOKED_AT = 20_000_000
_NOTHING = 1e-6  # of the largest entry of its component
# Relevances that are compared with the ranking of the static lists, for so many components.
_RELEVANCES, _COMPARED = np.linspace(0.1, 0.9, 9), 50


def model_data(f: Factorization, X: Any = None) -> dict[str, Any]:
    """What the script of a page is told: plain values, and arrays in base64.

    A row of H is its largest entry, and the others relative to it as integers of 16 or 8 bits, in proportion to their
    roots so that small ones have digits, too. Where many of them are zero, zeros are skipped.

    Parameters
    ----------
    f : Factorization
        The model.
    X : array-like, sparse matrix or data frame of shape (n_samples, n_features), optional
        What was factorized: it tells what a word is worth where it occurs, if that is no count.

    Returns
    -------
    dict
        For `as_json`.
    """
    kept = kept_features(f)
    H = f.H.astype(np.float64) if kept is None else f.H[:, kept].astype(np.float64)
    fine = bool(np.count_nonzero(H) <= FINE_ENTRIES)
    named = f.column_labels is not None and not f.column_labels.is_numbering
    indices = range(f.H.shape[1]) if kept is None else kept.tolist()
    return {
        "names": list(map(str, f.names)),
        "shares": component_shares(f).tolist(),
        "sums": f.H.sum(axis=1, dtype=np.float64).tolist(),
        "norms": np.linalg.norm(f.H.astype(np.float64), axis=1).tolist(),
        "nFeatures": f.H.shape[1],
        "size": len(H[0]),
        "kept": None if kept is None else _base64(kept.astype("<u4")),
        "labels": [cut(label_of(f.column_labels, i)) for i in indices] if named else None,
        "levels": 65535 if fine else 255,
        "rows": [quantised(h, fine) for h in H],
        "samples": _samples(f),
        "relevance": relevance(f, kept),
        "worth": _worth(f, X, kept) if named else None,
        **_problem(f, kept),
    }


def as_json(data: dict[str, Any]) -> str:
    """Data as text that may stand in an element of HTML: nothing in it can end the element."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    try:
        text.encode()
    except UnicodeEncodeError:  # half a character in a label
        text = json.dumps(data, separators=(",", ":"))
    return text.replace("<", "\\u003c")


def kept_features(f: Factorization) -> np.ndarray | None:
    """Numbers of the features that a page has room for, those with the largest share in any component; None for all."""
    k, m = f.H.shape
    most = min(MOST_FEATURES, max(1, MOST_ENTRIES // k))
    if m <= most:
        return None
    strength = feature_scores(f, "weight").max(axis=0)
    return np.sort(np.argpartition(-strength, most)[:most])


def quantised(h: np.ndarray, fine: bool) -> list[Any]:
    """The largest entry of a row, gaps between those that are not zero (or nothing if all are there), and these.

    An entry is the largest times the square of its integer over the largest integer; it is zero below a millionth of
    the largest. A gap is a byte, the number of zeros before an entry; 255 says that there are so many, and more to
    come.
    """
    top = h.max(initial=0.0)
    if not top > 0:
        return [0.0, "", ""]
    levels, dtype = (65535, "<u2") if fine else (255, "u1")
    h = np.where(h < _NOTHING * top, 0, h)
    numbers = np.rint(levels * np.sqrt(h / top)).astype(dtype)
    places = np.flatnonzero(numbers)
    zeros = np.diff(places, prepend=-1) - 1
    ends = np.cumsum(zeros // 255 + 1)
    if ends[-1] + len(places) * numbers.itemsize >= numbers.nbytes:
        return [float(top), "", _base64(numbers)]
    gaps = np.full(ends[-1], 255, dtype="u1")
    gaps[ends - 1] = zeros % 255
    return [float(top), _base64(gaps), _base64(numbers[places])]


def _base64(array: np.ndarray) -> str:
    return base64.b64encode(array.tobytes()).decode()


def _problem(f: Factorization, kept: np.ndarray | None) -> dict[str, Any]:
    """How W of a row is found: the loss as a beta, penalties, what is missing, biases; or why it can't be."""
    parameters, m = f.parameters, f.H.shape[1]
    reason = ""
    if f.own_loss is not None:
        reason = "its loss is one of its user's own"
    elif parameters.get("factor_W"):
        reason = "its W has bounds or penalties of its own"
    if reason:
        return {"beta": None, "reason": reason}
    missing = parameters.get("missing")
    by_known = parameters.get("alpha_scaling") == "observed" and (missing is not None or f.biases is not None)
    strength = parameters.get("alpha_W", 0.0) * (1 if by_known else m)
    l1_ratio = parameters.get("l1_ratio", 0.0)
    biases = None
    if f.biases is not None:
        columns = f.biases.columns if kept is None else f.biases.columns[kept]
        biases = {"mean": float(f.biases.mean), "columns": _base64(columns.astype("<f4"))}
    return {
        "beta": make_loss(f.loss).kernel,
        "l1": strength * l1_ratio,
        "l2": strength * (1 - l1_ratio),
        "byKnown": by_known,
        "missing": missing,
        "floor": float(parameters.get("floor") or 0.0),
        "biases": biases,
    }


def _samples(f: Factorization) -> list[list[Any]]:
    """For every component its strongest samples: label, strength relative to the first, share in the sample."""
    parts = contributions(f).astype(np.float64)
    totals = parts.sum(axis=1)
    lists = []
    for part, rows in zip(parts.T, strongest_samples(f, N_SAMPLES), strict=True):
        shares = zip(part[rows] / (part[rows].max(initial=0.0) or 1.0), part[rows] / totals[rows], strict=True)
        lists.append(
            [
                [cut(label_of(f.row_labels, int(i))), round(float(strength), 4), round(float(share), 4)]
                for i, (strength, share) in zip(rows, shares, strict=True)
            ]
        )
    return lists


def relevance(f: Factorization, kept: np.ndarray | None = None) -> float | None:
    """The lambda for which ``lambda log p + (1 - lambda) log(p / q)`` finds most of the features of the static lists.

    p is the share of a feature in its component and q that in the model; None if there is nothing to compare. Of a
    large model these are features that are `kept`.
    """
    some = np.flatnonzero(f.H.any(axis=1))
    if len(some) < 2:
        return None
    places = slice(None) if kept is None else kept
    p = feature_scores(f, "weight")[:, places]
    best, q, p = feature_scores(f)[some[:_COMPARED]][:, places], component_shares(f) @ p, p[some[:_COMPARED]]
    n = min(N_FEATURES, p.shape[1])
    log_p = np.log(p, out=np.full_like(p, -np.inf), where=p > 0)
    log_q = np.log(q, out=np.zeros_like(q), where=q > 0)
    wanted = _strongest(best, n)
    alike = [np.count_nonzero(wanted & _strongest(log_p - (1 - value) * log_q, n)) for value in _RELEVANCES]
    return round(float(_RELEVANCES[int(np.argmax(alike))]), 2)


def _strongest(scores: np.ndarray, n: int) -> np.ndarray:
    """Which are the n largest of every row."""
    chosen = np.zeros(scores.shape, dtype=bool)
    np.put_along_axis(chosen, np.argpartition(-scores, n - 1, axis=1)[:, :n], True, axis=1)
    return chosen


def _worth(f: Factorization, X: Any, kept: np.ndarray | None) -> list[Any] | None:
    """What an entry of every feature is on average where it is not zero, quantised; None where X holds counts.

    So that a word that is typed counts as it does in X, as after TF-IDF. Of a large X some rows are looked at.
    """
    if X is None or is_partial(f):
        return None
    data = labelled(f._flat(X), "X").in_memory().aligned("X", columns=f.column_labels, of="the fit").values
    data = data.tocsr() if hasattr(data, "tocsr") else np.asarray(data)
    data = data[:: max(1, -(-data.size // _LOOKED_AT))]
    ones = data != 0
    sums, counts = (np.asarray(part.sum(axis=0), dtype=np.float64).ravel() for part in (data, ones))
    values = data.data if hasattr(data, "tocsr") else data
    if np.array_equal(values, np.rint(values)):
        return None
    worth = np.divide(sums, counts, out=np.full(len(sums), sums.sum() / max(1.0, counts.sum())), where=counts > 0)
    return quantised(worth if kept is None else worth[kept], fine=True)
