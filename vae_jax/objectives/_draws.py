"""Draws of z with their log weights, and the gradients that objectives make of them."""

import math
from functools import partial
from typing import Literal

import jax
import jax.numpy as jnp
from jax.scipy.special import logsumexp
from numpyro.distributions import Distribution

from vae_jax.errors import UserError
from vae_jax.types import Array, Batch, Examples, Model, Params, Shape
from vae_jax.weights import LogWeights, checked_examples, log_weights

Gradient = Literal["standard", "stl", "dreg"]


def draws(
    model: Model,
    params: Params,
    key: Array,
    batch: Examples,
    num_samples: int,
    gradient: Gradient | Literal["score"] = "standard",
) -> LogWeights:
    """`log_weights` for an objective whose gradient is sum_k w~_k d log w_k, sum_k w~_k = 1.

    `stl` has no gradient by the parameters of log q, only through z; nor has `dreg`, whose gradient
    through z_k is multiplied by w~_k; `score` has none through z. The w~ of `dreg` are computed
    from the same draws first, an evaluation which the compiler merges with the other one.
    """
    held, scale = jax.lax.stop_gradient(params), None
    only_path = gradient in ("stl", "dreg")
    if gradient == "score" or (gradient == "dreg" and num_samples > 1):
        same = log_weights(model, held, key, batch, num_samples, only_path=only_path).log_weight
        scale = jax.nn.softmax(same, axis=0) if only_path else jnp.zeros_like(same)
    of = partial(log_weights, model, params, key, batch, num_samples)
    return of(only_path=only_path, path_scale=scale)


def terms_of(weights: LogWeights) -> dict[str, Array]:
    """The mean over draws of log p(x|z) and of log q(z|x) - log p(z), nats, `[...]`."""
    kl = (weights.log_posterior - weights.log_prior).mean(0)
    return {"log_likelihood": weights.log_likelihood.mean(0), "kl": kl}


def log_mean_exp(log_w: Array, axis: int = 0) -> Array:
    """log 1/K sum_k w_k along an axis of length K."""
    return logsumexp(log_w, axis=axis) - jnp.log(log_w.shape[axis])


def taught_by(value: Array, teacher: Array) -> Array:
    """The number of `value` with the gradient of `teacher`."""
    return jax.lax.stop_gradient(value - teacher) + teacher


def first_draws(
    model: Model, params: Params, key: Array, batch: Examples
) -> tuple[Distribution, Array]:
    """q(z | x), and the first draw z `[..., latent_dim]` that `log_weights` makes of it."""
    key, batch = checked_examples(model, key, batch)

    def draw(key: Array, batch: Batch) -> Array:
        return model.encode(params, batch).sample(jax.random.fold_in(key, 0))

    z = jax.vmap(draw)(key, batch) if key.ndim else draw(key, batch)
    return model.encode(params, batch), z


def require_several(batch: Shape, objective: str) -> None:
    """Raises UserError for a batch of one example, which has no statistics."""
    if batch and math.prod(batch) < 2:
        raise UserError(f"{objective} needs a batch of at least 2 examples: config.batch_size")
