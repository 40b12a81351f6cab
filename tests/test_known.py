"""Known components: which of them a fit has found, and how much of each is in samples."""

import pickle
import re
from dataclasses import FrozenInstanceError, replace
from itertools import permutations

import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse as sp
from scipy.optimize import nnls
from scipy.stats import chi2
from scipy.stats import f as f_distribution

import nmf_core
from nmf_core import factorize
from nmf_core.known import match, model, refit, rows
from nmf_core.known.model import Model
from nmf_core.transform import transform

K, M = 10, 40
FEATURES, NAMES = [f"f{j}" for j in range(M)], [f"S{j + 1}" for j in range(K)]
LOSSES = ["frobenius", "kullback-leibler"]
TIGHT = {"tol": 1e-10, "max_iter": 100_000}


def catalogue(k=K, m=M, seed=0):
    """Components that sum to one, some of a few features, some of many."""
    rng = np.random.default_rng(seed)
    return np.array([rng.dirichlet(np.full(m, alpha)) for alpha in np.resize([0.2, 0.5, 3.0], k)])


def planted(n, H, total=2000, most=3, seed=1):
    """Sparse exposures of n samples, and counts that scatter around what they add up to."""
    rng = np.random.default_rng(seed)
    W = np.zeros((n, len(H)))
    for w in W:
        there = rng.choice(len(H), rng.integers(1, most + 1), replace=False)
        w[there] = total * rng.dirichlet(np.full(len(there), 5.0))
    return W, rng.poisson(W @ H).astype(float)


H = catalogue()
W, X = planted(30, H)


# --- match


def test_match_finds_what_has_been_permuted_and_scaled():
    order = np.random.default_rng(0).permutation(K)
    found = match(H[order] * np.arange(1, K + 1)[:, np.newaxis], H)
    np.testing.assert_array_equal(found.assigned, order)
    np.testing.assert_array_equal(found.best, order)
    np.testing.assert_allclose(found.cosine, 1)
    np.testing.assert_array_equal(found.best_cosine, found.cosine)


def test_match_is_the_best_of_all_assignments():
    rng = np.random.default_rng(0)
    A, B = rng.random((4, 6)), rng.random((5, 6))
    expected = [[a @ b / np.linalg.norm(a) / np.linalg.norm(b) for b in B] for a in A]
    found = match(A, B)
    np.testing.assert_allclose(found.cosines, expected)
    sums = {chosen: sum(found.cosines[i, j] for i, j in enumerate(chosen)) for chosen in permutations(range(5), 4)}
    assert tuple(found.assigned) == max(sums, key=sums.get)
    np.testing.assert_array_equal(found.cosine, found.cosines[range(4), found.assigned])
    for i in range(4):
        others = np.delete(found.cosines[i], found.assigned[i])
        assert found.second_cosine[i] == others.max() == found.cosines[i, found.second[i]]


def test_the_second_is_the_best_where_that_belongs_to_another_component():
    found = match([[10.0, 1.0, 0.0], [10.0, 2.0, 0.0]], [[1.0, 0.0, 0.0], [0.0, 1.0, 1.0]])
    np.testing.assert_array_equal(found.assigned, [0, 1])
    np.testing.assert_array_equal(found.second, [1, 0])
    np.testing.assert_array_equal(found.best, [0, 0])
    assert found.second_cosine[1] > found.cosine[1]


def test_more_components_than_known_ones():
    found = match(H, H[[7, 2]])
    np.testing.assert_array_equal(np.flatnonzero(found.assigned >= 0), [2, 7])
    np.testing.assert_array_equal(found.assigned[[2, 7]], [1, 0])
    left = np.delete(np.arange(K), [2, 7])
    assert (found.assigned[left] == -1).all()
    assert np.isnan(found.cosine[left]).all()
    np.testing.assert_array_equal(found.second[left], found.best[left])
    assert found.table["match"].isna().sum() == K - 2


