import math
from typing import Annotated, Literal

from jaxtyping import Float
from numpyro.distributions import Distribution, constraints

from vae_jax.distributions.diffusion import Diffusion
from vae_jax.errors import UserError
from vae_jax.posteriors._schedules import SCHEDULES, falling
from vae_jax.types import Array, Batch, Params, Posterior, Spec


def diffused(
    spec: Spec,
    *,
    steps: Annotated[int, constraints.positive_integer] = 1000,
    schedule: Literal["linear", "cosine", "learned"] = "linear",
    gamma_min: float = -13.3,
    gamma_max: float = 5.0,
    size: Annotated[int | None, constraints.positive_integer] = None,
) -> Posterior:
    """q(z_T | x) prod_t q(z_t-1 | z_t, x), x in more and more noise (Kingma et al. 2021, VDM).

    z_t ~ N(alpha_t x, sigma_t^2 I) at t = T, ..., 0, T = `steps`: T + 1 layers, the noisiest first,
    whose sizes need not be said. alpha_t^2 + sigma_t^2 = 1, and gamma_t = log sigma_t^2 / alpha_t^2
    rises from `gamma_min` to `gamma_max`, evenly, as a cosine, or as is learned, ends too. With
    `encoder=identity` it is the posterior of a diffusion model, and nothing of it is learned; of
    another encoder, which gives `size` numbers in place of x (None: as many as x has), it is that
    of latent diffusion. Its prior is `denoising`.

    Raises:
        UserError: if `gamma_min` is not below `gamma_max`.
    """
    if not gamma_min < gamma_max:
        raise UserError(f"gamma_min={gamma_min} is not below gamma_max={gamma_max}")
    size, ends = size or math.prod(spec.x_shape), (gamma_min, gamma_max)
    chosen = SCHEDULES[schedule]

    def init(key: Array, batch: Batch) -> Params:
        return chosen.init(*ends)

    def gamma(params: Params) -> Array:
        return falling(chosen, params["posterior"], steps, ends)

    def distribution(params: Params, features: Float[Array, "*batch features"]) -> Distribution:
        return Diffusion(features, gamma(params))

    return Posterior(size, init, distribution, (size,) * (steps + 1), gamma)
