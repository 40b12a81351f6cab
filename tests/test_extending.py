"""What users define outside of the package: a loss, a bound, a penalty, a solver, a stopping rule, a matrix.

Each is as short as `docs/extending.md` shows it, and works with everything that is there.
"""

import numpy as np
import pytest
import scipy.sparse as sp
from problems import noisy, start

import nmf_core
from nmf_core import Factor, factorize
from nmf_core.data import FullMatrix
from nmf_core.factors import Penalty
from nmf_core.losses import Loss
from nmf_core.solvers import Method, QuadraticSolver
from nmf_core.stopping import Rule

K = 3
X = noisy(40, 25, K)
W0, H0 = start(X, K)
GIVEN = {"W": W0, "H": H0}


class PseudoHuber(Loss):
    """Quadratic for small errors, linear for large ones."""

    name = "pseudo-huber"

    def __init__(self, delta=1.0):
        self.delta = delta

    def value(self, x, y):
        return self.delta**2 * (np.sqrt(1 + ((x - y) / self.delta) ** 2) - 1)

    def gradient_parts(self, x, y):
        weight = 1 / np.sqrt(1 + ((x - y) / self.delta) ** 2)
        return weight * x, weight * y


class Orthogonal(Penalty):
    """The inner products of different components within a row: strength times the sum of f_c f_d over c < d."""

    def __init__(self, strength):
        self.strength = strength

    def value(self, F):
        return self.strength / 2 * np.sum(F.sum(axis=1) ** 2 - (F**2).sum(axis=1))

    def quadratic(self, k):
        return self.strength * (np.ones((k, k)) - np.eye(k))


class Smooth(Penalty):
    """Half the squared differences of neighbouring rows, times a strength."""

    def __init__(self, strength):
        self.strength = strength

    def value(self, F):
        return self.strength / 2 * np.sum(np.diff(F, axis=0) ** 2)

    # |f - g|^2 <= 2 |f - (f' + g') / 2|^2 + 2 |g - (f' + g') / 2|^2, with equality at f', g': rows become independent
    def quadratic(self, k):
        return 4 * self.strength * np.eye(k)

    def linear(self, F):
        differences = np.diff(F, axis=0, prepend=F[:1], append=F[-1:])
        return -self.strength * np.diff(differences, axis=0) - 4 * self.strength * F


class ProjectedGradient(QuadraticSolver):
    name = "projected-gradient"
    method = Method(lambda F, cross, gram, order: F - (F @ gram - cross) / np.linalg.norm(gram, 2))


class Below(Rule):
    """The objective has come below a number."""

    reason = "below"
    converged = True

    def __init__(self, value):
        self.value = value

    def done(self, state):
        return state.objective < self.value


class OuterSum(FullMatrix):
    """The matrix a_i + b_j, which is nowhere stored."""

    def __init__(self, a, b):
        self.a, self.b = a, b
        self.shape, self.transposed, self.dtype = (len(a), len(b)), False, np.dtype(np.float64)
        self.n_stored = len(a) * len(b)

    def blocks(self):
        for i, a in enumerate(self.a):
            yield slice(i, i + 1), (a + self.b)[np.newaxis]

    def product(self, G):
        return self.a[:, np.newaxis] * G.sum(axis=0) + self.b @ G

    def transposed_product(self, F):
        return self.b[:, np.newaxis] * F.sum(axis=0) + self.a @ F


FORMS = {
    "rows": lambda A: A,
    "columns": np.asfortranarray,
    "csr": sp.csr_array,
    "csc": sp.csc_array,
}


PENALTIES = {"Q": Orthogonal(3.0), "slope": Smooth(2.0), "both": (Orthogonal(1.0), Smooth(1.0))}


