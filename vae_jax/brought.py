"""Data as it was brought: which rows of it the examples are, and in which units it was."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Self

import jax
import numpy as np

from vae_jax.errors import UserError, counted

Array = jax.Array
Shape = tuple[int, ...]


def as_it_is(x: Any) -> Any:
    """x, where nothing is to be done to it."""
    return x


def _nothing(i: int) -> str:
    """The name of an example that has none."""
    return ""


class Origin(NamedTuple):
    """Where the examples of a split come from, as the person who brought them numbers them."""

    array: str  # its name
    rows: Sequence[int] | np.ndarray  # [len(split)], of that array
    ids: np.ndarray | None = None  # [len(split)], what its examples are called, where they are


MOST_CLASSES = 1000
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


class Coding(NamedTuple):
    """How a condition becomes numbers: a class one-hot, or real numbers standardized."""

    name: str  # of the condition: labels, or a covariate
    classes: np.ndarray | None = None  # [G], sorted, of the training split; None: real numbers
    standardization: Standardization | None = None  # of the real numbers `[G]`
    shares: Any = None  # [G], of the classes in the training split

    @classmethod
    def of(cls, name: str, train: Any) -> Self:
        """The coding of the values `[n]` or `[n, d]` of a training split.

        Floats are real numbers; whole numbers, booleans and text, one for each example, are names
        of classes.

        Raises:
            UserError: for over 1,000 classes, several columns of them, and values that are missing.
        """
        values = _as_values(name, train)
        if values.dtype.kind == "f":
            return cls(name, None, Standardization.of(_columns(values)))
        if values.ndim > 1:
            raise UserError(f"given: {name!r} has shape {values.shape}: one class an example")
        classes, counts = np.unique(values, return_counts=True)
        if len(classes) > MOST_CLASSES:
            advice = "as floats they are taken as numbers"
            raise UserError(f"given: {name!r} has {len(classes):,} different values: {advice}")
        return cls(name, classes, None, counts / counts.sum())

    @property
    def size(self) -> int:
        """G, how many numbers stand for a condition."""
        if self.classes is not None:
            return len(self.classes)
        return 0 if self.standardization is None else len(self.standardization.mean)

    def codes(self, values: Any, name_of: Callable[[int], str] = _nothing) -> np.ndarray:
        """The values as a device keeps them: places in `classes` `[n]`, int32, or float32 `[n, G]`.

        Args:
            values: `[n]` or `[n, d]`, as they were brought.
            name_of: the name of example i, for messages.

        Raises:
            UserError: for a class that the training split has not, and values that are missing.
        """
        array = _as_values(self.name, values, name_of)
        if self.classes is None:
            assert self.standardization is not None
            return self.standardization.apply(_columns(array))
        places = {v: i for i, c in enumerate(self.classes.tolist()) for v in (str(c), c)}
        if unknown := [(i, v) for i, v in enumerate(array.tolist()) if v not in places]:
            known = ", ".join(map(str, self.classes[:20])) + ", ..." * (len(self.classes) > 20)
            (i, value), what = unknown[0], f"{self.name!r} has no class"
            raise UserError(f"given: {_at(i, name_of)}{what} {value!s}: there are {known}")
        return np.array([places[v] for v in array.tolist()], np.int32)

    def expand(self, codes: Array) -> Array:
        """The conditions that a model is given, float32 `[..., G]`, of their codes."""
        return codes if self.classes is None else jax.nn.one_hot(codes, len(self.classes))

    def encode(self, values: Any) -> Array:
        """The conditions `[n, G]` of values as they were brought."""
        return self.expand(jax.numpy.asarray(self.codes(values)))


def _at(i: int, name_of: Callable[[int], str]) -> str:
    """`train split, example 3 of 'x': `; empty where examples have no names."""
    name = name_of(i)
    return f"{name}: " if name else ""


def _as_values(name: str, values: Any, name_of: Callable[[int], str] = _nothing) -> np.ndarray:
    array = np.asarray(values)
    if array.dtype.kind == "f" and not (ok := np.isfinite(array)).all():
        at = _at(int(np.argwhere(~ok)[0][0]), name_of) if array.ndim else ""
        raise UserError(
            f"given: {at}{name!r} has values that are not finite: each example needs one"
        )
    if array.dtype.kind not in "biufUT":
        raise UserError(f"given: {name!r} is of dtype {array.dtype}: numbers or text are needed")
    if array.dtype.kind in "UT" and (empty := np.flatnonzero(array == "")).size:
        cells = counted(len(empty), "empty cell")
        at = _at(int(empty[0]), name_of) if array.ndim else ""
        raise UserError(f"given: {at}{name!r} has {cells}: each example needs a class")
    return array


def _columns(values: np.ndarray) -> np.ndarray:
    return values[:, None] if values.ndim == 1 else values


class Dataset(NamedTuple):
    """Splits as they are stored, and what is done to one example on the device.

    `preprocess(key, raw)` makes x `[*x_shape]`, float32, of a stored example, bits where asked for.
    `log_prob(x)` is the data's own density, nats `[...]`, where it is known, and
    `log_prob_given(x, y)` that given labels y `[..., G]`, one-hot.
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
    given: Mapping[str, Any] = {}  # per split, codes of what the model is conditioned on
    coding: Coding | None = None  # of `given`
    log_prob_given: Callable[[Array, Array], Array] | None = None

    def __repr__(self) -> str:
        shapes = [f"{name}={len(s)} x {list(np.shape(s[0]))}" for name, s in self.splits.items()]
        return f"Dataset({', '.join(shapes)})"
