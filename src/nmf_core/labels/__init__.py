"""Labels of rows and columns: taken off whatever has some, looked up, put in order, and given back in kind."""

from nmf_core.labels.axis import Axis, component_names, in_order
from nmf_core.labels.frames import (
    Labelled,
    LabelledMatrix,
    frame,
    index_columns,
    labelled,
    like,
    of_integers,
    tabulated,
)
from nmf_core.labels.stored import packed, unpacked

__all__ = [
    "Axis",
    "Labelled",
    "LabelledMatrix",
    "component_names",
    "frame",
    "in_order",
    "index_columns",
    "labelled",
    "like",
    "of_integers",
    "packed",
    "tabulated",
    "unpacked",
]
