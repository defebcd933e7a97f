import zipfile
from pathlib import Path
from typing import Annotated

import numpy as np
from numpyro.distributions import constraints

from vae_jax.datasets._making import Binarize, Values, hold_out, make_dataset, shuffled_splits
from vae_jax.errors import UserError
from vae_jax.types import Dataset


def npz(
    *,
    path: str = "",
    binarize: Binarize = "none",
    values: Values = "greys",
    scale: Annotated[float | None, constraints.positive] = None,
    validation: int | float = 0.1,
    test: int | float = 0.2,
) -> Dataset:
    """A user's arrays: `np.savez(path, train=..., test=...)`, or one array to be split.

    Images `[n, height, width(, channels)]` or vectors `[n, d]`. With keys `train` and `test` (and
    `validation`, if there is one) they are the splits; a single array is shuffled, always in the
    same way, and split by `validation` and `test`, counts or fractions. x is the array / `scale`;
    None is 255 for uint8 and 1 for everything else. `values` levels takes arrays of integers
    0, ..., scale as they are, and dequantized makes (level + u) / (scale + 1) of them.

    Raises:
        UserError: if the file is missing, is no .npz, or holds neither form.
    """
    arrays = _load(path)
    if {"train", "test"} <= arrays.keys():
        held = {} if "validation" in arrays else hold_out(arrays["train"], validation)
        splits = {k: arrays[k] for k in ("train", "validation", "test") if k in arrays} | held
    elif len(arrays) == 1:
        splits, _ = shuffled_splits(next(iter(arrays.values())), validation, test)
    else:
        message = f"path={path!r} holds {', '.join(arrays)}: 'train' and 'test', or one array"
        raise UserError(f"{message}, is what is read: save it so, without labels")
    divisor = _scale(splits["train"]) if scale is None else scale
    return make_dataset(splits, scale=divisor, binarize=binarize, values=values)


def _load(path: str) -> dict[str, np.ndarray]:
    if not path:
        raise UserError("npz needs a file: npz(path='data.npz')")
    if not Path(path).is_file():
        raise UserError(f"path={path!r}: there is no such file (looked from {Path.cwd()})")
    try:
        with np.load(path) as file:
            arrays = dict(file)
    except (ValueError, OSError, AttributeError, TypeError, zipfile.BadZipFile) as error:
        raise UserError(f"path={path!r} is no .npz file of plain arrays (np.savez)") from error
    for name, array in arrays.items():
        if array.ndim < 1 or array.dtype.kind not in "biuf":
            raise UserError(f"path={path!r}: {name!r} is no array of numbers, one row an example")
    return arrays


def _scale(array: np.ndarray) -> float:
    return 255.0 if array.dtype == np.uint8 else 1.0
