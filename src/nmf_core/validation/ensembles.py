"""Whether arguments of many fits, of cross-validation and of checkpoints are what they must be."""

import math
import os
from collections.abc import Collection, Iterable
from typing import Any

import numpy as np

from nmf_core.memory import physical_memory
from nmf_core.validation.arguments import check_integer, check_number, nearest
from nmf_core.validation.matrices import (
    ArrayOrSparse,
    stored_values,
)

MOST_COUNTS = 2.0**62  # that can be the mean of a Poisson distribution
SIZE = "squared norm of X"  # the entry of a problem that says how large its numbers are


def check_starts(
    number: Any, init: str, possible: Collection[str], fixed: Collection[str], name: str = "n_init"
) -> int:
    """A number of starts; of more than one, whether they differ, and whether what is given goes with them."""
    number = check_integer(number, name, 1)
    if number > 1 and init not in possible:
        raise ValueError(
            f"{name}={number} needs starts that differ, but those of init={init!r} are all the same; use one of "
            f"{', '.join(map(repr, possible))}."
        )
    for other in fixed:
        if number > 1:
            raise ValueError(f"{name}={number} and {other} do not go together: {other} is for a fit from one start.")
    return number


def check_decided(given: Collection[str], decided: Collection[str], why: str) -> None:
    """Whether none of some arguments has been given."""
    for name in decided:
        if name in given:
            raise TypeError(f"{name} cannot be given: {why}.")


def check_saved(
    path: Any, header: Any, kind: str, problem: dict[str, Any], what: str = "a checkpoint"
) -> dict[str, Any]:
    """The values in the header of a file, if it is of this kind and about this problem."""
    if not isinstance(header, dict) or header.get("format") != kind:
        advice = "delete it or give another path" if what == "a checkpoint" else "give another path"
        raise ValueError(f"{path} is not {what} of nmf_core, or a damaged one: {advice}.")
    for name, value in problem.items():
        there = header.get("problem", {}).get(name)
        # sums may be of the same numbers in another order, and of numbers around zero
        real = isinstance(value, float) and isinstance(there, float)
        same = real and math.isclose(there, value, rel_tol=1e-11, abs_tol=1e-11 * problem.get(SIZE, 0.0) ** 0.5)
        if not same and there != value:
            raise ValueError(
                f"{path} is {what} of another problem: {name} is {there!r} there, but {value!r} "
                f"here. Delete it or give another path."
            )
    return dict(header.get("values", {}))


def check_ranks(n_components: Any, once: bool = False) -> np.ndarray:
    """Numbers of components to try: at least one, ascending, each once; `once`, whether none may be there twice."""
    if isinstance(n_components, str) or not isinstance(n_components, Iterable):
        raise TypeError(f"n_components must be numbers of components such as range(1, 11), got {n_components!r}.")
    asked = [check_integer(k, "every number in n_components", 1) for k in n_components]
    ranks = sorted(set(asked))
    if once and len(ranks) < len(asked):
        twice = next(k for k in ranks if asked.count(k) > 1)
        raise ValueError(f"n_components holds {twice} more than once; every number of components is surveyed once.")
    if not ranks:
        raise ValueError("n_components must hold at least one number of components, but it is empty.")
    return np.array(ranks)


def check_folds(n_folds: Any, n: int, what: str) -> int:
    """A number of folds of which each gets at least one of n things."""
    n_folds = check_integer(n_folds, "n_folds", 2)
    if n_folds > n:
        raise ValueError(f"X has {n} {what}, too few for {n_folds} folds.")
    return n_folds


def check_pairs(n: int) -> None:
    """Whether there is room for a number for every pair of so many samples."""
    wanted, memory = 8 * n * (n - 1) // 2, physical_memory()
    if wanted > memory / 2:
        raise ValueError(
            f"The consensus of all pairs of {n} samples would take {wanted / 2**30:.0f} GiB of this machine's "
            f"{memory / 2**30:.0f} GiB of memory; ask for some samples. cophenetic, dispersion, pac and silhouette "
            f"need no pairs."
        )


def check_same_seeds(path: Any, there: list[int], wanted: list[int]) -> None:
    """Whether the runs in a folder are those that are wanted, or the first of them."""
    n = min(len(there), len(wanted))
    if there[:n] != wanted[:n]:
        raise ValueError(
            f"{path} is an ensemble with other seeds, of another random_state. Delete it or give another path."
        )


def check_not_empty(path: Any, n_runs: int) -> None:
    """Whether there is a run in a folder."""
    if n_runs == 0:
        raise ValueError(f"{path} is an ensemble of which no run has ended yet.")


def check_surveyed(n_ranks: int) -> None:
    """Whether there is an ensemble of any number of components."""
    if n_ranks == 0:
        raise ValueError("A survey needs an ensemble of at least one number of components.")


