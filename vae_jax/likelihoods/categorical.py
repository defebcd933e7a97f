from typing import Annotated

from jaxtyping import Float
from numpyro.distributions import Distribution, constraints

from vae_jax.distributions.flat import Flat
from vae_jax.distributions.level_categorical import LevelCategorical
from vae_jax.likelihoods._levels import on_levels
from vae_jax.types import Array, Likelihood, Params, Spec, no_params


def categorical(
    spec: Spec, *, levels: Annotated[int, constraints.integer_greater_than(2)] = 256
) -> Likelihood:
    """p(x | z) = prod_d softmax(a_d(z))_(x_d), a mass on the levels 0, ..., levels - 1.

    The decoder gives `levels` numbers per element, and knows nothing of their order
    (van den Oord et al. 2016).
    """

    def distribution(
        params: Params, features: Float[Array, "*batch_and_x features"]
    ) -> Distribution:
        del params
        return Flat(LevelCategorical(features), len(spec.x_shape))

    return Likelihood(levels, no_params, distribution, **on_levels(levels))
