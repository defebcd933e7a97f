import jax.numpy as jnp
from numpyro.distributions import Distribution

from vae_jax.types import Array, Estimate


def plain(key: Array, q: Distribution, p: Distribution, num_samples: int) -> Estimate:
    """E_q[log q(z) - log p(z)], the mean over draws (k1 of Schulman 2020); unbiased.

    Args:
        key: one key.
        q: what is drawn from, and its batch axes `[...]`.
        p: of the same event shape.
        num_samples: K, draws.

    Returns:
        nats, `[...]`; the standard error is std(log q - log p) / sqrt(K), NaN for K = 1.
    """
    z = q.sample(key, (num_samples,))
    log_ratio = q.log_prob(z) - p.log_prob(z)
    error = jnp.std(log_ratio, 0, ddof=1) / jnp.sqrt(num_samples)
    return Estimate(log_ratio.mean(0), error)
