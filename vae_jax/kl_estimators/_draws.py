"""Log ratios of draws, numbers of draws, and the error of a mean, for all the estimators."""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Float, Num
from numpyro.distributions import Distribution, constraints

from vae_jax.config.events import require_same_event
from vae_jax.config.ranges import require
from vae_jax.types import Array, Estimate


def log_ratio(
    q: Distribution, p: Distribution, z: Num[Array, "..."], intermediates: Any = None
) -> Float[Array, "..."]:
    """log q(z) - log p(z), nats, without inverting a flow where z's intermediates are known."""
    require_same_event(q, p)
    log_q = q.log_prob(z, intermediates) if intermediates else q.log_prob(z)
    return log_q - p.log_prob(z)


def log_ratios(
    key: Array, q: Distribution, p: Distribution, num_samples: int
) -> Float[Array, "draws ..."]:
    """log q - log p at K independent draws of q, nats, `[K, ...]`."""
    z, intermediates = q.sample_with_intermediates(key, (at_least_one(num_samples),))
    return log_ratio(q, p, z, intermediates)


def at_least_one(num_samples: int) -> int:
    """`num_samples`.

    Raises:
        UserError: if it is not positive.
    """
    require(f"num_samples={num_samples}", num_samples, constraints.positive_integer)
    return num_samples


def mean_and_error(values: Float[Array, "terms ..."]) -> Estimate:
    """The mean of independent values `[R, ...]` and std / sqrt(R), NaN for R = 1."""
    error = jnp.std(values, 0, ddof=1) / jnp.sqrt(len(values))
    return Estimate(values.mean(0), error)


def replicates(num_samples: int, wanted: int) -> tuple[int, int]:
    """R and n, replicates of n points, R n <= K: at least `wanted` of them, fewer for small K.

    n is K // wanted, but 2 already from K = 4 on, with R = K // 2 replicates.

    Raises:
        UserError: if K is not positive.
    """
    size = max(1, min(2, at_least_one(num_samples) // 2), num_samples // wanted)
    return num_samples // size, size
