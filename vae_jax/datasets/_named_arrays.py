"""The arrays of a file by what their names say: examples of a split, labels of a split."""

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np

from vae_jax.errors import UserError

WORDS = {
    "train": ("train", "training", "trn", "tr"),
    "validation": ("validation", "valid", "val", "va", "dev"),
    "test": ("test", "testing", "tst", "te"),
}
SPLITS = {word: split for split, words in WORDS.items() for word in words}
OF_EXAMPLES = {"x", "data", "images", "image", "imgs", "img", "features", "inputs", "samples"}
OF_LABELS = {"y", "label", "labels", "target", "targets", "class", "classes"}
ALL = "all"  # in place of a split: one array that is to be split
READ = "'train' and 'test', or one array, is read, with labels 'train_labels' or 'labels'"

Named = dict[str, tuple[str, np.ndarray]]  # split -> the name in the file, and the array


class NamedArrays(NamedTuple):
    """The arrays of a file, by split or under `ALL`."""

    examples: Named
    labels: dict[str, np.ndarray]  # [n] each
    remarks: list[str]  # on what is not read


def sorted_out(file: str, arrays: Mapping[str, np.ndarray]) -> NamedArrays:
    """The arrays of a file as examples and labels.

    Args:
        file: its name, for messages.
        arrays: as the file names them.

    Raises:
        UserError: for arrays that are neither splits nor one array, two that are the same split,
            or labels of another length than their examples.
    """
    examples: Named = {}
    labels: Named = {}
    others: Named = {}
    for name, array in arrays.items():
        split, group = _meaning(name, examples, labels, others)
        if split in group and group is examples:
            held = f"{file} holds {group[split][0]!r} and {name!r}"
            raise UserError(f"{held}, which are both read as {split} examples: keep one")
        group[name if split in group else split] = name, array
    examples, labels, others = _as_one_array(file, examples, labels, others)
    unread = [name for name, _ in others.values()]
    remarks = [f"{file}: {name!r} is not read: {READ}" for name in unread]
    return NamedArrays(examples, dict(_checked(file, examples, labels, remarks)), remarks)


def _meaning(name: str, examples: Named, labels: Named, others: Named) -> tuple[str, Named]:
    """The split that a name such as `y_train` stands for, and the group that it belongs to."""
    words = [part for word in re.findall("[A-Z]*[a-z]*", name) for part in _parts(word.lower())]
    splits, rest = [SPLITS[w] for w in words if w in SPLITS], {w for w in words if w not in SPLITS}
    if len(splits) > 1 or not rest <= OF_EXAMPLES | OF_LABELS or not words:
        return name, others
    return (splits or [ALL])[0], labels if rest & OF_LABELS else examples


def _parts(word: str) -> list[str]:
    """`xtrain` as x and train; of other words the word, none of an empty one."""
    is_joined = word[:1] in ("x", "y") and word[1:] in SPLITS
    return [word[0], word[1:]] if is_joined else [word] * bool(word)


def _as_one_array(
    file: str, examples: Named, labels: Named, others: Named
) -> tuple[Named, Named, Named]:
    """The same groups: without a split's name, or with train's alone, one array is to be split.

    Raises:
        UserError: if it is not clear which array that is, or there is train without test.
    """
    if "test" in examples or examples.keys() == {"validation"}:
        more = {name: pair for name, pair in examples.items() if name == ALL}
        return {n: p for n, p in examples.items() if n != ALL}, labels, others | more
    if examples.keys() == {"train"}:
        if "train" in labels:
            labels = {**labels, ALL: labels["train"]}
            labels.pop("train")
        return {ALL: examples["train"]}, labels, others
    if examples.keys() == {ALL}:
        return examples, labels, others
    if not examples and len(others) == 1:
        return {ALL: next(iter(others.values()))}, labels, {}
    held = [name for group in (examples, labels, others) for name, _ in group.values()]
    raise UserError(f"{file} holds {', '.join(map(repr, held)) or 'nothing'}: {READ}")


def _checked(
    file: str, examples: Named, labels: Named, remarks: list[str]
) -> Iterator[tuple[str, np.ndarray]]:
    """Labels `[n]` of the splits that there are; a remark for others.

    Raises:
        UserError: for labels of another length than their examples.
    """
    for split, (name, array) in labels.items():
        if split not in examples:
            advice = ", ".join(repr(f"{known}_labels") for known in examples if known != ALL)
            remarks.append(f"{file}: {name!r} is not read: labels are {advice or repr('labels')}")
        elif array.dtype.hasobject:
            advice = f"{name}.astype(str) makes text of them"
            remarks.append(f"{file}: {name!r} is not read: it holds Python objects; {advice}")
        elif array.shape[:1] != examples[split][1].shape[:1]:
            other, known = examples[split]
            shapes = f"{array.shape}, and the examples {other!r} have {known.shape}"
            raise UserError(f"{file}: the labels {name!r} have shape {shapes}: one label a row")
        elif (flat := _flat(array)).ndim == 1:
            yield split, flat
        else:
            remarks.append(f"{file}: {name!r} is not read: labels are one a row, not {array.shape}")


def _flat(labels: np.ndarray) -> np.ndarray:
    """Labels `[n]` of a column `[n, 1]`, or of classes that are one-hot `[n, classes]`."""
    if labels.ndim != 2 or labels.shape[1] == 0:
        return labels
    if labels.shape[1] == 1:
        return labels[:, 0]
    is_number = labels.dtype.kind in "biuf"
    is_one_hot = is_number and bool(((labels == labels.max()).sum(1) == 1).all())
    is_one_hot = is_one_hot and bool((labels.astype(float).sum(1) == 1).all())
    return labels.argmax(1) if is_one_hot else labels
