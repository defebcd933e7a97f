from jaxtyping import Float
from numpyro.distributions import Distribution, constraints

from vae_jax.distributions.continuous_bernoulli import ContinuousBernoulli
from vae_jax.distributions.flat import Flat
from vae_jax.types import Array, Likelihood, Params, Spec, no_params


def continuous_bernoulli(spec: Spec) -> Likelihood:
    """p(x | z) = prod_d exp(a_d(z) x_d) a_d / (e^a_d - 1), a density on [0, 1].

    What `bernoulli` is often taken for on greys, with the normalizing constant that makes it a
    density (Loaiza-Ganem & Cunningham 2019).
    """

    def distribution(
        params: Params, features: Float[Array, "*batch_and_x features"]
    ) -> Distribution:
        del params
        return Flat(ContinuousBernoulli(features[..., 0]), len(spec.x_shape))

    return Likelihood(1, no_params, distribution, constraints.unit_interval)
