"""How many components: the error of entries that a fit has not seen.

The error of those it has seen always falls with more components, the other rises when they describe noise.
"""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import lru_cache, partial
from itertools import product
from threading import Lock
from typing import Any, NamedTuple

import numpy as np

from nmf_core.divergence import beta_divergence
from nmf_core.factorization import Factorization
from nmf_core.factorize import choose_loss, factorize
from nmf_core.floor import apply_floor
from nmf_core.initialization import make_random_state
from nmf_core.labels import Labelled, LabelledMatrix, like
from nmf_core.losses import LOSSES, make_loss
from nmf_core.rank_selection import RankSelection, folds_named
from nmf_core.shapes import Axes
from nmf_core.threads import available_threads
from nmf_core.typing import HoldoutMethod, LossName, Missing
from nmf_core.validation import (
    ArrayOrSparse,
    check_block,
    check_choice,
    check_data,
    check_flag,
    check_folds,
    check_free,
    check_incomplete,
    check_integer,
    check_loss,
    check_number,
    check_random_state,
    check_ranks,
    check_room,
    check_shape,
    look_at,
)
from nmf_core.warning import held_back, warn, warn_once

__all__ = ["METHODS", "Holdout", "RankSelection", "cross_validate_rank", "holdout_entries"]

# The least that a held-out entry's model counts as, in units of their mean: as in `beta_divergence`.
_FLOOR = 1e-18

# Up to how many entries a complete X is held out entry by entry unless told otherwise, by what is missing from it then:
# ten numbers of components take about a minute. A sparse one needs weights for all of its zeros.
_FEW = {"nan": 1_000_000, None: 10_000}

# What to do where there is no room for them.
_INSTEAD = "missing='unstored' takes them for unknown, cross_validate_rank with method='bi-cv' does without them."


class Holdout(NamedTuple):
    """A matrix without some of its entries, and these.

    Attributes
    ----------
    X : ndarray, CSR array or matrix, data frame or LabelledMatrix of shape (n_samples, n_features)
        What is left, float32 if all was, else float64; with the labels that X had.
    missing : {"nan", "unstored"} or None
        What `nmf_core.factorize` must be told about it.
    weights : ndarray or CSR array of shape (n_samples, n_features) or None
        Weights for `nmf_core.factorize`: of what is left, if there were some. Else there are some only where nothing
        else tells what is missing: zero where an entry of a sparse X is held out whose zeros are known, one elsewhere.
        They are dense, for nearly all are ones.
    rows, columns : ndarray of int, shape (n_held_out,)
        Where the entries were, row by row: numbers from 0, also if X has labels.
    values : ndarray of shape (n_held_out,)
        What they were.
    value_weights : ndarray of shape (n_held_out,) or None
        How much each of them counts, if there were weights.
    """

    X: Any
    missing: Missing | None
    weights: Any
    rows: np.ndarray
    columns: np.ndarray
    values: np.ndarray
    value_weights: np.ndarray | None = None

    def errors(self, f: Factorization) -> np.ndarray:
        """By how much a fit of what is left is above each entry that was held out, in double.

        Entries are found by their places, whatever the labels of the fit are, and have the `floor` that it has added.

        Parameters
        ----------
        f : Factorization
            A fit of `X`.

        Returns
        -------
        ndarray of shape (n_held_out,)
        """
        said, entries = self._compared(f)
        return said - entries

    def rmse(self, f: Factorization) -> float:
        """The root of the mean square of the `errors` of a fit, weighted if there were weights."""
        return float(np.sqrt(np.average(self.errors(f) ** 2, weights=self.value_weights)))

    def mean_loss(self, f: Factorization) -> float:
        """The mean, weighted if there were weights, of what the loss of a fit makes of an entry that was held out.

        That is what `cross_validate_rank` compares: for the Frobenius loss half the mean square of the `errors`.
        """
        loss = make_loss(f.own_loss or f.loss)
        with np.errstate(over="ignore", invalid="ignore"):  # what a fit of entries that it hardly knows may say
            y, x = self._compared(f)
            if not loss.quadratic:
                y = np.maximum(y, _FLOOR * x.mean() or _FLOOR)
            return float(np.average(loss.value(x, y), weights=self.value_weights))

    def _compared(self, f: Factorization) -> tuple[np.ndarray, np.ndarray]:
        """What a fit says of the entries, and what they are to it."""
        check_shape(self.X.shape, (f.W.shape[0], f.H.shape[1]))
        entries = self.values.astype(np.float64) + (f.parameters.get("floor") or 0.0)
        return f._values_at(self.rows, self.columns).astype(np.float64), entries

    def __repr__(self) -> str:
        n, m = self.X.shape
        told = [f"missing={self.missing!r}"] * (self.missing is not None) + ["weights"] * (self.weights is not None)
        return f"<Holdout: {len(self.values)} entries of {n} x {m}; X without them has {' and '.join(told)}>"


