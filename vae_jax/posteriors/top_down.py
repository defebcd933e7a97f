from typing import Annotated, Any

from jaxtyping import Float
from numpyro.distributions import Distribution, constraints

from vae_jax.config.components import Family, Part, build
from vae_jax.distributions.chain import Chain
from vae_jax.flows.scales import normal_of
from vae_jax.posteriors._layers import beside, init_all
from vae_jax.posteriors.diag_normal import diag_normal
from vae_jax.types import Array, Batch, Params, Posterior, Spec


def top_down(
    spec: Spec,
    *,
    network: Annotated[Part, Family("networks")] = "mlp(hidden=(200,))",
    context: Annotated[int, constraints.positive_integer] = 200,
) -> Posterior:
    """q(z_L | x) prod_l q(z_l | z_>l, x), normals (Tomczak & Welling 2018, section 4.2, HVAE).

    The encoder gives the top layer, and `context` numbers of x; of these and all layers above a
    `network` makes each of the others. With one layer it is `diag_normal`.
    """
    sizes = spec.sizes
    if len(sizes) == 1:
        return diag_normal(spec)
    networks = [
        build("networks", network)((context + sum(sizes[:i]),), (2 * sizes[i],))
        for i in range(1, len(sizes))
    ]

    def init(key: Array, batch: Batch) -> Params:
        del batch
        return {"layers": init_all(networks, key)}

    def factor(arguments: Any, layer: int, above: list[Array]) -> Distribution:
        branches, features = arguments
        if layer == 0:
            return normal_of(features[..., : 2 * sizes[0]])
        inputs = beside(features[..., 2 * sizes[0] :], above)
        return normal_of(networks[layer - 1].apply(branches[layer - 1], inputs))

    def distribution(params: Params, features: Float[Array, "*batch features"]) -> Distribution:
        arguments = (params["posterior"]["layers"], features)
        return Chain(factor, arguments, sizes, features.shape[:-1])

    return Posterior(2 * sizes[0] + context, init, distribution)
