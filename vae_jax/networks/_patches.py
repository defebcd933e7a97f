"""Convolutions as matrix products: inside loops XLA's own are 10 to 40 times slower on a CPU."""

from collections.abc import Callable, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from vae_jax.types import Array

MANY = 4  # times as many inputs as outputs: the products are fewer numbers than the patches


class Conv(nn.Conv):
    """Flax's convolution, by patches on a CPU."""

    conv_general_dilated_cls: Any = lambda: (
        by_patches if _on_cpu() else jax.lax.conv_general_dilated
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
        kernel = self.param("kernel", nn.initializers.lecun_normal(), shape)
        bias = self.param("bias", nn.initializers.zeros, (self.features,))
        transposed: Callable[..., Array] = by_products if _on_cpu() else _by_xla
        images = transposed(x.reshape(-1, *x.shape[-3:]), kernel, self.stride)
        return images.reshape(*x.shape[:-3], *images.shape[1:]) + bias


def _on_cpu() -> bool:
    device = jax.config.jax_default_device  # type: ignore[attr-defined]
    return (getattr(device, "platform", None) or jax.default_backend()) == "cpu"


def _by_xla(x: Array, kernel: Array, stride: int) -> Array:
    return jax.lax.conv_transpose(
        x, kernel, (stride, stride), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


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


def by_products(x: Array, kernel: Array, stride: int) -> Array:
    """y[s m + a - t] += x[m] W[t] over places m and taps t, as `lax.conv_transpose` with SAME.

    With few outputs the products x W[t] are added where they belong; otherwise each of the s^2
    phases of y is one product, of the patches that reach it.

    Args:
        x: images `[n, height, width, in]`.
        kernel: W, `[k, k, in, out]`.
        stride: s.
    """
    size, _, many, few = kernel.shape
    form = _added if many >= MANY * few or size < stride else _by_phases
    return form(x, kernel, stride, _shift(size, stride))


def _shift(size: int, stride: int) -> int:
    """a, the zeros before x, spread by the stride, in a correlation that gives y."""
    return size - 1 if stride > size - 1 else -(-(size + stride - 2) // 2)


def _added(x: Array, kernel: Array, stride: int, shift: int) -> Array:
    n, *places, many = x.shape
    size, _, _, few = kernel.shape
    products = x @ kernel.transpose(2, 0, 1, 3).reshape(many, -1)
    products = products.reshape(n, *places, size, size, few)

    def at(i: int, j: int) -> Array:
        """The products with tap (i, j), where they belong in y."""
        edges = [
            _edges(length, shift - t, stride) for length, t in zip(places, (i, j), strict=True)
        ]
        zero = jnp.zeros((), x.dtype)
        return jax.lax.pad(products[:, :, :, i, j], zero, [(0, 0, 0), *edges, (0, 0, 0)])

    return sum((at(i, j) for i in range(size) for j in range(size)), jnp.zeros((), x.dtype))


def _edges(length: int, low: int, stride: int) -> tuple[int, int, int]:
    """The zeros before, behind and between `length` numbers that are spread over y."""
    return low, stride * length - low - (length - 1) * stride - 1, stride - 1


def _by_phases(x: Array, kernel: Array, stride: int, shift: int) -> Array:
    n, height, width, _ = x.shape
    size, _, _, few = kernel.shape
    padded = jnp.pad(x, ((0, 0), (size, size), (size, size), (0, 0)))

    def taps(phase: int) -> list[tuple[int, int]]:
        """The taps that reach a phase, and where in `padded` the first x that each sees is."""
        ahead = [(t, phase + t - shift) for t in range(size)]
        return [(t, size + steps // stride) for t, steps in ahead if steps % stride == 0]

    def phase(rows: list[tuple[int, int]], columns: list[tuple[int, int]]) -> Array:
        pairs = [(row, column) for row in rows for column in columns]
        patches = [padded[:, i : i + height, j : j + width] for (_, i), (_, j) in pairs]
        matrix = jnp.concatenate([kernel[t, u] for (t, _), (u, _) in pairs])
        return jnp.concatenate(patches, -1) @ matrix

    each = range(stride)
    phases = jnp.stack([jnp.stack([phase(taps(r), taps(c)) for c in each], 3) for r in each], 2)
    return phases.reshape(n, stride * height, stride * width, few)
