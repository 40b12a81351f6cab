"""Arrays of more than two dimensions as matrices, and back."""

import math
from typing import Any, NamedTuple

import numpy as np

from nmf_core.validation import check_same_axes, check_sample_axes


class Axes(NamedTuple):
    """Which axes of an array are samples: they are the rows of its matrix, in their order, all others the columns.

    Attributes
    ----------
    samples : tuple of int
        Axes of samples, counted from 0.
    shape : tuple of int
        The shape of the array.
    """

    samples: tuple[int, ...]
    shape: tuple[int, ...]

    @classmethod
    def of(cls, X: Any, sample_axes: Any) -> "Axes | None":
        """Those of an array; None for a matrix whose rows are samples."""
        if sample_axes is None:
            return None
        shape = tuple(np.shape(X))
        return cls(check_sample_axes(sample_axes, shape), shape)

    @property
    def features(self) -> tuple[int, ...]:
        """Axes of features."""
        return tuple(axis for axis in range(len(self.shape)) if axis not in self.samples)

    @property
    def sample_shape(self) -> tuple[int, ...]:
        """The lengths of the axes of samples."""
        return tuple(self.shape[axis] for axis in self.samples)

    @property
    def feature_shape(self) -> tuple[int, ...]:
        """The lengths of the axes of features."""
        return tuple(self.shape[axis] for axis in self.features)

    def flattened(self, A: Any, name: str = "X") -> np.ndarray:
        """An array with these axes as a matrix (n_samples, n_features); axes of samples may have other lengths."""
        A = np.asarray(A)
        check_same_axes(A.shape, self.shape, self.samples, name)
        moved = A.transpose((*self.samples, *self.features))
        return moved.reshape(-1, math.prod(self.feature_shape))

    def restored(self, A: np.ndarray) -> np.ndarray:
        """A matrix of all samples as an array with these axes."""
        moved = A.reshape((*self.sample_shape, *self.feature_shape))
        return moved.transpose(np.argsort((*self.samples, *self.features)))
