"""Mini-batches: the online engine beside its slow twin, and `MiniBatchNMF` on streams of all kinds."""

import pickle
import tracemalloc

import numpy as np
import pytest
import reference
import scipy.sparse as sp
from problems import documents, noisy, start
from sklearn import decomposition

import nmf_core
from nmf_core import MiniBatchNMF, beta_divergence
from nmf_core.engine import Engine, padded
from nmf_core.losses import make_loss
from nmf_core.minibatch import Convergence, batches, fit_batches
from nmf_core.online import START, SWEEPS, make_online, method_for
from nmf_core.problem import model_floors
from nmf_core.solvers import SWEEP_TOL
from nmf_core.transform import transform

K = 4
LOSSES = [("hals", 2), ("mu", 2), ("newton", 1), ("mu", 1), ("mu", 0), ("mu", 0.5), ("mu", 1.5), ("mu", 2.5)]
LAYOUTS = [np.asarray, sp.csr_array, sp.csc_array, np.asfortranarray]
STEADY = {"tol": 0, "max_no_improvement": None, "max_iter": 3}
X = noisy(60, 12, K, noise=0.2)


def sweeps_of(step, f, count, *others):
    reference.sweep(np.zeros(reference.REPORT_SIZE), count, SWEEP_TOL, step, f, *others)


class Twin:
    """Online NMF in plain NumPy, in double; other losses than the quadratic one by both sums that papers keep."""

    def __init__(self, H, solver, beta, forget_factor, n_samples, penalties):
        self.loss = make_loss(float(beta))
        self.H, self.solver, self.beta = H.astype(np.float64), solver, beta
        self.forget_factor, self.n_samples, self.penalties = forget_factor, n_samples, penalties
        self.k, self.order = len(H), np.arange(len(H))
        self.exponent = make_loss(float(beta)).exponent
        self.first, self.weight, self.A, self.B = True, 0.0, 0.0, 0.0

    def step(self, X, W):
        """One batch: W improved in place; returns the cost."""
        X = X.astype(np.float64)
        rest = self.forget_factor ** min(1.0, len(X) / self.n_samples)
        l1_W, l2_W, l1_H, l2_H = self.strengths(X, len(X))
        floors = model_floors(batches(X, self.loss, len(X), Engine(1))[0], self.loss)
        G = self.H.T
        for i, f in enumerate(W):
            if self.beta == 2:
                gram = G.T @ G + l2_W * np.eye(self.k)
                step = {"hals": reference.hals_step, "mu": reference.mu_step}[self.solver]
                sweeps_of(step, f, SWEEPS[self.solver], X[i] @ G, gram, self.order, l1_W, None, 0.0, {})
            elif self.solver == "newton":
                sums = G.sum(axis=0) + l1_W
                sweeps_of(reference.newton_step, f, SWEEPS["newton"], X[i], G, sums, self.order, l2_W, floors[i], False)
            else:
                shared = (l1_W, l2_W, self.exponent, self.beta, floors[i])
                sweeps_of(reference.beta_step, f, 1, X[i], G, G.sum(axis=0), self.order, *shared)
        Y = reference.model(W, G, floors)
        cost = reference.losses(X, Y, self.beta).sum() + l1_W * W.sum() + l2_W / 2 * (W**2).sum()
        cost += l1_H * self.H.sum() + l2_H / 2 * (self.H**2).sum()
        (self.improve_quadratic if self.beta == 2 else self.improve_other)(X, W, Y, rest)
        self.first = False
        return cost / len(X)

    def strengths(self, X, weight):
        return reference.penalties((weight, X.shape[1]), **self.penalties)

    def improve_quadratic(self, X, W, Y, rest):
        self.weight = rest * self.weight + len(X)
        self.A, self.B = rest * self.A + W.T @ X, rest * self.B + W.T @ W
        if self.first:
            held = rest * START * np.trace(W.T @ W) / self.k
            self.A, self.B = self.A + held * self.H, self.B + held * np.eye(self.k)
        _, _, l1, l2 = self.strengths(X, self.weight)
        step = {"hals": reference.hals_step, "mu": reference.mu_step}[self.solver]
        for j in range(X.shape[1]):
            h = self.H[:, j].copy()
            gram = self.B + l2 * np.eye(self.k)
            sweeps_of(step, h, SWEEPS[self.solver], self.A[:, j], gram, self.order, l1, None, 0.0, {})
            self.H[:, j] = h

    def improve_other(self, X, W, Y, rest):
        _, _, l1, l2 = self.strengths(X, len(X))
        num, den = reference.gradient_parts(X, Y, self.beta)
        share = W.T @ den if self.beta != 1 else np.repeat(W.sum(axis=0)[:, np.newaxis], X.shape[1], axis=1)
        root = self.H ** (1 / self.exponent)
        if self.first:
            held = START * share.mean()
            self.A, self.B = held * root, np.full_like(self.H, held)
        self.A = rest * self.A + (W.T @ num) * root
        self.B = rest * self.B + share + l1 + l2 * self.H
        self.H = (self.A / self.B) ** self.exponent


