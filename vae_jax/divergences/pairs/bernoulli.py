"""Bernoulli and geometric, in probabilities and in logits; NumPyro's elements and our vectors."""

import jax
import jax.numpy as jnp
from numpyro import distributions as dist
from numpyro.distributions import Distribution, Independent, kl_divergence

from vae_jax.distributions.bernoulli_logits import BernoulliLogits
from vae_jax.divergences.stable import log_ratio, mass_kl
from vae_jax.types import Array

_PROBS = (dist.BernoulliProbs, dist.GeometricProbs)
_BERNOULLI = (dist.BernoulliProbs, dist.BernoulliLogits)
_GEOMETRIC = (dist.GeometricProbs, dist.GeometricLogits)


@kl_divergence.register(_BERNOULLI, _BERNOULLI)
def bernoulli_bernoulli(q: Distribution, p: Distribution) -> Array:
    """w log (w / v) + (1 - w) log ((1 - w) / (1 - v)), w = q(1) and v = p(1), nats, `[...]`."""
    if isinstance(q, _PROBS) and isinstance(p, _PROBS):
        d = log_ratio(p.probs, q.probs) - log_ratio(1 - p.probs, 1 - q.probs)
    else:
        d = _logits(p) - _logits(q)
    log_q, log_p, d = jnp.broadcast_arrays(
        _log_masses(q), _log_masses(p), jnp.stack([d, jnp.zeros_like(d)], -1)
    )
    return mass_kl(log_q, log_p, d)


@kl_divergence.register(_GEOMETRIC, _GEOMETRIC)
def geometric_geometric(q: Distribution, p: Distribution) -> Array:
    """The KL of one trial times the 1 / w trials that q expects, nats, `[...]`."""
    return bernoulli_bernoulli(q, p) * jnp.exp(-_log_masses(q)[..., 0])


@kl_divergence.register(BernoulliLogits, (BernoulliLogits, Independent))
@kl_divergence.register(Independent, BernoulliLogits)
def vector_vector(q: Distribution, p: Distribution) -> Array:
    """The sum over the event's elements, nats, `[...]`."""
    return kl_divergence(_elements(q), _elements(p))


def _elements(d: Distribution) -> Distribution:
    if not isinstance(d, BernoulliLogits):
        return d
    return dist.BernoulliLogits(d.logits).to_event(d.event_dim)


def _logits(d: Distribution) -> Array:
    """log w - log (1 - w), not clamped as NumPyro's own."""
    return jnp.log(d.probs) - jnp.log1p(-d.probs) if isinstance(d, _PROBS) else d.logits


def _log_masses(d: Distribution) -> Array:
    """log w and log (1 - w), `[..., 2]`."""
    if isinstance(d, _PROBS):
        return jnp.stack([jnp.log(d.probs), jnp.log1p(-d.probs)], -1)
    return jnp.stack([jax.nn.log_sigmoid(d.logits), jax.nn.log_sigmoid(-d.logits)], -1)
