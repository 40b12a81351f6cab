"""Results as text and as tables for notebooks."""

from typing import Any

from nmf_core.html import cell
from nmf_core.html import table as html_table


def text(kind: str, caption: str, columns: dict[str, Any], most: int = 20) -> str:
    """A table with a caption; of more rows than `most` the first."""
    n = len(next(iter(columns.values())))
    cells = {
        name: ["" if value is None else cell(value) for value in column[:most]] for name, column in columns.items()
    }
    widths = {name: max(map(len, [name, *column])) for name, column in cells.items()}
    lines = ["  ".join(f"{name:>{width}}" for name, width in widths.items())]
    lines += ["  ".join(f"{column[i]:>{widths[name]}}" for name, column in cells.items()) for i in range(min(n, most))]
    lines += [f"... {n - most} more"] if n > most else []
    return "\n".join([f"<{kind}: {caption}", *lines]) + ">"


def html(caption: str, columns: dict[str, Any]) -> str:
    """Columns as a table for notebooks."""
    return html_table(
        {name: ["" if value is None else value for value in column] for name, column in columns.items()}, caption
    )
