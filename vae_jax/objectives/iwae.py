import jax.numpy as jnp
from jax.scipy.special import logsumexp

from vae_jax.errors import UserError
from vae_jax.model import log_weights
from vae_jax.types import Array, Bound, Model, Params


def iwae(
    model: Model,
    params: Params,
    key: Array,
    x: Array,
    step: Array | None = None,
    *,
    num_samples: int = 5,
) -> Bound:
    """log 1/K sum_k p(x, z_k) / q(z_k | x), z_k ~ q (Burda et al. 2016, eq. 8), nats per example.

    A lower bound on log p(x) that tightens with K = `num_samples`; K = 1 is the ELBO with its KL
    sampled.

    Args:
        model: the model.
        params: its parameters.
        key: one key, or one per example.
        x: `[..., *x_shape]`.
        step: not used.
        num_samples: K.

    Raises:
        UserError: if K is not positive.
    """
    del step
    if num_samples < 1:
        raise UserError(f"num_samples={num_samples}: at least 1 is needed")
    weights = log_weights(model, params, key, x, num_samples)
    bound = logsumexp(weights.log_weight, axis=0) - jnp.log(num_samples)
    kl = (weights.log_posterior - weights.log_prior).mean(0)
    terms = {"log_likelihood": weights.log_likelihood.mean(0), "kl": kl}
    return Bound(bound, bound.mean(), terms)
