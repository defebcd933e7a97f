from typing import Annotated

from numpyro.distributions import Normal, constraints

from vae_jax.priors._location_scale import location_scale
from vae_jax.types import Prior, Spec


def normal(
    spec: Spec,
    *,
    loc: float = 0.0,
    scale: Annotated[float, constraints.positive] = 1.0,
    learned: bool = True,
) -> Prior:
    """p(z) = prod_j N(z_j; loc_j, scale_j^2) (Kingma & Welling 2014, with parameters).

    `loc` and `scale` are where learning starts, or what they stay. An affine decoder could undo
    what is learned here; with another the prior's spread is one thing less for it to do.
    """
    return location_scale(spec, Normal, loc, scale, learned)
