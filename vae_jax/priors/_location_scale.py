from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from numpyro.distributions import Distribution

from vae_jax.flows.scales import scale_of
from vae_jax.types import Array, Batch, Params, Prior, Spec, no_params


def location_scale(
    spec: Spec, family: Callable[..., Distribution], loc: float, scale: float, learned: bool
) -> Prior:
    """p(z) = prod_j f((z_j - loc_j) / scale_j) / scale_j.

    If `learned`, each dimension has a loc and a scale, which start at those given.
    """
    locs, log_scales = jnp.full(spec.latent_dim, loc), jnp.full(spec.latent_dim, jnp.log(scale))

    def init(key: Array, batch: Batch) -> Params:
        del key, batch
        return {"loc": locs, "log_scale": log_scales}

    def distribution(params: Params, given: Any = None) -> Distribution:
        start = {"loc": locs, "log_scale": log_scales}
        branch = params["prior"] if learned else start
        return family(branch["loc"], scale_of(branch["log_scale"])).to_event(1)

    return Prior(init if learned else no_params, distribution)
