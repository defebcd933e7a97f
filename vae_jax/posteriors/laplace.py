from numpyro.distributions import Laplace

from vae_jax.posteriors._location_scale import location_scale
from vae_jax.types import Posterior, Spec


def laplace(spec: Spec) -> Posterior:
    """q(z | x) = prod_j Laplace(z_j; loc_j(x), s_j(x)) (Kingma & Welling 2014, section 2.4).

    Tails that fall off as exp(-|z| / s), so that importance weights have fewer surprises.
    """
    return location_scale(spec, Laplace)