class TestLoss:
    @pytest.mark.parametrize("form", FORMS)
    def test_falls_whatever_holds_the_data(self, form):
        A = np.where(np.median(X) < X, X, 0)
        result = factorize(FORMS[form](A), K, loss=PseudoHuber(0.5), max_iter=60, tol=0, **GIVEN)
        assert np.diff(result.history.objective).max() <= 1e-12 * result.history.objective[0]
        expected = PseudoHuber(0.5).value(A, result.W @ result.H).sum()
        assert result.objective == pytest.approx(expected, rel=1e-10)
        assert result.loss == "pseudo-huber"
        dense = factorize(A, K, loss=PseudoHuber(0.5), max_iter=60, tol=0, **GIVEN)
        np.testing.assert_allclose(result.W, dense.W, rtol=1e-8, atol=1e-10)

    @pytest.mark.parametrize("solver", ["mu", "mue"])
    def test_of_large_delta_is_the_frobenius_loss(self, solver):
        huber = factorize(X, K, loss=PseudoHuber(1e5), solver=solver, max_iter=15, tol=0, acceleration=False, **GIVEN)
        usual = factorize(X, K, solver="mu", max_iter=15, tol=0, **GIVEN)
        np.testing.assert_allclose(huber.W, usual.W, rtol=1e-6)
        assert huber.objective == pytest.approx(usual.objective, rel=1e-4)

    def test_where_entries_are_missing_or_weighted(self):
        weights = np.random.default_rng(0).integers(0, 3, X.shape).astype(float)
        result = factorize(X, K, loss=PseudoHuber(), weights=weights, max_iter=50, tol=0, **GIVEN)
        assert np.diff(result.history.objective).max() <= 1e-12 * result.history.objective[0]
        expected = np.sum(weights * PseudoHuber().value(X, result.W @ result.H))
        assert result.objective == pytest.approx(expected, rel=1e-10)

    def test_does_not_follow_outliers(self):
        rng = np.random.default_rng(1)
        clean = rng.random((60, 4)) @ rng.random((4, 30))
        spoiled = clean + 20 * (rng.random(clean.shape) < 0.03)
        fits = [
            factorize(spoiled, 4, loss=loss, max_iter=400, tol=0, random_state=0, init="random")
            for loss in (PseudoHuber(0.05), "frobenius")
        ]
        errors = [np.linalg.norm(f.W @ f.H - clean) for f in fits]
        assert errors[0] < 0.3 * errors[1]

    def test_transform_and_kkt_know_it(self):
        fit = factorize(X, K, loss=PseudoHuber(), max_iter=600, tol=1e-9, **GIVEN)
        again = nmf_core.factorize(X, K, loss=PseudoHuber(), H=fit.H, update_H=False, max_iter=3000, tol=1e-9)
        np.testing.assert_allclose(again.W @ fit.H, fit.W @ fit.H, atol=2e-2 * X.max())
        assert nmf_core.kkt_residual(X, fit.W, fit.H, PseudoHuber()) < 1e-2

    def test_checkpoints_know_its_attributes(self, tmp_path):
        how = {"max_iter": 5, "tol": 0, "checkpoint": tmp_path / "state", **GIVEN}
        factorize(X, K, loss=PseudoHuber(0.5), **how)
        factorize(X, K, loss=PseudoHuber(0.5), **how)
        with pytest.raises(ValueError, match="another problem: loss is"):
            factorize(X, K, loss=PseudoHuber(3.0), **how)

    def test_results_transform_and_files_do_not(self, tmp_path):
        fit = factorize(X, K, loss=PseudoHuber(), max_iter=30, tol=0, **GIVEN)
        W = fit.transform(X[:4], tol=1e-9, max_iter=2000)
        expected = factorize(X[:4], K, loss=PseudoHuber(), H=fit.H, update_H=False, tol=1e-9, max_iter=2000).W
        np.testing.assert_allclose(W, expected, rtol=1e-6, atol=1e-9)
        fit.save(tmp_path / "model.npz")
        loaded = nmf_core.load(tmp_path / "model.npz")
        np.testing.assert_array_equal(loaded.W, fit.W)
        with pytest.raises(ValueError, match=r"loss must be one of .* got 'pseudo-huber'"):
            loaded.transform(X[:4])

    def test_that_kernels_do_not_know_needs_updates_that_do(self):
        with pytest.raises(ValueError, match="solver='hals' does not minimise loss="):
            factorize(X, K, loss=PseudoHuber(), solver="hals")


