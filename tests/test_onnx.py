"""ONNX graphs of the transform, run by onnxruntime and by ONNX's reference, and pipelines with them."""

import json
import pickle
import subprocess
import sys

import numpy as np
import pytest

import nmf_core
from nmf_core.transform import transform

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

from onnx.reference import ReferenceEvaluator  # noqa: E402

import nmf_core.onnx  # noqa: E402
from nmf_core.onnx import factorization_model, register_skl2onnx, save_onnx, transform_model  # noqa: E402

CONVEX = ["frobenius", "kullback-leibler"]


def session(model):
    """A function that runs the model."""
    data = model if isinstance(model, str) else model.SerializeToString()
    runs = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    [name] = [one.name for one in runs.get_inputs()]
    return lambda X: runs.run(None, {name: X})[0]


def converged(X, H, loss, **penalty):
    """What transform comes close to."""
    found = transform(X.astype(float), H.astype(float), loss=loss, tol=1e-9, max_iter=20000, **penalty)
    assert found.converged
    return found.W


def difference(W, other):
    """The largest difference in any row, relative to its largest entry."""
    return np.max(np.abs(W - other).max(axis=1) / np.maximum(other.max(axis=1), 1e-100))


def of_random(rng):
    H = rng.random((16, 64))
    return rng.random((40, 64)), H


def of_a_model(rng):
    H = rng.random((16, 64))
    return rng.random((40, 16)) @ H + 0.1 * rng.random((40, 64)), H


def of_counts(rng):
    W, H = (rng.random(shape) * (rng.random(shape) < 0.3) for shape in ((40, 12), (12, 50)))
    return rng.poisson(4 * W @ H + 0.1).astype(float), H


def of_digits(rng):
    X = pytest.importorskip("sklearn.datasets").load_digits().data
    return X[rng.choice(len(X), 40)], nmf_core.factorize(X, 16, max_iter=50, random_state=0).H


def badly_scaled(rng):
    X, H = of_a_model(rng)
    return 1e8 * X, H * 10.0 ** rng.uniform(-4, 4, (16, 1))


def heavy_tailed(rng):
    return np.exp(4 * rng.standard_normal((40, 30))), np.exp(4 * rng.standard_normal((8, 30)))


def more_components_than_entries(rng):
    """Of a row: most of them are zero."""
    H = rng.gamma(0.1, size=(30, 100))
    return rng.poisson(rng.gamma(0.1, size=(40, 30)) @ H * 0.3).astype(float), H


DATA = [
    of_random, of_a_model, of_counts, of_digits, badly_scaled, heavy_tailed, more_components_than_entries,
]  # fmt: skip


# --- answers


@pytest.mark.parametrize("loss", CONVEX)
@pytest.mark.parametrize("make", DATA)
def test_minimisers_are_those_of_transform(make, loss):
    X, H = make(np.random.default_rng(0))
    W = session(transform_model(H, loss))(X)
    assert W.shape == (len(X), len(H))
    assert W.min() >= 0
    assert difference(W, converged(X, H, loss)) < 1e-6


@pytest.mark.parametrize("alike", [1e-2, 1e-3, 1e-4])
def test_components_that_are_alike(alike):
    rng = np.random.default_rng(1)
    H = rng.random((16, 64))
    H[8:] = H[:8] + alike * rng.random((8, 64))
    W = rng.random((40, 16)) * (rng.random((40, 16)) < 0.5)
    X = W @ H + 0.1 * rng.random((40, 64))
    for samples in (X, W @ H):
        assert difference(session(transform_model(H))(samples), converged(samples, H, "frobenius")) < 1e-5
    W = session(transform_model(H, "kullback-leibler"))(X)
    slope = H.sum(axis=1) - (X / (W @ H)) @ H.T
    assert np.abs(np.where(W > 0, slope, np.minimum(slope, 0))).max() < 1e-7


