"""The page: complete, self-contained, and safe from what labels say."""

import base64
import hashlib
import html
import html.parser
import json
import re
import shutil
import subprocess
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

import nmf_core
from nmf_core import report
from nmf_core.demo import load_corpus, tf_idf
from nmf_core.report import model as report_model
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
        self.open, self.texts, self.references, self.headings, self.scripts = [], [], [], [], []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attributes):
        assert tag not in ("link", "iframe", "object", "form")
        self.references += [value for name, value in attributes if name in ("src", "href", "action", "srcset")]
        if tag not in ("meta", "img", "br", "source", "input"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, text):
        if self.open and self.open[-1] == "script":
            self.scripts.append(text)
            return
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
    assert not re.search(r"https?:|//\w|\bimport\b|fetch\(", re.sub(r"<script.*", "", rendered, flags=re.DOTALL))
    assert not re.search(r"https?:|\bimport\b|fetch\(|XMLHttp|WebSocket", "".join(page.scripts))
    assert "url(" not in rendered
    assert "@import" not in rendered
    assert len(rendered) < 1_000_000


def test_labels_are_text(f, X):
    hostile = "<script>alert(1)</script>"
    f = replace(f, column_labels=(hostile, *f.column_labels[1:]), row_labels=(hostile,) * 60)
    page = render_report(f, X, title=hostile, captions=[hostile] * 3, tables={hostile: [(hostile,), (hostile,)]})
    parsed = Page(page)
    assert hostile in " ".join(parsed.texts)
    assert page.count("<script") == len(parsed.scripts) == 2
    assert page.count("</script") == 2
    assert hostile not in page
    assert "<b>1</b>" not in page
    assert "<script" not in render_report(f, X, title=hostile, interactive=False)


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
    monkeypatch.setattr(report.parts.plotting, "svg", lambda figure: b"")
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
    monkeypatch.setattr(report.parts.plotting, "svg", lambda figure: b"")
    single = nmf_core.factorize_many(X, 3, 1, resample="bootstrap", random_state=0)
    rendered = render_report(single.best, ensemble=single, survey=nmf_core.RankSurvey({3: single}))
    text = in_cells(rendered)
    assert "1 run of 3 components" in text
    assert "replicates of X bootstrap" in text
    assert "components runs explained variance" in text
    assert "Stability mean least c1 - - c2 - -" in text
    zeros = nmf_core.factorize_many(np.zeros((5, 4)), 2, 3, random_state=0)
    page = Page(render_report(zeros.best, ensemble=zeros))
    assert len(page.references) == 3  # there is no course of a fit that has none


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


# --- what the page holds for its script


def data_of(page):
    """The model of a page."""
    return json.loads(Page(page).scripts[0])


def unpacked(row, size, levels):
    """A row of H from its largest entry, gaps and integers: the slow twin of the function in model.js."""
    top, gaps, integers = row[0], *map(base64.b64decode, row[1:])
    numbers = np.frombuffer(integers, "<u2" if levels > 255 else "u1")
    values, skipped = np.zeros(size), []
    if gaps or not integers:
        place = -1
        for gap in gaps:
            place += gap
            if gap < 255:
                place += 1
                skipped.append(place)
    else:
        skipped = range(size)
    values[list(skipped)] = top * (numbers / levels) ** 2
    return values


@pytest.mark.parametrize("fine", [True, False])
@pytest.mark.parametrize("density", [0, 0.002, 0.3, 1])
def test_rows_are_quantised(fine, density):
    rng = np.random.default_rng(3)
    h = rng.gamma(0.3, 2.0, 3000) * (rng.random(3000) < density)
    packed = report_model.quantised(h, fine)
    levels, top = 65535 if fine else 255, h.max()
    back = unpacked(packed, 3000, levels)
    # half a level of their roots
    assert np.all(np.abs(back - h) <= np.sqrt(h * top) / levels + top / levels**2 / 4 + 1e-6 * top)
    size = 2 if fine else 1
    assert len(packed[1]) + len(packed[2]) <= 4 / 3 * min(3000 * size, np.count_nonzero(h) * (size + 1) + 12) + 8


