import jax.numpy as jnp
from numpyro.distributions import Distribution, Normal

from vae_jax.types import Array, Params, Posterior, Spec, no_params


def diag_normal(spec: Spec) -> Posterior:
    """q(z | x) = prod_j N(z_j; loc_j(x), exp(log_scale_j(x))^2) (Kingma & Welling 2014, eq. 9)."""

    def distribution(params: Params, features: Array) -> Distribution:
        del params
        loc, log_scale = jnp.split(features, 2, axis=-1)
        return Normal(loc, jnp.exp(log_scale)).to_event(1)

    return Posterior(2 * spec.latent_dim, no_params, distribution)
