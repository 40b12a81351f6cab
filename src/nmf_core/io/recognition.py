"""How text is written: what stands between cells and before decimals, its encoding, its comments."""

import codecs
import csv
import gzip
import io
import re
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, cast

from nmf_core.io.base import STDIN

# What a cell holds where nothing is known.
NOTHING = ("", "NA", "N/A", "n/a", "#N/A", "<NA>", "NaN", "nan", "-NaN", "-nan", "NULL", "null", "None")

# In the order in which they are tried: commas are decimal ones where semicolons separate, labels have blanks.
_SEPARATORS = {"\t": "tabs", ";": "semicolons", "|": "|", ",": "commas", " ": "blanks"}
_MARKS = {  # that of UTF-16 is how that of UTF-32 begins
    codecs.BOM_UTF32_LE: "utf-32", codecs.BOM_UTF32_BE: "utf-32", codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16",
}  # fmt: skip
_SAYS_SEPARATOR = re.compile(r"sep=(.)\s*")  # as Excel writes it
_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2}(,\d{3})+")
DIGITS = re.compile(r"[+-]?\d[\d ,.'\u2019\u00a0\u202f]*")  # what somebody takes for a number
_SAMPLE_LINES, _SAMPLE_CHARACTERS = 100, 1 << 20


@dataclass(frozen=True)
class TextFormat:
    """How text is written; what is None is recognised by the first lines.

    Attributes
    ----------
    separator : str or None
        The character between cells; a blank stands for any number of blanks and tabs.
    decimal : {".", ","} or None
        What stands before decimals.
    encoding : str or None
        Of the characters, such as "latin-1"; by default UTF-8. A byte order mark at the beginning counts more.
    comment : str or None
        Lines that begin with it are passed over, "" for none; by default those before all others that begin with #.
    """

    separator: str | None = None
    decimal: str | None = None
    encoding: str | None = None
    comment: str | None = None


RECOGNISED = TextFormat()  # all of it


@dataclass(frozen=True)
class Text:
    """Text in a file or from standard input, and how it is written.

    Attributes
    ----------
    path : Path
        The file.
    content : bytes
        All of standard input, which can be read only once.
    separator, decimal, encoding, comment : str
        As in `TextFormat`.
    top : int
        How many lines come before all others and hold no cells, but comments or a separator.
    sample : sequence of sequence of str
        Cells of the first rows.
    """

    path: Path
    content: bytes
    encoding: str
    comment: str
    separator: str = ","
    decimal: str = "."
    top: int = 0
    sample: Sequence[Sequence[str]] = ()

    def lines(self) -> "_Lines":
        """All lines, to be closed; blank ones in place of those that hold no cells."""
        binary = _binary(self.path, self.content)
        try:
            return _Lines(binary, self.encoding, self.comment, self.top)
        except LookupError:
            binary.close()
            raise ValueError(f"there is no encoding {self.encoding!r}") from None

    def head(self) -> int:
        """How many rows end with the first one that has cells; blank ones count, line breaks within quotes do not."""
        with self.lines() as lines:
            reader = csv.reader(lines, delimiter=self.separator, skipinitialspace=True, strict=True)
            return next(number for number, cells in enumerate(reader, 1) if any(map(str.strip, cells)))

    def line_of(self, i: int, skipped: int) -> int:
        """The line on which row i ends, after some rows that were skipped; blank lines are no rows."""
        with self.lines() as lines:
            reader = csv.reader(lines, delimiter=self.separator, skipinitialspace=True)
            for number, cells in enumerate(reader):
                if number >= skipped and (len(cells) > 1 or "".join(cells).strip()):
                    i -= 1
                if i < 0:
                    break
            return reader.line_num

    @property
    def separated(self) -> str:
        """What stands between cells, in words."""
        return f"separated by {_SEPARATORS.get(self.separator, self.separator)}"

    def description(self) -> str:
        """How it is written, where that is not what the name of the file says."""
        said = []
        if self.separator != by_name(self.path):
            said.append(self.separated)
        if self.decimal != ".":
            said.append("decimal commas")
        if self.encoding != "utf-8-sig":
            said.append(self.encoding)
        if self.top:
            said.append(f"line{'s 1 to' * (self.top > 1)} {self.top} passed over")
        if self.comment:
            said.append(f"lines that begin with {self.comment} passed over")
        return ", ".join(said)


