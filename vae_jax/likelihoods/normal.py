from collections.abc import Callable
from typing import Literal

import jax.numpy as jnp
from numpyro.distributions import Distribution, Normal

from vae_jax.errors import UserError
from vae_jax.types import Array, Likelihood, Params, Shape, Spec, no_params


def normal(
    spec: Spec,
    *,
    scale: float | Literal["learned", "learned_per_element"] = "learned",
    min_scale: float = 1e-3,
) -> Likelihood:
    """p(x | z) = prod_d N(x_d; loc_d(z), s^2), a density, s in the units of x.

    `scale` is a number, or `"learned"`: one scalar for all elements (sigma-VAE, Rybkin et al.
    2021), or `"learned_per_element"`. A learned s is min_scale + exp(log_scale): without a floor
    an element that never changes, as a corner pixel, makes the likelihood unbounded.

    Raises:
        UserError: if a scale is not positive.
    """
    if isinstance(scale, str):
        shapes: dict[str, Shape] = {"learned": (), "learned_per_element": spec.x_shape}
        init, scale_of = _learned(shapes[scale], min_scale)
    else:
        init, scale_of = _fixed(scale)

    def distribution(params: Params, features: Array) -> Distribution:
        return Normal(features[..., 0], scale_of(params)).to_event(len(spec.x_shape))

    return Likelihood(1, init, distribution)


def _fixed(scale: float) -> tuple[Callable, Callable]:
    if scale <= 0:
        raise UserError(f"scale={scale}: a standard deviation is positive")
    return no_params, lambda params: scale


def _learned(shape: Shape, min_scale: float) -> tuple[Callable, Callable]:
    if min_scale < 0:
        raise UserError(f"min_scale={min_scale}: a standard deviation is not negative")

    def init(key: Array, batch: Array) -> Params:
        """Starts from the spread of the data."""
        del key
        return {"log_scale": jnp.full(shape, jnp.log(jnp.std(batch) + 1e-3))}

    return init, lambda params: min_scale + jnp.exp(params["likelihood"]["log_scale"])
