from numpyro.distributions import Distribution

from vae_jax.distributions.flat import Flat
from vae_jax.distributions.level_categorical import LevelCategorical
from vae_jax.likelihoods._levels import on_levels
from vae_jax.types import Array, Likelihood, Params, Spec, no_params


def categorical(spec: Spec, *, levels: int = 256) -> Likelihood:
    """p(x | z) = prod_d softmax(a_d(z))_(x_d), a mass on the levels 0, ..., levels - 1.

    The decoder says `levels` numbers per element, and knows nothing of their order
    (van den Oord et al. 2016).

    Raises:
        UserError: if there are fewer than two levels.
    """

    def distribution(params: Params, features: Array) -> Distribution:
        del params
        return Flat(LevelCategorical(features), len(spec.x_shape))

    return Likelihood(levels, no_params, distribution, **on_levels(levels))
