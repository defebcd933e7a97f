from functools import partial
from typing import Annotated

from numpyro.distributions import StudentT, constraints

from vae_jax.likelihoods._scales import Scale, location_scale
from vae_jax.types import Likelihood, Spec


def student_t(
    spec: Spec,
    *,
    df: Annotated[float, constraints.greater_than(1.0)] = 4.0,
    scale: Annotated[Scale, constraints.positive] = "learned",
    min_scale: Annotated[float, constraints.nonnegative] = 1e-3,
) -> Likelihood:
    """p(x | z) = prod_d t_df((x_d - loc_d(z)) / s) / s, a density on the reals, robust to outliers.

    Takahashi et al. 2018 ("Student-t VAE"). `scale` and `min_scale` are as for `normal`, s in the
    units of x; the variance is s^2 df / (df - 2), infinite for df <= 2, and only df > 1 has a mean.

    Raises:
        UserError: if a predicted scale has no positive floor.
    """
    unit_spread = (df / (df - 2)) ** 0.5 if df > 2 else 1.0
    return location_scale(spec, partial(StudentT, df), scale, min_scale, unit_spread)
