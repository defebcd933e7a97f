from collections.abc import Callable

import jax.numpy as jnp
from jaxtyping import Float
from numpyro.distributions import Distribution

from vae_jax.flows.scales import scale_of
from vae_jax.types import Array, Params, Posterior, Spec, no_params


def location_scale(spec: Spec, family: Callable[..., Distribution]) -> Posterior:
    """prod_j f((z_j - loc_j(x)) / s_j(x)) / s_j(x), loc and log s from the encoder."""

    def distribution(params: Params, features: Float[Array, "*batch features"]) -> Distribution:
        del params
        loc, log_scale = jnp.split(features, 2, axis=-1)
        return family(loc, scale_of(log_scale)).to_event(1)

    return Posterior(2 * spec.latent_dim, no_params, distribution)
