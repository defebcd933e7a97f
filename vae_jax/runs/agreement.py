"""Whether several estimates of log p(x) agree, example by example and on average."""

import itertools
from collections.abc import Mapping
from typing import Any

import numpy as np

from vae_jax.estimators._best import NO_BOUND
from vae_jax.standard_errors import known_error
from vae_jax.types import NATS, Values

FAR = 5  # errors of a difference
LITTLE = 0.1  # nats of a mean difference, which are not told whatever its error
ROUNDING = 1e-4  # of log p(x): float32 sums, and what a grid leaves out


def agreement(numbers: Mapping[str, Mapping[str, Any]], values: Values) -> list[str]:
    """A line on each two estimates of log p(x): their difference, and where it is beyond its error.

    Estimates are the labelled numbers of which an array `NAME_error` is kept, that of the draws for
    each example; without draws enough for an error there is no line. Those of draws are bounds from
    below in expectation, so that of two that differ the one with the higher mean is believed.

    Args:
        numbers: of a split, by name, as `results.json` has them.
        values: the arrays of the examples, `[n]`, nats.

    Returns:
        the lines, none where there is one estimate or none.
    """
    labelled = [n for n, of in numbers.items() if of.get("label") and of["unit"] == NATS]
    named = [name for name in labelled if {name, f"{name}_error"} <= values.keys()]
    known = [name for name in named if np.isfinite(values[f"{name}_error"]).all()]
    return [_line(*two, values) for two in itertools.combinations(known, 2)]


def _line(one: str, other: str, values: Values) -> str:
    """How two estimates differ, the one that is higher on average first."""
    high, low = sorted((one, other), key=lambda name: -values[name].mean())
    apart = values[high] - values[low]
    rounding = ROUNDING * np.abs(values[high])
    error = np.sqrt(values[f"{high}_error"] ** 2 + values[f"{low}_error"] ** 2 + rounding**2)
    far = np.abs(apart) > FAR * error
    mean, spread = float(apart.mean()), known_error(apart)
    of_mean = f"{mean:.4f}" if spread is None else f"{mean:.4f} ± {spread:.4f}"
    is_far = spread is not None and mean > max(FAR * spread, LITTLE)
    if not (far.any() or is_far):
        return f"{high} and {low} agree: {of_mean} apart, no example by over {FAR} errors"
    where = f"{far.mean():.1%} of the examples differ by over {FAR} errors"
    if far.any():
        where += f", up to {apart[far][np.argmax(np.abs(apart[far]))]:+.2f}"
    believed = next((name for name in NO_BOUND if name in (high, low)), "the higher")
    return f"{high} and {low} disagree: {of_mean} apart, {where}; {believed} is believed"
