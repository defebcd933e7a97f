import jax.numpy as jnp
from numpyro.distributions import Distribution

from vae_jax.kl_estimators._draws import log_ratios, mean_and_error
from vae_jax.types import Array, Estimate, biased


@biased
def ratio_minus_log(key: Array, q: Distribution, p: Distribution, num_samples: int) -> Estimate:
    """E_q[(r - 1) - log r], r = p / q, the mean over draws (k3 of Schulman 2020); never negative.

    Unbiased where p is 0 wherever q is, for then E_q[r] = 1; otherwise it is less than the KL by
    p's mass outside of q's support. A control variate, r - 1, with coefficient 1: the variance is
    Var_q[r - 1 - log r] / K, small where q is near p. It is infinite where p has so much heavier
    tails than q that E_q[r^2] is (for normals: p's variance twice q's or more), and then neither
    the estimate nor its standard error is of use.

    Returns:
        nats, `[...]`; the standard error is NaN for K = 1.
    """
    log_r = -log_ratios(key, q, p, num_samples)
    return mean_and_error(jnp.expm1(log_r) - log_r)
