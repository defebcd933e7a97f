"""Ranges of numbers as NumPyro's constraints: whether a value lies in one, and the range in words.

NumPyro is not imported here: whoever has a constraint has imported it.
"""

import math
import re
from collections.abc import Callable, Sequence
from typing import Any

from vae_jax.errors import UserError

LARGEST = 3.4028234663852886e38  # of float32, in which parts compute


def in_words(constraint: Any) -> str:
    """The values that a constraint allows: `a positive integer`, `a number from 0 to 1`."""
    constraint = getattr(constraint, "base_constraint", constraint)
    kind = type(constraint).__name__.strip("_")
    noun = "integer" if constraint.is_discrete else "number"
    low, high = (getattr(constraint, f"{side}_bound", None) for side in ("lower", "upper"))
    if low is None and high is None:
        words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", kind).lower()
        return "a finite number" if kind == "Real" else f"what NumPyro calls {words}"
    if "Positive" in kind:
        return f"a positive {noun}"
    return f"{'an' if constraint.is_discrete else 'a'} {noun} {_bounds(kind, low, high)}"


def _bounds(kind: str, low: Any, high: Any) -> str:
    match kind:
        case "GreaterThan":
            return f"above {low:.10g}"
        case "LessThan":
            return f"below {high:.10g}"
        case "OpenInterval":
            return f"between {low:.10g} and {high:.10g}, neither included"
    if low is None or high is None:
        return f"of {low:.10g} or more" if high is None else f"of {high:.10g} or less"
    return f"from {low:.10g} to {high:.10g}"


def require(what: str, value: Any, constraint: Any) -> None:
    """Raises UserError unless every number of a value lies in the range, also in float32.

    Args:
        what: `mixture: components=0`, with which the message begins.
        value: a number, or an array or a tuple of them.
        constraint: NumPyro's.
    """
    import numpy as np  # whoever has a constraint has NumPy

    array = np.asarray(value)
    single = array.astype(np.float32) if array.dtype.kind == "f" else array
    if not np.all(constraint(single)):
        where = " (in float32)" if np.all(constraint(array)) else ""
        raise UserError(f"{what}: {in_words(constraint)} is needed{where}")


def require_elements(
    name_of: Callable[[int], str], values: Any, ok: Any, wanted: str, names: Sequence[str] = ()
) -> None:
    """Raises UserError where a check of values `[n, ...]` fails, naming the first one.

    Args:
        name_of: row -> the name of the example.
        values: arrays of NumPy, as is `ok`.
        ok: which of them pass.
        wanted: instead.
        names: of the columns of values `[n, d]`, where they have some.
    """
    if not ok.all():
        example, *element = (int(axis[0]) for axis in (~ok).nonzero())
        place = f"column {names[element[0]]!r}" if names else f"element {element}"
        where = f"{name_of(example)}, {place}"
        raise UserError(f"{where} is {values[(example, *element)]}: {wanted}")


def require_finite(what: str, value: Any) -> None:
    """Raises UserError for a number that is not finite, also in float32, in a tuple or alone."""
    if isinstance(value, tuple):
        for element in value:
            require_finite(what, element)
    if isinstance(value, int | float) and not abs(value) <= LARGEST:
        is_nan_or_infinite = value != value or value in (math.inf, -math.inf)
        where = "" if is_nan_or_infinite else " (in float32)"
        raise UserError(f"{what}: a finite number is needed{where}")
