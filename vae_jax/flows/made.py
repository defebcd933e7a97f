import itertools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from vae_jax.types import Array, Params


def init_made(
    key: Array, dimensions: int, outputs: int, hidden: Sequence[int], num_context: int = 0
) -> Params:
    """Parameters of `made`: a gain of 0, with which all its outputs are 0.

    Args:
        key: of the kernels, normal with variance 1 / fan-in.
        dimensions: D, inputs.
        outputs: per input.
        hidden: widths of the hidden layers.
        num_context: numbers that every output may depend on.
    """
    widths = (dimensions, *hidden, dimensions * outputs)
    *of_layers, of_context = jax.random.split(key, len(widths))
    context = {"context": _normal(of_context, (num_context, widths[1]))} if num_context else {}
    layers = [
        {"kernel": _normal(k, shape), "bias": jnp.zeros(shape[1])}
        for k, shape in zip(of_layers, itertools.pairwise(widths), strict=True)
    ]
    return {"layers": layers, "gain": jnp.zeros((dimensions, outputs)), **context}


def _normal(key: Array, shape: tuple[int, int]) -> Array:
    return jax.random.normal(key, shape) / np.sqrt(shape[0])


def made(params: Params, z: Array, context: Array | None = None) -> Array:
    """`[..., D]` -> `[..., D, outputs]`, those of j functions of z_1 ... z_{j-1} and the context.

    The masked network of Germain et al. 2015 (arXiv:1502.03509), with SiLU. The first outputs
    depend on the context `[..., num_context]` alone.
    """
    hidden = z
    for i, (layer, mask) in enumerate(zip(params["layers"], _masks(params), strict=True)):
        hidden = jax.nn.silu(hidden) if i else hidden
        hidden = hidden @ (layer["kernel"] * mask) + layer["bias"]
        if i == 0 and context is not None:
            hidden = hidden + context @ params["context"]
    return params["gain"] * hidden.reshape(*hidden.shape[:-1], *params["gain"].shape)


def _masks(params: Params) -> list[np.ndarray]:
    """A unit of degree m sees the inputs 1 ... m; outputs of input j see degrees below j."""
    dimensions, outputs = params["gain"].shape
    least = 0 if "context" in params or dimensions == 1 else 1  # of degree 0: the context alone
    widths = [layer["bias"].shape[-1] for layer in params["layers"][:-1]]
    hidden = [least + _spread(width, dimensions - least) for width in widths]
    degrees = [np.arange(1, dimensions + 1), *hidden]
    last = np.repeat(degrees[0], outputs)
    pairs = [*itertools.pairwise(degrees)]
    return [*(m[:, None] <= n for m, n in pairs), degrees[-1][:, None] < last]


def _spread(width: int, count: int) -> np.ndarray:
    """`width` of the numbers below `count`, the greatest among them; every one if there is room."""
    if width >= count:
        return np.arange(width) % count
    return np.linspace(count - 1, 0, width).round().astype(int)
