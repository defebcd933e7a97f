"""Entropies by type; NumPyro's where it has one that serves."""

from functools import singledispatch

import jax
import jax.numpy as jnp
from jax.scipy.special import betaln, digamma, gammaln
from numpyro import distributions as dist
from numpyro.distributions import Distribution
from numpyro.distributions.util import sum_rightmost

from vae_jax.distributions.bernoulli_logits import BernoulliLogits
from vae_jax.distributions.continuous_bernoulli import ContinuousBernoulli
from vae_jax.divergences.pairs.dirichlet import concentrations_kl
from vae_jax.divergences.stable import gamma_entropy
from vae_jax.types import Array


def entropy(q: Distribution) -> Array | None:
    """H(q) = -E_q log q(z) in nats, `[...]`, or None where it has no closed form here."""
    try:
        return known_entropy(q)
    except NotImplementedError:
        return None


def known_entropy(q: Distribution) -> Array:
    """H(q) in nats, `[...]`.

    Raises:
        NotImplementedError: where it has no closed form here.
    """
    nats = _entropy(q)  # after a vmap outside it has axes that batch_shape lacks
    return jnp.broadcast_to(nats, jnp.broadcast_shapes(jnp.shape(nats), q.batch_shape))


@singledispatch
def _entropy(q: Distribution) -> Array:
    return q.entropy()


@_entropy.register
def _(q: dist.Independent) -> Array:
    # NumPyro's sums before it broadcasts: it is wrong where all elements share a scale
    return sum_rightmost(known_entropy(q.base_dist), q.reinterpreted_batch_ndims)


@_entropy.register
def _(q: dist.ExpandedDistribution) -> Array:
    return known_entropy(q.base_dist)


@_entropy.register
def _(q: dist.Gamma) -> Array:
    return gamma_entropy(q.concentration) - jnp.log(q.rate)


@_entropy.register
def _(q: dist.InverseGamma) -> Array:
    """The entropy of 1 / z and E log |d(1/z) / dz| = -2 E log z."""
    a, log_rate = q.concentration, jnp.log(q.rate)
    return gamma_entropy(a) - 2 * digamma(a) + log_rate


@_entropy.register
def _(q: dist.Beta) -> Array:
    a = jnp.stack(jnp.broadcast_arrays(q.concentration1, q.concentration0), -1)
    return -concentrations_kl(a, jnp.ones_like(a))


@_entropy.register
def _(q: dist.Dirichlet) -> Array:
    ones = jnp.ones_like(q.concentration)
    return -concentrations_kl(q.concentration, ones) - gammaln(ones.sum(-1))


@_entropy.register
def _(q: dist.Gumbel) -> Array:
    return jnp.log(q.scale) + jnp.euler_gamma + 1


@_entropy.register
def _(q: dist.HalfNormal) -> Array:
    return jnp.log(q.scale) + (1 + jnp.log(jnp.pi / 2)) / 2


@_entropy.register
def _(q: dist.HalfCauchy) -> Array:
    return jnp.log(q.scale) + jnp.log(2 * jnp.pi)


@_entropy.register
def _(q: dist.Kumaraswamy) -> Array:
    """Michalowicz et al. 2013, Handbook of Differential Entropy."""
    a, b = q.concentration1, q.concentration0
    harmonic = digamma(b + 1) + jnp.euler_gamma
    return (1 - 1 / b) + (1 - 1 / a) * harmonic - jnp.log(a) - jnp.log(b)


@_entropy.register
def _(q: dist.StudentT) -> Array:
    half = q.df / 2
    tails = (half + 0.5) * (digamma(half + 0.5) - digamma(half))
    return tails + jnp.log(q.df) / 2 + betaln(half, 0.5) + jnp.log(q.scale)


@_entropy.register
def _(q: dist.TwoSidedTruncatedDistribution) -> Array:
    """E_q of ((z - m) / s)^2 / 2 + log s + log(2 pi) / 2 + log Z, of a truncated normal."""
    base = q.base_dist
    if not isinstance(base, dist.Normal):
        raise NotImplementedError
    square = q.variance / base.scale**2 + ((q.mean - base.loc) / base.scale) ** 2
    log_mass = base.log_prob(q.low) - q.log_prob(q.low)
    return square / 2 - base.log_prob(base.loc) + log_mass


@_entropy.register(dist.BernoulliLogits)
def _(q: dist.BernoulliLogits) -> Array:
    # NumPyro's is NaN at logits of -90
    return _of_logits(q.logits)


@_entropy.register
def _(q: BernoulliLogits) -> Array:
    return sum_rightmost(_of_logits(q.logits), q.event_dim)


def _of_logits(a: Array) -> Array:
    """w softplus(-a) + (1 - w) softplus(a), w = sigmoid(a)."""
    on, off = jax.nn.sigmoid(a), jax.nn.sigmoid(-a)
    return on * jax.nn.softplus(-a) + off * jax.nn.softplus(a)


@_entropy.register
def _(q: ContinuousBernoulli) -> Array:
    """-log q at the mean, since log q is linear in z."""
    return -q.log_prob(q.mean)