def test_gaps_of_all_lengths():
    for zeros in (0, 1, 254, 255, 256, 510, 511, 5000):
        h = np.r_[np.zeros(zeros), 2.0, 0.0, np.zeros(zeros), 1.0, np.zeros(600)]
        np.testing.assert_allclose(unpacked(report_model.quantised(h, True), len(h), 65535), h, atol=2e-5)


def test_a_dense_model_of_a_text_is_small(monkeypatch):
    """20 topics of 5,000 words, none of them zero."""
    monkeypatch.setattr(report.parts.plotting, "svg", lambda figure: b"")
    words = load_corpus().words
    H = np.random.default_rng(0).gamma(0.3, 1.0, (20, 5000))
    f = nmf_core.factorize(np.random.default_rng(1).random((30, 5000)), 20, H=H, update_H=False, max_iter=1)
    page = render_report(replace(f, column_labels=words))
    assert len(Page(page).scripts[0].encode()) < 500_000
    assert len(data_of(page)["labels"]) == 5000


def test_browsers_are_told_which_script_is_ours(f, X):
    page = render_report(f, X)
    _, script = Page(page).scripts
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page)[1]
    assert policy == f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
    assert script.isascii()
    assert "innerHTML" not in script
    assert "script-src" not in render_report(f, X, interactive=False)


def test_without_the_script(f, X):
    page = render_report(f, X, interactive=False)
    assert Page(page).scripts == []
    assert 'class="live"' not in page
    assert len(page) < len(render_report(f, X)) - 10_000


def test_without_scripts_all_that_asks_is_hidden(f, X):
    page = render_report(f, X)
    live = re.findall(r'<[^>]*class="(?:[^"]* )?live"[^>]*>', page.split("</style>")[1].split("<script")[0])
    assert len(live) == 2
    assert all(" hidden" in tag for tag in live)


def test_what_is_said_of_the_problem(X):
    f = nmf_core.factorize(X, 3, alpha_W=0.1, l1_ratio=0.25, random_state=0, max_iter=5)
    data = report_model.model_data(f.named(["x", "y", "z"]))
    assert (data["beta"], data["l1"], data["l2"], data["missing"], data["floor"]) == (2, 0.5, 1.5, None, 0)
    assert data["names"] == ["x", "y", "z"]
    assert data["labels"] is data["worth"] is data["kept"] is None
    np.testing.assert_allclose(data["norms"], np.linalg.norm(f.H, axis=1))
    for h, row in zip(f.H, data["rows"], strict=True):
        np.testing.assert_allclose(unpacked(row, 20, 65535), h, atol=h.max() / 65535)


def test_a_model_that_cannot_be_asked_says_why(X):
    bounded = nmf_core.factorize(X, 2, W=nmf_core.Factor(upper=0.5), max_iter=5, random_state=0)
    page = render_report(bounded)
    assert "New rows can't be asked for here: its W has bounds or penalties of its own." in in_cells(page)
    assert 'id="question"' not in page
    assert 'id="search"' in page


def test_samples_are_those_of_the_tables(f, X):
    table = f.component_info(n=5)
    for samples, wanted in zip(report_model.model_data(f)["samples"], table["top_samples"], strict=True):
        assert ", ".join(label for label, _, _ in samples[:5]) == wanted
        strengths = [strength for _, strength, _ in samples]
        assert strengths[0] == 1
        assert strengths == sorted(strengths, reverse=True)
    shares = dict(zip(f.samples(n=3)["sample"], f.samples(n=3)["share"], strict=True))
    for samples in report_model.model_data(f)["samples"]:
        assert all(share <= shares[label] + 1e-4 for label, _, share in samples)


def test_the_relevance_closest_to_the_lists():
    rng = np.random.default_rng(0)
    f = nmf_core.factorize(rng.gamma(0.3, 1.0, (50, 40)), 4, random_state=0, max_iter=30)
    chosen = report_model.relevance(f)
    p, best = (nmf_core.interpretation.feature_scores(f, by) for by in ("weight", "distinctive"))
    q = nmf_core.interpretation.component_shares(f) @ p
    wanted = [set(np.argsort(-s)[:10]) for s in best]

    def found(value):
        with np.errstate(divide="ignore"):
            scores = value * np.log(p) + (1 - value) * (np.log(p) - np.log(q))
        return sum(len(wanted[c] & set(np.argsort(-scores[c])[:10])) for c in range(4))

    assert found(chosen) == max(found(value) for value in np.linspace(0.1, 0.9, 9))
    assert report_model.relevance(nmf_core.factorize(np.ones((5, 4)), 1)) is None


