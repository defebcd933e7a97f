from typing import Any

import jax
import jax.numpy as jnp
from jax.scipy.special import logsumexp
from jax.scipy.stats import norm
from numpyro.distributions import Distribution, constraints

from vae_jax.flows.layers import bounded
from vae_jax.flows.made import init_made, made
from vae_jax.types import Array, Params, Shape


class AutoregressiveMixture(Distribution):
    """p(z) = prod_j sum_c w_jc N(z_j; m_jc, s_jc^2), where w, m and s are functions of z_<j.

    A masked network gives them (Germain et al. 2015; a mixture-density MADE as in Papamakarios et
    al. 2017), so that a density is one pass and a draw D of them.

    Args:
        network: parameters, see `init`.
        start: `[D, components, 3]`, logits, means and log scales, to which the network's are added,
            those of log scales bounded.
    """

    support = constraints.real_vector
    pytree_data_fields = ("network", "start")

    def __init__(self, network: Params, start: Array):
        """One distribution, without batch axes."""
        self.network, self.start = network, start
        super().__init__((), start.shape[:1])

    @staticmethod
    def init(
        key: Array, dimensions: int, components: int, hidden: tuple[int, ...]
    ) -> dict[str, Any]:
        """Arguments with which no dimension depends on another; the means are N(0, 1) draws."""
        net_key, loc_key = jax.random.split(key)
        loc = jax.random.normal(loc_key, (dimensions, components))
        start = jnp.stack([jnp.zeros_like(loc), loc, jnp.zeros_like(loc)], -1)
        network = init_made(net_key, dimensions, 3 * components, hidden)
        return {"network": network, "start": start}

    def _conditionals(self, z: Array) -> tuple[Array, Array, Array]:
        """log w, m and s of each dimension given those before it, `[..., D, components]`."""
        outputs = made(self.network, z).reshape(*z.shape, *self.start.shape[1:])
        outputs = outputs.at[..., 2].set(bounded(outputs[..., 2]))
        logits, loc, log_scale = jnp.moveaxis(self.start + outputs, -1, 0)
        return jax.nn.log_softmax(logits), loc, jnp.exp(log_scale)

    def log_prob(self, value: Array, intermediates: Any = None) -> Array:
        """Nats, `[...]`."""
        del intermediates
        log_weight, loc, scale = self._conditionals(value)
        return logsumexp(log_weight + norm.logpdf(value[..., None], loc, scale), -1).sum(-1)

    def sample(self, key: Array, sample_shape: Shape = ()) -> Array:
        """`[*sample_shape, D]`: with noise fixed, after pass j the first j dimensions are drawn."""
        shape = (*sample_shape, *self.event_shape)
        which, noise = jax.random.split(key)
        gumbel = jax.random.gumbel(which, (*shape, self.start.shape[1]))
        epsilon = jax.random.normal(noise, shape)

        def one_more(_: Any, z: Array) -> Array:
            log_weight, loc, scale = self._conditionals(z)
            c = jnp.argmax(log_weight + gumbel, -1, keepdims=True)
            taken = [jnp.take_along_axis(each, c, -1)[..., 0] for each in (loc, scale)]
            return taken[0] + taken[1] * epsilon

        return jax.lax.fori_loop(0, self.event_shape[0], one_more, jnp.zeros(shape))
