import jax.numpy as jnp
import numpy as np
from jax.scipy.special import digamma
from numpyro.distributions import Beta, Kumaraswamy, kl_divergence

from vae_jax.divergences.provable import same
from vae_jax.divergences.stable import excess
from vae_jax.types import Array


@kl_divergence.register(Kumaraswamy, Beta)
def kumaraswamy_beta(q: Kumaraswamy, p: Beta) -> Array:
    """KL(Kumaraswamy(a, b) || Beta(c, 1)), nats, `[...]` (Nalisnick & Smyth 2017).

    log (a b / c) - (1 - c / a) H_b - (b - 1) / b, H_b = psi(b + 1) + Euler's constant

    For another second parameter of p the KL is an infinite series, of which NumPyro takes ten
    terms: for Kumaraswamy(2, 3) against Beta(2, 4) they give 0.209 nats where there are 0.229.

    Raises:
        NotImplementedError: for a second parameter of p that is not known to be 1.
    """
    if not same(p.concentration0, np.ones(jnp.shape(p.concentration0))):
        raise NotImplementedError
    r, b = p.concentration1 / q.concentration1, q.concentration0
    harmonic = digamma(b + 1) + jnp.euler_gamma
    return excess(r, jnp.ones_like(r)) + excess(1 / b, jnp.ones_like(b)) + (1 - r) * (1 - harmonic)
