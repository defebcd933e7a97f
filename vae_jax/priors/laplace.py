from typing import Annotated

from numpyro.distributions import Laplace, constraints

from vae_jax.priors._location_scale import location_scale
from vae_jax.types import Prior, Spec


def laplace(
    spec: Spec,
    *,
    loc: float = 0.0,
    scale: Annotated[float, constraints.positive] = 1.0,
    learned: bool = False,
) -> Prior:
    """p(z) = prod_j exp(-|z_j - loc_j| / scale_j) / (2 scale_j): a peak that asks for sparse z.

    The prior of sparse coding (Olshausen & Field 1996). `loc` and `scale` are where learning
    starts, or what they stay.
    """
    return location_scale(spec, Laplace, loc, scale, learned)
