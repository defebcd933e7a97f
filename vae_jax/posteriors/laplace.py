from numpyro.distributions import Laplace

from vae_jax.posteriors._location_scale import location_scale
from vae_jax.types import Posterior, Spec


def laplace(spec: Spec) -> Posterior:
    """q(z | x) = prod_j Laplace(z_j; loc_j(x), scale_j(x)) (Park et al. 2019 use its cousins).

    Tails that fall off as exp(-|z|), so that importance weights have fewer surprises.
    """
    return location_scale(spec, Laplace)
