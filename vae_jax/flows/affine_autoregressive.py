from typing import Any

import jax
import jax.numpy as jnp
from numpyro.distributions import constraints
from numpyro.distributions.transforms import Transform

from vae_jax.flows.layers import bounded
from vae_jax.flows.made import init_made, made
from vae_jax.types import Array, Params


class AffineAutoregressive(Transform):
    """y_j = x_j exp(s_j(x_<j)) + m_j(x_<j), s and m by a masked network, |s| < 3.

    One pass of the network forward, D passes for the inverse. Sampled forward it is the inverse
    autoregressive flow (Kingma et al. 2016), its `.inv` the masked autoregressive one
    (Papamakarios et al. 2017). It is the identity at the parameters that `init` gives.

    Args:
        params: see `init`.
        context: what s and m may depend on besides, `[..., num_context]`, or None.
    """

    domain = constraints.real_vector
    codomain = constraints.real_vector

    def __init__(self, params: Params, context: Array | None = None):
        """One layer."""
        self.params, self.context = params, context

    @staticmethod
    def init(key: Array, dimensions: int, hidden: tuple[int, ...], num_context: int = 0) -> Params:
        """Parameters of the identity."""
        return init_made(key, dimensions, 2, hidden, num_context)

    def _shift_and_log_scale(self, x: Array) -> tuple[Array, Array]:
        outputs = made(self.params, x, self.context)
        return outputs[..., 0], bounded(outputs[..., 1])

    def __call__(self, x: Array) -> Array:
        """`[..., D]` -> `[..., D]`."""
        return self.call_with_intermediates(x)[0]

    def call_with_intermediates(self, x: Array) -> tuple[Array, Array]:
        """y, and the log scales that its density needs."""
        shift, log_scale = self._shift_and_log_scale(x)
        return x * jnp.exp(log_scale) + shift, log_scale

    def _inverse(self, y: Array) -> Array:
        """After pass j the first j elements are right, since they need only those before them."""

        def one_more(_: Any, x: Array) -> Array:
            shift, log_scale = self._shift_and_log_scale(x)
            return (y - shift) * jnp.exp(-log_scale)

        return jax.lax.fori_loop(0, y.shape[-1], one_more, one_more(0, jnp.zeros_like(y)))

    def log_abs_det_jacobian(self, x: Array, y: Array, intermediates: Any = None) -> Array:
        """sum_j s_j, `[...]`."""
        del y
        log_scale = self._shift_and_log_scale(x)[1] if intermediates is None else intermediates
        return log_scale.sum(-1)

    def forward_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The context's batch axes are the result's."""
        if self.context is None:
            return shape
        return (*jnp.broadcast_shapes(shape[:-1], self.context.shape[:-1]), shape[-1])

    def tree_flatten(self) -> Any:
        """Parameters and context are leaves, so that it passes through jit and vmap."""
        return (self.params, self.context), (("params", "context"), {})
