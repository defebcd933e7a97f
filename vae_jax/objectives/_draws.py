"""Log weights whose reductions have the gradient estimator that an objective asks for."""

from typing import Literal

import jax

from vae_jax.errors import UserError
from vae_jax.model import LogWeights, log_weights
from vae_jax.types import Array, Model, Params

Gradient = Literal["standard", "stl", "dreg"]


def draws(
    model: Model, params: Params, key: Array, x: Array, num_samples: int, gradient: Gradient
) -> LogWeights:
    """`log_weights` for an objective sum_k w~_k d log w_k, w~ the weights normalized over draws.

    `stl` has no gradient by log q's parameters, only through z; `dreg` nor, and the gradient
    through z_k times w~_k. Its w~ come from the same draws evaluated before, which the compiler
    recognizes and evaluates once.
    """
    require_positive(num_samples=num_samples)
    scale = None
    if gradient == "dreg" and num_samples > 1:
        held = jax.lax.stop_gradient(params)
        same = log_weights(model, held, key, x, num_samples, only_path=True)
        scale = jax.nn.softmax(same.log_weight, axis=0)
    only_path = gradient != "standard"
    return log_weights(model, params, key, x, num_samples, only_path=only_path, path_scale=scale)


def require_positive(**counts: int) -> None:
    """Raises UserError for a count below 1."""
    for name, count in counts.items():
        if count < 1:
            raise UserError(f"{name}={count}: at least 1 is needed")
