"""The identity of a split: what makes it this data and no other, and whether two are the same."""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, Self

import jax
import numpy as np

from vae_jax.batches.rows import Rows, gather
from vae_jax.datasets import Lazy

CHUNK = 1000  # examples read at a time
MOST_DECODED = 1000  # examples that stand for a split which is decoded as it is read
SAME_X = 1e-3  # relative, of moments: rounding differs between devices


class Record(NamedTuple):
    """A split of a data set, as `data.json` keeps it."""

    sha256: str  # of the stored examples, their number, shape and dtype
    shape: list[int]  # [n, ...] as stored
    dtype: str

    @classmethod
    def read(cls, entries: Mapping[str, Any]) -> Self:
        """A record as a file has it, which may say more."""
        return cls(**{name: entries[name] for name in cls._fields})

    def __str__(self) -> str:
        return f"{self.shape} {self.dtype}, sha256 {self.sha256[:8]}"


def record_of(split: Any) -> Record:
    """The record of a split; of one that is decoded as it is read, some examples stand for all.

    Where there are conditions, their codes are part of the hash.
    """
    if isinstance(split, Rows):
        x = record_of(split.x)
        digest = hashlib.sha256(x.sha256.encode() + np.asarray(split.given).tobytes())
        return x._replace(sha256=digest.hexdigest())
    first = np.asarray(split[0])
    shape, dtype = [len(split), *first.shape], str(first.dtype)
    digest = hashlib.sha256(f"{shape} {dtype}".encode())
    for examples in _chunks(split):
        digest.update(examples.tobytes())
    return Record(digest.hexdigest(), shape, dtype)


def _chunks(split: Any) -> Iterator[np.ndarray]:
    if isinstance(split, np.ndarray) or (isinstance(split, Lazy) and not split.is_decoded):
        yield from (split[i : i + CHUNK] for i in range(0, len(split), CHUNK))
    else:
        yield gather(split, np.linspace(0, len(split) - 1, MOST_DECODED).astype(int))


def moments(x_of: Callable[[Any, Any], Any], split: Any) -> dict[str, float]:
    """Mean, standard deviation and ends of x of the first examples, always by the same draws.

    They tell how x is made of what is stored: two that differ are of different x.

    Args:
        x_of: (keys, raw) -> x `[CHUNK, *x_shape]`.
        split: as stored; one that is shorter than `CHUNK` is repeated.
    """
    raw = gather(split, np.arange(CHUNK) % len(split))
    x = np.asarray(x_of(jax.random.split(jax.random.key(0), CHUNK), raw), np.float64)
    return {n: float(getattr(x, n)()) for n in ("mean", "std", "min", "max")}


def same_x(one: Mapping[str, float], other: Mapping[str, float]) -> bool:
    """Whether two `moments` are equal up to rounding."""
    size = max(map(abs, (*one.values(), *other.values())))
    return all(abs(one[name] - other[name]) <= SAME_X * size for name in one)
