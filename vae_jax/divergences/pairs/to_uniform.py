"""The KL to a uniform from bounded distributions."""

import jax.numpy as jnp
from numpyro import distributions as dist
from numpyro.distributions import Distribution, Uniform, kl_divergence

from vae_jax.divergences.entropies import known_entropy
from vae_jax.divergences.stable import log_ratio
from vae_jax.types import Array

KINDS = (dist.Beta, dist.Kumaraswamy, dist.TwoSidedTruncatedDistribution)


@kl_divergence.register(Uniform, Uniform)
def uniform_uniform(q: Uniform, p: Uniform) -> Array:
    """log of p's length by q's, nats, `[...]`; infinite where q is not inside p."""
    return jnp.where(_inside(q, p), log_ratio(p.high - p.low, q.high - q.low), jnp.inf)


@kl_divergence.register(KINDS, Uniform)
def any_uniform(q: Distribution, p: Uniform) -> Array:
    """log (high - low) - H(q), nats, `[...]`; infinite where q is not inside p."""
    return jnp.where(_inside(q, p), jnp.log(p.high - p.low) - known_entropy(q), jnp.inf)


def _inside(q: Distribution, p: Uniform) -> Array:
    return (p.low <= q.support.lower_bound) & (q.support.upper_bound <= p.high)
