"""The errors of a number that runs of several seeds gave on the same test examples.

Seeds and test examples are both random, and each has its own error. The error over seeds says how
far other trainings would differ on these examples; the error over examples, how far these models
would differ on other examples.
"""

from typing import NamedTuple

import numpy as np
from scipy.special import stdtr, stdtrit  # scipy.stats takes half a second to import

from vae_jax.standard_errors import known_error, standard_error

ROUNDING = 1e-12  # relative


class SeedsEstimate(NamedTuple):
    """A mean over seeds and examples with its two standard errors, in the unit of the values."""

    mean: float
    seeds_error: float | None  # None for a single seed
    examples_error: float | None  # None for a single example
    num_seeds: int


class Difference(NamedTuple):
    """A paired difference of two settings, with intervals for other seeds and other examples.

    The intervals and the p-value are corrected for the number of differences that are looked at
    (Bonferroni): all intervals over seeds together hold with at least the asked confidence, and so
    do all over examples. No interval covers both sources of error at once.
    """

    estimate: SeedsEstimate
    seeds_interval: tuple[float, float] | None
    examples_interval: tuple[float, float] | None
    p_value: float | None  # of no difference over seeds


def estimate(values: np.ndarray) -> SeedsEstimate:
    """Mean and errors of `values` `[seeds, examples]`.

    The error over seeds is std(mean over examples) / sqrt(seeds), that over examples
    std(mean over seeds) / sqrt(examples).
    """
    errors = known_error(values.mean(1)), known_error(values.mean(0))
    return SeedsEstimate(float(values.mean()), *errors, len(values))


def difference(
    values: np.ndarray, baseline: np.ndarray, confidence: float = 0.95, comparisons: int = 1
) -> Difference:
    """`values` minus `baseline`, both `[seeds, examples]`, paired by seed and by example.

    The intervals are Student's, over the seeds' mean differences and over the examples'
    (as `scipy.stats.ttest_1samp` has them), at level 1 - (1 - confidence) / comparisons.
    """
    differences = values - baseline
    level = 1 - (1 - confidence) / comparisons
    over_seeds, p_value = _student(differences.mean(1), level)
    over_examples, _ = _student(differences.mean(0), level)
    corrected = None if p_value is None or np.isnan(p_value) else min(1.0, comparisons * p_value)
    return Difference(estimate(differences), over_seeds, over_examples, corrected)


def _student(means: np.ndarray, level: float) -> tuple[tuple[float, float] | None, float | None]:
    """Student's interval and p-value for the mean; exact where the means are normal."""
    if len(means) < 2:
        return None, None
    if np.ptp(means) <= ROUNDING * np.abs(means).max():  # equal up to rounding: no uncertainty
        return (float(means[0]), float(means[0])), float(means[0] == 0)
    freedom, mean, error = len(means) - 1, means.mean(), standard_error(means)
    reach = stdtrit(freedom, (1 + level) / 2) * error
    p_value = 2 * stdtr(freedom, -abs(mean) / error)
    return (float(mean - reach), float(mean + reach)), float(p_value)
