"""Doubts about data: columns that single precision or a network makes nothing of, and axes."""

from collections.abc import Iterator

import numpy as np

LOOKED_AT = 10_000  # rows
MERGED = 0.9  # share of the different values below which too many have become one
APART = 100  # times the size of another column; times its spread from 0
SHOWN = 5
STANDARDIZE = "standardize=True takes each column less its mean, over its standard deviation"


CHANNELS = (1, 3, 4)


def channels_first(brought: np.ndarray) -> Iterator[str]:
    """A line about images `[n, channels, height, width]`."""
    shape = brought.shape[1:]
    if len(shape) == 3 and shape[0] in CHANNELS and min(shape[1:]) > max(CHANNELS):
        advice = "images are [n, height, width, channels], as np.moveaxis(a, 1, -1) makes them"
        yield f"shape {brought.shape} looks like channels first: {advice}"


def doubts(brought: np.ndarray, stored: np.ndarray) -> Iterator[str]:
    """Lines about the columns `[n, d]` of real numbers or wide integers; none of other data.

    Args:
        brought: the training split as it was brought.
        stored: the same as it is stored.
    """
    if brought.ndim != 2 or len(brought) < 2 or brought.dtype.kind not in "fiu":
        return
    if brought.dtype.itemsize < 4 and brought.dtype.kind != "f":
        return
    values, kept = brought[:LOOKED_AT], stored[:LOOKED_AT].astype(np.float32)
    distinct = np.array([len(np.unique(column)) for column in values.T])
    left = np.array([len(np.unique(column)) for column in kept.T])
    if (merged := left < MERGED * distinct).any():
        yield f"float32 makes one of different values of {_columns(merged)}: {STANDARDIZE}"
    if (constant := distinct == 1).any():
        yield f"{_columns(constant)}: a single value in the whole training split"
    yield from _sizes(kept.astype(np.float64))


def _sizes(x: np.ndarray) -> Iterator[str]:
    """A line where columns differ so much in size that a network sees the largest alone."""
    spread, size = x.std(0), np.sqrt(np.square(x).mean(0))
    varied = spread > 0
    if not varied.any():
        return
    far = varied & (size > APART * spread)
    if far.any():
        yield f"{_columns(far)}: a spread of less than a hundredth of the size; {STANDARDIZE}"
    low, high = spread[varied].min(), spread[varied].max()
    if high > APART * low:
        places = np.flatnonzero(varied)
        least, most = places[spread[varied].argmin()], places[spread[varied].argmax()]
        ends = f"from {low:.3g} (column {least}) to {high:.3g} (column {most})"
        yield f"columns have standard deviations {ends}: {STANDARDIZE}"


def _columns(chosen: np.ndarray) -> str:
    """`column 3`, `columns 0, 7`, `columns 0, 1, 2, 3, 4 and 20 more`, counted from 0."""
    places = np.flatnonzero(chosen)
    more = f" and {len(places) - SHOWN} more" if len(places) > SHOWN else ""
    return f"column{'s' * (len(places) > 1)} {', '.join(map(str, places[:SHOWN]))}{more}"
