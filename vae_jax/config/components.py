"""`"mixture(components=50)"` -> the function that `priors/mixture.py` defines, arguments bound.

A component is one file in its family's folder, holding a function of the file's name. Its
positional parameters are what the caller supplies; its keyword-only parameters, all with defaults
and annotated, are what a config may set. Annotations hold the ranges, and the family of an
argument that is a part itself:

    def layered(
        spec: Spec,
        *,
        scale: Annotated[float, constraints.positive] = 1.0,
        top: Annotated[Part, Family("priors")] = "standard_normal",
    ) -> Prior: ...

A dotted path names a component outside the package.
"""

import functools
import importlib
import inspect
import pkgutil
from collections.abc import Callable, Sequence
from typing import Any, TypeVar, cast

from vae_jax.config import annotations
from vae_jax.config.annotations import ANYTHING, Family, Option, Part
from vae_jax.config.calls import Call, Entry, Namespace, defined_in, follow, parse, replace
from vae_jax.errors import UserError, unknown

__all__ = [
    "FAMILIES",
    "Call",
    "Family",
    "Part",
    "brief",
    "build",
    "check",
    "checked",
    "find",
    "names",
    "options",
    "parse",
    "replace",
    "resolve",
]
FAMILIES = (
    *("datasets", "networks", "posteriors", "likelihoods", "priors", "objectives"),
    *("kl_estimators", "estimators", "trackers", "sweeps.backends"),
)
Function = TypeVar("Function", bound=Callable[..., Any])


def names(family: str) -> list[str]:
    """The components of a family: the files of its folder."""
    return list(_names(family))


@functools.cache
def _names(family: str) -> tuple[str, ...]:
    package = importlib.import_module(f"vae_jax.{family}")
    modules = pkgutil.iter_modules(package.__path__)
    return tuple(sorted(module.name for module in modules if not module.name.startswith("_")))


def find(family: str, name: str, words: Sequence[str] = ()) -> Callable[..., Any]:
    """The component function of that name, from the family's folder or from a dotted path.

    Args:
        family: a folder's name.
        name: a file's name, or a path.
        words: what may be written there besides, for the message.

    Raises:
        UserError: if there is none.
    """
    if "." in name:
        return defined_in(name, name.rpartition(".")[2])
    if name not in names(family):
        kind = family.rpartition(".")[2].removesuffix("s")
        raise unknown(kind, name, [*names(family), *words])
    return defined_in(f"vae_jax.{family}.{name}", name)


def options(function: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    """The keyword-only parameters of a component: what a config may set."""
    parameters = inspect.signature(function).parameters.values()
    keywords = {p.name: p for p in parameters if p.kind is p.KEYWORD_ONLY}
    if missing := [name for name, p in keywords.items() if p.default is p.empty]:
        raise UserError(f"{function.__name__}: its argument {missing[0]!r} needs a default")
    return keywords


def check(call: Call, function: Callable[..., Any]) -> None:
    """Refuses an argument of a part that does not exist, of another type, or out of its range."""
    follow(call, _namespace(lambda name: function, _written, _resolve))


def resolve(family: str, text: str) -> str:
    """The same component with its default arguments filled in, in the signature's order."""
    return str(_resolve(Family(family), text))


def brief(family: str, text: str) -> str:
    """The same component without the arguments that are its defaults, for messages."""
    call = parse(text)
    defaults = _resolve(Family(family), call.name).arguments
    given = {n: v for n, v in call.arguments.items() if n not in defaults or v != defaults[n]}
    return str(call._replace(arguments=given))


def build(family: str, part: Part) -> Callable[..., Any]:
    """The component's function with its arguments bound; a callable is passed through."""
    return part if callable(part) else _build(Family(family), part)


def checked(function: Function) -> Function:
    """The function, its keyword-only arguments checked in direct calls as a config's are.

    Texts that name parts reach it as callables, those of defaults too. JAX's arrays, which may be
    traced, are passed on as they are.
    """
    space = _namespace(lambda name: function, lambda call, function, arguments: arguments, _build)

    @functools.wraps(function)
    def call_checked(*args: Any, **kwargs: Any) -> Any:
        known = options(function)
        given = {n: _plain(v) for n, v in kwargs.items() if n in known and not hasattr(v, "aval")}
        others = {n: v for n, v in kwargs.items() if n not in given}
        return function(*args, **(follow(Call(function.__name__, given), space) | others))

    return cast(Function, call_checked)


def _plain(value: Any) -> Any:
    """The value, Python's own number in place of one of NumPy's."""
    return value.item() if type(value).__module__ == "numpy" and not value.ndim else value


def _resolve(family: Family, text: str) -> Call:
    space = _namespace(lambda name: find(family.name, name, family.words), _written, _resolve)
    return follow(parse(text), space)


def _build(family: Family, text: str) -> Callable[..., Any]:
    space = _namespace(lambda name: find(family.name, name, family.words), _bound, _build)
    return follow(parse(text), space)


def _namespace(
    find_function: Callable[[str], Callable[..., Any]],
    apply: Callable[[Call, Callable[..., Any], dict[str, Any]], Any],
    part: Callable[[Family, str], Any],
) -> Namespace:
    """Calls of components, found by name, with `part` for parts among their arguments."""

    def value(what: str, given: Any, option: Option) -> Any:
        return annotations.fit(what, given, option, part)

    return Namespace(lambda name: _entry(find_function(name)), value, apply)


def _entry(function: Callable[..., Any]) -> Entry:
    keywords, hints = options(function), annotations.options(function)
    parameters = {name: hints.get(name, ANYTHING) for name in keywords}
    return Entry(function, parameters, {name: p.default for name, p in keywords.items()})


def _written(call: Call, function: Callable[..., Any], arguments: dict[str, Any]) -> Call:
    return Call(call.name, arguments)


def _bound(
    call: Call, function: Callable[..., Any], arguments: dict[str, Any]
) -> Callable[..., Any]:
    """The function with its arguments, which is named in the mistakes that it finds itself."""

    @functools.wraps(function)
    def component(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **{**arguments, **kwargs})
        except UserError as error:
            message = str(error)
            raise UserError(
                message if call.name in message else f"{call.name}: {message}"
            ) from error

    return component
