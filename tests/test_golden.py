"""Files that an earlier version has written: what goes on from them ends where that version ended."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import nmf_core

FOLDER = Path(__file__).parent / "golden"
X = np.random.default_rng(0).poisson(2.0, (24, 15)).astype(float)
HOLES = np.where((np.arange(24)[:, np.newaxis] % 5 == 0) & (np.arange(15) % 4 == 0), np.nan, X)
# The checkpoints are of four iterations; the objectives, of the whole fits of twelve.
FITS = {
    "hals": {},
    "plain": {"acceleration": False, "shuffle": True, "alpha_W": 0.01},
    "newton": {"loss": "kullback-leibler"},
    "mue": {"loss": 1.5},
    "sgd": {"solver": "sgd"},
    "sequential": {"solver": "sequential", "init": "random"},
    "als": {"solver": "als"},
    "missing": {"missing": "nan", "alpha_W": 0.01, "alpha_scaling": "observed"},
    "biases": {"missing": "nan", "biases": True, "alpha_W": 0.1},
}
EXPECTED = json.loads((FOLDER / "expected.json").read_text())


@pytest.mark.parametrize("name", FITS)
def test_fits_go_on_from_checkpoints(name, tmp_path):
    path = tmp_path / "state"
    shutil.copy(FOLDER / f"{name}.checkpoint", path)
    A = HOLES if "missing" in FITS[name] else X
    seen = []
    fit = nmf_core.factorize(
        A, 3, max_iter=12, tol=0, random_state=0, checkpoint=path, callback=lambda s: seen.append(s.iteration),
        **FITS[name],
    )  # fmt: skip
    assert seen[:1] == ([] if name == "sequential" else [4])  # which had built all components
    assert fit.objective == pytest.approx(EXPECTED[name], rel=1e-9)


def test_models_are_read():
    model = nmf_core.load(FOLDER / "biases.npz")
    assert model.objective == pytest.approx(EXPECTED["biases"], rel=1e-9)
    predicted = model.predict(np.arange(24), np.zeros(24, dtype=int))
    whole = model.W @ model.H + model.biases.mean + model.biases.rows[:, np.newaxis] + model.biases.columns
    np.testing.assert_allclose(predicted, whole[:, 0], rtol=1e-12)
