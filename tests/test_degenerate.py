"""Data of which components are left over, and numbers at the ends of their range: nothing overflows or dies unseen."""

import warnings

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.decomposition import NMF as Reference

from nmf_core import MiniBatchNMF, _core, factorize, initialize, solvers
from nmf_core.data import RowBlocks
from nmf_core.losses import make_loss
from nmf_core.solvers import SOLVERS, Method, QuadraticSolver

PRECISIONS = np.float32, np.float64
LOSSES = "frobenius", "kullback-leibler", "itakura-saito", 1.5
FORMS = {
    "rows": lambda X: (X, {}),
    "columns": lambda X: (np.asfortranarray(X), {}),
    "csr": lambda X: (sp.csr_array(X), {}),
    "csc": lambda X: (sp.csc_array(X), {}),
    "holes": lambda X: (np.where(np.random.default_rng(1).random(X.shape) < 0.1, np.nan, X), {"missing": "nan"}),
    "blocks": lambda X: (RowBlocks([X[:7], X[7:]], X.shape, X.dtype), {}),
}


def peaks(noise, seed=0):
    x = np.linspace(0, 1, 60)
    pure = np.stack([np.exp(-(((x - centre) / 0.1) ** 2)) for centre in (0.3, 0.7)])
    rng = np.random.default_rng(seed)
    return np.abs(rng.random((40, 2)) @ pure + noise * rng.normal(size=(40, 60)))


def low_rank(noise, seed=0):
    rng = np.random.default_rng(seed)
    return np.abs(rng.random((40, 5)) @ rng.random((5, 30)) + noise * rng.normal(size=(40, 30)))


# X and its rank, but for noise
DATA = {
    "ramp": (np.arange(1200.0).reshape(30, 40), 2),
    "rows alike": (np.repeat(np.random.default_rng(0).random((20, 1)), 30, axis=1), 1),
    "rows again": (np.tile(np.random.default_rng(0).random((3, 25)), (12, 1)), 3),
    "block": (np.pad(np.ones((3, 3)), ((3, 14), (2, 10))), 1),
    **{f"peaks {noise:g}": (peaks(noise), 2) for noise in (0, 1e-6, 1e-5, 1e-4, 1e-3)},
    **{f"low rank {noise:g}": (low_rank(noise), 5) for noise in (0, 1e-5, 1e-3)},
}


def check_sound(X, W, H):
    assert np.isfinite(W).all()
    assert np.isfinite(H).all()
    assert max(W.max(), H.max()) <= 1e3 * max(1, np.nanmax(X))


@pytest.mark.parametrize("dtype", PRECISIONS)
@pytest.mark.parametrize(("X", "rank"), DATA.values(), ids=DATA)
def test_more_components_than_there_are(X, rank, dtype):
    for k in (rank, 2 * rank, 3 * rank, 10):
        f = factorize(X.astype(dtype), k, random_state=0)
        check_sound(X, f.W, f.H)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            reference = Reference(k, random_state=0).fit(X).reconstruction_err_ ** 2 / 2
        W, H = f.W.astype(np.float64), f.H.astype(np.float64)
        rounding = (1e-12 if dtype == np.float32 else 1e-24) * (X**2).sum()
        assert ((X - W @ H) ** 2).sum() / 2 <= 1.01 * reference + rounding


@pytest.mark.filterwarnings("ignore:These factors fit X worse")
@pytest.mark.parametrize("acceleration", [True, False])
@pytest.mark.parametrize("dtype", PRECISIONS)
@pytest.mark.parametrize("solver", [name for name in SOLVERS if name != "newton"])
def test_every_solver(solver, dtype, acceleration):
    for X, rank in DATA.values():
        f = factorize(X.astype(dtype), 3 * rank, solver=solver, acceleration=acceleration, random_state=0, max_iter=50)
        # components that depend on each other nearly make projected least squares large
        check_sound(X * 100 if solver == "als" else X, f.W, f.H)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("form", FORMS)
def test_every_loss_and_container(loss, form):
    for name in ("ramp", "rows again", "peaks 1e-05", "low rank 0.001"):
        X = (DATA[name][0] + (1e-3 if loss == "itakura-saito" else 0)).astype(np.float32)
        data, options = FORMS[form](X)
        for init in ("random", None):
            f = factorize(data, 12, loss=loss, random_state=0, init=init, max_iter=60, **options)
            check_sound(X, f.W, f.H)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("fresh", [True, False])
