import jax
from numpyro.distributions.transforms import Transform

from vae_jax.errors import UserError
from vae_jax.flows.affine_autoregressive import AffineAutoregressive
from vae_jax.flows.layers import reversing
from vae_jax.posteriors._flow import flow
from vae_jax.types import Array, Batch, Params, Posterior, Spec


def iaf(
    spec: Spec, *, layers: int = 2, hidden: tuple[int, ...] = (128,), context: int = 32
) -> Posterior:
    """q(z | x): a diagonal normal through inverse autoregressive layers (Kingma et al. 2016).

    Every layer sees `context` numbers from the encoder; the order of the dimensions is reversed
    in between. A draw and its density are one pass together, the density of another z takes a pass
    a dimension. The layers start as the identity.

    Raises:
        UserError: if `layers`, a width or `context` is not positive.
    """
    if min(layers, *hidden, context) < 1:
        sizes = f"layers={layers}, hidden={hidden}, context={context}"
        raise UserError(f"{sizes}: positive numbers are needed")

    def init(key: Array, batch: Batch) -> Params:
        del batch
        keys = jax.random.split(key, layers)
        args = (spec.latent_dim, hidden, context)
        return {"layers": [AffineAutoregressive.init(k, *args) for k in keys]}

    def transforms(params: Params, features: Array) -> list[Transform]:
        own = params["posterior"]["layers"]
        chain = [AffineAutoregressive(layer, features) for layer in own]
        return reversing(chain, spec.latent_dim)[:-1]

    return flow(spec, context, transforms, init)
