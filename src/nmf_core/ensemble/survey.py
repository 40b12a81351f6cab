"""`rank_survey`: ensembles of several numbers of components side by side, and rules that choose one."""

import inspect
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from nmf_core.data.resampling import permuted_columns
from nmf_core.ensemble.many import Ensemble, runs_for
from nmf_core.ensemble.running import OF_X, Subject, Task, room_for, run_all, subject_of, watched
from nmf_core.html import table
from nmf_core.initialization import make_seeds
from nmf_core.labels import tabulated
from nmf_core.model_selection import RankSelection, cross_validate_rank
from nmf_core.typing import Resample, RuleName
from nmf_core.validation import (
    check_choice,
    check_decided,
    check_flag,
    check_integer,
    check_limits,
    check_number,
    check_random_state,
    check_rank_there,
    check_ranks,
    check_resident,
    check_surveyed,
)

# Mean similarity of the components of stable ensembles, and that of the least similar one: of 48 planted ranks (3, 5,
# 8; counts and Gaussian noise, dense and sparse) all were found with these.
STABLE = (0.95, 0.9)
# A fall of the cophenetic correlation by less is none.
FALL = 0.005


class Choice(NamedTuple):
    """A number of components, and why.

    Attributes
    ----------
    n_components : int
        The number.
    reason : str
        The rule in words, with its numbers.
    """

    n_components: int
    reason: str


