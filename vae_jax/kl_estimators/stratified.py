from typing import Annotated

import jax
import jax.numpy as jnp
from jaxtyping import Float
from numpyro.distributions import Distribution, constraints

from vae_jax.config.components import checked
from vae_jax.kl_estimators._draws import log_ratio, mean_and_error, replicates
from vae_jax.kl_estimators._uniforms import HALF, num_uniforms, uniforms, with_intermediates
from vae_jax.types import Array, Estimate, Shape


@checked
def stratified(
    key: Array,
    q: Distribution,
    p: Distribution,
    num_samples: int,
    *,
    least_replicates: Annotated[int, constraints.integer_greater_than(2)] = 8,
) -> Estimate:
    """E_q[log q - log p] over Latin hypercubes (McKay et al. 1979), through the inverse CDF.

    z_i = F^-1((pi_j(i) + v_ij) / n) in dimension j, pi_j a random permutation of 0, ..., n - 1.
    Unbiased. The part of the log ratio that is a sum over dimensions is integrated with variance
    O(n^-3) where it is smooth up to the ends, O(n^-2) where it grows in q's tails, as a quadratic
    does under a normal; the rest as by `plain` (Stein 1987).

    R independent hypercubes of n points, for their spread is an unbiased estimate of the variance,
    which one hypercube does not give. n = K // `least_replicates`, and 2 already from K = 4 on;
    R = K // n, so that up to n - 1 draws are left out. In one dimension the variance is
    proportional to R^2 K^-3, but Student's t is wide for few replicates.

    Args beside those of `types.KLEstimator`:
        least_replicates: R from K = 2 `least_replicates` on, or somewhat more.

    Returns:
        nats, `[...]`; the standard error is over replicates, with Student's t of R - 1 degrees of
        freedom, NaN for K = 1.

    Raises:
        UserError: if q has no inverse CDF.
    """
    count, size = replicates(num_samples, least_replicates)
    u = latin_hypercubes(key, (count, size, *q.batch_shape, num_uniforms(q)))
    return mean_and_error(log_ratio(q, p, *with_intermediates(q, u)).mean(1))


def latin_hypercubes(key: Array, shape: Shape) -> Float[Array, "replicates points ..."]:
    """U(0, 1) of that shape: along axis 1, of length n, one in each [i / n, (i + 1) / n)."""
    order, within = jax.random.split(key)
    cells = jnp.argsort(jax.random.bits(order, shape), axis=1)  # a permutation, in one sort
    return jnp.clip((cells + uniforms(within, shape)) / shape[1], HALF, 1 - HALF)
