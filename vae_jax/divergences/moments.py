"""Second moments by type, and whether there is a fourth."""

from functools import singledispatch

import jax.numpy as jnp
from numpyro.distributions import (
    Cauchy,
    Distribution,
    InverseGamma,
    MultivariateStudentT,
    Pareto,
    StudentT,
)

from vae_jax.divergences.closed_form import innermost
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


def has_fourth_moment(q: Distribution) -> Array:
    """Whether E_q z^4 is finite, `[...]`; where it is not, no mean of squares has a variance."""
    q = innermost(q)
    df = _tail_index(q)
    return jnp.isfinite(q.variance) if df is None else jnp.broadcast_to(df > 4, q.shape())


def _tail_index(q: Distribution) -> Array | None:
    """The a of P(|z| > r) ~ r^-a, for types with such tails."""
    if isinstance(q, StudentT):
        return q.df
    if isinstance(q, MultivariateStudentT):
        return q.df[..., None]
    if isinstance(q, Pareto):
        return q.alpha
    return q.concentration if isinstance(q, InverseGamma) else None
