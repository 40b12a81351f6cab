"""Where a factorization comes from: a paragraph for a paper, references, the call that repeats it, and its digest."""

import json
import platform
import unicodedata
from collections.abc import Mapping
from hashlib import blake2b
from importlib import import_module
from typing import Any

import numpy as np

from nmf_core.losses import LOSSES
from nmf_core.references import (
    ACCELERATION,
    BETA,
    DESCRIBED_CLUSTERINGS,
    DESCRIBED_LOSSES,
    DESCRIBED_REPLICATES,
    DESCRIBED_SOLVERS,
    DESCRIBED_STARTS,
    KNOWN_ENTRIES,
    MODEL,
    ONLINE,
    OTHER_ACCELERATIONS,
    REFERENCES,
    Described,
)
from nmf_core.solvers import SOLVERS
from nmf_core.validation import check_reason

# Arguments of `factorize` that change its result, by their order there, and their defaults.
DEFAULTS: dict[str, Any] = {
    "missing": None, "weights": None, "loss": None, "solver": "auto", "init": None, "W": None, "H": None,
    "update_H": True, "alpha_W": 0.0, "alpha_H": "same", "l1_ratio": 0.0, "alpha_scaling": "size", "biases": False,
    "floor": None, "tol": 1e-4, "stop": None, "max_iter": 200, "random_state": None, "n_init": 1, "shuffle": False,
    "acceleration": True, "sort": True, "sample_axes": None,
}  # fmt: skip
CUT_SHORT = ("time_limit", "callback", "interrupted")  # reasons to stop that do not repeat themselves
# Limits that a fit did not reach have not made it what it is; one that it did reach shows in the number of iterations.
LIMITS = ("max_iter", "time_limit")

ENDS = {
    "tol": "converged after {n}, when its projected gradient steps changed the model by at most {tol:g}, relative to X",
    "relative change": "converged after {n}, when ten of them had lowered the objective by less than {tol:g} of it",
    "small step": "converged after {n}, when the last one had changed each factor by at most {tol:g} of its length",
    "small H change": "converged after {n}, when batches had changed H by at most {tol:g} of its length on average",
    "lack of improvement in objective function": "converged after {n}, when the costs of batches had ceased to fall",
    "max_iter": "stopped at the limit of {n}, before it had converged to a tolerance of {tol:g}",
}
CUTS = {
    "time_limit": "by a time limit",
    "callback": "by a callback",
    "interrupted": "by an interrupt from the keyboard",
    "overflow": "because numbers had left the range of their precision",
}


def methods(f: Any, X_described: str | None = None, *, chosen: Any = None) -> str:
    """Describe in a paragraph for a paper how a factorization was found.

    Parameters
    ----------
    f : Factorization
        The factorization.
    X_described : str, optional
        What X holds, such as "word counts of 11314 posts".
    chosen : str, RankSurvey or Choice, optional
        How the number of components was chosen, or what has a `reason`.

    Returns
    -------
    str
        One line: data, model, loss, penalties, what was held fixed or made of many runs, solver, start, when the fit
        stopped, what the model explains, and the versions of now. What is cited in it `cite` lists.

    Examples
    --------
    >>> import numpy as np, nmf_core
    >>> from nmf_core.provenance import methods
    >>> X = np.array([[1.0, 2.0, 3.0], [2.0, 4.0, 6.0], [1.0, 0.0, 1.0]])
    >>> f = nmf_core.factorize(X, 2, random_state=0)
    >>> methods(f, "expression levels").split(" was approximated")[0]
    'The data matrix X (expression levels; 3 samples x 3 features; float64)'
    """
    reason = check_reason(chosen).rstrip(".")
    sentences = (
        _model(f, X_described),
        f"The number of components, {f.n_components}, was chosen as follows: {reason}." if reason else "",
        _loss(f), _penalties(f), _held(f), _runs(f), _solver(f), _start(f), _end(f), _quality(f), _software(),
    )  # fmt: skip
    return " ".join(" ".join(sentences).split())


def cite(f: Any = None) -> str:
    """BibTeX entries of what a factorization was made with.

    Parameters
    ----------
    f : Factorization, optional
        The factorization; by default only this library is cited.

    Returns
    -------
    str
        Entries of this library and of the papers about model, loss, penalties, replicates and what was made of them,
        solver, acceleration and start.

    Examples
    --------
    >>> from nmf_core.provenance import cite
    >>> print(cite())  # doctest: +ELLIPSIS
    @software{nmf_core,
      author = {{nmf-core developers}},
      title = {{nmf-core}: Fast non-negative matrix factorization for dense and sparse data},
      year = {2026},
      version = {...},
    }
    """
    return "\n\n".join(_entry(key) for key in _used(f))


