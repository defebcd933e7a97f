from typing import Annotated

import jax
import jax.numpy as jnp
from numpyro.distributions import constraints

from vae_jax.config.components import checked
from vae_jax.objectives._draws import draws, log_mean_exp, terms_of
from vae_jax.types import END, Array, Bound, Context, Examples, Model, Params


@checked
def renyi(
    model: Model,
    params: Params,
    key: Array,
    batch: Examples,
    context: Context = END,
    *,
    num_samples: Annotated[int, constraints.positive_integer] = 5,
    alpha: Annotated[float, constraints.real] = 0.5,
) -> Bound:
    """1/(1 - alpha) log 1/K sum_k w_k^(1 - alpha), the VR bound (Li & Turner 2016), nats.

    alpha = 0 is IWAE_K, alpha = 1 (the limit) the ELBO with its KL sampled; it falls as alpha
    grows. With alpha < 0 it is maximized all the same, but it is no lower bound on log p(x), and
    IWAE_K is reported in its place.

    Args beside those of `types.Objective`:
        num_samples: K.
        alpha: any number.
    """
    weights = draws(model, params, key, batch, num_samples)
    log_w = weights.log_weight
    bound = power_mean(log_w, 1 - alpha)
    value = bound if alpha >= 0 else log_mean_exp(log_w)
    return Bound(value, bound.mean(), terms_of(weights))


def power_mean(log_w: Array, power: float) -> Array:
    """1/r log 1/K sum_k w_k^r for power r, the mean of log w for r = 0; exact to rounding near 0.

    expm1 and log1p keep the digits of numbers near 1, whose rounding 1/r would enlarge.
    """
    if power == 0:
        return log_w.mean(0)
    scaled = power * log_w
    top = jax.lax.stop_gradient(scaled.max(0))
    return (top + jnp.log1p(jnp.expm1(scaled - top).mean(0))) / power
