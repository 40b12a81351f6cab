"""The page: complete, self-contained, and safe from what labels say."""

import html.parser
from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp

import nmf_core
from nmf_core import report
from nmf_core.report import render_report, write_report


@pytest.fixture(scope="module")
def X():
    return np.random.default_rng(0).random((60, 3)) @ np.random.default_rng(1).random((3, 20))


@pytest.fixture(scope="module")
def f(X):
    f = nmf_core.factorize(X, 3, random_state=0)
    return replace(
        f,
        row_labels=tuple(f"row {i}" for i in range(60)),
        column_labels=tuple(f"<b>{i}</b>" for i in range(20)),
    )


class Page(html.parser.HTMLParser):
    """Tags that are open, texts, and everything that the page refers to."""

    def __init__(self, page):
        super().__init__()
        self.open, self.texts, self.references, self.headings = [], [], [], []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attributes):
        assert tag not in ("script", "link", "iframe", "object", "form")
        self.references += [value for name, value in attributes if name in ("src", "href", "action", "srcset")]
        if tag not in ("meta", "img", "br", "source"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, text):
        self.texts.append(text)
        if self.open and self.open[-1] in ("h1", "h2", "h3"):
            self.headings.append(text.strip())


def test_everything_is_there(f, X):
    page = Page(render_report(f, X, title="A title"))
    assert page.open == []
    assert page.headings[0] == "A title"
    for heading in (
        "Components",
        "Rows",
        "Rows described best",
        "Result",
        "Parameters",
        "Versions",
        "c1",
        "c3",
    ):
        assert heading in page.headings
    text = " ".join(page.texts)
    for word in (
        "60 samples",
        "20 features",
        "nndsvda",
        "hals",
        "relative error",
        nmf_core.__version__,
        np.__version__,
    ):
        assert word in text
    assert len(page.references) == 4


@pytest.mark.slow
@pytest.mark.parametrize("loss", ["kullback-leibler", 1.5])
def test_a_fit_by_another_loss(X, loss):
    f = nmf_core.factorize(X, 3, loss=loss, random_state=0)
    page = Page(render_report(f, X))
    assert page.open == []
    text = " ".join(page.texts)
    for word in (str(loss), f.solver, "relative error", "divergence", "Rows described best"):
        assert word in text


def test_the_loss_is_named(f, X):
    assert "3 components; loss: frobenius" in render_report(f)
    by_number = nmf_core.factorize(X, 1, loss=1.5, max_iter=2)
    assert "1,200 entries, 1 component; loss: beta-divergence, beta = 1.5" in by_words(render_report(by_number))


def by_words(page):
    return " ".join("".join(Page(page).texts).split())


@pytest.mark.slow
@pytest.mark.parametrize(("container", "biases"), [("array", True), ("sparse", False), ("weights", False)])
def test_missing_entries(X, container, biases):
    known = np.random.default_rng(2).random(X.shape) < 0.5
    known[11] = False
    data, how = np.where(known, X, np.nan), {"missing": "nan"}
    if container == "sparse":
        data, how = sp.csr_array(np.where(known, X, 0)), {"missing": "unstored"}
    weights = known * 2.0 if container == "weights" else None
    if weights is not None:
        data, how = X, {"weights": weights}
    f = nmf_core.factorize(data, 2, biases=biases, alpha_W=1e-3, random_state=0, **how)
    f = replace(f, column_labels=tuple(f"feature {j}" for j in range(20)))
    rendered = render_report(f, data, weights=weights)
    page, text = Page(rendered), by_words(rendered)
    assert page.open == []
    n_known = np.count_nonzero(known)
    assert f"{n_known:,} known entries ({n_known / 12:.3g} % of all), 2 components" in text
    assert "both over its known entries" in text
    assert ("Biases" in page.headings) == biases
    if biases:
        highest = int(f.biases.columns.argmax())
        assert f"feature {highest} ({f.biases.columns[highest]:+.3g})" in text


def test_nothing_comes_from_elsewhere(f, X):
    rendered = render_report(f, X)
    page = Page(rendered)
    assert all(reference.startswith("data:image/svg+xml;base64,") for reference in page.references)
    assert "http" not in rendered
    assert "url(" not in rendered
    assert "@import" not in rendered
    assert len(rendered) < 1_000_000


def test_labels_are_text(f, X):
    hostile = "<script>alert(1)</script>"
    f = replace(f, column_labels=(hostile, *f.column_labels[1:]), row_labels=(hostile,) * 60)
    page = render_report(f, X, title=hostile, captions=[hostile] * 3, tables={hostile: [(hostile,), (hostile,)]})
    assert hostile in " ".join(Page(page).texts)
    assert "<script" not in page
    assert "<b>1</b>" not in page


def test_without_the_matrix(f):
    page = Page(render_report(f))
    assert "Rows" not in page.headings
    assert len(page.references) == 3


def test_captions_and_tables(f, X):
    tables = {"Who won": [("", "seconds"), ("ours", "1.5")]}
    page = Page(render_report(f, X, captions=["first", "second", "third"], tables=tables))
    assert {"first", "second", "third", "ours", "1.5"} <= set(page.texts)
    assert "Who won" in page.headings