class _Lines(io.TextIOWrapper):
    """Lines of text. Those that hold no cells come as blank ones, so that the others keep their numbers."""

    def __init__(self, binary: IO[bytes], encoding: str, comment: str, top: int) -> None:
        super().__init__(binary, encoding=encoding, newline="")
        self._comment, self._top = comment, top

    def readline(self, size: int = -1) -> str:  # type: ignore[override]
        try:
            line = super().readline()
        except UnicodeDecodeError as error:
            raise _undecodable(error) from None
        if self._top > 0 or (self._comment and line.startswith(self._comment)):
            self._top -= 1
            return "\n" if line else ""
        return line

    def read(self, size: int | None = -1) -> str:
        try:
            by_lines = self._comment or self._top > 0
            text = "".join(self.readlines(size or -1)) if by_lines else super().read(size)
        except UnicodeDecodeError as error:
            raise _undecodable(error) from None
        if "\0" in text:  # where pandas may end a cell
            raise ValueError("it holds NUL, which no text does")
        return text


def _undecodable(error: UnicodeDecodeError) -> ValueError:
    byte = error.object[error.start]
    name = "UTF-8" if error.encoding.startswith("utf-8") else error.encoding
    return ValueError(f"byte 0x{byte:02x} is not {name}: encoding='latin-1', or another, says how the text is written")


def recognise(path: Path, form: TextFormat, columns: Sequence[str] = ()) -> Text:
    """Text and how it is written, by its first lines where nobody says, and by columns that must be there."""
    content = sys.stdin.buffer.read() if path == STDIN else b""
    with _binary(path, content) as binary:
        start = binary.read(4)
    marked = next((name for mark, name in _MARKS.items() if start.startswith(mark)), None)
    if b"\0" in start and not marked and not form.encoding:
        order = "be" if start.startswith(b"\0") else "le"
        raise ValueError(f"it looks like UTF-16 without a byte order mark, which encoding='utf-16-{order}' reads")
    text = Text(path, content, marked or form.encoding or "utf-8-sig", form.comment or "")
    with text.lines() as lines:
        top, below = _top(lines, form.comment is None)
    if not below:
        raise ValueError(f"it is empty{', but for lines that begin with #' if top else ''}")
    named = _SAYS_SEPARATOR.fullmatch(top[-1]) if top else None
    separator = form.separator or (named[1] if named else _separator(below, by_name(path), form.decimal, columns))
    sample = _cells(below, separator)
    if not sample:
        raise ValueError("it is empty")
    decimal = form.decimal or _decimal(sample, separator)
    if form.separator and max(map(len, sample)) == 1 and _separator(below, by_name(path), form.decimal) != separator:
        raise ValueError(f"no cells are separated by {separator!r}")
    if top and not named and _heads(header := _cells(top[-1:], separator)[0], sample[0], decimal):
        # Such as "#OTU ID": the last of the lines with # has the labels.
        top.pop()
        sample.insert(0, [header[0].lstrip("#").strip(), *header[1:]])
    return replace(text, separator=separator, decimal=decimal, top=len(top), sample=sample)


def by_name(path: Path) -> str:
    """What stands between cells, by the name of the file."""
    return "\t" if ".tsv" in [suffix.lower() for suffix in path.suffixes[-2:]] else ","


def is_number(cell: str, decimal: str = ".") -> bool:
    """Whether a cell is a number, which infinity and NaN are, too."""
    if decimal != ".":
        cell = cell.replace(".", "_").replace(decimal, ".")
    try:
        float(cell)
    except ValueError:
        return False
    return "_" not in cell


