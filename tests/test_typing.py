"""The choices that types offer are those that functions take, and a type checker finds what is not one of them."""

import subprocess
import sys
from typing import get_args

import pytest

from nmf_core import typing
from nmf_core.data.resampling import RESAMPLE
from nmf_core.ensemble.survey import RULES
from nmf_core.factors import ALPHA_SCALINGS
from nmf_core.interpretation import RANKINGS
from nmf_core.io.base import LABELS
from nmf_core.io.duplicates import DUPLICATES
from nmf_core.least_squares import SOLVERS as ROW_SOLVERS
from nmf_core.losses import LOSSES
from nmf_core.model_selection import METHODS
from nmf_core.online import SWEEPS
from nmf_core.readable import SCALES
from nmf_core.solvers import ALIASES, SOLVERS
from nmf_core.solvers.sgd import SCHEDULES
from nmf_core.start import STARTS
from nmf_core.validation import MISSING


@pytest.mark.parametrize(
    ("name", "there"),
    [
        ("LossName", LOSSES),
        ("SolverName", ["auto", *SOLVERS, *ALIASES]),
        ("BatchSolverName", ["auto", *SWEEPS]),
        ("RowSolverName", ROW_SOLVERS),
        ("StartName", STARTS),
        ("Missing", MISSING),
        ("AlphaScaling", ALPHA_SCALINGS),
        ("Resample", RESAMPLE),
        ("RuleName", RULES),
        ("HoldoutMethod", ["auto", *METHODS]),
        ("Ranking", RANKINGS),
        ("Scale", SCALES),
        ("Schedule", SCHEDULES),
        ("LabelPlaces", LABELS),
        ("Duplicates", DUPLICATES),
    ],
)
def test_choices_are_those_of_the_package(name, there):
    assert sorted(get_args(getattr(typing, name))) == sorted(there)


PROGRAM = """
import numpy as np
import nmf_core

X = np.ones((4, 3))
W: int = nmf_core.NMF(2).fit_transform(X)  # type: ignore[assignment]
V: int = nmf_core.MiniBatchNMF(2).fit(X).fit_transform(X)  # type: ignore[assignment]
f = nmf_core.factorize(X, 2, loss="kullback-leibler", solver="newton", missing="nan", init="random")
f.features(3, by="lift")
f.scaled("unit").sorted("sparsity")
nmf_core.factorize(X, 2, loss={loss!r})
"""


@pytest.mark.slow
@pytest.mark.parametrize(("loss", "fine"), [("frobenius", True), ("kullback", False)])
def test_type_checker_finds_a_choice_that_there_is_not(tmp_path, loss, fine):
    pytest.importorskip("mypy")
    (tmp_path / "program.py").write_text(PROGRAM.format(loss=loss))
    arguments = ["--strict", "--no-incremental", "program.py"]
    ran = subprocess.run([sys.executable, "-m", "mypy", *arguments], cwd=tmp_path, capture_output=True, text=True)
    assert (ran.returncode == 0) == fine, ran.stdout
    if not fine:
        assert '"loss"' in ran.stdout
