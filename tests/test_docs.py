"""The programs in `docs/extending.md`: they are short, and they run."""

import re
from pathlib import Path

import pytest

PAGE = Path(__file__).resolve().parents[1] / "docs" / "extending.md"
TEXT = PAGE.read_text(encoding="utf8") if PAGE.is_file() else ""
SECTIONS = {
    title: re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    for title, text in re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", TEXT, re.DOTALL | re.MULTILINE)
}


@pytest.mark.parametrize("title", SECTIONS)
def test_programs_run(title):
    (program,) = SECTIONS[title]
    lines = [line for line in program.splitlines() if line.strip()]
    assert len(lines) <= 30
    assert max(map(len, lines)) <= 120
    exec(compile(program, f"{PAGE.name}: {title}", "exec"), {"__name__": "program"})


def test_every_section_is_found():
    if not PAGE.is_file():
        pytest.skip("the pages are not beside the tests")
    assert len(SECTIONS) == TEXT.count("\n## ") == 6
