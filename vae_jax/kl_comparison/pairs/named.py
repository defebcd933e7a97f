"""`"normal(loc=1.0, scale=0.5)"` -> the distribution, and pairs whose KL makes sense."""

import contextlib
import functools
import importlib
import inspect
import math
import pkgutil
import re
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
from numpyro.distributions import Distribution, biject_to

from vae_jax import distributions
from vae_jax.config.calls import Call, Entry, Namespace, defined_in, follow, parse, show
from vae_jax.config.ranges import require
from vae_jax.divergences import describe, require_nested_supports
from vae_jax.errors import UserError, unknown
from vae_jax.types import Array

Maker = Callable[..., Distribution]
DRAWS = 1000  # of q, to check a pair


def pair(q: str, p: str) -> tuple[Distribution, Distribution]:
    """Both distributions, if KL(q || p) is defined and not plainly infinite.

    Raises:
        UserError: if it is not, or one of them cannot be read.
    """
    densities = _blamed("q", q), _blamed("p", p)
    require_comparable(*densities)
    return densities


def _blamed(which: str, text: str) -> Distribution:
    try:
        return distribution(text)
    except UserError as error:
        raise UserError(f"--{which}: {error}") from error


@numpyro.validation_enabled(False)  # its messages name no value
def distribution(text: str) -> Distribution:
    """The distribution that a text names; batch axes, from lists, become one event.

    Names: those of NumPyro's distributions in snake case, then the files of `distributions/`, else
    a dotted path to a class or a function. Lists are arrays, arguments may be distributions.

    Raises:
        UserError: for an unknown name or argument, or a value that is not allowed.
    """
    density = follow(parse(text), DISTRIBUTIONS)
    density = density.to_event(len(density.batch_shape)) if density.batch_shape else density
    log_prob = jax.jit(lambda key: density.log_prob(density.sample(key, (DRAWS,))))
    if not bool(jnp.isfinite(log_prob(jax.random.key(0))).all()):
        raise UserError(f"{text}: its density is not finite at its own draws")
    return density


def names() -> list[str]:
    """The names of distributions, dotted paths apart."""
    return sorted(_makers())


@functools.cache
def _makers() -> dict[str, Maker]:
    """NumPyro's classes, and its functions that return one, over the densities of this package."""
    numpyros = {snake_case(name): maker for name, maker in vars(numpyro.distributions).items()
                if name[0].isupper() and _is_maker(maker)}  # fmt: skip
    files = [module.name for module in pkgutil.iter_modules(distributions.__path__)]
    return {name: _maker_in(name) for name in files} | numpyros


def _is_maker(value: Any) -> bool:
    if inspect.isclass(value):
        return issubclass(value, Distribution) and value is not Distribution
    return inspect.isfunction(value)


def snake_case(name: str) -> str:
    """`StudentT` -> `student_t`, `LKJCholesky` -> `lkj_cholesky`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


def _maker_in(file: str) -> Maker:
    """The class in a file of `distributions/` that has its name, or the function."""
    module = importlib.import_module(f"{distributions.__name__}.{file}")
    return next(v for n, v in vars(module).items() if snake_case(n) == file and _is_maker(v))


class _Parameter(NamedTuple):
    """The annotation and the constraint of a distribution's parameter."""

    hint: Any
    constraint: Any  # NumPyro's, or None


def _find(name: str) -> Entry:
    path, _, last = name.rpartition(".")
    if not path and name not in _makers():
        message = unknown("distribution", name, names())
        raise UserError(f"{message}; vae-jax compare-kl --help lists them")
    maker = defined_in(path, last) if path else _makers()[name]
    constraints = getattr(maker, "arg_constraints", {})
    parameters = {
        name: _Parameter(p.annotation, constraints.get(name))
        for name, p in inspect.signature(maker).parameters.items()
        if name != "validate_args"
    }
    return Entry(maker, parameters)


def _value(what: str, value: Any, parameter: _Parameter) -> Any:
    """A literal in the parameter's type: numbers as arrays, unless it takes Python numbers."""
    numbers = "array" in str(parameter.hint).lower()
    if isinstance(value, Call) and not numbers:
        return follow(value, DISTRIBUTIONS)
    if value is None or not (numbers or parameter.hint is inspect.Parameter.empty):
        return value
    return _array(what, value, parameter.constraint)


def _array(what: str, value: Any, constraint: Any) -> Any:
    discrete = constraint is not None and constraint.is_discrete
    if isinstance(value, int) and (constraint is None or discrete):
        return value  # a count
    try:
        with np.errstate(over="ignore"):
            array = jnp.asarray(value, int if discrete else float)
    except (ValueError, TypeError) as error:
        raise UserError(f"{what} is not an array of numbers") from error
    if not bool(jnp.isfinite(array).all()):
        raise UserError(f"{what} is not finite in {array.dtype}")
    return array


def _apply(call: Call, maker: Maker, arguments: dict[str, Any]) -> Distribution:
    try:
        inspect.signature(maker).bind(**arguments)
        density = maker(**arguments)
    except Exception as error:  # NumPyro raises errors of many types
        raise UserError(f"{call}: {' '.join(str(error).split())}") from error
    if not isinstance(density, Distribution):
        raise UserError(f"{call.name} makes no NumPyro distribution")
    _require_allowed(call, density, arguments)
    return density


def _require_allowed(call: Call, density: Distribution, arguments: dict[str, Any]) -> None:
    """Raises UserError where an argument does not meet NumPyro's `arg_constraints`."""
    for name, constraint in type(density).arg_constraints.items():
        value = arguments.get(name)
        dependent = numpyro.distributions.constraints.is_dependent(constraint)
        if not (dependent or value is None or isinstance(value, Distribution)):
            require(f"{call.name}: {name}={show(call.arguments[name])}", value, constraint)


DISTRIBUTIONS = Namespace(_find, _value, _apply)


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
    """The dimensions of its support: on a simplex one less than the event's size."""
    shape = distribution.event_shape
    with contextlib.suppress(NotImplementedError):  # discrete, or NumPyro has no coordinates of it
        shape = biject_to(distribution.support).inverse_shape(shape)
    return math.prod(shape)
