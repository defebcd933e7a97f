from typing import Annotated

import jax.numpy as jnp
from jaxtyping import Float
from numpyro.distributions import Distribution, constraints

from vae_jax.likelihoods.discretized_logistic_mixture import discretized_logistic_mixture
from vae_jax.types import Array, Likelihood, Params, Spec


def discretized_logistic(
    spec: Spec, *, levels: Annotated[int, constraints.integer_greater_than(2)] = 256
) -> Likelihood:
    """p(x | z) = prod_d P(x_d; m_d(z), s_d(z)), a mass on the levels 0, ..., levels - 1.

    A logistic density's mass on each level's bin, the bins at the edges taking the tails (Kingma
    et al. 2016, appendix C, where s does not depend on z): a mixture of one component.
    """
    mixture = discretized_logistic_mixture(spec, components=1, levels=levels)

    def distribution(
        params: Params, features: Float[Array, "*batch_and_x features"]
    ) -> Distribution:
        weight = jnp.zeros_like(features[..., :1])
        return mixture.distribution(params, jnp.concatenate([weight, features], -1))

    return mixture._replace(num_features=2, distribution=distribution)