def rerun(f: Any) -> str:
    """The call that makes a factorization again from the same X.

    Parameters
    ----------
    f : Factorization
        The factorization.

    Returns
    -------
    str
        A line of Python, with solver and start as they were, and every other argument that is not the default. What a
        result does not hold, such as weights, stands there as a variable of the same name, and a comment says so. A fit
        that was stopped by time or by a callback is repeated by the number of its iterations. A run of a replicate, and
        what many runs have in common, are made again by `nmf_core.factorize_many`.

    Notes
    -----
    A result does not know what has been done with its components since.

    Examples
    --------
    >>> import numpy as np, nmf_core
    >>> from nmf_core.provenance import fingerprint, rerun
    >>> X = np.array([[1.0, 2.0, 3.0], [2.0, 4.0, 6.0], [1.0, 0.0, 1.0]])
    >>> f = nmf_core.factorize(X, 2, tol=1e-3, random_state=0)
    >>> rerun(f)
    "nmf_core.factorize(X, 2, solver='hals', init='nndsvda', tol=0.001, random_state=0)"
    >>> fingerprint(eval(rerun(f))) == fingerprint(f)
    True
    """
    if "batches" in f.parameters:
        return _rerun_of_batches(f)
    values, unknown, remarks = _arguments(f)
    written = {
        name: name if name in unknown else repr(values[name])
        for name, default in DEFAULTS.items()
        if name in unknown or (name in values and values[name] != default)
    }
    if "solver_options" in f.parameters:
        options = _options(f.parameters["solver_options"])
        written["solver"] = f"nmf_core.solvers.{type(SOLVERS[f.solver]).__name__}({options})"
    arguments = "".join(f", {name}={value}" for name, value in written.items())
    comment = "; ".join([*(f"{name}: {why}" for name, why in unknown.items()), *remarks])
    call = _call(f, arguments)
    return " ".join(f"{call}  # {comment}".splitlines()) if comment else call


def fingerprint(f: Any) -> str:
    """A digest of H and of the settings with which it was found, the same for any number of threads.

    Parameters
    ----------
    f : Factorization
        The factorization.

    Returns
    -------
    str
        32 hexadecimal digits. Of settings, loss, solver, start, number of starts, biases, number of iterations and the
        other parameters count, but not limits of iterations and time.

    Notes
    -----
    It is about every bit of H, which may differ between versions, between processors with other instructions, and
    between ways to store the same X.

    Examples
    --------
    >>> import numpy as np, nmf_core
    >>> from nmf_core.provenance import fingerprint
    >>> X = np.array([[1.0, 2.0, 3.0], [2.0, 4.0, 6.0], [1.0, 0.0, 1.0]])
    >>> one, two = (nmf_core.factorize(X, 2, random_state=0, n_threads=n) for n in (1, 2))
    >>> fingerprint(one) == fingerprint(two)
    True
    """
    H = np.ascontiguousarray(f.H) + f.H.dtype.type(0)  # which makes of -0.0 what equals it
    settings = {
        "n_init": max(1, len(f.history.starts)),
        **{name: value for name, value in f.parameters.items() if name not in LIMITS},
        "loss": f.loss, "solver": f.solver, "init": f.init, "biases": f.biases is not None, "n_iter": f.n_iter,
        "shape": list(H.shape), "dtype": H.dtype.name,
    }  # fmt: skip
    # a parameter that is None is the same as one that older files do not have
    settings = {name: value for name, value in settings.items() if value is not None}
    digest = blake2b(json.dumps(settings, sort_keys=True).encode(), digest_size=16)
    digest.update(H.astype(H.dtype.newbyteorder("<"), copy=False).tobytes())
    return digest.hexdigest()


# --- the call


