from typing import Annotated

from numpyro.distributions import Logistic, constraints

from vae_jax.priors._location_scale import location_scale
from vae_jax.types import Prior, Spec


def logistic(
    spec: Spec,
    *,
    loc: float = 0.0,
    scale: Annotated[float, constraints.positive] = 1.0,
    learned: bool = False,
) -> Prior:
    """p(z) = prod_j of logistic densities, as NICE's (Dinh et al. 2015, arXiv:1410.8516).

    Its standard deviation is pi / sqrt(3) times its scale. `loc` and `scale` are where learning
    starts, or what they stay.
    """
    return location_scale(spec, Logistic, loc, scale, learned)
