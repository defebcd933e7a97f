from typing import Annotated, Any

import jax.numpy as jnp
from jaxtyping import Float
from numpyro.distributions import Distribution, Normal, constraints

from vae_jax.distributions.diffusion import scales
from vae_jax.distributions.flat import Flat
from vae_jax.distributions.level_categorical import LevelCategorical
from vae_jax.errors import UserError
from vae_jax.types import Array, Likelihood, Params, Spec, no_params


def inverted(
    spec: Spec, *, levels: Annotated[int, constraints.nonnegative_integer] = 0
) -> Likelihood:
    """p(x | z_0) = prod_d p(x_d | z_0,d), proportional to q(z_0 | x): a diffusion's noise undone.

    On the levels 0, ..., `levels` - 1 it is a mass (Kingma et al. 2021, VDM, eq. 8), and the
    encoder sees them spread from -1 to 1; bits are two levels. On reals (0) it is
    N(x; z_0 / alpha_0, (sigma_0 / alpha_0)^2). It learns nothing, and goes with `decoder=identity`
    behind `posterior=diffused`.

    Raises:
        UserError: for another posterior, or a single level.
    """
    if spec.noise is None:
        raise UserError("inverted undoes the noise of a posterior: posterior=diffused(steps=...)")
    if levels == 1:
        raise UserError("levels=1: at least 2, or 0 for real numbers, are needed")
    noise, dims = spec.noise, len(spec.x_shape)

    def spread(x: Array) -> Array:
        return 2 * x / (levels - 1) - 1

    def distribution(
        params: Params, features: Float[Array, "*batch_and_x features"]
    ) -> Distribution:
        alpha, sigma = scales(noise(params)[-1])
        if not levels:
            return Normal(features[..., 0] / alpha, sigma / alpha).to_event(dims)
        every = alpha * spread(jnp.arange(levels))
        logits = -0.5 * ((features - every) / sigma) ** 2
        return Flat(LevelCategorical(logits), dims)

    fields: dict[str, Any] = {}
    if levels:
        fields = {"accepts": constraints.integer_interval(0, levels - 1), "inputs": spread}
    return Likelihood(1, no_params, distribution, **fields)
