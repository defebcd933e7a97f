from typing import Any

import flax.linen as nn
import jax.numpy as jnp
import numpy as np

from vae_jax.errors import UserError
from vae_jax.types import Array, Network, Params, Shape


class _Encoder(nn.Module):
    channels: tuple[int, ...]
    kernel: int
    out_size: int

    @nn.compact
    def __call__(self, x: Array) -> Array:
        for width in self.channels:
            x = nn.relu(nn.Conv(width, (self.kernel, self.kernel), strides=2)(x))
        return nn.Dense(self.out_size)(x.reshape(*x.shape[:-3], -1))


class _Decoder(nn.Module):
    channels: tuple[int, ...]
    kernel: int
    out_shape: Shape  # height, width, channels

    @nn.compact
    def __call__(self, z: Array) -> Array:
        height, width, out_channels = self.out_shape
        shrink = 2 ** len(self.channels)
        grid = (-(-height // shrink), -(-width // shrink), self.channels[-1])
        x = nn.relu(nn.Dense(int(np.prod(grid)))(z)).reshape(*z.shape[:-1], *grid)
        for features in (*self.channels[-2::-1], None):
            layer = nn.ConvTranspose(
                features or out_channels, (self.kernel, self.kernel), strides=(2, 2)
            )
            x = nn.relu(layer(x)) if features else layer(x)
        return x[..., :height, :width, :]


def _image(shape: Shape) -> Shape:
    """`[height, width]` or `[height, width, channels, ...]` as height, width, channels."""
    return (*shape[:2], int(np.prod(shape[2:])))


def conv(
    in_shape: Shape,
    out_shape: Shape,
    *,
    channels: tuple[int, ...] = (32, 64),
    kernel: int = 3,
) -> Network:
    """Strided convolutions with ReLU, halving the image at each; as a decoder the same mirrored.

    Where the inputs are images it encodes, where the outputs are it decodes; sizes that are no
    multiple of 2 are padded up and cropped.

    Raises:
        UserError: if neither side is an image, or there are no channels.
    """
    if not channels or min(*channels, kernel) < 1:
        raise UserError(f"channels={channels}, kernel={kernel}: positive numbers are needed")
    encodes = len(in_shape) >= 2
    if not encodes and len(out_shape) < 3:
        size = (in_shape, out_shape[:-1])
        raise UserError(f"needs images [height, width, ...]; the shapes here are {size}")
    if encodes:
        module: nn.Module = _Encoder(channels, kernel, int(np.prod(out_shape)))
    else:
        module = _Decoder(channels, kernel, _image(out_shape))
    inner = _image(in_shape) if encodes else in_shape

    def init(key: Array) -> Params:
        return module.init(key, jnp.zeros(inner))["params"]

    def apply(params: Params, inputs: Array) -> Array:
        batch = inputs.shape[: inputs.ndim - len(in_shape)]
        outputs: Any = module.apply({"params": params}, inputs.reshape(*batch, *inner))
        return outputs.reshape(*batch, *out_shape)

    return Network(init, apply)
