"""Randomness as a function of (seed, purpose, step, example), the order of examples included."""

from functools import partial
from typing import NamedTuple

import jax
import numpy as np

from vae_jax.types import Array


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


def epoch_order(key: Array, epoch: int, size: int, batch_size: int) -> np.ndarray:
    """The examples of an epoch, `[steps, batch]`: a permutation that is a function of (key, epoch).

    Examples that do not fill a batch are left for another epoch's order.
    """
    order = np.asarray(_permutation(key, epoch, size))
    steps = size // batch_size
    return order[: steps * batch_size].reshape(steps, batch_size)


@partial(jax.jit, static_argnums=2)
def _permutation(key: Array, epoch: int, size: int) -> Array:
    return jax.random.permutation(jax.random.fold_in(key, epoch), size)
