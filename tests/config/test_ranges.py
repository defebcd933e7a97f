"""Ranges in annotations: where they hold, and what is said of a value outside."""

import inspect
import typing
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpyro.distributions import constraints

from vae_jax.config import components
from vae_jax.config.components import checked
from vae_jax.config.ranges import in_words
from vae_jax.errors import UserError

Count = Annotated[int, constraints.positive_integer]


def part(
    spec: Any,
    *,
    layers: Count = 4,
    scale: Annotated[float | Literal["optimal"], constraints.positive] = 1.0,
    hidden: tuple[Count, ...] = (3,),
    widths: Annotated[tuple[int, ...], constraints.positive_integer] = (3,),
    pair: tuple[Count, Annotated[float, constraints.unit_interval]] = (1, 0.5),
    several: Sequence[Count] = (),
    capacity: Annotated[float | None, constraints.nonnegative] = None,
    share: Annotated[float, constraints.nonnegative, constraints.less_than(1.0)] = 0.0,
    held_out: Annotated[int | float, constraints.nonnegative] = 0.1,
    loc: float = 0.0,
    kind: Literal[1, 2] = 1,
    learned: bool = False,
    call: Callable[[], Any] | None = None,
) -> dict[str, Any]:
    """The arguments."""
    names = inspect.signature(part).parameters
    return {name: value for name, value in locals().items() if name in names}


def check(arguments):
    components.check(components.parse(f"part({arguments})"), part)


@pytest.mark.parametrize(
    "arguments",
    [
        "",
        "layers=1, scale=1e-30, hidden=(), widths=[], pair=(2, 1), several=(1, 2)",
        "scale='optimal', capacity=0, share=0.5, held_out=3",
        "scale=3, capacity=None, held_out=0.5, kind=2, learned=True, hidden=(1, 2, 3)",
        "loc=-3e38",
    ],
)
def test_what_lies_in_its_range_passes(arguments):
    check(arguments)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("layers=0", "part: layers=0: a positive integer is needed"),
        ("scale=0", "part: scale=0: a positive number is needed"),
        ("scale=-1.0", "part: scale=-1.0: a positive number is needed"),
        ("scale=1e-50", "part: scale=1e-50: a positive number is needed (in float32)"),
        ("scale='optimum'", "part: scale='optimum' is not of type"),
        ("hidden=(3, 0)", "part: hidden=(3, 0): a positive integer is needed"),
        ("hidden=(3, 'a')", "part: hidden=(3, 'a') is not of type tuple[int, ...]"),
        ("hidden=3", "part: hidden=3 is not of type tuple[int, ...]"),
        ("widths=(3, 0)", "part: widths=(3, 0): a positive integer is needed"),
        ("pair=(0, 0.5)", "part: pair=(0, 0.5): a positive integer is needed"),
        ("pair=(1, 1.5)", "part: pair=(1, 1.5): a number from 0 to 1 is needed"),
        ("pair=(1, 0.5, 2)", "part: pair=(1, 0.5, 2) is not of type tuple[int, float]"),
        ("several=(1, -1)", "part: several=(1, -1): a positive integer is needed"),
        ("capacity=-0.1", "part: capacity=-0.1: a number of 0 or more is needed"),
        ("share=1.0", "part: share=1.0: a number below 1 is needed"),
        ("share=0.99999999999", "a number below 1 is needed (in float32)"),
        ("share=-0.5", "part: share=-0.5: a number of 0 or more is needed"),
        ("held_out=-1", "part: held_out=-1: a number of 0 or more is needed"),
        ("loc=1e39", "part: loc=1e+39: a finite number is needed (in float32)"),
        ("loc=True", "part: loc=True is not of type float"),
        ("layers=True", "part: layers=True is not of type int"),
        ("layers=2.0", "part: layers=2.0 is not of type int"),
        ("kind=True", "part: kind=True is not of type Literal[1, 2]"),
        ("learned=1", "part: learned=1 is not of type bool"),
        ("layrs=1", "unknown argument of part 'layrs': did you mean 'layers'"),
    ],
)
def test_a_value_outside_is_named_with_what_is_needed(arguments, expected):
    with pytest.raises(UserError) as caught:
        check(arguments)
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("constraint", "expected"),
    [
        (constraints.positive, "a positive number"),
        (constraints.softplus_positive, "a positive number"),
        (constraints.positive_integer, "a positive integer"),
        (constraints.nonnegative, "a number of 0 or more"),
        (constraints.nonnegative_integer, "an integer of 0 or more"),
        (constraints.integer_greater_than(2), "an integer of 2 or more"),
        (constraints.greater_than(1.0), "a number above 1"),
        (constraints.greater_than_eq(1.5), "a number of 1.5 or more"),
        (constraints.less_than(1.0), "a number below 1"),
        (constraints.less_than_eq(1.0), "a number of 1 or less"),
        (constraints.unit_interval, "a number from 0 to 1"),
        (constraints.interval(-1, 0.5), "a number from -1 to 0.5"),
        (constraints.open_interval(0.0, 1.0), "a number between 0 and 1, neither included"),
        (constraints.integer_interval(0, 255), "an integer from 0 to 255"),
        (constraints.integer_interval(1, 2**25), "an integer from 1 to 33554432"),
        (constraints.real, "a finite number"),
        (constraints.real_vector, "a finite number"),
        (constraints.independent(constraints.positive, 1), "a positive number"),
        (constraints.positive_definite, "what NumPyro calls positive definite"),
        (constraints.simplex, "what NumPyro calls simplex"),
    ],
)
def test_a_range_in_words(constraint, expected):
    assert in_words(constraint) == expected


