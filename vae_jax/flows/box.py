from typing import Any

import jax
import jax.numpy as jnp
from numpyro.distributions import constraints
from numpyro.distributions.transforms import Transform

from vae_jax.types import Array

NEAREST = 1e-7  # of a unit's ends that float32 tells from them


class Box(Transform):
    """y = low + (high - low) sigmoid(x), element by element.

    NumPyro's sigmoid and affine transforms in one, whose inverse stays finite where y has been
    rounded to an end.

    Args:
        low: the lower end.
        high: the upper end.
    """

    domain = constraints.real

    def __init__(self, low: float, high: float):
        """One box for all elements."""
        self.low, self.high = low, high

    @property
    def codomain(self) -> constraints.Constraint:
        """From `low` to `high`."""
        return constraints.interval(self.low, self.high)

    def __call__(self, x: Array) -> Array:
        """`[...]` -> `[...]`."""
        return self.low + (self.high - self.low) * jax.nn.sigmoid(x)

    def _inverse(self, y: Array) -> Array:
        share = jnp.clip((y - self.low) / (self.high - self.low), NEAREST, 1 - NEAREST)
        return jnp.log(share) - jnp.log1p(-share)

    def log_abs_det_jacobian(self, x: Array, y: Array, intermediates: Any = None) -> Array:
        """log (high - low) + log sigmoid(x) + log sigmoid(-x), `[...]`."""
        del y, intermediates
        inside = jax.nn.log_sigmoid(x) + jax.nn.log_sigmoid(-x)
        return jnp.log(self.high - self.low) + inside

    def tree_flatten(self) -> Any:
        """The ends are leaves, so that it passes through jit and vmap."""
        return (self.low, self.high), (("low", "high"), {})
