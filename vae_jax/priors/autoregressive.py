from typing import Any

from numpyro.distributions import Distribution

from vae_jax.distributions.autoregressive_mixture import AutoregressiveMixture
from vae_jax.errors import UserError
from vae_jax.types import Array, Batch, Params, Prior, Spec


def autoregressive(
    spec: Spec, *, components: int = 5, hidden: tuple[int, ...] = (128, 128)
) -> Prior:
    """p(z) = prod_j p(z_j | z_<j), each a mixture of normals: what one layer of `maf` cannot be.

    One masked network gives all mixtures (Germain et al. 2015; Papamakarios et al. 2017, MADE MoG).
    A density is one pass, a draw one pass a dimension.

    Raises:
        UserError: if `components` or a width is not positive.
    """
    if min((components, *hidden)) < 1:
        raise UserError(f"components={components}, hidden={hidden}: positive numbers are needed")

    def init(key: Array, batch: Batch) -> Params:
        del batch
        return AutoregressiveMixture.init(key, spec.latent_dim, components, hidden)

    def distribution(params: Params, given: Any = None) -> Distribution:
        return AutoregressiveMixture(**params["prior"])

    return Prior(init, distribution)
