"""Convolutions as matrix products: inside loops XLA's own are 10 to 40 times slower on a CPU."""

from collections.abc import Callable, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from vae_jax.types import Array

KEEP, NONE = (0, 0, 0), (0, 0)  # of `lax.pad` and `jnp.pad`, for an axis that stays as it is


class Conv(nn.Conv):
    """Flax's convolution, by products on a CPU."""

    conv_general_dilated_cls: Any = lambda: (
        convolution if _on_cpu() else jax.lax.conv_general_dilated
    )


class ConvTranspose(nn.Module):
    """Flax's transposed convolution with SAME padding, by products on a CPU."""

    features: int
    kernel_size: tuple[int, int]
    stride: int

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """Images `[..., height, width, in]` to ones `stride` times as high and wide."""
        shape = (*self.kernel_size, x.shape[-1], self.features)
        kernel = self.param("kernel", nn.initializers.lecun_normal(), shape, jnp.float32)
        bias = self.param("bias", nn.initializers.zeros, (self.features,), jnp.float32)
        transposed: Callable[..., Array] = transposed_convolution if _on_cpu() else _by_xla
        images = transposed(x.reshape(-1, *x.shape[-3:]), kernel, self.stride)
        return images.reshape(*x.shape[:-3], *images.shape[1:]) + bias


def _on_cpu() -> bool:
    device = jax.config.jax_default_device  # type: ignore[attr-defined]
    return (getattr(device, "platform", None) or jax.default_backend()) == "cpu"


def _by_xla(x: Array, kernel: Array, stride: int) -> Array:
    return jax.lax.conv_transpose(
        x, kernel, (stride, stride), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


def convolution(
    lhs: Array,
    rhs: Array,
    window_strides: Sequence[int],
    padding: str | Sequence[tuple[int, int]],
    **_: Any,
) -> Array:
    """y[q] = sum_t x[s q + t - a] W[t], as `lax.conv_general_dilated`, t = (row, column).

    The columns that a place of y sees are put side by side. Rows that lie at one remainder of s
    meet the taps of that remainder in one product, whose parts are moved by whole rows and added.

    Args:
        lhs: x, images `[n, height, width, in]`.
        rhs: W, `[k, l, in, out]`.
        window_strides: s, for rows and for columns.
        padding: a, as there.
    """
    (size, wide), out, (stride, step) = rhs.shape[:2], rhs.shape[-1], window_strides
    if isinstance(padding, str):
        padding = jax.lax.padtype_to_pads(lhs.shape[1:3], (size, wide), window_strides, padding)
    (top, bottom), aside = padding
    padded = jnp.pad(lhs, (NONE, NONE, aside, NONE))
    height = (lhs.shape[1] + top + bottom - size) // stride + 1
    width = (padded.shape[2] - wide) // step + 1
    columns = [padded[:, :, u : u + (width - 1) * step + 1 : step] for u in range(wide)]
    seen = jnp.concatenate(columns, -1)
    y = jnp.zeros((len(lhs), height, width, out), lhs.dtype)
    for first in range(min(stride, size)):
        start = (first - top) % stride
        rows, taps = seen[:, start::stride], rhs[first::stride]
        parts = _products(rows, taps.reshape(len(taps), -1, out))
        for t in range(len(taps)):
            above = (start + top - first) // stride - t
            moved = (above, height - rows.shape[1] - above, 0)
            y += jax.lax.pad(
                parts[..., t, :], jnp.zeros((), parts.dtype), (KEEP, moved, KEEP, KEEP)
            )
    return y


def _products(x: Array, taps: Array) -> Array:
    """x W[t] of all taps `[t, in, out]` as one product, `[..., t, out]`."""
    count, many, out = taps.shape
    flat = x.reshape(-1, many) @ taps.transpose(1, 0, 2).reshape(many, -1)
    return flat.reshape(*x.shape[:-1], count, out)


def transposed_convolution(x: Array, kernel: Array, stride: int) -> Array:
    """y[s m + a - t] += x[m] W[t] over places m and taps t, as `lax.conv_transpose` with SAME.

    x W[t] of all taps is one product. Each of the s^2 phases of y, every s-th place in both
    directions, is the sum of those that reach it, moved by whole places.

    Args:
        x: images `[n, height, width, in]`.
        kernel: W, `[k, k, in, out]`.
        stride: s.
    """
    (_, height, width, _), (size, _, many, few) = x.shape, kernel.shape
    taps, each = _taps(size, stride), range(stride)
    products = _products(x, kernel.reshape(-1, many, few))
    nothing = jnp.zeros((), products.dtype)

    def phase(i: int, j: int) -> Array:
        pairs = [(row, column) for row in taps[i] for column in taps[j]]
        moved = (
            jax.lax.pad(
                products[..., size * t + u, :], nothing, (KEEP, (-m, m, 0), (-n, n, 0), KEEP)
            )
            for (t, m), (u, n) in pairs
        )
        return sum(moved, jnp.zeros((*x.shape[:-1], few), x.dtype))

    phases = jnp.stack([jnp.stack([phase(i, j) for j in each], 3) for i in each], 2)
    return phases.reshape(-1, stride * height, stride * width, few)


def _taps(size: int, stride: int) -> list[list[tuple[int, int]]]:
    """The taps that reach each phase, and by how many places the first x that each sees is off."""
    shift = size - 1 if stride > size - 1 else -(-(size + stride - 2) // 2)
    ahead = [[(t, phase + t - shift) for t in range(size)] for phase in range(stride)]
    return [[(t, m // stride) for t, m in row if m % stride == 0] for row in ahead]
