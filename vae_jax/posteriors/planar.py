from typing import Annotated

import jax.numpy as jnp
from jaxtyping import Float
from numpyro.distributions import constraints
from numpyro.distributions.transforms import Transform

from vae_jax.flows.planar import Planar
from vae_jax.posteriors._flow import flow
from vae_jax.types import Array, Params, Posterior, Spec


def planar(spec: Spec, *, layers: Annotated[int, constraints.positive_integer] = 4) -> Posterior:
    """q(z | x): a diagonal normal through planar layers (Rezende & Mohamed 2015).

    Each layer bends z along one direction; its 2 D + 1 numbers are functions of x.
    """
    sizes = [spec.latent_dim, 2 * spec.latent_dim]

    def transforms(params: Params, features: Float[Array, "*batch features"]) -> list[Transform]:
        del params
        each = [jnp.split(f, sizes, axis=-1) for f in jnp.split(features, layers, axis=-1)]
        return [Planar(u, w, b[..., 0]) for u, w, b in each]

    return flow(spec, layers * (2 * spec.latent_dim + 1), transforms)