def holdout_entries(
    X: Any, fraction: float = 0.1, random_state: Any = None, *, missing: Missing | None = None, weights: Any = None
) -> Holdout:
    """Hold out known entries, drawn at random, to see how well a fit of the others predicts them.

    Parameters
    ----------
    X : array-like, sparse array or matrix, data frame or AnnData of shape (n_samples, n_features)
        Non-negative. Never modified.
    fraction : float
        Share of the known entries to hold out; at least one is, and at least one stays.
    random_state : int, RandomState, Generator or None
        Source of randomness.
    missing : {None, "nan", "unstored"}
        What is missing from X, as in `nmf_core.factorize`. With "unstored", stored zeros are known entries.
    weights : array-like, sparse array or matrix of shape (n_samples, n_features), optional
        How much every entry counts, as in `nmf_core.factorize`; what has weight zero is not known.

    Returns
    -------
    Holdout
        Its `X` is a copy with NaN where entries were, of a sparse X with ``missing="unstored"``, and of any X with
        weights, a sparse one that stores what is left, and any other sparse X itself, with weights. Labels stay: a data
        frame is one again.

    Raises
    ------
    TypeError, ValueError
        An argument is not what it must be, or fewer than two entries are known.

    Examples
    --------
    >>> import numpy as np, nmf_core
    >>> from nmf_core.model_selection import holdout_entries
    >>> rng = np.random.default_rng(0)
    >>> X = rng.random((40, 3)) @ rng.random((3, 30))
    >>> train = holdout_entries(X, 0.1, random_state=0)
    >>> f = nmf_core.factorize(train.X, 3, missing=train.missing, weights=train.weights, random_state=0)
    >>> bool(train.rmse(f) < 0.02 * X.std())
    True
    """
    given = X
    data, missing, weights = _incomplete(X, missing, weights)
    X = data.values
    n = _n_known(X, missing)
    check_folds(2, n, "known entries")
    held = np.arange(n) < np.clip(round(check_number(fraction, "fraction", high=1.0) * n), 1, n - 1)
    _generator(random_state).shuffle(held)
    train = _without(X, missing, weights, held)
    return train._replace(X=_with_labels(train.X, data, given))


def _incomplete(X: Any, missing: Missing | None, weights: Any) -> tuple[Labelled, Missing | None, Any]:
    """What `check_incomplete` makes of X; with weights that differ, CSR of what is known, and its weights as CSR."""
    if weights is None:
        return *check_incomplete(X, missing), None
    from nmf_core.data.observed import observe  # imports scipy.sparse

    data, weights = check_data(X, missing, weights)
    known = observe(data.values, missing, weights)
    entries = known.csr()
    if known.weights is not None:
        weights = type(entries)((known.weights, entries.indices, entries.indptr), shape=entries.shape)
    return data._replace(values=entries, scan=None), "unstored", None if known.weights is None else weights


