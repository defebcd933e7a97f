import jax
import jax.numpy as jnp
from numpyro.distributions import Distribution, constraints

from vae_jax.types import Array

NEAR = 0.5  # |a| below which the series are used; their next terms are below 1e-8


class ContinuousBernoulli(Distribution):
    """log p(x) = a x - log Z(a), Z(a) = (e^a - 1) / a, a density on [0, 1], nats.

    The continuous Bernoulli (Loaiza-Ganem & Cunningham 2019) by its natural parameter
    a = log(lambda / (1 - lambda)), in which nothing overflows and a = 0 is the uniform density.

    Args:
        logits: a, `[...]`.
    """

    arg_constraints = {"logits": constraints.real}  # noqa: RUF012
    support = constraints.unit_interval

    def __init__(self, logits: Array, *, validate_args: bool | None = None):
        """One element for each logit."""
        self.logits = logits
        super().__init__(jnp.shape(logits), validate_args=validate_args)

    @property
    def mean(self) -> Array:
        """d log Z / da = 1/2 + coth(a/2)/2 - 1/a, in [0, 1], `[...]`."""
        near, a = self._split()
        series = 0.5 + near / 12 - near**3 / 720 + near**5 / 30240
        return jnp.where(self._is_near, series, 0.5 + 0.5 / jnp.tanh(a / 2) - 1 / a)

    def sample(self, key: Array, sample_shape: tuple[int, ...] = ()) -> Array:
        """x = log(1 + u (e^a - 1)) / a, u ~ U[0, 1); for a > 0, 1 - x is drawn at -a."""
        t = jnp.maximum(jnp.abs(self.logits), 1e-6)
        u = jax.random.uniform(key, sample_shape + self.batch_shape)
        y = -jnp.log1p(u * jnp.expm1(-t)) / t
        return jnp.clip(jnp.where(self.logits > 0, 1 - y, y), 0, 1)

    def log_prob(self, value: Array, intermediates: object = None) -> Array:
        """The log density a x - log Z(a), nats, `[...]`."""
        del intermediates
        near, a = self._split()
        series = near / 2 + near**2 / 24 - near**4 / 2880 + near**6 / 181440
        size = jnp.abs(a)
        far = jnp.log1p(-jnp.exp(-size)) - jnp.log(size)
        positive = jnp.maximum(a, 0)  # of (e^a - 1) / a = e^max(a, 0) (1 - e^-|a|) / |a|
        linear = jnp.where(self._is_near, value * near - series, value * a - positive)
        return jnp.where(self._is_near, linear, linear - far)

    @property
    def _is_near(self) -> Array:
        return jnp.abs(self.logits) < NEAR

    def _split(self) -> tuple[Array, Array]:
        """The logits, with 0 for those that are far from 0, and with 1 for those that are near."""
        return jnp.where(self._is_near, self.logits, 0), jnp.where(self._is_near, 1, self.logits)
