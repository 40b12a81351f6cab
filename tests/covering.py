"""Which sets of parameters of a test the default run takes: few, among which every pair of values occurs.

Most mistakes that depend on parameters show for some pair of values of two of them, whatever the others are. A few
sets hold all these pairs: of four solvers, four penalties, two dtypes and two containers 16 sets out of 64 do.
"""

from collections.abc import Callable, Hashable, Iterable, Sequence
from heapq import heapify, heappop, heappush
from itertools import combinations, groupby, product

import pytest

FEW = 8  # of a test with no more sets of parameters than that all are taken


def pairs(row: Sequence[Hashable]) -> frozenset:
    """All pairs of values of a row, each with the columns that they are of; of a single column its value."""
    return frozenset(combinations(enumerate(row), min(2, len(row))))


def covering(rows: Iterable[Sequence[Hashable]]) -> list[int]:
    """Numbers of rows, in their order, that hold every pair of values of two columns which any row holds.

    Always the row that adds the most pairs is taken, the first of several. What a row adds only becomes less: one that
    still adds what it did when it was put into its place in the queue is ahead of all others.
    """
    held = [pairs(row) for row in rows]
    missing = frozenset().union(*held)
    queue = [(-len(added), number) for number, added in enumerate(held)]
    heapify(queue)
    taken = []
    while missing:
        before, number = heappop(queue)
        now = -len(held[number] & missing)
        if now == before:
            taken.append(number)
            missing -= held[number]
        elif now:
            heappush(queue, (now, number))
    return sorted(taken)


def key(value: object) -> Hashable:
    """What tells a value from others: how it is written, or of arrays, functions and the like which object it is."""
    return repr(value) if isinstance(value, (str, int, float, tuple, list, dict, type, type(None))) else id(value)


def mainly(wanted: Callable[..., bool], *lists: Iterable) -> list:
    """The product of the lists for parametrize; where pairs of values are too many themselves: only those wanted."""
    every = product(*lists)
    return [case if wanted(*case) else pytest.param(*case, marks=pytest.mark.exhaustive) for case in every]


def exhaustive(items: Iterable[pytest.Item]) -> list[pytest.Item]:
    """The items that add nothing: each pair of values of their test's parameters is in another item, too."""
    parametrized = [item for item in items if hasattr(item, "callspec")]
    found = []
    for _, group in groupby(parametrized, lambda item: item.nodeid.partition("[")[0]):
        sets = list(group)
        if len(sets) > FEW:
            taken = {*covering([key(value) for value in item.callspec.params.values()] for item in sets)}
            found += [item for number, item in enumerate(sets) if number not in taken]
    return found
