"""The demonstration: topics of Debian's packages.

The corpus comes from the package index of Debian 12 "bookworm": how often which word occurs in the
description of a package. It was chosen from 63,436 packages and 18,352 words by these rules:

- Sections about a subject, not about a programming language or a kind of package: 27 of 58.
- Packages whose description has at least 15 different words. Of those in a section whose counts have a cosine
  above 0.7, as the parts of one program have, only the one with the most different words. From every section
  at most 405, those with the most different words: 6,000 in all.
- The 5,000 words that occur in the most of these descriptions.

English stop words, words in more than half of all descriptions and in fewer than 5 were left out before.
"""

import itertools
import shutil
import time
import warnings
from collections.abc import Sequence
from dataclasses import replace
from importlib.resources import as_file, files
from pathlib import Path
from typing import NamedTuple

import numpy as np
import scipy.sparse as sp

from nmf_core.factorization import Factorization
from nmf_core.factorize import factorize
from nmf_core.interpretation import strongest_components, strongest_features
from nmf_core.labels import Axis


class Corpus(NamedTuple):
    """Packages by words.

    Attributes
    ----------
    counts : CSR matrix of shape (6000, 5000), uint8
        How often a word occurs in the description of a package.
    packages : tuple of str
        Names of the rows.
    words : tuple of str
        Names of the columns.
    sections : ndarray of str, shape (6000,)
        The section of every package.
    """

    counts: sp.csr_matrix
    packages: tuple[str, ...]
    words: tuple[str, ...]
    sections: np.ndarray


def load_corpus() -> Corpus:
    """The embedded corpus of package descriptions."""
    with as_file(files("nmf_core") / "corpus" / "debian_packages.npz") as path:
        counts = sp.load_npz(path)
        with np.load(path) as arrays:
            names, sections = arrays["section_names"].astype(str), arrays["section"]
            rows, columns = (tuple(map(str, arrays[name].astype(str))) for name in ("row_labels", "column_labels"))
    return Corpus(counts, rows, columns, names[sections])


def tf_idf(counts: sp.csr_matrix) -> sp.csr_matrix:
    """Counts weighted so that rare words say more, and long texts no more than short ones.

    A count c becomes (1 + log c) log(n / d) for a word in d of the n rows; then rows are scaled to length 1.

    Parameters
    ----------
    counts : CSR matrix of shape (n_samples, n_features)
        Counts, with no empty rows. Not modified.

    Returns
    -------
    CSR matrix of float64
    """
    n, m = counts.shape
    frequency = np.bincount(counts.indices, minlength=m)
    X = counts.astype(np.float64)
    X.data = (1 + np.log(X.data)) * np.log(n / frequency)[X.indices]
    lengths = np.sqrt(np.asarray(X.multiply(X).sum(axis=1)).ravel())
    X.data /= np.repeat(lengths, np.diff(X.indptr))
    return X


class Run(NamedTuple):
    """What a library made of the job."""

    name: str
    seconds: float
    n_iter: int
    relative_error: float


def run_nmf_core(X: sp.csr_matrix, k: int, seed: int, n_threads: int | None) -> tuple[Run, Factorization]:
    """Factorize with this library from the random start of a seed."""
    start = time.perf_counter()
    f = factorize(X, k, init="random", random_state=seed, max_iter=1000, n_threads=n_threads)
    seconds = time.perf_counter() - start
    return Run("nmf-core", seconds, f.n_iter, f.summary()["relative_error"]), f


def run_scikit_learn(X: sp.csr_matrix, k: int, seed: int) -> Run:
    """Factorize with scikit-learn from the same start: a seed draws the same numbers in both.

    Raises
    ------
    ImportError
        scikit-learn is not installed.
    """
    try:
        from sklearn.decomposition import NMF
    except ImportError as error:
        raise ImportError('The comparison needs scikit-learn: pip install "nmf-core[cli]"') from error
    model = NMF(k, init="random", random_state=seed, max_iter=1000)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it has not converged, for a large k
        start = time.perf_counter()
        model.fit_transform(X)
        seconds = time.perf_counter() - start
    relative_error = float(model.reconstruction_err_ / np.sqrt(X.multiply(X).sum()))
    return Run("scikit-learn", seconds, model.n_iter_, relative_error)