def stream(data=X, size=17):
    """Batches of different sizes."""
    first = 0
    while first < data.shape[0]:
        yield data[first : first + size]
        first, size = first + size, size // 2 + 3


def fitted(data=X, loss=2, **options):
    return MiniBatchNMF(K, init="random", random_state=0, beta_loss=loss, **options).fit(data)


def error(data, H):
    """||X - W H|| / ||X|| for the best W."""
    dense = data.toarray() if sp.issparse(data) else data
    W = transform(data, H, max_iter=500).W
    return np.linalg.norm(dense - W @ H) / np.linalg.norm(dense)


# --- the engine


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("layout", LAYOUTS[:2])
@pytest.mark.parametrize("penalties", [{}, {"alpha_W": 0.01, "alpha_H": 0.02, "l1_ratio": 0.3}], ids=["", "penalties"])
@pytest.mark.parametrize(("solver", "beta"), LOSSES)
def test_steps_are_those_of_the_slow_twin(solver, beta, penalties, layout, dtype):
    data = (X + 0.1 * (beta <= 0)).astype(dtype)
    W, H = start(data, K)
    options = {"forget_factor": 0.5, "n_samples": 40}
    alphas = tuple({"alpha_W": 0.0, "alpha_H": "same", "l1_ratio": 0.0, **penalties}.values())
    online = make_online(H, make_loss(float(beta)), solver, **options, alphas=alphas)
    twin = Twin(H, solver, beta, **options, penalties=penalties)
    rtol, first = (1e-9 if dtype == "float64" else 2e-3), 0
    for batch in stream(data):
        rows = W[first : first + len(batch)]
        theirs, ours = rows.astype(np.float64), padded(rows, data.dtype)
        [container] = batches(layout(batch), online.loss, len(batch), Engine(2))
        cost = online.step(container, ours)
        np.testing.assert_allclose(cost, twin.step(batch, theirs), rtol=rtol)
        np.testing.assert_allclose(ours[:, :K], theirs, rtol=rtol, atol=rtol * theirs.max())
        np.testing.assert_allclose(online.H, twin.H, rtol=rtol, atol=rtol * twin.H.max())
        assert online.H.dtype == ours.dtype == data.dtype
        first += len(batch)
    assert not online.Ht[:, K:].any()


@pytest.mark.parametrize(("solver", "beta"), LOSSES[:6])
def test_bits_do_not_depend_on_threads(solver, beta):
    data = sp.csr_array(documents(700, 900)) if beta > 0 else noisy(700, 90, K)
    results = [fitted(data, beta, solver=solver, batch_size=300, n_threads=n, **STEADY) for n in (1, 2, 3)]
    for other in results[1:]:
        np.testing.assert_array_equal(results[0].components_, other.components_)


@pytest.mark.parametrize(("solver", "beta"), LOSSES)
def test_layouts_agree_and_are_not_modified(solver, beta):
    data = X + 0.1 * (beta <= 0)
    results = []
    for layout in LAYOUTS:
        given = layout(data)
        results.append(fitted(given, beta, solver=solver, batch_size=16, **STEADY))
        np.testing.assert_array_equal(given.toarray() if sp.issparse(given) else given, data)
    for other in results[1:]:
        np.testing.assert_allclose(other.components_, results[0].components_, rtol=1e-7, atol=1e-10)
        np.testing.assert_allclose(other.reconstruction_err_, results[0].reconstruction_err_, rtol=1e-7)