def test_many_components_and_long_labels(X, monkeypatch):
    monkeypatch.setattr(report, "MOST_COMPONENTS", 4)
    f = nmf_core.factorize(X, 6, random_state=0)
    f = replace(f, column_labels=tuple("x" * 500 + str(i) for i in range(20)))
    rendered = render_report(f, X)
    assert "2 more components are not shown" in rendered
    assert "c5" not in Page(rendered).headings
    assert "x" * 100 not in rendered


# --- many runs


def in_cells(page):
    """Words with blanks between those of different cells."""
    return " ".join(" ".join(Page(page).texts).split())


@pytest.fixture(scope="module")
def survey(X):
    return nmf_core.rank_survey(X, [2, 3], 4, null=True, random_state=0, max_iter=30)


def test_an_ensemble_and_a_survey(X, survey):
    ensemble = survey[3]
    rendered = render_report(ensemble.best, X, ensemble=ensemble, survey=survey, labels=["<i>a</i>", "b"] * 30)
    page, text = Page(rendered), in_cells(rendered)
    assert page.open == []
    assert {"Number of components", "4 runs of 3 components", "Agreement", "Stability"} <= {*page.headings}
    assert f"{survey.best}: {survey.reason}." in text
    for words in (f"cophenetic correlation {ensemble.cophenetic:.4f}", f"dispersion {ensemble.dispersion:.4f}",
                  f"ambiguous pairs (PAC) {ensemble.pac:.4f}", f"mean silhouette {ensemble.silhouette.mean():.4f}",
                  "components runs held-out error standard error explained variance"):  # fmt: skip
        assert words in text
    for name, mean, least in zip(("c1", "c2", "c3"), *ensemble.stability, strict=True):
        assert f"{name} {mean:.3f} {least:.3f}" in text
    assert rendered.count('class="chosen"') == 1
    # four of the fit, two of the runs, and of the survey one that is there for two widths, and one more
    assert len(page.references) == 9
    assert all(reference.startswith("data:image/svg+xml;base64,") for reference in page.references)
    assert "<i>a" not in rendered


def test_stability_is_that_of_the_components_of_the_page(X, survey, monkeypatch):
    monkeypatch.setattr(report.plotting, "svg", lambda figure: b"")
    ensemble = survey[3]
    other = (ensemble.i_best + 1) % 4
    cosine = np.delete(ensemble.align(other).cosine, other, axis=0)
    text = in_cells(render_report(ensemble[other], ensemble=ensemble))
    for j in range(3):
        assert f"c{j + 1} {cosine[:, j].mean():.3f} {cosine[:, j].min():.3f}" in text
    with pytest.raises(ValueError, match=r"H of the page's factorization has shape \(3, 20\), but \(2, 20\)"):
        render_report(ensemble.best, ensemble=survey[2])
    with pytest.raises(ValueError, match="labels must hold a class for each of the 60 samples"):
        render_report(ensemble.best, ensemble=ensemble, labels=["a"])


def test_ensembles_of_which_little_can_be_said(X, monkeypatch):
    """Components that are like no others, and a survey without errors of held-out entries."""
    monkeypatch.setattr(report.plotting, "svg", lambda figure: b"")
    single = nmf_core.factorize_many(X, 3, 1, resample="bootstrap", random_state=0)
    rendered = render_report(single.best, ensemble=single, survey=nmf_core.RankSurvey({3: single}))
    text = in_cells(rendered)
    assert "1 run of 3 components" in text
    assert "replicates of X bootstrap" in text
    assert "components runs explained variance" in text
    assert "Stability mean least c1 - - c2 - -" in text
    zeros = nmf_core.factorize_many(np.zeros((5, 4)), 2, 3, random_state=0)
    page = Page(render_report(zeros.best, ensemble=zeros))
    assert len(page.references) == 4


@pytest.mark.parametrize(
    "shape", [(1, 5), (5, 1), *(pytest.param(s, marks=pytest.mark.exhaustive) for s in ((1, 1), (2, 2)))]
)
def test_small_matrices(shape):
    X = np.ones(shape)
    assert Page(render_report(nmf_core.factorize(X, 1), X)).open == []


def test_zeros():
    X = np.zeros((5, 4))
    assert "nothing: all its weights are zero" in render_report(nmf_core.factorize(X, 2), X)


def test_written_whole_or_not_at_all(f, X, tmp_path, monkeypatch):
    write_report(tmp_path / "page.html", f, X, title="Täst")
    written = (tmp_path / "page.html").read_bytes()
    assert "Täst" in written.decode("utf-8")
    monkeypatch.setattr(report, "render_report", lambda *arguments, **options: "\udc80")
    with pytest.raises(UnicodeEncodeError):
        write_report(tmp_path / "page.html", f, X)
    assert (tmp_path / "page.html").read_bytes() == written
    assert len(list(tmp_path.iterdir())) == 1