def test_words_count_as_in_the_data():
    """Of counts nothing is said; of other numbers the mean where they are not zero."""
    counts = np.array([[2.0, 0, 1], [0, 3, 1], [4, 0, 1]])
    labels = ("a", "b", "c")
    f = nmf_core.factorize(counts, 1, feature_names=labels)
    assert report_model.model_data(f, counts)["worth"] is None
    for X in (counts / 2, sp.csr_array(counts / 2)):
        f = nmf_core.factorize(X, 1, feature_names=labels)
        worth = unpacked(report_model.model_data(f, X)["worth"], 3, 65535)
        np.testing.assert_allclose(worth, [1.5, 1.5, 0.5], atol=1e-4)
        assert report_model.model_data(f)["worth"] is None


def test_of_large_models_the_strongest_features(monkeypatch):
    monkeypatch.setattr(report.parts.plotting, "svg", lambda figure: b"")
    monkeypatch.setattr(report_model, "MOST_ENTRIES", 30)
    f = nmf_core.factorize(np.random.default_rng(0).gamma(0.3, 1.0, (50, 40)), 3, random_state=0, max_iter=30)
    page = render_report(f)
    data = data_of(page)
    kept = np.frombuffer(base64.b64decode(data["kept"]), "<u4")
    assert len(kept) == data["size"] == 10
    shares = (f.H / f.H.sum(axis=1, keepdims=True)).max(axis=0)
    assert set(kept) == set(np.argsort(-shares)[:10])
    assert "Of the 40 features this page knows the 10 with the largest shares" in in_cells(page)


def test_labels_that_no_file_can_hold():
    data = {"labels": ["a\udc80", "<b>", "ü"]}
    text = report_model.as_json(data)
    assert json.loads(text) == data
    assert text.isascii()
    assert "<" not in text
    assert "ü" in report_model.as_json({"labels": ["ü"]})


# --- the page in a browser

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


def browse(page, folder, fragment=""):
    """The page as text, as it is when scripts have run."""
    if CHROMIUM is None:
        pytest.skip("needs Chromium")
    path = folder / "page.html"
    path.write_text(page, encoding="utf-8")
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder / 'profile'}"]
    command += ["--dump-dom", "--virtual-time-budget=3000", path.as_uri() + fragment]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=200).stdout


def run_in(page, folder, script):
    """What a script returns that is added to a page, which must not have had errors."""
    page = re.sub(r"<meta http-equiv[^>]*>", "", page)  # it allows no other script than the page's own
    watch = "<script>var errors = []; addEventListener('error', (event) => errors.push(event.message));</script>"
    page = page.replace("<head>", "<head>" + watch, 1)
    tell = f"(async () => {{ {script} }})().then((value) => {{ told.textContent = JSON.stringify([value, errors]); }})"
    page = page.replace("</body>", f'<pre id="told">[null, ["nothing was told"]]</pre><script>{tell}</script></body>')
    told = re.search(r'<pre id="told">(.*?)</pre>', browse(page, folder), re.DOTALL)[1]
    value, errors = json.loads(html.unescape(told))
    assert errors == []
    return value


def rows_for_browser(X):
    """Rows of X as the page's `nmf.transform` takes them; of NaN nothing is known."""
    if sp.issparse(X):
        X = X.tocsr()
        return [
            {"places": X.indices[a:b].tolist(), "values": X.data[a:b].tolist(), "complete": True}
            for a, b in zip(X.indptr[:-1], X.indptr[1:], strict=True)
        ]
    known = ~np.isnan(X)
    return [
        {"places": np.flatnonzero(here).tolist(), "values": x[here].tolist(), "complete": bool(here.all())}
        for x, here in zip(X, known, strict=True)
    ]


def browsers_W(f, rows, folder):
    page = render_report(f)
    return np.array(run_in(page, folder, f"return nmf.transform({json.dumps(rows)});"))


