"""Second moments by type."""

from functools import singledispatch

import jax.numpy as jnp
from numpyro.distributions import Cauchy, Distribution, StudentT

from vae_jax.types import Array


@singledispatch
def mean_square(q: Distribution, loc: Array, scale: Array) -> Array:
    """E_q ((z - loc) / scale)^2, `[...]`, infinite where q has none; loc and scale `[...]`."""
    return (jnp.sqrt(q.variance) / scale) ** 2 + ((q.mean - loc) / scale) ** 2


@mean_square.register
def _(q: StudentT, loc: Array, scale: Array) -> Array:
    has = q.df > 2
    df = jnp.where(has, q.df, 3)
    square = (q.scale / scale) ** 2 * df / (df - 2) + ((q.loc - loc) / scale) ** 2
    return jnp.where(has, square, jnp.inf)


@mean_square.register
def _(q: Cauchy, loc: Array, scale: Array) -> Array:
    shape = jnp.broadcast_shapes(q.batch_shape, jnp.shape(loc), jnp.shape(scale))
    return jnp.full(shape, jnp.inf)
