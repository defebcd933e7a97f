"""The arrays of a file by what their names say: examples of a split, labels of a split."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np

from vae_jax.errors import UserError

SPLITS = {
    "train": "train", "training": "train", "test": "test", "testing": "test",
    "validation": "validation", "valid": "validation", "val": "validation", "dev": "validation",
}  # fmt: skip
OF_EXAMPLES = {"x", "data", "images", "image", "features", "inputs"}
OF_LABELS = {"y", "label", "labels", "target", "targets", "class", "classes"}
ALL = "all"  # in place of a split: one array, that is to be split


class NamedArrays(NamedTuple):
    """The arrays of a file, by split, or under `all`."""

    examples: dict[str, tuple[str, np.ndarray]]  # with the name that the file has for them
    labels: dict[str, np.ndarray]
    remarks: list[str]


def _meaning(name: str) -> tuple[str, bool]:
    """The split that a name as `y_train` stands for, or `all`, and whether it is of labels."""
    words = name.lower().split("_")
    splits = [SPLITS[word] for word in words if word in SPLITS]
    others = {word for word in words if word not in SPLITS}
    if len(splits) == 1 and others <= OF_EXAMPLES | OF_LABELS:
        return splits[0], bool(others & OF_LABELS)
    return (ALL, True) if others and others <= OF_LABELS else (ALL, False)


def sorted_out(file: str, arrays: Mapping[str, np.ndarray]) -> NamedArrays:
    """The arrays of a file as examples and labels.

    Args:
        file: its name, for messages.
        arrays: as the file names them.

    Raises:
        UserError: for arrays that are neither splits nor one array, or labels of another length.
    """
    examples: dict[str, tuple[str, np.ndarray]] = {}
    labels: dict[str, tuple[str, np.ndarray]] = {}
    unnamed = []
    for name, array in arrays.items():
        split, of_labels = _meaning(name)
        group = labels if of_labels else examples
        if split in group or (split == ALL and not of_labels):
            unnamed.append(name)
        if split not in group:
            group[split] = name, array
    if "train" in examples or "test" in examples:
        examples.pop(ALL, None)
    elif len(examples) != 1 or ALL not in examples or len(unnamed) > 1:
        held = ", ".join(arrays) or "nothing"
        message = f"{file} holds {held}: 'train' and 'test', or one array, is what is read"
        raise UserError(f"{message}, with labels as 'train_labels' or 'labels'")
    else:
        unnamed = []
    remarks = [f"{file}: {name!r} is not read" for name in unnamed]
    kept = dict(_labels(file, examples, labels, remarks))
    if "train" in examples and "test" not in examples:
        raise UserError(
            f"{file} holds {', '.join(arrays)}: a 'test' array is needed beside 'train'"
        )
    return NamedArrays(examples, kept, remarks)


def _labels(
    file: str,
    examples: Mapping[str, tuple[str, np.ndarray]],
    labels: Mapping[str, tuple[str, np.ndarray]],
    remarks: list[str],
) -> Iterator[tuple[str, np.ndarray]]:
    """Labels `[n]` of the splits that there are; a remark for others.

    Raises:
        UserError: for labels of another length than their examples.
    """
    for split, (name, array) in labels.items():
        flat = array[:, 0] if array.ndim == 2 and array.shape[1] == 1 else array
        if split not in examples:
            remarks.append(f"{file}: {name!r} is not read, since there are no such examples")
        elif flat.shape[:1] != examples[split][1].shape[:1]:
            other, known = examples[split]
            shapes = f"{array.shape}, and the examples {other!r} have {known.shape}"
            raise UserError(f"{file}: the labels {name!r} have shape {shapes}: one label a row")
        elif flat.ndim != 1:
            remarks.append(f"{file}: {name!r} has shape {array.shape}: labels are one a row")
        else:
            yield split, flat
