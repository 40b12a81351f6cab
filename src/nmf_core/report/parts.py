"""What a page says of one factorization, ready to be shown."""

import base64
import platform
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import scipy

from nmf_core import __version__, plotting
from nmf_core.factorization import Factorization
from nmf_core.interpretation import (
    component_shares,
    label_of,
    strongest_components,
    strongest_features,
    strongest_samples,
)

# Labels are cut to this many characters.
LONGEST_LABEL = 60
TYPICAL = 3  # samples of a component that are named


def cut(label: str) -> str:
    """A label that is not too long to be shown."""
    return label if len(label) <= LONGEST_LABEL else label[: LONGEST_LABEL - 1] + "…"


def is_partial(f: Factorization) -> bool:
    """Whether entries may have been missing."""
    return f.parameters.get("missing") is not None or bool(f.parameters.get("weighted"))


def entries(f: Factorization) -> str:
    """How many entries the fit has seen."""
    if not is_partial(f):
        return f"{f.n_stored:,} entries"
    return f"{f.n_stored:,} known entries ({100 * f.n_stored / (f.W.shape[0] * f.H.shape[1]):.3g} % of all)"


def biases(f: Factorization) -> dict[str, dict[str, str]]:
    """Mean, ranges of biases, and features with the largest and the smallest, of a model that has some."""
    if f.biases is None:
        return {}
    mean, rows, columns = f.biases
    facts = {"mean": f"{mean:.4g}"}
    for what, values in (("samples", rows), ("features", columns)):
        facts[what] = f"{values.min():+.3g} to {values.max():+.3g}"
    for what, j in (("highest", columns.argmax()), ("lowest", columns.argmin())):
        facts[f"{what} feature"] = f"{cut(label_of(f.column_labels, int(j)))} ({columns[j]:+.3g})"
    return {"Biases": facts}


def pictures(f: Factorization, X: Any, weights: Any) -> list[tuple[str, str]]:
    """(description, data URI) of every picture."""
    figures = [("Objective and violation by time", plotting.convergence(f))] if len(f.history) > 1 else []
    if X is not None:
        figures.append(("Error of every row", plotting.row_error(f, X, weights=weights)))
    figures.append(("Heat map of W", plotting.factor_heatmap(f, "W")))
    figures.append(("Heat map of H", plotting.factor_heatmap(f, "H")))
    return [(text, uri(figure)) for text, figure in figures]


def uri(figure: Any) -> str:
    """A picture as a data URI."""
    return f"data:image/svg+xml;base64,{base64.b64encode(plotting.svg(figure)).decode()}"


def components(f: Factorization, captions: Sequence[str] | None, most: int) -> list[dict[str, Any]]:
    """Name, share, caption, strongest features and named samples of the first `most` components."""
    names, shares = f.names, component_shares(f)
    named = f.row_labels is not None and not f.row_labels.is_numbering
    samples = strongest_samples(f, TYPICAL if named else 0)
    return [
        {
            "name": names[j],
            "share": shares[j],
            "caption": captions[j] if captions else "",
            "features": [(cut(feature.label), feature.weight) for feature in features],
            "samples": [cut(label_of(f.row_labels, int(i))) for i in samples[j]],
        }
        for j, features in enumerate(strongest_features(f)[:most])
    ]


def extremes(f: Factorization, errors: np.ndarray, n: int = 8) -> dict[str, list[tuple[str, float, str]]]:
    """Rows described worst and best: label, error, strongest component."""
    order = np.argsort(errors, kind="stable")[: np.count_nonzero(np.isfinite(errors))]
    names, strongest = f.names, strongest_components(f)

    def rows(indices: np.ndarray) -> list[tuple[str, float, str]]:
        return [(cut(label_of(f.row_labels, i)), errors[i], names[strongest[i]]) for i in indices]

    n = min(n, len(order) // 2)
    return {"Rows described best": rows(order[:n]), "Rows described worst": rows(order[::-1][:n])} if n else {}


def words(values: Mapping[str, Any]) -> dict[str, str]:
    """Names and values as text."""
    return {
        name.replace("_", " "): f"{value:.6g}" if isinstance(value, float) else str(value)
        for name, value in values.items()
    }


def versions() -> dict[str, str]:
    """What the page was made with."""
    return {
        "nmf-core": __version__,
        "NumPy": np.__version__,
        "SciPy": scipy.__version__,
        "Python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
    }
