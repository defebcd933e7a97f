from jaxtyping import Float
from numpyro.distributions import Distribution, Poisson

from vae_jax.likelihoods._counts import count_likelihood
from vae_jax.types import Array, Likelihood, Params, Spec


def poisson(spec: Spec) -> Likelihood:
    """p(x | z) = prod_d exp(-r_d) r_d^x_d / x_d!, a mass on the counts 0, 1, 2, ...

    The rate is r_d(z) = 0.0001 + exp(log_rate_d) softplus(a_d(z)) / log 2, where log_rate is
    learned and starts at the logarithm of a batch's mean counts. The encoder sees log(1 + x).
    """

    def density(
        branch: Params,
        features: list[Float[Array, "*batch_and_x"]],
        rate: Float[Array, "*batch_and_x"],
    ) -> Distribution:
        del branch, features
        return Poisson(rate)

    return count_likelihood(spec, 1, density, dict)
