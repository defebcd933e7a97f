from typing import Any

import jax.numpy as jnp
from numpyro.distributions import Distribution, Uniform

from vae_jax.errors import UserError
from vae_jax.types import Params, Prior, Spec, no_params


def uniform(spec: Spec, *, low: float = -1.0, high: float = 1.0) -> Prior:
    """p(z) = (high - low)^-latent_dim on the box [low, high]^latent_dim, and 0 outside.

    It wants a posterior that stays in the box, as `logit_normal(low, high)`: with any other the
    KL is infinite.

    Raises:
        UserError: if the box is empty.
    """
    if low >= high:
        raise UserError(f"low={low}, high={high}: the box is empty")

    def distribution(params: Params, given: Any = None) -> Distribution:
        shape = (spec.latent_dim,)
        return Uniform(jnp.full(shape, low), jnp.full(shape, high)).to_event(1)

    return Prior(no_params, distribution)
