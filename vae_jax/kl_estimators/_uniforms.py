"""Draws from uniform numbers by the inverse CDF, by the type of the distribution.

A type that is missing is added with `num_uniforms.register` and `from_uniforms.register`; one of
univariate events that has an `icdf` needs neither.
"""

import math
from functools import singledispatch
from typing import Any

import jax
import jax.numpy as jnp
from jax.scipy.special import ndtri
from jaxtyping import Float
from numpyro.distributions import (
    Cauchy,
    Distribution,
    ExpandedDistribution,
    HalfCauchy,
    HalfNormal,
    Independent,
    LowRankMultivariateNormal,
    MixtureSameFamily,
    MultivariateNormal,
    StudentT,
    TransformedDistribution,
)

from vae_jax.distributions.cholesky_normal import CholeskyNormal
from vae_jax.divergences import describe
from vae_jax.errors import UserError
from vae_jax.types import Array, Shape

HALF = 2.0**-24  # half the spacing of what `jax.random.uniform` gives in float32


def uniforms(key: Array, shape: Shape) -> Float[Array, "..."]:
    """Independent U(0, 1), never 0 nor 1: (i + 1/2) 2^-23, so that 1 - u is another, exactly."""
    return jax.random.uniform(key, shape, jnp.float32) + HALF


@singledispatch
def num_uniforms(q: Distribution) -> int:
    """n, the number of uniforms that one draw of q takes.

    Raises:
        UserError: if the type is not known.
    """
    if q.event_shape:
        raise _no_inverse(q)
    return 1


@singledispatch
def from_uniforms(q: Distribution, u: Float[Array, "... uniforms"]) -> Array:
    """Draws of q, `[K, ..., *event_shape]`, from u in (0, 1), `[K, ..., n]`; `...` as q's batch.

    Univariate q: z = F^-1(u). Each of several dimensions takes another uniform; a mixture takes
    the first to choose the component.

    Raises:
        UserError: if q has no inverse CDF.
    """
    if q.event_shape:
        raise _no_inverse(q)
    try:
        return q.icdf(u[..., 0])
    except (NotImplementedError, ImportError) as error:  # NumPyro asks for another package
        raise _no_inverse(q) from error


@singledispatch
def with_intermediates(q: Distribution, u: Float[Array, "... uniforms"]) -> tuple[Array, list[Any]]:
    """`from_uniforms`, and what `q.log_prob(z, intermediates)` needs so as not to invert q."""
    return from_uniforms(q, u), []


def _no_inverse(q: Distribution) -> UserError:
    advice = "use kl_estimators.plain, or register it with from_uniforms"
    return UserError(f"{describe(q)} has no inverse CDF: {advice}")


@num_uniforms.register
def _(q: Independent) -> int:
    return math.prod(_ours(q)) * num_uniforms(q.base_dist)


def _ours(q: Independent) -> Shape:
    """The batch axes of the base that are axes of the event."""
    shape = q.base_dist.batch_shape
    return shape[len(shape) - q.reinterpreted_batch_ndims :]


@with_intermediates.register
def _(q: Independent, u: Float[Array, "... uniforms"]) -> tuple[Array, list[Any]]:
    each = u.reshape(*u.shape[:-1], *_ours(q), num_uniforms(q.base_dist))
    return with_intermediates(q.base_dist, each)


@num_uniforms.register(ExpandedDistribution)
@num_uniforms.register(TransformedDistribution)
def _(q: Any) -> int:
    return num_uniforms(q.base_dist)


@with_intermediates.register
def _(q: ExpandedDistribution, u: Float[Array, "... uniforms"]) -> tuple[Array, list[Any]]:
    return with_intermediates(q.base_dist, u)


@with_intermediates.register
def _(q: TransformedDistribution, u: Float[Array, "... uniforms"]) -> tuple[Array, list[Any]]:
    z, intermediates = from_uniforms(q.base_dist, u), []
    for transform in q.transforms:
        x = z
        z, inside = transform.call_with_intermediates(x)
        intermediates.append([x, inside])
    return z, intermediates


