from numpyro.distributions import Logistic

from vae_jax.posteriors._location_scale import location_scale
from vae_jax.types import Posterior, Spec


def logistic(spec: Spec) -> Posterior:
    """q(z | x) = prod_j Logistic(z_j; loc_j(x), s_j(x)) (Kingma & Welling 2014, section 2.4)."""
    return location_scale(spec, Logistic)
