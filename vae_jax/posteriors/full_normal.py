import jax.numpy as jnp
from jaxtyping import Float
from numpyro.distributions import Distribution

from vae_jax.distributions.cholesky_normal import CholeskyNormal
from vae_jax.flows.scales import scale_of
from vae_jax.types import Array, Params, Posterior, Spec, no_params


def full_normal(spec: Spec) -> Posterior:
    """q(z | x) = N(z; m(x), L(x) L(x)'), L lower triangular (Kingma & Welling 2019, section 2.5.1).

    The encoder gives m, the logs of L's diagonal, and D^1/2 times what is below it, so that at the
    start a row's correlations add up to no more than its scale: D (D + 3) / 2 numbers.
    """
    dimensions = spec.latent_dim
    below = jnp.tril_indices(dimensions, -1)

    def distribution(params: Params, features: Float[Array, "*batch features"]) -> Distribution:
        del params
        loc, log_diagonal, rest = jnp.split(features, [dimensions, 2 * dimensions], axis=-1)
        diagonal = scale_of(log_diagonal)[..., None] * jnp.eye(dimensions)
        return CholeskyNormal(loc, diagonal.at[..., *below].set(rest / dimensions**0.5))

    return Posterior(dimensions * (dimensions + 3) // 2, no_params, distribution)
