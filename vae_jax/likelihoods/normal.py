from typing import Annotated, Literal

from numpyro.distributions import Normal, constraints

from vae_jax.likelihoods._scales import Scale, location_scale
from vae_jax.types import Likelihood, Spec


def normal(
    spec: Spec,
    *,
    scale: Annotated[Scale | Literal["optimal"], constraints.positive] = "learned",
    min_scale: Annotated[float, constraints.nonnegative] = 1e-3,
) -> Likelihood:
    """p(x | z) = prod_d N(x_d; loc_d(z), s^2), a density on the reals, s in the units of x.

    `scale` is a number, or `"learned"`: one scalar for all elements, min_scale + exp(log_scale),
    or `"learned_per_element"`, or `"predicted"`: the decoder gives a second number per element. A
    learned scale has a floor: without it an element that never changes, as a corner pixel, makes
    the likelihood unbounded. `"optimal"` is sigma-VAE's maximum-likelihood solution, s^2 = the
    mean squared error (Rybkin et al. 2021): a running average over training batches, without
    gradient, and as fixed as any other number where p(x | z) is evaluated.

    Raises:
        UserError: if a predicted or an optimal scale has no positive floor.
    """
    return location_scale(spec, Normal, scale, min_scale)
