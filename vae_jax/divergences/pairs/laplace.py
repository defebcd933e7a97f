"""Laplace against Laplace, Laplace against normal."""

import jax.numpy as jnp
from jax.scipy.special import erf
from numpyro.distributions import Laplace, Normal, kl_divergence

from vae_jax.divergences.stable import excess, exp_gap
from vae_jax.types import Array


@kl_divergence.register(Laplace, Laplace)
def laplace_laplace(q: Laplace, p: Laplace) -> Array:
    """log (b_p / b_q) + (b_q e^-a + |m_q - m_p|) / b_p - 1, a = |m_q - m_p| / b_q, nats, `[...]`.

    Meyer 2021 (arXiv:2107.07236, appendix); summed as positive terms.
    """
    a = jnp.abs(q.loc - p.loc) / q.scale
    return excess(q.scale, p.scale) + q.scale / p.scale * exp_gap(-a)


@kl_divergence.register(Normal, Laplace)
def normal_laplace(q: Normal, p: Laplace) -> Array:
    """E|z - m_p| / b - log (s / 2b) - (1 + log 2 pi) / 2, nats, `[...]`.

    E|z - m_p| is the mean of a folded normal (Leone et al. 1961).
    """
    d = (q.loc - p.loc) / q.scale
    folded = jnp.sqrt(2 / jnp.pi) * jnp.exp(-(d**2) / 2) + d * erf(d / jnp.sqrt(2))
    ratio = q.scale / p.scale
    return ratio * folded - jnp.log(ratio / 2) - (1 + jnp.log(2 * jnp.pi)) / 2