def test_numbers_of_a_range_are_compared_with_its_words():
    """`of 2 or more` includes 2, `above` and `below` do not include the bound."""
    for constraint, value, inside in [
        (constraints.integer_greater_than(2), 2, True),
        (constraints.greater_than(1.0), 1.0, False),
        (constraints.less_than(1.0), 1.0, False),
        (constraints.interval(-1, 0.5), 0.5, True),
    ]:
        assert bool(constraint(value)) == inside


def test_a_direct_call_is_checked_in_the_same_words():
    direct = checked(part)
    assert direct("spec")["layers"] == 4
    assert direct("spec", layers=2, scale=3)["scale"] == 3.0
    assert direct(spec="spec", call=print)["call"] is print
    assert direct("spec", layers=np.int64(2), loc=np.float32(0.5))["loc"] == 0.5
    for arguments, expected in [
        ({"layers": 0}, "part: layers=0: a positive integer is needed"),
        ({"layers": np.int64(0)}, "part: layers=0: a positive integer is needed"),
        ({"loc": float("nan")}, "part: loc=nan: a finite number is needed"),
        ({"loc": float("inf")}, "part: loc=inf: a finite number is needed"),
        ({"hidden": (3, 0)}, "part: hidden=(3, 0): a positive integer is needed"),
        ({"scale": "learned"}, "part: scale='learned' is not of type"),
    ]:
        with pytest.raises(UserError) as caught:
            direct("spec", **arguments)
        assert str(caught.value).startswith(expected)
    with pytest.raises(TypeError, match="layrs"):
        direct("spec", layrs=1)


def test_a_checked_function_keeps_its_face_and_takes_traced_arrays():
    direct = checked(part)
    assert inspect.signature(direct) == inspect.signature(part)
    assert typing.get_type_hints(direct, include_extras=True) == typing.get_type_hints(
        part, include_extras=True
    )
    assert direct.__doc__ == part.__doc__
    traced = jax.jit(lambda x: direct("spec", loc=x, scale=x, held_out=0.5)["scale"] * 2.0)
    assert traced(jnp.float32(-1.0)) == -2.0