def _binary(path: Path, content: bytes) -> IO[bytes]:
    """The bytes of a text, compressed or not."""
    binary: IO[bytes] = io.BytesIO(content) if path == STDIN else path.open("rb")
    compressed = binary.read(2) == b"\x1f\x8b"
    binary.seek(0)
    if not compressed:
        return binary
    binary.close()
    return cast(IO[bytes], gzip.open(io.BytesIO(content) if path == STDIN else path))


def _top(lines: Iterable[str], comments: bool) -> tuple[list[str], list[str]]:
    """Lines at the top that hold no cells, and some of those below, of which the first is not blank."""
    top: list[str] = []
    below: list[str] = []
    size = 0
    for line in lines:
        if below or not (
            not line.strip() or (comments and line.startswith("#")) or (not top and _SAYS_SEPARATOR.fullmatch(line))
        ):
            below.append(line)
            size += len(line)
        else:
            top.append(line)
        if len(below) == _SAMPLE_LINES or (len(below) > 2 and size > _SAMPLE_CHARACTERS):
            break
    while top and not top[-1].strip():
        top.pop()
    return top, below


def _cells(lines: Iterable[str], separator: str) -> list[list[str]]:
    """Cells of the lines that are not blank."""
    if separator == " ":
        lines = (" ".join(line.split()) for line in lines)
    reader = csv.reader(lines, delimiter=separator, skipinitialspace=True)
    return [cells for row in reader if any(cells := [cell.strip() for cell in row])]


def _separator(lines: list[str], preferred: str, decimal: str | None, columns: Sequence[str] = ()) -> str:
    """What makes lines of as many cells, and numbers of these; if nothing does, that which is preferred.

    Before that, what makes a first line with the columns, names or numbers, that must be there, or with most of them.
    """
    fit = {
        separator: (_n_found(lines[:1], separator, columns), _evenness(lines, separator))
        for separator in _SEPARATORS
        if separator != decimal
    }
    best = max(fit, key=lambda separator: fit[separator])
    return best if fit[best][1] > 0 else preferred


def _n_found(first: list[str], separator: str, columns: Sequence[str]) -> int:
    """How many of these columns the first line has."""
    try:
        [cells] = _cells(first, separator)
    except (csv.Error, ValueError):  # a line that is one long cell, or goes on in the next
        return 0
    return sum(name in cells or (name.isdecimal() and int(name) < len(cells)) for name in columns)


def _evenness(lines: list[str], separator: str) -> float:
    """How many rows have as many cells as most, and how many of these, but for labels, are numbers: from 0 to 2."""
    try:
        rows = _cells(lines, separator)
    except csv.Error:  # a line that is one long cell
        return 0.0
    below = rows[1:] or rows
    width = Counter(map(len, below)).most_common(1)[0][0] if rows else 0
    if width < 2:
        return 0.0
    header = {width: 1.0, width - 1: 0.5}.get(len(rows[0]), 0.0)  # which may lack the heading of labels
    even = (header + sum(len(row) == width for row in below)) / (1 + len(below))
    inner = [cell for row in below for cell in row[1:]]
    known = sum(cell in NOTHING or is_number(cell) or DIGITS.fullmatch(cell) is not None for cell in inner)
    if separator == " " and not (header and known == len(inner) and all(len(row) == width for row in below)):
        return 0.0
    return even * (1 + known / len(inner))


def _decimal(rows: list[list[str]], separator: str) -> str:
    """What stands before decimals: a comma if cells have one and none has a point."""
    cells = [cell for row in rows for cell in row if not is_number(cell) and is_number(cell, ",")]
    if separator == "," or not cells or any(is_number(cell) and "." in cell for row in rows for cell in row):
        return "."
    if all(map(_THOUSANDS.fullmatch, cells)):
        raise ValueError(
            f"{cells[0]!r} may have three decimals or stand for thousands: decimal=',' reads it as the former, the "
            f"latter must be written without commas"
        )
    return ","


def _heads(header: list[str], row: list[str], decimal: str) -> bool:
    """Whether a line with # has labels of columns: as many cells as the first row, and that has none."""
    return len(header) == len(row) > 1 and all(cell in NOTHING or is_number(cell, decimal) for cell in row[1:])