def _call(f: Any, arguments: str) -> str:
    """The call with these arguments: of one fit, of a run of a replicate, or of what many runs have in common."""
    drawn = {name: f.parameters[name] for name in ("resample", "fraction") if f.parameters.get(name) is not None}
    consensus = dict(f.parameters.get("consensus", ()))
    if not drawn and not consensus:
        return f"nmf_core.factorize(X, {f.n_components}{arguments})"
    n_runs = consensus.get("n_runs", 1)
    more = "".join(f", {name}={value!r}" for name, value in drawn.items())
    runs = f"nmf_core.factorize_many(X, {f.n_components}, {n_runs}{more}{arguments})"
    if not consensus:
        return f"{runs}[0]"  # the first run has the seed that is given
    return f"{runs}.components({_options(consensus['options'])}).factorization"


def _options(options: Mapping[str, Any]) -> str:
    """Options as arguments of a call."""
    return ", ".join(f"{name}={value!r}" for name, value in options.items())


def _arguments(f: Any) -> tuple[dict[str, Any], dict[str, str], list[str]]:
    """Arguments by name, why some are not known, and what else is to be said of the call."""
    p, starts = f.parameters, f.history.starts
    values = {name: p[name] for name in DEFAULTS if name in p}
    values |= {"loss": f.loss, "solver": f.solver, "init": f.init, "biases": f.biases is not None}
    axes = getattr(f, "axes", None)
    values |= {"floor": p.get("floor") or None, "n_init": _starts(f)}
    values |= {"sample_axes": None if axes is None else axes.samples}
    unknown, remarks = {}, []
    if p.get("weighted"):
        unknown["weights"] = "those of the fit"
    if not _is_known_loss(f):
        unknown["loss"] = f"the object that is called {f.loss!r}"
    if f.solver not in SOLVERS:
        unknown["solver"] = f"the object that is called {f.solver!r}"
    for name in ("W", "H"):
        if f.init == "custom" and (name == "H" or _is_free(f)):  # with H fixed W starts at zero
            unknown[name] = "what was given for it, or None"
        if name == "H" and "consensus" in p and "update_H" in p:
            unknown[name] = f"a Factor with free={values.pop('update_H')}"
        if p.get(f"factor_{name}"):
            unknown[name] = f"a Factor with {p[f'factor_{name}']}"
    if p.get("tol", 0) is None:
        unknown["stop"] = "the rule that was given"
        del values["tol"]
    if p.get("random_state") is None and (f.init != "custom" or p.get("shuffle") or "consensus" in p):
        unknown["random_state"] = "of an unknown source"
    if f.stop_reason in CUT_SHORT:
        how = f"the fit was stopped {CUTS[f.stop_reason]}"
        if len(starts) > 1:
            remarks.append(f"{how} during the last start, and may differ")
        else:
            values["max_iter"] = max(1, f.n_iter)
            remarks.append(f"{how}{', and may differ' if f.stop_reason == 'interrupted' else ''}")
    return values, unknown, remarks


def _rerun_of_batches(f: Any) -> str:
    """The call of the estimator that learns from batches."""
    given = {name: value for name, value in f.parameters.items() if name != "batches"}
    values = {"init": f.init, "beta_loss": f.loss, "solver": f.solver, **f.parameters["batches"], **given}
    arguments = ", ".join(f"{name}={value!r}" for name, value in values.items())
    remark = "" if values["random_state"] is not None else "  # random_state: of an unknown source"
    return f"nmf_core.MiniBatchNMF({f.n_components}, {arguments}).fit(X).result_{remark}"


def _starts(f: Any) -> int:
    """How many starts were asked for, or made."""
    return max(f.parameters.get("n_init") or 1, len(f.history.starts))


def _is_known_loss(f: Any) -> bool:
    return f.own_loss is None and (f.loss in LOSSES or not isinstance(f.loss, str))


# --- references


def _used(f: Any) -> list[str]:
    """Keys of what a factorization was made with, each once."""
    keys = ["nmf_core"]
    if f is not None:
        keys += [
            *MODEL,
            *_described_loss(f).keys,
            *_keys_of_penalties(f),
            *_keys_of_runs(f),
            *_described_solver(f).keys,
        ]
        keys += [*_keys_of_acceleration(f), *DESCRIBED_STARTS[f.init].keys]
    return list(dict.fromkeys(keys))


def _described_loss(f: Any) -> Described:
    if not _is_known_loss(f):
        return Described(f"a loss of our own, {f.loss!r}", ())
    return DESCRIBED_LOSSES.get(f.loss) or BETA._replace(words=BETA.words.format(f.loss))


