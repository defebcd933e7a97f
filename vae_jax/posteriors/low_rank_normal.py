from typing import Annotated

import jax.numpy as jnp
from jaxtyping import Float
from numpyro.distributions import Distribution, LowRankMultivariateNormal, constraints

from vae_jax.types import Array, Params, Posterior, Spec, no_params


def low_rank_normal(
    spec: Spec, *, rank: Annotated[int, constraints.positive_integer] = 2
) -> Posterior:
    """q(z | x) = N(z; m(x), W(x) W(x)' + diag(s(x)^2)), W of `rank` columns (Ong et al. 2018).

    The encoder gives m, log s and W: (2 + rank) D numbers (arXiv:1701.03208).
    """
    dimensions = spec.latent_dim

    def distribution(params: Params, features: Float[Array, "*batch features"]) -> Distribution:
        del params
        loc, log_scale, factor = jnp.split(features, [dimensions, 2 * dimensions], axis=-1)
        factor = factor.reshape(*factor.shape[:-1], dimensions, rank)
        return LowRankMultivariateNormal(loc, factor, jnp.exp(2 * log_scale))

    return Posterior((2 + rank) * dimensions, no_params, distribution)
