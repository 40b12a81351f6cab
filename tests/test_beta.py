"""Beta-divergences: their values, and steps to their minima beside scikit-learn and beside what optimality means."""

import subprocess
import sys
import textwrap

import divergences
import numpy as np
import pytest
import reference
import scipy.sparse as sp
import zoo
from covering import mainly
from divergences import BETAS, gradient_parts, kkt
from problems import PLANTED, distance, noisy, start, uniform
from sklearn.datasets import load_digits
from sklearn.decomposition import non_negative_factorization
from sklearn.decomposition._nmf import _beta_divergence

from nmf_core import beta_divergence, factorize
from nmf_core.solvers import gradients

ALL = {"frobenius": 2, **BETAS}
K = 4
X = noisy(60, 35, K)
COUNTS = np.random.default_rng(0).poisson(5 * noisy(60, 35, K)).astype(np.float64)
DIGITS = load_digits().data[:200]
DIGITS = DIGITS[:, DIGITS.any(axis=0)]
PENALTIES = {
    "no penalty": {},
    "l2": {"alpha_W": 0.02},
    "l1": {"alpha_W": 0.01, "alpha_H": 0.002, "l1_ratio": 1.0},
    "both": {"alpha_W": 0.004, "alpha_H": 0.01, "l1_ratio": 0.5},
}
CONTAINERS = [np.ascontiguousarray, np.asfortranarray, sp.csr_array, sp.csc_array]

every_loss = pytest.mark.parametrize("loss", ALL)
every_other_loss = pytest.mark.parametrize("loss", BETAS)
every_penalty = pytest.mark.parametrize("penalty", PENALTIES)
every_container = pytest.mark.parametrize("make", CONTAINERS)


# --- values


@every_container
@every_loss
def test_divergence_is_that_of_scikit_learn(loss, make):
    A = COUNTS if ALL[loss] > 0 else X
    W, H = start(A, K)
    theirs = _beta_divergence(A, W, H, ALL[loss])
    assert beta_divergence(make(A), W, H, loss) == pytest.approx(theirs, rel=1e-12)
    assert type(beta_divergence(make(A), W, H, loss)) is float


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@every_container
@every_loss
def test_divergence_is_the_sum_of_the_formula_over_all_entries(loss, make, dtype):
    """Also where the factors are all zero but for what the data need."""
    A = (COUNTS if ALL[loss] > 0 else X).astype(dtype)
    W, H = start(A, K)
    H[1] = 0
    H[1, 3] = 1
    assert beta_divergence(make(A), W, H, loss) == pytest.approx(
        divergences.divergence(A, W, H, ALL[loss]), rel=1e-12 if dtype == np.float64 else 1e-5
    )


@pytest.mark.parametrize("name", ["frobenius", "kullback-leibler", "itakura-saito"])
def test_names_are_numbers(name):
    W, H = start(X, K)
    assert beta_divergence(X, W, H, name) == beta_divergence(X, W, H, ALL[name])
    assert beta_divergence(X, W, H) == beta_divergence(X, W, H, "frobenius")
    named, numbered, counted = (
        factorize(X, K, W=W, H=H, loss=loss, max_iter=5) for loss in (name, ALL[name], np.float32(ALL[name]))
    )
    assert named.loss == numbered.loss == counted.loss == name
    assert named.solver == {2: "hals", 1: "newton", 0: "mue"}[ALL[name]]
    np.testing.assert_array_equal(numbered.W, named.W)
    np.testing.assert_array_equal(counted.H, named.H)


def test_other_numbers_are_themselves():
    result = factorize(X, K, loss=np.float64(1.5), max_iter=3)
    assert (result.loss, result.solver) == (1.5, "mue")
    assert type(result.loss) is float


@pytest.mark.parametrize("beta", [0, 1, 2])
@pytest.mark.parametrize("off", [1e-3, 1e-6, 1e-9, 1e-15])
@every_container
def test_divergence_is_continuous_where_its_formula_is_not(beta, off, make):
    W, H = start(X, K)
    expected = beta_divergence(make(X), W, H, beta)
    for sign in (-1, 1):
        # The formula divides by beta and beta - 1, so rounding grows where they are small; it may not take over.
        near = beta_divergence(make(X), W, H, beta + sign * off)
        assert near == pytest.approx(expected, rel=10 * off + 1e-4)


@every_container
@every_loss
def test_divergence_of_an_exact_model_is_zero(loss, make):
    W, H = start(uniform(20, 15), 3)
    value = beta_divergence(make(W @ H), W, H, loss)
    assert value == pytest.approx(0, abs=1e-11)
    assert value >= 0


