import math
from typing import Annotated

from numpyro.distributions import Logistic, constraints

from vae_jax.likelihoods._scales import Scale, location_scale
from vae_jax.types import Likelihood, Spec


def logistic(
    spec: Spec,
    *,
    scale: Annotated[Scale, constraints.positive] = "learned",
    min_scale: Annotated[float, constraints.nonnegative] = 1e-3,
) -> Likelihood:
    """p(x | z) = prod_d e^-y_d / (s (1 + e^-y_d)^2), y = (x - loc(z)) / s, on the reals.

    Its distribution function is the sigmoid; tails are exponential. `scale` and `min_scale` are as
    for `normal`, s in the units of x.

    Raises:
        UserError: if a predicted scale has no positive floor.
    """
    return location_scale(spec, Logistic, scale, min_scale, unit_spread=math.pi / 3**0.5)