def agreement(f, W, other):
    """For how many samples the strongest component is the same."""
    sizes = np.linalg.norm(f.H, axis=1)
    return np.mean(np.argmax(W * sizes, axis=1) == np.argmax(other * sizes, axis=1))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("loss", "n_components", "fine", "least"),
    [
        ("frobenius", 20, True, 0.99),
        ("kullback-leibler", 20, True, 0.99),
        ("frobenius", 60, False, 0.99),
        ("kullback-leibler", 60, False, 0.985),
    ],
)
def test_the_page_finds_the_components_of_new_texts(monkeypatch, tmp_path, loss, n_components, fine, least):
    """1,000 descriptions of packages, of a model of 5,000 others, with 16 bits or 8 for an entry of H."""
    monkeypatch.setattr(report.parts.plotting, "svg", lambda figure: b"")
    if not fine:
        monkeypatch.setattr(report_model, "FINE_ENTRIES", 0)
    counts = load_corpus().counts
    X = tf_idf(counts) if loss == "frobenius" else counts.astype(np.float64)
    order = np.random.default_rng(0).permutation(6000)
    f = nmf_core.factorize(X[order[1000:]], n_components, loss=loss, random_state=0, max_iter=60)
    new = X[order[:1000]]
    W = f.transform(new)
    found = browsers_W(f, rows_for_browser(new), tmp_path)
    assert agreement(f, W, found) >= least
    np.testing.assert_allclose(found, W, atol=(2e-3 if fine else 2e-2) * W.max())


MODELS = {
    "l1": {"alpha_W": 0.02, "alpha_H": 0.001, "l1_ratio": 1.0},
    "l2": {"alpha_W": 0.02, "l1_ratio": 0.3},
    "Kullback-Leibler, l1 and l2": {"loss": "kullback-leibler", "alpha_W": 0.02, "l1_ratio": 0.5},
    "Kullback-Leibler, floor": {"loss": "kullback-leibler", "floor": 0.1},
    "Itakura-Saito": {"loss": "itakura-saito", "floor": 0.01},
    "beta 0.5": {"loss": 0.5},
    "beta 1.5": {"loss": 1.5, "alpha_W": 0.01},
    "beta 3": {"loss": 3},
    "missing": {"missing": "nan"},
    "missing, biases, observed": {"missing": "nan", "biases": True, "alpha_W": 0.01, "alpha_scaling": "observed"},
    "missing, Kullback-Leibler": {"missing": "nan", "loss": "kullback-leibler"},
    "biases": {"biases": True, "alpha_W": 0.01},
    "unstored": {"missing": "unstored", "alpha_W": 0.01, "alpha_scaling": "observed"},
}


@pytest.mark.slow
@pytest.mark.parametrize("how", MODELS)
def test_losses_and_penalties_of_the_fit(how, monkeypatch, tmp_path):
    monkeypatch.setattr(report.parts.plotting, "svg", lambda figure: b"")
    rng = np.random.default_rng(0)
    G = rng.gamma(0.3, 1.0, (5, 40))
    X, new = (rng.gamma(3, 0.4, (n, 40)) * (rng.gamma(0.3, 1.0, (n, 5)) @ G) + 1e-3 for n in (400, 200))
    if MODELS[how].get("missing"):
        X, new = (np.where(rng.random(A.shape) < 0.6, A, np.nan) for A in (X, new))
    rows = rows_for_browser(new)
    if how == "unstored":
        X, new = (sp.csr_array(np.nan_to_num(A)) for A in (X, new))
    f = nmf_core.factorize(X, 5, random_state=0, max_iter=200, **MODELS[how])
    # one minimum is found however far one goes; of several, the same by as many updates
    further = {"tol": 1e-8, "max_iter": 10_000} if f.loss in ("frobenius", "kullback-leibler") else {}
    W = f.transform(new, **further)
    found = browsers_W(f, rows, tmp_path)
    assert agreement(f, W, found) >= 0.99
    np.testing.assert_allclose(found, W, atol=2e-3 * W.max())


