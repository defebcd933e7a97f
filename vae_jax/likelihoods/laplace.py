from typing import Annotated

from numpyro.distributions import Laplace, constraints

from vae_jax.likelihoods._scales import Scale, location_scale
from vae_jax.types import Likelihood, Spec


def laplace(
    spec: Spec,
    *,
    scale: Annotated[Scale, constraints.positive] = "learned",
    min_scale: Annotated[float, constraints.nonnegative] = 1e-3,
) -> Likelihood:
    """p(x | z) = prod_d exp(-|x_d - loc_d(z)| / s) / (2 s), a density on the reals.

    Absolute in place of squared errors: loc is a median. `scale` and `min_scale` are as for
    `normal`, s in the units of x.

    Raises:
        UserError: if a predicted scale has no positive floor.
    """
    return location_scale(spec, Laplace, scale, min_scale, unit_spread=2**0.5)
