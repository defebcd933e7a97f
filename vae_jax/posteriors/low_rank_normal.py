from typing import Annotated

import jax.numpy as jnp
from jaxtyping import Float
from numpyro.distributions import Distribution, LowRankMultivariateNormal, constraints

from vae_jax.flows.scales import scale_of
from vae_jax.types import Array, Params, Posterior, Spec, no_params

LEAST = 1e-5  # of the variances that come from W


def low_rank_normal(
    spec: Spec, *, rank: Annotated[int, constraints.positive_integer] = 2
) -> Posterior:
    """q(z | x) = N(z; m(x), W(x) W(x)' + diag(s(x)^2)), W of `rank` columns (Ong et al. 2018).

    The encoder gives m, log s and W: (2 + rank) D numbers (arXiv:1701.03208). s_j^2 is at least
    1e-5 of what W gives dimension j, or float32 could not tell the covariance from a singular one.
    """
    dimensions = spec.latent_dim

    def distribution(params: Params, features: Float[Array, "*batch features"]) -> Distribution:
        del params
        loc, log_scale, factor = jnp.split(features, [dimensions, 2 * dimensions], axis=-1)
        factor = factor.reshape(*factor.shape[:-1], dimensions, rank)
        least = LEAST * (factor**2).sum(-1)
        return LowRankMultivariateNormal(loc, factor, jnp.maximum(scale_of(log_scale) ** 2, least))

    return Posterior((2 + rank) * dimensions, no_params, distribution)
