"""The sets of parameters that the default run takes: they are few, they hold every pair, and names do not matter."""

from itertools import combinations, product
from types import SimpleNamespace

import pytest
from covering import FEW, covering, exhaustive, mainly

LISTS = {
    "two lists": ([1, 2, 3], "ab"),
    "lists alike": ("abc", "abc", "abc", "abc"),
    "long and short": (range(10), range(4), [True, False], ["np", "sp"]),
    "one value": ([1], "ab", range(5)),
    "many lists": ([True, False],) * 12,
    "a single list": (range(9),),
}


def pairs(rows):
    return {((i, row[i]), (j, row[j])) for row in rows for i, j in combinations(range(len(row)), 2)}


@pytest.mark.parametrize("name", LISTS)
def test_every_pair_is_there(name):
    rows = [*product(*LISTS[name])]
    taken = covering(rows)
    assert pairs(rows[number] for number in taken) == pairs(rows)
    assert {row[0] for row in rows} == {rows[number][0] for number in taken}
    assert taken == sorted(set(taken)) == covering(rows)


@pytest.mark.parametrize(
    ("lists", "size"), [((range(4), range(4), range(2), range(2)), 16), ((range(9),), 9), ((range(5), range(6)), 30)]
)
def test_no_more_than_it_takes(lists, size):
    assert len(covering(product(*lists))) == size


def test_of_many_lists_few_sets():
    assert len(covering(product(*LISTS["many lists"]))) <= 12


def test_what_does_not_occur_is_not_asked_for():
    rows = [(a, b, c) for a, b, c in product(range(4), repeat=3) if a != b]
    taken = [rows[number] for number in covering(rows)]
    assert pairs(taken) == pairs(rows)
    assert len(taken) < len(rows)


def test_nothing_is_covered_by_nothing():
    assert covering([]) == []


def items(name, *lists):
    """What pytest makes of a test with such parameters, as far as it is looked at."""
    return [
        SimpleNamespace(nodeid=f"{name}[{number}]", callspec=SimpleNamespace(params=dict(enumerate(values))))
        for number, values in enumerate(product(*lists))
    ]


def numbers(found):
    return [item.nodeid.partition("[")[2] for item in found]


def test_names_do_not_matter():
    lists = [{}, {"alpha_W": 1.0}], [print, len], [1.5, "mu", None], [True, False]
    one, other = (exhaustive(items(name, *lists)) for name in ("test_a.py::test_x", "test_b.py::TestB::test_y"))
    assert numbers(one) == numbers(other)
    assert one


def test_of_few_sets_all_are_taken():
    assert exhaustive([*items("few", *[range(2)] * 3), SimpleNamespace(nodeid="none")]) == []
    assert FEW == 2**3


def test_some_are_wanted_and_the_others_there():
    cases = mainly(lambda a, b: a == b, "ab", "abc")
    assert cases[:1] + cases[4:5] == [("a", "a"), ("b", "b")]
    assert [(*case.values, case.marks[0].name) for case in cases[1:4]] == [
        ("a", "b", "exhaustive"),
        ("a", "c", "exhaustive"),
        ("b", "a", "exhaustive"),
    ]
