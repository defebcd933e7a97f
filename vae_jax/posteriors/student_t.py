from functools import partial
from typing import Annotated

from numpyro.distributions import StudentT, constraints

from vae_jax.posteriors._location_scale import location_scale
from vae_jax.types import Posterior, Spec


def student_t(spec: Spec, *, df: Annotated[float, constraints.positive] = 5.0) -> Posterior:
    """q(z | x) = prod_j t_df(z_j; loc_j(x), scale_j(x)) (Kingma & Welling 2014, section 2.4).

    The heavier tails of a small `df` make log p(x) by importance sampling steadier (Domke &
    Sheldon 2018, arXiv:1808.09034).
    """
    return location_scale(spec, partial(StudentT, df))
