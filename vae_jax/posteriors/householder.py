import jax.numpy as jnp
from numpyro.distributions.transforms import Transform

from vae_jax.errors import UserError
from vae_jax.flows.householder import Householder
from vae_jax.posteriors._flow import flow
from vae_jax.types import Array, Params, Posterior, Spec


def householder(spec: Spec, *, layers: int = 4) -> Posterior:
    """q(z | x) = N(z; Hm, H diag(s^2) H'), H a product of reflections (Tomczak & Welling 2016).

    m, s and the vectors of the reflections are functions of x (arXiv:1611.09630). Correlations as
    `full_normal` has, for (2 + layers) D numbers from the encoder.

    Raises:
        UserError: if `layers` is not positive.
    """
    if layers < 1:
        raise UserError(f"layers={layers}: at least 1 is needed")

    def transforms(params: Params, features: Array) -> list[Transform]:
        del params
        return [Householder(v) for v in jnp.split(features, layers, axis=-1)]

    return flow(spec, layers * spec.latent_dim, transforms)
