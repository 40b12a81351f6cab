"""How the command line is read: values of options, and one line about what is wrong."""

import argparse
import re
from collections.abc import Callable
from typing import Any, NoReturn

from nmf_core.io import UNITS
from nmf_core.losses import LOSSES
from nmf_core.validation import check_choice, check_loss

# More numbers of components than this are a mistake.
MOST_RANKS = 1000


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line, with the nearest name for one that is not there."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: error: {message} (usage: {self.prog} --help)\n")

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is not None:
            try:
                check_choice(value, "it" if action.option_strings else "the command", [*action.choices])
            except ValueError as error:
                raise argparse.ArgumentError(action if action.option_strings else None, str(error)) from None


def loss(text: str) -> float | str:
    """The name of a loss, or a beta."""
    try:
        return float(text)
    except ValueError:
        pass
    try:
        return check_loss(text, LOSSES, "it")
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def number_or(word: str) -> Callable[[str], float | str]:
    """What takes a number or this word."""

    def take(text: str) -> float | str:
        try:
            return text if text == word else float(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is neither a number nor {word}") from None

    return take


def separator(text: str) -> str:
    """One character, or what it is called."""
    character = {"comma": ",", "semicolon": ";", "tab": "\t", "\\t": "\t", "blank": " ", "space": " "}.get(text, text)
    if len(character) != 1:
        raise argparse.ArgumentTypeError(f"{text!r} is neither one character nor tab or blank")
    return character


def n_bytes(text: str) -> int:
    """A number of bytes with a unit or without."""
    found = re.fullmatch(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*([a-z]*)\s*", text, re.IGNORECASE)
    units = {unit.lower(): factor for unit, factor in UNITS.items()}
    if found is None or (found[2] or "B").lower() not in units:
        raise argparse.ArgumentTypeError(f"{text!r} is not like 2GB, 512MiB or 100000; units are {', '.join(UNITS)}")
    return int(float(found[1]) * units[(found[2] or "B").lower()])


def ranks(text: str) -> list[int]:
    """Numbers of components: single ones, ranges with both ends, and ranges with a step, separated by commas."""
    numbers: list[int] = []
    for part in text.split(","):
        found = re.fullmatch(r"\s*(\d{1,9})(?:-(\d{1,9})(?::(\d{1,9}))?)?\s*", part)
        if found is None:
            raise argparse.ArgumentTypeError(f"{part!r} is not like 5, 2-12 or 2-12:2")
        first, last, step = int(found[1]), int(found[2] or found[1]), int(found[3] or 1)
        if not (1 <= first <= last and step >= 1):
            raise argparse.ArgumentTypeError(f"{part!r} does not count up from 1 or more")
        if len(numbers) + len(range(first, last + 1, step)) > MOST_RANKS:
            raise argparse.ArgumentTypeError(f"{text!r} are more than {MOST_RANKS} numbers")
        numbers += range(first, last + 1, step)
    return numbers
