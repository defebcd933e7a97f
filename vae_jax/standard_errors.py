"""The standard error of a mean."""

from typing import Any

import numpy as np


def standard_error(values: np.ndarray) -> Any:
    """std / sqrt(n), of the mean of `values` `[n, ...]` over n independent ones; NaN for n = 1."""
    if len(values) < 2:
        return np.full(values.shape[1:], np.nan)[()]
    return values.std(0, ddof=1) / np.sqrt(len(values))


def known_error(values: np.ndarray) -> float | None:
    """The standard error of a mean of numbers `[n]`; None where a single one has none."""
    return float(standard_error(values)) if len(values) > 1 else None
