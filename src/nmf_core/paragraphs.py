"""What a factorization was made of and how, in a paragraph for a paper."""

import platform
from typing import Any

import numpy as np

from nmf_core.provenance import (
    CUTS,
    as_arguments,
    cited,
    described_loss,
    described_solver,
    grows_with_known,
    is_accelerated,
    is_free,
    is_partial,
    keys_of_acceleration,
    keys_of_penalties,
    knows_missing,
    several,
    strengths,
    versions,
)
from nmf_core.references import (
    DESCRIBED_CLUSTERINGS,
    DESCRIBED_REPLICATES,
    DESCRIBED_STARTS,
    MODEL,
    ONLINE,
)
from nmf_core.validation import check_reason

ENDS = {
    "tol": "converged after {n}, when its projected gradient steps changed the model by at most {tol:g}, relative to X",
    "relative change": "converged after {n}, when ten of them had lowered the objective by less than {tol:g} of it",
    "small step": "converged after {n}, when the last one had changed each factor by at most {tol:g} of its length",
    "small H change": "converged after {n}, when batches had changed H by at most {tol:g} of its length on average",
    "lack of improvement in objective function": "converged after {n}, when the costs of batches had ceased to fall",
    "max_iter": "stopped at the limit of {n}, before it had converged to a tolerance of {tol:g}",
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
    >>> from nmf_core.paragraphs import methods
    >>> X = np.array([[1.0, 2.0, 3.0], [2.0, 4.0, 6.0], [1.0, 0.0, 1.0]])
    >>> f = nmf_core.factorize(X, 2, random_state=0)
    >>> methods(f, "expression levels").split(" was approximated")[0]
    'The data matrix X (expression levels; 3 samples x 3 features; float64)'
    """
    reason = check_reason(chosen).rstrip(".")
    sentences = (
        _model(f, X_described),
        f"The number of components, {f.n_components}, was chosen as follows: {reason}." if reason else "",
        _loss(f), _penalties(f), _held(f), _runs(f), _solver(f), _start(f), _end(f), _quality(f), software(),
    )  # fmt: skip
    return " ".join(" ".join(sentences).split())


# --- sentences


def _model(f: Any, X_described: str | None) -> str:
    n, m, k = f.W.shape[0], f.H.shape[1], f.n_components
    facts = [f"{several(n, 'sample')} x {several(m, 'feature')}", f.H.dtype.name]
    if X_described:
        facts.insert(0, X_described)
    if f.n_stored < n * m:
        share = f"{f.n_stored} of {n * m} entries ({100 * f.n_stored / (n * m):.4g}%)"
        known = knows_missing(f)
        facts.append(f"{share} known, the others missing" if known else f"{share} stored, all others zero")
    biases = "" if f.biases is None else ", plus a mean, a bias of each sample and a bias of each feature, of any sign"
    return (
        f"The data matrix X ({'; '.join(facts)}) was approximated by the product W H of two non-negative factors, "
        f"W ({n} x {k}) and H ({k} x {m}), that is by {several(k, 'component')}{cited(*MODEL)}{biases}."
    )


def _loss(f: Any) -> str:
    loss, floor, partial = described_loss(f), f.parameters.get("floor"), is_partial(f)
    counts = ", in which only the known entries of X count" if partial else ""
    if f.parameters.get("weighted"):
        counts = f"{counts}, each with its weight" if partial else ", in which every entry of X counts with its weight"
    raised = f"Before, {floor:g} had been added to every {'known ' if partial else ''}entry of X." if floor else ""
    return f"The loss was {loss.words}{counts}{cited(*loss.keys)}. {raised}"


def _penalties(f: Any) -> str:
    alphas = {name: alpha for name, alpha in zip("WH", strengths(f), strict=True) if alpha}
    grows, share = grows_with_known(f), f.parameters.get("l1_ratio", 0.0)
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
        sentences.append(f"The penalty {' + '.join(terms)} was added, {scale}{cited(*keys_of_penalties(f))}.")
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
        replicate = f"a replicate of X {words.format(p['fraction'])}{cited(*keys)}"
    found = p.get("consensus")
    if not found:
        for_X = "W is that of X itself, for this H"
        return replicate and f"H is that of {replicate}, with the random seed {p['random_state']}; {for_X}."
    options, total = found["options"], found["n_runs"] * f.n_components
    words, keys = DESCRIBED_CLUSTERINGS[options["clustering"]]
    return (
        f"H was made of the components of {several(found['n_runs'], 'run')}{replicate and f', each of {replicate}'}. "
        f"These were scaled to unit length; those with a mean distance of at least {options['density_threshold']:g} to "
        f"their nearest neighbours, {options['neighbourhood']:g} times as many as there were runs, were dropped; the "
        f"others, {found['kept']} of {total}, were grouped into "
        f"{several(f.n_components, 'cluster')} {words}; and each cluster became a component, its "
        f"{options['average']}, scaled to a sum of {'the median of theirs' if found['scaled'] else 'one'}"
        f"{cited(*keys)}. W was found for this H, each of its rows by itself."
    )


def _solver(f: Any) -> str:
    solver = described_solver(f)
    if "solver_options" in f.parameters:
        solver = solver._replace(words=f"{solver.words} with {as_arguments(f.parameters['solver_options'])}")
    what = "The factors were" if is_free(f) else "W was"
    if "consensus" in f.parameters:
        what = "In every run the factors were"
    more = f", accelerated by extrapolation{cited(*keys_of_acceleration(f))}" if is_accelerated(f) else ""
    order = ", with the components in a new random order in every iteration" if f.parameters.get("shuffle") else ""
    batches = f.parameters.get("batches")
    if batches:
        more = (
            f", in batches of {several(batches['batch_size'], 'sample')}, after each of which H was improved, with "
            f"what had been learned from earlier batches counting {batches['forget_factor']:g} as much after a pass "
            f"over X{cited(*ONLINE)}"
        )
    return f"{what} found by {solver.words}{cited(*solver.keys)}{more}{order}."


def _start(f: Any) -> str:
    start, starts, seed = DESCRIBED_STARTS[f.init], f.history.starts, f.parameters.get("random_state")
    where = f"{start.words}{cited(*start.keys)}"
    if not is_free(f):
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
        f"A fit was made from each of {several(len(starts), 'start')}, {where}, with {said}; the one with the lowest "
        f"objective was kept{which}{rest}."
    )


def _best(f: Any) -> Any:
    """The start that was kept."""
    return min(f.history.starts, key=lambda start: start.objective)


def _end(f: Any) -> str:
    tol, starts, n = f.parameters.get("tol"), f.history.starts, several(f.n_iter, "iteration")
    if "consensus" in f.parameters:
        most = several(f.parameters["max_iter"], "iteration")
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
    elif reason == "tol" and not is_free(f):
        how = f"converged after at most {n} for each row"
    elif reason in ENDS and tol is not None:
        how = ENDS[reason].format(n=n, tol=tol)
    else:
        how = f"was stopped after {n} by a rule of our own ({reason})"
    rest = f" Further starts were cut short {CUTS[f.stop_reason]}." if reason != f.stop_reason else ""
    return f"This fit {how}.{rest}"


def _quality(f: Any) -> str:
    unexplained = f.squared_error / f.X_squared_norm if f.X_squared_norm else 0.0
    of = "the known entries of X" if is_partial(f) else "X"
    weighted = "weighted " if f.parameters.get("weighted") else ""
    divergence = "" if f.loss == "frobenius" else f"; the loss is {f.divergence:.6g}"
    return (
        f"The model explains {100 * (1 - unexplained):.4g}% of the {weighted}sum of squares of {of} (relative error "
        f"{np.sqrt(unexplained):.4g}{divergence})."
    )


def software() -> str:
    """The sentence about the versions of now."""
    own, *others = (f"{name} {version}" for name, version in versions().items())
    return (
        f"Computations were made with {own}{cited('nmf_core')}, {', '.join(others)} and Python "
        f"{platform.python_version()}."
    )