@pytest.mark.parametrize("scale", [1e-9, 0.25, 1e9])
@every_loss
def test_scaling_the_data_and_the_model_scales_the_divergence(loss, scale):
    W, H = start(X, K)
    expected = scale ** ALL[loss] * beta_divergence(X, W, H, loss)
    assert beta_divergence(scale * X, scale * W, H, loss) == pytest.approx(expected, rel=1e-9)
    assert beta_divergence(scale * X, W, scale * H, loss) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("beta", [0.5, 1, 1.5])
def test_zeros_of_data_and_model_cost_what_the_formula_says(beta):
    """Nothing where both are zero; of x = 0 alone, y for Kullback-Leibler, else y ** beta / beta."""
    A, W = np.array([[4.0, 0.0], [0.0, 1.0]]), np.eye(2)
    assert beta_divergence(A, W, A, beta) == pytest.approx(0, abs=1e-8)
    H = np.array([[4.0, 9.0], [0.0, 1.0]])
    assert beta_divergence(A, W, H, beta) == pytest.approx(9**beta / beta, rel=1e-6)
    for make in (sp.csr_array, lambda A: zoo.with_explicit_zeros(sp.csc_array(A))):
        assert beta_divergence(make(A), W, H, beta) == pytest.approx(beta_divergence(A, W, H, beta), rel=1e-8)


@every_loss
def test_divergence_has_the_same_bits_at_any_number_of_threads(loss):
    A = noisy(700, 600, 5)
    W, H = start(A, K)
    for make in CONTAINERS if ALL[loss] > 0 else CONTAINERS[:2]:
        values = {beta_divergence(make(A), W, H, loss, n_threads=n) for n in (1, 2, 3, 4, None)}
        assert len(values) == 1


