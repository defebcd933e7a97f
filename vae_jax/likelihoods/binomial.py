from typing import Annotated

from jaxtyping import Float
from numpyro.distributions import Distribution, constraints

from vae_jax.distributions.binomial_levels import BinomialLevels
from vae_jax.distributions.flat import Flat
from vae_jax.types import Array, Likelihood, Params, Spec, no_params


def binomial(
    spec: Spec, *, total_count: Annotated[int, constraints.positive_integer] = 255
) -> Likelihood:
    """p(x | z) = prod_d C(n, x_d) p_d^x_d (1 - p_d)^(n - x_d), p = sigmoid(a(z)), n = total_count.

    A mass on 0, ..., n whose logarithm is concave in a.
    """

    def distribution(
        params: Params, features: Float[Array, "*batch_and_x features"]
    ) -> Distribution:
        del params
        return Flat(BinomialLevels(features[..., 0], total_count), len(spec.x_shape))

    accepts = constraints.integer_interval(0, total_count)
    return Likelihood(1, no_params, distribution, accepts, lambda x: x / total_count)