class RankSurvey(Mapping[int, Ensemble]):
    """Ensembles by number of components, and what they say about it.

    ``survey[k]`` is the `Ensemble` of k components.

    Attributes
    ----------
    held_out : RankSelection or None
        Errors of entries that were held out, by number of components.
    null : RankSurvey or None
        The same survey of X with the entries of every column in random order: what there is to find in data in which
        features have nothing to do with each other.
    rule : str
        The rule by which `best` chooses, one of `rules`: that which was asked for, if there is what it needs, else the
        first of them.

    Examples
    --------
    >>> import numpy as np, nmf_core
    >>> rng = np.random.default_rng(0)
    >>> X = rng.poisson(rng.gamma(0.5, 20, (60, 3)) @ rng.gamma(0.5, 1, (3, 40)))
    >>> survey = nmf_core.rank_survey(X, range(2, 6), n_runs=8, loss="kullback-leibler", random_state=0)
    >>> survey.best
    3
    >>> print(survey.reason)  # doctest: +SKIP
    """

    def __init__(
        self,
        ensembles: dict[int, Ensemble],
        held_out: RankSelection | None = None,
        null: "RankSurvey | None" = None,
        rule: RuleName | None = None,
    ) -> None:
        check_surveyed(len(ensembles))
        self._ensembles = dict(sorted(ensembles.items()))
        self.held_out = held_out
        self.null = null
        self.rule = rule if rule in self.rules else self.rules[0]

    def __getitem__(self, k: int) -> Ensemble:
        check_rank_there(k, list(self._ensembles))
        return self._ensembles[k]

    def __iter__(self) -> Iterator[int]:
        return iter(self._ensembles)

    def __len__(self) -> int:
        return len(self._ensembles)

    @property
    def n_components(self) -> np.ndarray:
        """The numbers of components (n_ranks,), in ascending order."""
        return np.array(list(self))

    @property
    def rules(self) -> list[RuleName]:
        """The names of the rules that this survey can choose by."""
        return [name for name, rule in RULES.items() if rule.of_held_out <= (self.held_out is not None)]

    @property
    def best(self) -> int:
        """The number of components that `rule` chooses."""
        return self.choose(self.rule).n_components

    @property
    def reason(self) -> str:
        """Why that one, in words."""
        return self.choose(self.rule).reason

    def choose(self, rule: RuleName, **options: float) -> Choice:
        """Choose a number of components by a rule.

        Parameters
        ----------
        rule : {"one-standard-error", "held-out", "stability", "cophenetic", "pac"}
            "held-out": the smallest error of held-out entries. "one-standard-error": the fewest components with an
            error within a standard error of that. "stability": the most components that are all found again, with a
            mean similarity of at least `mean` (0.95) over all of them, and of `minimum` (0.9) for each:
            cosines, where SigProfilerExtractor has silhouettes of 0.8 and 0.2 [1]_. "cophenetic": the
            most components before the cophenetic correlation falls [2]_. "pac": the smallest share of pairs of samples
            of which it is not certain whether they belong together.
        **options
            Numbers of the rule.

        Returns
        -------
        Choice

        References
        ----------
        .. [1] S. M. A. Islam et al. (2022), "Uncovering novel mutational signatures by de novo extraction with
           SigProfilerExtractor", doi:10.1016/j.xgen.2022.100179.
        .. [2] J.-P. Brunet, P. Tamayo, T. R. Golub and J. P. Mesirov (2004), "Metagenes and molecular pattern discovery
           using matrix factorization", doi:10.1073/pnas.0308531101.
        """
        check_choice(rule, "rule", self.rules)
        choose = RULES[rule].choose
        known = [name for name in inspect.signature(choose).parameters if name != "survey"]
        for name, value in options.items():
            check_choice(name, "an option of the rule", known)
            check_number(value, name, high=1.0)
        choice = choose(self, **options)
        return choice._replace(reason=f"{choice.reason}{self._edge(choice.n_components)}")

    def _edge(self, k: int) -> str:
        """What is to be said of a choice that may not be the best one because no others were tried."""
        if len(self) == 1:
            return "; no other number was tried"
        if k == max(self):
            return "; more were not tried"
        return "; fewer were not tried" if k == min(self) > 1 else ""

    @property
    def table(self) -> Any:
        """A data frame of the library of X, else of pandas (or a dict of arrays without it), with a row for every rank.

        Its columns are n_components, n_runs, n_unconverged, objective, relative_error and explained_variance of the
        best run, cophenetic, dispersion, pac, silhouette (mean over the samples), sparsity_W, sparsity_H,
        stability_mean and stability_min (mean and least of the mean similarities of components), seconds (of all runs,
        which wait for each other where they go side by side), held_out and held_out_se (error of held-out entries, and
        its standard error); and with a null survey the same of that, with names that begin with null_.
        """
        return tabulated(self._columns(), self[min(self)].best.frame_library)

    def _columns(self) -> dict[str, np.ndarray]:
        columns: dict[str, list[Any]] = {"n_components": list(self)}
        rows = [_row(ensemble) for ensemble in self.values()]
        columns.update({name: [row[name] for row in rows] for name in rows[0]})
        arrays = {name: np.array(column) for name, column in columns.items()}
        if self.held_out is not None:
            there = np.isin(self.held_out.n_components, self.n_components)
            arrays["held_out"] = self.held_out.mean[there]
            arrays["held_out_se"] = self.held_out.standard_error[there]
        if self.null is not None:
            same = [k in self.null for k in self]
            for name, column in self.null._columns().items():
                if name != "n_components":
                    arrays[f"null_{name}"] = np.full(len(self), np.nan)
                    arrays[f"null_{name}"][same] = column[np.isin(self.null.n_components, self.n_components)]
        return arrays

    def _repr_html_(self) -> str:
        columns = self._columns()
        return table({name: columns[name] for name in SHOWN if name in columns}, f"{self.best}: {self.reason}")

    def __repr__(self) -> str:
        columns = self._columns()
        names = [name for name in SHOWN if name in columns]
        lines = ["  ".join(f"{name:>{max(9, len(name))}}" for name in names)]
        for i in range(len(self)):
            cells = (_cell(columns[name][i]) for name in names)
            lines.append("  ".join(f"{cell:>{max(9, len(name))}}" for name, cell in zip(names, cells, strict=True)))
        return "\n".join([f"<RankSurvey of {len(self)} numbers of components:", *lines, f"{self.best}: {self.reason}>"])


SHOWN = ("n_components", "explained_variance", "held_out", "held_out_se", "cophenetic", "dispersion", "pac",
         "silhouette", "stability_mean", "stability_min", "seconds")  # fmt: skip


def _cell(value: Any) -> str:
    return str(value) if isinstance(value, (int, np.integer)) else f"{value:.4g}"


def _row(ensemble: Ensemble) -> dict[str, Any]:
    numbers, best = ensemble._numbers, ensemble.i_best
    stability = ensemble.stability
    return {
        "n_runs": len(ensemble),
        "n_unconverged": ensemble.n_unconverged,
        **{name: numbers[name][best] for name in ("objective", "relative_error", "explained_variance")},
        "cophenetic": ensemble.cophenetic,
        "dispersion": ensemble.dispersion,
        "pac": ensemble.pac,
        "silhouette": float(ensemble.silhouette.mean()),
        **{name: numbers[name][best] for name in ("sparsity_W", "sparsity_H")},
        "stability_mean": float(stability.mean.mean()),
        "stability_min": float(stability.mean.min()),
        "seconds": float(numbers["seconds"].sum()),
    }


