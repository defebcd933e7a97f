from typing import Annotated, Any

from jaxtyping import Float
from numpyro.distributions import Distribution

from vae_jax.config.components import Family, Part, build
from vae_jax.distributions.chain import Chain
from vae_jax.flows.scales import normal_of
from vae_jax.posteriors._layers import init_all
from vae_jax.posteriors.diag_normal import diag_normal
from vae_jax.types import Array, Batch, Params, Posterior, Spec


def bottom_up(
    spec: Spec, *, network: Annotated[Part, Family("networks")] = "mlp(hidden=(100, 100))"
) -> Posterior:
    """q(z_1 | x) prod_l q(z_l+1 | z_l), normals: the chain of the IWAE (Burda et al. 2016, eq. 1).

    The encoder gives the layer beside x, which is the last of z; a `network` makes each one above
    of the one below. With one layer it is `diag_normal`.
    """
    sizes = spec.sizes
    if len(sizes) == 1:
        return diag_normal(spec)
    networks = [
        build("networks", network)((sizes[i + 1],), (2 * sizes[i],)) for i in range(len(sizes) - 1)
    ]

    def init(key: Array, batch: Batch) -> Params:
        del batch
        return {"layers": init_all(networks, key)}

    def factor(arguments: Any, layer: int, below: list[Array]) -> Distribution:
        branches, features = arguments
        if layer == len(sizes) - 1:
            return normal_of(features)
        return normal_of(networks[layer].apply(branches[layer], below[-1]))

    def distribution(params: Params, features: Float[Array, "*batch features"]) -> Distribution:
        arguments = (params["posterior"]["layers"], features)
        return Chain(factor, arguments, sizes, features.shape[:-1], upwards=True)

    return Posterior(2 * sizes[-1], init, distribution)
