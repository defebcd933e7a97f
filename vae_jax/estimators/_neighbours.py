"""Distances to the nearest training example."""

import functools
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from vae_jax.types import Array, Dataset

ROWS = 4096  # examples of each side that are compared at a time: 64 MiB of products


def nearest(dataset: Dataset, x: np.ndarray) -> np.ndarray:
    """min_t |x - t| over the training examples t, Euclidean, `[n]`; 0 exactly where x is one.

    Each t is made by the data set's `preprocess`, as x is: bits of greys that are binarized at
    every presentation are drawn once for each t.

    Args:
        dataset: with a training split.
        x: `[n, *x_shape]`.
    """
    rows = jnp.asarray(x.reshape(len(x), -1), jnp.float32)
    least = jnp.full(len(rows), jnp.inf)
    centre: Array | None = None
    for t in _training(dataset):
        centre = t.mean(0) if centre is None else centre
        least = _closer(rows, t, centre, least)
    return np.sqrt(np.asarray(least, np.float64))


def _training(dataset: Dataset) -> Iterator[Array]:
    """x of the training examples, `[ROWS, d]` at a time; the last are filled up with the first."""
    split, key = dataset.splits["train"], jax.random.key(len(dataset.splits["train"]))
    program = _presenting(dataset.preprocess)
    size = min(ROWS, len(split))
    for start in range(0, len(split), size):
        ids = np.arange(start, start + size)
        ids = np.where(ids < len(split), ids, start)
        raw = (
            split[ids] if isinstance(split, np.ndarray) else np.stack([split[int(i)] for i in ids])
        )
        yield program(key, ids, raw)


@functools.lru_cache(maxsize=1)
def _presenting(preprocess: Callable[[Array, Array], Array]) -> Any:
    def present(key: Array, ids: Array, raw: Array) -> Array:
        keys = jax.vmap(lambda i: jax.random.fold_in(key, i))(ids)
        return jax.vmap(preprocess)(keys, raw).reshape(len(raw), -1)

    return jax.jit(present)


@jax.jit
def _closer(x: Array, t: Array, centre: Array, least: Array) -> Array:
    """min(least, min_t |x - t|^2), `[n]`.

    The nearest t is found by products, |t|^2 - 2 x't about a centre, which lose digits where x is
    near to t; its distance is then taken by differences, which do not.
    """
    around = t - centre
    half_square = (around**2).sum(1) / 2

    def of_one(x: Array) -> Array:
        products = jnp.matmul(around, x - centre, precision="highest")
        return ((x - t[jnp.argmin(half_square - products)]) ** 2).sum()

    return jnp.minimum(least, jax.lax.map(of_one, x, batch_size=ROWS))
