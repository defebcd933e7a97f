from jaxtyping import Float
from numpyro.distributions import Distribution

from vae_jax.distributions.zero_inflated_negative_binomial import ZeroInflatedNegativeBinomial
from vae_jax.likelihoods._counts import Dispersion, count_likelihood, dispersion_of
from vae_jax.types import Array, Likelihood, Params, Spec


def zero_inflated_negative_binomial(
    spec: Spec, *, dispersion: Dispersion = "learned_per_element"
) -> Likelihood:
    """p(x | z) = prod_d g_d [x_d = 0] + (1 - g_d) NB(x_d; m_d(z), r_d), a mass on counts.

    A count is lost with probability g_d(z), the sigmoid of the decoder's second feature (scVI,
    Lopez et al. 2018). Mean and `dispersion` are as for `negative_binomial`.
    """
    extra, start, dispersed = dispersion_of(spec, dispersion)

    def density(
        branch: Params,
        features: list[Float[Array, "*batch_and_x"]],
        rate: Float[Array, "*batch_and_x"],
    ) -> Distribution:
        return ZeroInflatedNegativeBinomial(features[0], rate, dispersed(branch, features))

    return count_likelihood(spec, 2 + extra, density, start)
