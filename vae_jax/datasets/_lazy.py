"""Examples that are read as they are asked for: of files larger than memory, or to be decoded."""

import functools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from vae_jax.brought import Standardization
from vae_jax.errors import UserError

CHUNK_BYTES = 16 * 2**20


class Lazy:
    """Rows of something that can be read, as a sequence of examples `[n, ...]`.

    An integer gives an example; a slice or an array of places gives some, stacked.
    """

    def __init__(
        self, read: Callable[[np.ndarray], np.ndarray], rows: Any, *, is_decoded: bool = False
    ):
        """`read` makes arrays `[k, ...]` of rows `[k]`; `is_decoded`: reading takes long."""
        self.read, self._rows = read, np.asarray(rows)
        self.is_decoded = is_decoded

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, places: Any) -> np.ndarray:
        rows = self._rows[places]
        return self.read(rows) if rows.ndim else self.read(rows[None])[0]

    @functools.cached_property
    def _first(self) -> np.ndarray:
        return self[:1]

    @property
    def shape(self) -> tuple[int, ...]:
        """As of an array."""
        return len(self), *self._first.shape[1:]

    @property
    def ndim(self) -> int:
        """As of an array."""
        return self._first.ndim

    @property
    def dtype(self) -> np.dtype:
        """As of an array."""
        return self._first.dtype

    def at(self, places: Any) -> "Lazy":
        """The same of some places, an array or a range; nothing is read."""
        return Lazy(self.read, self._rows[np.asarray(places)], is_decoded=self.is_decoded)

    def converted(self, convert: Callable[[np.ndarray], np.ndarray]) -> "Lazy":
        """The same with `convert` done to what is read; nothing is read."""
        read = self.read
        return Lazy(lambda rows: convert(read(rows)), self._rows, is_decoded=self.is_decoded)

    def astype(self, dtype: Any, copy: bool = True) -> "Lazy":
        """As of an array; nothing is read."""
        return self.converted(lambda read: read.astype(dtype, copy=copy))

    def chunks(self) -> Iterator[np.ndarray]:
        """All examples, in the order in which they are stored."""
        rows = np.sort(self._rows)
        for some in pieces(len(self), self._first.nbytes):
            yield self.read(rows[some])


def chunks(split: np.ndarray | Lazy) -> Iterator[np.ndarray]:
    """All examples of a split, some at a time, in whatever order is fast."""
    if isinstance(split, Lazy):
        yield from split.chunks()
    else:
        for some in pieces(len(split), split[:1].nbytes):
            yield split[some]


def pieces(total: int, size: int) -> Iterator[slice]:
    """The parts, one after another, in which `total` examples of `size` bytes each are read."""
    step = max(1, CHUNK_BYTES // size)
    return (slice(start, start + step) for start in range(0, total, step))


def ends(split: np.ndarray | Lazy) -> tuple[np.ndarray, np.ndarray]:
    """The least and the largest value of each element, `[*x_shape]`; NaN is passed over."""
    pairs = [(np.fmin.reduce(part), np.fmax.reduce(part)) for part in chunks(split)]
    least, largest = zip(*pairs, strict=True)
    return np.fmin.reduce(least), np.fmax.reduce(largest)


def standardization_of(split: np.ndarray | Lazy) -> Standardization:
    """The numbers that standardize a split; of one that is not in memory chunk by chunk.

    Two chunks of n and k values, means m and m', have the sum of squares about their common mean
    S + S' + (m' - m)^2 nk / (n + k) (Chan et al. 1979).

    Raises:
        UserError: if float64 cannot hold a standard deviation.
    """
    if not isinstance(split, Lazy):
        return Standardization.of(split)
    least, largest = ends(split)
    n, mean, squares = (np.zeros(split.shape[1:]) for _ in range(3))
    with np.errstate(over="ignore", invalid="ignore"):
        for part in split.chunks():
            values = np.ma.masked_invalid(part.astype(np.float64))
            k, centre = values.count(0), values.mean(0).filled(0.0)
            total, apart = np.maximum(n + k, 1), centre - mean
            squares += ((values - centre) ** 2).sum(0).filled(0.0) + apart**2 * n * k / total
            mean, n = mean + apart * k / total, n + k
        is_constant = (least == largest) | (n == 0)
        scale = np.where(is_constant, 1.0, np.sqrt(squares / np.maximum(n, 1)))
    if not (np.isfinite(scale) & (scale > 0)).all():
        raise UserError("standardize: a standard deviation is beyond float64: change the unit")
    return Standardization(mean, scale)