@pytest.mark.parametrize("beta", [2, 1, 0.5])
@pytest.mark.parametrize("scale", [1e-6, 1e6])
def test_scale_of_the_data_does_not_matter(beta, scale):
    large = fitted(scale * X, beta, batch_size=16, **STEADY).components_
    np.testing.assert_allclose(large / np.sqrt(scale), fitted(X, beta, batch_size=16, **STEADY).components_, rtol=1e-6)


def test_default_solver():
    names = [method_for("auto", make_loss(float(beta)), 0.7) for beta in (2, 1, 0, 1.5)]
    assert names == ["hals", "newton", "mu", "mu"]
    assert method_for("auto", make_loss(2.0), 0) == "mu"
    assert method_for("hals", make_loss(2.0), 0) == "hals"


@pytest.mark.parametrize("beta", [2, 1, 0.5])
def test_without_memory_all_of_X_as_batch_is_the_solver_mu(beta):
    ours = fitted(X, beta, forget_factor=0.0, **STEADY | {"max_iter": 20})
    whole = nmf_core.NMF(K, init="random", random_state=0, beta_loss=beta, solver="mu", tol=0, max_iter=20).fit(X)
    np.testing.assert_allclose(ours.components_, whole.components_, rtol=1e-7)


def test_features_that_were_missing_for_long_come_back():
    """Multiplicative updates cannot leave zero, so nothing may become zero, nor so small that arithmetic is slow."""
    data = noisy(20, 6, 2).astype(np.float32)
    without = data.copy()
    without[:, 0] = 0
    for beta in (1, 2):
        model = MiniBatchNMF(2, init="random", random_state=0, beta_loss=beta, solver="mu").partial_fit(data)
        for _ in range(400):
            model.partial_fit(without)
        assert 0 < model.components_[:, 0].max() < 1e-20
        for _ in range(40):
            model.partial_fit(data)
        explained = (transform(data, model.components_, loss=float(beta)).W @ model.components_)[:, 0]
        assert 0.5 < explained.sum() / data[:, 0].sum() < 1.5


# --- when a fit is over


class Still:
    """What learns nothing."""

    Ht = np.ones((3, 2))


@pytest.mark.parametrize(("costs", "steps"), [([4, 3, 2, 2.5, 2.5, 2.5, 2.5], 6), ([1, 5, 5, 5, 5, 5, 5, 5], 5)])
def test_patience(costs, steps):
    convergence = Convergence(Still(), 9, 3, 0.0, 3)
    reasons = [convergence.reason(cost, 9) for cost in costs]
    assert reasons.index(Convergence.NO_IMPROVEMENT) + 1 == steps


def test_small_change_counts_over_all_batches():
    convergence = Convergence(Still(), 9, 3, 1e-4, None)
    assert [convergence.reason(1.0, 3) for _ in range(6)] == [*[None] * 5, Convergence.SMALL_CHANGE]
    convergence = Convergence(Still(), 9, 3, 0.0, None)
    assert not any(convergence.reason(1.0, 3) for _ in range(9))


def test_all_rows_are_gone_through_before_a_fit_is_over():
    data = np.vstack([np.zeros((40, 12)), X])
    model = fitted(data, batch_size=4, max_no_improvement=1)
    assert model.n_steps_ >= 25


def test_interrupt_keeps_what_was_reached(monkeypatch):
    original = nmf_core.online.QuadraticOnline.go_through

    def interrupted(self, *args):
        if self.n_steps == 5:
            raise KeyboardInterrupt
        return original(self, *args)

    monkeypatch.setattr(nmf_core.online.QuadraticOnline, "go_through", interrupted)
    model = MiniBatchNMF(K, random_state=0, batch_size=10)
    with pytest.raises(KeyboardInterrupt):
        model.fit(X)
    assert model.n_steps_ == 5
    assert model.transform(X).shape == (60, K)


