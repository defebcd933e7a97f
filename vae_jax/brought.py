"""Data as it was brought: which rows of it the examples are, and in which units it was."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Self

import jax
import numpy as np

from vae_jax.errors import UserError

Array = jax.Array
Shape = tuple[int, ...]


def as_it_is(x: Any) -> Any:
    """x, where nothing is to be done to it."""
    return x


class Origin(NamedTuple):
    """Where the examples of a split come from, as the person who brought them numbers them."""

    array: str  # its name
    rows: Sequence[int] | np.ndarray  # [len(split)], of that array
    ids: np.ndarray | None = None  # [len(split)], what its examples are called, where they are


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


class Dataset(NamedTuple):
    """Splits as they are stored, and what is done to one example on the device.

    `preprocess(key, raw)` makes x `[*x_shape]`, float32, of a stored example, bits where asked for.
    `log_prob(x)` is the data's own density, nats `[...]`, where it is known.
    """

    splits: Mapping[str, Any]  # "train", "test", and "validation" where held out: rows by index
    preprocess: Callable[[Array, Array], Array]
    log_prob: Callable[[Array], Array] | None = None
    labels: Mapping[str, Any] = {}  # per split [n]: for colours, probes and conditions
    usable: Callable[[Any], Any] = np.isfinite  # stored values -> which of them make sense
    bin_width: float | None = None  # a level's width in x, 1 for integers; None: no levels
    origins: Mapping[str, Origin] = {}  # per split; without one, examples are numbered in it
    standardization: Standardization | None = None  # done to what `splits` hold
    remarks: Sequence[str] = ()  # doubts about the data, a line each, logged before training
    restore: Callable[[Any], Any] = as_it_is  # x -> stored values, where they can be told
    missing: bool = False  # NaN in `splits` stands for a value that was not observed
    covariates: Mapping[str, Mapping[str, Any]] = {}  # name -> split -> [n] or [n, d]: conditions
    names: Sequence[str] = ()  # of the columns of x [d], where they have some

    def __repr__(self) -> str:
        shapes = [f"{name}={len(s)} x {list(np.shape(s[0]))}" for name, s in self.splits.items()]
        return f"Dataset({', '.join(shapes)})"
