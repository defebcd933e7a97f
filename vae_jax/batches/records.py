"""The identity of a split: what makes it this data and no other, and whether two are the same."""

import hashlib
from collections.abc import Mapping
from typing import Any, NamedTuple, Self

import jax
import numpy as np

from vae_jax.batches.splits import gather
from vae_jax.types import Dataset

MOST_DECODED = 1000  # examples hashed of a split that is no array, whose examples are decoded
PRESENTED = 1000  # examples that the moments of x are of
SAME_X = 1e-3  # relative, of moments: rounding differs between devices


class Record(NamedTuple):
    """A split of a data set, as `data.json` keeps it."""

    sha256: str  # of the stored examples, their number, shape and dtype
    shape: list[int]  # [n, ...] as stored
    dtype: str
    x: dict[str, float]  # mean, std, min and max of x, by draws that are always the same

    @classmethod
    def read(cls, entries: Mapping[str, Any]) -> Self:
        """A record as a file has it, which may say more."""
        return cls(**{name: entries[name] for name in cls._fields})

    def __str__(self) -> str:
        return f"{self.shape} {self.dtype}, sha256 {self.sha256[:8]}"


def record_of(dataset: Dataset, name: str) -> Record:
    """The record of a split; of one that is decoded as it is read, some examples stand for all."""
    split = dataset.splits[name]
    first = np.asarray(split[0])
    shape, dtype = [len(split), *first.shape], str(first.dtype)
    digest = hashlib.sha256(f"{shape} {dtype}".encode())
    whole = isinstance(split, np.ndarray)
    rows = range(len(split)) if whole else _spread(len(split), MOST_DECODED)
    for start in range(0, len(rows), MOST_DECODED):
        digest.update(gather(split, np.asarray(rows[start : start + MOST_DECODED])).tobytes())
    return Record(digest.hexdigest(), shape, dtype, _moments(dataset, split))


def _spread(count: int, most: int) -> list[int]:
    """At most that many places, from the first to the last."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).astype(int)).tolist()


def _moments(dataset: Dataset, split: Any) -> dict[str, float]:
    raw = gather(split, slice(0, PRESENTED))
    keys = jax.random.split(jax.random.key(0), len(raw))
    x = np.asarray(jax.jit(jax.vmap(dataset.preprocess))(keys, raw), np.float64)
    moments = {"mean": x.mean(), "std": x.std(), "min": x.min(), "max": x.max()}
    return {name: float(value) for name, value in moments.items()}


def same_examples(one: Record, other: Record) -> bool:
    """Whether two splits hold the same stored examples in the same order."""
    return one.sha256 == other.sha256


def same_x(one: Record, other: Record) -> bool:
    """Whether x is made of stored examples in the same way, as far as its moments tell."""
    pairs = [(one.x[name], other.x[name]) for name in one.x]
    size = max(abs(value) for pair in pairs for value in pair)
    return all(abs(a - b) <= SAME_X * size for a, b in pairs)
