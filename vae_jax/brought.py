"""Data as it was brought: which rows of it the examples are, and in which units it was."""

from collections.abc import Sequence
from typing import Any, NamedTuple, Self

import numpy as np

from vae_jax.errors import UserError


class Origin(NamedTuple):
    """Where the examples of a split come from, as the person who brought them numbers them."""

    array: str  # its name
    rows: Sequence[int] | np.ndarray  # [len(split)], of that array


TINY, HUGE = 1e-140, 1e140  # between them a square of float64 neither underflows nor overflows


class Standardization(NamedTuple):
    """x = (what was brought - mean) / scale, element by element, in float64 on the host."""

    mean: np.ndarray  # [*x_shape], of the training split
    scale: np.ndarray  # [*x_shape], its standard deviation, 1 where that is 0

    @classmethod
    def of(cls, brought: Any) -> Self:
        """The numbers that standardize examples `[n, *x_shape]`; what is not finite is left out.

        Raises:
            UserError: if float64 cannot hold a standard deviation.
        """
        values = np.ma.masked_invalid(np.asarray(brought, np.float64))
        is_constant = (values.max(0) == values.min(0)).filled(True)
        largest = np.abs(values).max(0).filled(0.0)
        is_usual = (largest == 0) | ((largest > TINY) & (largest < HUGE))
        unit = np.where(is_usual, 1.0, largest)  # in which no square overflows or is lost
        spread = (values / unit).std(0).filled(1.0) * unit
        scale = np.where(is_constant, 1.0, spread)
        if not (np.isfinite(scale) & (scale > 0)).all():
            raise UserError("standardize: a standard deviation is beyond float64: change the unit")
        return cls((values / unit).mean(0).filled(0.0) * unit, scale)

    def apply(self, brought: Any) -> np.ndarray:
        """x of examples `[..., *x_shape]` as they were brought, float32.

        Raises:
            UserError: for examples of another shape.
        """
        values = np.asarray(brought, np.float64)
        shape = np.shape(self.mean)
        if values.shape[values.ndim - len(shape) :] != shape:
            have = f"examples have shape {values.shape[1:]}"
            raise UserError(f"standardize: {have}, and those of the training split {shape}")
        with np.errstate(over="ignore"):
            return ((values - self.mean) / self.scale).astype(np.float32)

    def undo(self, x: Any) -> np.ndarray:
        """The values of x `[..., *x_shape]` in the units that were brought, float64."""
        return np.asarray(x, np.float64) * self.scale + self.mean

    @property
    def log_jacobian(self) -> float:
        """ln |dx / d brought|, nats: log p(brought) = log p(x) + this."""
        return -float(np.log(self.scale).sum())
