from jaxtyping import Float
from numpyro.distributions import Distribution

from vae_jax.distributions.negative_binomial import NegativeBinomial
from vae_jax.likelihoods._counts import Dispersion, count_likelihood, dispersion_of
from vae_jax.types import Array, Likelihood, Params, Spec


def negative_binomial(spec: Spec, *, dispersion: Dispersion = "learned_per_element") -> Likelihood:
    """p(x | z) = prod_d NB(x_d; m_d(z), r_d), a mass on counts, variance m + m^2 / r.

    The mean is as the rate of `poisson`. The dispersion r is `"learned"`: one for all elements, or
    `"learned_per_element"` as for genes (Lopez et al. 2018), or `"predicted"`: the decoder gives a
    second number per element.
    """
    extra, start, dispersed = dispersion_of(spec, dispersion)

    def density(
        branch: Params,
        features: list[Float[Array, "*batch_and_x"]],
        rate: Float[Array, "*batch_and_x"],
    ) -> Distribution:
        return NegativeBinomial(rate, dispersed(branch, features))

    return count_likelihood(spec, 1 + extra, density, start)
