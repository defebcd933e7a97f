"""`"mixture(components=50)"`: how such a text is read, and the one walk that follows its names."""

import ast
import importlib
import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from vae_jax.errors import UserError, unknown

UNREADABLE = (SyntaxError, ValueError, TypeError, AttributeError)
NO_DEFAULTS: Mapping[str, Any] = {}


class Call(NamedTuple):
    """A name and keyword arguments: literals, calls in turn, or tuples of both."""

    name: str
    arguments: dict[str, Any]

    def __str__(self) -> str:
        inside = ", ".join(f"{name}={show(value)}" for name, value in self.arguments.items())
        return f"{self.name}({inside})" if inside else self.name


def show(value: Any) -> str:
    """The text of an argument, which `parse_value` reads back."""
    if isinstance(value, Call):
        return str(value)
    if is_tuple(value):
        return f"({', '.join(map(show, value))}{',' * (len(value) == 1)})"
    return repr(value)


def is_tuple(value: Any) -> bool:
    """Whether it is a tuple of arguments; a call is none."""
    return isinstance(value, tuple) and not isinstance(value, Call)


def parse(text: str) -> Call:
    """`"f(a=1, b=g(c=2))"` -> `Call("f", {"a": 1, "b": Call("g", {"c": 2})})`; never `eval`.

    Raises:
        UserError: for anything but names, keyword arguments and literals.
    """
    call = parse_value(text, "write name(argument=literal, ...), arguments by name, numbers finite")
    if not isinstance(call, Call):
        raise UserError(f"cannot read {text!r}: it must start with a component's name")
    return call


def parse_value(text: str, advice: str = "a literal or name(argument=...) goes here") -> Any:
    """An argument: a literal, a call, or a tuple of them, as which lists are read too.

    Raises:
        UserError: for anything else; it ends with the advice.
    """
    try:
        return _parse_node(ast.parse(text.strip(), mode="eval").body)
    except UNREADABLE as error:
        raise UserError(f"cannot read {text!r}: {_unclosed(error)}{advice}") from error


def _unclosed(error: Exception) -> str:
    """The complaint of Python's parser of a parenthesis or a quotation mark, to precede advice."""
    message = error.msg if isinstance(error, SyntaxError) else ""
    about = ("never closed", "unmatched", "unterminated", "does not match")
    return f"{message}; " if any(words in message for words in about) else ""


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
        case ast.Tuple(elts=elements) | ast.List(elts=elements):
            return tuple(map(_parse_node, elements))
        case _:
            return _finite(ast.literal_eval(node))


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError("numbers are finite")
    return value


def replace(text: str, path: str, value: str) -> str:
    """The component with one argument set: `"f(a=1)"`, `"a"`, `"2"` -> `"f(a=2)"`.

    `path` is dotted where the argument belongs to an argument: `"learning_rate.init_value"`.

    Raises:
        UserError: if the path leads through something that has no arguments.
    """
    call, (name, _, rest) = parse(text), path.partition(".")
    inner = call.arguments.get(name)
    if rest and not isinstance(inner, Call | str):
        raise UserError(f"{text!r} has no {name} with an argument {rest!r}")
    new = replace(str(inner), rest, value) if rest else value
    return str(Call(call.name, {**call.arguments, name: parse_value(new)}))


def alternatives(text: str) -> list[str]:
    """`"a|b(c='|')"` -> `["a", "b(c='|')"]`: Python's own reading of `|`.

    Raises:
        UserError: for what Python cannot read.
    """
    try:
        node = ast.parse(text.strip(), mode="eval").body
    except SyntaxError as error:
        advice = f"{_unclosed(error)}write value|value|..."
        raise UserError(f"cannot read {text!r}: {advice}") from error
    if isinstance(node, ast.Tuple) and not text.strip().startswith("("):
        raise UserError(f"cannot read {text!r}: values are separated by |, not by commas")
    later: list[str] = []
    while isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        later.append(ast.unparse(node.right))
        node = node.left
    return [ast.unparse(node), *reversed(later)]


class Entry(NamedTuple):
    """A function that a name stands for, and the arguments that a call may give it."""

    function: Callable[..., Any]
    parameters: Mapping[str, Any]  # by name, with what `Namespace.value` has to know of each
    defaults: Mapping[str, Any] = NO_DEFAULTS  # given to it where the call says nothing


class Namespace(NamedTuple):
    """The meaning of calls: what their names stand for, and what becomes of their arguments."""

    find: Callable[[str], Entry]  # (name) -> entry; UserError where there is none
    # ("call: argument=value", value, that of `parameters`) -> value; UserError where it is wrong
    value: Callable[[str, Any, Any], Any]
    apply: Callable[[Call, Callable[..., Any], dict[str, Any]], Any]  # (call, function, arguments)


def follow(call: Call, namespace: Namespace) -> Any:
    """The result of a namespace's `apply` for a call, after a check of its arguments.

    Raises:
        UserError: for a name or an argument that there is not, or a value that it cannot have.
    """
    function, parameters, defaults = namespace.find(call.name)
    for name in call.arguments:
        if name not in parameters:
            raise unknown(f"argument of {call.name}", name, parameters or ["no argument"])
    arguments = {
        name: namespace.value(f"{call.name}: {name}={show(value)}", value, parameters[name])
        for name, value in {**defaults, **call.arguments}.items()
    }
    return namespace.apply(call, function, arguments)


def defined_in(module: str, name: str) -> Callable[..., Any]:
    """The function or class that a module defines under a name.

    Raises:
        UserError: if there is no such module, it cannot be read, or it defines no such function.
    """
    try:
        imported = importlib.import_module(module)
    except SyntaxError as error:
        raise UserError(f"{module}, line {error.lineno}: {error.msg}") from error
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise
        raise UserError(f"no module {module!r} on the Python path") from error
    if not hasattr(imported, name):
        raise UserError(f"{module} defines no {name!r}")
    if not callable(function := getattr(imported, name)):
        raise UserError(f"{module}.{name} is no function")
    return function