def _with_labels(X: ArrayOrSparse, data: Labelled, given: Any) -> Any:
    """What is left of X as what was given: with its labels, if it had some, as a data frame if it was one."""
    if data.rows is None and data.columns is None:
        return X
    found = X if data.columns is None or not isinstance(X, np.ndarray) else like(given, X, data.columns)
    return LabelledMatrix(X, data.rows, data.columns) if found is X else found


def cross_validate_rank(
    X: Any,
    n_components: Iterable[int] = range(1, 11),
    *,
    method: HoldoutMethod = "auto",
    n_folds: int | None = None,
    n_repeats: int = 1,
    loss: LossName | float | None = None,
    missing: Missing | None = None,
    weights: Any = None,
    warm_start: bool = False,
    n_jobs: int = 1,
    random_state: Any = None,
    progress: bool = False,
    **parameters: Any,
) -> RankSelection:
    """Compare numbers of components by the error of entries that were held out.

    Parameters
    ----------
    X : array-like, sparse array or matrix, data frame or AnnData of shape (n_samples, n_features)
        As for `nmf_core.factorize`. Never modified.
    n_components : iterable of int
        The numbers of components to try.
    method : {"auto", "wold", "imputation", "bi-cv"}
        "wold" deals the known entries to folds; each is missing once, and predicted by a fit of the others [1]_.
        "imputation" does so with random parts of the same size, drawn anew for every fit [2]_. "bi-cv" deals rows and
        columns to groups; each block, the rows of a group in the columns of one, is predicted by a fit of what is
        neither in its rows nor in its columns, and these rows' and columns' own W and H for that [3]_. It is the one
        for large complete data: others hold all entries one by one, of sparse X zeros, too. Its smallest error is often
        at too many components; trust `RankSelection.best_one_standard_error` there. "auto" is "wold" with `missing`,
        `weights` or `biases`, and for up to a million entries, ten thousand of a sparse X with its zeros; else it is
        "bi-cv".
    n_folds : int, optional
        Folds of entries, by default 5, or groups of rows and of columns, by default 2, which makes 4 blocks.
    n_repeats : int
        How often to deal.
    loss : str or float, optional
        As in `nmf_core.factorize`, "frobenius" by default, for fits and errors. What a model takes for zero counts as
        in `nmf_core.beta_divergence`: next to it.
    missing : {None, "nan", "unstored"}
        What is missing from X, as in `nmf_core.factorize`.
    weights : array-like, sparse array or matrix of shape (n_samples, n_features), optional
        How much every entry counts, in fits and in errors, as in `nmf_core.factorize`. Not with "bi-cv".
    warm_start : bool
        Whether a fit begins with the factors of the one before, of fewer components, and small random new ones. That
        saves about a third of the time, but keeps bad minima, too: of 54 planted ranks one was missed, none by fits
        that start afresh.
    n_jobs : int
        Fits at a time, in threads that share X; -1 for as many as there are processors for. If more than 1, each
        uses one thread. The result does not depend on it.
    random_state : int, RandomState, Generator or None
        Source of randomness of folds, which are the same for all numbers of components, and of starts.
    progress : bool
        Show a progress bar (needs tqdm).
    **parameters
        Other arguments of `nmf_core.factorize`. An `alpha_W` of a thousandth to a hundredth of the mean of X, for the
        Frobenius loss, keeps a fit from predicting anything at all where it is hardly determined.

    Returns
    -------
    RankSelection
        The errors, and the numbers of components that they suggest.

    Warns
    -----
    ConvergenceWarning
        Some of the fits have stopped at `max_iter`; there is one warning for all of them.
    UserWarning
        Errors have exploded; those of `RankSelection.exploded` are named.

    Raises
    ------
    TypeError, ValueError
        An argument is not what it must be; the message names it.

    References
    ----------
    .. [1] S. Wold (1978), "Cross-validatory estimation of the number of components in factor and principal components
       models", doi:10.1080/00401706.1978.10489693.
    .. [2] X. Lin and P. C. Boutros (2020), "Optimization and expansion of non-negative matrix factorization",
       doi:10.1186/s12859-019-3312-5.
    .. [3] A. B. Owen and P. O. Perry (2009), "Bi-cross-validation of the SVD and the nonnegative matrix factorization",
       doi:10.1214/08-AOAS227.

    Examples
    --------
    >>> import numpy as np
    >>> from nmf_core.model_selection import cross_validate_rank
    >>> rng = np.random.default_rng(0)
    >>> X = rng.gamma(1, size=(60, 3)) @ rng.gamma(1, size=(3, 40)) * rng.gamma(50, 0.02, size=(60, 40))
    >>> cross_validate_rank(X, range(1, 6), random_state=0).best
    3
    """
    check_choice(method, "method", ["auto", *METHODS])
    ranks = check_ranks(n_components)
    check_free({**parameters, **({} if weights is None else {"weights": weights})}, blocks=method == "bi-cv")
    n_repeats = check_integer(n_repeats, "n_repeats", 1)
    n_jobs = available_threads() if n_jobs == -1 else check_integer(n_jobs, "n_jobs", 1)
    watched = _progress_bar(check_flag(progress, "progress"))
    check_flag(warm_start, "warm_start")
    axes = Axes.of(X, parameters.pop("sample_axes", None))
    for name in ("sample_names", "feature_names"):  # of which errors know nothing
        parameters.pop(name, None)
    if axes is not None:
        X, weights = axes.flattened(X), None if weights is None else axes.weights(weights)
    data, incomplete, weights = _incomplete(X, missing, weights)
    counts = loss is None and missing is None and weights is None
    loss = choose_loss(loss, X, look_at(data.values) if counts else None)
    check_loss(loss, LOSSES)
    if weights is not None:
        missing = incomplete
    X, _ = apply_floor(data.values, parameters.pop("floor", None), make_loss(loss), incomplete, None)
    if method == "auto":
        method = _suitable_method(X, missing, incomplete, parameters)
    hold_out, error = METHODS[method]
    if method == "bi-cv":
        n_folds = check_folds(2 if n_folds is None else n_folds, min(X.shape), "rows or columns")
        n_deals, n_parts = n_repeats, n_folds**2
    else:
        n_folds = check_folds(5 if n_folds is None else n_folds, _n_known(X, incomplete), "known entries")
        n_deals, n_parts = (n_repeats, n_folds) if method == "wold" else (n_repeats * n_folds, 1)
        missing = incomplete
    seeds = _generator(random_state).integers(2**32, size=n_deals).tolist()
    parameters = {"loss": loss, "n_threads": None if n_jobs == 1 else 1, **parameters}

    held_out, lock = lru_cache(maxsize=2)(partial(hold_out, X, missing, weights, n_folds)), Lock()
    doubts: list[Warning] = []

    def run(task: tuple[tuple[int, int], tuple[int, ...]]) -> list[tuple[float, bool]]:
        fold, ks = task
        with lock:  # once for all numbers of components
            data = held_out(*fold)
        found, f = [], None
        for k in ks:
            rng = np.random.default_rng(fold)
            given = parameters if f is None else {**parameters, **_grown(f, k, rng)}
            with held_back() as held:
                value, f = error(data, k, random_state=rng, **given)
            doubts.extend(held[:1])
            found.append((value, f.converged))
        return found

    in_turn = [tuple(ranks.tolist())] if warm_start else [(k,) for k in ranks.tolist()]
    tasks = list(product(product(seeds, range(n_parts)), in_turn))
    errors, converged = np.reshape(_in_threads(run, tasks, n_jobs, watched), (-1, len(ranks), 2)).T
    n_unconverged = int(np.count_nonzero(converged == 0))
    selection = RankSelection(ranks, errors.copy(), method, make_loss(loss).name, n_unconverged)
    warn_once(doubts, f"{errors.size} fits")
    if selection.exploded:
        warn(_about_exploded(selection.exploded))
    return selection


