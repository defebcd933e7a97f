from functools import partial

from numpyro.distributions import StudentT

from vae_jax.errors import UserError
from vae_jax.priors._location_scale import location_scale
from vae_jax.types import Prior, Spec


def student_t(
    spec: Spec, *, df: float = 5.0, loc: float = 0.0, scale: float = 1.0, learned: bool = False
) -> Prior:
    """p(z) = prod_j t_df((z_j - loc_j) / scale_j) / scale_j: heavy tails, as Abiri & Ohlsson 2020.

    `df` stays; `loc` and `scale` are where learning starts, or what they stay. df = 1 is Cauchy.

    Raises:
        UserError: if `df` or the scale is not positive.
    """
    if df <= 0:
        raise UserError(f"df={df}: degrees of freedom are positive")
    return location_scale(spec, partial(StudentT, df), loc, scale, learned)
