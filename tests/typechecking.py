"""A checker of annotations for jaxtyping's import hook, by typeguard.

`typeguard.typechecked` cannot serve: it rewrites a function's source, and the functions that
jaxtyping hands to it have none, so that it checks nothing.
"""

import functools
import inspect

import typeguard


def typechecked(function):
    """The function; typeguard.TypeCheckError where an annotation does not hold."""
    signature, hints = inspect.signature(function), function.__annotations__

    @functools.wraps(function)
    def checked(*args, **kwargs):
        for name, value in signature.bind(*args, **kwargs).arguments.items():
            is_many = signature.parameters[name].kind is inspect.Parameter.VAR_POSITIONAL
            for each in value if is_many else (value,):
                typeguard.check_type(each, hints.get(name, object))
        result = function(*args, **kwargs)
        return typeguard.check_type(result, hints.get("return", object))

    return checked
