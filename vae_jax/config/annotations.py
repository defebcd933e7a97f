"""An argument held against its annotation: type, range, and the family of a part in a part."""

import contextlib
import functools
import inspect
import types
import typing
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import typeguard

from vae_jax.config import ranges
from vae_jax.config.calls import Call, is_tuple
from vae_jax.errors import UserError

Part = str | Callable[..., Any]  # `"mixture(components=50)"`, or the function that it stands for


class Family:
    """The mark of an argument that is a part: `top: Annotated[Part, Family("priors")] = "normal"`.

    A text or a call that is given for it is resolved as a component of the family is, and reaches
    the function as a callable with its arguments bound.
    """

    def __init__(self, name: str, *words: str):
        """`words` are plain strings that may be given in place of a part: they stay strings."""
        self.name, self.words = name, words


class Option(NamedTuple):
    """The annotation of an argument."""

    hint: Any
    shown: str  # the type in words


ANYTHING = Option(Any, "")


class MisfitError(TypeError):
    """A value is not of the annotated type."""


@functools.cache
def options(function: Callable[..., Any]) -> dict[str, Option]:
    """The annotations of a function's arguments, by name."""
    hints = typing.get_type_hints(function, include_extras=True)
    plain = typing.get_type_hints(function)
    return {name: Option(hint, _in_words(hint, plain[name])) for name, hint in hints.items()}


def _in_words(hint: Any, plain: Any) -> str:
    families = [mark.name for mark in _marks(hint) if isinstance(mark, Family)]
    return f"one of {families[0]}" if families else f"of type {inspect.formatannotation(plain)}"


def _marks(hint: Any) -> Iterator[Any]:
    """All that the annotations within an annotation carry."""
    yield from getattr(hint, "__metadata__", ())
    for inner in typing.get_args(hint):
        yield from _marks(inner)


def fit(what: str, value: Any, option: Option, part: Callable[[Family, str], Any]) -> Any:
    """The value as the annotation has it: whole numbers for floats are floats, parts are `part`'s.

    Args:
        what: `mixture: components=0`, with which a message begins.
        value: a literal, a call, a tuple of them, or a function.
        option: the argument's.
        part: (mark, text) -> the value in place of a text that names a part.

    Raises:
        UserError: if it is of another type, or outside a range.
    """
    if any(isinstance(mark, Family) for mark in _marks(option.hint)):
        value = _texts(value)
    ranges.require_finite(what, value)
    try:
        return _fit(value, option.hint, functools.partial(_marked, what, part))
    except MisfitError as error:
        raise UserError(f"{what} is not {option.shown}") from error


def _texts(value: Any) -> Any:
    """The value with texts in place of calls."""
    if is_tuple(value):
        return tuple(map(_texts, value))
    return str(value) if isinstance(value, Call) else value


def _marked(what: str, part: Callable[[Family, str], Any], value: Any, mark: Any) -> Any:
    """The value after what a mark asks for."""
    if isinstance(mark, Family):
        return part(mark, value) if isinstance(value, str) and value not in mark.words else value
    if hasattr(mark, "is_discrete"):
        for number in _numbers(value):
            ranges.require(what, number, mark)
    return value


def _numbers(value: Any) -> list[Any]:
    if is_tuple(value):
        return [number for element in value for number in _numbers(element)]
    return [value] if isinstance(value, int | float) and not isinstance(value, bool) else []


def _fit(value: Any, hint: Any, marked: Callable[[Any, Any], Any]) -> Any:
    """The value as a hint has it; MisfitError if it is of another type."""
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Annotated:
        return functools.reduce(marked, hint.__metadata__, _fit(value, inner[0], marked))
    if origin in (typing.Union, types.UnionType):
        return _fit_first(value, inner, marked)
    if origin in (tuple, Sequence) and is_tuple(value):
        hints = inner if origin is tuple and ... not in inner else inner[:1] * len(value)
        if len(hints) != len(value):
            raise MisfitError
        return tuple(_fit(v, h, marked) for v, h in zip(value, hints, strict=True))
    return _fit_one(value, hint)


def _fit_first(value: Any, hints: Sequence[Any], marked: Callable[[Any, Any], Any]) -> Any:
    """The value as the first of some hints has it that is of its type."""
    for hint in hints:
        with contextlib.suppress(MisfitError):
            return _fit(value, hint, marked)
    raise MisfitError


def _fit_one(value: Any, hint: Any) -> Any:
    """The value as a hint without marks has it; True is no 1."""
    literal = typing.get_origin(hint) is typing.Literal
    if isinstance(value, bool) and not literal and hint not in (bool, Any):
        raise MisfitError
    try:
        typeguard.check_type(value, hint)
    except typeguard.TypeCheckError as error:
        raise MisfitError from error
    return float(value) if hint is float else value