# --- rules

SINGLE = "a single run of each number of components says nothing of what others find"


def _held_out(survey: RankSurvey) -> Choice:
    k = _selection(survey).best
    return Choice(k, f"the smallest error of held-out entries, {_error(survey, k)}")


def _one_standard_error(survey: RankSurvey) -> Choice:
    k, lowest = _selection(survey).best_one_standard_error, _selection(survey).best
    if k == lowest:
        rest = "; fewer components are worse by more than its standard error" if k > min(survey) else ""
        return Choice(k, f"the smallest error of held-out entries, {_error(survey, k)}{rest}")
    return Choice(
        k, f"the fewest components with an error of held-out entries, {_error(survey, k)}, within a standard error of "
           f"the smallest, {_error(survey, lowest)} with {lowest}",
    )  # fmt: skip


def _selection(survey: RankSurvey) -> RankSelection:
    assert survey.held_out is not None  # or the rule could not have been asked for
    return survey.held_out


def _error(survey: RankSurvey, k: int) -> str:
    selection = _selection(survey)
    return f"{selection.mean[selection.n_components == k][0]:.4g}"


def _stability(survey: RankSurvey, mean: float = STABLE[0], minimum: float = STABLE[1]) -> Choice:
    rows = {k: _row(ensemble) for k, ensemble in survey.items()}
    stable = [k for k, row in rows.items() if row["stability_mean"] >= mean and row["stability_min"] >= minimum]
    if all(np.isnan(row["stability_mean"]) for row in rows.values()):
        return Choice(min(rows), SINGLE)
    if not stable:
        k = max(rows, key=lambda k: np.nan_to_num(rows[k]["stability_mean"], nan=-1.0))
        return Choice(k, f"no number of components is stable (similarities of at least {mean:g} on average and "
                         f"{minimum:g} for each component); this one is the least unstable")  # fmt: skip
    k = max(stable)
    row = rows[k]
    return Choice(k, f"the most components that are all found again: similarities are {row['stability_mean']:.3f} on "
                     f"average (at least {mean:g}) and {row['stability_min']:.3f} in the worst case (at least "
                     f"{minimum:g})")  # fmt: skip


def _cophenetic(survey: RankSurvey, fall: float = FALL) -> Choice:
    values = [ensemble.cophenetic for ensemble in survey.values()]
    ranks = list(survey)
    if np.isnan(values).all():
        return Choice(ranks[0], SINGLE)
    for i, k in enumerate(ranks[:-1]):
        if values[i] - values[i + 1] > fall:
            return Choice(k, f"the cophenetic correlation, {values[i]:.4f}, falls to {values[i + 1]:.4f} with "
                             f"{ranks[i + 1]}")  # fmt: skip
    return Choice(ranks[-1], f"the cophenetic correlation does not fall by more than {fall:g} up to here")


def _pac(survey: RankSurvey) -> Choice:
    values = {k: ensemble.pac for k, ensemble in survey.items() if not np.isnan(ensemble.pac)}
    if not values:
        return Choice(min(survey), SINGLE)
    k = min(values, key=lambda k: (values[k], -k))
    return Choice(k, f"the smallest share of ambiguous pairs of samples, {values[k]:.4g}")


class Chooser(NamedTuple):
    """How a rule chooses, and whether it needs errors of held-out entries."""

    choose: Callable[..., Choice]
    of_held_out: bool


# The first that a survey can choose by is its rule unless another one is asked for.
RULES: dict[RuleName, Chooser] = {
    "one-standard-error": Chooser(_one_standard_error, True),
    "held-out": Chooser(_held_out, True),
    "stability": Chooser(_stability, False),
    "cophenetic": Chooser(_cophenetic, False),
    "pac": Chooser(_pac, False),
}


