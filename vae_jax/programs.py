"""Traced programs, and the operations in them."""

from collections.abc import Iterator
from typing import Any

import jax
import numpy as np


def operations(program: Any) -> Iterator[Any]:
    """The equations of a `Jaxpr`, and of those inside it."""
    for equation in program.eqns:
        yield equation
        for inner in _inside(equation):
            yield from operations(inner)


def product_flops(program: Any) -> int:
    """Floating-point operations of the matrix products of a `Jaxpr`, a scan's as often as it turns.

    A product of `[n, k]` and `[k, m]` has 2 n k m.
    """
    total = 0
    for equation in program.eqns:
        if equation.primitive is jax.lax.dot_general_p:
            ((contracted, _), _), left = equation.params["dimension_numbers"], equation.invars[0]
            summed = np.prod([left.aval.shape[axis] for axis in contracted], initial=1)
            total += 2 * int(summed) * int(np.prod(equation.outvars[0].aval.shape))
        inner = sum(product_flops(program) for program in _inside(equation))
        total += equation.params.get("length", 1) * inner
    return total


def _inside(equation: Any) -> Iterator[Any]:
    """The programs that an equation runs."""
    for value in equation.params.values():
        for one in value if isinstance(value, tuple | list) else [value]:
            if hasattr(inner := getattr(one, "jaxpr", one), "eqns"):
                yield inner