def _described_solver(f: Any) -> Described:
    return DESCRIBED_SOLVERS.get(f.solver) or Described(f"a solver of our own, {f.solver!r}", ())


def _keys_of_penalties(f: Any) -> tuple[str, ...]:
    return KNOWN_ENTRIES if any(_alphas(f)) and _grows_with_known(f) else ()


def _keys_of_runs(f: Any) -> tuple[str, ...]:
    """Those of replicates and of what is made of many runs."""
    how, consensus = f.parameters.get("resample"), f.parameters.get("consensus")
    clustering = DESCRIBED_CLUSTERINGS[consensus["options"]["clustering"]].keys if consensus else ()
    return (*(DESCRIBED_REPLICATES[how].keys if how else ()), *clustering)


def _keys_of_acceleration(f: Any) -> tuple[str, ...]:
    if "batches" in f.parameters:
        return ONLINE
    return OTHER_ACCELERATIONS.get(f.solver, ACCELERATION) if _is_accelerated(f) else ()


def _entry(key: str) -> str:
    """The BibTeX entry of a key."""
    reference = REFERENCES[key]
    venue = {"article": "journal", "inproceedings": "booktitle", "misc": "howpublished"}.get(reference.kind, "")
    fields = {
        "author": reference.authors, "title": reference.title, venue: reference.venue, "year": str(reference.year),
        "doi": reference.doi, "version": _versions()["nmf-core"] if key == "nmf_core" else "",
    }  # fmt: skip
    lines = [f"  {name} = {{{_in_latex(value)}}}," for name, value in fields.items() if value]
    return "\n".join([f"@{reference.kind}{{{key},", *lines, "}"])


def _in_latex(text: str) -> str:
    """The same with LaTeX's accents, which old versions of BibTeX sort and print."""
    accents = {"\N{COMBINING ACUTE ACCENT}": "'", "\N{COMBINING TILDE}": "~"}
    letters: list[str] = []
    for character in unicodedata.normalize("NFD", text):
        if character in accents:
            letters[-1] = f"{{\\{accents[character]}{letters[-1]}}}"
        else:
            letters.append(character)
    return "".join(letters)


def _cited(*keys: str) -> str:
    """References in parentheses, with a space before; nothing if there are none."""
    return f" ({'; '.join(REFERENCES[key].label for key in keys)})" if keys else ""


def _versions() -> Mapping[str, str]:
    names = {"nmf-core": "nmf_core", "NumPy": "numpy", "SciPy": "scipy"}
    return {name: import_module(module).__version__ for name, module in names.items()}


# --- sentences


def _model(f: Any, X_described: str | None) -> str:
    n, m, k = f.W.shape[0], f.H.shape[1], f.n_components
    facts = [f"{_several(n, 'sample')} x {_several(m, 'feature')}", f.H.dtype.name]
    if X_described:
        facts.insert(0, X_described)
    if f.n_stored < n * m:
        share = f"{f.n_stored} of {n * m} entries ({100 * f.n_stored / (n * m):.4g}%)"
        known = _knows_missing(f)
        facts.append(f"{share} known, the others missing" if known else f"{share} stored, all others zero")
    biases = "" if f.biases is None else ", plus a mean, a bias of each sample and a bias of each feature, of any sign"
    return (
        f"The data matrix X ({'; '.join(facts)}) was approximated by the product W H of two non-negative factors, "
        f"W ({n} x {k}) and H ({k} x {m}), that is by {_several(k, 'component')}{_cited(*MODEL)}{biases}."
    )


def _loss(f: Any) -> str:
    loss, floor, partial = _described_loss(f), f.parameters.get("floor"), _is_partial(f)
    counts = ", in which only the known entries of X count" if partial else ""
    if f.parameters.get("weighted"):
        counts = f"{counts}, each with its weight" if partial else ", in which every entry of X counts with its weight"
    raised = f"Before, {floor:g} had been added to every {'known ' if partial else ''}entry of X." if floor else ""
    return f"The loss was {loss.words}{counts}{_cited(*loss.keys)}. {raised}"


