"""The KL to a normal from any distribution that has an entropy and two moments."""

import jax.numpy as jnp
from numpyro import distributions as dist
from numpyro.distributions import Distribution, Normal, kl_divergence

from vae_jax.divergences.entropies import known_entropy
from vae_jax.divergences.moments import mean_square
from vae_jax.types import Array

KINDS = (
    *(dist.Beta, dist.Cauchy, dist.Exponential, dist.Gamma, dist.Gumbel, dist.HalfNormal),
    *(dist.InverseGamma, dist.Laplace, dist.LogNormal, dist.Logistic, dist.StudentT),
    *(dist.TwoSidedTruncatedDistribution, dist.Uniform, dist.Weibull),
)


@kl_divergence.register(KINDS, Normal)
def any_normal(q: Distribution, p: Normal) -> Array:
    """-H(q) + log(2 pi s^2) / 2 + E_q (z - m)^2 / (2 s^2), p = N(m, s^2), nats, `[...]`.

    Infinite where q has no second moment.
    """
    log_scale = jnp.log(p.scale) + jnp.log(2 * jnp.pi) / 2
    return log_scale - known_entropy(q) + mean_square(q, p.loc, p.scale) / 2