def test_batches(loss, fresh):
    X = (peaks(1e-5) + (1e-3 if loss == "itakura-saito" else 0)).astype(np.float32)
    model = MiniBatchNMF(10, beta_loss=loss, batch_size=8, random_state=0, fresh_restarts=fresh, tol=0, max_iter=10)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        check_sound(X, model.fit_transform(X), model.components_)
    for _ in range(20):
        model.partial_fit(X)
    check_sound(X, model.transform(X), model.components_)


# --- scale moves between the halves of a component


def test_unbalanced():
    def asked(sizes, others, share=1.0, order=(0, 1)):
        return _core.unbalanced(np.array(sizes), np.array(others), share, 16.0, np.array(order, dtype=np.int32))

    assert not asked([1.0, 16.0], [1.0, 1.0])
    assert asked([1.0, 17.0], [1.0, 1.0])
    assert asked([1.0, 1.0], [1.0, 17.0])
    assert asked([np.inf, 1.0], [1.0, 1.0])
    assert not asked([0.0, 1.0], [1.0, 0.0])  # nothing to move
    assert asked([1.0, 1.0], [1.0, 1.0], share=17.0)
    assert not asked([1.0, 17.0], [1.0, 1.0], order=(0,))


def started(X, loss="frobenius", powers=(0, 0, 0), missing=None, **options):
    """A fit from a start whose components have been multiplied in W, and divided in H, by powers of two."""
    W, H = initialize(X, 3, "random", missing=missing, random_state=0)
    options["missing"] = missing
    scale = 2.0 ** np.array(powers, dtype=X.dtype)
    return factorize(X, 3, W=W * scale, H=H / scale[:, np.newaxis], loss=loss, max_iter=30, tol=0, **options)


@pytest.mark.parametrize("dtype", PRECISIONS)
@pytest.mark.parametrize("form", ["rows", "columns", "csr", "csc"])
@pytest.mark.parametrize("acceleration", [True, False])
def test_powers_of_two_leave_the_model_as_it_is(dtype, form, acceleration):
    X = FORMS[form](low_rank(0.1).astype(dtype))[0]
    plain, moved = (started(X, powers=powers, acceleration=acceleration) for powers in ((0, 0, 0), (40, 0, -40)))
    np.testing.assert_array_equal(moved.W @ moved.H, plain.W @ plain.H)
    assert moved.H.max() < 100


@pytest.mark.parametrize("form", ["rows", "csr", "holes"])
@pytest.mark.parametrize("loss", ["kullback-leibler", 1.5])
def test_other_losses_from_an_unbalanced_start(form, loss):
    X, options = FORMS[form](low_rank(0.1))
    plain, moved = (started(X, loss, powers, **options) for powers in ((0, 0, 0), (40, 0, -40)))
    np.testing.assert_allclose(moved.objective, plain.objective, rtol=1e-6)
    assert moved.H.max() < 100


def test_components_that_are_fixed_keep_their_scale():
    X = low_rank(0.1)
    H = initialize(X, 3, "random", random_state=0)[1] * 2.0**40
    f = factorize(X, 3, H=H, update_H=np.array([True, False, True]), random_state=0)
    np.testing.assert_array_equal(f.H[1], H[1])
    assert f.H[[0, 2]].max() < 100


def test_penalties_say_where_scale_belongs():
    X = low_rank(0.1)
    f = factorize(X, 3, alpha_W=1e-8, random_state=0, tol=0, max_iter=50)
    assert (np.diff(f.history.objective) <= 1e-12 * f.objective).all()


# --- what is not finite


class Overflowing(QuadraticSolver):
    """Projected least squares whose matrix overflows in the fourth step."""

    monotone = False

    def __init__(self, accelerated):
        self.name, self.accelerated, self.calls = "overflowing", accelerated, 0
        usual = solvers.ALS().method.prepare
        self.method = Method("als", prepare=lambda gram, order: self.broken(*usual(gram, order)))

    def broken(self, matrix, rate):
        self.calls += 1
        return (matrix if self.calls < 8 else np.full_like(matrix, np.inf)), rate


@pytest.mark.filterwarnings("ignore:These factors fit X worse")
@pytest.mark.parametrize("accelerated", [True, False])
def test_a_fit_that_overflows_ends_with_finite_factors_and_says_so(accelerated):
    f = factorize(low_rank(0.1), 3, solver=Overflowing(accelerated), random_state=0)
    assert f.stop_reason == "overflow"
    assert not f.converged
    assert np.isfinite(f.W).all()
    assert np.isfinite(f.H).all()
    assert np.isfinite(f.objective)


# --- the size of numbers does not matter


