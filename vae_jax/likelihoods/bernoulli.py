from jaxtyping import Float
from numpyro.distributions import Distribution, constraints

from vae_jax.distributions.bernoulli_logits import BernoulliLogits
from vae_jax.types import Array, Likelihood, Params, Spec, no_params


def bernoulli(spec: Spec) -> Likelihood:
    """p(x | z) = prod_d Bernoulli(x_d; sigmoid(a_d(z))), a mass function on {0, 1}.

    Greys in (0, 1) are accepted, as much published work does, but what is computed for them is a
    cross-entropy and no likelihood (Loaiza-Ganem & Cunningham 2019): training says so.
    """

    def distribution(
        params: Params, features: Float[Array, "*batch_and_x features"]
    ) -> Distribution:
        del params
        return BernoulliLogits(features[..., 0], len(spec.x_shape))

    return Likelihood(1, no_params, distribution, constraints.unit_interval)
