"""The scale of a location-scale density, for all of them: a number, learned, or predicted."""

from collections.abc import Callable
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float
from numpyro.distributions import Distribution

from vae_jax.distributions.flat import Flat
from vae_jax.errors import UserError
from vae_jax.types import UNTRAINED, Array, Batch, Likelihood, Params, Shape, Spec, no_params

Scale = float | Literal["learned", "learned_per_element", "predicted"]
Refit = Callable[[Params, Array, Batch], Params]
KEPT = 0.9  # of the running average of squared errors, at every update


class Scales(NamedTuple):
    """A scale: the features it needs, its parameters, its value, its refit."""

    num_features: int
    init: Callable[[Array, Batch], Params]
    scale: Callable[[Params, Array], Array | float]  # (params, features) -> broadcast over x
    refit: Refit | None = None


def location_scale(
    spec: Spec,
    density: Callable[[Array, Array | float], Distribution],
    scale: float | str,
    min_scale: float,
    unit_spread: float = 1.0,
) -> Likelihood:
    """p(x | z) = prod_d density(x_d; loc_d(z), scale), the first feature being the location.

    The scale is a number s; or `"learned"`, min_scale + exp(log_scale), one for all elements; or
    `"learned_per_element"`; or `"predicted"`, min_scale + exp(log_scale) softplus(a_d(z)) / log 2
    with a second feature a_d and one learned log_scale; or `"optimal"`, max(min_scale, the root
    of a running average of the training batches' mean squared error). exp(log_scale) starts at
    the standard deviation of a batch over `unit_spread`, that of the density with scale 1.

    Raises:
        UserError: if a predicted or an optimal scale has no positive floor.
    """
    if isinstance(scale, str):
        scales = _learned(spec.x_shape, scale, min_scale, unit_spread)
    else:
        scales = Scales(1, no_params, lambda params, features: scale)

    def distribution(
        params: Params, features: Float[Array, "*batch_and_x features"]
    ) -> Distribution:
        base = density(features[..., 0], scales.scale(params, features))
        return Flat(base, len(spec.x_shape))

    return Likelihood(scales.num_features, scales.init, distribution, refit=scales.refit)


def _learned(shape: Shape, scale: str, min_scale: float, unit_spread: float) -> Scales:
    if np.float32(min_scale) == 0 and scale in ("predicted", "optimal"):
        raise UserError(f"min_scale={min_scale}: a positive floor is needed under a {scale} scale")
    match scale:
        case "predicted":
            return Scales(2, _start((), unit_spread), _predicted(min_scale))
        case "optimal":
            return Scales(1, _first_error, _optimal(min_scale), _refit)
        case _:
            of_scale = shape if scale == "learned_per_element" else ()
            return Scales(1, _start(of_scale, unit_spread), lambda p, _: min_scale + _exp(p))


def _start(shape: Shape, unit_spread: float) -> Callable[[Array, Batch], Params]:
    def init(key: Array, batch: Batch) -> Params:
        """Starts from the spread of the data."""
        del key
        spread = jnp.std(batch.x, where=batch.observed)
        return {"log_scale": jnp.full(shape, jnp.log((spread + 1e-3) / unit_spread))}

    return init


def _exp(params: Params) -> Array:
    return jnp.exp(params["likelihood"]["log_scale"])


def _predicted(min_scale: float) -> Callable[[Params, Array], Array]:
    def scale(params: Params, features: Float[Array, "*batch_and_x features"]) -> Array:
        return min_scale + _exp(params) * jax.nn.softplus(features[..., 1]) / np.log(2)

    return scale


def _first_error(key: Array, batch: Batch) -> Params:
    del key
    return {UNTRAINED: {"squared_error": jnp.var(batch.x, where=batch.observed)}}


def _optimal(min_scale: float) -> Callable[[Params, Array], Array]:
    def scale(params: Params, features: Float[Array, "*batch_and_x features"]) -> Array:
        del features
        error = jax.lax.stop_gradient(params["likelihood"][UNTRAINED]["squared_error"])
        return jnp.maximum(jnp.sqrt(error), min_scale)

    return scale


def _refit(params: Params, features: Float[Array, "*batch_and_x features"], batch: Batch) -> Params:
    """The running average of the mean squared error where x was observed, a batch on.

    A batch of which nothing was observed has no such error, and leaves the average as it is.
    """
    before = params["likelihood"][UNTRAINED]["squared_error"]
    error = jnp.mean((batch.x - features[..., 0]) ** 2, where=batch.observed)
    if batch.observed is not None:
        error = jnp.where(batch.observed.any(), error, before)
    after = KEPT * before + (1 - KEPT) * error
    return {UNTRAINED: {"squared_error": after.astype(jnp.result_type(before))}}
