"""How far rows are from where coordinate descent would take them."""

import numpy as np

from nmf_core.engine import Engine, Update
from nmf_core.factors import Factor


def scaled_steps(
    engine: Engine, F: np.ndarray, cross: np.ndarray, fixed: np.ndarray, factor: Factor, order: np.ndarray
) -> float:
    """The sum of squared scaled steps that coordinate descent would take from a factor array F.

    `cross` (n, ld) is its product with X and the other factor, and `fixed` that factor's Gram matrix.
    """
    gram = factor.shift(fixed)
    # multiplicative updates tell, on the way, what these steps are
    update = Update(F, order, gram[0], l1=factor.l1, method="mu", gram=gram)
    return engine.improve_rows(F.copy(), cross, update).squared_step
