"""Stored examples with what each is conditioned on, and how rows of them are read."""

from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from vae_jax.datasets import Lazy
from vae_jax.types import Dataset


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Rows:
    """Stored examples, and the codes of their conditions; a sequence of such, and a pytree."""

    x: Any  # [n, ...]
    given: Any  # [n] or [n, G]

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, rows: Any) -> "Rows":
        return Rows(self.x[rows], self.given[rows])

    @property
    def nbytes(self) -> int:
        """Bytes of all of them."""
        return sum(np.asarray(leaf).nbytes for leaf in (self.x, self.given))


def rows_of(dataset: Dataset, split: str) -> Any:
    """The examples of a split, with their conditions where the model is given some."""
    x = dataset.splits[split]
    return Rows(x, dataset.given[split]) if dataset.given else x


def gather(split: Any, rows: Any) -> Any:
    """The examples of a slice or an index array, stacked, from an array or any sequence."""
    if isinstance(split, Rows):
        return Rows(gather(split.x, rows), gather(split.given, rows))
    if isinstance(split, np.ndarray | Lazy):
        return np.asarray(split[rows])
    indices = range(len(split))[rows] if isinstance(rows, slice) else rows
    return np.stack([split[int(i)] for i in indices])


def first(split: Any, count: int) -> Any:
    """The first examples of a split."""
    return split if count == len(split) else gather(split, slice(0, count))


def example_bytes(split: Any) -> int:
    """Bytes of one example as it is stored."""
    first = split[0]
    return first.nbytes if isinstance(first, Rows) else np.asarray(first).nbytes
