from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpyro.distributions import Distribution, constraints

from vae_jax.types import Array, Shape


class OfEach(Distribution):
    """p(z | y_i), one distribution for each y_i of a batch, by a function of a single y.

    For functions that are written for one y, as that of the parameters of a flow is.

    Args:
        of: (arguments, y `[G]`) -> a distribution; the same function in every instance.
        arguments: its first argument, any pytree of arrays.
        given: y, `[..., G]`.
        event_shape: of z, one axis.
    """

    arg_constraints: dict[str, Any] = {}  # noqa: RUF012
    pytree_data_fields = ("arguments", "given")
    pytree_aux_fields = ("of",)

    def __init__(
        self,
        of: Callable[[Any, Array], Distribution],
        arguments: Any,
        given: Array,
        event_shape: Shape,
    ):
        """The leading axes of y are the batch."""
        self.of, self.arguments, self.given = of, arguments, given
        super().__init__(given.shape[:-1], event_shape)

    @property
    def support(self) -> constraints.Constraint:
        """That of one of them."""
        return self.of(self.arguments, self.given[(0,) * (self.given.ndim - 1)]).support

    def sample(self, key: Array, sample_shape: Shape = ()) -> Array:
        """Draws `[*sample_shape, ..., *event_shape]`."""
        leading = (*sample_shape, *self.given.shape[:-1])
        keys = jax.random.split(key, int(np.prod(leading)))
        given = self._flat(self.given, leading)
        z = jax.vmap(lambda key, y: self.of(self.arguments, y).sample(key))(keys, given)
        return z.reshape(*leading, *self.event_shape)

    def log_prob(self, value: Array, intermediates: Any = None) -> Array:
        """Nats, `[...]`."""
        del intermediates
        leading = jnp.broadcast_shapes(value.shape[:-1], self.given.shape[:-1])
        z, given = self._flat(value, leading), self._flat(self.given, leading)
        each = jax.vmap(lambda z, y: self.of(self.arguments, y).log_prob(z))(z, given)
        return each.reshape(leading)

    def _flat(self, array: Array, leading: Shape) -> Array:
        """`[n, last axis]`, repeated over the leading axes that it lacks."""
        return jnp.broadcast_to(array, (*leading, array.shape[-1])).reshape(-1, array.shape[-1])
