"""Bounds of the scales in layers of flows, and the order of their dimensions."""

from collections.abc import Iterable

import jax.numpy as jnp
from numpyro.distributions.transforms import PermuteTransform, Transform

from vae_jax.types import Array

LARGEST_LOG_SCALE = 3.0


def bounded(log_scale: Array) -> Array:
    """3 tanh(s / 3): one layer scales by no more than e^3, so that a chain of them stays finite."""
    return LARGEST_LOG_SCALE * jnp.tanh(log_scale / LARGEST_LOG_SCALE)


def reversing(layers: Iterable[Transform], dimensions: int) -> list[Transform]:
    """The layers, the order of the dimensions reversed after each."""
    reverse = PermuteTransform(jnp.arange(dimensions)[::-1])
    return [transform for layer in layers for transform in (layer, reverse)]
