from typing import Annotated

import jax
from jaxtyping import Float
from numpyro.distributions import constraints
from numpyro.distributions.transforms import Transform

from vae_jax.flows.affine_autoregressive import AffineAutoregressive
from vae_jax.flows.layers import reversing
from vae_jax.posteriors._flow import flow
from vae_jax.types import Array, Batch, Params, Posterior, Spec


def iaf(
    spec: Spec,
    *,
    layers: Annotated[int, constraints.positive_integer] = 2,
    hidden: tuple[Annotated[int, constraints.positive_integer], ...] = (128,),
    context: Annotated[int, constraints.positive_integer] = 32,
) -> Posterior:
    """q(z | x): a diagonal normal through inverse autoregressive layers (Kingma et al. 2016).

    Every layer sees `context` numbers from the encoder; the order of the dimensions is reversed
    in between. A draw and its density are one pass together, the density of another z takes a pass
    a dimension. The layers start as the identity.
    """

    def init(key: Array, batch: Batch) -> Params:
        del batch
        keys = jax.random.split(key, layers)
        args = (spec.latent_dim, hidden, context)
        return {"layers": [AffineAutoregressive.init(k, *args) for k in keys]}

    def transforms(params: Params, features: Float[Array, "*batch features"]) -> list[Transform]:
        chain = [AffineAutoregressive(p, features) for p in params["posterior"]["layers"]]
        return reversing(chain, spec.latent_dim)[:-1]

    return flow(spec, context, transforms, init)
