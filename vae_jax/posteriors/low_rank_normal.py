import jax.numpy as jnp
from numpyro.distributions import Distribution, LowRankMultivariateNormal

from vae_jax.errors import UserError
from vae_jax.types import Array, Params, Posterior, Spec, no_params


def low_rank_normal(spec: Spec, *, rank: int = 2) -> Posterior:
    """q(z | x) = N(z; m(x), W(x) W(x)' + diag(s(x)^2)), W of `rank` columns (Ong et al. 2018).

    The encoder gives m, log s and W: (2 + rank) D numbers (arXiv:1701.03208).

    Raises:
        UserError: if `rank` is not positive.
    """
    if rank < 1:
        raise UserError(f"rank={rank}: at least 1 is needed")
    dimensions = spec.latent_dim

    def distribution(params: Params, features: Array) -> Distribution:
        del params
        loc, log_scale, factor = jnp.split(features, [dimensions, 2 * dimensions], axis=-1)
        factor = factor.reshape(*factor.shape[:-1], dimensions, rank)
        return LowRankMultivariateNormal(loc, factor, jnp.exp(2 * log_scale))

    return Posterior((2 + rank) * dimensions, no_params, distribution)
