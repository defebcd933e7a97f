from typing import Annotated, Any

import jax
import jax.numpy as jnp
from numpyro.distributions import Distribution, Normal, TransformedDistribution, constraints

from vae_jax.flows.affine_coupling import AffineCoupling
from vae_jax.flows.layers import reversing
from vae_jax.types import Array, Batch, Params, Prior, Spec


def realnvp(
    spec: Spec,
    *,
    layers: Annotated[int, constraints.positive_integer] = 6,
    hidden: tuple[Annotated[int, constraints.positive_integer], ...] = (128, 128),
) -> Prior:
    """p(z) = N(f^-1(z); 0, I) |det df^-1/dz|, f of affine coupling layers (Dinh et al. 2017).

    As a VAE's prior: Xu et al. 2019 (arXiv:1905.13452). The halves change roles from layer to
    layer. It starts as N(0, I); a density and a draw are one pass each.
    """
    network = AffineCoupling.make_network(spec.latent_dim, hidden)

    def init(key: Array, batch: Batch) -> Params:
        del batch
        keys = jax.random.split(key, layers)
        return {"layers": [AffineCoupling.init(network, k, spec.latent_dim) for k in keys]}

    def distribution(params: Params, given: Any = None) -> Distribution:
        layers = [AffineCoupling(network, layer) for layer in params["prior"]["layers"]]
        chain = reversing(layers, spec.latent_dim)
        return TransformedDistribution(Normal(jnp.zeros(spec.latent_dim), 1).to_event(1), chain)

    return Prior(init, distribution)
