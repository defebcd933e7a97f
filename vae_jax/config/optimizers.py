"""`"adamw(learning_rate=cosine_decay_schedule(init_value=1e-3, decay_steps=num_steps))"` -> optax.

Every optimizer and schedule of optax is available under its own name; `num_steps` stands for the
number of updates of the run. optax is imported when it is first needed.
"""

import functools
import inspect
import itertools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from vae_jax.config import ranges
from vae_jax.config.calls import Call, Entry, Namespace, follow, is_tuple, parse
from vae_jax.errors import UserError, unknown

if TYPE_CHECKING:
    import optax

LENGTH = "num_steps"  # stands for the number of updates of the run


def resolve(text: str) -> str:
    """The same optimizer written in one way, after a check that optax has what it names.

    Raises:
        UserError: for a name or an argument that optax does not have, or a value outside its range.
    """
    build(text, num_steps=10**9)  # as long as any schedule within it; the real length comes later
    return str(parse(text))


def knows_length(text: str) -> bool:
    """Whether an optimizer depends on the run's length, `num_steps`."""

    def names(value: Any) -> bool:
        inner = value.arguments.values() if isinstance(value, Call) else value
        named = isinstance(value, Call) and value.name == LENGTH
        return named or (isinstance(value, Call | tuple) and any(map(names, inner)))

    return names(parse(text))


def build(text: str, num_steps: int) -> "optax.GradientTransformation":
    """The optimizer a config names.

    Raises:
        UserError: for a name or an argument that optax does not have, or a value outside its range.
    """
    import optax

    optimizer = follow(parse(text), _optax({LENGTH: num_steps}))
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

    def value(what: str, given: Any, parameter: inspect.Parameter) -> Any:
        result = _value(what, given, namespace)
        _require_range(what, result, parameter)
        return result

    namespace = Namespace(find, value, _apply)
    return namespace


def _value(what: str, given: Any, namespace: Namespace) -> Any:
    """The value with what its calls make in place of them."""
    if isinstance(given, str):
        raise UserError(f"{what} is a string, not a number or a name")
    if is_tuple(given):
        return tuple(_value(what, element, namespace) for element in given)
    return follow(given, namespace) if isinstance(given, Call) else given


def _require_range(what: str, value: Any, parameter: inspect.Parameter) -> None:
    """Refuses an optimizer's argument outside the range that its name has."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if isinstance(parameter.default, bool) and is_number:
        raise UserError(f"{what}: True or False is needed")
    constraints = _ranges_of(parameter)
    if not constraints or callable(value) or (value is None and parameter.default is None):
        return
    is_sequence = any(c.event_dim for c in constraints)
    numbers = value if is_sequence and is_tuple(value) else (value,)
    for constraint, number in itertools.product(constraints, numbers):
        if isinstance(number, bool) or not isinstance(number, int | float):
            raise UserError(f"{what}: {ranges.in_words(constraint)} is needed")
        ranges.require_finite(what, number)
        ranges.require(what, number, getattr(constraint, "base_constraint", constraint))


def _ranges_of(parameter: inspect.Parameter) -> tuple[Any, ...]:
    """The ranges of an argument; none where its name has none, or its own default lies outside."""
    constraints, default = _ranges().get(parameter.name, ()), parameter.default
    is_number = isinstance(default, int | float) and not isinstance(default, bool)
    return constraints if not is_number or all(c(default) for c in constraints) else ()


@functools.cache
def _ranges() -> dict[str, tuple[Any, ...]]:
    """The ranges of the numbers in optax's vocabulary, by the name that functions give to them."""
    from numpyro.distributions import constraints

    rates = ("learning_rate", "max_learning_rate", "max_norm", "max_delta", "max_squared_norm")
    factors = ("clipping", "clipping_threshold", "threshold", "decay_rate", "power", "exponent")
    others = ("div_factor", "final_div_factor", "trust_coefficient", "scaling", "min_step_size")
    sizes = ("max_step_size", "eta_minus", "eta_plus", "scale_factor", "smooth_beta")
    values = ("value", "init_value", "peak_value", "end_value", "alpha", "eta", "gamma")
    floors = ("eps", "eps_root", "epsilon", "min_norm", "min_scale", "weight_decay", "reps_rel")
    starts = ("weight_decay_rate", "initial_scale", "initial_accumulator_value", "optimism")
    lengths = ("decay_steps", "transition_steps", "sync_period", "memory_size", "k")
    counts = ("warmup_steps", "transition_begin", "decay_offset", "step_offset", "seed")
    shares = ("b1", "b2", "b3", "beta", "decay", "momentum", "rho")
    return {
        **dict.fromkeys((*rates, *factors, *others, *sizes), (constraints.positive,)),
        **dict.fromkeys((*values, *floors, *starts), (constraints.nonnegative,)),
        **dict.fromkeys((*lengths, "min_dim_size_to_factor"), (constraints.positive_integer,)),
        "boundaries": (constraints.independent(constraints.positive_integer, 1),),
        **dict.fromkeys((*counts, "max_consecutive_errors"), (constraints.nonnegative_integer,)),
        **dict.fromkeys(shares, (constraints.nonnegative, constraints.less_than(1.0))),
        **dict.fromkeys(("pct_start", "pct_final", "slow_step_size"), (constraints.unit_interval,)),
    }


def _function_named(name: str, variables: dict[str, int]) -> Callable[..., Any]:
    import optax

    functions = {n: f for n, f in vars(optax).items() if inspect.isfunction(f) and n[0] != "_"}
    if name not in functions:
        raise unknown("name in optax", name, [*functions, *variables])
    return functions[name]


def _apply(call: Call, function: Callable[..., Any], arguments: dict[str, Any]) -> Any:
    try:
        return function(**arguments)
    except Exception as error:  # whatever optax raises for what its functions are given
        raise UserError(f"{call}: {' '.join(str(error).split())}") from error
