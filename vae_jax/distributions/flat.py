import math
from typing import Any

import jax.numpy as jnp
from numpyro.distributions import Distribution, Independent

from vae_jax.types import Array


class Flat(Independent):
    """Independent elements as one event, like `.to_event()`: log p(x) = sum_d log p_d(x_d), nats.

    The same density. The event's axes become one before the sum, because XLA's loops on a CPU
    are short over the axes of an image, and draws are floats, as data is. The arguments of
    `base_dist`, named in its `arg_constraints`, are scalars or `[..., *event_shape, *rest]`.
    """

    def sample(self, key: Array, sample_shape: tuple[int, ...] = ()) -> Array:
        """Draws in the units of x, float32, `[*sample_shape, ..., *event_shape]`."""
        return jnp.asarray(self.base_dist.sample(key, sample_shape), jnp.float32)

    def log_prob(self, value: Array, intermediates: object = None) -> Array:
        """Sum over the event of the elements' log densities, nats, `[...]`."""
        del intermediates
        return jnp.sum(self._flat_base().log_prob(self._flatten(value)), -1)

    def _flat_base(self) -> Distribution:
        kind = type(self.base_dist)
        known = kind.arg_constraints.items()
        data = {n: self._flatten(getattr(self.base_dist, n), c.event_dim) for n, c in known}
        static = {n: getattr(self.base_dist, n) for n in kind.pytree_aux_fields if n[0] != "_"}
        return kind(**data, **static)

    def _flatten(self, x: Any, rest: int = 0) -> Any:
        """One axis in place of the event's, which are the last ones but `rest`.

        Counted from the right: after a vmap outside, `batch_shape` is not what it was.
        """
        shape, end = jnp.shape(x), jnp.ndim(x) - rest
        lead = end - self.event_dim
        if not shape:
            return x
        return jnp.reshape(x, (*shape[:lead], math.prod(shape[lead:end]), *shape[end:]))
