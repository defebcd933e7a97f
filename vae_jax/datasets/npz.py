import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from numpyro.distributions import constraints

from vae_jax.brought import Standardization
from vae_jax.datasets._making import (
    Binarize,
    Rows,
    Values,
    by_split,
    held_rows,
    make_dataset,
    shuffled_rows,
)
from vae_jax.datasets._named_arrays import ALL, NamedArrays, sorted_out
from vae_jax.datasets._storing import require_examples, require_range
from vae_jax.errors import UserError
from vae_jax.places import data_file
from vae_jax.types import Dataset

SAVE = "np.savez('data.npz', train=..., test=...) makes one"
UNREADABLE = (ValueError, OSError, RuntimeError, EOFError, zipfile.BadZipFile, zlib.error)


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
    to plots. `test` alone can be evaluated.

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
    arrays = sorted_out(file.name, _load(file))
    for name, array in arrays.examples.values():
        require_examples(f"{file.name}: {name!r}", array)
    rows = _rows(file.name, arrays, validation, test)
    parts = by_split(arrays.examples, arrays.labels, rows)
    if scale is None:
        scale = 1.0 if standardize else _scale(file.name, parts["splits"], values != "levels")
    how: dict[str, Any] = {"binarize": binarize, "values": values, "standardize": standardize}
    dataset = make_dataset(**parts, scale=scale, **how)
    return dataset._replace(remarks=[*dataset.remarks, *arrays.remarks])


def _rows(
    file: str, arrays: NamedArrays, validation: int | float, test: int | float
) -> dict[str, Rows]:
    """For each array the splits that are made of it, and their rows."""
    sizes = {key: len(array) for key, (_, array) in arrays.examples.items()}
    if ALL in sizes:
        try:
            return {ALL: shuffled_rows(sizes[ALL], validation, test)}
        except UserError as error:
            raise UserError(f"{file}: {arrays.examples[ALL][0]!r}: {error}") from error
    rows: dict[str, Rows] = {key: {key: range(size)} for key, size in sizes.items()}
    if "train" in sizes and "validation" not in sizes:
        rows["train"] = held_rows(sizes["train"], validation)
    return rows


def _load(file: Path) -> dict[str, np.ndarray]:
    """The arrays of a file; in place of one of Python objects, an empty one."""
    try:
        content = np.load(file, allow_pickle=False)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise UserError(f"{file.absolute()}: there is no such file") from error
    except IsADirectoryError as error:
        raise UserError(f"{file} is a directory: name the .npz file in it") from error
    except UNREADABLE as error:
        if reason := getattr(error, "strerror", None):
            raise UserError(f"{file} cannot be read: {reason}") from error
        raise UserError(f"{file} is no .npz file: {SAVE}") from error
    if isinstance(content, np.ndarray):
        raise UserError(f"{file} holds a single array, as np.save writes: {SAVE}")
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


def _scale(file: str, splits: Mapping[str, np.ndarray], is_divided: bool) -> float:
    """255 for uint8, 1 for everything else.

    Raises:
        UserError: for uint8 beside others, and for those that use a sliver of their range.
    """
    bytewise = {name: array.dtype == np.uint8 for name, array in splits.items()}
    if not any(bytewise.values()):
        return 1.0
    if not all(bytewise.values()):
        dtypes = ", ".join(f"{name} {array.dtype}" for name, array in splits.items())
        raise UserError(f"{file} holds {dtypes}: give scale, the largest value of all of them")
    if is_divided:
        require_range(file, splits.values())
    return 255.0
