import jax
import jax.numpy as jnp
from jax.nn import log_sigmoid, log_softmax
from numpyro.distributions import Distribution, constraints

from vae_jax.types import Array


class DiscretizedLogisticMixture(Distribution):
    """P(x) = sum_k w_k [F((t + h - m_k) / s_k) - F((t - h - m_k) / s_k)], F the logistic sigmoid.

    A mass on the levels x = 0, ..., L - 1, which lie at t = 2x / (L - 1) - 1 in [-1, 1], bins of
    half width h = 1 / (L - 1); the first bin begins at -inf and the last ends at inf, so that the
    mass over the levels is exactly one (Salimans et al. 2017). In log space throughout:
    F(b) - F(a) = F(b) F(-a) (1 - e^(a-b)).

    Args:
        logits: of the weights w, `[..., K]`.
        loc: m, `[..., K]`, in the units of t.
        scale: s, `[..., K]`, likewise.
        levels: L.
    """

    arg_constraints = {  # noqa: RUF012
        "logits": constraints.real_vector,
        "loc": constraints.real_vector,
        "scale": constraints.independent(constraints.positive, 1),
    }
    pytree_aux_fields = ("levels",)

    def __init__(
        self,
        logits: Array,
        loc: Array,
        scale: Array,
        levels: int,
        *,
        validate_args: bool | None = None,
    ):
        """The last axis is that of the components."""
        self.logits, self.loc, self.scale, self.levels = logits, loc, scale, levels
        super().__init__(jnp.shape(loc)[:-1], validate_args=validate_args)

    @property
    def support(self) -> constraints.Constraint:
        """The integers 0, ..., L - 1."""
        return constraints.integer_interval(0, self.levels - 1)

    @property
    def mean(self) -> Array:
        """E[x] = sum_(j < L - 1) P(x > j), in levels, `[...]`."""
        weights = jax.nn.softmax(self.logits)

        def add(j: Array, total: Array) -> Array:
            edge = (2 * j + 1) / (self.levels - 1) - 1
            return total + jnp.sum(weights * jax.nn.sigmoid((self.loc - edge) / self.scale), -1)

        return jax.lax.fori_loop(0, self.levels - 1, add, jnp.zeros(self.batch_shape))

    def sample(self, key: Array, sample_shape: tuple[int, ...] = ()) -> Array:
        """Logistic draws of a drawn component, rounded to levels, `[*sample_shape, ...]`."""
        which, noise = jax.random.split(key)
        shape = sample_shape + self.batch_shape
        k = jax.random.categorical(which, self.logits, shape=shape)[..., None]

        def chosen(x: Array) -> Array:
            full = jnp.broadcast_to(x, (*shape, x.shape[-1]))
            return jnp.take_along_axis(full, k, -1)[..., 0]

        t = chosen(self.loc) + chosen(self.scale) * jax.random.logistic(noise, shape)
        return jnp.clip(jnp.round((t + 1) / 2 * (self.levels - 1)), 0, self.levels - 1)

    def log_prob(self, value: Array, intermediates: object = None) -> Array:
        """The level's log mass, nats, `[...]`."""
        del intermediates
        h, x = 1 / (self.levels - 1), value[..., None]
        centred = 2 * h * x - 1 - self.loc
        below = jnp.where(x < self.levels - 1, log_sigmoid((centred + h) / self.scale), 0)
        above = jnp.where(x > 0, log_sigmoid((h - centred) / self.scale), 0)
        inner = (x > 0) & (x < self.levels - 1)
        width = jnp.where(inner, jnp.log(-jnp.expm1(-2 * h / self.scale)), 0)
        return jax.nn.logsumexp(log_softmax(self.logits) + below + above + width, -1)
