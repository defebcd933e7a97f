"""Randomness as a function of (seed, purpose, step, example), the order of examples included."""

from functools import partial
from typing import NamedTuple

import jax
import numpy as np

from vae_jax.types import Array, Dataset


class Keys(NamedTuple):
    """A seed's keys, one for each purpose, so that no two purposes share a stream."""

    model: Array
    order: Array
    train: Array
    start: Array  # of the data that data-dependent starts see
    validate: Array
    evaluate: Array
    sample: Array


def keys_of(seed: int) -> Keys:
    """The keys that a seed stands for."""
    return Keys(*jax.random.split(jax.random.key(seed), len(Keys._fields)))


def example_keys(key: Array, ids: Array) -> Array:
    """Two keys for each example, `[batch, 2]`, functions of (key, its index in the split)."""
    return jax.vmap(lambda i: jax.random.split(jax.random.fold_in(key, i)))(ids)


def presented(dataset: Dataset, keys: Array, raw: Array) -> tuple[Array, Array]:
    """x, made of stored examples with one of their keys; the other is for what follows.

    Args:
        dataset: the data set.
        keys: `[batch, 2]`, see `example_keys`.
        raw: examples as stored, `[batch, ...]`.

    Returns:
        keys `[batch]` and x `[batch, *x_shape]`.
    """
    return keys[:, 0], jax.vmap(dataset.preprocess)(keys[:, 1], raw)


def epoch_order(key: Array, epoch: int, size: int, batch_size: int) -> np.ndarray:
    """The examples of an epoch, `[steps, batch]`: a permutation that is a function of (key, epoch).

    What does not fill a batch is left for another epoch's order.
    """
    order = np.asarray(_permutation(key, epoch, size))
    steps = size // batch_size
    return order[: steps * batch_size].reshape(steps, batch_size)


@partial(jax.jit, static_argnums=2)
def _permutation(key: Array, epoch: int, size: int) -> Array:
    return jax.random.permutation(jax.random.fold_in(key, epoch), size)