@num_uniforms.register
def _(q: MultivariateNormal) -> int:
    return q.event_shape[0]


@from_uniforms.register
def _(q: MultivariateNormal, u: Float[Array, "... uniforms"]) -> Array:
    return q.loc + jnp.einsum("...ij,...j->...i", q.scale_tril, ndtri(u))


@with_intermediates.register
def _(q: CholeskyNormal, u: Float[Array, "... uniforms"]) -> tuple[Array, list[Any]]:
    return from_uniforms(q, u), [ndtri(u)]


@num_uniforms.register
def _(q: LowRankMultivariateNormal) -> int:
    return q.cov_factor.shape[-1] + q.event_shape[0]


@from_uniforms.register
def _(q: LowRankMultivariateNormal, u: Float[Array, "... uniforms"]) -> Array:
    rank = q.cov_factor.shape[-1]
    common, each = jnp.split(ndtri(u), [rank], axis=-1)
    factors = jnp.einsum("...ij,...j->...i", q.cov_factor, common)
    return q.loc + factors + jnp.sqrt(q.cov_diag) * each


@num_uniforms.register
def _(q: MixtureSameFamily) -> int:
    return 1 + num_uniforms(q.component_distribution)


@from_uniforms.register
def _(q: MixtureSameFamily, u: Float[Array, "... uniforms"]) -> Array:
    """One of the draws of all components: the density costs as much as they do."""
    upto = jnp.cumsum(q.mixing_distribution.probs, -1)[..., :-1]
    c = (u[..., :1] > upto).sum(-1)
    draws = from_uniforms(q.component_distribution, u[..., None, 1:])
    c = c.reshape(c.shape + (1,) * (1 + q.event_dim))
    return jnp.take_along_axis(draws, c, axis=q.mixture_dim).squeeze(q.mixture_dim)


@from_uniforms.register
def _(q: HalfNormal, u: Float[Array, "... uniforms"]) -> Array:
    return -q.scale * ndtri((1 - u[..., 0]) / 2)  # (1 + u) / 2 would round to 1


@from_uniforms.register
def _(q: HalfCauchy, u: Float[Array, "... uniforms"]) -> Array:
    return q.scale / jnp.tan(jnp.pi * (1 - u[..., 0]) / 2)


@from_uniforms.register
def _(q: Cauchy, u: Float[Array, "... uniforms"]) -> Array:
    u = u[..., 0]
    tail = jnp.minimum(u, 1 - u)  # the tangent of an angle near 0 is exact, not of one near pi / 2
    return q.loc + q.scale * jnp.sign(u - 0.5) / jnp.tan(jnp.pi * tail)


@from_uniforms.register
def _(q: StudentT, u: Float[Array, "... uniforms"]) -> Array:
    """By Newton's steps in w, |x| = sqrt(df) sinh(w), on log F(-|x|), which is nearly linear in w.

    They start at the normal quantile, and three reach float32's precision; NumPyro's `icdf` needs
    another package.
    """
    standard = StudentT(q.df)
    u = u[..., 0]
    tail = jnp.minimum(u, 1 - u)
    root = jnp.sqrt(q.df)

    def step(_: Array, w: Array) -> Array:
        x = root * jnp.sinh(w)
        log_cdf = jnp.log(standard.cdf(-x))
        slope = root * jnp.cosh(w) * jnp.exp(standard.log_prob(x) - log_cdf)
        return jnp.maximum(w + (log_cdf - jnp.log(tail)) / slope, 0.0)

    w = jax.lax.fori_loop(0, 3, step, jnp.arcsinh(-ndtri(tail) / root))
    return q.loc + q.scale * jnp.sign(u - 0.5) * root * jnp.sinh(w)


for _type in (Independent, ExpandedDistribution, TransformedDistribution):
    from_uniforms.register(_type, lambda q, u: with_intermediates(q, u)[0])
