from typing import Annotated, Any

import jax
import jax.numpy as jnp
from numpyro.distributions import Distribution, Normal, TransformedDistribution, constraints

from vae_jax.flows.affine_autoregressive import AffineAutoregressive
from vae_jax.flows.layers import reversing
from vae_jax.types import Array, Batch, Params, Prior, Spec


def maf(
    spec: Spec,
    *,
    layers: Annotated[int, constraints.positive_integer] = 4,
    hidden: tuple[Annotated[int, constraints.positive_integer], ...] = (128,),
) -> Prior:
    """p(z) = N(f^-1(z); 0, I) |det df^-1/dz|, f a masked autoregressive flow.

    Papamakarios et al. 2017; as a VAE's prior: Chen et al. 2017 (arXiv:1611.02731). The order of
    the dimensions is reversed from layer to layer. It starts as N(0, I); a density is one pass, a
    draw one pass a dimension.
    """

    def init(key: Array, batch: Batch) -> Params:
        del batch
        keys = jax.random.split(key, layers)
        return {"layers": [AffineAutoregressive.init(k, spec.latent_dim, hidden) for k in keys]}

    def distribution(params: Params, given: Any = None) -> Distribution:
        layers = [AffineAutoregressive(layer).inv for layer in params["prior"]["layers"]]
        chain = reversing(layers, spec.latent_dim)
        return TransformedDistribution(Normal(jnp.zeros(spec.latent_dim), 1).to_event(1), chain)

    return Prior(init, distribution)
