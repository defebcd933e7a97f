from typing import Any

import jax.numpy as jnp
from numpyro.distributions import Distribution, Normal

from vae_jax.types import Params, Prior, Spec, no_params


def standard_normal(spec: Spec) -> Prior:
    """p(z) = N(z; 0, I) (Kingma & Welling 2014)."""

    def distribution(params: Params, given: Any = None) -> Distribution:
        return Normal(jnp.zeros(spec.latent_dim), jnp.ones(spec.latent_dim)).to_event(1)

    return Prior(no_params, distribution)
