from typing import Annotated, Any

from numpyro.distributions import Distribution, constraints

from vae_jax.distributions.autoregressive_mixture import AutoregressiveMixture
from vae_jax.types import Array, Batch, Params, Prior, Spec


def autoregressive(
    spec: Spec,
    *,
    components: Annotated[int, constraints.positive_integer] = 5,
    hidden: tuple[Annotated[int, constraints.positive_integer], ...] = (128, 128),
) -> Prior:
    """p(z) = prod_j p(z_j | z_<j), each a mixture of normals: what one layer of `maf` cannot be.

    One masked network gives all mixtures (Germain et al. 2015; Papamakarios et al. 2017, MADE MoG).
    A density is one pass, a draw one pass a dimension.
    """

    def init(key: Array, batch: Batch) -> Params:
        del batch
        return AutoregressiveMixture.init(key, spec.latent_dim, components, hidden)

    def distribution(params: Params, given: Any = None) -> Distribution:
        return AutoregressiveMixture(**params["prior"])

    return Prior(init, distribution)
