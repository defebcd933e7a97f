"""Scales and normals of what a network says."""

import jax
import jax.numpy as jnp
from jaxtyping import Float
from numpyro.distributions import Distribution, Normal

from vae_jax.types import Array

MOST = 30.0  # of |log s|: float32 has the squares of s and of 1 / s, and their products


def scale_of(log_scale: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """s = exp(log s), with log s held between -30 and 30.

    The gradient passes the ends as if they were not there, so that a network leads back from them.
    """
    inside = jnp.clip(log_scale, -MOST, MOST)
    return jnp.exp(log_scale + jax.lax.stop_gradient(inside - log_scale))


def softplus(a: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """log(1 + e^a) = max(a, 0) + log(1 + e^-|a|), whose gradient takes no further exponential."""
    magnitude = jnp.maximum(a, -a)  # abs, but with the gradient 0 at 0
    return jnp.maximum(a, 0) + jnp.log1p(jnp.exp(-magnitude))


def normal_of(features: Float[Array, "*batch features"]) -> Distribution:
    """N(z; m, s^2), m and log s the halves of `[..., 2 D]`, event `[D]`."""
    loc, log_scale = jnp.split(features, 2, axis=-1)
    return Normal(loc, scale_of(log_scale)).to_event(1)
