from collections.abc import Callable

import jax.numpy as jnp
from jaxtyping import Float
from numpyro.distributions import Distribution, Normal, TransformedDistribution
from numpyro.distributions.transforms import Transform

from vae_jax.flows.scales import scale_of
from vae_jax.types import Array, Batch, Params, Posterior, Spec, no_params

Layers = Callable[[Params, Float[Array, "*batch features"]], list[Transform]]


def flow(
    spec: Spec,
    num_features: int,
    layers: Layers,
    init: Callable[[Array, Batch], Params] = no_params,
) -> Posterior:
    """A diagonal normal of the encoder's loc and log scale, sent through invertible layers.

    Args:
        spec: of the model.
        num_features: asked of the encoder besides, for the layers.
        layers: (params, those features `[..., num_features]`) -> the transforms in their order.
        init: of the layers' parameters.
    """
    dimensions = spec.latent_dim

    def distribution(params: Params, features: Float[Array, "*batch features"]) -> Distribution:
        loc, log_scale, rest = jnp.split(features, [dimensions, 2 * dimensions], axis=-1)
        base = Normal(loc, scale_of(log_scale)).to_event(1)
        return TransformedDistribution(base, layers(params, rest))

    return Posterior(2 * dimensions + num_features, init, distribution)
