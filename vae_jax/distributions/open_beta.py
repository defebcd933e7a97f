import jax.numpy as jnp
from numpyro.distributions import Beta, constraints

from vae_jax.distributions.log_beta import log_beta
from vae_jax.types import Array


class OpenBeta(Beta):
    """log p(x) = (a - 1) log x + (b - 1) log(1 - x) - log B(a, b) inside (0, 1), nats.

    NumPyro's `Beta`, its arguments `concentration1` a and `concentration0` b, but without the end
    points, where the density is infinite, 0 or discontinuous. Float32 draws that round to an end
    are moved to the next number inside.
    """

    support = constraints.open_interval(0.0, 1.0)

    def sample(self, key: Array, sample_shape: tuple[int, ...] = ()) -> Array:
        """Draws inside (0, 1), `[*sample_shape, ...]`."""
        inside = jnp.finfo(jnp.float32)
        return jnp.clip(super().sample(key, sample_shape), inside.tiny, 1 - inside.epsneg)

    def log_prob(self, value: Array, intermediates: object = None) -> Array:
        """The density's logarithm, nats, `[...]`."""
        del intermediates
        a, b = self.concentration1, self.concentration0
        return (a - 1) * jnp.log(value) + (b - 1) * jnp.log1p(-value) - log_beta(a, b)