@pytest.mark.slow
def test_of_a_large_model_the_page_knows_the_strongest_features(monkeypatch, tmp_path):
    """Rows of all features, half of which, with nine tenths of all weight, the page knows."""
    monkeypatch.setattr(report.parts.plotting, "svg", lambda figure: b"")
    monkeypatch.setattr(report_model, "MOST_ENTRIES", 5 * 150)
    rng = np.random.default_rng(0)
    X = rng.gamma(0.3, 1.0, (500, 5)) @ rng.gamma(0.1, 1.0, (5, 300)) * rng.gamma(9, 1 / 9, (500, 300))
    f = nmf_core.factorize(X[:300], 5, random_state=0)
    found = browsers_W(f, X[300:].tolist(), tmp_path)
    assert agreement(f, f.transform(X[300:]), found) >= 0.99


@pytest.mark.slow
def test_components_that_are_alike_are_told_apart(monkeypatch, tmp_path):
    """Where coordinate descent would creep."""
    monkeypatch.setattr(report.parts.plotting, "svg", lambda figure: b"")
    rng = np.random.default_rng(0)
    H = rng.gamma(0.3, 1.0, (8, 200))
    H[4:] = H[:4] * (1 + 0.01 * rng.normal(size=(4, 200)).clip(-3, 3))
    X = rng.gamma(0.3, 1.0, (500, 8)) @ H * (1 + 0.05 * rng.normal(size=(500, 200))).clip(0)
    f = replace(nmf_core.factorize(X, 8, random_state=0, max_iter=2), H=H)
    W = f.transform(X)
    found = browsers_W(f, rows_for_browser(X), tmp_path)
    assert agreement(f, W, found) >= 0.99


WORDS = ("apple", "pear", "new york", "New", "c++", "x11", "<i>it</i>", "Äpfel")


@pytest.fixture(scope="module")
def texts():
    """A model of words, some of them odd."""
    X = np.kron(np.eye(2), np.ones((4, 4))) * np.random.default_rng(0).integers(1, 9, (8, 8))
    f = nmf_core.factorize(X, 2, feature_names=WORDS, random_state=0, max_iter=500, tol=1e-8)
    return replace(f.named(["fruit & <b>bold</b>", "rest"]), row_labels=tuple(f"text {i}" for i in range(8)))


@pytest.mark.slow
def test_what_a_reader_types(texts, tmp_path):
    """Words, phrases, pairs and numbers."""
    asked = {
        "An apple, PEAR and an apple in New York": {"apple": 2, "pear": 1, "new york": 1, "New": 1},
        "c c++ x11, X12 äpfel": {"c++": 2, "x11": 1, "Äpfel": 1},
        "apple 2\npear\t0.5": {"apple": 2, "pear": 0.5},
        "apple: 2, new york: 3; <i>it</i>=1": {"apple": 2, "new york": 3, "<i>it</i>": 1},
        "apple 2 pear 3 plum 1": {"apple": 2, "pear": 3},
        "1 2 0 0 0 0 0 3e-1": {"apple": 1, "pear": 2, "Äpfel": 0.3},
        "1,2,0,0;0\t0, 0 .5": {"apple": 1, "pear": 2, "Äpfel": 0.5},
    }
    tell = """return texts.map((text) => {
        const { row, unknown } = nmf.page.reader.read(text);
        return [row.places.map((place, i) => [nmf.model.label(place), row.values[i]]), row.complete, unknown];
    });"""
    page = render_report(texts)
    told = run_in(page, tmp_path, f"const texts = {json.dumps(list(asked))}; {tell}")
    for (pairs, complete, unknown), (text, wanted) in zip(told, asked.items(), strict=True):
        assert dict(map(tuple, pairs)) == wanted, text
        assert complete
        assert not set(unknown) & {"apple", "pear", "york"}
    assert told[0][2] == ["an", "and", "in"]
    assert told[4][2] == ["plum"]
    problems = run_in(page, tmp_path, """
        const said = (text) => { try { nmf.page.reader.read(text); } catch (error) { return error.message; } };
        return [said("1 2 3"), said("1 2 3 4 5 6 7 -8"), said("1 2 3 4 5 6 7 nan"), said("apple -1"), said("1e999")];
    """)  # fmt: skip
    assert problems == [
        "These are 3 numbers; a row has 8.", "A number is negative.", "A number is missing.", "A number is negative.",
        "These are 1 numbers; a row has 8.",
    ]  # fmt: skip


