from typing import Any

import jax.numpy as jnp
from numpyro.distributions import constraints
from numpyro.distributions.transforms import Transform

from vae_jax.flows.layers import bounded
from vae_jax.networks.mlp import mlp
from vae_jax.types import Array, Network, Params


class AffineCoupling(Transform):
    """y = (a, b exp(s(a)) + m(a)) of the halves x = (a, b), |s| < 3 (Dinh et al. 2017).

    One pass of the network either way. It is the identity at the parameters that `init` gives; of
    one dimension, where a is empty, s and m are numbers.

    Args:
        network: from a to both, see `make_network`.
        params: see `init`.
    """

    domain = constraints.real_vector
    codomain = constraints.real_vector

    def __init__(self, network: Network, params: Params):
        """One layer."""
        self.network, self.params = network, params

    @staticmethod
    def make_network(dimensions: int, hidden: tuple[int, ...]) -> Network:
        """An MLP from the first half of the dimensions to a shift and a scale of the second."""
        first = dimensions // 2
        return mlp((max(1, first),), (dimensions - first, 2), hidden=hidden, activation="silu")

    @staticmethod
    def init(network: Network, key: Array, dimensions: int) -> Params:
        """Parameters of the identity: the outputs have a gain, and it starts at 0."""
        gain = jnp.zeros((dimensions - dimensions // 2, 2))
        return {"network": network.init(key), "gain": gain}

    def _halves(self, x: Array) -> tuple[Array, Array, Array, Array]:
        a, b = jnp.split(x, [x.shape[-1] // 2], axis=-1)
        seen = a if a.shape[-1] else jnp.zeros_like(b)
        outputs = self.params["gain"] * self.network.apply(self.params["network"], seen)
        return a, b, outputs[..., 0], bounded(outputs[..., 1])

    def __call__(self, x: Array) -> Array:
        """`[..., D]` -> `[..., D]`."""
        return self.call_with_intermediates(x)[0]

    def call_with_intermediates(self, x: Array) -> tuple[Array, Array]:
        """y, and the log scales that its density needs."""
        a, b, shift, log_scale = self._halves(x)
        return jnp.concatenate([a, b * jnp.exp(log_scale) + shift], -1), log_scale

    def _inverse(self, y: Array) -> Array:
        a, b, shift, log_scale = self._halves(y)
        return jnp.concatenate([a, (b - shift) * jnp.exp(-log_scale)], -1)

    def log_abs_det_jacobian(self, x: Array, y: Array, intermediates: Any = None) -> Array:
        """sum_j s_j, `[...]`; a is the same in x and y."""
        del x
        return (self._halves(y)[3] if intermediates is None else intermediates).sum(-1)

    def tree_flatten(self) -> Any:
        """The parameters are leaves, so that it passes through jit and vmap."""
        return (self.params,), (("params",), {"network": self.network})
