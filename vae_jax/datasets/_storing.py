"""Arrays as they are brought -> arrays that a device can hold, of the same values if it can."""

import numpy as np

from vae_jax.errors import UserError

NO_NUMBERS = {  # kinds of dtypes -> what would do
    "c": "complex numbers: save real and imaginary parts as columns",
    "O": "Python objects: save an array of numbers, one row an example",
    "S": "bytes: save numbers",
    "U": "text: save numbers",
    "M": "dates: save numbers, as days from one of them",
    "m": "durations: save numbers, as seconds",
    "V": "records: save an array of numbers, one row an example",
}
NARROW = ("bool", "int8", "uint8", "int16", "uint16", "int32", "uint32", "float16", "float32")


def require_numbers(name: str, array: np.ndarray) -> None:
    """Refuses an array whose dtype holds no numbers.

    Args:
        name: what it is called in the message.
        array: any.
    """
    if array.dtype.kind in NO_NUMBERS:
        kind = f"its dtype is {array.dtype}, {NO_NUMBERS[array.dtype.kind]}"
        raise UserError(f"{name} is no array of numbers: {kind}")


def require_examples(name: str, array: np.ndarray) -> None:
    """Refuses an array that holds no examples: single numbers, or none at all.

    Args:
        name: what it is called in the message.
        array: any.
    """
    require_numbers(name, array)
    if array.ndim < 2:
        advice = "save it after .reshape(-1, 1), a row an example" if array.ndim else "no examples"
        raise UserError(f"{name} has shape {array.shape}, single numbers: {advice}")
    if 0 in array.shape:
        raise UserError(f"{name} has shape {array.shape}: there is nothing in it")


def storable(name: str, array: np.ndarray) -> np.ndarray:
    """The array in this machine's byte order, and of at most 32 bits a number.

    Integers that 32 bits cannot hold become float32, as wider floats do.

    Raises:
        UserError: for a dtype without numbers, or a number beyond float32's.
    """
    require_numbers(name, array)
    if array.dtype.name in NARROW:
        array = array.astype(array.dtype.newbyteorder("="), copy=False)
    elif array.dtype.kind in "iu" and _fits_int32(array):
        array = array.astype(np.int32)
    else:
        array = _as_float32(name, array)
    return array if array.flags.c_contiguous else np.ascontiguousarray(array)


def _fits_int32(array: np.ndarray) -> bool:
    ends = np.iinfo(np.int32)
    return not array.size or bool(array.min() >= ends.min and array.max() <= ends.max)


def _as_float32(name: str, array: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):
        single = array.astype(np.float32)
    lost = np.isinf(single) & np.isfinite(array)
    if lost.any():
        value = array[lost][0]
        raise UserError(f"{name} holds {value}, which float32 cannot: use a larger unit")
    return single
