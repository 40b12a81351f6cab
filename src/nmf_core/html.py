"""Tables for notebooks."""

from collections.abc import Iterable, Mapping
from html import escape
from typing import Any

import numpy as np

_STYLE = "border-collapse:collapse;font-variant-numeric:tabular-nums;margin:.4em 0"  # as narrow as what it says


def cell(value: Any) -> str:
    """A value as text: numbers with four digits."""
    if isinstance(value, (float, np.floating)):
        return "" if np.isnan(value) else f"{value:.4g}"
    return str(value)


def table(columns: Mapping[str, Any], caption: str = "", most: int = 50) -> str:
    """Columns of the same length as an HTML table with a caption; of more than `most` rows the first."""
    names = list(columns)
    n = len(columns[names[0]]) if names else 0
    head = "".join(f"<th>{escape(str(name))}</th>" for name in names)
    rows = (
        "".join(
            f'<td style="text-align:{"right" if _is_number(columns[name][i]) else "left"}">'
            f"{escape(cell(columns[name][i]))}</td>"
            for name in names
        )
        for i in range(min(n, most))
    )
    body = "".join(f"<tr>{row}</tr>" for row in rows)
    more = f"<tr><td colspan={len(names)}>... {n - most} more rows</td></tr>" if n > most else ""
    said = f'<caption style="text-align:left">{escape(caption)}</caption>' if caption else ""
    return f'<table style="{_STYLE}">{said}<thead><tr>{head}</tr></thead><tbody>{body}{more}</tbody></table>'


def pairs(values: Mapping[str, Any], caption: str = "") -> str:
    """Names and values, one below the other."""
    rows = "".join(
        f'<tr><th style="text-align:left">{escape(name.replace("_", " "))}</th><td>{escape(cell(value))}</td></tr>'
        for name, value in values.items()
    )
    said = f'<caption style="text-align:left">{escape(caption)}</caption>' if caption else ""
    return f'<table style="{_STYLE}">{said}<tbody>{rows}</tbody></table>'


def beside(parts: Iterable[str]) -> str:
    """Tables side by side where there is room."""
    return f'<div style="display:flex;flex-wrap:wrap;gap:2em">{"".join(parts)}</div>'


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)
