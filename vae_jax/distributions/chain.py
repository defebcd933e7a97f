from collections.abc import Callable
from itertools import accumulate
from typing import Any

import jax
import jax.numpy as jnp
from numpyro.distributions import Distribution, constraints

from vae_jax.types import Array, Shape

# (arguments, a layer's number, the layers drawn before it) -> the distribution of that layer
Factor = Callable[[Any, int, list[Array]], Distribution]


class Chain(Distribution):
    """prod_l f(z_l | the layers drawn before it), several stochastic layers as one vector z.

    z is their concatenation, the top layer first, whatever the order in which they are drawn: down
    from the top, as p(z) and most q(z | x) are, or up to it, as the chain of the IWAE paper is.

    Args:
        factor: f, the same function in every instance, since it is compared by identity.
        arguments: its first argument, any pytree of arrays.
        sizes: of the layers, the top one first.
        batch_shape: of the arrays that belong to examples.
        upwards: that layers are drawn from the last one on.
    """

    support = constraints.real_vector
    pytree_data_fields: tuple[str, ...] = ("arguments",)
    pytree_aux_fields: tuple[str, ...] = ("factor", "sizes", "upwards")

    def __init__(
        self,
        factor: Factor | None,
        arguments: Any,
        sizes: Shape,
        batch_shape: Shape = (),
        *,
        upwards: bool = False,
    ):
        """One joint distribution."""
        self.factor, self.arguments = factor, arguments
        self.sizes, self.upwards = tuple(sizes), upwards
        super().__init__(batch_shape, (sum(sizes),))

    @property
    def order(self) -> list[int]:
        """The numbers of the layers, 0 for the top one, as they are drawn."""
        layers = list(range(len(self.sizes)))
        return layers[::-1] if self.upwards else layers

    def split(self, z: Array) -> list[Array]:
        """The layers of z `[..., sum of sizes]`, the top one first."""
        return jnp.split(z, list(accumulate(self.sizes))[:-1], axis=-1)

    def factors(self, z: Array) -> list[Distribution]:
        """The distribution of each layer given those of z that are drawn before it, top first."""
        layers, order = self.split(z), self.order
        before = {layer: [layers[m] for m in order[:i]] for i, layer in enumerate(order)}
        return [self.conditional(layer, before[layer]) for layer in sorted(order)]

    def conditional(self, layer: Any, before: list[Array]) -> Distribution:
        """The distribution of a layer given those that are drawn before it."""
        factor: Any = self.factor
        return factor(self.arguments, layer, before)

    @property
    def first(self) -> Distribution:
        """The distribution of the layer that is drawn first, which needs no other."""
        return self.conditional(self.order[0], [])

    @property
    def last(self) -> Distribution | None:
        """The distribution of the last layer by itself, where it is known."""
        return self.first if self.upwards else None

    def sample(self, key: Array, sample_shape: Shape = ()) -> Array:
        """Draws `[*sample_shape, *batch_shape, sum of sizes]`."""
        shape = (*sample_shape, *self.batch_shape)
        drawn: dict[int, Array] = {}
        keys = jax.random.split(key, len(self.sizes))
        for layer, layer_key in zip(self.order, keys, strict=True):
            d = self.conditional(layer, list(drawn.values()))
            drawn[layer] = d.sample(layer_key, shape[: len(shape) - len(d.batch_shape)])
        return jnp.concatenate([drawn[layer] for layer in sorted(drawn)], axis=-1)

    def log_prob(self, value: Array, intermediates: Any = None) -> Array:
        """Nats, `[...]`."""
        del intermediates
        pairs = zip(self.factors(value), self.split(value), strict=True)
        return sum((d.log_prob(z) for d, z in pairs), jnp.zeros(()))