@pytest.mark.filterwarnings("ignore:W is all zero")
@pytest.mark.parametrize("loss", CONVEX)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    "terms",
    [
        {"alpha_W": 0.01},
        {"alpha_W": 0.1, "l1_ratio": 1.0},
        {"alpha_W": 0.02, "l1_ratio": 0.5, "floor": 0.1},
        {"alpha_W": 1e4, "l1_ratio": 1.0},
    ],
    ids=str,
)
def test_penalties_and_floors(terms, dtype, loss):
    X, H = (array.astype(dtype) for array in of_counts(np.random.default_rng(2)))
    X[3] = 0
    W = session(transform_model(H, loss, **terms))(X)
    assert W.dtype == dtype
    assert difference(W, converged(X, H, loss, **terms)) < 1e-6
    if terms["alpha_W"] < 1e4:
        assert W.any()
    if not terms.get("floor"):
        assert not W[3].any()


@pytest.mark.parametrize("beta", [-0.5, "itakura-saito", 0.5, 1.5, 2.5])
@pytest.mark.parametrize("penalty", [{}, {"alpha_W": 0.01, "l1_ratio": 0.5}], ids=["plain", "penalised"])
def test_other_losses_make_the_same_updates(beta, penalty):
    X, H = of_random(np.random.default_rng(3))
    X[:, 10:20] *= beta in (0.5, 1.5, 2.5)
    X += 0.01 * (beta in (-0.5, "itakura-saito"))
    for how in ({"max_iter": 7, "tol": 0.0}, {"max_iter": 1000, "tol": 0.1}):
        found = transform(X, H, loss=beta, **how, **penalty)
        assert found.converged == (how["tol"] > 0)
        W = session(transform_model(H, beta, **how, **penalty))(X)
        assert difference(W, found.W) < 1e-10


def test_other_losses_with_components_that_are_alike_end_when_transform_does():
    X, H = of_random(np.random.default_rng(4))
    H[8:] = H[:8] + 0.01 * H[8:]
    for penalty in ({}, {"alpha_W": 0.1}):
        found = transform(X, H, loss=1.5, tol=0.5, max_iter=2000, **penalty)
        W = session(transform_model(H, 1.5, tol=0.5, max_iter=2000, **penalty))(X)
        assert found.n_iter > 1
        assert difference(W, found.W) < 1e-10


@pytest.mark.parametrize("loss", CONVEX)
def test_components_that_depend_on_others_fit_as_well(loss):
    rng = np.random.default_rng(5)
    X, H = rng.random((40, 20)), rng.random((6, 20))
    twins = np.vstack([H, 3 * H[2], np.zeros(20), H[0] + H[1]])
    W, other = session(transform_model(twins, loss))(X), session(transform_model(H, loss))(X)
    assert W @ twins == pytest.approx(other @ H, rel=1e-6)


@pytest.mark.parametrize("loss", [*CONVEX, 1.5])
@pytest.mark.parametrize("penalty", [{}, {"alpha_W": 0.1}, {"alpha_W": 0.1, "l1_ratio": 1.0}], ids=str)
def test_components_that_are_zero(loss, penalty):
    X, H = of_random(np.random.default_rng(16))
    H[[2, 5]] = 0
    how = {"tol": 1e-9, "max_iter": 2000} if loss in CONVEX else {"max_iter": 50}
    found = transform(X, H, loss=loss, **how, **penalty)
    assert difference(session(transform_model(H, loss, **how, **penalty))(X), found.W) < 1e-6


def test_fewer_features_than_components():
    rng = np.random.default_rng(6)
    X, H = rng.random((50, 5)), rng.random((12, 5))
    W = session(transform_model(H))(X)
    assert pytest.approx(converged(X, H, "frobenius") @ H, abs=1e-7) == W @ H


@pytest.mark.parametrize("loss", [*CONVEX, 1.5])
def test_nothing_at_all(loss):
    X = np.random.default_rng(7).random((4, 6))
    assert not session(transform_model(np.zeros((3, 6)), loss))(X).any()
    H = np.random.default_rng(8).random((3, 6))
    run = session(transform_model(H, loss))
    assert not run(np.zeros((2, 6))).any()
    assert run(X[:0]).shape == (0, 3)