def test_verbose(capsys):
    model = fitted(batch_size=30, verbose=1)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("Minibatch step 1/400: mean batch cost: ")
    assert "ewa cost" not in lines[0]
    assert ", ewa cost: " in lines[1]
    assert lines[-1].startswith("Converged (")
    assert lines[-1].endswith(f"at step {model.n_steps_}/400")
    assert len(lines) == model.n_steps_ + 1


# --- fits and streams


@pytest.mark.parametrize("beta", [2, 1, 1.5])
def test_a_stream_is_a_fit_that_goes_through_X_once(beta):
    """With W solved for from scratch, and as much forgotten."""
    W, H = start(X, K)
    size, factor = 20, 0.7
    given = {"init": "custom", "beta_loss": beta, "fresh_restarts": True, "tol": 1e-6}
    whole = MiniBatchNMF(batch_size=size, forget_factor=factor, **given | {"max_iter": 1})
    with pytest.warns(match="Maximum number of iterations 1"):
        whole.fit(X, W=W.copy(), H=H.copy())
    parts = MiniBatchNMF(forget_factor=factor ** (size / len(X)), **given)
    for first in range(0, len(X), size):
        parts.partial_fit(X[first : first + size], W=W[:size], H=H.copy())
    np.testing.assert_allclose(parts.components_, whole.components_, rtol=1e-12)
    assert parts.n_steps_ == whole.n_steps_ == 3


@pytest.mark.parametrize("beta", [2, 1, 0])
@pytest.mark.parametrize("layout", LAYOUTS[:3])
def test_a_pickled_stream_goes_on_as_if_nothing_had_happened(beta, layout):
    data = X + 0.1 * (beta <= 0)
    model = again = MiniBatchNMF(K, init="random", random_state=0, beta_loss=beta)
    for batch in stream(data):
        model = model.partial_fit(layout(batch))
        again = pickle.loads(pickle.dumps(again if again is not model else model))
        if again.n_steps_ < model.n_steps_:
            again.partial_fit(layout(batch))
        np.testing.assert_array_equal(again.components_, model.components_)
        np.testing.assert_array_equal(again.transform(data), model.transform(data))
    assert again is not model
    assert again.n_steps_ == model.n_steps_ > 4


def test_attributes_after_a_stream_alone():
    model = MiniBatchNMF(K, init="random", random_state=0)
    for batch in stream():
        before = model.components_ if model.__dict__.get("n_steps_") else None
        kept = None if before is None else before.copy()
        model.partial_fit(batch)
        if before is not None:  # what was looked at does not change
            np.testing.assert_array_equal(before, kept)
    assert model.components_.shape == (K, 12)
    assert model.n_components_ == K
    assert model.n_features_in_ == 12
    assert model.n_iter_ == 1
    assert model.n_steps_ == len(list(stream()))
    best = np.sqrt(2 * beta_divergence(batch, transform(batch, kept, max_iter=500).W, kept, 2))
    np.testing.assert_allclose(model.reconstruction_err_, best, rtol=1e-3)


def test_reconstruction_error_of_a_fit():
    for fresh in (False, True):
        model = MiniBatchNMF(K, batch_size=25, random_state=0, fresh_restarts=fresh)
        W = model.fit_transform(X)
        expected = np.linalg.norm(X - W @ model.components_)
        np.testing.assert_allclose(model.reconstruction_err_, expected, rtol=1e-10)
    np.testing.assert_array_equal(W, model.transform(X))


def test_any_number_of_sweeps_may_be_allowed():
    model = MiniBatchNMF(K, random_state=0, fresh_restarts=True, fresh_restarts_max_iter=10**30)
    assert model.partial_fit(X).n_steps_ == 1


@pytest.mark.parametrize("size", [60, 61, 10_000])
def test_one_batch(size):
    model = fitted(batch_size=size, max_iter=5, tol=0)
    assert model.n_steps_ == model.n_iter_ == 5
    np.testing.assert_array_equal(model.components_, fitted(batch_size=60, max_iter=5, tol=0).components_)


@pytest.mark.parametrize(("solver", "beta"), LOSSES[:4])
def test_rows_one_by_one(solver, beta):
    data = sp.csr_array(documents(400, 60, topics=K))
    model = MiniBatchNMF(K, init="random", random_state=0, beta_loss=beta, solver=solver, forget_factor=0.98)
    model.partial_fit(data[:20])
    before = model.components_
    for i in range(20, data.shape[0]):
        model.partial_fit(data[[i]])
    assert error(data, model.components_) < 0.9 * error(data, before)


