"""Results that can be read: scale, order and names of components, tables, contributions."""

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
        with pytest.raises(TypeError, match="sample_names must be labels"):
            factorize(X, K, sample_names="abc")
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
            ("abc", "one name for each component"),
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
        with pytest.raises(ValueError, match="shape"):
            f.align(f.H[:2])

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
