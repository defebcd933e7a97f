"""Summaries of many repetitions of an estimate, and how its spread falls with its cost."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy import stats

from vae_jax.kl_comparison.pairs.reference import Reference
from vae_jax.standard_errors import standard_error

NORMAL_95 = 1.96


class Cell(NamedTuple):
    """An estimator with K evaluations, over R repetitions; nats and seconds, NaN for unknown."""

    num_samples: int  # K
    repetitions: int  # R, of which the values are finite
    num_infinite: int  # further ones, left out of the rest
    seconds: float  # for one estimate, many at a time, after compilation
    mean: float = np.nan
    bias: float = np.nan  # mean - truth
    bias_error: float = np.nan  # of the mean over R, of the truth and of single precision, together
    z: float = np.nan  # bias / bias_error
    p_value: float = np.nan  # of no bias, see `p_value`
    standard_deviation: float = np.nan  # of one estimate
    deviation_error: float = np.nan  # standard error of its logarithm
    heaviest: float = np.nan  # share of the farthest repetition in the variance
    reported_error: float = np.nan  # root mean square of the standard errors that it reports
    coverage: float = np.nan  # share of value ± 1.96 standard errors that hold the truth
    efficiency: float = np.nan  # 1 / (variance x seconds), relative to that of plain draws


def cell(
    num_samples: int,
    values: np.ndarray,
    errors: np.ndarray,
    seconds: float,
    truth: Reference,
    rounding: float = 0.0,
) -> Cell:
    """Summary of estimates and of the errors they report, nats, `[R]` each.

    `rounding` is the error of an estimate in single precision, and part of the bias's error.
    """
    finite = np.isfinite(values)
    values, errors = values[finite], errors[finite]
    summary = Cell(num_samples, len(values), int((~finite).sum()), seconds)
    if len(values) < 2:
        return summary
    return summary._replace(
        mean=float(values.mean()),
        **_bias(values, truth, rounding),
        **_spread(values),
        **_coverage(values, errors, truth, rounding),
    )


def _bias(values: np.ndarray, truth: Reference, rounding: float) -> dict[str, Any]:
    bias = float(values.mean()) - truth.value
    sampling = standard_error(values)
    error = float(np.sqrt(sampling**2 + truth.error**2 + rounding**2))
    z = bias / error if error else float(np.copysign(np.inf, bias)) if bias else 0.0
    p = p_value(z, float(stats.skew(values)) if sampling else 0.0, len(values))
    return {"bias": bias, "bias_error": error, "z": z, "p_value": p}


def p_value(z: float, skewness: float, count: int) -> float:
    """The two-sided p-value of a mean that is z standard errors off, where values are skewed.

    Student's t of z' = z + a z^2 + a^2 z^3 / 3 + g / (6 sqrt R), a = g / (3 sqrt R), g the skewness
    (Hall 1992, JRSS B). Of z itself, false alarms of exponential values are five times as many as
    they should be for R = 60.
    """
    a = skewness / (3 * math.sqrt(count))
    return float(2 * stats.t.sf(abs(z + a * z**2 + a**2 * z**3 / 3 + a / 2), count - 1))


def _spread(values: np.ndarray) -> dict[str, Any]:
    """std s, the error sqrt((kurtosis - 1) / 4R) of log s (delta method), the largest share."""
    squares = (values - values.mean()) ** 2
    if not squares.sum():
        return {"standard_deviation": 0.0, "deviation_error": 0.0, "heaviest": 0.0}
    kurtosis = float((squares**2).mean() / squares.mean() ** 2)
    return {
        "standard_deviation": float(values.std(ddof=1)),
        "deviation_error": float(np.sqrt((kurtosis - 1) / (4 * len(values)))),
        "heaviest": float(squares.max() / squares.sum()),
    }


def _coverage(
    values: np.ndarray, errors: np.ndarray, truth: Reference, rounding: float
) -> dict[str, Any]:
    reported = np.isfinite(errors)  # an estimate from one evaluation has no error
    if not reported.any():
        return {}
    values, errors = values[reported], errors[reported]
    reach = NORMAL_95 * np.sqrt(errors**2 + truth.error**2 + rounding**2)
    holds = np.abs(values - truth.value) <= reach
    return {
        "reported_error": float(np.sqrt((errors**2).mean())),
        "coverage": float(holds.mean()),
    }


def relative_to(cells: Sequence[Cell], baseline: Sequence[Cell]) -> tuple[Cell, ...]:
    """The cells with 1 / (variance x seconds) over that of the baseline with the same K."""
    cost = {c.num_samples: c.standard_deviation**2 * c.seconds for c in baseline}
    return tuple(
        c._replace(efficiency=cost[c.num_samples] / (c.standard_deviation**2 * c.seconds))
        if c.num_samples in cost and c.standard_deviation > 0
        else c
        for c in cells
    )


def slope(cells: Sequence[Cell], floor: float = 0.0) -> tuple[float, float]:
    """The slope of log standard deviation against log K, by weighted least squares, and its error.

    It uses the larger half of the Ks, three at least: rates are those of many draws, and with few
    some estimators are the same as `plain`. Where the points scatter about the line by more than
    their errors, the slope's error is larger by as much. A deviation up to `floor` is rounding and
    not used. NaN for fewer than three points.
    """
    larger = cells[-max(3, (len(cells) + 1) // 2) :]
    used = [c for c in larger if c.standard_deviation > floor and c.deviation_error > 0]
    if len(used) < 3:
        return np.nan, np.nan
    error = np.array([c.deviation_error for c in used])
    y = np.log([c.standard_deviation for c in used]) / error
    design = np.stack([np.ones(len(used)), np.log([c.num_samples for c in used])], 1)
    design /= error[:, None]
    inverse = np.linalg.inv(design.T @ design)
    line = inverse @ design.T @ y
    scatter = float(((y - design @ line) ** 2).sum()) / (len(used) - 2)
    return float(line[1]), float(np.sqrt(inverse[1, 1] * max(1.0, scatter)))
