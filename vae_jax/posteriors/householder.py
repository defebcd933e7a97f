from typing import Annotated

import jax.numpy as jnp
from jaxtyping import Float
from numpyro.distributions import constraints
from numpyro.distributions.transforms import Transform

from vae_jax.flows.householder import Householder
from vae_jax.posteriors._flow import flow
from vae_jax.types import Array, Params, Posterior, Spec


def householder(
    spec: Spec, *, layers: Annotated[int, constraints.positive_integer] = 4
) -> Posterior:
    """q(z | x) = N(z; Hm, H diag(s^2) H'), H a product of reflections (Tomczak & Welling 2016).

    m, s and the vectors of the reflections are functions of x (arXiv:1611.09630). Correlations as
    `full_normal` has, for (2 + layers) D numbers from the encoder.
    """

    def transforms(params: Params, features: Float[Array, "*batch features"]) -> list[Transform]:
        del params
        return [Householder(v) for v in jnp.split(features, layers, axis=-1)]

    return flow(spec, layers * spec.latent_dim, transforms)
