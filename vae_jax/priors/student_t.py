from functools import partial
from typing import Annotated

from numpyro.distributions import StudentT, constraints

from vae_jax.priors._location_scale import location_scale
from vae_jax.types import Prior, Spec


def student_t(
    spec: Spec,
    *,
    df: Annotated[float, constraints.positive] = 5.0,
    loc: float = 0.0,
    scale: Annotated[float, constraints.positive] = 1.0,
    learned: bool = False,
) -> Prior:
    """p(z) = prod_j t_df((z_j - loc_j) / scale_j) / scale_j: heavy tails, as Abiri & Ohlsson 2020.

    `df` stays; `loc` and `scale` are where learning starts, or what they stay. df = 1 is Cauchy.
    """
    return location_scale(spec, partial(StudentT, df), loc, scale, learned)
