"""Exposures to known components in a paragraph for a paper, and what it cites."""

from typing import Any

import numpy as np

from nmf_core.paragraphs import software
from nmf_core.provenance import cited, described_loss, entry, several

TEST, BOOTSTRAP, RANDOM_WEIGHTS = ("wilks1938",), ("efron1993",), ("rubin1981",)


def methods(r: Any) -> str:
    """How the exposures of a `Refit` were found: data, model, loss, selection, limits, quality and versions."""
    return " ".join(filter(None, (_model(r), _selection(r), _limits(r), _quality(r), software())))


def cite(r: Any) -> str:
    """BibTeX entries of this library and of the papers that `methods` cites."""
    keys = ["nmf_core", *described_loss(r).keys, *_keys_of_test(r), *_keys_of_limits(r)]
    return "\n\n".join(entry(key) for key in keys)


def _keys_of_test(r: Any) -> tuple[str, ...]:
    return () if r.parameters["select"] is None else TEST


def _keys_of_limits(r: Any) -> tuple[str, ...]:
    if r.resampled is None:
        return ()
    return BOOTSTRAP if r.resampled == "poisson" else (*BOOTSTRAP, *RANDOM_WEIGHTS)


def _model(r: Any) -> str:
    (n, k), m, loss = r.W.shape, r.H.shape[1], described_loss(r)
    missing = "" if r.parameters["missing"] is None else ", over known entries"
    return (
        f"The data matrix X ({several(n, 'sample')} x {several(m, 'feature')}) was approximated by the product W H "
        f"of non-negative exposures W and {several(k, 'known component')} H, which were left as they are. The "
        f"exposures of every sample minimise {loss.words}{missing}{cited(*loss.keys)}."
    )


def _selection(r: Any) -> str:
    if r.parameters["select"] is None:
        return ""
    return (
        "Components were left out of a sample one after the other, always that without which its loss rose least, as "
        f"long as a test of likelihood ratios at a significance of {r.parameters['significance']:g} allowed it"
        f"{cited(*TEST)}; each sample has {r.selected.sum(axis=1).mean():.3g} of them on average."
    )


def _limits(r: Any) -> str:
    if r.resampled is None:
        return ""
    drawn = {
        "poisson": "whose entries were drawn from Poisson distributions with those of the sample as means",
        "features": "in which features had exponentially distributed random weights",
    }[r.resampled]
    return (
        f"Limits of exposures are percentiles that hold {100 * r.level:g}% of {r.parameters['n_bootstrap']} replicates "
        f"of every sample, {drawn}{cited(*_keys_of_limits(r))}."
    )


def _quality(r: Any) -> str:
    cosines = r.cosine[~np.isnan(r.cosine)]
    if len(cosines) == 0:
        return ""
    return (
        f"The cosine similarity of a sample and its model is {np.median(cosines):.4g} in the median and at least "
        f"{cosines.min():.4g}."
    )
