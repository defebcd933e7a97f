import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from numpyro.distributions import constraints

from vae_jax.brought import Origin, Standardization
from vae_jax.datasets._making import Binarize, Rows, Values, held_rows, make_dataset, shuffled_rows
from vae_jax.datasets._named_arrays import NamedArrays, sorted_out
from vae_jax.datasets._storing import require_examples
from vae_jax.errors import UserError
from vae_jax.types import Dataset

UNREADABLE = (ValueError, OSError, AttributeError, TypeError, EOFError, zipfile.BadZipFile)
SLIVER = 64  # uint8 below this use less than a quarter of their range


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

    Images `[n, height, width(, channels)]` or vectors `[n, d]` of any numbers. With `train` and
    `test` (and `validation`, if there is one) they are the splits; a single array is shuffled,
    always in the same way, and split by `validation` and `test`, counts or fractions. Labels of the
    same length, `train_labels` or `y_train` and the like, beside one array `labels` or `y`, are for
    colours in plots. `test` alone can be evaluated, not trained on.

    x is the array / `scale`; None is 255 for uint8 and 1 for everything else. `values` levels takes
    arrays of integers 0, ..., scale as they are, and dequantized makes (level + u) / (scale + 1) of
    them. `standardize` makes of each element its distance from its mean, in standard deviations,
    both of the training split.

    Raises:
        UserError: if the file is missing, is no .npz, or holds neither form, and for uint8 that use
            so little of their range that 255 is not their scale.
    """
    file = _located(path)
    found_in = sorted_out(file.name, _load(file))
    for name, array in found_in.examples.values():
        require_examples(f"{file.name}: {name!r}", array)
    rows = _rows(found_in, validation, test)
    splits = {k: found_in.examples[source][1][_place(p)] for k, (source, p) in rows.items()}
    labels = {
        k: found_in.labels[source][_place(p)]
        for k, (source, p) in rows.items()
        if source in found_in.labels
    }
    origins = {k: Origin(found_in.examples[source][0], p) for k, (source, p) in rows.items()}
    divisor = _scale(file.name, splits, values, standardize) if scale is None else scale
    dataset = make_dataset(
        splits, scale=divisor, binarize=binarize, values=values, standardize=standardize,
        labels=labels, origins=origins,
    )  # fmt: skip
    return dataset._replace(remarks=[*dataset.remarks, *found_in.remarks])


def _rows(
    arrays: NamedArrays, validation: int | float, test: int | float
) -> dict[str, tuple[str, Any]]:
    """For each split the array it is of, and its rows there."""
    if "all" in arrays.examples:
        total = len(arrays.examples["all"][1])
        return {k: ("all", rows) for k, rows in shuffled_rows(total, validation, test).items()}
    given = {k: range(len(array)) for k, (_, array) in arrays.examples.items()}
    rows: dict[str, tuple[str, Any]] = {k: (k, places) for k, places in given.items()}
    if "train" in given and "validation" not in given:
        held: Rows = held_rows(len(given["train"]), validation)
        rows |= {k: ("train", places) for k, places in held.items()}
    return {k: rows[k] for k in ("train", "validation", "test") if k in rows}


def _place(rows: Any) -> Any:
    """Rows as an index that copies nothing where they are successive."""
    return slice(rows.start, rows.stop) if isinstance(rows, range) else rows


def _located(path: str) -> Path:
    if not path:
        raise UserError("npz needs a file: npz(path='data.npz')")
    file = Path(os.path.expanduser(path))
    if file.is_dir():
        raise UserError(f"path={path!r} is a directory: name the .npz file in it")
    if not file.is_file():
        where = "" if file.is_absolute() else f" (looked from {Path.cwd()})"
        raise UserError(f"path={path!r}: there is no such file{where}")
    return file


def _load(file: Path) -> dict[str, np.ndarray]:
    try:
        with np.load(file, allow_pickle=False) as arrays:
            return dict(arrays)
    except PermissionError as error:
        raise UserError(f"path={str(file)!r} cannot be read: {error.strerror}") from error
    except UNREADABLE as error:
        more = ": it holds Python objects" if "Object arrays" in str(error) else ""
        what = f"is no .npz file of plain arrays (np.savez){more}"
        raise UserError(f"path={str(file)!r} {what}") from error


def _scale(name: str, splits: Mapping[str, np.ndarray], values: str, standardize: Any) -> float:
    """255 for uint8, 1 for everything else.

    Raises:
        UserError: for uint8 that use a sliver of their range.
    """
    if standardize or next(iter(splits.values())).dtype != np.uint8:
        return 1.0
    top = max(int(array.max()) for array in splits.values())
    if top < SLIVER and values != "levels":
        held = f"{name} holds uint8 from 0 to {top}, and without a scale they are divided by 255"
        raise UserError(f"{held}: give scale={max(top, 1)}, or scale=255 if they are that dark")
    return 255.0
