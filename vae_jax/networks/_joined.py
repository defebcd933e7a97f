from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from vae_jax.config.components import Part, build
from vae_jax.errors import UserError, unknown
from vae_jax.networks._whole_batches import on_whole_batches
from vae_jax.types import Array, Network, Params, Shape

PRECISIONS = ("float32", "bfloat16")  # of the networks


class Joined(NamedTuple):
    """A network that has more inputs than its own: a mask, conditions."""

    init: Callable[[Array], Params]
    apply: Callable[..., Array]  # (params, inputs [..., *in_shape], *others) -> [..., *out_shape]


def joined(
    precision: str, part: Part, in_shape: Shape, out_shape: Shape, others: tuple[Shape, ...] = ()
) -> Joined:
    """The network that a part names, with other inputs beside its own.

    A network that takes vectors gets one, of all the numbers. Another gets channels: an input of
    the shape of its own adds its channels, a vector adds one for each of its numbers, the same
    everywhere. A network without parameters computes nothing, and gets no other inputs.

    Args:
        precision: float32 or bfloat16, in which it computes; its parameters are float32.
        part: as a config names it, or a function.
        in_shape: of its own inputs.
        out_shape: of its outputs.
        others: the shapes of the other inputs, each `in_shape` or `[size]`.

    Raises:
        UserError: for an unknown part or precision, or shapes that it does not take.
    """
    if precision not in PRECISIONS:
        raise unknown("precision", precision, PRECISIONS)
    factory = build("networks", part)
    if not others or not _has_params(factory, in_shape, out_shape):
        plain = _computing_in(precision, factory(in_shape, out_shape))
        return Joined(plain.init, lambda params, inputs, *_: plain.apply(params, inputs))
    sizes = [int(np.prod(shape)) for shape in (in_shape, *others)]
    if (network := _of_vectors(factory, sum(sizes), out_shape)) is not None:
        network = _computing_in(precision, network)
        return Joined(network.init, lambda params, *inputs: network.apply(
            params, _beside([_flat(a, s) for a, s in zip(inputs, (in_shape, *others), strict=True)])
        ))  # fmt: skip
    widths = [shape[-1] for shape in (in_shape, *others)]
    of_channels = _computing_in(precision, factory((*in_shape[:-1], sum(widths)), out_shape))

    def apply(params: Params, inputs: Array, *more: Any) -> Array:
        return of_channels.apply(params, _beside([inputs, *(_spread(a, in_shape) for a in more)]))

    return Joined(of_channels.init, apply)


def _has_params(factory: Callable[..., Network], in_shape: Shape, out_shape: Shape) -> bool:
    network = factory(in_shape, out_shape)
    return bool(jax.tree.leaves(jax.eval_shape(network.init, jax.random.key(0))))


def _of_vectors(factory: Callable[..., Network], size: int, out_shape: Shape) -> Network | None:
    """The network of vectors of that size; None for one that takes no vectors."""
    try:
        network = factory((size,), out_shape)
        jax.eval_shape(network.init, jax.random.key(0))
    except UserError:
        return None
    return network


def _flat(array: Array, shape: Shape) -> Array:
    return array.reshape(*array.shape[: array.ndim - len(shape)], int(np.prod(shape)))


def _spread(array: Array, shape: Shape) -> Array:
    """The array as channels: `[..., *shape]` as it is, a vector `[..., size]` at every place."""
    if len(shape) > 1 and array.shape[-len(shape) :] == shape:
        return array
    places = shape[:-1]
    spread = array.reshape(*array.shape[:-1], *[1] * len(places), array.shape[-1])
    return jnp.broadcast_to(spread, (*array.shape[:-1], *places, array.shape[-1]))


def _beside(arrays: list[Array]) -> Array:
    """The arrays along their last axis, each repeated over the leading axes that it lacks."""
    leading = jnp.broadcast_shapes(*(array.shape[:-1] for array in arrays))
    return jnp.concatenate([jnp.broadcast_to(a, (*leading, a.shape[-1])) for a in arrays], -1)


def _computing_in(precision: str, network: Network) -> Network:
    """The network on whole batches, in another precision than its parameters' if asked to."""
    dtype: Any = jnp.dtype(precision)

    def apply(params: Params, inputs: Array) -> Array:
        if precision == "float32" or not jax.tree.leaves(params):  # else it computes nothing
            return network.apply(params, inputs)
        params, inputs = jax.tree.map(lambda leaf: leaf.astype(dtype), (params, inputs))
        return network.apply(params, inputs).astype(jnp.float32)

    return Network(network.init, on_whole_batches(apply))
