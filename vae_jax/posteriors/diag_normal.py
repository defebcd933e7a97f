from numpyro.distributions import Normal

from vae_jax.posteriors._location_scale import location_scale
from vae_jax.types import Posterior, Spec


def diag_normal(spec: Spec) -> Posterior:
    """q(z | x) = prod_j N(z_j; loc_j(x), exp(log_scale_j(x))^2) (Kingma & Welling 2014, eq. 9)."""
    return location_scale(spec, Normal)
