import jax
import jax.numpy as jnp
from numpyro.distributions import Distribution, constraints

from vae_jax.types import Array


class LevelCategorical(Distribution):
    """log p(x) = a_x - log sum_l exp(a_l), a mass on the levels 0, ..., L - 1 as floats, nats.

    NumPyro's `Categorical` with levels that are numbers: it has a mean.

    Args:
        logits: a, `[..., L]`.
    """

    arg_constraints = {"logits": constraints.real_vector}  # noqa: RUF012

    def __init__(self, logits: Array, *, validate_args: bool | None = None):
        """The last axis is that of the levels."""
        self.logits = logits
        super().__init__(jnp.shape(logits)[:-1], validate_args=validate_args)

    @property
    def support(self) -> constraints.Constraint:
        """The integers 0, ..., L - 1."""
        return constraints.integer_interval(0, self.logits.shape[-1] - 1)

    @property
    def mean(self) -> Array:
        """E[x] in levels, `[...]`."""
        return jax.nn.softmax(self.logits) @ jnp.arange(self.logits.shape[-1], dtype=jnp.float32)

    def sample(self, key: Array, sample_shape: tuple[int, ...] = ()) -> Array:
        """Levels as floats, `[*sample_shape, ...]`."""
        shape = sample_shape + self.batch_shape
        return jax.random.categorical(key, self.logits, shape=shape).astype(jnp.float32)

    def log_prob(self, value: Array, intermediates: object = None) -> Array:
        """The level's log mass, nats, `[...]`."""
        del intermediates
        level = value.astype(jnp.int32)[..., None]
        shape = jnp.broadcast_shapes(level.shape[:-1], self.batch_shape)
        logits = jnp.broadcast_to(self.logits, (*shape, self.logits.shape[-1]))
        chosen = jnp.take_along_axis(logits, jnp.broadcast_to(level, (*shape, 1)), -1)[..., 0]
        return chosen - jax.nn.logsumexp(self.logits, -1)
