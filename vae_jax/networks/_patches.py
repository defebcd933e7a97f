"""Convolutions as matrix products: inside loops XLA's own are 10 times slower on a CPU."""

from collections.abc import Callable, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from vae_jax.types import Array


class Conv(nn.Conv):
    """Flax's convolution, by patches on a CPU."""

    conv_general_dilated_cls: Any = lambda: _for_this_device()


def _for_this_device() -> Callable[..., Array]:
    device = jax.config.jax_default_device  # type: ignore[attr-defined]
    platform = getattr(device, "platform", None) or jax.default_backend()
    return by_patches if platform == "cpu" else jax.lax.conv_general_dilated


def by_patches(
    lhs: Array,
    rhs: Array,
    window_strides: Sequence[int],
    padding: str | Sequence[tuple[int, int]],
    **_: Any,
) -> Array:
    """y = P W, P the patches of images `[n, height, width, in]` and W the kernel, as a matrix."""
    kernel, out = rhs.shape[:2], rhs.shape[-1]
    if isinstance(padding, str):
        padding = jax.lax.padtype_to_pads(lhs.shape[1:3], kernel, window_strides, padding)
    padded = jnp.pad(lhs, ((0, 0), *padding, (0, 0)))
    sizes = zip(padded.shape[1:3], kernel, window_strides, strict=True)
    ends = [(size - width) // stride * stride + 1 for size, width, stride in sizes]
    patches = [
        padded[:, i : i + ends[0] : window_strides[0], j : j + ends[1] : window_strides[1]]
        for i in range(kernel[0])
        for j in range(kernel[1])
    ]
    return jnp.concatenate(patches, -1) @ rhs.reshape(-1, out)
