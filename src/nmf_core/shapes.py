"""Arrays of more than two dimensions as matrices, and back."""

import math
from typing import Any, NamedTuple

import numpy as np

from nmf_core.labels import Labelled, labelled
from nmf_core.validation import (
    check_array,
    check_axes_of_factor,
    check_positions,
    check_same_axes,
    check_sample_axes,
    check_shape,
    check_two_axes,
    check_weights_shape,
)


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
            check_two_axes(getattr(X, "ndim", 2))
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

    @property
    def order(self) -> tuple[int, ...]:
        """All axes, those of samples first."""
        return (*self.samples, *self.features)

    # --- to matrices

    def flattened(self, X: Any, name: str = "X", *, new: bool = False) -> Labelled:
        """An array with these axes as a matrix (n_samples, n_features); `new` samples may be more or fewer."""
        array = check_array(labelled(X, name), name)
        if new:
            check_same_axes(array.shape, self.shape, self.samples, name)
        else:
            check_shape(array.shape, self.shape, name)
        return Axes(self.samples, array.shape)._as_matrix(array)

    def weights(self, weights: Any) -> Labelled:
        """Weights of the entries of an array with these axes as a matrix.

        Axes of length one count for all of X, and so do weights of its samples alone, which have no other axes.
        """
        array = check_array(labelled(weights, "weights"), "weights")
        if array.shape == self.sample_shape and self.samples == tuple(sorted(self.samples)):
            array = np.expand_dims(array, self.features)
        if array.ndim == len(self.shape):
            spread = tuple(n if m == 1 else m for m, n in zip(array.shape, self.shape, strict=True))
            array = np.broadcast_to(array, spread)
        check_weights_shape(array.shape, self.shape)
        return self._as_matrix(array)

    def _as_matrix(self, array: np.ndarray) -> Labelled:
        matrix = array.transpose(self.order).reshape(-1, math.prod(self.feature_shape))
        return Labelled(matrix, axes=self)

    def as_W(self, W: Any) -> Any:
        """W of what has the shape of `Factorization.maps`, whose blanks are zero; anything else as it is."""
        if not isinstance(W, np.ndarray) or W.ndim < 2:
            return W
        if W.ndim > 2:
            check_axes_of_factor(W.shape[:-1], self.sample_shape, "W", "samples")
        W = W.reshape(-1, W.shape[-1])
        blank = W.dtype.kind == "f" and np.isnan(W).all(axis=1, keepdims=True)
        return np.where(blank, W.dtype.type(0), W) if np.any(blank) else W

    def as_H(self, H: Any, name: str = "H") -> Any:
        """H of what has the shape of `Factorization.images`; anything else as it is."""
        shape = np.shape(H) if isinstance(H, np.ndarray | list | tuple) else ()
        if len(shape) < 3:
            return H
        check_axes_of_factor(shape[1:], self.feature_shape, name, "features")
        return np.reshape(H, (shape[0], -1))

    # --- and back

    def restored(self, A: np.ndarray, *, some: bool = False) -> np.ndarray:
        """A matrix of all samples as an array with these axes; `some` samples come first where they had several."""
        if some and len(self.samples) > 1:
            return A.reshape((len(A), *self.feature_shape))
        shape = (len(A),) if some else self.sample_shape
        return A.reshape((*shape, *self.feature_shape)).transpose(np.argsort(self.order))

    def place(self, row: int, column: int) -> list[int]:
        """Where an entry of the matrix is in the array."""
        of_sample, of_feature = np.unravel_index(row, self.sample_shape), np.unravel_index(column, self.feature_shape)
        place = dict(zip(self.order, (*of_sample, *of_feature), strict=True))
        return [int(place[axis]) for axis in range(len(self.shape))]

    def numbers(self, places: Any, what: str) -> Any:
        """Numbers of rows or columns from positions along their axes, if there are several; all else as it is."""
        shape = self.sample_shape if what == "row" else self.feature_shape
        if len(shape) == 1:
            return places
        if isinstance(places, list) and places and all(isinstance(place, tuple) for place in places):
            places = tuple(np.transpose(places))
        if not isinstance(places, tuple):
            return places
        return np.ravel_multi_index(check_positions(places, shape, what), shape)