class TestFactor:
    def test_bounds_hold_and_the_objective_falls(self):
        fit = factorize(X, K, W=Factor(W0, upper=0.4), H=Factor(H0, lower=0.05), max_iter=60, tol=0)
        assert fit.W.min() >= 0
        assert fit.W.max() <= 0.4
        assert fit.H.min() >= 0.05
        assert np.diff(fit.history.objective).max() <= 1e-12 * fit.history.objective[0]

    def test_bounds_that_do_not_bind_change_nothing(self):
        usual = factorize(X, K, max_iter=30, tol=0, **GIVEN)
        wide = factorize(X, K, W=Factor(W0, upper=1e9), H=Factor(H0, upper=1e9), max_iter=30, tol=0)
        np.testing.assert_allclose(wide.W @ wide.H, usual.W @ usual.H, rtol=1e-7)

    def test_one_bound_for_each_component(self):
        fit = factorize(X, K, H=Factor(upper=[0.1, 0.2, np.inf]), random_state=0, max_iter=30, tol=0)
        assert (fit.H.max(axis=1)[:2] <= [0.1, 0.2]).all()

    @pytest.mark.parametrize("form", FORMS)
    @pytest.mark.parametrize(
        "penalty", [Orthogonal(3.0), Smooth(2.0), (Orthogonal(1.0), Smooth(1.0))], ids=["Q", "slope", "both"]
    )
    def test_penalties_are_part_of_the_objective(self, penalty, form):
        fit = factorize(FORMS[form](X), K, H=Factor(H0, penalty=penalty), W=W0, max_iter=80, tol=0)
        assert np.diff(fit.history.objective).max() <= 1e-11 * fit.history.objective[0]
        several = penalty if isinstance(penalty, tuple) else (penalty,)
        expected = np.sum((X - fit.W @ fit.H) ** 2) / 2 + sum(one.value(fit.H.T) for one in several)
        assert fit.objective == pytest.approx(expected, rel=1e-9)
        usual = factorize(FORMS[form](X), K, max_iter=80, tol=0, **GIVEN)
        assert several[0].value(fit.H.T) < several[0].value(usual.H.T)

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"W": Factor(lower=2, upper=1)}, "W: lower=2 is above upper=1 for component 0"),
            ({"W": Factor(upper=-1)}, "W: lower=0 is above upper=-1"),
            ({"H": Factor(upper=[1, 2])}, "H: upper must be a number or one for each of 3 components"),
            ({"H": Factor(upper=np.nan)}, "not NaN"),
            ({"H": Factor(l1=0.5)}, "H: l1 cannot be given: alpha_W, alpha_H"),
            ({"W": Factor(row_weights=np.ones(40))}, "W: row_weights cannot be given"),
            ({"W": Factor(W0, free=np.array([True, False, True]))}, "W: free cannot be given: only components of H"),
            ({"H": Factor(H0, free=np.ones(K, bool)), "update_H": False}, "H: free cannot be given: update_H"),
            ({"H": Factor(upper=1), "solver": "mu"}, "need solver='hals'"),
            ({"H": Factor(upper=1), "loss": "kullback-leibler"}, "need solver='hals'"),
            ({"H": Factor(upper=1), "weights": np.ones(X.shape)}, "need solver='hals'"),
        ],
        ids=range(11),
    )
    def test_what_cannot_be_is_refused(self, arguments, message):
        with pytest.raises(ValueError, match=message):
            factorize(X, K, **arguments)

    def test_new_rows_need_a_plain_W(self, tmp_path):
        fit = factorize(X, K, W=Factor(upper=0.5), random_state=0, max_iter=10, tol=0)
        fit.save(tmp_path / "model.npz")
        for model in (fit, nmf_core.load(tmp_path / "model.npz")):
            with pytest.raises(ValueError, match=r"transform knows no bounds .* W of the fit had upper="):
                model.transform(X[:4])
        bounded = factorize(X, K, H=Factor(upper=0.5), random_state=0, max_iter=10, tol=0)
        assert bounded.transform(X[:4]).shape == (4, K)

    def test_a_penalty_has_a_value(self):
        with pytest.raises(TypeError, match="H: penalty must have a method 'value'"):
            factorize(X, K, H=Factor(penalty=0.1))


