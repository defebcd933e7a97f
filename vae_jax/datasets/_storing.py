"""Arrays as they are brought -> arrays that a device can hold, of the same values if it can."""

import functools
from collections.abc import Iterable
from typing import TypeVar

import jax.numpy as jnp
import numpy as np

from vae_jax.datasets._lazy import Lazy, ends
from vae_jax.errors import UserError

ADVICE = {  # kinds of dtypes without real numbers -> what would do
    "c": "complex numbers: save real and imaginary parts as columns",
    "O": "Python objects: save an array of numbers, one row an example",
    "S": "bytes: save numbers",
    "U": "text: save numbers",
    "T": "text: save numbers",
    "M": "dates: save numbers, as days from one of them",
    "m": "durations: save numbers, as seconds",
    "V": "records or raw bytes: save an array of numbers, such as float32",
}
SLIVER = 64  # below it, uint8 use less than a quarter of their range
Stored = TypeVar("Stored", np.ndarray, Lazy)
NARROW = ("bool", "int8", "uint8", "int16", "uint16", "int32", "uint32", "float16", "float32")


def holds_numbers(array: np.ndarray | Lazy) -> bool:
    """Whether an array's dtype is one of real numbers, JAX's own, such as bfloat16, among them."""
    kind = array.dtype.kind
    return kind in "biuf" or (kind == "V" and jnp.issubdtype(array.dtype, jnp.number))


def require_examples(name: str, array: np.ndarray | Lazy) -> None:
    """Refuses an array without examples: other things than real numbers, no axes, or no elements.

    Args:
        name: what it is called in the message.
        array: any.
    """
    if not holds_numbers(array):
        what = ADVICE.get(array.dtype.kind, "no real numbers")
        raise UserError(f"{name} is no array of numbers: its dtype is {array.dtype}, {what}")
    if np.ma.is_masked(array):
        raise UserError(f"{name} has masked values: all of them are needed")
    if array.ndim == 0:
        raise UserError(f"{name} is a single number: one row an example is needed")
    if 0 in array.shape:
        raise UserError(f"{name} is empty: it has shape {array.shape}")
    if array.ndim == 1:
        advice = "a.reshape(-1, 1) makes examples of one number each"
        raise UserError(f"{name} has shape {array.shape}, without an axis of elements: {advice}")


def storable(name: str, array: Stored) -> Stored:
    """The array in this machine's byte order, in rows, and of at most 32 bits a number.

    Integers that 32 bits cannot hold become float32, as wider floats do. What is read as it is
    asked for becomes so as it is read.

    Raises:
        UserError: for a number beyond float32's, or an array without examples.
    """
    require_examples(name, array)
    if array.dtype.name in NARROW:
        array = array.astype(array.dtype.newbyteorder("="), copy=False)
    elif array.dtype.kind in "iu" and _fits_int32(array):
        array = array.astype(np.int32)
    else:
        array = _as_float32(name, array)
    if isinstance(array, Lazy) or array.flags.c_contiguous:
        return array
    return np.ascontiguousarray(array)


def _fits_int32(array: np.ndarray | Lazy) -> bool:
    (least, largest), fits = ends(array), np.iinfo(np.int32)
    return bool(least.min() >= fits.min and largest.max() <= fits.max)


def _as_float32(name: str, array: Stored) -> Stored:
    if isinstance(array, Lazy):
        return array.converted(functools.partial(_single, name))
    single = _single(name, array)
    if array.any() and not single.any():
        value = array[array != 0][0]
        raise UserError(f"{name} holds {value}, which float32 cannot: use a smaller unit")
    return single


def _single(name: str, array: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore", under="ignore"):
        single = array.astype(np.float32)
    lost = np.isinf(single) & ~np.isinf(array)
    if lost.any():
        value = array[lost][0]
        raise UserError(f"{name} holds {value}, which float32 cannot: use a larger unit")
    return single


def require_range(name: str, arrays: Iterable[np.ndarray | Lazy]) -> None:
    """Refuses uint8 that use a sliver of their range where they would be divided by 255.

    Args:
        name: of the data, for the message.
        arrays: of values.
    """
    arrays = list(arrays)
    if any(array.dtype != np.uint8 for array in arrays):
        return
    largest = max(int(ends(array)[1].max()) for array in arrays)
    if largest >= SLIVER:
        return
    top = max(largest, 1)
    as_stored = "" if top == 1 else ", scale=1 for x as it is stored"
    advice = f"give scale={top} for x from 0 to 1{as_stored}, scale=255 if they are that dark"
    raise UserError(f"{name} holds uint8 from 0 to {largest}, which 255 would make tiny: {advice}")
