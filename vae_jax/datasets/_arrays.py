"""The data set of the arrays of a file, or of several: what `npz` and `npy` have in common."""

import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from vae_jax.brought import Standardization
from vae_jax.datasets._lazy import Lazy
from vae_jax.datasets._making import Binarize, Values, make_dataset
from vae_jax.datasets._missing import hide
from vae_jax.datasets._named_arrays import ALL, NamedArrays, sorted_out
from vae_jax.datasets._splitting import Rows, by_split, held_rows, shuffled_rows, take
from vae_jax.datasets._storing import require_examples, require_range
from vae_jax.errors import UserError
from vae_jax.types import Dataset

UNREADABLE = (ValueError, OSError, RuntimeError, EOFError, zipfile.BadZipFile, zlib.error)


def load(file: Path, kind: str, advice: str, *, mapped: bool = False) -> Any:
    """The content of a file of NumPy's; in place of an array of Python objects, an empty one.

    Args:
        file: its path.
        kind: of file that is meant, for messages.
        advice: how one is made.
        mapped: arrays stay in the file.

    Raises:
        UserError: if it cannot be read, or is another kind of file.
    """
    try:
        return np.load(file, allow_pickle=False, mmap_mode="r" if mapped else None)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise UserError(f"{file.absolute()}: there is no such file") from error
    except IsADirectoryError as error:
        raise UserError(f"{file} is a directory: name the {kind} file in it") from error
    except UNREADABLE as error:
        if "Python objects" in str(error) or "Object arrays" in str(error):
            return np.empty(0, object)
        if reason := getattr(error, "strerror", None):
            raise UserError(f"{file} cannot be read: {reason}") from error
        raise UserError(f"{file} is no {kind} file: {advice}") from error


def dataset_of_arrays(
    file: str,
    arrays: Mapping[str, Any],
    *,
    binarize: Binarize,
    values: Values,
    scale: float | None,
    standardize: bool | Standardization,
    validation: int | float,
    test: int | float,
    mapped: bool = False,
) -> Dataset:
    """The data set of arrays by their names; `file` is for messages.

    The other arguments are those of `npz`. Examples of arrays that are `mapped` are read as they
    are asked for.

    Raises:
        UserError: for names or arrays of no known form, and for uint8 that use a sliver of their
            range where no scale is given.
    """
    known = sorted_out(file, arrays)
    for name, array in known.examples.values():
        require_examples(f"{file}: {name!r}", array)
    rows = _rows(file, known, validation, test)
    examples = {k: (n, _lazy(a) if mapped else a) for k, (n, a) in known.examples.items()}
    parts = by_split(examples, known.labels, rows, known.covariates)
    if scale is None:
        scale = 1.0 if standardize else _scale(file, parts["splits"], values != "levels")
    for key, mask in known.observed.items():
        parts["splits"] |= _hidden(examples[key][1], mask, rows[key])
    how: dict[str, Any] = {"binarize": binarize, "values": values, "standardize": standardize}
    dataset = make_dataset(**parts, scale=scale, **how)
    return dataset._replace(remarks=[*dataset.remarks, *known.remarks])


def _lazy(array: np.ndarray) -> Lazy:
    return Lazy(lambda rows: np.asarray(array[rows]), np.arange(len(array)))


def _hidden(array: np.ndarray | Lazy, mask: np.ndarray, rows: Rows) -> dict[str, Any]:
    """The splits of an array, NaN where its mask is False."""
    if isinstance(array, Lazy):
        read = array.read
        array = Lazy(lambda some: hide(read(some), mask[some]), np.arange(len(array)))
        return take(array, rows)
    pairs = {split: (take(array, rows)[split], take(mask, rows)[split]) for split in rows}
    return {split: hide(*pair) for split, pair in pairs.items()}


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


def _scale(file: str, splits: Mapping[str, Any], is_divided: bool) -> float:
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
