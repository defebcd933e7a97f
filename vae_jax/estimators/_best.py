"""The best log p(x) among the values of an evaluation."""

import numpy as np

from vae_jax.estimators.quadrature import is_sure
from vae_jax.types import Values

BEST = ("log_p_exact", "log_p_quadrature", "log_p_ais", "log_p")  # the first that was computed
FROM_BELOW = ("log_p_ais", "log_p")  # in expectation


def best_log_p(values: Values) -> str:
    """The name of the best log p(x) there is; empty: there is none."""
    held = [name for name in BEST if name in values]
    unsure = "log_p_quadrature" in held and not is_sure(values)
    return next((name for name in held if not (unsure and name == "log_p_quadrature")), "")


def error_of_mean(errors: np.ndarray) -> float:
    """The Monte Carlo error of a mean over examples `[n]`, whose draws are independent."""
    return float(np.sqrt((errors**2).sum()) / len(errors))