def test_one_component_and_one_feature():
    for loss in (*CONVEX, 0.5):
        assert session(transform_model(np.array([[2.0]]), loss))(np.array([[3.0], [5.0]])).ravel() == pytest.approx(
            [1.5, 2.5]
        )


# --- rows


@pytest.mark.parametrize("loss", [*CONVEX, 0.5])
def test_rows_do_not_depend_on_each_other(loss, monkeypatch):
    X, H = of_random(np.random.default_rng(9))
    X[::3] *= 1e6
    run = session(transform_model(H, loss))
    W = run(X)
    for rows in ([0], [5], range(7), [39, 0, 20]):
        assert difference(run(X[rows]), W[rows]) < 1e-12
    monkeypatch.setattr(nmf_core.onnx, "_BLOCK", 7 * 64 * 17)
    assert difference(session(transform_model(H, loss))(X), W) < 1e-12


@pytest.mark.parametrize("loss", [*CONVEX, 0.5])
def test_nan_of_a_row_stays_there(loss):
    X, H = of_random(np.random.default_rng(10))
    run = session(transform_model(H, loss))
    W = run(X)
    X[2, 3] = np.nan
    there = run(X)
    assert np.isnan(there[2]).all()
    others = np.arange(len(X)) != 2
    assert difference(there[others], W[others]) < 1e-12


# --- the model


@pytest.mark.parametrize("loss", CONVEX)
def test_small_files(loss):
    _, H = of_random(np.random.default_rng(11))
    assert len(transform_model(H, loss).SerializeToString()) < 50_000


@pytest.mark.parametrize("opset", [13, 18, 21])
@pytest.mark.parametrize("loss", [*CONVEX, 0.5])
def test_opsets_and_another_runtime(loss, opset):
    X, H = of_counts(np.random.default_rng(12))
    model = transform_model(H, loss, opset=opset, max_iter=30)
    assert [(one.domain, one.version) for one in model.opset_import] == [("", opset)]
    [W] = ReferenceEvaluator(model).run(None, {"X": X})
    assert difference(session(model)(X), W) < 1e-10
    onnx.checker.check_model(model, full_check=True)


def test_names_and_types():
    H = np.random.default_rng(13).random((3, 5))
    model = transform_model(H, dtype="float32", input_name="pixels", output_name="parts")
    assert [one.name for one in model.graph.input] == ["pixels"]
    assert [one.name for one in model.graph.output] == ["parts"]
    assert session(model)(np.ones((2, 5), dtype=np.float32)).dtype == np.float32
    assert session(transform_model(H.astype(np.float32), dtype=float))(np.ones((2, 5))).dtype == np.float64


def test_refusals():
    H = np.random.default_rng(14).random((3, 5))
    with pytest.raises(ValueError, match="negative"):
        transform_model(-H)
    with pytest.raises(ValueError, match="opset must be at least 13, got 12"):
        transform_model(H, opset=12)
    with pytest.raises(ValueError, match="dtype must be one of"):
        transform_model(H, dtype=np.float16)
    with pytest.raises(ValueError, match="l1_ratio"):
        transform_model(H, l1_ratio=2.0)
    with pytest.raises(TypeError, match="floor must be a real number"):
        transform_model(H, floor="auto")


# --- files


@pytest.fixture
def X():
    return np.random.default_rng(15).random((30, 6))


def test_a_file_of_a_factorization(X, tmp_path):
    f = nmf_core.factorize(X, 3, alpha_W=0.01, alpha_H=0.02, l1_ratio=0.3, floor=0.1, random_state=0)
    save_onnx(f, tmp_path / "model.onnx")
    W = session(str(tmp_path / "model.onnx"))(X)
    assert difference(W, f.transform(X, tol=1e-10, max_iter=5000)) < 1e-7
    assert onnx.load(tmp_path / "model.onnx").metadata_props == []
    save_onnx(f, tmp_path / "model.onnx", dtype="float32", output_name="parts")
    assert session(str(tmp_path / "model.onnx"))(X.astype(np.float32)).dtype == np.float32