def check_arguments(
    given: Collection[str], known: Collection[str], of: str = "factorize", own: Collection[str] = ()
) -> None:
    """Whether arguments are those of a function; what else may have been meant are one's own."""
    for name in given:
        if name not in known:
            meant = nearest(name, [*own, *known])
            hint = "" if meant is None else f" Did you mean {meant!r}?"
            raise TypeError(f"unexpected keyword argument {name!r}: {of} has none of that name.{hint}")


def check_fraction(fraction: Any) -> float:
    """A share above 0 and at most 1."""
    share = check_number(fraction, "fraction", high=1.0)
    if share == 0:
        raise ValueError("fraction must be above 0 and at most 1, got 0.")
    return share


def check_limits(n_threads: Any, time_limit: Any, checkpoint: Any) -> None:
    """What concerns all runs of an ensemble."""
    if n_threads is not None:
        check_integer(n_threads, "n_threads", 1)
    if time_limit is not None:
        check_number(time_limit, "time_limit")
    if checkpoint is not None and not isinstance(checkpoint, (str, os.PathLike)):
        raise TypeError(f"checkpoint must be the path of a folder for the runs, got {checkpoint!r}.")


def check_run(path: Any, seed: Any, wanted: int | None) -> None:
    """Whether a file holds the run that belongs there."""
    if seed != wanted:
        raise ValueError(f"{path} is another run: its seed is {seed}, not {wanted}. Delete it.")


def check_rank_there(k: Any, there: list[int]) -> None:
    """Whether a number of components has been surveyed."""
    if k not in there:
        raise KeyError(f"no ensemble of {k!r} components; there are {', '.join(map(str, there))}")


def check_counts(X: ArrayOrSparse) -> None:
    """Whether what X holds are counts: whole numbers that can be drawn, besides what is missing."""
    values = stored_values(X)
    odd = (values != np.floor(values)) | (values < 0) | (values > MOST_COUNTS)
    odd &= ~np.isnan(values)
    if odd.any():
        first = values[odd].flat[0]
        raise ValueError(
            f"resample='poisson' draws counts with those of X as means, but X has entries that are no whole numbers "
            f"from 0 to {MOST_COUNTS:g}, such as {first:g}; 'bootstrap' and 'subsample' draw samples of any X."
        )


def check_errors(mean: np.ndarray) -> None:
    """Whether the mean error is finite for any number of components."""
    if not np.isfinite(mean).any():
        raise ValueError(
            "Errors of held-out entries are not finite for any number of components: nothing can be chosen by them."
        )


def check_free(parameters: Collection[str], blocks: bool) -> None:
    """Whether the other parameters of a fit leave to cross-validation what it decides on."""
    for name in ("W", "H", "update_H"):
        if name in parameters:
            raise TypeError(f"{name} cannot be given: cross-validation decides what is fitted, and finds both factors.")
    for name in ("biases", "weights"):
        if blocks and name in parameters:
            raise TypeError(f"{name} cannot be given with method='bi-cv'; the other methods know them.")


def check_block(n_known: int) -> int:
    """Whether something is known in a block that is held out."""
    if n_known == 0:
        raise ValueError("No entry is known in a block that is held out; use fewer folds or another method.")
    return n_known


def check_found(H: np.ndarray) -> None:
    """Whether the components of a replicate are more than zeros, so that W of X can be found for them."""
    if not H.any():
        raise ValueError(
            "A run has found nothing in its replicate of X, its H is full of zeros: X has too few entries above zero "
            "for resample, or penalties are too large."
        )


def check_refittable(biases: bool, said: str | None) -> None:
    """Whether W can be found for the components that many runs have in common."""
    had = "biases" if biases else f"{said} for W" if said else None
    if had is not None:
        raise ValueError(f"components() cannot find W again, as the runs had {had}; read one of them, such as best.")


def check_weights_there(weighted: bool, weights: Any) -> None:
    """Whether weights are given with X where the runs had some."""
    if weighted and weights is None:
        raise ValueError("The runs had weights, without which W would be another one: give weights with X.")


def check_fitted(found: Any) -> Any:
    """The factorization of components that many runs have in common, if X was there for it."""
    if found is None:  # so that hasattr is False
        raise AttributeError("W, and so a factorization, needs X: give it, as in ensemble.components(X).")
    return found


def check_kept(n_kept: int, k: int, n_runs: int) -> None:
    """Whether enough components of many runs are left for k clusters."""
    if n_kept < k and n_runs == 1:
        raise ValueError("The components of a single run have no neighbours in other runs: make more runs.")
    if n_kept < k:
        raise ValueError(
            f"Only {n_kept} components of all runs are close enough to their nearest neighbours, too few for "
            f"{k} clusters. Raise density_threshold, or make more runs."
        )
