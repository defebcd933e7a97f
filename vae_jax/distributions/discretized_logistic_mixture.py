from collections.abc import Sequence
from functools import reduce

import jax
import jax.numpy as jnp
from numpyro.distributions import Distribution, constraints

from vae_jax.types import Array

FAR = 100.0  # scales from the middle, where float32 has e^-100 = 0 beside 1


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
        weights, locs, scales = (
            jnp.unstack(a, axis=-1) for a in (self.logits, self.loc, self.scale)
        )
        masses = [_log_mass(value, m, s, self.levels) for m, s in zip(locs, scales, strict=True)]
        if len(masses) == 1:
            return masses[0]
        weighted = [w + mass for w, mass in zip(weights, masses, strict=True)]
        return _log_sum(weighted) - _log_sum(weights)


def _log_mass(x: Array, loc: Array, scale: Array, levels: int) -> Array:
    """log [F(b) - F(a)] = min(b, 0) + min(-a, 0) + log (1 - e^(a-b)) / (1 + e^-|b|) / (1 + e^-|a|).

    One logarithm, and exponentials that the gradient uses again; b = inf and a = -inf at the ends.
    """
    half, first, last = 1 / (levels - 1), x == 0, x == levels - 1
    centred = 2 * half * x - 1 - loc
    b = jnp.where(last, FAR, (half + centred) / scale)
    minus_a = jnp.where(first, FAR, (half - centred) / scale)
    width = jnp.where(first | last, 1, -jnp.expm1(-2 * half / scale))
    tails = (1 + jnp.exp(-jnp.abs(b))) * (1 + jnp.exp(-jnp.abs(minus_a)))
    return jnp.minimum(b, 0) + jnp.minimum(minus_a, 0) + jnp.log(width / tails)


def _log_sum(logs: Sequence[Array]) -> Array:
    """log sum_k e^a_k of separate arrays, which XLA vectorizes where it does not a short axis."""
    top = jax.lax.stop_gradient(reduce(jnp.maximum, logs))
    return top + jnp.log(sum(jnp.exp(a - top) for a in logs))