def describe_sections(f: Factorization, sections: np.ndarray, n: int = 3) -> list[tuple[int, str]]:
    """For every component: number and most frequent sections of the packages to which it contributes most."""
    strongest = strongest_components(f)
    described = []
    for j in range(f.n_components):
        names, counts = np.unique(sections[strongest == j], return_counts=True)
        top = np.argsort(-counts, kind="stable")[:n]
        shares = (f"{names[i]} {counts[i] / counts.sum():.0%}" for i in top)
        described.append((int(counts.sum()), ", ".join(shares)))
    return described


def _topics(f: Factorization, described: Sequence[tuple[int, str]], width: int) -> str:
    """Components as a table of `width` characters a line."""
    sections_width = width // 3
    words_width = width - sections_width - 18
    lines = [f"{'':>4}  packages  {'strongest words':<{words_width}}  in sections", "-" * width]
    topics = zip(f.names, strongest_features(f), described, strict=True)
    for name, features, (n, sections) in topics:
        words = _fitting([feature.label for feature in features], " ", words_width)
        where = _fitting(sections.split(", "), ", ", sections_width)
        lines.append(f"{name:>4}  {n:>8}  {words:<{words_width}}  {where}")
    return "\n".join(lines)


def _fitting(parts: Sequence[str], separator: str, width: int) -> str:
    """As many of the first parts as fit into `width` characters."""
    lengths = itertools.accumulate(len(part) + len(separator) for part in parts)
    return separator.join(parts[: sum(length - len(separator) <= width for length in lengths)])


def comparison(runs: Sequence[Run]) -> list[tuple[str, ...]]:
    """The runs as rows of a table with a head."""
    head = ("", "seconds", "iterations", "relative error")
    return [head, *((r.name, f"{r.seconds:.3f}", str(r.n_iter), f"{r.relative_error:.6f}") for r in runs)]


def run(k: int = 20, *, seed: int = 0, n_threads: int | None = None, report: Path) -> None:
    """Factorize the corpus, print topics and timings, and write the report.

    Parameters
    ----------
    k : int
        Number of topics.
    seed : int
        Seed of the random start.
    n_threads : int, optional
        Threads of this library; scikit-learn has its own default.
    report : Path
        Where the page with pictures goes.
    """
    from nmf_core.report import write_report

    width = min(100, max(80, shutil.get_terminal_size((100, 24)).columns))
    corpus = load_corpus()
    X = tf_idf(corpus.counts)
    n, m = X.shape
    print(f"{n:,} descriptions of Debian packages x {m:,} words ({X.nnz:,} counts, TF-IDF)")
    ours, f = run_nmf_core(X, k, seed, n_threads)
    f = replace(f, row_labels=Axis(corpus.packages), column_labels=Axis(corpus.words))
    described = describe_sections(f, corpus.sections)
    print(f"{k} topics, found by X ~ W H in {ours.seconds:.2f} seconds with {f.n_threads} threads:\n")
    print(_topics(f, described, width))
    theirs = run_scikit_learn(X, k, seed)
    table = comparison((ours, theirs))
    print("\nThe same job from the same start, each library with its own default tolerance:\n")
    for name, *cells in table:
        print(f"  {name:<14}" + "".join(f"{cell:>16}" for cell in cells))
    print(f"\n  {theirs.seconds / ours.seconds:.1f} times as fast as scikit-learn")
    write_report(
        report,
        f,
        X,
        title="What Debian's packages are about",
        captions=[f"{count} packages: {sections}" for count, sections in described],
        tables={"The same job from the same start": table},
    )
    print(f"\nPictures of all this: {report}")
