"""Gumbel, and Weibull, whose logarithm is a mirrored Gumbel."""

import jax.numpy as jnp
from jax.scipy.special import gammaln
from numpyro.distributions import Gumbel, Weibull, kl_divergence

from vae_jax.types import Array


@kl_divergence.register(Gumbel, Gumbel)
def gumbel_gumbel(q: Gumbel, p: Gumbel) -> Array:
    """KL(Gumbel(m, s) || Gumbel(n, t)), nats, `[...]`; r = s / t and c Euler's constant.

    d + e^-d Gamma(1 + r) - log r - 1 + c (r - 1), d = (m - n) / t

    (Bauckhage 2014, arXiv:1401.6853, by z = -log of a Weibull).
    """
    return _kl((q.loc - p.loc) / p.scale, q.scale / p.scale)


@kl_divergence.register(Weibull, Weibull)
def weibull_weibull(q: Weibull, p: Weibull) -> Array:
    """The KL of Gumbels with r = l / k, d = l log (b / a), for shapes k, l and scales a, b."""
    d = p.concentration * jnp.log(p.scale / q.scale)
    return _kl(d, p.concentration / q.concentration)


def _kl(d: Array, r: Array) -> Array:
    return d + jnp.exp(gammaln(1 + r) - d) - jnp.log(r) - 1 + jnp.euler_gamma * (r - 1)
