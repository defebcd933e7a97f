import jax
import jax.numpy as jnp
from jax.nn import log_sigmoid
from numpyro.distributions import Distribution, constraints
from numpyro.distributions.util import promote_shapes

from vae_jax.distributions.negative_binomial import NegativeBinomial
from vae_jax.types import Array


class ZeroInflatedNegativeBinomial(Distribution):
    """P(x) = g [x = 0] + (1 - g) NB(x; m, r): a count that is lost with probability g, nats.

    In log space, so that nothing overflows where g is 0 or 1 in float32 (Lopez et al. 2018).

    Args:
        gate_logits: log(g / (1 - g)), `[...]`.
        mu: m, the mean of the counts that are not lost, `[...]`.
        dispersion: r, as in `NegativeBinomial`, `[...]`.
    """

    arg_constraints = {  # noqa: RUF012
        "gate_logits": constraints.real,
        "mu": constraints.positive,
        "dispersion": constraints.positive,
    }
    support = constraints.nonnegative_integer

    def __init__(
        self, gate_logits: Array, mu: Array, dispersion: Array, *, validate_args: bool | None = None
    ):
        """The three are broadcast."""
        self.gate_logits, self.mu, self.dispersion = promote_shapes(gate_logits, mu, dispersion)
        shapes = map(jnp.shape, (gate_logits, mu, dispersion))
        super().__init__(jnp.broadcast_shapes(*shapes), validate_args=validate_args)

    @property
    def mean(self) -> Array:
        """E[x] = (1 - g) m, `[...]`."""
        return jax.nn.sigmoid(-self.gate_logits) * self.mu

    def sample(self, key: Array, sample_shape: tuple[int, ...] = ()) -> Array:
        """Counts as floats, `[*sample_shape, ...]`."""
        gate_key, count_key = jax.random.split(key)
        shape = sample_shape + self.batch_shape
        kept = jax.random.bernoulli(gate_key, jax.nn.sigmoid(-self.gate_logits), shape)
        return jnp.where(kept, self._counts.sample(count_key, sample_shape), 0)

    def log_prob(self, value: Array, intermediates: object = None) -> Array:
        """The count's log mass, nats, `[...]`."""
        del intermediates
        kept = log_sigmoid(-self.gate_logits) + self._counts.log_prob(value)
        return jnp.where(value == 0, jnp.logaddexp(log_sigmoid(self.gate_logits), kept), kept)

    @property
    def _counts(self) -> NegativeBinomial:
        return NegativeBinomial(self.mu, self.dispersion)
