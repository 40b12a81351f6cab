"""Draw the picture of missing.md: what a fit takes for known in the same matrix.

python docs/missing.py docs/missing.png
"""

import sys

import numpy as np
from matplotlib.figure import Figure

KNOWN, ZERO, MISSING = "#cfe3f5", "#f3e3c0", "#ffffff"
NAN = np.nan
X = np.array([[5, 3, NAN, 1, NAN], [4, NAN, 0, 1, 2], [NAN, 1, NAN, 5, NAN], [1, NAN, 4, NAN, 4]])
WEIGHTS = np.array([[1, 1, 0, 2, 0], [1, 0, 1, 1, 3], [0, 1, 0, 1, 0], [0.5, 0, 1, 0, 1]])
HATCH = "////"


def cell(ax, i, j, text, color, hatch=None):
    """One entry: its text, and whether it counts as it is (blue), as zero (yellow), or not at all (hatched)."""
    ax.add_patch(_patch(j, i, color, hatch))
    ax.text(j + 0.5, i + 0.5, text, ha="center", va="center", fontsize=13)


def _patch(x, y, color, hatch):
    from matplotlib.patches import Rectangle

    return Rectangle((x, y), 1, 1, facecolor=color, edgecolor="#999999", hatch=hatch, linewidth=1)


def panel(ax, title, entry):
    """A matrix, of which `entry` says how every place looks."""
    for (i, j), x in np.ndenumerate(X):
        cell(ax, i, j, *entry(i, j, x))
    ax.set(xlim=(0, X.shape[1]), ylim=(X.shape[0], 0), aspect="equal", title=title)
    ax.axis("off")


def main(file):
    """Four panels."""
    figure = Figure(figsize=(13, 3.35), layout="constrained")
    axes = figure.subplots(1, 4)
    unknown = ("", MISSING, HATCH)
    panel(
        axes[0],
        "sparse, missing=None\nwhat is not stored is zero",
        lambda i, j, x: ("0", ZERO) if np.isnan(x) else (f"{x:g}", KNOWN),
    )
    panel(
        axes[1],
        'sparse, missing="unstored"\nwhat is not stored is missing',
        lambda i, j, x: unknown if np.isnan(x) else (f"{x:g}", KNOWN),
    )
    panel(
        axes[2],
        'array, missing="nan"\nNaN is missing, zeros are zeros',
        lambda i, j, x: ("NaN", *unknown[1:]) if np.isnan(x) else (f"{x:g}", KNOWN),
    )

    def weighted(i, j, x):
        w = WEIGHTS[i, j]
        value = "any" if np.isnan(x) else f"{x:g}"
        return (value, MISSING, HATCH) if w == 0 else (value if w == 1 else f"{value}\n$\\times${w:g}", KNOWN)

    panel(axes[3], "weights\n0 is missing, 2 counts twice", weighted)
    figure.savefig(file, dpi=100)


if __name__ == "__main__":
    main(sys.argv[1])
