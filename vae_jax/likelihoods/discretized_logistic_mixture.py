import jax
import jax.numpy as jnp
import numpy as np
from numpyro.distributions import Distribution

from vae_jax.distributions.discretized_logistic_mixture import DiscretizedLogisticMixture
from vae_jax.distributions.flat import Flat
from vae_jax.errors import UserError
from vae_jax.likelihoods._levels import on_levels
from vae_jax.types import Array, Likelihood, Params, Spec, no_params

FLOOR = 0.1  # of the scales, in half widths of a bin: sharper than that is no better


def discretized_logistic_mixture(
    spec: Spec, *, components: int = 5, levels: int = 256
) -> Likelihood:
    """p(x | z) = prod_d sum_k w_dk P(x_d; m_dk, s_dk), a mass on the levels 0, ..., levels - 1.

    P is the logistic density's mass on a level's bin, the bins at the edges taking the tails
    (Salimans et al. 2017, eq. 2, without their dependence between colours). The decoder says
    3 x components numbers per element: logits of w, m less the component's start, the starts
    being spread evenly over the levels, and a of s = softplus(a) + a tenth of half a bin.

    Raises:
        UserError: if there are no components or fewer than two levels.
    """
    if components < 1:
        raise UserError(f"components={components}: at least 1 is needed")
    starts = np.float32((2 * np.arange(components) + 1) / components - 1)

    def distribution(params: Params, features: Array) -> Distribution:
        del params
        logits, loc, a = jnp.split(features, 3, -1)
        scale = jax.nn.softplus(a) + FLOOR / (levels - 1)
        base = DiscretizedLogisticMixture(logits, loc + starts, scale, levels)
        return Flat(base, len(spec.x_shape))

    return Likelihood(3 * components, no_params, distribution, **on_levels(levels))
