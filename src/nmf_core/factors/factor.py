"""One factor of a model: where it starts, what it may be, and what it prefers."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from nmf_core.validation import check_below, check_bound, check_left_alone, check_method


@dataclass(frozen=True, eq=False)
class Factor:
    """What is said of a factor F, that is of W (n_samples, k), or of the transpose of H (n_features, k).

    Parameters
    ----------
    initial : array-like, optional
        Where it starts, of the shape of W or of H.
    lower, upper : float or array-like of shape (k,), optional
        Bounds of all entries, or of every component; zero and infinity by default.
    penalty : Penalty or tuple of Penalty
        What is added to the objective.
    free : ndarray of bool, shape (k,), optional
        The components of H that are updated; all by default.
    l1, l2 : float
        Set by `alpha_W`, `alpha_H` and `l1_ratio`: strengths of ``l1 * sum(F) + l2 / 2 * ||F||^2``, as they stand in
        the objective; the l1 part is for components with a lower bound of zero.
    row_weights : ndarray of shape (n,), optional
        Set by `alpha_scaling`: what `l1` and `l2` of every row are multiplied by.
    penalized : ndarray of bool, shape (k,), optional
        Set by `biases`: the components to which these apply; all by default.

    Examples
    --------
    >>> import numpy as np, nmf_core
    >>> X = np.array([[1.0, 2.0], [2.0, 4.0], [3.0, 6.0]])
    >>> f = nmf_core.factorize(X, 1, H=nmf_core.Factor(upper=0.5), random_state=0)
    >>> bool(f.H.max() <= 0.5), bool(np.abs(X - f.W @ f.H).max() < 0.01)
    (True, True)
    """

    initial: Any = None
    lower: Any = None
    upper: Any = None
    penalty: Any = ()
    free: np.ndarray | None = None
    l1: float = 0.0
    l2: float = 0.0
    row_weights: np.ndarray | None = None
    penalized: np.ndarray | None = None

    @cached_property
    def penalties(self) -> tuple[Any, ...]:
        """The penalties besides l1 and l2."""
        return self.penalty if isinstance(self.penalty, tuple) else (self.penalty,)

    @cached_property
    def plain(self) -> bool:
        """Whether l1 and l2 are all that is said of it."""
        return self.lower is None and self.upper is None and not self.penalties

    @cached_property
    def is_penalized(self) -> bool:
        """Whether any penalty applies."""
        return bool(self.l1 or self.l2 or self.penalties)

    @property
    def keeps_scale(self) -> bool:
        """Whether its components may be multiplied, and those of the other factor divided, at no cost."""
        return not self.is_penalized and self.upper is None and (self.lower is None or not np.any(self.lower))

    @property
    def said(self) -> str:
        """What is said of it besides where it starts and `alpha_W`, `alpha_H` and `l1_ratio`."""
        penalties = ", ".join(f"{type(penalty).__name__} {vars(penalty)}" for penalty in self.penalties)
        fields = {"lower": self.lower, "upper": self.upper, "penalty": penalties or None}
        return ", ".join(f"{name}={value}" for name, value in fields.items() if value is not None)

    def checked(self, name: str, k: int) -> "Factor":
        """The same for k components, with bounds (k,).

        Raises
        ------
        TypeError, ValueError
            A field is not what it must be.
        """
        for field in ("l1", "l2", "row_weights", "penalized"):
            check_left_alone(
                f"{name}: {field}", getattr(self, field), "alpha_W, alpha_H, l1_ratio and alpha_scaling say it"
            )
        if name == "W":
            check_left_alone("W: free", self.free, "only components of H can be held fixed")
        lower, upper = check_bound(self.lower, f"{name}: lower", k), check_bound(self.upper, f"{name}: upper", k)
        check_below(np.zeros(k) if lower is None else lower, np.full(k, np.inf) if upper is None else upper, name)
        for penalty in self.penalties:
            check_method(penalty, f"{name}: penalty", "value")
        return replace(self, lower=lower, upper=upper)

    def penalized_by(self, l1: float, l2: float, row_weights: np.ndarray | None) -> "Factor":
        """The same with these strengths of penalties."""
        return replace(self, l1=l1, l2=l2, row_weights=row_weights)

    def order(self, k: int) -> np.ndarray:
        """The numbers of the components that are updated, as int32."""
        everything = np.arange(k, dtype=np.int32)
        return everything if self.free is None else everything[self.free]

    def bounds(self, k: int, dtype: np.dtype) -> tuple[np.ndarray | None, np.ndarray | None]:
        """The lower and the upper bounds of k components, None where they are zero or infinite."""
        lower, upper = (
            None if bound is None else np.array(np.broadcast_to(bound, k), dtype=dtype)
            for bound in (self.lower, self.upper)
        )
        return lower, upper

    def shift(self, gram: np.ndarray) -> np.ndarray:
        """The Gram matrix (k, k) of the penalised subproblem, contiguous; its linear term gains -l1."""
        if not self.is_penalized:
            return np.ascontiguousarray(gram)
        k = len(gram)
        if self.l2:
            gram = gram + self.l2 * np.eye(k, dtype=gram.dtype)
        for penalty in self.penalties:
            Q = penalty.quadratic(k)
            if Q is not None:
                gram = gram + Q.astype(gram.dtype)
        return np.ascontiguousarray(gram)

    def offset(self, F: np.ndarray, k: int) -> np.ndarray | None:
        """What penalties add to the linear term (n, k), at a factor array F; None if nothing."""
        slopes = [penalty.linear(F[:, :k]) for penalty in self.penalties]
        slopes = [slope for slope in slopes if slope is not None]
        return -sum(slopes[1:], slopes[0]) if slopes else None

    def weights_of(self, n: int, dtype: np.dtype) -> np.ndarray:
        """The weights of n rows, ones by default, in this precision."""
        return np.ones(n, dtype=dtype) if self.row_weights is None else self.row_weights.astype(dtype)

    def value(self, F: np.ndarray, k: int) -> float:
        """All penalties of a factor array F (n, ld) with k components, summed in double."""
        total = 0.0
        if self.l1 or self.l2:
            if self.penalized is None:
                total += self._elastic(F, self.l1)
            else:
                bounded = np.zeros(k) == (0 if self.lower is None else self.lower)
                total += self._elastic(F[:, :k][:, self.penalized & bounded], self.l1)
                total += self._elastic(F[:, :k][:, self.penalized & ~bounded], 0.0)
        return total + sum(float(penalty.value(F[:, :k])) for penalty in self.penalties)

    def _elastic(self, F: np.ndarray, l1: float) -> float:
        total, weights = 0.0, self.row_weights
        if l1:
            total += l1 * float(
                F.sum(dtype=np.float64) if weights is None else weights @ F.sum(axis=1, dtype=np.float64)
            )
        if self.l2:
            rows = np.einsum("ij,ij->" if weights is None else "ij,ij->i", F, F, dtype=np.float64)
            total += self.l2 / 2 * float(rows if weights is None else weights @ rows)
        return total
