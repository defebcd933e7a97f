"""Data as it was brought: which rows of it the examples are, and in which units it was."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class Origin(NamedTuple):
    """Where the examples of a split come from, as the person who brought them numbers them."""

    array: str  # its name
    rows: Sequence[int]  # [len(split)], of that array


class Standardization(NamedTuple):
    """x = (what was brought - mean) / scale, element by element, in float64 on the host."""

    mean: np.ndarray  # [*x_shape], of the training split
    scale: np.ndarray  # [*x_shape], its standard deviation, 1 where that is 0

    @property
    def log_jacobian(self) -> float:
        """ln |dx / d brought|, nats: log p(brought) = log p(x) + this."""
        return -float(np.log(self.scale).sum())