def _penalties(f: Any) -> str:
    alphas = {name: alpha for name, alpha in zip("WH", _alphas(f), strict=True) if alpha}
    grows, share = _grows_with_known(f), f.parameters.get("l1_ratio", 0.0)
    size = {"W": f.H.shape[1], "H": f.W.shape[0]}
    terms = []
    for name, alpha in alphas.items():
        l1, l2 = f"||{name}||_1", f"||{name}||_F^2 / 2"
        norms = {0.0: l2, 1.0: l1}.get(share, f"({share:g} {l1} + {1 - share:g} {l2})")
        terms.append(f"{alpha:g} {norms}" if grows else f"{alpha:g} x {size[name]} {norms}")
    if grows:
        amount = "sum of the weights" if f.parameters.get("weighted") else "number of known entries"
        what = " and every ".join({"W": "row of W", "H": "column of H"}[name] for name in alphas)
        scale = f"in which the term of every {what} is multiplied by the {amount} there"
    else:
        what = " and ".join({"W": f"{size['W']} features", "H": f"{size['H']} samples"}[name] for name in alphas)
        scale = f"which grows with the size of X, {what}"
    sentences = []
    if terms:
        sentences.append(f"The penalty {' + '.join(terms)} was added, {scale}{_cited(*_keys_of_penalties(f))}.")
    if terms and f.biases is not None:
        sentences.append("Biases were penalised like the squares of the factors.")
    said = {name: f.parameters.get(f"factor_{name}") for name in "WH"}
    sentences += [f"Further terms for {name}: {what}." for name, what in said.items() if what]
    return " ".join(sentences)


def _held(f: Any) -> str:
    """What of H was held fixed."""
    free = f.parameters.get("update_H", True)
    if free is True:
        return ""
    if free is False:
        return "H was given and held fixed, so that each row of W was found by itself."
    held = [str(name) for name, improved in zip(f.names, free, strict=True) if not improved]
    return f"Of H, {' and '.join(held)} {'was' if len(held) == 1 else 'were'} given and held fixed."


def _runs(f: Any) -> str:
    """Of which replicate the components are, or of which runs they were made."""
    p, replicate = f.parameters, ""
    if how := p.get("resample"):
        words, keys = DESCRIBED_REPLICATES[how]
        replicate = f"a replicate of X {words.format(p['fraction'])}{_cited(*keys)}"
    found = p.get("consensus")
    if not found:
        for_X = "W is that of X itself, for this H"
        return replicate and f"H is that of {replicate}, with the random seed {p['random_state']}; {for_X}."
    options, total = found["options"], found["n_runs"] * f.n_components
    words, keys = DESCRIBED_CLUSTERINGS[options["clustering"]]
    return (
        f"H was made of the components of {_several(found['n_runs'], 'run')}{replicate and f', each of {replicate}'}. "
        f"These were scaled to unit length; those with a mean distance of at least {options['density_threshold']:g} to "
        f"their nearest neighbours, {options['neighbourhood']:g} times as many as there were runs, were dropped; the "
        f"others, {found['kept']} of {total}, were grouped into "
        f"{_several(f.n_components, 'cluster')} {words}; and each cluster became a component, its "
        f"{options['average']}, scaled to a sum of {'the median of theirs' if found['scaled'] else 'one'}"
        f"{_cited(*keys)}. W was found for this H, each of its rows by itself."
    )


def _solver(f: Any) -> str:
    solver = _described_solver(f)
    if "solver_options" in f.parameters:
        solver = solver._replace(words=f"{solver.words} with {_options(f.parameters['solver_options'])}")
    what = "The factors were" if _is_free(f) else "W was"
    if "consensus" in f.parameters:
        what = "In every run the factors were"
    more = f", accelerated by extrapolation{_cited(*_keys_of_acceleration(f))}" if _is_accelerated(f) else ""
    order = ", with the components in a new random order in every iteration" if f.parameters.get("shuffle") else ""
    batches = f.parameters.get("batches")
    if batches:
        more = (
            f", in batches of {_several(batches['batch_size'], 'sample')}, after each of which H was improved, with "
            f"what had been learned from earlier batches counting {batches['forget_factor']:g} as much after a pass "
            f"over X{_cited(*ONLINE)}"
        )
    return f"{what} found by {solver.words}{_cited(*solver.keys)}{more}{order}."


