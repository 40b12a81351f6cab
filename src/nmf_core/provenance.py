"""Where a factorization comes from: references, the call that repeats it, and its digest."""

import json
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
CUTS = {
    "time_limit": "by a time limit",
    "callback": "by a callback",
    "interrupted": "by an interrupt from the keyboard",
    "overflow": "because numbers had left the range of their precision",
}


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
    return "\n\n".join(entry(key) for key in _used(f))


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
    "nmf_core.factorize(X, 2, loss='frobenius', solver='hals', init='nndsvda', tol=0.001, random_state=0)"
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
        options = as_arguments(f.parameters["solver_options"])
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
    return f"{runs}.components({as_arguments(consensus['options'])}).factorization"


def as_arguments(options: Mapping[str, Any]) -> str:
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
        if f.init == "custom" and (name == "H" or is_free(f)):  # with H fixed W starts at zero
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
            *described_loss(f).keys,
            *keys_of_penalties(f),
            *_keys_of_runs(f),
            *described_solver(f).keys,
        ]
        keys += [*keys_of_acceleration(f), *DESCRIBED_STARTS[f.init].keys]
    return list(dict.fromkeys(keys))


def described_loss(f: Any) -> Described:
    """The loss in words, and its references."""
    if not _is_known_loss(f):
        return Described(f"a loss of our own, {f.loss!r}", ())
    return DESCRIBED_LOSSES.get(f.loss) or BETA._replace(words=BETA.words.format(f.loss))


def described_solver(f: Any) -> Described:
    """The solver in words, and its references."""
    return DESCRIBED_SOLVERS.get(f.solver) or Described(f"a solver of our own, {f.solver!r}", ())


def keys_of_penalties(f: Any) -> tuple[str, ...]:
    """References of the scale of penalties, if it is not the usual one."""
    return KNOWN_ENTRIES if any(strengths(f)) and grows_with_known(f) else ()


def _keys_of_runs(f: Any) -> tuple[str, ...]:
    """Those of replicates and of what is made of many runs."""
    how, consensus = f.parameters.get("resample"), f.parameters.get("consensus")
    clustering = DESCRIBED_CLUSTERINGS[consensus["options"]["clustering"]].keys if consensus else ()
    return (*(DESCRIBED_REPLICATES[how].keys if how else ()), *clustering)


def keys_of_acceleration(f: Any) -> tuple[str, ...]:
    """References of extrapolation or batches, if there were some."""
    if "batches" in f.parameters:
        return ONLINE
    return OTHER_ACCELERATIONS.get(f.solver, ACCELERATION) if is_accelerated(f) else ()


def entry(key: str) -> str:
    """The BibTeX entry of a key."""
    reference = REFERENCES[key]
    venue = {"article": "journal", "inproceedings": "booktitle", "misc": "howpublished"}.get(reference.kind, "")
    fields = {
        "author": reference.authors, "title": reference.title, venue: reference.venue, "year": str(reference.year),
        "doi": reference.doi, "version": versions()["nmf-core"] if key == "nmf_core" else "",
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


def cited(*keys: str) -> str:
    """References in parentheses, with a space before; nothing if there are none."""
    return f" ({'; '.join(REFERENCES[key].label for key in keys)})" if keys else ""


def versions() -> Mapping[str, str]:
    """Versions of now, by the names of libraries."""
    names = {"nmf-core": "nmf_core", "NumPy": "numpy", "SciPy": "scipy"}
    return {name: import_module(module).__version__ for name, module in names.items()}


# --- what is to be known for them


def strengths(f: Any) -> tuple[float, float]:
    """Strengths of the penalties on W and H."""
    alpha_W, alpha_H = f.parameters.get("alpha_W", 0.0), f.parameters.get("alpha_H", "same")
    return alpha_W, alpha_W if alpha_H == "same" else alpha_H


def knows_missing(f: Any) -> bool:
    """Whether entries were allowed to be missing."""
    return f.parameters.get("missing") is not None or bool(f.parameters.get("weighted"))


def is_partial(f: Any) -> bool:
    """Whether some were."""
    return knows_missing(f) and f.n_stored < f.W.shape[0] * f.H.shape[1]


def grows_with_known(f: Any) -> bool:
    """Whether penalties grow with the number of known entries."""
    return f.parameters.get("alpha_scaling") == "observed" and knows_missing(f)


def is_free(f: Any) -> bool:
    """Whether any of H was improved."""
    return f.parameters.get("update_H", True) is not False


def is_accelerated(f: Any) -> bool:
    """Whether the solver extrapolated."""
    return (
        is_free(f)
        and f.solver in SOLVERS
        and SOLVERS[f.solver].accelerated
        and f.parameters.get("acceleration", "batches" not in f.parameters)
    )


def several(n: int, what: str) -> str:
    """A number of things, in words: "1 run", "2 runs"."""
    return f"{n} {what}{'' if n == 1 else 's'}"
