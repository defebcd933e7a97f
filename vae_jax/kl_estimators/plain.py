from numpyro.distributions import Distribution

from vae_jax.kl_estimators._draws import log_ratios, mean_and_error
from vae_jax.types import Array, Estimate


def plain(key: Array, q: Distribution, p: Distribution, num_samples: int) -> Estimate:
    """E_q[log q(z) - log p(z)], the mean over draws (k1 of Schulman 2020).

    Unbiased; its variance is Var_q[log q - log p] / K. It may be negative.

    Returns:
        nats, `[...]`; the standard error is std(log q - log p) / sqrt(K), NaN for K = 1.
    """
    return mean_and_error(log_ratios(key, q, p, num_samples))
