from itertools import pairwise
from typing import Annotated, Any, Literal

import jax
from numpyro.distributions import Distribution

from vae_jax.config.components import Family, Part, build
from vae_jax.distributions.chain import Chain
from vae_jax.errors import UserError
from vae_jax.flows.scales import normal_of
from vae_jax.types import Array, Batch, Examples, Params, Prior, Spec


def layered(
    spec: Spec,
    *,
    top: Annotated[Part, Family("priors")] = "standard_normal",
    network: Annotated[Part, Family("networks")] = "mlp(hidden=(100, 100))",
    decoder_sees: Literal["last", "all"] = "last",
) -> Prior:
    """p(z_L) prod_l p(z_l | z_l+1), the top any prior there is, the rest normals of a `network`.

    The generative model of the IWAE paper with several stochastic layers (Burda et al. 2016). z is
    one vector, the layers of `latent_dim` in their order, the top first; the decoder sees the last
    one, or all. With one layer it is the top's prior.
    """
    sizes = spec.sizes
    if len(sizes) == 1:
        return build("priors", top)(spec)
    networks = [build("networks", network)((a,), (2 * b,)) for a, b in pairwise(sizes)]
    prior_of_top = build("priors", top)(_of_top(spec))

    def init(key: Array, batch: Batch) -> Params:
        keys = jax.random.split(key, len(sizes))
        layers = [network.init(k) for network, k in zip(networks, keys[1:], strict=True)]
        return {"top": prior_of_top.init(keys[0], batch), "layers": layers}

    def factor(arguments: Any, layer: int, above: list[Array]) -> Distribution:
        params, given = arguments
        branch = params["prior"]
        if layer == 0:
            return prior_of_top.distribution({**params, "prior": branch["top"]}, given)
        features = networks[layer - 1].apply(branch["layers"][layer - 1], above[-1])
        return normal_of(features)

    def distribution(params: Params, given: Any = None) -> Distribution:
        batch = () if given is None else given.shape[:-1]
        return Chain(factor, (params, given), sizes, batch)

    return Prior(init, distribution, sizes[-1] if decoder_sees == "last" else None)


def _of_top(spec: Spec) -> Spec:
    """The model as the top's prior may know it: z is the top layer, q(z | x) its marginal."""

    def encode(params: Params, examples: Examples) -> Distribution:
        q = spec.encode(params, examples)
        if isinstance(q, Chain) and not q.upwards and q.sizes == spec.sizes:
            return q.first
        raise UserError(
            "a prior that calls the encoder needs q(z_L | x): posterior=top_down or ladder"
        )

    return spec._replace(latent_dim=spec.sizes[0], layers=None, encode=encode, noise=None)
