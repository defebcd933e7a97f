"""Data as it was brought: which rows of it the examples are, and in which units it was."""

from collections.abc import Sequence
from typing import NamedTuple, Self

import numpy as np


class Origin(NamedTuple):
    """Where the examples of a split come from, as the person who brought them numbers them."""

    array: str  # its name
    rows: Sequence[int]  # [len(split)], of that array


class Standardization(NamedTuple):
    """x = (what was brought - mean) / scale, element by element, in float64 on the host."""

    mean: np.ndarray  # [*x_shape], of the training split
    scale: np.ndarray  # [*x_shape], its standard deviation, 1 where that is 0

    @classmethod
    def of(cls, brought: np.ndarray) -> Self:
        """The numbers that standardize examples `[n, *x_shape]`."""
        values = np.asarray(brought, np.float64)
        is_constant = values.max(0) == values.min(0)
        return cls(values.mean(0), np.where(is_constant, 1.0, values.std(0)))

    def apply(self, brought: np.ndarray) -> np.ndarray:
        """x of examples `[n, *x_shape]` as they were brought, float32."""
        return ((np.asarray(brought, np.float64) - self.mean) / self.scale).astype(np.float32)

    def undo(self, x: np.ndarray) -> np.ndarray:
        """The values of x in the units in which they were brought, float64."""
        return np.asarray(x, np.float64) * self.scale + self.mean

    @property
    def log_jacobian(self) -> float:
        """ln |dx / d brought|, nats: log p(brought) = log p(x) + this."""
        return -float(np.log(self.scale).sum())
