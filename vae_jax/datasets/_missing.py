"""Values that were not observed: NaN, or what a mask beside an array hides."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from vae_jax.datasets._doubts import columns
from vae_jax.datasets._lazy import Lazy, chunks, pieces
from vae_jax.errors import UserError, counted

WHICH = "call it 'observed' if True is a value that was, 'missing' if True is one that was not"


class Holes(NamedTuple):
    """The values of a split that were not observed."""

    by_element: np.ndarray  # [*x_shape], their number
    values: int  # in the split, observed or not
    examples: int
    empty: int  # examples in which nothing was observed

    @property
    def number(self) -> int:
        """The number of values that were not observed."""
        return int(self.by_element.sum())


def holes(split: np.ndarray | Lazy) -> Holes:
    """The values of a split that are NaN; only floats are looked at."""
    by_element, empty = np.zeros(split.shape[1:], int), 0
    if split.dtype.kind not in "biu":
        for part in chunks(split):
            is_missing = np.isnan(part)
            by_element = by_element + is_missing.sum(0)
            empty += int(is_missing.reshape(len(part), -1).all(1).sum())
    return Holes(by_element, len(split) * by_element.size, len(split), empty)


def remarks_on(splits: Mapping[str, Any], names: Sequence[str]) -> list[str]:
    """Lines about the missing values of all splits; none where nothing is missing.

    Args:
        splits: those that are no arrays, nor `Lazy`, are not looked at.
        names: of the columns of examples, where they have some.
    """
    arrays = {name: s for name, s in splits.items() if isinstance(s, np.ndarray | Lazy)}
    by_split = {name: holes(split) for name, split in arrays.items()}
    is_missing = any(h.number for h in by_split.values())
    return list(_remarks(by_split, names)) if is_missing else []


def _remarks(by_split: Mapping[str, Holes], names: Sequence[str]) -> Iterator[str]:
    total = sum(h.number for h in by_split.values())
    somewhere = np.sum([h.by_element for h in by_split.values()], axis=0) > 0
    where = f" ({columns(somewhere, names)})" if somewhere.ndim == 1 else ""
    values = sum(h.values for h in by_split.values())
    yield f"{total:,} of {values:,} values are missing{where}: taken as not observed"
    yield from _never_observed(by_split, names)
    yield from _empty(by_split)


def _never_observed(by_split: Mapping[str, Holes], names: Sequence[str]) -> Iterator[str]:
    """Warns of elements of x that no training example has: nothing can be learned of them."""
    if train := by_split.get("train"):
        never = train.by_element == train.examples
        if never.any():
            number = counted(int(never.sum()), "element")
            what = columns(never, names) if never.ndim == 1 else number
            yield f"{what}: observed in no training example, so nothing is learned of it"


def _empty(by_split: Mapping[str, Holes]) -> Iterator[str]:
    """Warns of examples in which nothing is observed: their log p(x) is 0."""
    empty = {name: h.empty for name, h in by_split.items() if h.empty}
    if empty:
        where = ", ".join(f"{name} {number:,}" for name, number in empty.items())
        verb = "has" if sum(empty.values()) == 1 else "have"
        yield f"{counted(sum(empty.values()), 'example')} {verb} no observed value ({where})"


def hide(values: np.ndarray, observed: np.ndarray) -> np.ndarray:
    """The values as floats that hold them exactly, NaN where they were not observed.

    Args:
        values: `[n, *x_shape]`.
        observed: of the same shape, or without the axis of channels.
    """
    seen = observed[..., None] if observed.ndim < values.ndim else observed
    kind: Any = {1: np.float16, 2: np.float32}.get(values.dtype.itemsize, np.float64)
    kind = kind if values.dtype.kind in "biu" else values.dtype
    return np.where(seen, values.astype(kind), np.asarray(np.nan, kind))


def observed(name: str, mask: np.ndarray, values: np.ndarray, word: str) -> np.ndarray:
    """A mask of values as True where they were observed.

    Args:
        name: of the mask, for messages.
        mask: of the values' shape, or without the axis of channels: True and False, or 1 and 0.
        values: `[n, *x_shape]`.
        word: that says what True stands for: observed, missing, or mask, as papers have it: 1 is
            what was observed.

    Raises:
        UserError: for a mask of another shape or of other values, and for a `mask` that would hide
            most values, or none of those that are NaN.
    """
    if mask.shape not in (values.shape, values.shape[:-1] if values.ndim > 2 else ()):
        shapes = f"{mask.shape}, and the examples {values.shape}"
        raise UserError(f"{name} has shape {shapes}: one True or False a value is needed")
    if mask.dtype != bool:
        if mask.dtype.kind not in "iuf" or not all(_are_bits(part) for part in chunks(mask)):
            raise UserError(f"{name} holds other values than True and False, or 1 and 0: {WHICH}")
        mask = mask.astype(bool)
    if word == "mask":
        _require_clear(name, mask, values)
    return ~mask if word == "missing" else mask


def _are_bits(part: np.ndarray) -> bool:
    return bool(((part == 0) | (part == 1)).all())


def _require_clear(name: str, mask: np.ndarray, values: np.ndarray) -> None:
    """Refuses an array `mask` that may be True where values are missing, as NumPy's masks are."""
    share = float(mask.mean())
    if share <= 0.5:
        raise UserError(f"{name} is True for {share:.0%} of the values: {WHICH}")
    if values.dtype.kind not in "biu" and mask.shape == values.shape:
        each = pieces(len(values), values[:1].nbytes)
        if any(bool((np.isnan(values[some]) & mask[some]).any()) for some in each):
            raise UserError(f"{name} is True where values are NaN: {WHICH}")
