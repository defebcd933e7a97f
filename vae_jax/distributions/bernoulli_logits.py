import jax
import jax.numpy as jnp
from numpyro.distributions import Distribution, constraints

from vae_jax.types import Array


class BernoulliLogits(Distribution):
    """Independent Bernoulli elements, one event: log p(x) = sum_d x_d a_d - softplus(a_d), nats.

    NumPyro's `Bernoulli(...).to_event()` is the same density. This one writes softplus(a) as
    max(a, 0) + log(1 + exp(-|a|)), which XLA vectorizes where it does not vectorize `logaddexp`: on
    a CPU an importance-sampled log p(x) takes 0.8 of the time (`benchmarks/ideas.py`).

    Args:
        logits: a, `[..., *event_shape]`.
        event_ndims: how many trailing axes are one event.
    """

    arg_constraints = {"logits": constraints.real}  # noqa: RUF012
    pytree_data_fields = ("logits",)
    pytree_aux_fields = ("_event_ndims",)

    def __init__(self, logits: Array, event_ndims: int, *, validate_args: bool | None = None):
        """The last `event_ndims` axes of the logits are one event."""
        self.logits = logits
        self._event_ndims = event_ndims
        split = jnp.ndim(logits) - event_ndims
        shape = jnp.shape(logits)
        super().__init__(shape[:split], shape[split:], validate_args=validate_args)

    @property
    def base_dist(self) -> "BernoulliLogits":
        """The same elements, each an event of its own."""
        return BernoulliLogits(self.logits, 0)

    @property
    def support(self) -> constraints.Constraint:
        """Zeros and ones."""
        return constraints.independent(constraints.boolean, self._event_ndims)

    @property
    def mean(self) -> Array:
        """P(x_d = 1), `[..., *event_shape]`."""
        return jax.nn.sigmoid(self.logits)

    @property
    def variance(self) -> Array:
        """P(x_d = 1) P(x_d = 0), `[..., *event_shape]`."""
        return self.mean * jax.nn.sigmoid(-self.logits)

    def sample(self, key: Array, sample_shape: tuple[int, ...] = ()) -> Array:
        """Zeros and ones, `[*sample_shape, ..., *event_shape]`."""
        shape = sample_shape + self.batch_shape + self.event_shape
        return jax.random.bernoulli(key, self.mean, shape).astype(jnp.result_type(self.logits))

    def log_prob(self, value: Array, intermediates: object = None) -> Array:
        """Sum over the event of x a - max(a, 0) - log(1 + exp(-|a|)), nats, `[...]`."""
        del intermediates
        a, x = self._flat(self.logits), self._flat(value)
        magnitude = jnp.maximum(a, -a)  # abs, but with the gradient 0 at 0
        return jnp.sum(x * a - jnp.maximum(a, 0) - jnp.log1p(jnp.exp(-magnitude)), -1)

    def _flat(self, x: Array) -> Array:
        """One axis in place of the event's: XLA's loops are short over the axes of an image."""
        return jnp.reshape(x, (*jnp.shape(x)[: jnp.ndim(x) - self._event_ndims], -1))