def rank_survey(
    X: Any,
    n_components: Iterable[int] = range(2, 11),
    n_runs: int = 30,
    *,
    held_out: bool = True,
    null: bool = False,
    rule: RuleName | None = None,
    resample: Resample | None = None,
    fraction: float = 0.8,
    random_state: Any = None,
    n_threads: int | None = None,
    time_limit: float | None = None,
    progress: bool = False,
    checkpoint: str | os.PathLike | None = None,
    **parameters: Any,
) -> RankSurvey:
    """Factorize X many times with every number of components, to see how many there are.

    Parameters
    ----------
    X : array-like, sparse array or matrix, data frame or AnnData of shape (n_samples, n_features)
        As for `nmf_core.factorize`.
    n_components : iterable of int
        The numbers of components to try, each once.
    n_runs : int
        Runs of each, at least 2.
    held_out : bool
        Whether errors of held-out entries are found, too, by `nmf_core.model_selection.cross_validate_rank`, after the
        runs, unless these were interrupted or their time was over.
    null : bool
        Whether the same is done for X with the entries of every column in random order.
    rule : {"one-standard-error", "held-out", "stability", "cophenetic", "pac"}, optional
        How `RankSurvey.best` chooses; by default the first of these that can.
    resample, fraction, random_state, n_threads, time_limit, progress, checkpoint
        As in `nmf_core.factorize_many`, for all ensembles together; the folder gets one of its own for each. Every
        number of components has the runs that `factorize_many` makes with this `random_state`.
    **parameters
        Other arguments of `nmf_core.factorize`.

    Returns
    -------
    RankSurvey
        Its `table` has a row for every number of components; printed, it is one.

    Raises
    ------
    TypeError, ValueError
        An argument is not what it must be; the message names it.

    Examples
    --------
    >>> import numpy as np, nmf_core
    >>> rng = np.random.default_rng(0)
    >>> X = rng.gamma(0.5, 1, (60, 3)) @ rng.gamma(0.5, 1, (3, 40)) * rng.gamma(50, 0.02, (60, 40))
    >>> survey = nmf_core.rank_survey(X, range(2, 6), n_runs=5, random_state=0)
    >>> survey.best, len(survey[3])
    (3, 5)
    """
    ranks = check_ranks(n_components, once=True).tolist()
    n_runs = check_integer(n_runs, "n_runs", 2)
    watch = check_flag(progress, "progress")
    if rule is not None:
        check_choice(rule, "rule", [name for name, one in RULES.items() if held_out or not one.of_held_out])
    common = {name: value for name, value in parameters.items() if name not in OF_X}
    check_limits(n_threads, time_limit, checkpoint)
    if held_out:
        given = [name for name, value in parameters.items() if value is not None]
        why = "cross-validation decides what is fitted; held_out=False does without it"
        check_decided(given, ("W", "H", "update_H"), why)
    subject, request = subject_of(X, resample, fraction, n_runs, parameters)
    check_resident(subject.in_memory or not held_out, "held_out=True")
    seeds = make_seeds(check_random_state(random_state), n_runs)
    requests = {k: request(k, seeds[0]) for k in ranks}
    subject = subject.prepared(requests[ranks[0]])
    room = room_for(subject, [(n_runs, k) for k in ranks])
    subjects = {"": subject}
    if null:
        check_resident(subject.in_memory, "null")
        subjects["null"] = subject.of(permuted_columns(subject.X.values, seeds[0]))
    if checkpoint is not None:
        Path(checkpoint).mkdir(parents=True, exist_ok=True)
    found: dict[str, dict[int, Any]] = {}
    tasks: list[tuple[Any, Task, Subject]] = []
    for name, one in subjects.items():
        found[name] = {}
        for k, asked in requests.items():
            folder = None if checkpoint is None else Path(checkpoint) / f"{name or 'k'}-{k:04d}"
            runs, own, said = runs_for(one, asked, seeds, random_state, folder, room)
            found[name][k] = runs, own, said
            tasks += [(runs, Task(i, k, seed), one) for i, seed in enumerate(own[:n_runs]) if i not in runs.there]
    # what is interrupted has some runs of all numbers of components, those of X before those of its null
    tasks.sort(key=lambda task: (task[2] is not subject, task[1].number, -task[1].k))
    with watched(watch, len(tasks)) as count:
        done = run_all(tasks, n_threads=n_threads, time_limit=time_limit, watched=count)
    surveys = [
        {
            k: Ensemble(runs, own, said, (one.X, one.weights))
            for k, (runs, own, said) in found[name].items()
            if len(runs)
        }
        for name, one in subjects.items()
    ]
    selection = None
    if held_out and done:
        jobs = -1 if n_threads is None else n_threads
        with suppress(KeyboardInterrupt):  # the runs are there
            selection = cross_validate_rank(
                subject.X, ranks, n_jobs=jobs, random_state=random_state, progress=watch,
                weights=subject.weights, **common,
            )  # fmt: skip
    of_null = RankSurvey(surveys[1]) if null and surveys[1] else None
    return RankSurvey(surveys[0], selection, of_null, rule)
