"""Posteriors of several layers: networks in a list, and normals of what networks return."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp

from vae_jax.types import Array, Network, Params


def init_all(networks: Sequence[Network], key: Array) -> list[Params]:
    """The parameters of each network."""
    keys = jax.random.split(key, max(1, len(networks)))
    return [network.init(k) for network, k in zip(networks, keys, strict=False)]


def beside(features: Array, layers: Sequence[Array]) -> Array:
    """Features of an example beside draws of layers, `[..., all of them]`."""
    parts = [features, *layers]
    leading = jnp.broadcast_shapes(*(part.shape[:-1] for part in parts))
    return jnp.concatenate(
        [jnp.broadcast_to(part, (*leading, part.shape[-1])) for part in parts], -1
    )
