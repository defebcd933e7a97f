"""Doubts about data: columns that single precision or a network makes nothing of, and axes."""

from collections.abc import Iterator, Sequence

import numpy as np

from vae_jax.datasets._lazy import Lazy, ends

LOOKED_AT = 5_000_000  # numbers
MERGED = 0.9  # share of the different values, below which too many have become one
APART = 100  # times the size of another column; times its spread from 0
NAMED = 5  # columns
CHANNELS = (1, 3, 4)
ADVICE = "standardize=True takes each column less its mean, over its standard deviation"
UNLESS = "; counts take a likelihood of counts instead"


def doubts(
    brought: np.ndarray | Lazy, stored: np.ndarray | Lazy, names: Sequence[str] = ()
) -> Iterator[str]:
    """Lines about the training split.

    Args:
        brought: as it was brought.
        stored: as it is kept.
        names: of the columns, where they have some.
    """
    yield from _channels_first(brought.shape)
    is_wide = brought.dtype.kind not in "biu" or brought.dtype.itemsize >= 4
    if brought.ndim == 2 and len(brought) > 1 and is_wide:
        with np.errstate(invalid="ignore", over="ignore"):  # what is not finite is refused later
            yield from list(_of_columns(brought, stored, names))


def _channels_first(shape: tuple[int, ...]) -> Iterator[str]:
    """Warns of images `[n, channels, height, width]`, whose channels come first."""
    if len(shape) == 4 and shape[1] in CHANNELS and min(shape[2:]) > max(CHANNELS):
        wanted = "images are [n, height, width, channels], as np.moveaxis(a, 1, -1) makes them"
        yield f"shape {list(shape)} looks like channels first: {wanted}"


def _of_columns(
    brought: np.ndarray | Lazy, stored: np.ndarray | Lazy, names: Sequence[str]
) -> Iterator[str]:
    """Lines about the columns of `[n, d]`; what is missing is left out of account."""
    rows = max(200, LOOKED_AT // brought.shape[1])
    values, kept = _filled(brought[:rows]), _filled(stored[:rows].astype(np.float32))
    least, largest = ends(brought)
    is_constant = least == largest
    merged = _distinct(kept) < MERGED * _distinct(values)
    yield from _merged(merged, names)
    yield from _constant(is_constant, names)
    counts = bool((values >= 0).all() and (values % 1 == 0).all())
    of_interest = ~is_constant & ~merged
    for line in _sizes(kept.astype(np.float64), of_interest, names):
        yield line + (UNLESS if counts else "")


def _filled(values: np.ndarray) -> np.ndarray:
    """The values `[n, d]`, those that are missing as the first of their column that is not."""
    is_missing = np.isnan(values)
    first = values[is_missing.argmin(0), np.arange(values.shape[1])]
    return np.where(is_missing, np.where(np.isnan(first), first.dtype.type(0), first), values)


def _merged(merged: np.ndarray, names: Sequence[str]) -> Iterator[str]:
    """Warns of columns whose values float32 cannot tell apart, as those of 1.6e9 ± 10."""
    if merged.any():
        yield f"float32 cannot tell the values of {columns(merged, names)} apart: {ADVICE}"


def _constant(is_constant: np.ndarray, names: Sequence[str]) -> Iterator[str]:
    """Warns of columns with the same value in every training example."""
    if is_constant.any():
        yield f"{columns(is_constant, names)}: the same value in every training example"


def _distinct(values: np.ndarray) -> np.ndarray:
    """The number of different values in each column."""
    ordered = np.sort(values, axis=0)
    return 1 + (ordered[1:] != ordered[:-1]).sum(0)


def _sizes(x: np.ndarray, of_interest: np.ndarray, names: Sequence[str]) -> Iterator[str]:
    """Warns of columns that vary little for their size, or a hundredth as much as another.

    A column that is seldom not 0 is as large as its range, not as its standard deviation.
    """
    spread, width = x.std(0), np.ptp(x, axis=0)
    of_interest = of_interest & (spread > 0)
    far = of_interest & (np.sqrt(np.square(x).mean(0)) > APART * spread)
    if far.any():
        yield f"{columns(far, names)}: values vary by less than a hundredth of their size; {ADVICE}"
    small = of_interest & (APART * spread < spread.max()) & (APART * width < width.max())
    if small.any():
        largest = columns(np.arange(len(spread)) == spread.argmax(), names)
        much = f"less than a hundredth as much as {largest}"
        yield f"{columns(small, names)}: values vary {much}; {ADVICE}"


def columns(chosen: np.ndarray, names: Sequence[str] = ()) -> str:
    """`column 3`, or `columns 0, 1, 2, 3, 4 and 20 more`, by their names or counted from 0.

    Args:
        chosen: `[d]`, whether each is meant.
        names: of all of them, where they have some.
    """
    places = [names[i] if names else i for i in np.flatnonzero(chosen).tolist()]
    more = f" and {len(places) - NAMED} more" if len(places) > NAMED else ""
    return f"column{'s' * (len(places) > 1)} {', '.join(map(str, places[:NAMED]))}{more}"
