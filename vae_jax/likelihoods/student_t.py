from functools import partial

from numpyro.distributions import StudentT

from vae_jax.errors import UserError
from vae_jax.likelihoods._scales import Scale, location_scale
from vae_jax.types import Likelihood, Spec


def student_t(
    spec: Spec, *, df: float = 4.0, scale: Scale = "learned", min_scale: float = 1e-3
) -> Likelihood:
    """p(x | z) = prod_d t_df((x_d - loc_d(z)) / s) / s, a density on the reals, robust to outliers.

    Takahashi et al. 2018 ("Student-t VAE"). `scale` and `min_scale` are as for `normal`, s in the
    units of x; the variance is s^2 df / (df - 2), infinite for df <= 2.

    Raises:
        UserError: if a scale is not positive, or df is not above 1, where there is no mean.
    """
    if not df > 1:
        raise UserError(f"df={df}: above 1, so that there is a mean")
    unit_spread = (df / (df - 2)) ** 0.5 if df > 2 else 1.0
    return location_scale(spec, partial(StudentT, df), scale, min_scale, unit_spread)
