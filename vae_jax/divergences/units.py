"""The dimensions of z one by one: their distributions, their moments, their KLs."""

import jax.numpy as jnp
from numpyro.distributions import (
    Distribution,
    Independent,
    LowRankMultivariateNormal,
    MultivariateNormal,
    Normal,
    TransformedDistribution,
)

from vae_jax.distributions.chain import Chain
from vae_jax.divergences.closed_form import closed_form_kl
from vae_jax.divergences.layers import have_layers
from vae_jax.types import Array


def factors(d: Distribution) -> Distribution | None:
    """d(z_j) of each dimension, batch `[..., latent_dim]`, if d is their product; else None."""
    if isinstance(d, Independent) and not d.base_dist.event_shape:
        return d.base_dist
    if isinstance(d, TransformedDistribution) and not any(
        t.domain.event_dim or t.codomain.event_dim for t in d.transforms
    ):
        base = factors(d.base_dist)
        return None if base is None else TransformedDistribution(base, d.transforms)
    return None


def marginals(d: Distribution) -> Distribution | None:
    """d(z_j) of each dimension, batch `[..., latent_dim]`; None where a type does not tell them."""
    if isinstance(d, MultivariateNormal | LowRankMultivariateNormal):
        return Normal(d.mean, jnp.sqrt(d.variance))
    return factors(d)


def moments(q: Distribution, z: Array) -> tuple[Array, Array]:
    """E z_j and Var z_j of q at draws z `[draws, latent_dim]`, given the layers drawn before.

    Of a q whose moments are not known, as a flow's, they are those of the draw by itself: z_j, 0.
    Over draws the mean of the first is E_q z_j without bias, whatever q is.
    """
    if isinstance(q, Chain):
        parts = [moments(d, part) for d, part in zip(q.factors(z), q.split(z), strict=True)]
        mean, variance = (jnp.concatenate(each, -1) for each in zip(*parts, strict=True))
        return mean, variance
    try:
        return jnp.broadcast_to(q.mean, z.shape), jnp.broadcast_to(q.variance, z.shape)
    except NotImplementedError:
        return z, jnp.zeros_like(z)


def kl_by_unit(q: Distribution, p: Distribution, z: Array) -> Array | None:
    """KL(q(z_j) || p(z_j)) of each dimension, nats `[latent_dim]`; None unless p is a product.

    In closed form where the pair has one, else the mean of log q(z_j) - log p(z_j) over draws z
    `[draws, latent_dim]` of q. Of two chains of the same layers it is that of the conditionals,
    given the layers above: it is None for a q that is drawn upwards.
    """
    if not have_layers(q, p):
        return _of_products(marginals(q), factors(p), z)
    if not (isinstance(q, Chain) and isinstance(p, Chain)) or q.upwards:
        return None
    layers = zip(q.factors(z), p.factors(z), q.split(z), strict=True)
    terms = [_of_products(marginals(q_l), factors(p_l), part) for q_l, p_l, part in layers]
    known = [term for term in terms if term is not None]
    return jnp.concatenate(known, -1) if len(known) == len(terms) else None


def _of_products(q: Distribution | None, p: Distribution | None, z: Array) -> Array | None:
    if q is None or p is None:
        return None
    kl = closed_form_kl(q, p)
    each = jnp.broadcast_to(q.log_prob(z) - p.log_prob(z) if kl is None else kl, z.shape)
    return each.mean(0)
