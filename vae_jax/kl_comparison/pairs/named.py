"""`"normal(loc=1.0, scale=0.5)"` -> the distribution, and pairs of which the KL makes sense."""

import contextlib
import functools
import importlib
import inspect
import math
import pkgutil
import re
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
from numpyro.distributions import Distribution, biject_to

from vae_jax import distributions
from vae_jax.config.components import Call, parse
from vae_jax.divergences import describe, require_nested_supports
from vae_jax.errors import UserError, unknown
from vae_jax.types import Array

Maker = Callable[..., Distribution]
DRAWS = 1000  # by which a pair is tried


def pair(q: str, p: str) -> tuple[Distribution, Distribution]:
    """Both distributions, if KL(q || p) is defined and not plainly infinite.

    Raises:
        UserError: if it is not, or one of them cannot be read.
    """
    made = _blamed("q", q), _blamed("p", p)
    require_comparable(*made)
    return made


def _blamed(which: str, text: str) -> Distribution:
    try:
        return distribution(text)
    except UserError as error:
        raise UserError(f"--{which}: {error}") from error


@numpyro.validation_enabled(False)  # what it would say names no value
def distribution(text: str) -> Distribution:
    """The distribution that a text names; batch axes, from lists, become one event.

    Names: those of NumPyro's distributions in snake case, then the files of `distributions/`, else
    a dotted path to a class or a function. Lists are arrays, arguments may be distributions.

    Raises:
        UserError: for an unknown name or argument, or a value that is not allowed.
    """
    made = _build(parse(text))
    made = made.to_event(len(made.batch_shape)) if made.batch_shape else made
    finite = jax.jit(lambda key: jnp.isfinite(made.log_prob(made.sample(key, (DRAWS,)))).all())
    if not bool(finite(jax.random.key(0))):
        raise UserError(f"{text}: its density is not finite at its own draws")
    return made


def names() -> list[str]:
    """The names that are no dotted paths."""
    return sorted(_makers())


@functools.cache
def _makers() -> dict[str, Maker]:
    """NumPyro's classes, and its functions that return one, over the densities of this package."""
    numpyros = {snake_case(name): found for name, found in vars(numpyro.distributions).items()
                if name[0].isupper() and _makes(found)}  # fmt: skip
    return {name: _own(name) for name in _own_files()} | numpyros


def _makes(found: Any) -> bool:
    if inspect.isclass(found):
        return issubclass(found, Distribution) and found is not Distribution
    return inspect.isfunction(found)


def snake_case(name: str) -> str:
    """`StudentT` -> `student_t`, `LKJCholesky` -> `lkj_cholesky`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


def _own_files() -> list[str]:
    return [module.name for module in pkgutil.iter_modules(distributions.__path__)]


def _own(name: str) -> Maker:
    module = importlib.import_module(f"{distributions.__name__}.{name}")
    return next(f for n, f in vars(module).items() if snake_case(n) == name and _makes(f))


def _find(name: str) -> Maker:
    path, _, last = name.rpartition(".")
    if not path:
        if name not in _makers():
            message = unknown("distribution", name, names())
            raise UserError(f"{message}; vae-jax compare-kl --help lists them")
        return _makers()[name]
    try:
        found = getattr(importlib.import_module(path), last)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{path}.".startswith(f"{error.name}."):
            raise
        raise UserError(f"no module {path!r} on the Python path") from error
    except AttributeError as error:
        raise UserError(f"{path} defines no {last!r}") from error
    return found


def _build(call: Call) -> Distribution:
    maker = _find(call.name)
    values = {n: _value(call, maker, n, v) for n, v in call.arguments.items()}
    try:
        inspect.signature(maker).bind(**values)
        made = maker(**values)
    except Exception as error:  # whatever NumPyro says of these values
        raise UserError(f"{call}: {' '.join(str(error).split())}") from error
    if not isinstance(made, Distribution):
        raise UserError(f"{call.name} makes no NumPyro distribution")
    for name, constraint in type(made).arg_constraints.items():
        if name in values and values[name] is not None:
            _require(call, name, values[name], constraint)
    return made


def _value(call: Call, maker: Maker, name: str, value: Any) -> Any:
    """A literal as the parameter wants it: numbers as arrays, unless it takes Python's own."""
    parameters = _parameters(maker)
    if name not in parameters:
        raise unknown(f"argument of {call.name}", name, parameters)
    hint = parameters[name].annotation
    numbers = "array" in str(hint).lower()
    if isinstance(value, Call) and not numbers:
        return _build(value)
    if value is None or not (numbers or hint is inspect.Parameter.empty):
        return value
    return _array(call, name, value, getattr(maker, "arg_constraints", {}).get(name))