def test_labels_of_features_go_with_it(X):
    pandas = pytest.importorskip("pandas")
    for labels in (list("abcdeé"), [1, 2, 3, 4, 5, 6], list(pandas.date_range("2026-01-01", periods=6))):
        f = nmf_core.factorize(pandas.DataFrame(X, columns=labels), 2, random_state=0)
        [props] = factorization_model(f).metadata_props
        assert props.key == "feature_names"
        names = json.loads(props.value)
        assert names == (labels if isinstance(labels[0], str | int) else list(map(str, labels)))


def test_a_file_is_written_whole_or_not_at_all(X, tmp_path, monkeypatch):
    f = nmf_core.factorize(X, 3, random_state=0)
    save_onnx(f, tmp_path / "model.onnx")
    before = (tmp_path / "model.onnx").read_bytes()
    monkeypatch.setattr("os.fsync", lambda _: (_ for _ in ()).throw(OSError("full")))
    with pytest.raises(OSError, match="full"):
        save_onnx(f, tmp_path / "model.onnx", dtype="float32")
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]
    assert (tmp_path / "model.onnx").read_bytes() == before


class Huber(nmf_core.losses.Loss):
    name = "huber"

    def value(self, x, y):
        return np.where(np.abs(x - y) < 1, (x - y) ** 2 / 2, np.abs(x - y) - 0.5)

    def gradient_parts(self, x, y):
        weight = 1 / np.maximum(1, np.abs(x - y))
        return x * weight, y * weight


@pytest.mark.parametrize(
    ("what", "how"),
    [
        ("missing entries", {"missing": "nan"}),
        ("weights", {"weights": np.ones((30, 6))}),
        ("biases", {"biases": True}),
        ("bounds and penalties of one's own", {"W": nmf_core.Factor(upper=1.0)}),
        ("a loss of one's own class", {"loss": Huber()}),
    ],
)
def test_what_a_graph_cannot_do(what, how, X, tmp_path):
    f = nmf_core.factorize(X, 2, random_state=0, max_iter=5, **how)
    with pytest.raises(ValueError, match=f"^A model with {what} cannot be written as an ONNX graph.$"):
        save_onnx(f, tmp_path / "model.onnx")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["NMF", "MiniBatchNMF"])
def test_a_file_of_an_estimator(name, X, tmp_path):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(X, columns=list("abcdef"))
    fitted = getattr(nmf_core, name)(2, alpha_W=0.01, alpha_H=0.01, random_state=0).fit(frame)
    for one in (fitted, pickle.loads(pickle.dumps(fitted))):
        save_onnx(one, tmp_path / "model.onnx")
        assert difference(session(str(tmp_path / "model.onnx"))(X), one.transform(frame)) < 1e-2
        assert json.loads(onnx.load(tmp_path / "model.onnx").metadata_props[0].value) == list("abcdef")
    save_onnx(fitted, tmp_path / "model.onnx", dtype="float32", tol=1e-3)
    with pytest.raises(ValueError, match="A model with missing entries"):
        save_onnx(nmf_core.NMF(2, missing="nan", random_state=0).fit(X), tmp_path / "model.onnx")


def test_whatever_holds_a_factorization(X):
    many = nmf_core.factorize_many(X, 2, 2, random_state=0)
    for held, H in ((many, many.best.H), (many.components(), many.components().H)):
        W = session(factorization_model(held))(X)
        assert difference(W, converged(X, H, "frobenius")) < 1e-3
    for nothing in (nmf_core.NMF(2), X, None, pytest.importorskip("sklearn.decomposition").PCA(2).fit(X)):
        with pytest.raises(TypeError, match=f"^An ONNX graph needs a factorization.* got {type(nothing).__name__}.$"):
            factorization_model(nothing)


def test_arguments_that_there_are_not(X, tmp_path):
    f = nmf_core.factorize(X, 2, random_state=0)
    for name in ("foo", "loss", "H", "floor"):
        with pytest.raises(TypeError, match=f"^unexpected keyword argument '{name}': the graph of a fit has none"):
            f.to_onnx(tmp_path / "model.onnx", **{name: "frobenius"})
    with pytest.raises(TypeError, match="Did you mean 'dtype'"):
        f.to_onnx(tmp_path / "model.onnx", dtyp="float32")