@pytest.mark.parametrize("dtype", PRECISIONS)
@pytest.mark.parametrize("loss", [*LOSSES, 3.0, -1.0])
def test_scale(loss, dtype):
    rng = np.random.default_rng(0)
    X = rng.gamma(1, size=(30, 3)) @ rng.gamma(1, size=(3, 20)) * rng.gamma(50, 0.02, size=(30, 20))
    X /= X.mean()

    def errors(scale):
        A = (X * scale).astype(dtype)
        f = factorize(A, 3, loss=loss, random_state=0)
        model = MiniBatchNMF(3, beta_loss=loss, random_state=0, max_iter=50, tol=0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model.fit(A)
            rows = model.transform(A)
        pairs = (f.W, f.H), (f.transform(A), f.H), (rows, model.components_)
        for W, H in pairs:
            assert W.dtype == H.dtype == dtype
            assert max(W.max(), H.max()) < 30 * np.sqrt(scale)
        return [np.linalg.norm(X - W.astype(float) @ H / scale) / np.linalg.norm(X) for W, H in pairs]

    usual = errors(1.0)
    for scale in (1e-18, 1e-15, 1e-9, 1e9, 1e15):
        np.testing.assert_allclose(errors(scale), usual, atol=0.03)


# --- streams


def test_components_changed_from_outside_are_what_is_computed_with():
    X = low_rank(0.01)
    model = MiniBatchNMF(5, random_state=0, max_iter=20, tol=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(X)
        W = model.transform(X)
        sums = model.components_.sum(axis=1)
        model.components_ /= sums[:, np.newaxis]
        np.testing.assert_allclose(model.transform(X), W * sums, rtol=0.1, atol=1e-2 * (W * sums).max())
        by_hand = MiniBatchNMF(5, tol=0)
        by_hand.components_ = model.components_.copy()
        np.testing.assert_array_equal(model.partial_fit(X).components_, by_hand.partial_fit(X).components_)


def test_components_set_by_hand():
    X = low_rank(0.01)
    by_hand = MiniBatchNMF(5)
    by_hand.components_ = initialize(X, 5, random_state=0)[1]
    assert by_hand.transform(X).shape == (40, 5)
    by_hand.partial_fit(X)
    assert by_hand.n_steps_ == 1
    by_hand.components_ = by_hand.components_[:, :9]
    with pytest.raises(ValueError, match="30 features, but H has 9"):
        by_hand.partial_fit(X)


@pytest.mark.parametrize("solver", ["auto", "mu"])
@pytest.mark.parametrize("loss", ["frobenius", "kullback-leibler", 1.5])
@pytest.mark.parametrize("make", [np.asarray, sp.csr_array])
def test_batches_of_zeros_do_not_end_a_stream(solver, loss, make):
    X = low_rank(0.01)
    zeros = make(np.zeros((8, 30)))

    def learned(*batches):
        model = MiniBatchNMF(5, beta_loss=loss, solver=solver, random_state=0)
        for batch in batches:
            model.partial_fit(batch)
        return np.linalg.norm(X - model.transform(X) @ model.components_) / np.linalg.norm(X)

    batches = [make(X[i : i + 8]) for i in range(0, 40, 8)] * 3
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        usual = learned(*batches)
        assert learned(zeros, zeros, *batches) < 1.5 * usual
        assert learned(batches[0], *[zeros] * 20, *batches) < 1.5 * usual


FAR = [(size, dtype) for dtype in PRECISIONS for size in (1e-15, 1e5, 1e15)]


@pytest.mark.parametrize(("size", "dtype"), [*FAR, (1e-150, np.float64), (1e-90, np.float64), (1e100, np.float64)])
@pytest.mark.parametrize("solver", [name for name in SOLVERS if SOLVERS[name].handles(make_loss(2)) and name != "sgd"])
def test_solvers_of_numbers_far_from_one(solver, size, dtype):
    X = np.random.default_rng(1).random((60, 40))
    f = factorize((X * size).astype(dtype), 3, solver=solver, random_state=0, max_iter=100, tol=0)
    residual = f.W.astype(float) @ f.H.astype(float) / size - X
    assert np.linalg.norm(residual) < 0.6 * np.linalg.norm(X)


def test_factors_that_are_worse_than_none_are_told():
    X = np.exp(-3 * np.subtract.outer(np.linspace(0, 1, 40), np.linspace(0, 1, 30)) ** 2)
    with pytest.warns(UserWarning, match="worse than zeros would: solver 'als'"):
        factorize(X, 14, solver="als", random_state=0)


def test_a_stream_of_which_a_penalty_leaves_nothing():
    X = np.random.default_rng(1).random((60, 40))
    with pytest.warns(UserWarning, match="all zero: alpha_W=10 is too much"):
        assert not MiniBatchNMF(3, random_state=0, alpha_W=10, l1_ratio=1).partial_fit(X).components_.any()
