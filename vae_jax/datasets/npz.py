from pathlib import Path
from typing import Annotated, Any

import numpy as np
from numpyro.distributions import constraints

from vae_jax.brought import Standardization
from vae_jax.datasets._arrays import UNREADABLE, dataset_of_arrays, load
from vae_jax.datasets._making import Binarize, Values
from vae_jax.errors import UserError
from vae_jax.places import data_file
from vae_jax.types import Dataset

SAVE = "np.savez('data.npz', train=..., test=...) makes one"


def npz(
    *,
    path: str = "",
    binarize: Binarize = "none",
    values: Values = "greys",
    scale: Annotated[float | None, constraints.positive] = None,
    standardize: bool | Standardization = False,
    validation: int | float = 0.1,
    test: int | float = 0.2,
) -> Dataset:
    """A user's arrays: `np.savez(path, train=..., test=...)`, or one array to be split.

    Images `[n, height, width(, channels)]` or vectors `[n, d]` of any numbers. Arrays `train` and
    `test` (and `validation`, if there is one) are the splits; a single array is shuffled, always in
    the same way, and split by `validation` and `test`, counts or fractions. Names such as `x_train`
    do as well. `train_labels`, `y_train` and the like, or `labels` beside one array, give colours
    to plots; other arrays of one row an example, `train_age` or `age`, can be conditions. `test`
    alone can be evaluated, and so can one array with `test` 1.0, which takes all of its rows.

    NaN is a value that was not observed, and so is what a mask hides: `train_observed` or
    `observed`, True where a value was observed, `missing`, True where it was not, or `mask`, as
    `observed` is.

    x is the array / `scale`; None is 255 for uint8 and 1 for everything else. `values` levels takes
    arrays of integers 0, ..., scale as they are, and dequantized makes (level + u) / (scale + 1) of
    them. `standardize` takes each element less its mean, over its standard deviation, both of the
    training split.

    Raises:
        UserError: if the file is missing, is no .npz, or holds neither form, and for uint8 that use
            a sliver of their range where no scale is given.
    """
    if not path:
        raise UserError("npz needs a file: npz(path='data.npz')")
    file = data_file(path)
    return dataset_of_arrays(
        file.name,
        _load(file),
        binarize=binarize,
        values=values,
        scale=scale,
        standardize=standardize,
        validation=validation,
        test=test,
    )


def _load(file: Path) -> dict[str, np.ndarray]:
    """The arrays of a file; in place of one of Python objects, an empty one."""
    content = load(file, ".npz", SAVE)
    if isinstance(content, np.ndarray):
        raise UserError(f"{file} holds a single array, as np.save writes: npy(path=...) reads it")
    with content:
        arrays = {name: _array(file, content, name) for name in content.files}
    if arrays and all(array.dtype.kind == "S" and not array.ndim for array in arrays.values()):
        raise UserError(f"{file} holds no arrays: {SAVE}")
    return arrays


def _array(file: Path, content: Any, name: str) -> np.ndarray:
    """An array of the file, bytes where it holds something else."""
    try:
        return np.asarray(content[name])
    except UNREADABLE as error:
        if "Object arrays" in str(error):
            return np.empty(0, object)
        raise UserError(f"{file} is damaged: {name!r} cannot be read: {error}") from error
