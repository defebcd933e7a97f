from functools import lru_cache
from typing import Annotated

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, UInt32
from numpyro.distributions import Distribution, constraints
from scipy.stats import qmc

from vae_jax.config.components import checked
from vae_jax.kl_estimators._draws import log_ratio, mean_and_error, replicates
from vae_jax.kl_estimators._uniforms import HALF, num_uniforms, with_intermediates
from vae_jax.types import Array, Estimate, Shape


@checked
def quasi_monte_carlo(
    key: Array,
    q: Distribution,
    p: Distribution,
    num_samples: int,
    *,
    least_replicates: Annotated[int, constraints.integer_greater_than(2)] = 8,
) -> Estimate:
    """E_q[log q - log p] over Sobol points, scrambled (Owen 1997), through the inverse CDF.

    Unbiased: every point by itself is uniform, after a random linear scramble and digital shift of
    the binary digits (Matousek 1998). Where the log ratio is smooth and there are few dimensions
    the standard deviation falls nearly as K^-3/2, up to logarithms, or as K^-1 where the log ratio
    grows in q's tails, as a quadratic does under a normal; it is never much above that of `plain`.

    R independent scrambles of n points give the error: n is the largest power of two, as the
    points' balance wants, that is at most K // `least_replicates`, and 2 already from K = 4 on;
    R = K // n, so that up to n - 1 draws are left out. Each distribution of a batch has other
    scrambles, so that their errors are independent.

    Args beside those of `types.KLEstimator`:
        least_replicates: R from K = 2 `least_replicates` on, or up to twice as many.

    Returns:
        nats, `[...]`; the standard error is over replicates, with Student's t of R - 1 degrees of
        freedom, NaN for K = 1.

    Raises:
        UserError: if q has no inverse CDF.
    """
    _, most = replicates(num_samples, least_replicates)
    bits = most.bit_length() - 1
    count = num_samples // 2**bits
    u = scrambled_sobol(key, bits, (count, *q.batch_shape, num_uniforms(q)))
    return mean_and_error(log_ratio(q, p, *with_intermediates(q, u)).mean(0))


def scrambled_sobol(key: Array, bits: int, shape: Shape) -> Float[Array, "points ..."]:
    """2^bits points in shape[-1] dimensions, `[2^bits, *shape]`, scrambled apart for all of `...`.

    With x_j the j-th binary digit of a coordinate, x -> L x + s modulo 2, where L is lower
    triangular with a diagonal of ones; column j of L is an integer, below.
    """
    scramble, shift = jax.random.split(key)
    below = jax.random.bits(scramble, (bits, *shape), jnp.uint32)
    points = sobol(shape[-1], bits).reshape(-1, *(1 for _ in shape[1:]), shape[-1])
    x = jax.random.bits(shift, shape, jnp.uint32)
    for j in range(bits):  # the first 2^bits points have no digits after these
        column = (below[j] >> (j + 1)) | np.uint32(1 << (31 - j))
        x = x ^ jnp.where((points >> (31 - j)) & 1, column, np.uint32(0))
    x = jnp.broadcast_to(x, (2**bits, *shape)) >> 9  # 23 digits, which float32 holds with a half
    return x.astype(jnp.float32) * (2 * HALF) + HALF


@lru_cache
def sobol(dimensions: int, bits: int) -> UInt32[np.ndarray, "points {dimensions}"]:
    """The first 2^bits Sobol points as integers, times 2^32, `[2^bits, dimensions]`."""
    points = qmc.Sobol(dimensions, scramble=False).random_base2(bits)
    return (points * 2.0**32).astype(np.uint32)
