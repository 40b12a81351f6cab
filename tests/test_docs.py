"""The programs in the pages: they are short, and they run."""

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


def test_programs_of_a_guide_go_on_from_each_other(tmp_path, monkeypatch):
    page = PAGE.with_name("ensembles.md")
    if not page.is_file():
        pytest.skip("the pages are not beside the tests")
    pytest.importorskip("matplotlib")
    monkeypatch.chdir(tmp_path)
    programs = re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf8"), re.DOTALL | re.MULTILINE)
    assert len(programs) == 10
    names = {"__name__": "program"}
    for program in programs:
        assert max(map(len, program.splitlines())) <= 120
        exec(compile(program, page.name, "exec"), names)
    assert names["survey"].best == 3
    pictures = {path.name for path in tmp_path.glob("*.png")}
    assert pictures == {"consensus.png", "components.png", "survey.png", "stability.png"}


def test_programs_of_results_go_on_from_each_other(tmp_path, monkeypatch):
    page = PAGE.with_name("results.md")
    if not page.is_file():
        pytest.skip("the pages are not beside the tests")
    for module in ("jinja2", "matplotlib", "onnx", "pandas", "sklearn"):
        pytest.importorskip(module)
    monkeypatch.chdir(tmp_path)
    programs = re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf8"), re.DOTALL | re.MULTILINE)
    assert len(programs) == 11
    names = {"__name__": "program"}
    for program in programs:
        assert max(map(len, program.splitlines())) <= 120
        exec(compile(program, page.name, "exec"), names)
    assert names["search"].best_params_ == {"n_components": 3}
    files = {path.name for path in tmp_path.iterdir()}
    assert files == {"maps.png", "spectra.png", "activations.png", "letters.html", "letters.npz", "model.onnx"}


def test_every_section_is_found():
    if not PAGE.is_file():
        pytest.skip("the pages are not beside the tests")
    assert len(SECTIONS) == TEXT.count("\n## ") == 6
