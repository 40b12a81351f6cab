"""Messages of the library in the words of the command line: options instead of parameters."""

import argparse
import inspect
import re
import shlex

from nmf_core.factorize import factorize

# Options that are not called like the parameter.
_OPTIONS = {
    "n_components": ("components", "ranks"),
    "beta_loss": ("loss",),
    "solver": ("solver", "solvers"),
    "random_state": ("seed",),
    "n_threads": ("threads",),
    "n_folds": ("folds",),
    "n_repeats": ("repeats",),
    "n_jobs": ("jobs",),
    "n_init": ("runs",),
    "n_runs": ("runs",),
}
# Parameters that are no words of a sentence; others are known by the value behind them.
_NAMES = (
    *_OPTIONS.keys() - {"solver"},
    "alpha_W",
    "alpha_H",
    "l1_ratio",
    "alpha_scaling",
    "tol",
    "max_iter",
    "time_limit",
)
_PARAMETERS = (*inspect.signature(factorize).parameters, *_OPTIONS)
_VALUE = r"'(?P<text>[^']*)'|(?P<number>[-+\w]+(?:\.\d+)?)"
# Not in the name of a file or of a folder, nor in that of a column.
_BARE = rf"(?<![-\w'/\\.])(?P<bare>{'|'.join(_NAMES)})(?![-\w'/\\=:]|\.\w)"
# What a message says first that something must be is a parameter, too.
_FIRST = r"^(?P<first>[a-z]\w*)(?= must be )"
_GIVEN = rf"(?<![-\w'/\\.])(?P<name>[A-Za-z]\w*)=(?>{_VALUE})(?![/\\\w]|\.\w)"
_MENTION = re.compile(f"{_BARE}|{_FIRST}|{_GIVEN}")


def in_options(message: str, options: argparse.Namespace) -> str:
    """The message with the options of a command; what advises others, after the first clause, is left out."""
    advises_others = False

    def option(found: re.Match[str]) -> str:
        nonlocal advises_others
        name = found["bare"] or found["first"] or found["name"]
        known = [option for option in _OPTIONS.get(name, (name,)) if {option, name} & vars(options).keys()]
        if not known:
            advises_others |= name in _PARAMETERS
            return found[0]
        value = found["text"] or found["number"] or ""
        return f"--{known[0].replace('_', '-')}{'' if value in ('', 'True') else f' {shlex.quote(value)}'}"

    kept: list[str] = []
    for clause in re.split(r"(?<=[.;]) ", message):
        advises_others = False
        said = _MENTION.sub(option, clause)
        if not kept or not advises_others:
            kept.append(said)
    return " ".join(kept).rstrip(";")