def _start(f: Any) -> str:
    start, starts, seed = DESCRIBED_STARTS[f.init], f.history.starts, f.parameters.get("random_state")
    where = f"{start.words}{_cited(*start.keys)}"
    if not _is_free(f):
        return ""
    if "consensus" in f.parameters:
        said = "no seed recorded" if seed is None else f"seeds derived from {seed}"
        return f"Runs started from {where}, with {said}."
    if not starts:
        said = ", with no seed recorded" if seed is None else f", with the random seed {seed}"
        return f"The fit started from {where}{'' if f.init == 'custom' else said}."
    kept, dropped = _best(f).seed, sum(one.stop_reason == "dropped" for one in starts)
    said = "no seed recorded" if seed is None else f"seeds derived from {seed}"
    which = "" if kept is None else f" (seed {kept})"
    fits = "1 fit was" if dropped == 1 else f"{dropped} fits were"
    rest = f", and {fits} dropped early, with little hope of becoming better than the best so far" if dropped else ""
    return (
        f"A fit was made from each of {_several(len(starts), 'start')}, {where}, with {said}; the one with the lowest "
        f"objective was kept{which}{rest}."
    )


def _best(f: Any) -> Any:
    """The start that was kept."""
    return min(f.history.starts, key=lambda start: start.objective)


def _end(f: Any) -> str:
    tol, starts, n = f.parameters.get("tol"), f.history.starts, _several(f.n_iter, "iteration")
    if "consensus" in f.parameters:
        most = _several(f.parameters["max_iter"], "iteration")
        return f"Each run went on until it had converged to a tolerance of {tol:g}, for at most {most}."
    if "batches" in f.parameters:
        n = "1 pass" if f.n_iter == 1 else f"{f.n_iter} passes"
    reason = _best(f).stop_reason if starts else f.stop_reason
    if f.solver == "sequential" and reason == "tol" and f.n_iter == f.n_components:
        how = f"ended after {n}, when all components had been built"
    elif reason in CUTS:
        how = f"was stopped after {n} {CUTS[reason]}"
    elif reason == "max_iter" and not tol:
        how = f"was stopped after {n}, as had been asked for"
    elif reason == "tol" and not _is_free(f):
        how = f"converged after at most {n} for each row"
    elif reason in ENDS and tol is not None:
        how = ENDS[reason].format(n=n, tol=tol)
    else:
        how = f"was stopped after {n} by a rule of our own ({reason})"
    rest = f" Further starts were cut short {CUTS[f.stop_reason]}." if reason != f.stop_reason else ""
    return f"This fit {how}.{rest}"


def _quality(f: Any) -> str:
    unexplained = f.squared_error / f.X_squared_norm if f.X_squared_norm else 0.0
    of = "the known entries of X" if _is_partial(f) else "X"
    weighted = "weighted " if f.parameters.get("weighted") else ""
    divergence = "" if f.loss == "frobenius" else f"; the loss is {f.divergence:.6g}"
    return (
        f"The model explains {100 * (1 - unexplained):.4g}% of the {weighted}sum of squares of {of} (relative error "
        f"{np.sqrt(unexplained):.4g}{divergence})."
    )


def _software() -> str:
    own, *others = (f"{name} {version}" for name, version in _versions().items())
    return (
        f"Computations were made with {own}{_cited('nmf_core')}, {', '.join(others)} and Python "
        f"{platform.python_version()}."
    )


# --- what is to be known for them


def _alphas(f: Any) -> tuple[float, float]:
    """Strengths of the penalties on W and H."""
    alpha_W, alpha_H = f.parameters.get("alpha_W", 0.0), f.parameters.get("alpha_H", "same")
    return alpha_W, alpha_W if alpha_H == "same" else alpha_H


def _knows_missing(f: Any) -> bool:
    """Whether entries were allowed to be missing."""
    return f.parameters.get("missing") is not None or bool(f.parameters.get("weighted"))


def _is_partial(f: Any) -> bool:
    """Whether some were."""
    return _knows_missing(f) and f.n_stored < f.W.shape[0] * f.H.shape[1]


def _grows_with_known(f: Any) -> bool:
    """Whether penalties grow with the number of known entries."""
    return f.parameters.get("alpha_scaling") == "observed" and _knows_missing(f)


def _is_free(f: Any) -> bool:
    """Whether any of H was improved."""
    return f.parameters.get("update_H", True) is not False


def _is_accelerated(f: Any) -> bool:
    return (
        _is_free(f)
        and f.solver in SOLVERS
        and SOLVERS[f.solver].accelerated
        and f.parameters.get("acceleration", "batches" not in f.parameters)
    )


def _several(n: int, what: str) -> str:
    return f"{n} {what}{'' if n == 1 else 's'}"
