import jax
import jax.numpy as jnp
import numpy as np
from numpyro.distributions import BinomialLogits, Distribution, constraints

from vae_jax.types import Array


class BinomialLevels(Distribution):
    """log p(x) = log C(n, x) + x a - n softplus(a), a mass on 0, ..., n, nats.

    NumPyro's `BinomialLogits` is the same mass. Here log C(n, x) is a table made in double
    precision: from float32's log-gamma functions it is wrong by 2e-4 nats at n = 255, one way for
    all elements.

    Args:
        logits: a, `[...]`.
        total_count: n.
    """

    arg_constraints = {"logits": constraints.real}  # noqa: RUF012
    pytree_aux_fields = ("total_count",)

    def __init__(self, logits: Array, total_count: int, *, validate_args: bool | None = None):
        """One element for each logit, with the same number of trials."""
        self.logits, self.total_count = logits, total_count
        super().__init__(jnp.shape(logits), validate_args=validate_args)

    @property
    def support(self) -> constraints.Constraint:
        """The integers 0, ..., n."""
        return constraints.integer_interval(0, self.total_count)

    @property
    def mean(self) -> Array:
        """n sigmoid(a), `[...]`."""
        return self.total_count * jax.nn.sigmoid(self.logits)

    def sample(self, key: Array, sample_shape: tuple[int, ...] = ()) -> Array:
        """Counts as floats, `[*sample_shape, ...]`."""
        draws = BinomialLogits(self.logits, self.total_count).sample(key, sample_shape)
        return jnp.asarray(draws, jnp.float32)

    def log_prob(self, value: Array, intermediates: object = None) -> Array:
        """The level's log mass, nats, `[...]`."""
        del intermediates
        log_factorials = np.cumsum(np.log(np.maximum(np.arange(self.total_count + 1), 1)))
        log_ways = log_factorials[-1] - log_factorials - log_factorials[::-1]
        ways = jnp.asarray(log_ways, jnp.float32)[value.astype(jnp.int32)]
        magnitude = jnp.log1p(jnp.exp(-jnp.abs(self.logits)))  # softplus(a) = max(a, 0) + this
        linear = value * self.logits - self.total_count * jnp.maximum(self.logits, 0)
        return ways + linear - self.total_count * magnitude
