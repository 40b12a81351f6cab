"""Put the library in scikit-learn's place: existing code runs unchanged, only faster.

What the library doesn't have stays scikit-learn's own.
"""

import sys
from typing import Any

MODULES = ("sklearn.decomposition", "sklearn.decomposition._nmf")
NAMES = ("NMF", "MiniBatchNMF", "non_negative_factorization")

# (module, name) -> scikit-learn's object, while the library stands in its place; empty otherwise.
_replaced: dict[tuple[str, str], Any] = {}


def patch_sklearn() -> None:
    """Make scikit-learn's ``NMF``, ``MiniBatchNMF`` and ``non_negative_factorization`` those of this library.

    Names that a program has imported before stay what they were. Does nothing if already done. Worker
    processes that start afresh are not patched, but models sent to them stay models of this library.

    Raises
    ------
    ImportError
        If scikit-learn is missing or older than 1.6.
    """
    # Imports scikit-learn's modules, and derives from its class, before any name is replaced.
    from nmf_core import estimators

    if is_patched():
        return
    for module in MODULES:
        for name in NAMES:
            _replaced[module, name] = getattr(sys.modules[module], name)
            setattr(sys.modules[module], name, getattr(estimators, name))


def unpatch_sklearn() -> None:
    """Put scikit-learn's own names back. Does nothing if they are in place."""
    while _replaced:
        (module, name), original = _replaced.popitem()
        setattr(sys.modules[module], name, original)


def is_patched() -> bool:
    """Return whether the names in scikit-learn are those of this library."""
    return bool(_replaced)
