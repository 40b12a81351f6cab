"""Results that can be read: scale, order and names of components, tables, contributions."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

import nmf_core
from nmf_core import factorize
from nmf_core.interpretation import component_shares, feature_scores, strongest_components

WORDS = [f"word{i}" for i in range(12)]
DAYS = [f"day{i}" for i in range(30)]
K = 3


def counts(dtype=np.float64):
    rng = np.random.default_rng(0)
    W = rng.gamma(0.5, 2, (30, K)) * [5, 1, 2]
    H = rng.gamma(0.3, 1, (K, 12))
    return (rng.poisson(W @ H) + np.eye(1, 12)).astype(dtype)  # no sample is empty


X = counts()
FIT = {"n_components": K, "random_state": 0, "init": "random", "max_iter": 100}


def fitted(A=X, **more):
    return factorize(A, **{**FIT, "sample_names": DAYS, "feature_names": WORDS, **more})


def test_names_of_components_are_single():
    with pytest.raises(TypeError, match="names must be single labels"):
        fitted().named([["a"], ["b"], ["c"]])


FORMS = {
    "array": np.asarray,
    "fortran": np.asfortranarray,
    "csr": sp.csr_array,
    "csc": sp.csc_array,
    "float32": lambda A: A.astype(np.float32),
}


class TestOrder:
    @pytest.mark.parametrize("loss", ["frobenius", "kullback-leibler"])
    @pytest.mark.parametrize("form", FORMS)
    def test_the_largest_share_comes_first(self, form, loss):
        f, g = (factorize(FORMS[form](X), loss=loss, sort=sort, **FIT) for sort in (True, False))
        shares = component_shares(f)
        assert (np.diff(shares) <= 0).all()
        order = np.argsort(-component_shares(g), kind="stable")
        np.testing.assert_array_equal(f.W, g.W[:, order])
        np.testing.assert_array_equal(f.H, g.H[order])

    def test_an_order_that_means_something_stays(self):
        rng = np.random.default_rng(1)
        W, H = rng.random((30, K)), rng.random((K, 12))
        for more in ({"W": W}, {"H": H}, {"W": W, "H": H}, {"H": H, "update_H": False}, {"solver": "sequential"}):
            given = {"n_components": K, "random_state": 0, "max_iter": 20, **more}
            f, g = (factorize(X, sort=sort, **given) for sort in (True, False))
            np.testing.assert_array_equal(f.H, g.H)
        limited = nmf_core.Factor(upper=[0.1, np.inf, 0.2])
        assert (factorize(X, K, H=limited, random_state=0).H.max(axis=1)[[0, 2]] <= [0.1, 0.2]).all()

    def test_estimators_keep_the_order_of_scikit_learn(self):
        model = nmf_core.NMF(K, init="random", random_state=0).fit(X)
        np.testing.assert_array_equal(model.components_, factorize(X, K, init="random", random_state=0, sort=False).H)

    def test_w_in_an_array_of_ones_own(self):
        out = np.empty((30, K))
        f = factorize(X, out_W=out, **FIT)
        np.testing.assert_array_equal(out, fitted().W)
        assert f.W is out

    def test_masked_and_biased(self):
        holes = np.where(np.random.default_rng(0).random(X.shape) < 0.2, np.nan, X)
        f = factorize(holes, missing="nan", biases=True, alpha_W=0.1, **FIT)
        assert (np.diff(component_shares(f)) <= 0).all()
        known = ~np.isnan(holes)
        model = f.W @ f.H + f.biases.mean + f.biases.rows[:, np.newaxis] + f.biases.columns
        assert np.sum((holes - model)[known] ** 2) == pytest.approx(f.squared_error, rel=1e-8)


class TestNames:
    def test_of_a_sparse_matrix(self):
        f = fitted(sp.csr_array(X))
        assert list(f.components.columns) == WORDS
        assert list(f.embedding.index) == DAYS
        assert f.predict("day3", "word5") == f.W[3] @ f.H[:, 5]

    def test_bad_names(self):
        with pytest.raises(ValueError, match="feature_names are 2 labels, but X has 12 columns"):
            factorize(X, K, feature_names=["a", "b"])
        with pytest.raises(TypeError, match="sample_names must be a list of labels"):
            factorize(X, K, sample_names="abc")
        names = dict.fromkeys(WORDS)
        for loose in (set(names), frozenset(names), names.keys(), names.values(), names):
            with pytest.raises(TypeError, match="feature_names must be a list of labels in the order of the columns"):
                factorize(X, K, feature_names=loose)
        frame = pd.DataFrame(X, columns=WORDS)
        assert list(factorize(frame, feature_names=WORDS, **FIT).components.columns) == WORDS
        with pytest.raises(ValueError, match="have labels already, such as 'word0'"):
            factorize(frame, feature_names=WORDS[::-1], **FIT)

    def test_of_components(self, tmp_path):
        f = fitted().named({"c1": "music", "c3": "sport"})
        assert list(f.names) == ["music", "c2", "sport"]
        assert list(f.components.index) == list(f.embedding.columns) == list(f.names)
        assert list(f.transform(pd.DataFrame(X[:2], columns=WORDS)).columns) == list(f.names)
        f.save(tmp_path / "f.npz")
        assert list(nmf_core.load(tmp_path / "f.npz").names) == list(f.names)
        assert list(f.named(["a", "b", "c"]).names) == ["a", "b", "c"]

    @pytest.mark.parametrize(
        ("names", "said"),
        [
            ({"c9": "x"}, "no component 'c9'"),
            (["a", "b"], "names are 2, but there are 3 components"),
            (["a", "b", "a"], "'a' is there more than once"),
            ("abc", "a name for each component"),
            ({"a", "b", "c"}, "a list with a name for each component"),
            ({"c1": "c2"}, "'c2' is there more than once"),
        ],
    )
    def test_bad_names_of_components(self, names, said):
        with pytest.raises((TypeError, ValueError), match=said):
            fitted().named(names)

    def test_of_fixed_components(self):
        f = fitted().named(["a", "b", "c"])
        frame = pd.DataFrame(X, columns=WORDS)
        for H in (f, f.components):
            g = factorize(frame, H=H, update_H=False)
            assert list(g.names) == ["a", "b", "c"]
            np.testing.assert_array_equal(g.H, f.H)
        np.testing.assert_allclose(factorize(X, W=f, H=f, max_iter=1).objective, f.objective, rtol=1e-3)

    def test_of_an_estimator(self):
        model = nmf_core.NMF(K, init="random", random_state=0).fit(pd.DataFrame(X, index=DAYS, columns=WORDS))
        assert model.result_.features(1)["feature"].iloc[0] in WORDS
        assert list(model.result_.embedding.index) == DAYS


class TestScaleAndOrder:
    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    @pytest.mark.parametrize(
        ("to", "size"),
        [
            ("share", lambda H: H.sum(axis=1)),
            ("unit", lambda H: np.linalg.norm(H, axis=1)),
            ("max", lambda H: H.max(axis=1)),
        ],
    )
    def test_scaled(self, to, size, dtype):
        f = fitted(counts(dtype))
        g = f.scaled(to)
        np.testing.assert_allclose(size(g.H), 1, rtol=1e-6)
        np.testing.assert_allclose(g.W @ g.H, f.W @ f.H, rtol=1e-5 if dtype == np.float32 else 1e-12)
        assert g.W.dtype == g.H.dtype == dtype
        assert g.scaled(to).names == f.names

    def test_zero_components_keep_their_scale(self):
        f = fitted()
        f.H[1] = 0
        g = f.scaled("unit")
        assert not g.H[1].any()
        np.testing.assert_array_equal(g.W[:, 1], f.W[:, 1])

    def test_sorted(self):
        f = fitted().named(["b", "c", "a"])
        g = f.sorted("name")
        assert list(g.names) == ["a", "b", "c"]
        np.testing.assert_array_equal(g.H, f.H[[2, 0, 1]])
        np.testing.assert_array_equal(g.sorted("share").H, f.H)
        np.testing.assert_array_equal(f.sorted([1, 2, 0]).W, f.W[:, [1, 2, 0]])
        assert list(f.sorted([1, 2, 0]).names) == ["c", "a", "b"]
        for bad in ([0, 1], [0, 0, 1], [0.0, 1.0, 2.0]):
            with pytest.raises(ValueError, match="numbers from 0 to 2, each once"):
                f.sorted(bad)

    def test_align(self):
        f = fitted()
        other = f.sorted([2, 0, 1]).scaled("unit").named(["x", "y", "z"])
        g = f.align(other)
        np.testing.assert_array_equal(g.H, f.H[[2, 0, 1]])
        assert list(g.names) == ["x", "y", "z"]
        np.testing.assert_array_equal(f.align(other.H).H, g.H)
        shuffled = other.components[WORDS[::-1]]
        np.testing.assert_array_equal(f.align(shuffled).H, g.H)
        assert list(f.align(shuffled).names) == ["x", "y", "z"]
        for few in (f.H[:2], f.components[:2]):
            with pytest.raises(
                ValueError, match=r"^other has 2 components, but the fit has 3: f.named\(nmf_core.match"
            ):
                f.align(few)
        with pytest.raises(ValueError, match="shape"):
            f.align(f.H[:, :2])

    def test_names_of_a_match(self):
        f = fitted()
        known = pd.DataFrame([f.H[2], f.H[0]], ["third", "first"], WORDS)
        assert list(f.named(nmf_core.match(f, known)).names) == ["first", "c2", "third"]
        clash = known.set_axis(["third", "c2"])
        with pytest.raises(ValueError, match="names must differ, but 'c2' is there more than once"):
            f.named(nmf_core.match(f, clash))

    def test_originals_are_as_they_were(self):
        f = fitted()
        W, H = f.W.copy(), f.H.copy()
        for _ in (f.scaled(), f.sorted([2, 1, 0]), f.named(["a", "b", "c"]), f.align(f.H[::-1])):
            np.testing.assert_array_equal(f.W, W)
            np.testing.assert_array_equal(f.H, H)
        assert list(f.names) == ["c1", "c2", "c3"]


class TestTables:
    def test_scores(self):
        f = fitted()
        p = f.H / f.H.sum(axis=1, keepdims=True)
        q = (f.W @ f.H).sum(axis=0) / (f.W @ f.H).sum()
        with np.errstate(divide="ignore", invalid="ignore"):
            expected = np.where(p > 0, p * np.log(p / q), 0)
        np.testing.assert_allclose(feature_scores(f), expected, rtol=1e-9, atol=1e-15)
        np.testing.assert_allclose(feature_scores(f, "weight"), p)
        np.testing.assert_allclose(feature_scores(f, "lift"), np.where(p > 0, p / q, 0), rtol=1e-9)
        for to in ("share", "unit", "max"):  # scale means nothing
            np.testing.assert_allclose(feature_scores(f.scaled(to)), feature_scores(f), rtol=1e-9, atol=1e-15)

    def test_a_single_component_has_weights(self):
        f = fitted(n_components=1)
        np.testing.assert_array_equal(feature_scores(f), feature_scores(f, "weight"))
        assert len(f.features(4)) == 4

    @pytest.mark.parametrize("by", ["distinctive", "weight", "lift"])
    def test_features(self, by):
        f = fitted().named(["a", "b", "c"])
        table = f.features(4, by)
        assert list(table.columns) == ["component", "rank", "feature", "weight", "score"]
        for j, name in enumerate(f.names):
            part = table[table["component"] == name]
            assert list(part["rank"]) == list(range(1, len(part) + 1))
            assert (np.diff(part["score"]) <= 0).all()
            assert part["feature"].iloc[0] == WORDS[feature_scores(f, by)[j].argmax()]

    def test_what_is_everywhere_is_not_distinctive(self):
        H = np.array([[10.0, 4.0, 0.0], [10.0, 0.0, 4.0]])
        f = factorize(
            np.random.default_rng(0).random((20, 2)) @ H, 2, H=H, update_H=False, feature_names=["the", "a", "b"]
        )
        assert list(f.features(1)["feature"]) == ["a", "b"]
        assert list(f.features(1, "weight")["feature"]) == ["the", "the"]

    def test_samples(self):
        f = fitted()
        table = f.samples(2, X)
        assert list(table.columns) == ["sample", "component", "share", "component_2", "share_2", "error"]
        assert list(table["sample"]) == DAYS
        strongest = [f.names[j] if f.W[i].any() else None for i, j in enumerate(strongest_components(f))]
        assert [None if pd.isna(name) else name for name in table["component"]] == strongest
        errors = np.linalg.norm(X - f.W @ f.H, axis=1) / np.linalg.norm(X, axis=1)
        np.testing.assert_allclose(table["error"], errors, rtol=1e-9)

    def test_component_info(self):
        f = fitted()
        table = f.component_info(3, stability=[1.0, 0.9, 0.8])
        np.testing.assert_allclose(table["share"], component_shares(f))
        assert list(table["stability"]) == [1.0, 0.9, 0.8]
        for stability in ([1, 2], np.ones((2, 3)), ["a", "b", "c"]):
            with pytest.raises(ValueError, match="stability must be 3 numbers, one for each component"):
                f.component_info(stability=stability)
        assert table["samples"].sum() == np.count_nonzero(f.W.any(axis=1))
        assert table["top_features"][0].split(", ")[0] == f.features(1)["feature"][0]
        assert all(len(names.split(", ")) <= 3 for names in table["top_samples"])

    def test_reconstruct(self):
        f = fitted()
        np.testing.assert_allclose(f.reconstruct().to_numpy(), f.W @ f.H)
        parts = sum(f.reconstruct([name]).to_numpy() for name in f.names)
        np.testing.assert_allclose(parts, f.W @ f.H)
        some = f.reconstruct("c2", ["day4", "day1"])
        assert list(some.index) == ["day4", "day1"]
        np.testing.assert_allclose(some.to_numpy(), np.outer(f.W[[4, 1], 1], f.H[1]))

    def test_explain(self):
        f = fitted()
        table = f.explain("day2", "word3")
        assert (table["contribution"] != 0).all()
        assert table["contribution"].sum() == pytest.approx(f.predict("day2", "word3"), rel=1e-12)
        assert table["share"].sum() == pytest.approx(1)
        biased = factorize(X, biases=True, **FIT)
        table = biased.explain(2, 3)
        assert {"mean", "bias of the sample", "bias of the feature"} <= set(table["component"])
        assert table["contribution"].sum() == pytest.approx(biased.predict(2, 3), rel=1e-12)

    def test_tables_are_of_the_kind_of_the_data(self):
        polars = pytest.importorskip("polars")
        frame = polars.DataFrame(X, schema=WORDS)
        f = factorize(frame, **FIT)
        assert all(isinstance(table, polars.DataFrame) for table in (f.features(), f.samples(), f.component_info()))

    def test_without_pandas(self, monkeypatch):
        monkeypatch.setattr("nmf_core.labels.frames.importlib.util.find_spec", lambda name: None)
        assert isinstance(fitted().features(), dict)


class TestShapes:
    CUBE = np.random.default_rng(3).random((6, 5, 8))

    @pytest.mark.parametrize(
        ("axes", "rows"),
        [(0, (6, 40)), ((0, 1), (30, 8)), ((2,), (8, 30)), (-1, (8, 30)), ((2, 0), (48, 5)), ([1], (5, 48))],
    )
    def test_arrays_come_back_in_their_shape(self, axes, rows, tmp_path):
        f = factorize(self.CUBE, 3, sample_axes=axes, random_state=0)
        assert (len(f.W), f.H.shape[1]) == rows
        assert f.reconstruct().shape == self.CUBE.shape
        error = np.linalg.norm(self.CUBE - f.reconstruct()) ** 2
        assert error == pytest.approx(f.squared_error, rel=1e-9)
        assert f.maps.shape[-1] == f.images.shape[0] == 3
        assert f.maps[..., 0].size == len(f.W)
        f.save(tmp_path / "f.npz")
        again = nmf_core.load(tmp_path / "f.npz")
        assert again.axes == f.axes
        np.testing.assert_array_equal(again.images, f.images)

    def test_new_samples(self):
        f = factorize(self.CUBE, 3, sample_axes=0, random_state=0)
        np.testing.assert_allclose(
            f.transform(self.CUBE[:2], tol=1e-8), f.transform(self.CUBE[:2].reshape(2, -1), tol=1e-8)
        )
        with pytest.raises(ValueError, match=r"axes must be \(any, 5, 8\)"):
            f.transform(self.CUBE[:, :4])

    def test_the_layout_of_the_fit_is_taken_everywhere(self):
        S, rng = self.CUBE[0, :, :5].copy(), np.random.default_rng(0)  # square: only the axes tell
        f, g = factorize(S, 2, sample_axes=1, random_state=0), factorize(S.T, 2, random_state=0)
        np.testing.assert_allclose(f.transform(S), g.transform(S.T))
        np.testing.assert_allclose(f.samples(1, S)["error"], g.samples(1, S.T)["error"])
        np.testing.assert_array_equal(f.recommend(new=S).columns, g.recommend(new=S.T).columns)
        holes = np.where(rng.random(S.shape) < 0.2, np.nan, S)
        for new in (False, True):
            np.testing.assert_allclose(f.impute(holes, new=new), g.impute(holes.T, new=new).T)
        c = factorize(self.CUBE, 2, sample_axes=(0, 1), random_state=0)
        flat = self.CUBE.reshape(30, 8)
        np.testing.assert_array_equal(c.samples(1, self.CUBE)["error"], c.samples(1, flat)["error"])
        assert c.impute(self.CUBE).shape == self.CUBE.shape
        assert c.impute(flat).shape == flat.shape
        ones = np.ones((6, 5))
        np.testing.assert_allclose(c.transform(self.CUBE, weights=ones, tol=1e-8), c.transform(self.CUBE, tol=1e-8))
        plotting = pytest.importorskip("nmf_core.plotting")
        assert plotting.row_error(c, self.CUBE, weights=ones).axes
        report = pytest.importorskip("nmf_core.report.model")
        worth = [
            report.model_data(replace(fit, column_labels=list("abcde")), A)["worth"] for fit, A in ((f, S), (g, S.T))
        ]
        assert worth[0] == worth[1]

    def test_axes_in_another_order_are_refused(self):
        turned = self.CUBE.swapaxes(0, 1)
        f = factorize(self.CUBE, 2, sample_axes=(0, 1), random_state=0)
        with pytest.raises(ValueError, match=r"weights have shape \(5, 6, 8\), but X has shape \(6, 5, 8\)"):
            factorize(self.CUBE, 2, sample_axes=(0, 1), weights=turned)
        for method in (f.separate, f.impute, lambda A: f.samples(1, A)):
            with pytest.raises(ValueError, match=r"has shape \(5, 6, 8\), but \(6, 5, 8\) was factorized"):
                method(turned)

    @pytest.mark.parametrize("axis", [0, 2])
    def test_a_single_sample(self, axis):
        f = factorize(self.CUBE, 2, sample_axes=axis, random_state=0)
        with pytest.raises(ValueError, match=r"X\[None, :, :\]" if axis == 0 else r"X\[:, :, None\]"):
            f.transform(self.CUBE.take(0, axis=axis))

    def test_weights_of_samples(self):
        mask = np.random.default_rng(0).random((6, 5)) < 0.8
        fits = [
            factorize(self.CUBE, 2, sample_axes=(0, 1), weights=weights, random_state=0)
            for weights in (mask, mask[..., np.newaxis], np.repeat(mask[..., np.newaxis], 8, axis=2))
        ]
        for f in fits[1:]:
            np.testing.assert_array_equal(f.W, fits[0].W)
        with pytest.raises(ValueError, match=r"weights have shape \(6, 5\)"):  # of which axis is which?
            factorize(self.CUBE, 2, sample_axes=(1, 0), weights=mask)

    def test_what_is_not_known_is_blank(self, tmp_path):
        mask = np.ones((6, 5))
        mask[1, 2] = mask[4] = 0
        cube = self.CUBE.copy()
        cube[0, 0] = 0  # is known
        f = factorize(cube, 2, sample_axes=(0, 1), weights=mask, random_state=0)
        np.testing.assert_array_equal(np.isnan(f.maps).all(axis=2), mask == 0)
        assert not f.W[f.unknown].any()
        f.save(tmp_path / "f.npz")
        np.testing.assert_array_equal(nmf_core.load(tmp_path / "f.npz").maps, f.maps)
        assert factorize(cube, W=f.maps, sample_axes=(0, 1), weights=mask).n_components == 2
        plotting = pytest.importorskip("nmf_core.plotting")
        assert np.ma.getmaskarray(plotting.maps(f).axes[0].images[0].get_array()).sum() == 6

    def test_shapes_of_results_are_taken_again(self):
        f = factorize(self.CUBE, 2, sample_axes=0, random_state=0)
        g = factorize(self.CUBE, W=f.maps, H=f.images, sample_axes=0)
        assert g.objective <= f.objective
        turned = f.images[::-1]
        np.testing.assert_array_equal(f.align(turned).H, f.H[::-1])
        assert nmf_core.match(f, turned).assigned.tolist() == [1, 0]
        c = factorize(self.CUBE, 2, sample_axes=(0, 1), random_state=0)
        assert factorize(self.CUBE, W=c.maps, sample_axes=(0, 1)).n_components == 2
        with pytest.raises(ValueError, match=r"W has axes \(5, 6\)"):
            factorize(self.CUBE, W=c.maps.swapaxes(0, 1), sample_axes=(0, 1))
        assert f.reconstruct(samples=[0, 3]).shape == (2, 5, 8)
        assert factorize(self.CUBE[0], 2, sample_axes=1, random_state=0).reconstruct(samples=[0, 3]).shape == (5, 2)

    def test_places_in_an_array(self):
        bad = self.CUBE.copy()
        bad[3, 4, 5] = np.nan
        for axes in (0, (0, 1), (2, 0)):
            with pytest.raises(ValueError, match=r"X contains NaN, first at \[3, 4, 5\]"):
                factorize(bad, 2, sample_axes=axes)
        c = factorize(self.CUBE, 2, sample_axes=(0, 1), random_state=0)
        model = c.reconstruct()
        assert c.predict((3, 4), 5) == pytest.approx(model[3, 4, 5])
        assert c.explain((3, 4), 5)["contribution"].sum() == pytest.approx(model[3, 4, 5])
        np.testing.assert_allclose(c.predict(np.nonzero(model[..., 0] > 0.5), 1), model[model[..., 0] > 0.5, 1])
        np.testing.assert_allclose(c.reconstruct(samples=(3, 4))[0], model[3, 4])
        np.testing.assert_allclose(c.predict([(3, 4), (0, 1)], 5), model[[3, 0], [4, 1], 5])
        for places, said in (((6, 0), r"no row \(6, 0\)"), ((1, 2, 3), "along 2 axes"), (([0, 1], 0), "one sample")):
            with pytest.raises(ValueError, match=said):
                c.explain(places, 0)

    def test_only_arrays_have_axes(self):
        masked = np.ma.masked_less(self.CUBE, 0.1)
        f = factorize(self.CUBE, 2, sample_axes=(0, 1), random_state=0)
        for take in (lambda: factorize(masked, 2, sample_axes=0), lambda: f.transform(masked)):
            with pytest.raises(TypeError, match="X is a masked array"):
                take()
        for X, said in ((sp.csr_array(self.CUBE[0]), "sparse"), (pd.DataFrame(self.CUBE[0]), "a data frame")):
            with pytest.raises(TypeError, match=f"X must be an array, .* it is {said}"):
                factorize(X, 2, sample_axes=1)

    def test_weights_and_missing_entries(self):
        holes = np.where(np.random.default_rng(0).random(self.CUBE.shape) < 0.1, np.nan, self.CUBE)
        f = factorize(holes, 2, sample_axes=(0, 1), missing="nan", random_state=0)
        g = factorize(
            np.nan_to_num(holes), 2, sample_axes=(0, 1), weights=(~np.isnan(holes)).astype(float), random_state=0
        )
        np.testing.assert_allclose(f.reconstruct(), g.reconstruct(), rtol=1e-9)

    @pytest.mark.parametrize(
        ("axes", "said"),
        [
            ((0, 1, 2), "leave at least one"),
            ((0, 0), "each once"),
            (3, "at most 2"),
            ("0", "an axis of X"),
            ((), "some"),
        ],
    )
    def test_bad_axes(self, axes, said):
        with pytest.raises((TypeError, ValueError), match=said):
            factorize(self.CUBE, 2, sample_axes=axes)

    def test_advice(self):
        with pytest.raises(ValueError, match="sample_axes says which of them are samples"):
            factorize(self.CUBE, 2)
        with pytest.raises(TypeError, match=r"Take their magnitudes, abs\(X\)"):
            factorize(np.ones((3, 4)) * 1j, 2)

    def test_separation_sums_to_the_mixture(self):
        rng = np.random.default_rng(0)
        stft = rng.standard_normal((40, 25)) + 1j * rng.standard_normal((40, 25))
        stft[:, 3] = 0
        f = factorize(np.abs(stft), 3, random_state=0)
        for power in (1.0, 2.0):
            parts = f.separate(stft, power=power)
            assert parts.shape == (3, 40, 25)
            np.testing.assert_allclose(parts.sum(axis=0), stft, atol=1e-6)
        stereo = np.stack([stft, 2 * stft])
        g = factorize(np.abs(stereo), 3, sample_axes=(0, 2), random_state=0)
        np.testing.assert_allclose(g.separate(stereo).sum(axis=0), stereo, atol=1e-6)
        with pytest.raises(ValueError, match="mixture has shape"):
            f.separate(stft[:5])

    def test_mixtures_with_labels(self):
        frame = pd.DataFrame(self.CUBE[0], list("abcde"), list("ijklmnop"))
        f = factorize(frame, 2, random_state=0)
        turned = frame.iloc[::-1, ::-1]
        np.testing.assert_allclose(f.separate(turned)[:, ::-1, ::-1], f.separate(frame))
        np.testing.assert_allclose(f.separate(frame * 1j), f.separate(frame) * 1j)
        with pytest.raises(ValueError, match="The columns of mixture are not those of the fit"):
            f.separate(frame.rename(columns={"i": "z"}))

    @pytest.mark.parametrize("dtype", [np.float32, np.complex64])
    def test_mixtures_keep_their_precision(self, dtype):
        f = factorize(self.CUBE[0].astype(np.float32), 2, random_state=0)
        assert f.separate(self.CUBE[0].astype(dtype)).dtype == dtype

    def test_bad_mixtures(self):
        f = factorize(self.CUBE[0], 2, sample_axes=1, random_state=0)
        bad = self.CUBE[0].copy()
        bad[4, 2] = np.nan
        with pytest.raises(ValueError, match=r"mixture contains NaN, first at \[4, 2\]"):
            f.separate(bad)
        with pytest.raises(ValueError, match=r"mixture has shape \(8, 5\), but \(5, 8\) was factorized"):
            f.separate(self.CUBE[0].T)
        for mixture, said in ((sp.csr_array(self.CUBE[0]), "it is sparse"), ("loud", "it holds strings")):
            for fit in (f, factorize(self.CUBE[0], 2, random_state=0)):
                with pytest.raises(TypeError, match=f"mixture must .* {said}"):
                    fit.separate(mixture)

    def test_pictures(self):
        plotting = pytest.importorskip("nmf_core.plotting")
        f = factorize(self.CUBE, 3, sample_axes=0, random_state=0).named(["a", "b", "c"])
        assert [ax.get_title(loc="left") for ax in plotting.images(f).axes] == ["a", "b", "c"]
        g = factorize(self.CUBE, 3, sample_axes=(0, 1), random_state=0)
        assert len(plotting.maps(g, ["c2"]).axes) == 1
        curves = plotting.spectra(g, x=np.linspace(400, 700, 8))
        np.testing.assert_allclose(curves.axes[1].lines[0].get_ydata(), g.H[1])
        with pytest.raises(ValueError, match="x has 3 values, but there are 8 features"):
            plotting.spectra(g, x=[1, 2, 3])
        with pytest.raises(ValueError, match="say so by sample_axes"):
            plotting.images(factorize(X, 2, random_state=0))
        with pytest.raises(ValueError, match="say so by sample_axes"):
            plotting.maps(f)


class TestHtml:
    def test_every_object_has_a_table(self):
        f = fitted()
        survey = nmf_core.rank_survey(X, [1, 2], 2, random_state=0, alpha_W=1e-3)
        comparison = nmf_core.compare_solvers(X, 2, ["hals", "mu"], random_state=0)
        objects = [f, f.summary(), f.recommend(n=2), survey, survey[2], survey.held_out, comparison]
        for thing in objects:
            page = thing._repr_html_()
            assert page.count("<table") == page.count("</table>") >= 1
        assert "word" in f._repr_html_()

    def test_names_are_escaped(self):
        f = factorize(X, feature_names=["<script>", *WORDS[1:]], **FIT)
        assert "<script>" not in f._repr_html_()
