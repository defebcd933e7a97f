"""Whether x takes few values, as bits and greys do: a continuous density of that has no limit."""

from collections.abc import Iterable, Sequence

import jax
import numpy as np

from vae_jax.batches.splits import examples
from vae_jax.config import components
from vae_jax.datasets import columns
from vae_jax.errors import counted
from vae_jax.types import Dataset

MOST_VALUES = 4096  # different ones that are few
SHARED_BY = 10  # observations of a value that is no coincidence
LOOKED_AT = 1_000_000  # numbers of a split
NO_PROBABILITY = "a density of that is no probability, and grows without limit as its scale shrinks"
MASSES = "give a likelihood of bits, counts or levels"
ADVICE = {  # an argument that a data set takes -> what it can do
    "values": "give values='dequantized', or a likelihood of bits or levels",
    "one_hot": "drop such columns, or, where all are such, give standardize=False and a likelihood "
    "of bits, counts or levels",
}


def few_values(dataset: Dataset, splits: Iterable[str]) -> str:
    """The elements of x that take few values in a split, in words; empty where there are none.

    Args:
        dataset: the data set; x is looked at as it is presented.
        splits: of which the first examples are looked at.
    """
    firsts = (_first(dataset, split) for split in splits if split in dataset.splits)
    by_split = [_few(first, dataset.names) for first in firsts]
    return max(by_split, key=len, default="")


def advice(data: str) -> str:
    """The way out of few values for a data set, by its name: it depends on what it takes."""
    takes = components.options(components.find("datasets", components.parse(data).name))
    return next((text for argument, text in ADVICE.items() if argument in takes), MASSES)


def _first(dataset: Dataset, split: str) -> np.ndarray:
    """The first examples of a split, `[n, ...]`; NaN where nothing was observed."""
    size = int(np.prod(np.shape(dataset.splits[split][0])))
    _, batch = examples(dataset, jax.random.key(0), split, max(100, LOOKED_AT // size))
    x = np.asarray(batch.x)
    return x if batch.observed is None else np.where(batch.observed, x, np.nan)


def _few(x: np.ndarray, names: Sequence[str]) -> str:
    few = np.array([is_discrete(element) for element in x.reshape(len(x), -1).T])
    if x.ndim == 2 and few.any() and not few.all():
        how = "" if names else " (counted from 0)"
        return f"x takes few values in {columns(few, names)}{how}"
    if is_discrete(x):
        return f"x takes {counted(len(np.unique(x[~np.isnan(x)])), 'value')} only"
    return "the elements of x take few values" if few.mean() > 0.5 else ""


def is_discrete(values: np.ndarray) -> bool:
    """Whether numbers are of few values: most of them are shared by many observations.

    The least, the largest and the most frequent value are left out of account, since clipped and
    censored measurements are continuous between such values; numbers that take no others are few.
    """
    values = values[~np.isnan(values)]
    different, counts = np.unique(values, return_counts=True)
    if not values.size:
        return False
    if len(different) > min(MOST_VALUES, values.size / 2):
        return False
    counts[[0, -1, int(counts.argmax())]] = 0
    return bool(counts[counts >= SHARED_BY].sum() >= counts.sum() / 2)
