from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.scipy.special import logsumexp
from numpyro.distributions import Distribution

from vae_jax.errors import UserError
from vae_jax.types import Array, Estimate


class Surgery(NamedTuple):
    """The prior matching term of N examples and the two parts it is the sum of, nats, `[]` each."""

    mean_kl: Estimate  # 1/N sum_n KL(q(z | x_n) || p(z))
    mutual_information: Estimate  # I_q(x; z), at most log N
    marginal_kl: Estimate  # KL(q(z) || p(z))


def surgery(key: Array, q: Distribution, p: Distribution, num_samples: int = 10) -> Surgery:
    """1/N sum_n KL(q(z|x_n) || p(z)) = I_q(x; z) + KL(q(z) || p(z)) (Hoffman & Johnson 2016).

    q(z) = 1/N sum_n q(z | x_n) is the aggregated posterior of these N examples, without error;
    I_q(x; z) = 1/N sum_n KL(q(z|x_n) || q(z)) says how many nats of which example it is z keeps.
    Each is a mean of differences of log q(z|x_n), log q(z) and log p(z) over K draws z of each
    q(z | x_n), N^2 K densities in all; the standard errors are those of the draws.

    Args:
        key: one key.
        q: q(z | x_n) of all examples, batch `[N]`, event `[latent_dim]`.
        p: p(z), event `[latent_dim]`.
        num_samples: K, draws of z per example.

    Raises:
        UserError: if q is not a batch along one axis, or K is below 2.
    """
    if len(q.batch_shape) != 1 or num_samples < 2:
        raise UserError(
            f"batch {q.batch_shape}, num_samples={num_samples}: "
            "surgery takes a batch [N] of posteriors, and at least 2 draws of each"
        )

    def densities(key: Array) -> tuple[Array, Array, Array]:
        z = q.sample(key)
        log_q_z = logsumexp(q.log_prob(z[:, None]), axis=1) - jnp.log(len(z))
        return q.log_prob(z), log_q_z, p.log_prob(z)

    each, average, prior = jax.lax.map(densities, jax.random.split(key, num_samples))
    return Surgery(*map(_stratified, (each - prior, each - average, average - prior)))


def _stratified(values: Array) -> Estimate:
    """The mean of `[K, N]`, N strata with K draws each, and its standard error."""
    return Estimate(values.mean(), jnp.sqrt(values.var(0, ddof=1).mean() / values.size))