class TestSolver:
    @pytest.mark.parametrize("form", FORMS)
    def test_ends_where_others_do(self, form):
        mine = factorize(FORMS[form](X), K, solver=ProjectedGradient(), max_iter=3000, tol=1e-6, **GIVEN)
        usual = factorize(X, K, max_iter=3000, tol=1e-6, **GIVEN)
        assert mine.solver == "projected-gradient"
        assert mine.objective == pytest.approx(usual.objective, rel=1e-2)
        assert np.diff(mine.history.objective).max() <= 1e-12 * mine.history.objective[0]

    def test_goes_on_from_a_checkpoint(self, tmp_path):
        whole = factorize(X, K, solver=ProjectedGradient(), max_iter=20, tol=0, **GIVEN)
        for n in (7, 20):
            options = {"max_iter": n, "tol": 0, "checkpoint": tmp_path / "state", **GIVEN}
            fit = factorize(X, K, solver=ProjectedGradient(), **options)
        np.testing.assert_array_equal(fit.W, whole.W)


def test_rule():
    fit = factorize(X, K, stop=Below(4.0), **GIVEN)
    assert fit.stop_reason == "below"
    assert fit.converged
    assert fit.history.objective[-1] < 4.0 <= fit.history.objective[-2]


class TestMatrix:
    @pytest.mark.parametrize(("entry", "message"), [(-1.0, "negative"), (np.nan, "NaN"), (np.inf, "inf")])
    def test_entries_are_checked(self, entry, message):
        a = np.arange(5.0)
        a[3] = entry
        with pytest.raises(ValueError, match=rf"X \(rows 3 to 3\).*{message}"):
            factorize(OuterSum(a, np.zeros(4)), 2)

    def test_what_it_does_not_know_is_refused(self):
        matrix = OuterSum(np.arange(5.0), np.ones(4))
        with pytest.raises(ValueError, match="missing entries, weights or biases"):
            factorize(matrix, 2, weights=np.ones((5, 4)))
        with pytest.raises(ValueError, match="floor"):
            factorize(matrix, 2, floor=0.1)
        with pytest.raises(ValueError, match="needs X in memory"):
            factorize(matrix, 2, solver="sgd")

    def test_kullback_leibler_and_single_precision(self):
        rng = np.random.default_rng(0)
        a, b = rng.random(30).astype(np.float32), rng.random(20).astype(np.float32)
        for dtype in (np.float32, np.float64):
            matrix = OuterSum(a.astype(dtype), b.astype(dtype))
            matrix.dtype = np.dtype(dtype)
            fit = factorize(matrix, 2, loss="kullback-leibler", max_iter=20, tol=0)
            assert fit.solver == "mue"
            assert fit.W.dtype == dtype

    @pytest.mark.parametrize(("loss", "solver"), [(2, "hals"), (2, "mu"), (2, "anls-bpp"), (1, "mu"), (None, "mue")])
    def test_is_like_the_array_that_it_stands_for(self, loss, solver):
        options = {"loss": PseudoHuber() if loss is None else loss, "solver": solver}
        rng = np.random.default_rng(0)
        a, b = rng.random(30), rng.random(20)
        given = {"W": rng.random((30, 2)), "H": rng.random((2, 20))}
        mine = factorize(OuterSum(a, b), 2, max_iter=25, tol=0, **given, **options)
        usual = factorize(np.add.outer(a, b), 2, max_iter=25, tol=0, **given, **options)
        np.testing.assert_allclose(mine.W, usual.W, rtol=1e-6, atol=1e-9)
        assert mine.objective == pytest.approx(usual.objective, rel=1e-6, abs=1e-12)
