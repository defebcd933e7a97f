from jaxtyping import Float
from numpyro.distributions.transforms import Transform

from vae_jax.errors import UserError
from vae_jax.flows.box import Box
from vae_jax.posteriors._flow import flow
from vae_jax.types import Array, Params, Posterior, Spec


def logit_normal(spec: Spec, *, low: float = -1.0, high: float = 1.0) -> Posterior:
    """z_j = low + (high - low) sigmoid(e_j), e_j ~ N(loc_j(x), scale_j(x)^2): it stays in a box.

    For a prior on a box, as `uniform(low, high)`. The density is the logit-normal one (Atchison &
    Shen 1980).

    Raises:
        UserError: if the box is empty.
    """
    if low >= high:
        raise UserError(f"low={low}, high={high}: the box is empty")

    def transforms(params: Params, features: Float[Array, "*batch features"]) -> list[Transform]:
        del params, features
        return [Box(low, high)]

    return flow(spec, 0, transforms)
