from typing import Any

import jax
import jax.numpy as jnp
from numpyro.distributions import constraints
from numpyro.distributions.transforms import Transform

from vae_jax.types import Array

HALVINGS = 40
LEAST_GAIN = 1e-4  # with less, float32 does not tell the layer from one that folds


class Planar(Transform):
    """y = x + u' tanh(w . x + b) (Rezende & Mohamed 2015, arXiv:1505.05770).

    u' is u moved along w so that w . u' > -1 (their appendix A.1). The inverse needs t = w . x,
    the one root of t + w . u' tanh(t + b) = w . y: by bisection, and one Newton step, which gives
    it its derivatives.

    Args:
        u: `[..., D]`.
        w: `[..., D]`.
        b: `[...]`.
    """

    domain = constraints.real_vector
    codomain = constraints.real_vector

    def __init__(self, u: Array, w: Array, b: Array):
        """One layer."""
        self.u, self.w, self.b = u, w, b

    def _u_and_gain(self) -> tuple[Array, Array]:
        """u' and 1 + w . u' > 0."""
        dot, square = (self.w * self.u).sum(-1), (self.w**2).sum(-1)
        gain = jnp.maximum(jax.nn.softplus(dot), LEAST_GAIN)
        along = ((gain - 1 - dot) / jnp.maximum(square, 1e-12))[..., None] * self.w
        return self.u + along, gain

    def __call__(self, x: Array) -> Array:
        """`[..., D]` -> `[..., D]`."""
        u, _ = self._u_and_gain()
        return x + u * jnp.tanh((self.w * x).sum(-1) + self.b)[..., None]

    def _inverse(self, y: Array) -> Array:
        u, gain = self._u_and_gain()
        t = _root(gain - 1, self.b, (self.w * y).sum(-1))
        return y - u * jnp.tanh(t + self.b)[..., None]

    def log_abs_det_jacobian(self, x: Array, y: Array, intermediates: Any = None) -> Array:
        """log(1 + w . u' (1 - tanh^2)), `[...]`."""
        del y, intermediates
        _, gain = self._u_and_gain()
        square = jnp.tanh((self.w * x).sum(-1) + self.b) ** 2
        return jnp.log(square + gain * (1 - square))

    def forward_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The batch axes of u are the result's."""
        return jnp.broadcast_shapes(shape, self.u.shape)

    def tree_flatten(self) -> Any:
        """u, w and b are leaves, so that it passes through jit and vmap."""
        return (self.u, self.w, self.b), (("u", "w", "b"), {})


def _root(slope: Array, b: Array, target: Array) -> Array:
    """t with t + slope tanh(t + b) = target, which grows with t as slope > -1."""

    def halve(_: Any, ends: tuple[Array, Array]) -> tuple[Array, Array]:
        middle = (ends[0] + ends[1]) / 2
        below = middle + slope * jnp.tanh(middle + b) < target
        return jnp.where(below, middle, ends[0]), jnp.where(below, ends[1], middle)

    reach = jnp.abs(slope) + jnp.zeros_like(target)
    ends = jax.lax.fori_loop(0, HALVINGS, halve, (target - reach, target + reach))
    t = jax.lax.stop_gradient((ends[0] + ends[1]) / 2)
    tanh = jnp.tanh(t + b)
    return t - (t + slope * tanh - target) / (1 + slope * (1 - tanh**2))
