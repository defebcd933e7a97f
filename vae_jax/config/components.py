"""`"mixture(components=50)"` -> the function that `priors/mixture.py` defines, arguments bound.

A component is one file in its family's folder, holding a function of the file's name. Its
positional parameters are what the caller supplies; its keyword-only parameters, all with defaults
and annotated, are what a config may set. A dotted path names a component outside the package.
"""

import ast
import functools
import importlib
import inspect
import math
import pkgutil
import typing
from collections.abc import Callable
from typing import Any, NamedTuple

import typeguard

from vae_jax.errors import UserError, unknown

FAMILIES = (
    *("datasets", "networks", "posteriors", "likelihoods", "priors", "objectives"),
    "kl_estimators",
)


class Call(NamedTuple):
    """A parsed component: a name and keyword arguments, literals or calls in turn."""

    name: str
    arguments: dict[str, Any]

    def __str__(self) -> str:
        inside = ", ".join(f"{k}={_show(v)}" for k, v in self.arguments.items())
        return f"{self.name}({inside})" if inside else self.name


def _show(value: Any) -> str:
    return str(value) if isinstance(value, Call) else repr(value)


def parse(text: str) -> Call:
    """`"f(a=1, b=g(c=2))"` -> `Call("f", {"a": 1, "b": Call("g", {"c": 2})})`; never `eval`.

    Raises:
        UserError: for anything but names, keyword arguments and literals.
    """
    try:
        call = _parse_node(ast.parse(text.strip(), mode="eval").body)
    except (SyntaxError, ValueError, TypeError, AttributeError) as error:
        how = "write name(argument=literal, ...), arguments by name, numbers finite"
        raise UserError(f"cannot read {text!r}: {how}") from error
    if not isinstance(call, Call):
        raise UserError(f"cannot read {text!r}: it must start with a component's name")
    return call


def _parse_node(node: ast.expr) -> Any:
    match node:
        case ast.Name() | ast.Attribute():
            return Call(ast.unparse(node), {})
        case ast.Call(func=ast.Name() | ast.Attribute(), args=[], keywords=keywords):
            names = [str(k.arg) for k in keywords]
            if None in [k.arg for k in keywords] or len(set(names)) < len(names):
                raise ValueError("each argument once, by name")
            values = [_parse_node(k.value) for k in keywords]
            return Call(ast.unparse(node.func), dict(zip(names, values, strict=True)))
        case _:
            return _tuples(ast.literal_eval(node))


def _tuples(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError("numbers are finite")
    return tuple(map(_tuples, value)) if isinstance(value, list | tuple) else value


def replace(text: str, path: str, value: str) -> str:
    """The component with one argument set: `"f(a=1)"`, `"a"`, `"2"` -> `"f(a=2)"`.

    `path` is dotted where the argument belongs to an argument: `"learning_rate.init_value"`.

    Raises:
        UserError: if the path leads through something that has no arguments.
    """
    call, (name, _, rest) = parse(text), path.partition(".")
    inner = call.arguments.get(name)
    if rest and not isinstance(inner, Call):
        raise UserError(f"{text!r} has no {name} with an argument {rest!r}")
    new = replace(str(inner), rest, value) if rest else value
    try:
        parsed = _parse_node(ast.parse(new.strip(), mode="eval").body)
    except (SyntaxError, ValueError, TypeError, AttributeError) as error:
        raise UserError(
            f"cannot read {new!r}: a literal or name(argument=...) goes here"
        ) from error
    return str(Call(call.name, {**call.arguments, name: parsed}))


def names(family: str) -> list[str]:
    """The components of a family: the files of its folder."""
    package = importlib.import_module(f"vae_jax.{family}")
    found = pkgutil.iter_modules(package.__path__)
    return sorted(module.name for module in found if not module.name.startswith("_"))


def find(family: str, name: str) -> Callable[..., Any]:
    """The component function of that name, from the family's folder or from a dotted path.

    Raises:
        UserError: if there is none.
    """
    path = name if "." in name else f"vae_jax.{family}.{name}"
    if "." not in name and name not in names(family):
        raise unknown(family.removesuffix("s"), name, names(family))
    try:
        module = importlib.import_module(path)
    except SyntaxError as error:
        raise UserError(f"{path}, line {error.lineno}: {error.msg}") from error
    except ModuleNotFoundError as error:
        if error.name is None or not f"{path}.".startswith(f"{error.name}."):
            raise
        raise UserError(f"no module {path!r} on the Python path") from error
    try:
        return getattr(module, path.rpartition(".")[2])
    except AttributeError as error:
        raise UserError(f"{path} defines no function {path.rpartition('.')[2]!r}") from error


def options(function: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    """The keyword-only parameters of a component: what a config may set."""
    parameters = inspect.signature(function).parameters.values()
    found = {p.name: p for p in parameters if p.kind is p.KEYWORD_ONLY}
    if missing := [name for name, p in found.items() if p.default is p.empty]:
        raise UserError(f"{function.__name__}: its argument {missing[0]!r} needs a default")
    return found


def check(call: Call, function: Callable[..., Any], allowed: dict[str, inspect.Parameter]) -> None:
    """Raises UserError unless every argument exists and has the annotated type."""
    hints = typing.get_type_hints(function)
    for name, value in call.arguments.items():
        if name not in allowed:
            raise unknown(f"argument of {call.name}", name, allowed or ["no argument"])
        if not _fits(value, hints.get(name, Any)):
            wanted = inspect.formatannotation(hints[name])
            raise UserError(f"{call.name}: {name}={_show(value)} is not of type {wanted}")


def _fits(value: Any, hint: Any) -> bool:
    """Whether a value has the type; True is no 1."""
    if type(value) is bool and not {bool, Any} & {hint, *typing.get_args(hint)}:
        return False
    try:
        typeguard.check_type(value, hint)
    except typeguard.TypeCheckError:
        return False
    return True


def resolve(family: str, text: str) -> str:
    """The same component with its default arguments filled in, in the signature's order."""
    call = parse(text)
    function = find(family, call.name)
    allowed = options(function)
    check(call, function, allowed)
    hints = typing.get_type_hints(function)
    filled = {n: call.arguments.get(n, p.default) for n, p in allowed.items()}
    return str(Call(call.name, {n: _as_hinted(v, hints.get(n)) for n, v in filled.items()}))


def _as_hinted(value: Any, hint: Any) -> Any:
    """A whole number where a float is meant is written as one, so that 1 and 1.0 are the same."""
    kinds = (hint, *typing.get_args(hint))
    return float(value) if type(value) is int and float in kinds and int not in kinds else value


def build(family: str, part: str | Callable[..., Any]) -> Callable[..., Any]:
    """The component's function with its arguments bound; a callable is passed through."""
    if callable(part):
        return part
    call = parse(part)
    function = find(family, call.name)
    check(call, function, options(function))
    return _blame(call, functools.partial(function, **call.arguments))


def _blame(call: Call, factory: functools.partial[Any]) -> Callable[..., Any]:
    """The factory, with the component named in what a wrong value makes it say."""

    @functools.wraps(factory.func)
    def made(*args: Any, **kwargs: Any) -> Any:
        try:
            return factory(*args, **kwargs)
        except UserError as error:
            message = str(error)
            raise UserError(message if call.name in message else f"{call}: {message}") from error

    return made
