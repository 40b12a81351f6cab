"""`factorize_many` and the `Ensemble` that it makes."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from nmf_core.data import accept
from nmf_core.ensemble.consensus import Consensus
from nmf_core.ensemble.matching import Alignment, ConsensusComponents, Stability, align, consensus_components, stability
from nmf_core.ensemble.running import Subject, Task, about, room_for, run_all, subject_of, watched
from nmf_core.ensemble.runs import ABOUT, Runs
from nmf_core.factorization import Factorization
from nmf_core.factorize import factorize
from nmf_core.files import check_new_folder
from nmf_core.html import beside, pairs, table
from nmf_core.initialization import make_seeds
from nmf_core.interpretation import components_table
from nmf_core.labels import Axis, Labelled, tabulated
from nmf_core.provenance import several
from nmf_core.readable import components_of
from nmf_core.similarity import match
from nmf_core.typing import Average, Clustering, Resample
from nmf_core.validation import (
    check_choice,
    check_features,
    check_flag,
    check_integer,
    check_limits,
    check_list,
    check_matrix,
    check_not_empty,
    check_number,
    check_pairs,
    check_places,
    check_random_state,
    check_refittable,
    check_same_seeds,
    check_shape,
    check_weights_there,
)
from nmf_core.warning import held_back


class Ensemble(Sequence[Factorization]):
    """Factorizations of the same X into as many components, from different starts or of replicates of X.

    ``ensemble[i]`` is a run, an `nmf_core.Factorization`; slices and loops work. Runs that were interrupted, or for
    which there was no time, are not among them.

    Attributes
    ----------
    n_components : int
        Number of components.
    seeds : list of int
        The ``random_state`` of every run: ``factorize(X, n_components, init="random", random_state=seed, ...)`` has the
        same factors to the last bit; of a replicate, that of ``nmf_core.ensemble.resample(X, how, seed)`` the same H.
    n_asked : int
        Runs that were asked for.
    labels : ndarray of int, shape (n_runs, n_samples)
        The component that contributes most to a sample in a run, by ``W * ||H||``; `n_components` where none does.
    resample : str or None
        How replicates of X were drawn.

    Examples
    --------
    >>> import numpy as np, nmf_core
    >>> rng = np.random.default_rng(0)
    >>> X = rng.poisson(rng.gamma(0.5, 20, (60, 3)) @ rng.gamma(0.5, 1, (3, 40)))
    >>> ensemble = nmf_core.factorize_many(X, 3, 10, loss="kullback-leibler", random_state=0)
    >>> len(ensemble), ensemble.cophenetic > 0.95, bool(ensemble.stability.minimum.min() > 0.9)
    (10, True, True)
    """

    def __init__(
        self, runs: Runs, seeds: Sequence[int], about: dict[str, Any], data: tuple[Any, Any] = (None, None)
    ) -> None:
        self._runs = runs
        self._about = about
        self._data = data
        self.n_asked = len(seeds)
        self.seeds = [seeds[number] for number in runs.numbers]
        self.resample = about["resample"]
        self.n_components = runs[0].n_components
        self.labels = np.stack([runs.labels[number] for number in runs.numbers])

    def __len__(self) -> int:
        return len(self._runs)

    def __getitem__(self, i: Any) -> Any:
        return self._runs[i]

    def __iter__(self) -> Iterator[Factorization]:
        return iter(self._runs)

    @cached_property
    def _numbers(self) -> dict[str, np.ndarray]:
        names = ("objective", "divergence", "n_iter", "converged", "stop_reason", "seconds")
        shown = ("relative_error", "explained_variance", "sparsity_W", "sparsity_H")
        rows = [[*(getattr(f, name) for name in names), *(f.summary()[name] for name in shown)] for f in self]
        columns = zip(*rows, strict=True)
        return {name: np.array(column) for name, column in zip((*names, *shown), columns, strict=True)}

    @property
    def objectives(self) -> np.ndarray:
        """The objective of every run (n_runs,): of X, also where replicates were fitted."""
        return self._numbers["objective"]

    @property
    def n_unconverged(self) -> int:
        """Runs that have stopped before they had converged."""
        return int(np.count_nonzero(~self._numbers["converged"]))

    @property
    def best(self) -> Factorization:
        """The run with the lowest objective."""
        return self[self.i_best]

    @property
    def i_best(self) -> int:
        """Which one that is."""
        return int(self.objectives.argmin())

    @property
    def W(self) -> "Factors":
        """W of every run, (n_samples, n_components) each: a sequence, read from a file if they are there."""
        return Factors(self._runs, "W")

    @property
    def H(self) -> "Factors":
        """H of every run, (n_components, n_features) each."""
        return Factors(self._runs, "H")

    @property
    def table(self) -> Any:
        """A data frame of the library of X, else of pandas (or a dict of arrays without it), with a row for every run.

        Its columns are run, seed, objective, divergence, n_iter, converged, stop_reason, seconds, and the relative
        error, explained variance and sparsities of `Factorization.summary`.
        """
        columns = {"run": np.array(self._runs.numbers), "seed": np.array(self.seeds), **self._numbers}
        return tabulated(columns, self.best.frame_library)

    # --- samples

    @cached_property
    def _consensus(self) -> Consensus:
        k = self.n_components
        # samples of which no run holds anything have nothing in common with others
        return Consensus(self.labels, k + bool((self.labels == k).all(axis=0).any()))

    def _agreement(self, name: str) -> Any:
        """A statistic of the consensus; NaN of a single run, which agrees with itself whatever it is."""
        found = getattr(self._consensus, name)
        return found if len(self) > 1 else found * np.nan

    def consensus(self, samples: Any = None, *, square: bool = False) -> np.ndarray:
        """The share of the runs in which two samples have the same label.

        Parameters
        ----------
        samples : array-like of int or labels, optional
            Which samples, by their labels if X had some, or by their numbers from 0; by default all.
        square : bool
            Whether the matrix (p, p) is wanted; by default its upper half (p * (p - 1) / 2,), row by row, as in
            `scipy.spatial.distance.squareform`.

        Returns
        -------
        ndarray of float64

        Raises
        ------
        ValueError
            There is no room for so many pairs.
        """
        n = self.labels.shape[1]
        labels = self._runs.axes.get("row_labels")
        which = None if samples is None else np.atleast_1d(check_places(samples, n, labels, "sample"))
        if which is not None:
            check_list(which, "samples")
        check_pairs(n if which is None else len(which))
        return self._consensus.square(which) if square else self._consensus.condensed(which)

    @property
    def cophenetic(self) -> float:
        """How well a tree of the samples describes the consensus: 1 if runs agree on which samples belong together.

        The correlation of ``1 - consensus`` with the distances in the tree of average linkage [1]_. Exact up to 4,000
        samples; of more, samples that all runs treat alike are one, and 5,000 stand for more than that. NaN of a single
        run, as are the other statistics of the consensus.

        References
        ----------
        .. [1] J.-P. Brunet, P. Tamayo, T. R. Golub and J. P. Mesirov (2004), "Metagenes and molecular pattern discovery
           using matrix factorization", doi:10.1073/pnas.0308531101.
        """
        return self._agreement("cophenetic")

    @property
    def dispersion(self) -> float:
        """The mean of ``4 * (consensus - 1/2)**2``: 1 if every pair is always or never together.

        References
        ----------
        H. Kim and H. Park (2007), "Sparse non-negative matrix factorizations via alternating non-negativity-constrained
        least squares for microarray data analysis", doi:10.1093/bioinformatics/btm134.
        """
        return self._agreement("dispersion")

    @property
    def pac(self) -> float:
        """The share of pairs that are ambiguous: together in more than a tenth and less than nine tenths of the runs.

        References
        ----------
        Y. Senbabaoglu, G. Michailidis and J. Z. Li (2014), "Critical limitations of consensus clustering in class
        discovery", doi:10.1038/srep06207.
        """
        return self._agreement("pac")

    @property
    def clusters(self) -> np.ndarray:
        """Clusters of samples (n_samples,), the largest is 0: the tree of average linkage cut into `n_components`.

        Samples of which every run has nothing, such as those that are all zero, are a cluster besides.
        """
        return self._consensus.clusters

    @property
    def silhouette(self) -> np.ndarray:
        """The silhouette of every sample (n_samples,), from -1 to 1, by ``1 - consensus`` in `clusters`."""
        return self._agreement("silhouette")

    # --- components

    def align(self, reference: Any = None) -> Alignment:
        """Which components of the runs are the same.

        Parameters
        ----------
        reference : int, array-like, Factorization or data frame of shape (n_components, n_features), optional
            A run, or components, also those of an ensemble, with which all are matched; by default the best run.

        Returns
        -------
        Alignment
            `order` (n_runs, n_components): component ``order[i, j]`` of run i belongs to component j of the reference.
            `cosine` of the same shape: how similar they are. Each of a run belongs to another one, so that the sum of
            similarities is largest.
        """
        if reference is None:
            reference = self.i_best
        reference = components_of(reference)
        if isinstance(reference, str) or not (hasattr(reference, "shape") or hasattr(reference, "__len__")):
            return align(self.H, self[check_integer(reference, "reference", -len(self), len(self) - 1)].H)
        given = check_matrix(reference, "reference", factor=True)
        components = given.aligned("reference", columns=self.best.column_labels, of="the runs").values
        check_shape(components.shape, self.H[0].shape, "reference")
        return align(self.H, components.toarray() if hasattr(components, "toarray") else components)

    @cached_property
    def stability(self) -> Stability:
        """How similar each component of the best run is to those of the others: `mean` and `minimum` (n_components,).

        Cosines after optimal matching, of all other runs; NaN if there is none.
        """
        return stability(self.align(), without=self.i_best)

    def components(
        self,
        X: Any = None,
        *,
        weights: Any = None,
        neighbourhood: float = 0.3,
        density_threshold: float = 0.5,
        clustering: Clustering = "kmeans",
        average: Average = "median",
    ) -> ConsensusComponents:
        """What the components of all runs have in common, without outliers.

        Components of all runs are scaled to unit length. Those far from the others are dropped, the rest is clustered,
        every cluster is averaged, and W is found for these components [1]_. Where the runs had penalties, or bounds of
        H, components have the scale of their clusters, so that these mean what they meant.

        Parameters
        ----------
        X : array-like, sparse array or matrix, data frame or AnnData, optional
            What was factorized, for W; not needed in the session in which that was done. Labelled samples and features
            are brought into the order of the runs.
        weights : array-like, sparse array or matrix, optional
            The weights of its entries, if the runs had some.
        neighbourhood : float
            The density around a component is the mean distance to as many nearest others, as a share of the runs.
        density_threshold : float
            Components with a larger mean distance are dropped. 2 keeps all but zeros.
        clustering : {"kmeans", "matching"}
            By k-means, or so that every run has a component in every cluster.
        average : {"median", "mean"}
            How a cluster becomes a component.

        Returns
        -------
        ConsensusComponents
            Its `H` has rows that sum to one, without penalties; `factorization` is the same as a result that can be
            read, with the names of the components of the best run that are most similar, if these have some. Without X
            there is no W and no `factorization`.

        Raises
        ------
        ValueError
            The runs had biases, or bounds or penalties of one's own for W; or too few components are close to others.

        References
        ----------
        .. [1] D. Kotliar et al. (2019), "Identifying gene expression programs of cell-type identity and cellular
           activity with single-cell RNA-Seq", doi:10.7554/eLife.43803.
        """
        best = self.best
        check_refittable(best.biases is not None, best.parameters.get("factor_W"))
        options: dict[str, Any] = {
            "neighbourhood": check_number(neighbourhood, "neighbourhood", high=1.0),
            "density_threshold": check_number(density_threshold, "density_threshold"),
            "clustering": check_choice(clustering, "clustering", ["kmeans", "matching"]),
            "average": check_choice(average, "average", ["median", "mean"]),
        }
        scaled = bool(best.parameters["alpha_W"] or best.parameters["alpha_H"] not in ("same", 0.0))
        scaled = scaled or "factor_H" in best.parameters
        found = consensus_components(self.H, self.n_components, keep_scale=scaled, **options)
        names = best.component_labels
        if names is not None:
            names = Axis([names[j] for j in match(found.H, best.H)[0]])
        found = replace(
            found, component_labels=names, column_labels=best.column_labels, frame_library=best.frame_library
        )  # fmt: skip
        X, weights = self._data if X is None else self._accepted(X, weights)
        if X is None:
            return found
        made = {"n_runs": len(self), "kept": int(found.kept.sum()), "scaled": scaled, "options": options}
        f = self._with_W(found, X, weights, made)
        return replace(found, W=f.W, _factorization=f)

    def _with_W(self, found: ConsensusComponents, X: Labelled, weights: Any, made: dict[str, Any]) -> Factorization:
        """Components that were made of those of the runs, with W of X, and how they were made."""
        best = self.best
        H = Labelled(found.H.astype(best.H.dtype), found.component_labels)
        same = {name: best.parameters[name] for name in ("missing", "alpha_W", "alpha_H", "l1_ratio", "alpha_scaling")}
        loss: Any = best.own_loss or best.loss
        with held_back():
            f = factorize(
                X, H=H, update_H=False, weights=weights, loss=loss,
                floor=best.parameters["floor"] or None, **same,
            )  # fmt: skip
        spawned = make_seeds(self.seeds[0], len(self)) == self.seeds  # of the first one, which so makes all runs again
        parameters = {"random_state": self.seeds[0] if spawned else None, "consensus": made}
        return replace(
            f, axes=best.axes, solver=best.solver, init=best.init, stability=found.stability,
            parameters=best.parameters | parameters,
        )  # fmt: skip

    def _accepted(self, X: Any, weights: Any) -> tuple[Labelled, Any]:
        """X and its weights as the runs had them: matrices with samples and features in their order, labels too."""
        best = self.best
        check_weights_there(best.parameters["weighted"], weights)
        X, weights = best._flat(X), best._flat(weights, "weights")
        data, weights = accept(X, best.parameters["missing"], weights)
        check_features(data.values.shape[1], best.H.shape[1])
        check_shape(data.values.shape, (self.labels.shape[1], best.H.shape[1]))
        rows, columns = best.row_labels, best.column_labels
        if weights is not None:
            weights = data._replace(values=weights, scan=None).aligned("X", rows, columns, "the runs").values
        data = data.aligned("X", rows, columns, "the runs")
        return data._replace(rows=rows, columns=columns, library=best.frame_library), weights

    # --- files

    def save(self, path: str | os.PathLike) -> None:
        """Write all runs to a folder, each in a file of its own that `nmf_core.load` reads, too.

        Parameters
        ----------
        path : str or path
            The folder: a new one, or an empty one.

        Raises
        ------
        OSError
            It cannot be written, or there is something in it.
        """
        folder = Path(path)
        check_new_folder(folder)
        runs = Runs(folder)
        runs.axes = self._runs.axes
        runs.describe(self._about)
        for number, f in zip(self._runs.numbers, self, strict=True):
            runs.put(number, f)

    def _repr_html_(self) -> str:
        facts = {
            "objective": f"{self.objectives.min():.6g} to {self.objectives.max():.6g}",
            "cophenetic": self.cophenetic,
            "dispersion": self.dispersion,
            "pac": self.pac,
            "silhouette": float(self.silhouette.mean()),
            "unconverged": self.n_unconverged,
        }
        best = self.best
        columns = components_table(best, stability=self.stability.mean)
        caption = f"{several(len(self), 'run')} of {several(self.n_components, 'component')}"
        return beside([pairs(facts, caption), table(columns, "best run")])

    def __repr__(self) -> str:
        n, m, k = self.labels.shape[1], self.H[0].shape[1], self.n_components
        lines = [
            f"<Ensemble of {several(len(self), 'run')}, {n} x {m} ~ {n} x {k} x {m}:",
            f"objectives {self.objectives.min():.6g} to {self.objectives.max():.6g}",
        ]
        if len(self) > 1:
            agreement = (f"{name} {getattr(self, name):.4f}" for name in ("cophenetic", "dispersion", "pac"))
            lines.append(", ".join(agreement))
            mean, least = self.stability.mean.mean(), self.stability.minimum.min()
            lines.append(f"stability {mean:.3f} on average, {least:.3f} at least")
        if self.n_unconverged:
            lines.append(f"{self.n_unconverged} runs did not converge")
        if len(self) < self.n_asked:
            lines.append(f"{self.n_asked - len(self)} of {self.n_asked} runs are missing")
        return "\n  ".join(lines) + ">"


class Factors(Sequence[np.ndarray]):
    """One factor of every run.

    Parameters
    ----------
    runs : Runs
        The runs.
    name : {"W", "H"}
        Which factor.
    """

    def __init__(self, runs: Runs, name: str) -> None:
        self.runs = runs
        self.name = name

    def __len__(self) -> int:
        return len(self.runs)

    def __getitem__(self, i: Any) -> Any:
        found = self.runs[i]
        return [getattr(f, self.name) for f in found] if isinstance(i, slice) else getattr(found, self.name)


def factorize_many(
    X: Any,
    n_components: int,
    n_runs: int = 30,
    *,
    resample: Resample | None = None,
    fraction: float = 0.8,
    random_state: Any = None,
    n_threads: int | None = None,
    time_limit: float | None = None,
    progress: bool = False,
    checkpoint: str | os.PathLike | None = None,
    **parameters: Any,
) -> Ensemble:
    """Factorize X many times, from other starts or as replicates, to see what remains.

    Runs go side by side, each on a thread of its own as far as the memory allows; X is read from where it is. A run has
    the bits of the single fit with its seed, whatever runs beside it.

    Parameters
    ----------
    X : array-like, sparse array or matrix, data frame or AnnData of shape (n_samples, n_features)
        As for `nmf_core.factorize`. What comes in blocks, or is on a cluster, is fitted run by run.
    n_components : int
        Number of components k.
    n_runs : int
        Number of runs.
    resample : {None, "poisson", "bootstrap", "subsample"}
        Whether every run gets X itself, or a replicate: entries drawn from Poisson distributions with those of X as
        means, for counts; as many samples drawn with replacement; or a `fraction` of the samples. Of a replicate the
        components are kept; W, and what they are worth, is that of X for them.
    fraction : float
        Share of the samples in a subsample.
    random_state : int, RandomState, Generator or None
        Source of the seeds of the runs. That of the first is an integer `random_state` itself, and the first of more
        runs are the same as those of fewer.
    n_threads : int, optional
        Threads for all runs together, by default all that are available. Results do not depend on it.
    time_limit : float, optional
        Seconds after which runs are given up that have not ended; one is kept in any case.
    progress : bool
        Show a progress bar with the time that is left (needs tqdm).
    checkpoint : str or path, optional
        A folder where every run is written when it has ended; those that are there are not fitted again. That of other
        data or arguments is refused. `load_ensemble` reads it.
    **parameters
        Other arguments of `nmf_core.factorize`, but for `callback`, `n_init`, `out_W`, `stop` and `update_H`. Starts
        are "random" unless `init` says otherwise. With `sample_axes`, runs have `maps` and `images`.

    Returns
    -------
    Ensemble
        After an interrupt from the keyboard, the runs that have ended.

    Warns
    -----
    ConvergenceWarning
        Some of the runs have stopped at `max_iter`; there is one warning for all of them.

    Raises
    ------
    TypeError, ValueError
        An argument is not what it must be, or starts are all the same; the message names it.
    KeyboardInterrupt
        No run had ended when it came.

    Examples
    --------
    >>> import numpy as np, nmf_core
    >>> rng = np.random.default_rng(0)
    >>> X = rng.poisson(rng.gamma(0.5, 20, (60, 3)) @ rng.gamma(0.5, 1, (3, 40)))
    >>> ensemble = nmf_core.factorize_many(X, 3, 5, resample="poisson", loss="kullback-leibler", random_state=0)
    >>> ensemble.H[0].shape, ensemble.consensus([0, 1, 2]).shape
    ((3, 40), (3,))
    """
    n_runs = check_integer(n_runs, "n_runs", 1)
    check_limits(n_threads, time_limit, checkpoint)
    subject, request = subject_of(X, resample, fraction, n_runs, parameters)
    seeds = make_seeds(check_random_state(random_state), n_runs)
    first = request(n_components, seeds[0])
    subject = subject.prepared(first)
    runs, seeds, said = runs_for(
        subject, first, seeds, random_state, checkpoint, room_for(subject, [(n_runs, first.k)])
    )
    tasks = [(runs, Task(i, first.k, seed), subject) for i, seed in enumerate(seeds[:n_runs]) if i not in runs.there]
    with watched(check_flag(progress, "progress"), len(tasks)) as count:
        run_all(tasks, n_threads=n_threads, time_limit=time_limit, watched=count)
    return Ensemble(runs, seeds, said, (subject.X, subject.weights))


def runs_for(
    subject: Subject, request: Any, seeds: list[int], random_state: Any, checkpoint: Any, room: bool
) -> tuple[Runs, list[int], dict[str, Any]]:
    """Where runs go, with those that are there already; their seeds; and what a file says of them."""
    if checkpoint is None:
        nothing: dict[str, Any] = {"problem": {}, "seeds": seeds, "resample": subject.how}
        return Runs() if room else Runs.in_temporary_files(), seeds, nothing
    problem = about(subject, request)
    folder = Path(checkpoint)
    runs = Runs(folder)
    said: dict[str, Any] = {"problem": problem, "seeds": seeds, "resample": subject.how}
    if (folder / ABOUT).exists():
        there = runs.read(problem)["seeds"]
        if random_state is None:  # goes on with those that were drawn
            seeds = there + seeds[len(there) :]
        check_same_seeds(folder, there, seeds)
        said["seeds"] = there if len(there) > len(seeds) else seeds
    else:
        check_new_folder(folder)
    runs.axes = {
        "row_labels": request.row_labels,
        "column_labels": request.column_labels,
        "frame_library": request.library,
    }
    runs.describe(said)
    return runs, said["seeds"], said


def load_ensemble(path: str | os.PathLike) -> Ensemble:
    """Read an `Ensemble` that was saved, or what there is of one that goes on from a checkpoint.

    Parameters
    ----------
    path : str or path
        The folder. Runs are read from it when they are asked for.

    Returns
    -------
    Ensemble

    Raises
    ------
    ValueError
        It is no saved ensemble, or there is no run in it.
    """
    runs = Runs(Path(path))
    said = runs.read()
    check_not_empty(path, len(runs))
    return Ensemble(runs, said["seeds"], said)
