from collections.abc import Callable
from typing import Annotated, Any

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float
from numpyro.distributions import constraints

from vae_jax.networks._activations import activation_named
from vae_jax.types import Array, Network, Params, Shape


class _MLP(nn.Module):
    widths: tuple[int, ...]
    activation: Callable[[Array], Array]
    gated: bool

    @nn.compact
    def __call__(self, x: Array) -> Array:
        for width in self.widths[:-1]:
            gate = nn.sigmoid(nn.Dense(width)(x)) if self.gated else 1
            x = self.activation(nn.Dense(width)(x)) * gate
        return nn.Dense(self.widths[-1])(x)


def mlp(
    in_shape: Shape,
    out_shape: Shape,
    *,
    hidden: tuple[Annotated[int, constraints.positive_integer], ...] = (200, 200),
    activation: str = "tanh",
    gated: bool = False,
) -> Network:
    """Fully connected layers of the widths `hidden`, inputs and outputs flattened.

    h' = f(Wh + b), or f(Wh + b) sigmoid(Vh + c) if `gated` (Dauphin et al. 2017); with
    `activation="identity"` that is the layer of Tomczak & Welling 2018. f is a function of
    `jax.nn`: tanh, relu, gelu, silu, ...

    Raises:
        UserError: if there is no such activation.
    """
    widths = (*hidden, int(np.prod(out_shape)))
    module = _MLP(widths, activation_named(activation), gated)

    def init(key: Array) -> Params:
        return module.init(key, jnp.zeros(int(np.prod(in_shape))))["params"]

    def apply(
        params: Params, inputs: Float[Array, "*batch_and_in"]
    ) -> Float[Array, "*batch_and_out"]:
        batch = inputs.shape[: inputs.ndim - len(in_shape)]
        outputs: Any = module.apply({"params": params}, inputs.reshape(*batch, -1))
        return outputs.reshape(*batch, *out_shape)

    return Network(init, apply)
