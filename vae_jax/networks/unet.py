from collections.abc import Callable
from typing import Annotated, Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Float
from numpyro.distributions import constraints

from vae_jax.errors import UserError
from vae_jax.networks._activations import activation_named
from vae_jax.networks._convolutional import Residual, image
from vae_jax.networks._products import Conv
from vae_jax.types import Array, Network, Params, Shape


class _UNet(nn.Module):
    channels: tuple[int, ...]
    blocks: int
    kernel: int
    activation: Callable[[Array], Array]
    out_channels: int

    @nn.compact
    def __call__(self, x: Array) -> Array:
        size = (self.kernel, self.kernel)
        x, beside = Conv(self.channels[0], size)(x), []
        for width in self.channels[1:]:
            beside.append(x := self._refined(x))
            x = Conv(width, size, strides=2)(self.activation(x))
        x = self._refined(x)
        for width, skipped in zip(self.channels[-2::-1], reversed(beside), strict=True):
            x = jax.image.resize(x, (*skipped.shape[:-1], x.shape[-1]), "nearest")
            x = Conv(width, size)(self.activation(jnp.concatenate([x, skipped], -1)))
            x = self._refined(x)
        return Conv(self.out_channels, size)(self.activation(x))

    def _refined(self, x: Array) -> Array:
        for _ in range(self.blocks):
            x = Residual(self.kernel, self.activation)(x)
        return x


def unet(
    in_shape: Shape,
    out_shape: Shape,
    *,
    channels: tuple[Annotated[int, constraints.positive_integer], ...] = (32, 64),
    blocks: Annotated[int, constraints.positive_integer] = 1,
    kernel: Annotated[int, constraints.positive_integer] = 3,
    activation: str = "silu",
) -> Network:
    """Images to images of the same size, by way of smaller ones (Ronneberger et al. 2015).

    The image is halved before each of the `channels` but the first, and doubled on the way back,
    beside what it was before; `blocks` residual blocks refine each size.

    Raises:
        UserError: if the two are no images of one size, or there are no channels.
    """
    if len(in_shape) < 3 or len(out_shape) < 3 or in_shape[:2] != out_shape[:2]:
        raise UserError(f"unet needs images of one size; the shapes here are {in_shape, out_shape}")
    if not channels:
        raise UserError("channels=(): at least one is needed")
    inner = image(in_shape)
    module = _UNet(channels, blocks, kernel, activation_named(activation), image(out_shape)[-1])

    def init(key: Array) -> Params:
        return module.init(key, jnp.zeros((1, *inner)))["params"]

    def apply(
        params: Params, inputs: Float[Array, "*batch_and_in"]
    ) -> Float[Array, "*batch_and_out"]:
        batch = inputs.shape[: inputs.ndim - len(in_shape)]
        outputs: Any = module.apply({"params": params}, inputs.reshape(-1, *inner))
        return outputs.reshape(*batch, *out_shape)

    return Network(init, apply)
