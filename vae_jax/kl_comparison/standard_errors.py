"""The standard error of a mean, as all numbers of a comparison have it."""

from typing import Any

import numpy as np


def standard_error(values: np.ndarray) -> Any:
    """std / sqrt(n), of the mean of `values` `[n, ...]` over n independent ones; NaN for n = 1."""
    if len(values) < 2:
        return np.full(values.shape[1:], np.nan)[()]
    return values.std(0, ddof=1) / np.sqrt(len(values))
