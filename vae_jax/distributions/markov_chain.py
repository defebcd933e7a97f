from typing import Any

import jax
import jax.numpy as jnp
from numpyro.distributions import Distribution

from vae_jax.distributions.chain import Chain, Factor
from vae_jax.types import Array, Shape


class MarkovChain(Chain):
    """f(z_1) prod_l f(z_l | z_l-1), layers of one size by a scan, however many there are.

    It draws the same numbers as the `Chain` of the same factor. A layer's number may be traced, and
    an array of them has a leading axis, or more, of the batch.

    Args:
        factor: as that of a `Chain`, of the layer above alone; None: `conditional` is overridden.
        arguments: its first argument.
        size: of each layer.
        length: the number of layers.
        batch_shape: of the arrays that belong to examples.
    """

    def __init__(
        self, factor: Factor | None, arguments: Any, size: int, length: int, batch_shape: Shape = ()
    ):
        """One joint distribution."""
        super().__init__(factor, arguments, (size,) * length, batch_shape)

    def below(self, layer: Array | int, above: Array) -> Distribution:
        """The distribution of a layer that is not the top, given the one above, `[..., size]`."""
        return self.conditional(layer, [above])

    def stacked(self, z: Array) -> Array:
        """The layers of z along a first axis, `[length, ..., size]`."""
        apart = z.reshape(*z.shape[:-1], len(self.sizes), self.sizes[0])
        return jnp.moveaxis(apart, -2, 0)

    def joined(self, layers: Array) -> Array:
        """z `[..., sum of sizes]` of the layers along a first axis."""
        apart = jnp.moveaxis(layers, 0, -2)
        return apart.reshape(*apart.shape[:-2], -1)

    def sample(self, key: Array, sample_shape: Shape = ()) -> Array:
        """Draws `[*sample_shape, *batch_shape, sum of sizes]`."""
        keys = jax.random.split(key, len(self.sizes))
        shape = (*sample_shape, *self.batch_shape)
        top = self.first
        z = top.sample(keys[0], shape[: len(shape) - len(top.batch_shape)])

        def draw(above: Array, now: tuple[Array, Array]) -> tuple[Array, Array]:
            layer, layer_key = now
            z = self.below(layer, above).sample(layer_key)
            return z, z

        numbers = jnp.arange(1, len(self.sizes))
        _, others = jax.lax.scan(draw, z, (numbers, keys[1:]))
        return self.joined(jnp.concatenate([z[None], others]))

    def log_prob(self, value: Array, intermediates: Any = None) -> Array:
        """Nats, `[...]`."""
        del intermediates
        layers = self.stacked(value)

        def term(now: tuple[Array, Array, Array]) -> Array:
            layer, above, z = now
            return self.below(layer, above).log_prob(z)

        numbers = jnp.arange(1, len(self.sizes))
        terms = jax.lax.map(term, (numbers, layers[:-1], layers[1:]))
        return self.first.log_prob(layers[0]) + terms.sum(0)