@pytest.mark.slow
def test_rows_without_names(tmp_path):
    """Numbers, of which some may be missing, or pairs of a number of a feature and a value."""
    X = np.kron(np.eye(2), np.ones((4, 4))) * np.random.default_rng(0).integers(1, 9, (8, 8))
    f = nmf_core.factorize(np.where(X == 1, np.nan, X), 2, missing="nan", random_state=0, max_iter=30)
    told = run_in(render_report(f), tmp_path, """
        const said = (text) => {
            try { return nmf.page.reader.read(text).row; } catch (error) { return error.message; }
        };
        return ["1 nan 0 0 0 0,,3", "7 1.5\\n0 2", "1 2 3 4", "fruit"].map(said);
    """)  # fmt: skip
    assert told == [
        {"places": [0, 2, 3, 4, 5, 7], "values": [1, 0, 0, 0, 0, 3], "complete": False},
        {"places": [0, 7], "values": [2, 1.5], "complete": False},
        "These are 4 numbers; a row has 8.",
        "That is neither 8 numbers nor pairs of a feature's number and its value.",
    ]


@pytest.mark.slow
def test_a_question_in_the_address(texts, tmp_path):
    """With the policy in force: the page's own script runs, and says which component answers."""
    page = browse(render_report(texts), tmp_path, "#ask=An+apple+%3Ci%3E&component=2")
    answer = page[page.index('id="answer"') :]
    assert answer.index("fruit &amp; &lt;b&gt;bold") < answer.index("100.0 %")
    assert "<b>Known: </b>apple" in answer
    assert "<b>Not among the features: </b>an" in answer
    assert page.count("Strongest samples</h4>") == 1
    assert 'id="ask" class="live">' in page


@pytest.mark.slow
def test_the_page_runs_nothing_from_elsewhere(f, X, tmp_path, monkeypatch):
    """Whatever names say, wherever they are shown, and whatever is added to the page."""
    monkeypatch.setattr(report.parts.plotting, "svg", lambda figure: b"")
    hostile = '</script><script>document.title = "ours"</script><img src=x onerror="document.title = 1">'
    names = [f"{hostile}{i}" for i in range(20)]
    f = replace(f, column_labels=names, row_labels=[f"{hostile}{i}" for i in range(60)]).named(names[:3])
    page = render_report(f, X, title="Unharmed", captions=[hostile] * 3)
    page = page.replace("</body>", "<script>document.title = 'added'</script></body>")
    seen = browse(page, tmp_path, "#ask=script+img+3&component=1")
    assert "<title>Unharmed</title>" in seen
    shown = run_in(render_report(f, X, title="Unharmed", captions=[hostile] * 3), tmp_path, """
        for (const c of [0, 1, 2]) nmf.page.toggle(c);
        nmf.page.compare(0, 1);
        nmf.page.search("script");
        nmf.page.ask("script");
        nmf.page.ask(nmf.model.label(3) + "\\t2");
        await new Promise((done) => setTimeout(done, 300));
        return [document.title, document.querySelectorAll("script").length, document.querySelectorAll("img").length];
    """)  # fmt: skip
    assert shown == ["Unharmed", 4, 4]


@pytest.mark.slow
def test_the_slider_ranks_features(f, X, tmp_path):
    rng = np.random.default_rng(0)
    f = nmf_core.factorize(rng.gamma(0.3, 1.0, (50, 40)), 4, random_state=0, max_iter=30)
    lists = """
        const lists = () => [...document.querySelectorAll("ol.features")].map((list) =>
            [...list.querySelectorAll("li span")].map((label) => Number(label.textContent)));
        const slide = (value) => {
            const slider = document.getElementById("relevance");
            slider.value = value;
            slider.dispatchEvent(new Event("input"));
            return lists();
        };
        const told = [lists(), nmf.model.names.map((_, c) => nmf.model.ranking(c, 10, null).map(({ place }) => place))];
        for (const value of [1, 0.5, 0]) told.push(slide(value));
        document.getElementById("relevance-reset").click();
        told.push(lists());
        return told;
    """
    static, at_first, by_weight, half, lift, again = run_in(render_report(f), tmp_path, lists)
    assert static == at_first == again
    p = nmf_core.interpretation.feature_scores(f, "weight")
    q = nmf_core.interpretation.component_shares(f) @ p
    for value, found in ((1, by_weight), (0.5, half), (1e-6, lift)):
        with np.errstate(divide="ignore"):
            scores = np.log(p) - (1 - value) * np.log(q)
        for c in range(4):
            order = np.argsort(-scores[c], kind="stable")[:10]
            # up to what quantisation makes of near ties
            np.testing.assert_allclose(scores[c, found[c]], scores[c, order], atol=0.02)


