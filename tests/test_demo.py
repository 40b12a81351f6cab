"""The demonstration and the corpus embedded for it."""

import os
import subprocess
import sys
from importlib.resources import files

import numpy as np
import pytest

from nmf_core import demo


@pytest.fixture(scope="module")
def corpus():
    return demo.load_corpus()


def test_corpus(corpus):
    counts, packages, words, sections = corpus
    assert counts.shape == (len(packages), len(words)) == (6000, 5000)
    assert counts.format == "csr"
    assert counts.has_canonical_format
    assert counts.data.min() >= 1
    assert len(set(packages)) == 6000
    assert len(set(words)) == 5000
    assert sections.shape == (6000,)
    assert len(np.unique(sections)) == 27
    assert min(np.diff(counts.indptr)) > 0
    assert not [word for word in words if word.isdecimal()]
    word = words.index("chess")
    assert sections[packages.index("gnuchess")] == "games"
    assert counts[packages.index("gnuchess"), word] > 0


def test_corpus_is_small():
    file = files("nmf_core") / "corpus" / "debian_packages.npz"
    assert len(file.read_bytes()) < 600_000


def test_tf_idf(corpus):
    before = corpus.counts.copy()
    X = demo.tf_idf(corpus.counts)
    assert (before != corpus.counts).nnz == 0
    np.testing.assert_allclose(X.multiply(X).sum(axis=1), 1)
    dense = corpus.counts[:5].toarray().astype(float)
    with np.errstate(divide="ignore"):
        weights = np.where(dense > 0, 1 + np.log(dense), 0) * np.log(6000 / (corpus.counts > 0).sum(axis=0).A1)
    np.testing.assert_allclose(X[:5].toarray(), weights / np.linalg.norm(weights, axis=1, keepdims=True))


@pytest.mark.slow
def test_demo_finds_topics_and_writes_the_report(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "nmf_core.cli", "demo"],
        check=True,
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "COLUMNS": "80"},
        timeout=200,
    )
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    topics = [line for line in lines if line.lstrip().startswith("c")]
    assert [line.split()[0] for line in topics] == [f"c{j + 1}" for j in range(20)]
    assert any("game" in line and "games 9" in line for line in topics)
    assert any("font" in line and "fonts 8" in line for line in topics)
    ours, theirs = (line.split()[1:] for line in lines if line.startswith(("  nmf-core", "  scikit-learn")))
    assert float(ours[2]) == pytest.approx(float(theirs[2]), rel=1e-3)
    assert [path.name for path in tmp_path.iterdir()] == ["nmf-core-demo.html"]
    page = (tmp_path / "nmf-core-demo.html").read_text(encoding="utf-8")
    assert "The same job from the same start" in page
    assert "packages: " in page
    assert len(page) < 1_000_000


def test_fitting():
    assert demo._fitting(["ab", "cd", "ef"], " ", 5) == "ab cd"
    assert demo._fitting(["ab", "cd", "ef"], ", ", 10) == "ab, cd, ef"
    assert demo._fitting(["abc"], ", ", 2) == ""
