"""How heavy the tail of importance weights is, by the generalized Pareto that fits it."""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Float

from vae_jax.types import Array

FEWEST = 25  # weights: the tail has 5 of them
PRIOR_WEIGHT, PRIOR_SHAPE = 10, 0.5  # of k, which steadies it where the tail is short


def pareto_k(log_w: Float[Array, "draws batch"]) -> Float[Array, " batch"]:
    """k of the generalized Pareto fitted to the largest weights, `[batch]` (Vehtari et al. 2024).

    Weights have 1 / k moments. Over 0.7 no practical number of draws makes an estimate (PSIS,
    arXiv:1507.02646). The tail is the min(K / 5, 3 K^1/2) largest; NaN below 25 draws, and -1, that
    of an even spread, where all weights are the same.
    """
    draws = len(log_w)
    if draws < FEWEST:
        return jnp.full(log_w.shape[1], jnp.nan)
    count = min(draws // 5, int(3 * math.sqrt(draws)))
    # Another slice of the largest would make XLA sort all draws, which takes ten times as long.
    w = jnp.exp(jax.lax.top_k(log_w.T, count + 1)[0] - log_w.max(0)[:, None])
    k = jax.vmap(_fit)(w[:, -2::-1] - w[:, -1:])
    return jnp.where(w[:, -1] < 1, jnp.maximum(k, -1.0), -1.0)


def _fit(x: Float[Array, " n"]) -> Float[Array, ""]:
    """k of exceedances in rising order, by a posterior mean (Zhang & Stephens 2009)."""
    n = len(x)
    m = 30 + math.isqrt(n)
    x = jnp.maximum(x, jnp.finfo(x.dtype).tiny)  # equal weights exceed nothing
    quarter = x[int(n / 4 + 0.5) - 1]
    b = 1 / x[-1] + (1 - jnp.sqrt(m / (jnp.arange(1, m + 1) - 0.5))) / (3 * quarter)
    k = jnp.log1p(-b[:, None] * x).mean(1)
    log_likelihood = n * (jnp.log(-b / k) - k - 1)
    b = (jax.nn.softmax(log_likelihood) * b).sum()
    k_hat = jnp.log1p(-b * x).mean()
    return (n * k_hat + PRIOR_WEIGHT * PRIOR_SHAPE) / (n + PRIOR_WEIGHT)