def test_importing_nmf_core_does_not_import_it():
    code = "import sys, nmf_core; assert 'nmf_core.onnx' not in sys.modules and 'onnx' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
    code = "import sys; sys.modules['onnx'] = None; import nmf_core.onnx"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert 'pip install "nmf-core[onnx]"' in found.stderr


# --- pipelines


def converted(estimator, X, **how):
    """A function that runs the ONNX model that skl2onnx makes; its first output."""
    model = pytest.importorskip("skl2onnx").to_onnx(estimator, X[:1], **how)
    onnx.checker.check_model(model)
    return session(model)


@pytest.fixture(scope="module")
def digits():
    pytest.importorskip("skl2onnx")
    register_skl2onnx()
    register_skl2onnx()
    X, y = pytest.importorskip("sklearn.datasets").load_digits(return_X_y=True)
    return X[:500], y[:500]


@pytest.mark.parametrize("kind", ["NMF", "MiniBatchNMF"])
@pytest.mark.parametrize("loss", [*CONVEX, 1.5])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_in_the_end_of_a_pipeline(kind, loss, dtype, digits):
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import MinMaxScaler

    X = digits[0].astype(dtype)
    parameters = {"beta_loss": loss, "solver": "auto", "random_state": 0, "alpha_W": 1e-4, "l1_ratio": 0.5}
    nmf = getattr(nmf_core, kind)(6, **parameters, max_iter=20).fit(MinMaxScaler().fit_transform(X))
    if loss in CONVEX:
        nmf.set_params(tol=1e-7, transform_max_iter=2000)
    pipeline = make_pipeline(MinMaxScaler().fit(X), nmf)
    W = converted(pipeline, X)(X)
    assert W.dtype == dtype
    assert difference(W, pipeline.transform(X)) < (1e-6 if dtype == np.float64 else 1e-4)


def test_in_the_middle_of_a_pipeline(digits):
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import MinMaxScaler, StandardScaler

    X, y = digits
    nmf = nmf_core.NMF(8, random_state=0, transform_tol=1e-8, transform_max_iter=2000)
    pipeline = make_pipeline(MinMaxScaler(), nmf, StandardScaler(), LogisticRegression(max_iter=1000)).fit(X, y)
    found = converted(pipeline, X.astype(np.float32), options={"zipmap": False})(X.astype(np.float32))
    assert np.mean(found == pipeline.predict(X)) > 0.99


def test_several_in_a_pipeline(digits):
    from sklearn.compose import ColumnTransformer
    from sklearn.pipeline import make_pipeline

    X, how = digits[0], {"random_state": 0, "transform_tol": 1e-8, "transform_max_iter": 5000}
    halves = ColumnTransformer(
        [
            ("left", nmf_core.NMF(3, **how), list(range(32))),
            ("right", nmf_core.NMF(3, beta_loss=1, solver="auto", **how), list(range(32, 64))),
        ]
    )
    pipeline = make_pipeline(halves, nmf_core.NMF(2, **how)).fit(X)
    assert difference(converted(pipeline, X, target_opset=17)(X), pipeline.transform(X)) < 1e-6


def test_floors_and_integers(digits):
    X = digits[0].astype(np.int64)
    nmf = nmf_core.NMF(4, beta_loss=0, solver="auto", floor="auto", max_iter=30, random_state=0).fit(X)
    assert nmf.floor_ > 0
    W = converted(nmf, X)(X)
    assert W.dtype == np.float32
    assert difference(W, nmf.transform(X)) < 1e-5


def test_pipelines_that_are_refused(digits):
    X = digits[0]
    with pytest.raises(ValueError, match="A model with missing entries cannot be written as an ONNX graph"):
        converted(nmf_core.NMF(2, missing="nan", max_iter=5, random_state=0).fit(X), X)
    with pytest.raises(ValueError, match="target_opset must be at least 13, got 12"):
        converted(nmf_core.NMF(2, max_iter=5, random_state=0).fit(X), X, target_opset=12)
