import jax.numpy as jnp
from numpyro.distributions import Logistic, kl_divergence

from vae_jax.divergences.provable import same
from vae_jax.types import Array

NEAR = 0.5  # |d| below which the series serves; its next term is below 1e-11 of it


@kl_divergence.register(Logistic, Logistic)
def logistic_logistic(q: Logistic, p: Logistic) -> Array:
    """d coth(d / 2) - 2, d = (m_q - m_p) / s, for logistics of one scale s, nats, `[...]`.

    log p(z) is linear in z but for log(1 + e^-z), and with u = sigmoid(z) uniform on (0, 1),
    E log(1 + u (e^d - 1)) = d e^d / (e^d - 1) - 1.

    Raises:
        NotImplementedError: for scales that are not known to be equal: there is no closed form.
    """
    if not same(q.scale, p.scale):
        raise NotImplementedError
    d = jnp.abs(q.loc - p.loc) / q.scale
    near = d < NEAR
    x, y = jnp.where(near, d, 0) ** 2, jnp.where(near, 1, d)
    series = x / 6 - x**2 / 360 + x**3 / 15120 - x**4 / 604800 + x**5 / 23950080
    return jnp.where(near, series, y / jnp.tanh(y / 2) - 2)
