from typing import Any

import jax.numpy as jnp
from numpyro.distributions import constraints
from numpyro.distributions.transforms import Transform

from vae_jax.types import Array


class Householder(Transform):
    """y = x - 2 v (v . x) / |v|^2: a reflection, which is its inverse and keeps volumes.

    A chain of D of them is any rotation and reflection (Tomczak & Welling 2016, arXiv:1611.09630).

    Args:
        v: `[..., D]`.
    """

    domain = constraints.real_vector
    codomain = constraints.real_vector

    def __init__(self, v: Array):
        """One reflection."""
        self.v = v

    def __call__(self, x: Array) -> Array:
        """`[..., D]` -> `[..., D]`."""
        square = jnp.maximum((self.v**2).sum(-1, keepdims=True), 1e-12)
        return x - 2 * self.v * (self.v * x).sum(-1, keepdims=True) / square

    _inverse = __call__

    def log_abs_det_jacobian(self, x: Array, y: Array, intermediates: Any = None) -> Array:
        """0, `[...]`."""
        del y, intermediates
        return jnp.zeros(x.shape[:-1])

    def forward_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The batch axes of v are the result's."""
        return jnp.broadcast_shapes(shape, self.v.shape)

    def tree_flatten(self) -> Any:
        """v is a leaf, so that it passes through jit and vmap."""
        return (self.v,), (("v",), {})
