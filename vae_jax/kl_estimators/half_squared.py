from numpyro.distributions import Distribution

from vae_jax.kl_estimators._draws import log_ratios, mean_and_error
from vae_jax.types import Array, Estimate, biased


@biased
def half_squared(key: Array, q: Distribution, p: Distribution, num_samples: int) -> Estimate:
    """E_q[(log q - log p)^2] / 2, the mean over draws (k2 of Schulman 2020); never negative.

    Biased, whatever K is: its expectation is (KL^2 + Var_q[log q - log p]) / 2, an f-divergence
    that is the KL to second order where q is near p (with log p - log q = e, E_q[exp(e)] = 1 gives
    KL = E[e^2] / 2 + E[e^3] / 6 + ..., so that the bias is -E_q[e^3] / 6 to leading order). Its
    variance is Var_q[(log q - log p)^2] / (4 K), of fourth order in e where `plain` has second.

    Returns:
        nats, `[...]`; the standard error holds no bias and is NaN for K = 1.
    """
    return mean_and_error(0.5 * log_ratios(key, q, p, num_samples) ** 2)
