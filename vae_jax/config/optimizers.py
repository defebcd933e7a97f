"""`"adamw(learning_rate=cosine_decay_schedule(init_value=1e-3, decay_steps=num_steps))"` -> optax.

Every optimizer and schedule of optax is available under its own name; `num_steps` stands for the
number of updates of the run.
"""

import inspect
from collections.abc import Callable
from typing import Any

import optax

from vae_jax.config import components
from vae_jax.config.components import Call
from vae_jax.errors import UserError, unknown


def resolve(text: str) -> str:
    """The same optimizer written in one way, after a check that optax has what it names.

    Raises:
        UserError: for a name or an argument that optax does not have.
    """
    build(text, num_steps=10**9)  # as long as any schedule within it; the real length comes later
    return str(components.parse(text))


def build(text: str, num_steps: int) -> optax.GradientTransformation:
    """The optimizer a config names.

    Raises:
        UserError: for a name or an argument that optax does not have.
    """
    made = _make(components.parse(text), {"num_steps": num_steps})
    if not isinstance(made, optax.GradientTransformation):
        raise UserError(f"{text!r} makes no optimizer but a {type(made).__name__}")
    return made


def _make(value: Any, variables: dict[str, Any]) -> Any:
    if not isinstance(value, Call):
        return value
    if value.name in variables and not value.arguments:
        return variables[value.name]
    function = _find(value.name, variables)
    arguments = {k: _make(v, variables) for k, v in value.arguments.items()}
    _check_names(value, function)
    try:
        return function(**arguments)
    except (TypeError, ValueError) as error:
        raise UserError(f"{value}: {' '.join(str(error).split())}") from error


def _find(name: str, variables: dict[str, Any]) -> Callable[..., Any]:
    function = getattr(optax, name, None)
    if name.startswith("_") or not inspect.isfunction(function):
        functions = [n for n, f in vars(optax).items() if inspect.isfunction(f)]
        raise unknown("name in optax", name, [*functions, *variables])
    return function


def _check_names(call: Call, function: Callable[..., Any]) -> None:
    parameters = inspect.signature(function).parameters
    for name, value in call.arguments.items():
        if name not in parameters:
            raise unknown(f"argument of {call.name}", name, parameters)
        if isinstance(value, str):
            raise UserError(f"{call.name}: {name}={value!r} is a string, not a number or a name")
