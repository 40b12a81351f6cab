"""Draw the picture of solvers.md: the objective against seconds, for every solver from one start.

python docs/solvers.py docs/solvers.png
"""

import sys

from sklearn.datasets import load_digits

import nmf_core
from nmf_core import plotting


def main(file):
    """The digits of scikit-learn, which everybody has."""
    comparison = nmf_core.compare_solvers(load_digits().data, 20, init="random", time_limit=2, random_state=2)
    figure = plotting.solver_curves(comparison)
    figure.set_size_inches(7.5, 4.6)
    figure.savefig(file, dpi=110)


if __name__ == "__main__":
    main(sys.argv[1])
