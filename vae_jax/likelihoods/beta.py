import jax.numpy as jnp
from jaxtyping import Float
from numpyro.distributions import Distribution, constraints

from vae_jax.distributions.flat import Flat
from vae_jax.distributions.open_beta import OpenBeta
from vae_jax.flows.scales import softplus
from vae_jax.types import Array, Likelihood, Params, Spec, no_params

FLOOR = 1e-2  # of both concentrations


def beta(spec: Spec) -> Likelihood:
    """p(x | z) = prod_d Beta(x_d; a_d(z), b_d(z)), a density inside (0, 1).

    Both concentrations are 0.01 + softplus(a feature). At 0 and 1 the density is 0 or infinite, so
    greys that reach them are refused: dequantize them (`values='dequantized'`).
    """

    def distribution(
        params: Params, features: Float[Array, "*batch_and_x features"]
    ) -> Distribution:
        del params
        # Apart first: a softplus of the pairs takes XLA half as long again.
        a, b = (FLOOR + softplus(f) for f in jnp.unstack(features, axis=-1))
        return Flat(OpenBeta(a, b), len(spec.x_shape))

    return Likelihood(2, no_params, distribution, constraints.open_interval(0.0, 1.0))