def test_what_shares_nothing_has_no_partner():
    found = match([[1.0, 1.0, 0.0], [0.0, 0.0, 0.0]], [[1.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    np.testing.assert_array_equal(found.assigned, [0, -1])
    np.testing.assert_array_equal(found.second, [-1, -1])
    np.testing.assert_array_equal(found.best, [0, -1])
    assert np.isnan(found.second_cosine).all()
    one = match(H[:1], H[:1])
    assert (one.assigned[0], one.second[0]) == (0, -1)


def test_names_of_features_bring_catalogue_and_fit_into_one_order():
    f = factorize(pd.DataFrame(X, columns=FEATURES), K, loss="kullback-leibler", random_state=0)
    expected = match(f.H, H)
    shuffled = pd.DataFrame(H, index=NAMES, columns=FEATURES).sample(frac=1, axis=1, random_state=0)
    for given in (f, f.components):
        found = match(given, shuffled)
        np.testing.assert_array_equal(found.assigned, expected.assigned)
        np.testing.assert_allclose(found.cosines, expected.cosines)
        assert found.names == NAMES
        assert found.components == [f"c{j + 1}" for j in range(K)]
    table = found.table
    assert list(table.columns) == ["component", "match", "cosine", "second", "second_cosine"]
    assert list(table["match"]) == [NAMES[j] for j in found.assigned]
    assert list(table["second"]) == [NAMES[j] for j in found.second]
    np.testing.assert_array_equal(table["cosine"], found.cosine)
    np.testing.assert_array_equal(match(shuffled, f).assigned[found.assigned], np.arange(K))


def test_a_match_can_be_read():
    found = match(H[:3], pd.DataFrame(H, index=[f"<{name}>" for name in NAMES]))
    assert repr(found).startswith("<Match: 3 components, 10 known ones\n")
    assert all(word in repr(found) for word in ("component", "second_cosine", "<S2>", "c3"))
    assert "&lt;S2&gt;" in found._repr_html_()
    assert "<S2>" not in found._repr_html_()
    assert "None" not in match(H, H[:1])._repr_html_() + repr(match(H, H[:1]))
    long = match(catalogue(30), H)
    assert "... 10 more" in repr(long)
    with pytest.raises(FrozenInstanceError):
        found.cosine = 0
    assert repr(pickle.loads(pickle.dumps(found))) == repr(found)


def test_a_match_of_other_frames_and_of_none():
    found = match(pl.DataFrame(H[:3], schema=FEATURES), sp.csr_array(H))
    assert isinstance(found.table, pl.DataFrame)
    assert found.table["match"].to_list() == ["c1", "c2", "c3"]
    assert found.names == [f"c{j + 1}" for j in range(K)]


# --- exposures


def test_planted_exposures_are_found():
    for loss in LOSSES:
        found = refit(W @ H, H, loss=loss)
        np.testing.assert_allclose(found.W, W, atol=1e-3)
        np.testing.assert_allclose(found.cosine, 1)
        np.testing.assert_allclose(found.error, 0, atol=1e-5)


@pytest.mark.parametrize("loss", [*LOSSES, 1.5])
@pytest.mark.parametrize("kind", [np.asarray, sp.csr_array, sp.csc_matrix])
def test_without_selection_it_is_what_transform_finds(loss, kind):
    how = {"loss": loss, "tol": 1e-3, "max_iter": 300}
    found = refit(kind(X), H, **how)
    np.testing.assert_array_equal(found.W, transform(kind(X), H, **how).W)
    np.testing.assert_array_equal(found.selected, found.W > 0)
    assert found.lower is found.upper is found.resampled is None
    assert found.loss == loss


def test_exact_for_the_frobenius_loss():
    np.testing.assert_allclose(refit(X, H).W, [nnls(H.T, x)[0] for x in X], rtol=1e-5, atol=1e-5)


def test_exact_for_kullback_leibler():
    """The conditions of Karush, Kuhn and Tucker."""
    found = refit(X, H, loss="kullback-leibler").W
    gradient = (1 - X / (found @ H)) @ H.T
    assert np.abs(gradient[found > 0]).max() < 1e-6
    assert gradient.min() > -1e-6


def test_cosine_and_error():
    found = refit(X, H)
    model = found.W @ H
    lengths = np.linalg.norm(X, axis=1) * np.linalg.norm(model, axis=1)
    np.testing.assert_allclose(found.cosine, (X * model).sum(axis=1) / lengths)
    np.testing.assert_allclose(found.error, np.linalg.norm(X - model, axis=1) / np.linalg.norm(X, axis=1))


# --- selection


def backward(x, loss, significance):
    """The slow twin: every component is tried in every round."""
    active = np.arange(K)
    w = transform(x[np.newaxis], H, loss=loss, **TIGHT).W[0]
    active = active[w > 0]
    freedom = M - len(active)
    if loss == "frobenius":
        noise = ((x - w @ H) ** 2).sum() / freedom
        most = f_distribution.ppf(1 - significance, 1, freedom) * noise / 2
    else:
        most = chi2.ppf(1 - significance, 1) / 2

    def fit(active):
        w = transform(x[np.newaxis], H[active], loss=loss, **TIGHT).W
        return nmf_core.beta_divergence(x[np.newaxis], w, H[active], loss), w[0]

    now, w = fit(active)
    while len(active) > 1:
        fits = [fit(np.delete(active, j)) for j in range(len(active))]
        j = min(range(len(active)), key=lambda j: fits[j][0])
        if fits[j][0] - now > most:
            break
        now, w = fits[j]
        active = np.delete(active, j)[w > 0]
        w = w[w > 0]
    full = np.zeros(K)
    full[active] = w
    return full


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("significance", [0.2, 0.001])
def test_selection_is_what_trying_everything_selects(loss, significance):
    found = refit(X[:12], H, loss=loss, select="likelihood", significance=significance)
    expected = np.array([backward(x, loss, significance) for x in X[:12]])
    np.testing.assert_array_equal(found.selected, expected > 0)
    np.testing.assert_allclose(found.W, expected, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize(("loss", "share"), [("kullback-leibler", 0.9), ("frobenius", 0.7)])
def test_zeros_are_found_where_they_were_planted(loss, share):
    W, X = planted(100, H, total=5000)
    everything, found = (refit(X, H, loss=loss, select=select) for select in (None, "likelihood"))
    right = (found.selected == (W > 0)).all(axis=1).mean()
    assert right >= share
    assert right > (everything.selected == (W > 0)).all(axis=1).mean() + 0.5
    assert np.abs(found.W - W).mean() < np.abs(everything.W - W).mean()
    np.testing.assert_array_equal(found.selected, found.W > 0)
    assert (found.error >= everything.error - 1e-9).all() or loss != "frobenius"


def test_exact_mixtures_are_found_exactly():
    small = np.where(W > 0, np.maximum(W, 1), 0)
    found = refit(small @ H, H, select="likelihood")
    np.testing.assert_array_equal(found.selected, small > 0)
    np.testing.assert_allclose(found.W, small, rtol=1e-9)


def test_the_smaller_the_significance_the_fewer_are_selected():
    numbers = [
        refit(X, H, loss="kullback-leibler", select="likelihood", significance=level).selected.sum()
        for level in (0.5, 0.05, 1e-6)
    ]
    assert numbers[0] > numbers[1] > numbers[2]


def test_what_alone_explains_something_stays():
    components = np.array([[1.0, 1.0, 0.0], [0.1, 0.0, 1.0]])
    found = refit([[500.0, 500.0, 1.0]], components, loss="kullback-leibler", select="likelihood")
    assert found.selected.all()


def test_what_no_component_has_is_of_no_concern():
    how = {"loss": "kullback-leibler", "select": "likelihood", "n_bootstrap": 50, "random_state": 0}
    found = refit([[5.0, 5.0, 3.0]], [[1.0, 1.0, 0.0]], **how)
    np.testing.assert_allclose(found.W, 5)
    assert found.lower < 5 < found.upper


def test_alike_components_are_told_apart_exactly():
    """Where coordinate descent gives up."""
    alike = np.vstack([H, H * (1 + 1e-3 * np.random.default_rng(0).random(H.shape))])
    found = refit(X, alike, loss="kullback-leibler", select="likelihood", max_iter=10)
    expected = refit(X, alike, loss="kullback-leibler", select="likelihood", max_iter=5000)
    np.testing.assert_array_equal(found.selected, expected.selected)
    np.testing.assert_allclose(found.W, expected.W, rtol=1e-6)


def test_twins_are_selected_once():
    found = refit(X, np.vstack([H, H]), loss="kullback-leibler", select="likelihood")
    single = refit(X, H, loss="kullback-leibler", select="likelihood")
    assert not (found.selected[:, :K] & found.selected[:, K:]).any()
    np.testing.assert_allclose(found.W[:, :K] + found.W[:, K:], single.W, rtol=1e-5, atol=1e-5)


def test_many_rows_are_done_in_parts(monkeypatch):
    """The same whatever is done together."""
    how = {"loss": "kullback-leibler", "select": "likelihood"}
    expected = refit(X, H, **how)
    monkeypatch.setattr(model, "_ENTRIES", 5 * M)
    found = refit(X, H, **how)
    np.testing.assert_allclose(found.W, expected.W, rtol=1e-9)
    np.testing.assert_allclose(found.cosine, expected.cosine)


def test_more_samples_than_are_fitted_together():
    many = np.tile(X, (40, 1))
    found = refit(many, H, loss="kullback-leibler", select="likelihood").W.reshape(40, *W.shape)
    np.testing.assert_allclose(found, np.broadcast_to(found[0], found.shape), rtol=1e-9)


# --- properties


@pytest.mark.parametrize("select", [None, "likelihood"])
@pytest.mark.parametrize("loss", LOSSES)
class TestProperties:
    def test_a_sample_alone_is_the_sample_in_a_batch(self, loss, select):
        batch = refit(X, H, loss=loss, select=select)
        for i in (0, 7, 29):
            alone = refit(X[[i]], H, loss=loss, select=select)
            np.testing.assert_array_equal(alone.selected[0], batch.selected[i])
            np.testing.assert_allclose(alone.W[0], batch.W[i], rtol=1e-9)
            np.testing.assert_allclose(alone.cosine[0], batch.cosine[i])

    def test_components_in_another_order(self, loss, select):
        order = np.random.default_rng(2).permutation(K)
        found = refit(X, H[order], loss=loss, select=select, n_bootstrap=10, random_state=0)
        expected = refit(X, H, loss=loss, select=select, n_bootstrap=10, random_state=0)
        for name in ("W", "lower", "upper"):
            np.testing.assert_allclose(getattr(found, name), getattr(expected, name)[:, order], rtol=1e-3, atol=1e-2)
        np.testing.assert_array_equal(found.selected[:, :], expected.selected[:, order])

    def test_components_in_another_scale(self, loss, select):
        scale = 10.0 ** np.linspace(-4, 4, K)
        found, expected = (refit(X, G, loss=loss, select=select) for G in (H * scale[:, np.newaxis], H))
        np.testing.assert_array_equal(found.selected, expected.selected)
        np.testing.assert_allclose(found.W * scale, expected.W, rtol=1e-4, atol=1e-3)

    def test_samples_in_another_scale(self, loss, select):
        if loss == "kullback-leibler" and select:
            return  # more counts say more
        found, expected = (refit(A, H, loss=loss, select=select, n_bootstrap=4, random_state=0) for A in (X / 8, X))
        np.testing.assert_array_equal(found.selected, expected.selected)
        np.testing.assert_allclose(found.W * 8, expected.W, rtol=1e-5, atol=1e-3)
        assert found.resampled == "features"
        assert expected.resampled == ("features" if loss == "frobenius" else "poisson")

    def test_zero_samples_and_zero_components(self, loss, select):
        A, G = np.vstack([X[:3], np.zeros(M)]), np.vstack([H, np.zeros(M)])
        found = refit(A, G, loss=loss, select=select, n_bootstrap=5, random_state=0)
        for values in (found.W, found.lower, found.upper):
            assert not values[3].any()
            assert not values[:, K].any()
        assert not found.selected[3].any()
        assert np.isnan(found.cosine[3])
        assert np.isnan(found.error[3])
        assert found.table["strongest"][3] is None
        np.testing.assert_allclose(found.W[:3, :K], refit(X[:3], H, loss=loss, select=select).W, rtol=1e-4, atol=1e-3)
        with pytest.warns(UserWarning, match="All components are zero"):
            assert not refit(A, 0 * G, loss=loss, select=select, n_bootstrap=2).W.any()
        assert not refit(0 * A, G, loss=loss, select=select).W.any()

    def test_one_component_one_sample_one_feature(self, loss, select):
        one = refit(X, H[:1], loss=loss, select=select, n_bootstrap=5)
        assert one.W.shape == one.lower.shape == (30, 1)
        assert refit(X[:1, :1], H[:, :1], loss=loss, select=select, n_bootstrap=5).W.shape == (1, K)

    def test_missing_entries(self, loss, select):
        """What is missing does not count, as if its features were not there."""
        A = X[:4].copy()
        A[:, :5] = np.nan
        found = refit(A, H, missing="nan", loss=loss, select=select, n_bootstrap=5, random_state=0)
        expected = refit(X[:4, 5:], H[:, 5:], loss=loss, select=select)
        np.testing.assert_array_equal(found.selected, expected.selected)
        np.testing.assert_allclose(found.W, expected.W, rtol=1e-4, atol=1e-3)
        np.testing.assert_allclose(found.cosine, expected.cosine)
        np.testing.assert_allclose(found.error, expected.error)
        assert (found.lower <= found.upper).all()
        stored = sp.csr_array(np.where(X[:4] > 0, X[:4], 0))
        unstored = refit(stored, H, missing="unstored", loss=loss, select=select, n_bootstrap=5, random_state=0)
        holes = np.where(X[:4] > 0, X[:4], np.nan)
        same = refit(holes, H, missing="nan", loss=loss, select=select, n_bootstrap=5, random_state=0)
        np.testing.assert_array_equal(unstored.selected, same.selected)
        np.testing.assert_allclose(unstored.upper, same.upper, rtol=1e-3, atol=1e-2)
        A[1], G = np.nan, H.copy()
        G[4, 5:] = 0
        nothing = refit(A, G, missing="nan", loss=loss, select=select, n_bootstrap=2)
        for values in (nothing.W, nothing.lower, nothing.upper):
            assert not values[1].any()
            assert not values[:, 4].any()

    def test_precision_of_samples(self, loss, select):
        found = refit(X.astype(np.float32), H, loss=loss, select=select, n_bootstrap=3, random_state=0)
        expected = refit(X, H, loss=loss, select=select, n_bootstrap=3, random_state=0)
        assert found.W.dtype == found.lower.dtype == found.H.dtype == np.float32
        np.testing.assert_allclose(found.W, expected.W, rtol=1e-6)
        np.testing.assert_allclose(found.upper, expected.upper, rtol=1e-6)

    def test_threads_do_not_matter(self, loss, select):
        found = [refit(X, H, loss=loss, select=select, n_bootstrap=3, random_state=0, n_threads=n) for n in (1, 2)]
        np.testing.assert_array_equal(found[0].W, found[1].W)
        np.testing.assert_array_equal(found[0].upper, found[1].upper)

    def test_labels(self, loss, select):
        index = [f"tumour {i}" for i in range(30)]
        samples = pd.DataFrame(X, index=index, columns=FEATURES)
        components = pd.DataFrame(H, index=NAMES, columns=FEATURES).sample(frac=1, axis=1, random_state=0)
        found = refit(samples, components, loss=loss, select=select)
        expected = refit(X, H, loss=loss, select=select)
        np.testing.assert_array_equal(found.W, expected.W)
        np.testing.assert_array_equal(found.H, H)
        assert isinstance(found.exposures, pd.DataFrame)
        assert list(found.exposures.columns) == NAMES
        assert list(found.exposures.index) == index == list(found.table["sample"])
        assert list(found.table["strongest"]) == [NAMES[j] for j in (found.W * H.sum(axis=1)).argmax(axis=1)]
        polars = refit(pl.DataFrame(X, schema=FEATURES), components, loss=loss, select=select)
        assert polars.exposures.columns == NAMES
        assert isinstance(polars.table, pl.DataFrame)
        np.testing.assert_array_equal(polars.exposures.to_numpy(), expected.W)
        assert expected.names == [f"c{j + 1}" for j in range(K)]
        assert type(expected.exposures) is np.ndarray


def test_a_fit_can_be_refitted():
    """Its own samples have the exposures that they have in it."""
    frame = pd.DataFrame(X, columns=FEATURES)
    f = factorize(frame, 3, loss="kullback-leibler", tol=1e-8, max_iter=5000, random_state=0)
    found = refit(frame.iloc[:, ::-1], f, loss="kullback-leibler")
    np.testing.assert_allclose(found.W, f.W, rtol=1e-2, atol=1)
    assert found.names == f.names


# --- limits


def test_limits_hold_about_as_many_exposures_as_their_level_says():
    components = catalogue(4, 30, seed=3)
    W, X = planted(150, components, total=1000, most=4, seed=4)
    for level, low, high in ((0.95, 0.88, 0.99), (0.5, 0.38, 0.62)):
        found = refit(X, components, loss="kullback-leibler", n_bootstrap=100, level=level, random_state=0)
        assert found.resampled == "poisson"
        held = (found.lower <= W) & (found.upper >= W)
        assert low <= held[W > 0].mean() <= high
        chosen = refit(
            X, components, loss="kullback-leibler", select="likelihood", n_bootstrap=100, level=level, random_state=0
        )  # fmt: skip
        held = (chosen.lower <= W) & (chosen.upper >= W)
        assert low - 0.05 <= held[chosen.selected & (W > 0)].mean() <= high
        assert not chosen.upper[~chosen.selected].any()


def test_limits_of_gaussian_noise():
    rng = np.random.default_rng(0)
    components = catalogue(3, 60, seed=3)
    W = rng.uniform(50, 100, (100, 3))
    X = np.maximum(W @ components + rng.normal(0, 0.3, (100, 60)), 0)
    for select in (None, "likelihood"):
        found = refit(X, components, select=select, n_bootstrap=200, level=0.9, random_state=0)
        assert found.resampled == "features"
        assert 0.75 <= ((found.lower <= W) & (found.upper >= W)).mean() <= 0.97


def test_limits_are_repeated_by_a_seed():
    first, second, third = (
        refit(X[:5], H, loss="kullback-leibler", n_bootstrap=20, random_state=seed) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first.lower, second.lower)
    assert (first.upper != third.upper).any()
    np.testing.assert_array_equal(first.W, third.W)
    wide, narrow = (
        refit(X[:5], H, loss="kullback-leibler", n_bootstrap=50, level=level, random_state=1) for level in (0.9, 0.3)
    )
    assert (wide.lower <= narrow.lower).all()
    assert (narrow.upper <= wide.upper).all()


def test_limits_of_very_large_counts():
    components = np.array([[1.0, 2.0, 0.0], [0.0, 1.0, 3.0]])
    large = np.array([[3.0, 5.0]]) @ components * 2.0**70
    found = refit(large, components, loss="kullback-leibler", n_bootstrap=5, random_state=0)
    np.testing.assert_allclose(found.lower / 2.0**70, [[3, 5]], rtol=1e-6)


def test_limits_of_other_losses():
    found = refit(X + 1, H, loss="itakura-saito", n_bootstrap=4, tol=1e-3, max_iter=100, random_state=0)
    assert found.resampled == "features"
    assert (found.lower <= found.upper).all()
    assert found.upper.any()


# --- what is shown and what is refused


def test_a_refit_can_be_read():
    found = refit(X, H, loss="kullback-leibler", select="likelihood", n_bootstrap=3, level=0.9)
    text = repr(found)
    assert text.startswith("<Refit: 30 samples, ")
    assert all(words in text for words in ("of 10 components in each", "90 % limits", "strongest", "... 10 more"))
    assert "<td" in found._repr_html_()
    assert list(found.table.columns) == ["sample", "components", "total", "strongest", "share", "cosine", "error"]
    np.testing.assert_allclose(found.table["total"], X.sum(axis=1))
    assert found.table["share"].between(0, 1).all()
    zeros = refit(0 * X, H)
    assert "None" not in repr(zeros) + zeros._repr_html_()
    with pytest.raises(FrozenInstanceError):
        found.W = 0


@pytest.mark.parametrize("make", [np.asarray, lambda A: pd.DataFrame(A, columns=FEATURES), pl.DataFrame])
def test_limits_are_of_the_kind_of_exposures(make):
    found = refit(make(X), H, n_bootstrap=3, random_state=0)
    expected = refit(X, H, n_bootstrap=3, random_state=0)
    for name in ("lower", "upper"):
        limit = getattr(found, name)
        assert type(limit) is type(found.exposures)
        np.testing.assert_array_equal(np.asarray(limit), getattr(expected, name))
    if isinstance(found.exposures, pd.DataFrame):
        assert list(found.lower.columns) == list(found.exposures.columns) == [f"c{j + 1}" for j in range(K)]


def test_the_paragraph_of_a_refit():
    counts = refit(X, H, loss="kullback-leibler", select="likelihood", n_bootstrap=3, level=0.9, significance=0.01)
    text = counts.methods()
    for words in (
        "X (30 samples x 40 features)", "10 known components H", "Kullback-Leibler divergence", "(Wilks, 1938)",
        "significance of 0.01", "hold 90% of 3 replicates", "Poisson", "Computations were made with nmf-core",
    ):  # fmt: skip
        assert words in text
    keys = re.findall(r"^@\w+\{(\w+),$", counts.cite(), re.MULTILINE)
    assert keys == ["nmf_core", "lee2001", "wilks1938", "efron1993"]
    weights = refit(X, H, n_bootstrap=3)
    assert "exponentially distributed random weights (Efron and Tibshirani, 1993; Rubin, 1981)" in weights.methods()
    plain = refit(np.where(X > 0, X, np.nan), H, missing="nan")
    assert "over known entries" in plain.methods()
    assert not re.search("Wilks|replicates|nan", plain.methods())
    assert "cosine" not in refit(0 * X, H).methods()


def test_whatever_holds_components():
    """An ensemble, its components, estimators, also unpickled ones, and exposures stand for the components in them."""
    frame = pd.DataFrame(X, columns=FEATURES)
    many = nmf_core.factorize_many(frame, 3, 2, random_state=0)
    nmf = nmf_core.NMF(3, init="random", random_state=0).fit(frame)
    shuffled = pd.DataFrame(H, NAMES, FEATURES)[FEATURES[::-1]]
    for held, components in (
        (many, many.best.H),
        (many.components(), many.components().H),
        (nmf, nmf.components_),
        (pickle.loads(pickle.dumps(nmf)), nmf.components_),
        (nmf_core.MiniBatchNMF(3, random_state=0).partial_fit(frame), None),
        (refit(frame, many), many.best.H),
    ):
        components = held.components_ if components is None else components
        np.testing.assert_allclose(match(held, shuffled).cosines, match(components, H).cosines)
        assert match(shuffled, held).assigned.max() == 2
        np.testing.assert_allclose(refit(frame, held).W, refit(X, components).W)
        np.testing.assert_array_equal(factorize(frame, H=held, update_H=False).H, components)
        assert many.align(held).cosine.shape == (2, 3)
        assert many.best.align(held).n_components == 3
    assert factorize(frame, W=many, H=many, max_iter=1).init == "custom"


@pytest.mark.parametrize("nothing", [nmf_core.NMF(3), match(H, H)])
def test_what_holds_no_components_is_refused_in_words(nothing):
    for use in (lambda: match(nothing, H), lambda: refit(X, nothing), lambda: factorize(X, W=nothing)):
        with pytest.raises(TypeError, match=f"must be a matrix of real numbers, got {type(nothing).__name__}"):
            use()


def test_a_warning_if_rows_have_not_converged():
    with pytest.warns(nmf_core.ConvergenceWarning, match="W of some rows has not converged within 1 sweeps"):
        refit(X, H, max_iter=1, n_bootstrap=3)


FRAME = pd.DataFrame(X, columns=FEATURES)
TWICE = pd.DataFrame(H, index=["S1", *NAMES[:-1]])
NAN = np.where(X.max() == X, np.nan, X)


@pytest.mark.parametrize(
    ("X", "H", "how", "message"),
    [
        (X, H[:, 1:], {}, "H has 39 features, but X has 40."),
        (X, H.T, {}, "H has 10 features, but X has 40; if its rows are the features, give H.T."),
        (FRAME, pd.DataFrame(H.T, FEATURES, NAMES), {}, "The rows of H are the features of X, but must be components"),
        (
            FRAME,
            pd.DataFrame(H[:, 1:], columns=FEATURES[1:]),
            {},
            "The columns of H are not those of X: 1 of 40 are la",
        ),
        (X, TWICE, {}, "H has two components 'S1'; give each a name of its own."),
        (NAN, H, {}, "X contains NaN, first at row .* missing='nan' takes NaN for missing entries."),
        (X, np.where(H.max() == H, np.nan, H), {}, "H contains NaN, first at row"),
        (-X, H, {}, "X contains a negative value"),
        (X, -H, {}, "H contains a negative value"),
        (X, H, {"loss": "kl"}, "loss must be one of .*, got 'kl'; did you mean 'kullback-leibler'?"),
        (X, H, {"loss": 99}, "loss must be one of"),
        (X, H, {"select": "backward"}, "select must be one of 'likelihood', got 'backward'."),
        (X + 1, H, {"select": "likelihood", "loss": 0}, "select='likelihood' is for loss='frobenius' and loss='kullb"),
        (
            X / 3,
            H,
            {"select": "likelihood", "loss": 1},
            "is for counts, but X has entries that are no whole numbers, s",
        ),
        (X, H, {"significance": 0}, "significance must be above 0 and below 1, got 0."),
        (X, H, {"level": 1.0}, "level must be above 0 and below 1, got 1.0."),
        (X, H, {"level": -0.1}, "level must be above 0 and below 1, got -0.1."),
        (X, H, {"level": np.nan}, "level must be a finite number"),
        (X, H, {"level": "95"}, "level must be a real number, got '95'."),
        (X, H, {"n_bootstrap": -1}, "n_bootstrap must be at least 0, got -1."),
        (X, H, {"n_bootstrap": 9.5}, "n_bootstrap must be an integer, got 9.5."),
        (X, H, {"missing": "zero"}, "missing must be one of 'nan', 'unstored'"),
        (X, H, {"tol": -1}, "tol must be a finite number of at least 0"),
        (X, H, {"max_iter": 0}, "max_iter must be at least 1, got 0."),
        (X, H, {"random_state": "no"}, "random_state must be None, an integer"),
        (X, H, {"n_threads": 0}, "n_threads must be at least 1"),
    ],
)
def test_what_refit_refuses(X, H, how, message):
    with pytest.raises((TypeError, ValueError), match=message.replace("(", r"\(")) as raised:
        refit(X, H, **how)
    assert "\n" not in str(raised.value)


def test_refit_knows_no_biases_and_no_blocks():
    with pytest.raises(ValueError, match="H is a fit with biases, which refit does not know"):
        refit(X, factorize(X, 2, biases=True, random_state=0))
    dask = pytest.importorskip("dask.array")
    with pytest.raises(ValueError, match="refit needs X in memory, but it comes in blocks"):
        refit(dask.from_array(X), H)


@pytest.mark.parametrize(
    ("f", "catalogue", "message"),
    [
        (H, H[:, 1:], "catalogue has 39 features, but f has 40."),
        (H, H.T, "catalogue has 10 features, but f has 40; if its rows are the features, give catalogue.T."),
        (H, TWICE, "catalogue has two components 'S1'; give each a name of its own."),
        (H, -H, "catalogue contains a negative value"),
        (H[0], H, "f must be a matrix with 2 dimensions, but it has 1."),
        (H, pd.DataFrame({"Type": ["A[C>A]A"], "SBS1": [0.1]}), "catalogue must hold real numbers, but its column"),
        (
            pd.DataFrame(H, columns=FEATURES),
            pd.DataFrame(H, columns=[*FEATURES[:-1], "x"]),
            "The columns of catalogue are not those of f: 1 of 40 are lacking, the first 'f39'",
        ),
        (
            pd.DataFrame(H, columns=FEATURES),
            pd.DataFrame(H, columns=FEATURES).T,
            "The rows of catalogue are the features of f, but must be components: give catalogue.T.",
        ),
    ],
)
def test_what_match_refuses(f, catalogue, message):
    with pytest.raises((TypeError, ValueError)) as raised:
        match(f, catalogue)
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


# --- many small problems at a time


@pytest.mark.parametrize("quadratic", [True, False])
def test_rows_with_components_of_their_own(quadratic):
    """From far away, with weights: each is what it is alone."""
    rng = np.random.default_rng(0)
    loss = nmf_core.losses.make_loss("frobenius" if quadratic else "kullback-leibler")
    model = Model(H, loss, {})
    active = rng.random((30, K)) < 0.5
    active[:, 0] = True
    weights = rng.integers(0, 3, X.shape).astype(float)
    found, divergence = model.fits(X, weights, active, np.where(active, 1e-3, 0.0))
    assert not found[~active].any()
    for i in range(30):
        own = np.flatnonzero(active[i])
        alone = transform(X[[i]], H[own], weights=weights[[i]], loss=loss.name, **TIGHT).W
        np.testing.assert_allclose(found[i, own], alone[0], rtol=1e-4, atol=1e-3)
        expected = (weights[i] * loss.value(X[i], found[i] @ H)).sum()
        np.testing.assert_allclose(divergence[i], expected, rtol=1e-9)


def test_pivoting_ends_in_a_minimum():
    rng = np.random.default_rng(0)
    A = rng.normal(size=(200, 9, 8)) + 1
    A /= np.linalg.norm(A, axis=1, keepdims=True)
    Q, right = A.swapaxes(1, 2) @ A, rng.normal(size=(200, 8))
    z = rows._pivoted(Q, right, rng.random((200, 8)) < 0.5)
    gradient = (Q @ z[..., np.newaxis])[..., 0] - right
    assert z.min() >= 0
    size = 1 + np.abs(z).max(axis=1, keepdims=True)
    assert (gradient / size).min() > -1e-8
    assert (np.abs(gradient * z) / size**2).max() < 1e-8


def test_results_are_not_changed_by_replacing_them():
    found = refit(X, H)
    assert replace(found, level=0.5).level == 0.5
    assert found.level == 0.95