@pytest.mark.parametrize(("solver", "beta"), LOSSES[:4])
def test_rows_of_zeros(solver, beta):
    data = np.vstack([X[:20], np.zeros((7, 12))])
    model = MiniBatchNMF(K, init="random", random_state=0, beta_loss=beta, solver=solver)
    for batch in (data, data[20:], data[20:21], data):
        model.partial_fit(batch)
        assert np.isfinite(model.components_).all()
    assert not model.transform(data)[20:].any()
    assert error(X[:20], model.components_) < 0.6


def test_an_empty_start():
    model = MiniBatchNMF(K, init="random", random_state=0).partial_fit(np.zeros((5, 12)))
    for batch in stream():
        model.partial_fit(batch)
    assert np.isfinite(model.components_).all()


def test_precision_is_that_of_the_first_batch():
    model = MiniBatchNMF(K, init="random", random_state=0)
    for batch, dtype in zip(stream(), ("float32", "float64", "int64"), strict=False):
        model.partial_fit(batch.astype(dtype))
        assert model.components_.dtype == np.float32
    assert model.transform(X.astype(np.float32)).dtype == np.float32
    assert model.transform(X).dtype == np.float64


def with_entry(value):
    data = X.copy()
    data[3, 2] = value
    return data


WRONG = {
    "Negative values in data passed to MiniBatchNMF": with_entry(-1.0),
    "Input X contains NaN": with_entry(np.nan),
    "infinity": with_entry(np.inf),
    "minimum of 1 is required": X[:0],
    "X has 11 features, but MiniBatchNMF is expecting 12": X[:, :11],
}


@pytest.mark.parametrize("message", WRONG)
@pytest.mark.parametrize("layout", LAYOUTS[:2])
def test_a_wrong_batch_changes_nothing(message, layout):
    model = MiniBatchNMF(K, init="random", random_state=0).partial_fit(layout(X))
    before = pickle.dumps(model)
    for method in (model.partial_fit, model.transform):
        with pytest.raises(ValueError, match=message):
            method(layout(WRONG[message]))
    assert pickle.dumps(model) == before
    fresh = MiniBatchNMF(K)
    if "features" not in message:
        with pytest.raises(ValueError, match=message):
            fresh.partial_fit(layout(WRONG[message]))
        assert not hasattr(fresh, "components_")
        assert not hasattr(fresh, "n_features_in_")


def test_a_step_that_fails_changes_nothing(monkeypatch):
    for beta, names in ((2, ("factor_pass",)), (1, ("factor_sums",))):
        model = MiniBatchNMF(K, init="random", random_state=0, beta_loss=beta).partial_fit(X)
        before = pickle.dumps(model)
        with monkeypatch.context() as patch:
            patch.setattr(nmf_core._core, names[0], None)
            with pytest.raises(TypeError):
                model.partial_fit(X)
        assert pickle.dumps(model) == before


def test_zeros_that_the_loss_does_not_allow():
    model = MiniBatchNMF(K, beta_loss="itakura-saito").partial_fit(X)
    with pytest.raises(ValueError, match="contains zeros"):
        model.partial_fit(with_entry(0.0))


def test_solver_that_does_not_handle_the_loss():
    for solver, beta in (("hals", 1), ("newton", 2)):
        with pytest.raises(ValueError, match=f"solver '{solver}' does not handle beta_loss = {beta}"):
            MiniBatchNMF(K, solver=solver, beta_loss=beta).fit(X)


def test_custom_start():
    W, H = start(X, K)
    given = H.copy()
    model = MiniBatchNMF(init="custom", **STEADY).fit(X, W=W, H=given)
    assert model.components_ is given
    kept = H.copy()
    kept.flags.writeable = False
    np.testing.assert_array_equal(MiniBatchNMF(init="custom", **STEADY).fit(X, W=W, H=kept).components_, given)
    with pytest.raises(ValueError, match="needs both W and H"):
        MiniBatchNMF(init="custom").fit(X, H=H)
    with pytest.warns(RuntimeWarning, match="provided W or H are ignored"):
        MiniBatchNMF(K, init="random", **STEADY).fit(X, H=H)


