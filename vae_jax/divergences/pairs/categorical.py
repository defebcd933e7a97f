"""Categorical, in probabilities and in logits."""

import jax
import jax.numpy as jnp
from numpyro.distributions import CategoricalLogits, CategoricalProbs, Distribution, kl_divergence

from vae_jax.divergences.stable import log_ratio, mass_kl
from vae_jax.types import Array

_KINDS = (CategoricalProbs, CategoricalLogits)


@kl_divergence.register(_KINDS, _KINDS)
def categorical_categorical(q: Distribution, p: Distribution) -> Array:
    """sum_k q_k log (q_k / p_k), nats, `[...]`; infinite where p_k = 0 and q_k > 0.

    In place of NumPyro's for probabilities, of which float32 leaves only the rounding error where
    q is near p.

    Raises:
        NotImplementedError: for different numbers of categories.
    """
    if _logits(q).shape[-1] != _logits(p).shape[-1]:
        raise NotImplementedError
    log_q, log_p = jnp.broadcast_arrays(_log_masses(q), _log_masses(p))
    if isinstance(q, CategoricalProbs) and isinstance(p, CategoricalProbs):
        d = log_ratio(*jnp.broadcast_arrays(p.probs, q.probs))
    else:
        d = _logits(p) - _logits(q)
    return mass_kl(log_q, log_p, jnp.broadcast_to(d, log_q.shape))


def _logits(d: Distribution) -> Array:
    return jnp.log(d.probs) if isinstance(d, CategoricalProbs) else d.logits


def _log_masses(d: Distribution) -> Array:
    return jax.nn.log_softmax(_logits(d))