@pytest.mark.slow
def test_components_are_searched_opened_and_compared(tmp_path, monkeypatch):
    monkeypatch.setattr(report.parts.plotting, "svg", lambda figure: b"")
    monkeypatch.setattr(report, "MOST_COMPONENTS", 2)
    H = np.array([[9.0, 5, 1, 0, 0], [0, 1, 9, 2, 0], [0, 0, 0, 2, 9]])
    X = np.random.default_rng(0).gamma(0.3, 1.0, (30, 3)) @ H
    f = nmf_core.factorize(X, 3, H=H, update_H=False, max_iter=300, feature_names=["ab", "abc", "cd", "de", "ef"])
    f = replace(f, row_labels=tuple(f"sample {i}" for i in range(30))).named(["first", "second", "third"])
    told = run_in(render_report(f), tmp_path, """
        const { page, model } = nmf;
        const shown = () => [...document.querySelectorAll(".component")].filter((card) => !card.hidden)
            .sort((a, b) => a.style.order - b.style.order).map((card) => card.querySelector("h3 button").textContent);
        const searched = (text) => { page.search(text); return shown(); };
        const told = { at_first: shown() };
        for (const text of ["cd", "ab", "ef", "third", "nothing", ""]) told[text] = searched(text);
        page.toggle(0);
        const card = document.querySelector(".component.open");
        told.features = [...card.querySelectorAll("ol.features li span")].map((label) => label.textContent);
        told.samples = [...card.querySelectorAll(".detail li span")].map((label) => label.textContent);
        page.toggle(0);
        told.closed = document.querySelectorAll(".detail").length;
        page.compare(0, 1);
        told.compared = [...document.querySelectorAll(".pairs")].map((list) =>
            [...list.querySelectorAll("span")].map((label) => label.textContent));
        told.said = document.querySelector("#comparison p").textContent;
        return told;
    """)  # fmt: skip
    assert told["at_first"] == ["first", "second"]
    assert told["cd"] == ["second", "first"]
    assert told["ab"] == ["first"]
    assert told["ef"] == ["third"]
    assert told["third"] == ["third"]
    assert told["nothing"] == []
    assert told[""] == ["first", "second", "third"]
    assert told["features"][0] == "ab"
    best = np.argsort(-f.W[:, 0], kind="stable")[:12]
    assert told["samples"] == [f"sample {i}" for i in best if f.W[i, 0] > 0]
    assert told["closed"] == 0
    assert told["compared"] == [["ab", "abc"], ["abc", "cd"], ["cd", "de"]]
    cosine = H[0] @ H[1] / np.linalg.norm(H[0]) / np.linalg.norm(H[1])
    assert f"Cosine {cosine:.3f}" in told["said"]


def test_the_path_comes_first(f, X, tmp_path):
    for arguments in ((f, tmp_path / "page.html", X), (tmp_path / "page.html", X, f), (None, f)):
        with pytest.raises(TypeError, match=r"write_report\(path, f, X\)"):
            write_report(*arguments)
    assert list(tmp_path.iterdir()) == []


def test_a_page_of_a_single_run(X):
    one = nmf_core.factorize_many(X, 2, 1, random_state=0)
    page = render_report(one.best, ensemble=one)
    assert "1 run of 2 components" in page
    assert "<td>-</td>" in page
    assert "nan" not in Page(page).texts


def test_cards_name_typical_samples():
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.random((9, 3)) @ rng.random((3, 12)), index=[f"sample <{i}>" for i in range(9)])
    f = nmf_core.factorize(X, 3, random_state=0)
    text = " ".join(" ".join(Page(render_report(f, interactive=False)).texts).split())
    for samples in f.component_info(3)["top_samples"]:
        assert f"Most in {samples}" in text
    without = Page(render_report(nmf_core.factorize(X.to_numpy(), 3, random_state=0)))
    assert not any("Most in" in text for text in without.texts)
