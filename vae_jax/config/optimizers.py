"""`"adamw(learning_rate=cosine_decay_schedule(init_value=1e-3, decay_steps=num_steps))"` -> optax.

Every optimizer and schedule of optax is available under its own name; `num_steps` stands for the
number of updates of the run. optax is imported when it is first needed.
"""

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from vae_jax.config.calls import Call, Entry, Namespace, follow, is_tuple, parse
from vae_jax.errors import UserError, unknown

if TYPE_CHECKING:
    import optax


def resolve(text: str) -> str:
    """The same optimizer written in one way, after a check that optax has what it names.

    Raises:
        UserError: for a name or an argument that optax does not have.
    """
    build(text, num_steps=10**9)  # as long as any schedule within it; the real length comes later
    return str(parse(text))


def build(text: str, num_steps: int) -> "optax.GradientTransformation":
    """The optimizer a config names.

    Raises:
        UserError: for a name or an argument that optax does not have.
    """
    import optax

    optimizer = follow(parse(text), _optax({"num_steps": num_steps}))
    if not isinstance(optimizer, optax.GradientTransformation):
        raise UserError(f"{text!r} makes no optimizer but a {type(optimizer).__name__}")
    return optimizer


def _optax(variables: dict[str, int]) -> Namespace:
    """optax's functions, and names for numbers."""

    def find(name: str) -> Entry:
        if name in variables:
            return Entry(lambda: variables[name], {})
        function = _function_named(name, variables)
        return Entry(function, inspect.signature(function).parameters)

    def value(what: str, given: Any, parameter: Any) -> Any:
        if isinstance(given, str):
            raise UserError(f"{what} is a string, not a number or a name")
        if is_tuple(given):
            return tuple(value(what, element, parameter) for element in given)
        return follow(given, namespace) if isinstance(given, Call) else given

    namespace = Namespace(find, value, _apply)
    return namespace


def _function_named(name: str, variables: dict[str, int]) -> Callable[..., Any]:
    import optax

    functions = {n: f for n, f in vars(optax).items() if inspect.isfunction(f) and n[0] != "_"}
    if name not in functions:
        raise unknown("name in optax", name, [*functions, *variables])
    return functions[name]


def _apply(call: Call, function: Callable[..., Any], arguments: dict[str, Any]) -> Any:
    try:
        return function(**arguments)
    except (TypeError, ValueError) as error:
        raise UserError(f"{call}: {' '.join(str(error).split())}") from error