def _suitable_method(
    X: ArrayOrSparse, missing: Missing | None, incomplete: Missing | None, parameters: dict[str, Any]
) -> HoldoutMethod:
    """By entries where some are missing, or there are few; `missing` and `incomplete` as for `check_incomplete`."""
    if missing is not None or parameters.get("biases") or X.shape[0] * X.shape[1] <= _FEW[incomplete]:
        return "wold"
    return "bi-cv"


def _in_threads(
    run: Callable[[Any], Any], tasks: list[Any], n_jobs: int, watched: Callable[..., Iterable[Any]]
) -> list[Any]:
    """What is found for every task; if one fails the others are not begun."""
    executor = ThreadPoolExecutor(n_jobs)
    try:
        return list(watched(executor.map(run, tasks), total=len(tasks)))
    finally:
        executor.shutdown(cancel_futures=True)


def _about_exploded(exploded: dict[int, list[int]]) -> str:
    """Which fits have failed to predict, and what to do about it."""
    named = ", with ".join(f"{k} components in {folds_named(folds)}" for k, folds in list(exploded.items())[:3])
    more = f", with {len(exploded) - 3} other numbers of components" if len(exploded) > 3 else ""
    return (
        f"Errors of held-out entries have exploded with {named}{more}: they count as at most twice the median; a small "
        f"alpha_W keeps fits from predicting at random what they hardly know."
    )


