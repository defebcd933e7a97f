"""Splits of arrays: which rows they are, and what stands beside them."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from vae_jax.brought import Origin
from vae_jax.datasets._lazy import Lazy
from vae_jax.errors import UserError

Rows = Mapping[str, range | np.ndarray]  # split -> places in an array


def count(size: int | float, total: int) -> int:
    """A number of examples given as a count (int) or as a fraction of `total` (float).

    Raises:
        UserError: if it is negative or leaves nothing.
    """
    number = size if isinstance(size, int) else round(size * total)
    if not 0 <= number < total:
        raise UserError(f"{size} examples or parts of {total} cannot be held out")
    return number


def is_all(test: int | float) -> bool:
    """Whether all examples are to be test, none for training: 1.0, as a share."""
    return isinstance(test, float) and test == 1.0


def held_rows(total: int, validation: int | float) -> dict[str, range]:
    """The rows of train and validation, which is the last of the training set, none if 0."""
    kept = total - count(validation, total)
    held = {} if kept == total else {"validation": range(kept, total)}
    return {"train": range(kept), **held}


def shuffled_rows(total: int, validation: int | float, test: int | float) -> dict[str, np.ndarray]:
    """The rows of train, validation and test after a shuffle that is always the same.

    With `test` 1.0 all rows are test, in their order: what is evaluated only.

    Raises:
        UserError: if no row is left for test.
    """
    if is_all(test):
        return {"test": np.arange(total)}
    order = np.random.default_rng(0).permutation(total)
    first = count(test, total)
    if not first:
        raise UserError(f"test={test} of {total} examples is none: one is needed at least")
    rest = held_rows(total - first, validation)
    return {name: order[first:][rows] for name, rows in rest.items()} | {"test": order[:first]}


def take(array: Any, rows: Rows) -> dict[str, Any]:
    """The rows of an array, or of any sequence that can be sliced, by split."""
    if isinstance(array, Lazy):
        return {name: array.at(places) for name, places in rows.items()}
    return {
        name: array[places.start : places.stop] if isinstance(places, range) else array[places]
        for name, places in rows.items()
    }


def by_split(
    examples: Mapping[str, tuple[str, Any]],
    labels: Mapping[str, np.ndarray],
    rows: Mapping[str, Rows],
    covariates: Mapping[str, Mapping[str, np.ndarray]] | None = None,
    ids: Mapping[str, np.ndarray] | None = None,
) -> dict[str, Any]:
    """The arguments splits, labels, origins and covariates of `make_dataset`.

    Args:
        examples: key -> the name of an array, and its examples.
        labels: key -> those of its examples, where there are some.
        rows: key -> split -> the rows of that array.
        covariates: name -> key -> those of its examples.
        ids: key -> what its examples are called, where they have names.
    """
    splits: dict[str, Any] = {}
    kept: dict[str, Any] = {}
    origins: dict[str, Origin] = {}
    beside: dict[str, dict[str, Any]] = {name: {} for name in covariates or {}}
    for key, places in rows.items():
        name, array = examples[key]
        splits |= take(array, places)
        kept |= take(labels[key], places) if key in labels else {}
        for covariate, of_key in (covariates or {}).items():
            beside[covariate] |= take(of_key[key], places)
        known = take(ids[key], places) if ids else {}
        origins |= {split: Origin(name, some, known.get(split)) for split, some in places.items()}
    return {"splits": splits, "labels": kept, "origins": origins, "covariates": beside}


def hold_out(train: Any, validation: int | float) -> dict[str, Any]:
    """The splits train and validation: the last examples of the training set, none if 0."""
    return take(train, held_rows(len(train), validation))


def shuffled_splits(
    data: np.ndarray, validation: int | float, test: int | float, labels: np.ndarray | None = None
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Splits of one array after a shuffle that is always the same, and the labels of each."""
    rows = shuffled_rows(len(data), validation, test)
    return take(data, rows), {} if labels is None else take(labels, rows)
