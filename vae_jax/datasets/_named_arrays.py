"""The arrays of a file by what their names say: examples, labels, masks, what is beside them."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from vae_jax.datasets._missing import observed
from vae_jax.errors import UserError

WORDS = {
    "train": ("train", "training", "trn", "tr"),
    "validation": ("validation", "valid", "val", "va", "dev"),
    "test": ("test", "testing", "tst", "te"),
}
SPLITS = {word: split for split, words in WORDS.items() for word in words}
OF_EXAMPLES = {"x", "data", "images", "image", "imgs", "img", "features", "inputs", "samples"}
OF_LABELS = {"y", "label", "labels", "target", "targets", "class", "classes"}
OF_MASKS = {"observed", "missing", "mask"}
ALL = "all"  # in place of a split: one array that is to be split
READ = (
    "'train' and 'test', or one array, is read, with labels 'train_labels' or 'labels', "
    "and beside them numbers or text of each example, 'train_age' or 'age'"
)

Named = dict[str, tuple[str, Any]]  # split -> the name in the file, and the array


class NamedArrays(NamedTuple):
    """The arrays of a file, by split or under `ALL`."""

    examples: Named
    labels: dict[str, Any]  # [n] each
    observed: dict[str, Any]  # masks of examples, True where a value was observed
    covariates: dict[str, dict[str, Any]]  # name -> split -> [n] or [n, d]
    remarks: list[str]  # on what is not read


class Groups(NamedTuple):
    """The arrays of a file by what they are."""

    examples: Named
    labels: Named
    masks: Named
    others: Named  # by their names

    def renamed(self, split: str, other: str) -> "Groups":
        """The same with what is of one split as of another, which has nothing yet."""
        examples, labels, masks = (
            {other if n == split and other not in group else n: p for n, p in group.items()}
            for group in self[:3]
        )
        return self._replace(examples=examples, labels=labels, masks=masks)

    def holds(self) -> str:
        """The names of all."""
        return ", ".join(repr(name) for group in self for name, _ in group.values()) or "nothing"


def sorted_out(file: str, arrays: Mapping[str, Any]) -> NamedArrays:
    """The arrays of a file as examples, labels, masks of examples, and covariates.

    Args:
        file: its name, for messages.
        arrays: as the file names them.

    Raises:
        UserError: for arrays that are neither splits nor one array, two that are the same split,
            labels of another length than their examples, and masks that do not say which values
            were observed.
    """
    groups = Groups({}, {}, {}, {})
    for name, array in arrays.items():
        split, group = _meaning(name, groups)
        if split in group and (group is groups.examples or group is groups.masks):
            held = f"{file} holds {group[split][0]!r} and {name!r}"
            what = "examples" if group is groups.examples else "masks"
            raise UserError(f"{held}, which are both read as {split} {what}: keep one")
        group[name if split in group else split] = name, array
    remarks: list[str] = []
    groups = _as_one_array(file, groups)
    labels = dict(_labels(file, groups, remarks))
    covariates = _covariates(file, groups, remarks)
    if labels.keys() == groups.examples.keys():  # by their name in the file, too
        covariates |= {_without_split(next(iter(groups.labels.values()))[0]): labels}
    masks = dict(_masks(file, groups, remarks))
    return NamedArrays(groups.examples, labels, masks, covariates, remarks)


def _meaning(name: str, groups: Groups) -> tuple[str, Named]:
    """The split that a name such as `y_train` stands for, and the group that it belongs to."""
    words = _words(name)
    splits, rest = [SPLITS[w] for w in words if w in SPLITS], {w for w in words if w not in SPLITS}
    known = OF_EXAMPLES | (OF_MASKS if rest & OF_MASKS else OF_LABELS)
    if len(splits) > 1 or not rest <= known or not words or len(rest & OF_MASKS) > 1:
        return name, groups.others
    is_beside = groups.labels if rest & OF_LABELS else groups.examples
    return (splits or [ALL])[0], groups.masks if rest & OF_MASKS else is_beside


def _words(name: str) -> list[str]:
    """The words of a name, in small letters: x and train of `xtrain`."""
    return [part for word in re.findall("[A-Z]*[a-z]*", name) for part in _parts(word.lower())]


def _parts(word: str) -> list[str]:
    """`xtrain` as x and train; of other words the word, none of an empty one."""
    is_joined = word[:1] in ("x", "y") and word[1:] in SPLITS
    return [word[0], word[1:]] if is_joined else [word] * bool(word)


def _without_split(name: str) -> str:
    """`age` of `age_train` or `train_age`, `y` of `ytrain`; a name without a split as it is."""
    word = f"(?i:{'|'.join(sorted(SPLITS, key=len, reverse=True))})"
    places = rf"^{word}(?=[^a-z]|$)[_\W]*|[_\W]+{word}$|(?<=^[xyXY]){word}$"
    return re.sub(places, "", name, count=1) or name


def _as_one_array(file: str, groups: Groups) -> Groups:
    """The same groups: without a split's name, or with train's alone, one array is to be split.

    Raises:
        UserError: if it is not clear which array that is, or there is train without test.
    """
    examples, others = groups.examples, groups.others
    if "test" in examples or examples.keys() == {"validation"}:
        more = {name: pair for name, pair in examples.items() if name == ALL}
        examples = {n: p for n, p in examples.items() if n != ALL}
        groups = groups._replace(examples=examples, others=others | more)
        return groups.renamed(ALL, "test") if examples.keys() == {"test"} else groups
    if examples.keys() == {"train"}:
        return groups.renamed("train", ALL)
    if examples.keys() == {ALL}:
        return groups
    if not examples and len(others) == 1:
        return groups._replace(examples={ALL: next(iter(others.values()))}, others={})
    raise UserError(f"{file} holds {groups.holds()}: {READ}")


def _labels(file: str, groups: Groups, remarks: list[str]) -> Iterator[tuple[str, Any]]:
    """Labels `[n]` of the splits that there are; a remark for others.

    Raises:
        UserError: for labels of another length than their examples.
    """
    for split, (name, array) in groups.labels.items():
        if split not in groups.examples:
            known = ", ".join(repr(f"{split}_labels") for split in groups.examples if split != ALL)
            remarks.append(f"{file}: {name!r} is not read: labels are {known or repr('labels')}")
        elif array.dtype.hasobject:
            advice = f"{name}.astype(str) makes text of them"
            remarks.append(f"{file}: {name!r} is not read: it holds Python objects; {advice}")
        elif array.shape[:1] != groups.examples[split][1].shape[:1]:
            other, known_array = groups.examples[split]
            shapes = f"{array.shape}, and the examples {other!r} have {known_array.shape}"
            raise UserError(f"{file}: the labels {name!r} have shape {shapes}: one label a row")
        elif (flat := _flat(np.asarray(array))).ndim == 1:
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


def _covariates(file: str, groups: Groups, remarks: list[str]) -> dict[str, dict[str, Any]]:
    """The other arrays with one row an example, of every split; a remark for those that are not."""
    by_name: dict[str, dict[str, tuple[str, Any]]] = {}
    for name, array in groups.others.values():
        splits = [SPLITS[word] for word in _words(name) if word in SPLITS]
        split = splits[0] if splits else _of_no_split(groups)
        split = ALL if groups.examples.keys() == {ALL} and split == "train" else split
        by_name.setdefault(_without_split(name), {})[split] = name, array
    sizes = {split: array.shape[:1] for split, (_, array) in groups.examples.items()}
    kept: dict[str, dict[str, Any]] = {}
    for covariate, of_split in by_name.items():
        shapes = {split: array.shape[:1] for split, (_, array) in of_split.items()}
        if shapes == sizes and all(_is_column(array) for _, array in of_split.values()):
            kept[covariate] = {split: np.asarray(array) for split, (_, array) in of_split.items()}
        else:
            remarks += [f"{file}: {name!r} is not read: {READ}" for name, _ in of_split.values()]
    return kept


def _of_no_split(groups: Groups) -> str:
    """The split of an array whose name has none: test, where there is nothing else."""
    return "test" if groups.examples.keys() == {"test"} else ALL


def _is_column(array: Any) -> bool:
    """Whether an array holds a number or a text, or some numbers, of each example."""
    kinds = {1: "biufU", 2: "biuf"}
    return array.dtype.kind in kinds.get(array.ndim, "")


def _masks(file: str, groups: Groups, remarks: list[str]) -> Iterator[tuple[str, Any]]:
    """The masks of the examples that there are, True where a value was observed."""
    for split, (name, mask) in groups.masks.items():
        if split in groups.examples:
            [word] = OF_MASKS & {*_words(name)}
            yield split, observed(f"{file}: {name!r}", mask, groups.examples[split][1], word)
        else:
            remarks.append(f"{file}: {name!r} is not read: there are no {split} examples")
