"""Whether a function is affine, proved from its traced program and not from its values."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
from jax.extend.core import ClosedJaxpr, Jaxpr, Literal

from vae_jax.types import Array

CONSTANT, AFFINE, OTHER = range(3)
OF_ONE = {
    *("neg", "convert_element_type", "reshape", "broadcast_in_dim", "transpose", "squeeze"),
    *("expand_dims", "slice", "reduce_sum", "copy", "copy_p", "rev", "reduce_precision", "cumsum"),
    *("sharding_constraint", "split", "device_put"),
}
SUMS = {"add", "sub", "add_any", "concatenate", "pad"}
PRODUCTS = {"mul", "dot_general", "conv_general_dilated"}
BY_INDEX = {"gather": 1, "dynamic_slice": 1, "dynamic_update_slice": 2, "div": 1}
SCATTERS = {"scatter", "scatter-add", "scatter_add"}


def kinds(function: Callable[[Array], Any], x: Array) -> Any:
    """CONSTANT, AFFINE or OTHER of each output of a function of x, in the outputs' structure.

    A program is affine if sums, reshapes and products with constants are all that x goes through;
    OTHER is whatever is not proved to be, as a rectifier whose kink is far away.
    """
    traced, shapes = jax.make_jaxpr(function, return_shape=True)(x)
    return jax.tree.unflatten(jax.tree.structure(shapes), _closed(traced, [AFFINE]))


def _closed(program: ClosedJaxpr | Jaxpr, inputs: Sequence[int]) -> list[int]:
    jaxpr = program.jaxpr if isinstance(program, ClosedJaxpr) else program
    known = dict.fromkeys(jaxpr.constvars, CONSTANT) | dict(zip(jaxpr.invars, inputs, strict=True))

    def kind(variable: Any) -> int:
        return CONSTANT if isinstance(variable, Literal) else known[variable]

    for equation in jaxpr.eqns:
        outputs = _step(equation, [kind(v) for v in equation.invars])
        known |= dict(zip(equation.outvars, outputs, strict=True))
    return [kind(v) for v in jaxpr.outvars]


def _step(equation: Any, given: list[int]) -> list[int]:
    name, most, count = equation.primitive.name, max(given, default=0), len(equation.outvars)
    if most == CONSTANT:
        return [CONSTANT] * count
    if name == "scan":
        return _scan(equation.params, given)
    if name == "cond" and given[0] == CONSTANT:
        branches = [_closed(b, given[1:]) for b in equation.params["branches"]]
        return [max(each) for each in zip(*branches, strict=True)]
    inner = next((p for p in equation.params.values() if isinstance(p, ClosedJaxpr | Jaxpr)), None)
    if inner is not None and name != "while":
        return _closed(inner, given)
    return [most if _keeps_affine(name, given) else OTHER] * count


def _keeps_affine(name: str, given: list[int]) -> bool:
    """Whether an operation is affine in the operands that are not constant, together."""
    if name in PRODUCTS:
        return sum(kind != CONSTANT for kind in given) == 1
    if name in BY_INDEX:  # what comes from there on must not move
        return max(given[BY_INDEX[name] :]) == CONSTANT
    if name in SCATTERS:
        return given[1] == CONSTANT
    if name == "select_n":
        return given[0] == CONSTANT
    return name in OF_ONE | SUMS


def _scan(params: dict[str, Any], given: list[int]) -> list[int]:
    """The kinds of a loop's carry are those that a turn of it leaves as they are."""
    constants, carried = params["num_consts"], params["num_carry"]
    fixed, xs = given[:constants], given[constants + carried :]
    carry = given[constants : constants + carried]
    while True:
        outputs = _closed(params["jaxpr"], [*fixed, *carry, *xs])
        grown = [max(pair) for pair in zip(carry, outputs[:carried], strict=True)]
        if grown == carry:
            return [*carry, *outputs[carried:]]
        carry = grown
