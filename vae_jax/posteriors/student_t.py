from functools import partial

from numpyro.distributions import StudentT

from vae_jax.errors import UserError
from vae_jax.posteriors._location_scale import location_scale
from vae_jax.types import Posterior, Spec


def student_t(spec: Spec, *, df: float = 5.0) -> Posterior:
    """q(z | x) = prod_j t_df(z_j; loc_j(x), scale_j(x)) (Kingma & Welling 2014, section 2.4).

    The heavier tails of a small `df` make log p(x) by importance sampling steadier (Domke &
    Sheldon 2018, arXiv:1808.09034).

    Raises:
        UserError: if `df` is not positive.
    """
    if df <= 0:
        raise UserError(f"df={df}: degrees of freedom are positive")
    return location_scale(spec, partial(StudentT, df))
