from typing import Any

import flax.linen as nn
import jax.numpy as jnp
import numpy as np

from vae_jax.errors import UserError, unknown
from vae_jax.types import Array, Network, Params, Shape


class _MLP(nn.Module):
    widths: tuple[int, ...]
    activation: str

    @nn.compact
    def __call__(self, x: Array) -> Array:
        for width in self.widths[:-1]:
            x = getattr(nn, self.activation)(nn.Dense(width)(x))
        return nn.Dense(self.widths[-1])(x)


def mlp(
    in_shape: Shape,
    out_shape: Shape,
    *,
    hidden: tuple[int, ...] = (200, 200),
    activation: str = "tanh",
) -> Network:
    """Fully connected layers of the widths `hidden`, inputs and outputs flattened.

    `activation` names a function of `flax.linen`: tanh, relu, gelu, silu, ...

    Raises:
        UserError: if there is no such activation, or a width is not positive.
    """
    if not callable(getattr(nn.activation, activation, None)):
        raise unknown("activation", activation, ["tanh", "relu", "elu", "gelu", "silu", "softplus"])
    if min(hidden, default=1) < 1:
        raise UserError(f"hidden={hidden}: widths are positive")
    module = _MLP((*hidden, int(np.prod(out_shape))), activation)

    def init(key: Array) -> Params:
        return module.init(key, jnp.zeros(int(np.prod(in_shape))))["params"]

    def apply(params: Params, inputs: Array) -> Array:
        batch = inputs.shape[: inputs.ndim - len(in_shape)]
        outputs: Any = module.apply({"params": params}, inputs.reshape(*batch, -1))
        return outputs.reshape(*batch, *out_shape)

    return Network(init, apply)
