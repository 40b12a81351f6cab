"""What starts are made with."""

import numbers
from typing import Any

import numpy as np

from nmf_core.data import FullMatrix, Matrix

Factors = tuple[np.ndarray, np.ndarray]


def make_random_state(random_state: Any) -> np.random.RandomState:
    """A RandomState from None, an integer seed, a RandomState or a Generator."""
    if random_state is None or isinstance(random_state, np.random.RandomState):
        return random_state or np.random.mtrand._rand
    if isinstance(random_state, np.random.Generator):
        return np.random.RandomState(random_state.integers(2**32, dtype=np.uint64))
    return np.random.RandomState(random_state)


def make_seeds(random_state: Any, n: int) -> list[int]:
    """Seeds of n starts. The first one is that of an integer `random_state` itself; how many there are changes none."""
    if isinstance(random_state, numbers.Integral):
        seed = int(random_state)
        spawned = (np.random.SeedSequence(seed, spawn_key=(i,)) for i in range(1, n))
        return [seed, *(int(one.generate_state(1)[0]) for one in spawned)][:n]
    return make_random_state(random_state).randint(2**32, size=n, dtype=np.uint64).tolist()


def sizes(data: Matrix) -> tuple[int, int]:
    """(n_samples, n_features)."""
    n, m = data.shape
    return (m, n) if data.transposed else (n, m)


def times(data: FullMatrix, G: np.ndarray, transpose: bool = False) -> np.ndarray:
    """X @ G, or X.T @ G, as a factor array, for a factor array G."""
    by_rows = transpose == data.transposed
    return data.product(G) if by_rows else data.transposed_product(G)


def placed(data: FullMatrix, F: np.ndarray) -> Any:
    """A factor array of the rows of the blocked matrix, where such factors live."""
    if data.local:
        return F
    room = data.empty_factor(F.shape[1])
    room[:] = F
    return room


def round_trip(data: FullMatrix, G: np.ndarray, tall: bool) -> np.ndarray:
    """X.T @ (X @ G) if X is tall, else X @ (X.T @ G); arguments as for `times`."""
    if tall != data.transposed:  # row by row of what is visited
        return data.normal_product(G)
    return times(data, times(data, G, transpose=not tall), transpose=tall)


def divide(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The quotient a / b, zero where b is."""
    return np.divide(a, b, out=np.zeros_like(a), where=b > 0)