def _grown(f: Factorization, k: int, rng: np.random.Generator) -> dict[str, Any]:
    """A start for k components: those of f, and new ones that together make a tenth of its model."""
    n, m, new = len(f.W), f.H.shape[1], k - f.n_components
    level = np.sqrt(0.1 * (f.W.sum(axis=0) @ f.H.sum(axis=1)) / (n * m * new))
    W, H = (level * rng.random(shape) * 2 for shape in ((n, new), (new, m)))
    return {"init": None, "W": np.hstack([f.W, W.astype(f.W.dtype)]), "H": np.vstack([f.H, H.astype(f.H.dtype)])}


def _hold_out_entries(
    X: ArrayOrSparse, missing: Missing | None, weights: Any, n_folds: int, seed: int, part: int
) -> Holdout:
    """X without a fold of its known entries."""
    return _without(X, missing, weights, _dealt(_n_known(X, missing), n_folds, np.random.default_rng(seed)) == part)


def _entry_error(train: Holdout, k: int, **parameters: Any) -> tuple[float, Factorization]:
    """The mean loss of entries that are predicted by a fit of the others, and that fit."""
    f = factorize(train.X, k, missing=train.missing, weights=train.weights, **parameters)
    return train.mean_loss(f), f


def _hold_out_block(
    X: ArrayOrSparse, missing: Missing | None, _: Any, n_folds: int, seed: int, part: int
) -> tuple[Any, ...]:
    """`missing`, and A, B, C, D of X = [[A, B], [C, D]] up to order: A is a group of rows in a group of columns."""
    rng = np.random.default_rng(seed)
    rows, columns = (_dealt(n, n_folds, rng) == i for n, i in zip(X.shape, divmod(part, n_folds), strict=True))
    return missing, *(X[np.ix_(i, j)] for i, j in product((rows, ~rows), (columns, ~columns)))


def _block_error(held_out: tuple[Any, ...], k: int, **parameters: Any) -> tuple[float, Factorization]:
    """The mean loss of A, predicted by a fit of D, and from B and C; and that fit."""
    missing, A, B, C, D = held_out
    f = factorize(D, k, missing=missing, **parameters)
    n_threads = parameters["n_threads"]
    W, H = f.transform(B, n_threads=n_threads), _transposed(f).transform(C.T, n_threads=n_threads).T
    if missing is None:
        loss: Any = f.own_loss or f.loss
        return beta_divergence(A, W, H, loss, n_threads=n_threads) / (A.shape[0] * A.shape[1]), f
    everything = np.ones(check_block(_n_known(A, missing)), dtype=bool)
    block = Holdout(A, missing, None, *_places(A, missing, everything))
    return block.mean_loss(replace(f, W=W, H=H)), f


