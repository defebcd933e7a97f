from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np
from numpyro.distributions import Distribution

from vae_jax.errors import UserError
from vae_jax.types import Array, Batch, Params, Prior, Spec, no_params


def location_scale(
    spec: Spec, family: Callable[..., Distribution], loc: float, scale: float, learned: bool
) -> Prior:
    """prod_j f((z_j - loc_j) / scale_j) / scale_j; learned, each dimension has its own.

    Raises:
        UserError: if the scale is not positive.
    """
    if not 0 < np.float32(scale) < np.inf:
        raise UserError(f"scale={scale}: a scale is positive")
    locs, log_scales = jnp.full(spec.latent_dim, loc), jnp.full(spec.latent_dim, jnp.log(scale))

    def init(key: Array, batch: Batch) -> Params:
        del key, batch
        return {"loc": locs, "log_scale": log_scales}

    def distribution(params: Params, given: Any = None) -> Distribution:
        own = params["prior"] if learned else {"loc": locs, "log_scale": log_scales}
        return family(own["loc"], jnp.exp(own["log_scale"])).to_event(1)

    return Prior(init if learned else no_params, distribution)
