"""Under `vmap` over examples a network gets the batch at once: convolutions take half the time."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import ClosedJaxpr, Primitive, jaxpr_as_fun
from jax.interpreters import ad, batching, mlir

from vae_jax.types import Array, Params

Function = Callable[..., Array]  # (*leaves of params, inputs) -> outputs


def on_whole_batches(apply: Callable[[Params, Array], Array]) -> Callable[[Params, Array], Array]:
    """The same function of `[..., *in_shape]`, to which an axis of `vmap` is one more.

    `vmap` of operation by operation gives the same numbers, but leaves in every array an axis of
    length 1 where the function had its batch, for which XLA copies. `jax.custom_batching` would do
    if it had gradients in reverse mode.
    """

    def call(params: Params, inputs: Array) -> Array:
        leaves, tree = jax.tree.flatten(params)

        def function(*arguments: Array) -> Array:
            return apply(jax.tree.unflatten(tree, arguments[:-1]), arguments[-1])

        return _bind(function, *leaves, jnp.asarray(inputs))

    return call


def _bind(function: Function, *arguments: Array) -> Array:
    program = jax.make_jaxpr(function)(*arguments)
    return _network.bind(*arguments, program=program, function=function)


def _evaluate(*arguments: Array, program: ClosedJaxpr, function: Function) -> Array:
    [outputs] = jaxpr_as_fun(program)(*arguments)
    return outputs


def _jvp(primals: Any, tangents: Any, **program: Any) -> tuple[Array, Array]:
    """By the function's operations, along the arguments that vary alone."""
    vary = [i for i, tangent in enumerate(tangents) if type(tangent) is not ad.Zero]

    def of_those(*arguments: Array) -> Array:
        replaced = dict(zip(vary, arguments, strict=True))
        return _evaluate(*(replaced.get(i, p) for i, p in enumerate(primals)), **program)

    return jax.jvp(of_those, [primals[i] for i in vary], [tangents[i] for i in vary])


def _batch(arguments: Any, axes: Any, program: Any, function: Function) -> tuple[Array, int]:
    """With parameters that vary along the axis too, such as several seeds', as `vmap` does it."""
    if any(axis is not None for axis in axes[:-1]):
        return jax.vmap(function, axes)(*arguments), 0
    return _bind(function, *arguments[:-1], jnp.moveaxis(arguments[-1], axes[-1], 0)), 0


_network = Primitive("network")
_network.def_impl(_evaluate)
_network.def_abstract_eval(lambda *_, program, function: program.out_avals[0])
mlir.register_lowering(_network, mlir.lower_fun(_evaluate, multiple_results=False))
ad.primitive_jvps[_network] = _jvp
batching.primitive_batchers[_network] = _batch