# How to hold something out, and its mean loss for a number of components.
METHODS: dict[str, tuple[Callable[..., Any], Callable[..., tuple[float, Factorization]]]] = {
    "wold": (_hold_out_entries, _entry_error),
    "imputation": (_hold_out_entries, _entry_error),
    "bi-cv": (_hold_out_block, _block_error),
}


def _transposed(f: Factorization) -> Factorization:
    """The factorization of the transpose."""
    alpha_W, alpha_H = f.parameters["alpha_W"], f.parameters["alpha_H"]
    penalties = {"alpha_W": alpha_W if alpha_H == "same" else alpha_H, "alpha_H": alpha_W}
    return replace(f, W=f.H.T, H=f.W.T, parameters={**f.parameters, **penalties})


def _dealt(n: int, n_groups: int, rng: np.random.Generator) -> np.ndarray:
    """The group (n,) of each of n things, dealt at random: sizes of groups differ by one at most."""
    groups = np.resize(np.arange(n_groups, dtype=np.min_scalar_type(n_groups)), n)
    rng.shuffle(groups)
    return groups


def _n_known(X: ArrayOrSparse, missing: Missing | None) -> int:
    """How many entries are known, of a sparse X with its zeros if there is room to hold them one by one."""
    if missing == "unstored":
        return int(X.nnz)
    if missing == "nan":
        return int(np.count_nonzero(~np.isnan(X)))
    check_room(X.shape, X.dtype.itemsize, _INSTEAD)
    return X.shape[0] * X.shape[1]


def _places(X: ArrayOrSparse, missing: Missing | None, chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows, columns and values of those known entries that are chosen; `chosen` (n_known,) goes row by row."""
    if missing == "unstored":
        rows = np.searchsorted(X.indptr, np.flatnonzero(chosen), side="right") - 1
        return rows, X.indices[chosen], X.data[chosen]
    places = ~np.isnan(X) if missing == "nan" else np.ones(X.shape, dtype=bool)
    places[places] = chosen
    rows, columns = np.nonzero(places)
    return rows, columns, np.asarray(X[rows, columns]).ravel()


def _without(X: ArrayOrSparse, missing: Missing | None, weights: Any, held: np.ndarray) -> Holdout:
    """X without those known entries that are held out; X, `missing` and weights are from `_incomplete`."""
    places = rows, columns, _ = _places(X, missing, held)
    value_weights = None
    if missing == "unstored":
        if weights is not None:
            value_weights, weights = weights.data[held], _stored(weights, ~held)
        X = _stored(X, ~held)
    elif missing == "nan":
        X = X.copy(order="K")
        X[rows, columns] = np.nan
    else:
        weights = np.ones(X.shape, dtype=X.dtype)
        weights[rows, columns] = 0
    return Holdout(X, missing, weights, *places, value_weights)


def _stored(X: Any, kept: np.ndarray) -> Any:
    """CSR of some of the entries that CSR stores."""
    indptr = np.concatenate([[0], np.cumsum(kept)])[X.indptr].astype(X.indptr.dtype)
    return type(X)((X.data[kept], X.indices[kept], indptr), shape=X.shape)


def _generator(random_state: Any) -> np.random.Generator:
    return np.random.default_rng(make_random_state(check_random_state(random_state)).randint(2**32, dtype=np.uint64))


def _progress_bar(shown: bool) -> Callable[..., Iterable[list[float]]]:
    """What counts results as they come."""
    if not shown:
        return lambda results, total: results
    try:
        from tqdm.auto import tqdm
    except ImportError as error:
        raise ImportError('A progress bar needs tqdm: pip install "nmf-core[cli]"') from error
    return partial(tqdm, unit="fit", desc="nmf")
