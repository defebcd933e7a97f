"""Under `vmap` over examples a network gets the batch at once: convolutions take half the time."""

from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

from vae_jax.types import Array, Params


def on_whole_batches(apply: Callable[[Params, Array], Array]) -> Callable[[Params, Array], Array]:
    """The same function of `[..., *in_shape]`, to which an axis of `vmap` is one more.

    `vmap` of operation by operation gives the same numbers, but leaves in every array an axis of
    length 1 where the function had its batch, for which XLA copies. `jax.custom_batching` would do
    if it had gradients in reverse mode.
    """

    def call(params: Params, inputs: Array) -> Array:
        leaves, tree = jax.tree.flatten(params)

        def of_leaves(*arguments: Array) -> Array:
            return apply(jax.tree.unflatten(tree, arguments[:-1]), arguments[-1])

        return _network.bind(*leaves, jnp.asarray(inputs), of_leaves=of_leaves)

    return call


def operations(jaxpr: Any) -> Iterator[Any]:
    """The equations of a program, of those inside it, and of its networks."""
    for equation in jaxpr.eqns:
        yield equation
        inner = [getattr(value, "jaxpr", value) for value in equation.params.values()]
        if equation.primitive is _network:
            shapes = [variable.aval for variable in equation.invars]
            inner = [jax.make_jaxpr(equation.params["of_leaves"])(*shapes).jaxpr]
        for program in inner:
            if hasattr(program, "eqns"):
                yield from operations(program)


def _evaluate(*arguments: Array, of_leaves: Callable[..., Array]) -> Array:
    return of_leaves(*arguments)


def _shape(*arguments: Any, of_leaves: Callable[..., Array]) -> Any:
    output = jax.eval_shape(of_leaves, *(jax.ShapeDtypeStruct(a.shape, a.dtype) for a in arguments))
    return jax.core.ShapedArray(output.shape, output.dtype)


def _jvp(primals: Any, tangents: Any, of_leaves: Callable[..., Array]) -> tuple[Array, Array]:
    """By the function's operations, along the arguments that vary alone."""
    vary = [i for i, tangent in enumerate(tangents) if type(tangent) is not ad.Zero]

    def of_those(*arguments: Array) -> Array:
        replaced = dict(zip(vary, arguments, strict=True))
        return of_leaves(*(replaced.get(i, primal) for i, primal in enumerate(primals)))

    return jax.jvp(of_those, [primals[i] for i in vary], [tangents[i] for i in vary])


def _batch(arguments: Any, axes: Any, of_leaves: Callable[..., Array]) -> tuple[Array, int]:
    """With parameters that vary along the axis too, such as several seeds', as `vmap` does it."""
    *leaves, inputs = arguments
    if any(axis is not None for axis in axes[:-1]):
        return jax.vmap(of_leaves, axes)(*arguments), 0
    return _network.bind(*leaves, jnp.moveaxis(inputs, axes[-1], 0), of_leaves=of_leaves), 0


_network = Primitive("network")
_network.def_impl(_evaluate)
_network.def_abstract_eval(_shape)
mlir.register_lowering(_network, mlir.lower_fun(_evaluate, multiple_results=False))
ad.primitive_jvps[_network] = _jvp
batching.primitive_batchers[_network] = _batch