def _parameters(maker: Maker) -> dict[str, inspect.Parameter]:
    found = inspect.signature(maker).parameters
    return {name: p for name, p in found.items() if name != "validate_args"}


def _array(call: Call, name: str, value: Any, constraint: Any) -> Any:
    discrete = constraint is not None and constraint.is_discrete
    if isinstance(value, int) and (constraint is None or discrete):
        return value  # a count
    try:
        with np.errstate(over="ignore"):
            array = jnp.asarray(value, int if discrete else float)
    except (ValueError, TypeError) as error:
        raise UserError(f"{call.name}: {name}={value} is not an array of numbers") from error
    if not bool(jnp.isfinite(array).all()):
        raise UserError(f"{call.name}: {name}={value} is not finite in {array.dtype}")
    return array


def _require(call: Call, name: str, value: Any, constraint: Any) -> None:
    """Raises UserError where a parameter is not what NumPyro's `arg_constraints` ask for."""
    dependent = numpyro.distributions.constraints.is_dependent(constraint)
    if dependent or isinstance(value, Distribution) or bool(jnp.all(constraint(value))):
        return
    needed = _in_words(constraint)
    raise UserError(
        f"{call.name}: {name}={call.arguments[name]} is not allowed: needed is {needed}"
    )


def _in_words(constraint: Any) -> str:
    """`Positive(lower_bound=0.0)` -> `positive`, as NumPyro calls it."""
    base = getattr(constraint, "base_constraint", constraint)
    words = snake_case(type(base).__name__.strip("_")).replace("_", " ")
    low, high = getattr(base, "lower_bound", None), getattr(base, "upper_bound", None)
    return words if low is None or high is None else f"from {low:g} to {high:g}"


@numpyro.validation_enabled(False)
def require_comparable(q: Distribution, p: Distribution) -> None:
    """Raises UserError where KL(q || p) is not defined, or infinite."""
    pair = f"KL({describe(q)} || {describe(p)})"
    if q.event_shape != p.event_shape:
        raise UserError(
            f"{pair}: q has events of shape {list(q.event_shape)}, p of {list(p.event_shape)}; "
            "numbers are [], lists of n numbers [n]"
        )
    if q.support.is_discrete != p.support.is_discrete:
        kinds = ["discrete" if d.support.is_discrete else "continuous" for d in (q, p)]
        raise UserError(f"{pair} is not defined: q is {kinds[0]}, p {kinds[1]}")
    if _dimensions(q) != _dimensions(p):
        message = f"q lies on {_dimensions(q)} dimensions, p on {_dimensions(p)}"
        raise UserError(f"{pair} is not defined: {message}")
    require_nested_supports(q, p)
    outside = int(jax.jit(lambda key: _num_outside(p, q.sample(key, (DRAWS,))))(jax.random.key(0)))
    if outside:
        raise UserError(f"{pair} is infinite: p(z) is 0 at {outside} of {DRAWS} draws from q")


def _num_outside(p: Distribution, z: Array) -> Array:
    return (~p.support(z) | (p.log_prob(z) == -jnp.inf)).sum()


def _dimensions(distribution: Distribution) -> int:
    """Of the set that it lies on: one less than the event's size on a simplex."""
    shape = distribution.event_shape
    with contextlib.suppress(NotImplementedError):  # discrete, or NumPyro has no coordinates of it
        shape = biject_to(distribution.support).inverse_shape(shape)
    return math.prod(shape)
