from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from vae_jax.errors import UserError
from vae_jax.networks._activations import activation_named
from vae_jax.networks._products import Conv, ConvTranspose
from vae_jax.types import Array, Network, Params, Shape


class Residual(nn.Module):
    """x + g(x), g two convolutions behind activations, 0 at the start (He et al. 2016)."""

    kernel: int
    activation: Callable[[Array], Array]

    @nn.compact
    def __call__(self, x: Array) -> Array:
        size, width = (self.kernel, self.kernel), x.shape[-1]
        hidden = Conv(width, size)(self.activation(x))
        zeros = nn.initializers.zeros
        return x + Conv(width, size, kernel_init=zeros)(self.activation(hidden))


class _Encoder(nn.Module):
    channels: tuple[int, ...]
    kernel: int
    blocks: int
    activation: Callable[[Array], Array]
    out_size: int

    @nn.compact
    def __call__(self, x: Array) -> Array:
        for width in self.channels:
            x = self.activation(Conv(width, (self.kernel, self.kernel), strides=2)(x))
            for _ in range(self.blocks):
                x = Residual(self.kernel, self.activation)(x)
        return nn.Dense(self.out_size)(x.reshape(*x.shape[:-3], -1))


class _Decoder(nn.Module):
    channels: tuple[int, ...]
    kernel: int
    blocks: int
    activation: Callable[[Array], Array]
    out_shape: Shape  # height, width, channels

    @nn.compact
    def __call__(self, z: Array) -> Array:
        height, width, out_channels = self.out_shape
        shrink, size = 2 ** len(self.channels), (self.kernel, self.kernel)
        grid = (-(-height // shrink), -(-width // shrink), self.channels[-1])
        x = nn.Dense(int(np.prod(grid)))(z).reshape(*z.shape[:-1], *grid)
        for features in (*self.channels[-2::-1], out_channels):
            x = self.activation(x)
            for _ in range(self.blocks):
                x = Residual(self.kernel, self.activation)(x)
            x = ConvTranspose(features, size, stride=2)(x)
        return x[..., :height, :width, :]


def image(shape: Shape) -> Shape:
    """`[height, width]` or `[height, width, channels, ...]` as height, width, channels."""
    return (*shape[:2], int(np.prod(shape[2:])))


def convolutional(
    in_shape: Shape,
    out_shape: Shape,
    channels: tuple[int, ...],
    kernel: int,
    blocks: int,
    activation: str,
) -> Network:
    """Strided convolutions, halving the image at each, `blocks` residual blocks after each.

    As a decoder the same mirrored. Where the inputs are images it encodes, where the outputs are
    it decodes; sizes that are no multiple of 2 are padded up and cropped.

    Raises:
        UserError: if neither side is an image, or there are no channels.
    """
    if not channels:
        raise UserError("channels=(): at least one halving is needed")
    encodes = len(in_shape) >= 2
    if not encodes and len(out_shape) < 3:
        size = (in_shape, out_shape[:-1])
        raise UserError(f"needs images [height, width, ...]; the shapes here are {size}")
    inner = image(in_shape) if encodes else in_shape
    kind: Any = _Encoder if encodes else _Decoder
    outer = int(np.prod(out_shape)) if encodes else image(out_shape)
    module = kind(channels, kernel, blocks, activation_named(activation), outer)

    def init(key: Array) -> Params:
        return module.init(key, jnp.zeros(inner))["params"]

    def apply(
        params: Params, inputs: Float[Array, "*batch_and_in"]
    ) -> Float[Array, "*batch_and_out"]:
        batch = inputs.shape[: inputs.ndim - len(in_shape)]
        outputs: Any = module.apply({"params": params}, inputs.reshape(*batch, *inner))
        return outputs.reshape(*batch, *out_shape)

    return Network(init, apply)