def test_model_pickled_by_scikit_learn_goes_on():
    theirs = decomposition.MiniBatchNMF(K, random_state=0).partial_fit(X)
    ours = MiniBatchNMF.__new__(MiniBatchNMF)
    ours.__setstate__(theirs.__getstate__())
    np.testing.assert_allclose(ours.transform(X), transform(X, theirs.components_).W)
    ours.partial_fit(X)
    assert ours.n_steps_ == 2
    assert error(X, ours.components_) < error(X, theirs.components_)


# --- what is learned


@pytest.mark.parametrize("beta", [2, 1])
def test_planted_topics_are_found(beta):
    rng = np.random.default_rng(0)
    topics = np.kron(np.eye(5), np.ones(8)) * rng.uniform(0.5, 1.0, 40)
    data = rng.gamma(0.3, size=(3000, 5)) @ topics
    model = MiniBatchNMF(5, init="random", random_state=0, beta_loss=beta, batch_size=100).fit(data)
    H = model.components_ / np.linalg.norm(model.components_, axis=1, keepdims=True)
    likeness = H @ (topics / np.linalg.norm(topics, axis=1, keepdims=True)).T
    assert likeness.max(axis=0).min() > 0.98


@pytest.mark.parametrize("beta", [2, 1])
def test_topics_that_change_are_followed(beta):
    """Half-way through the stream other topics come: what is forgotten makes room for them."""
    old, new = (documents(2000, 200, topics=6, seed=seed) for seed in (1, 2))
    new, unseen = new[:1600], new[1600:]

    def misfit(*parts, **options):
        model = MiniBatchNMF(6, init="random", random_state=0, beta_loss=beta, **options)
        for data in parts:
            for first in range(0, data.shape[0], 100):
                model.partial_fit(data[first : first + 100])
        W = transform(unseen, model.components_, loss=float(beta), max_iter=500).W
        return beta_divergence(unseen, W, model.components_, beta)

    before, fresh = misfit(old), misfit(new)
    followed, kept = misfit(old, new), misfit(old, new, forget_factor=1.0)
    assert before - followed > 0.8 * (before - fresh)
    assert followed < 0.6 * kept


def test_as_good_as_scikit_learn():
    data = documents(2000, 400)
    for beta in (2, 1):
        ours, theirs = (
            Model(10, init="random", random_state=0, beta_loss=beta, batch_size=200, tol=0, max_no_improvement=None)
            for Model in (MiniBatchNMF, decomposition.MiniBatchNMF)
        )
        values = []
        for model in (ours.set_params(max_iter=5), theirs.set_params(max_iter=10)):
            H = model.fit(data).components_
            values.append(beta_divergence(data, transform(data, H, loss=float(beta)).W, H, beta))
        assert values[0] < values[1]


@pytest.mark.parametrize("beta", [2, 1])
def test_sparse_batches_are_never_made_dense(beta):
    n, m = 2000, 20_000
    data = sp.random_array((n, m), density=1e-3, rng=np.random.default_rng(0), format="csr")
    model = MiniBatchNMF(3, init="random", random_state=0, beta_loss=beta).partial_fit(data)
    tracemalloc.start()
    model.partial_fit(data)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < n * m  # bytes: an eighth of a dense batch


def test_course_of_the_functional_layer():
    loss = make_loss("frobenius")
    W, H = start(X, K)
    online = make_online(H, loss, "hals", n_samples=len(X))
    seen = []
    course = fit_batches(
        online, batches(X, loss, 25, Engine(1)), padded(W, X.dtype), Convergence(online, len(X), 3, 0.0, None),
        fresh=False, max_iter=2, report=lambda *about: seen.append(about[0]),
    )  # fmt: skip
    assert (course.n_steps, course.reason) == (6, "max_iter")
    assert len(course.seconds) == 6
    assert course.seconds == sorted(course.seconds)
    assert seen == [1, 2, 3, 4, 5, 6]
    assert [part.shape[0] for part in batches(X, loss, 25, Engine(1))] == [25, 25, 10]
