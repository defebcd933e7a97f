"""The best log p(x) among the values of an evaluation."""

from collections.abc import Mapping

import numpy as np

from vae_jax.estimators.quadrature import is_sure
from vae_jax.types import Values

NO_BOUND = ("log_p_exact", "log_p_quadrature")  # the first goes before all others
FROM_BELOW = ("log_p_ais", "log_p")  # in expectation
BEST = (*NO_BOUND, *FROM_BELOW)


def best_of(means: Mapping[str, float]) -> str:
    """The name of the best log p(x) of these means; empty: there is none.

    Of two bounds from below it is the one whose mean over all examples is higher.
    """
    held = [name for name in NO_BOUND if name in means]
    below = [name for name in FROM_BELOW if name in means]
    return held[0] if held else max(below, key=lambda name: means[name], default="")


def best_log_p(values: Values) -> str:
    """The name of the best log p(x) there is, quadrature if it is sure; empty: there is none."""
    unsure = "log_p_quadrature" in values and not is_sure(values)
    held = [n for n in BEST if n in values and not (unsure and n == "log_p_quadrature")]
    return best_of({name: float(values[name].mean()) for name in held})


def error_of_mean(errors: np.ndarray) -> float | None:
    """The Monte Carlo error of a mean over examples `[n]`, whose draws are independent.

    None where that of an example is not known, as by a single draw.
    """
    error = float(np.sqrt((errors**2).sum()) / len(errors))
    return error if np.isfinite(error) else None