def test_divergence_never_forms_the_product():
    """Of 8000 x 8000 entries, which would be 512 MB."""
    pytest.importorskip("resource")
    program = """
        import resource, sys
        import numpy as np, scipy.sparse as sp
        from nmf_core import beta_divergence
        rng = np.random.default_rng(0)
        def memory():
            return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
        def use(n):
            X = sp.csr_array((np.ones(n), (rng.integers(n, size=n), rng.integers(n, size=n))), shape=(n, n))
            W, H = rng.uniform(size=(n, 2)), rng.uniform(size=(2, n))
            return [beta_divergence(make(X), W, H, beta) for make in (sp.csr_array, sp.csc_array) for beta in (2, 1, 3)]
        use(100)
        before = memory()
        assert np.isfinite(use(8000)).all()
        print(memory() - before)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], check=False, capture_output=True, text=True, timeout=200
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 100e6


def test_steps_follow_the_numerical_derivative():
    """An update multiplies by a power of the ratio of the two parts whose difference is the derivative."""
    A = uniform(8, 6)
    W, H = start(A, 2)
    for loss, beta in ALL.items():
        first = factorize(A, 2, W=W, H=H, loss=loss, solver="mu", max_iter=1, tol=0)
        power = 1 / (2 - beta) if beta < 1 else 1 / (beta - 1) if beta > 2 else 1
        for F, new, value in (
            (W, first.W, lambda F, loss=loss: beta_divergence(A, F, H, loss)),
            (H, first.H, lambda F, loss=loss, first=first: beta_divergence(A, first.W, F, loss)),
        ):
            up = gradient_parts(A, F, H, beta)[1] if F is W else gradient_parts(A.T, F.T, first.W.T, beta)[1].T
            gradient = up * (1 - (new / F) ** (1 / power))
            numerical = np.empty_like(F)
            for place in np.ndindex(F.shape):
                step = np.zeros_like(F)
                step[place] = 1e-6 * F[place]
                numerical[place] = (value(F + step) - value(F - step)) / (2 * step[place])
            np.testing.assert_allclose(gradient, numerical, rtol=1e-5, atol=1e-5 * np.abs(up).max())


# --- multiplicative updates


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@every_penalty
@pytest.mark.parametrize("make", [np.ascontiguousarray, np.asfortranarray, sp.csr_array])
@every_other_loss
def test_updates_are_those_of_scikit_learn(loss, make, penalty):
    """To rounding, on positive data, where no guard against zero acts."""
    W, H = start(X, K)
    given = {"init": "custom", "tol": 0, "max_iter": 30, **PENALTIES[penalty]}
    W_theirs, H_theirs, _ = non_negative_factorization(
        make(X), W.copy(), H.copy(), solver="mu", beta_loss=BETAS[loss], **given
    )
    for parameters in ({"solver": "mu"}, {"solver": "mue", "acceleration": False}):
        result = factorize(make(X), K, W=W, H=H, loss=loss, **parameters, **given)
        np.testing.assert_allclose(result.W, W_theirs, rtol=1e-9, atol=1e-13)
        np.testing.assert_allclose(result.H, H_theirs, rtol=1e-9, atol=1e-13)
        assert result.divergence == pytest.approx(_beta_divergence(X, W_theirs, H_theirs, BETAS[loss]), rel=1e-9)


@every_other_loss
@pytest.mark.parametrize("make", [np.ascontiguousarray, sp.csr_array])
def test_updates_in_float32_are_those_in_float64_but_for_rounding(loss, make):
    W, H = start(X, K)
    single, double = (
        factorize(make(A), K, W=W, H=H, loss=loss, solver="mu", max_iter=20, tol=0) for A in (X.astype(np.float32), X)
    )
    assert single.W.dtype == single.H.dtype == np.float32
    np.testing.assert_allclose(single.W, double.W, rtol=2e-3, atol=2e-4)
    np.testing.assert_allclose(single.H, double.H, rtol=2e-3, atol=2e-4)
    assert single.objective == pytest.approx(double.objective, rel=1e-3)


@every_other_loss
def test_extrapolation_is_ahead_of_plain_updates(loss):
    """On the geometric mean over some starts: from one start it may lead elsewhere."""
    A = DIGITS + 0.1
    ratios = []
    for seed in range(3):
        W, H = start(A, 8, seed)
        plain, extrapolated = (
            factorize(A, 8, W=W, H=H, loss=loss, solver=solver, max_iter=200, tol=0) for solver in ("mu", "mue")
        )
        ratios.append(extrapolated.objective / plain.objective)
    assert np.prod(ratios) < 1


@pytest.mark.parametrize("loss", ["itakura-saito", 0.5, 1.2, 1.5])
def test_longer_steps_save_iterations_and_never_raise_the_objective(loss, monkeypatch):
    A = DIGITS + 0.1
    W, H = start(A, 8)
    name = "CONVEX" if BETAS.get(loss, loss) >= 1 else "BOLD"
    course = getattr(gradients, name)

    def fit():
        return factorize(A, 8, W=W, H=H, loss=loss, solver="mue", max_iter=150, tol=0)

    longer = fit()
    monkeypatch.setattr(gradients, name, course._replace(bold_after=10**9))
    careful = fit()
    assert longer.objective < careful.objective
    same = course.bold_after + 1
    np.testing.assert_array_equal(longer.history.objective[:same], careful.history.objective[:same])
    assert longer.history.objective[same + 5] != careful.history.objective[same + 5]
    assert np.diff(longer.history.objective).max() <= 0


# --- Kullback-Leibler by coordinate descent

KL = {"loss": "kullback-leibler", "solver": "newton"}
# name: matrix, components
DATA = {"digits": (DIGITS, 8), "noisy": (X, K), "counts": (COUNTS, K), "CSR": (sp.csr_array(COUNTS), K)}


@pytest.mark.parametrize("name", DATA)
def test_coordinate_descent_needs_a_fraction_of_the_iterations_of_updates(name):
    A, k = DATA[name]
    W, H = start(divergences.dense(A), k)
    updates = factorize(A, k, W=W, H=H, loss="kullback-leibler", solver="mu", max_iter=1000, tol=0)
    result = factorize(A, k, W=W, H=H, max_iter=60, tol=0, **KL)
    assert result.objective <= updates.objective * (1 + 1e-8)
    assert (result.history.objective[:60] <= updates.objective * (1 + 1e-6)).any()


@every_penalty
@pytest.mark.parametrize("name", DATA)
def test_coordinate_descent_ends_where_optimality_holds(name, penalty):
    A, k = DATA[name]
    W, H = start(divergences.dense(A), k)
    result = factorize(A, k, W=W, H=H, tol=0, max_iter=1000, **KL, **PENALTIES[penalty])
    # Where l1 penalties pull at both factors, their balance is the last to come right.
    close = 1e-5 if "l1" in penalty else 1e-9
    assert kkt(A, result.W, result.H, 1, **PENALTIES[penalty]) < close
    assert result.history.violation[-1] < close * result.history.violation[0]
    rounding = 1e-12 * result.history.objective[0]
    assert (np.diff(result.history.objective) <= rounding).all()


@pytest.mark.parametrize("make", CONTAINERS)
def test_coordinate_descent_in_float32_ends_close_to_optimality(make):
    A = COUNTS.astype(np.float32)
    W, H = start(A, K)
    result = factorize(make(A), K, W=W, H=H, tol=0, max_iter=300, **KL)
    assert result.W.dtype == result.H.dtype == np.float32
    assert kkt(A, result.W, result.H, 1) < 1e-4
    assert result.history.violation[-1] < 1e-5
    assert (np.diff(result.history.objective) <= 1e-6 * result.history.objective[0]).all()


def test_violation_tells_how_far_the_solution_is():
    """The tighter the tolerance, the smaller what optimality lacks."""
    lacking = []
    for tol in (1e-2, 1e-4, 1e-6):
        result = factorize(COUNTS, K, random_state=0, tol=tol, max_iter=5000, **KL)
        assert result.converged
        assert result.stop_reason in ("tol", "relative change")
        if result.stop_reason == "tol":
            assert result.history.violation[-1] <= tol < result.history.violation[:-1].min()
        lacking.append(kkt(COUNTS, result.W, result.H, 1))
    assert lacking[0] > lacking[1] > lacking[2]


@pytest.mark.parametrize(
    ("loss", "solver", "name"),
    mainly(
        lambda loss, solver, name: (loss, solver) == ("kullback-leibler", "auto") or name == "separable 20 x 15",
        ["kullback-leibler", 1.5],
        ["auto", "mue"],
        PLANTED,
    ),
)
def test_planted_factors_are_recovered(loss, solver, name):
    W, H = PLANTED[name]
    fits = (
        factorize(W @ H, len(H), loss=loss, solver=solver, init="random", random_state=s, tol=1e-9, max_iter=4000)
        for s in range(3)
    )
    best = min(fits, key=lambda result: result.objective)
    assert distance(best.W, best.H, W, H) < (1e-3 if solver == "auto" and loss != 1.5 else 5e-2)


@every_penalty
@pytest.mark.parametrize("make", CONTAINERS)
def test_with_h_fixed_w_is_optimal(make, penalty):
    H = uniform(K, 35)
    result = factorize(make(COUNTS), K, H=H, update_H=False, tol=1e-10, max_iter=10000, **KL, **PENALTIES[penalty])
    np.testing.assert_array_equal(result.H, H)
    down, up = gradient_parts(COUNTS, result.W, H, 1)
    l1, l2, _, _ = reference.penalties(COUNTS.shape, **PENALTIES[penalty])
    up = up + l1 + l2 * result.W
    assert (np.abs(np.minimum(result.W / result.W.max(), (up - down) / (up + down))) < 1e-6).all()
    assert result.converged
    assert result.objective == pytest.approx(divergences.objective(COUNTS, result.W, H, 1, **PENALTIES[penalty]))


@every_penalty
@pytest.mark.parametrize("make", [np.ascontiguousarray, sp.csr_array])
def test_with_some_components_of_h_fixed_the_others_are_optimal(make, penalty):
    W, H = start(COUNTS, K)
    mask = np.array([True, False, True, False])
    result = factorize(make(COUNTS), K, W=W, H=H, update_H=mask, tol=0, max_iter=2000, **KL, **PENALTIES[penalty])
    np.testing.assert_array_equal(result.H[~mask], H[~mask])
    l1_W, l2_W, l1_H, l2_H = reference.penalties(COUNTS.shape, **PENALTIES[penalty])
    for A, F, G, l1, l2, free in (
        (COUNTS, result.W, result.H, l1_W, l2_W, np.ones(K, dtype=bool)),
        (COUNTS.T, result.H.T, result.W.T, l1_H, l2_H, mask),
    ):
        down, up = gradient_parts(A, F, G, 1)
        up = up + l1 + l2 * F
        residual = np.minimum(F / F.max(), (up - down) / (up + down))[:, free]
        assert np.abs(residual).max() < 1e-6


@pytest.mark.parametrize("make", CONTAINERS)
@pytest.mark.parametrize(("l1_W", "l1_H"), [(0.0, 0.0), (0.01, 0.02)])
@pytest.mark.parametrize("solver", ["newton", "mu", "mue"])
def test_one_component_has_a_closed_form(solver, l1_W, l1_H, make):
    """Row sums times column sums over the total; l1 penalties a of W and b of H divide by (s + a) and (t + b).

    Then s = sum(H) and t = sum(W) are the solution of s t + a t = s t + b s = total.
    """
    A = make(COUNTS)
    n, m = A.shape
    penalties = {"alpha_W": l1_W, "alpha_H": l1_H, "l1_ratio": 1.0}
    total, a, b = COUNTS.sum(), m * l1_W, n * l1_H
    shrunk = total if a == 0 else ((-b + np.sqrt(b**2 + 4 * total * b / a)) / 2) ** 2 * a / b
    expected = shrunk / total**2 * np.outer(COUNTS.sum(axis=1), COUNTS.sum(axis=0))
    result = factorize(
        A, 1, loss="kullback-leibler", solver=solver, init="random", random_state=0, tol=0, max_iter=1000, **penalties
    )
    np.testing.assert_allclose(result.W @ result.H, expected, rtol=1e-5, atol=1e-12)
