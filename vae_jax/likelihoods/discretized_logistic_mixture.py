from typing import Annotated

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float
from numpyro.distributions import Distribution, constraints

from vae_jax.distributions.discretized_logistic_mixture import DiscretizedLogisticMixture
from vae_jax.distributions.flat import Flat
from vae_jax.flows.scales import softplus
from vae_jax.likelihoods._levels import on_levels
from vae_jax.types import Array, Likelihood, Params, Spec, no_params

FLOOR = 0.1  # of the scales, in half widths of a bin: sharper than that is no better


def discretized_logistic_mixture(
    spec: Spec,
    *,
    components: Annotated[int, constraints.positive_integer] = 5,
    levels: Annotated[int, constraints.integer_greater_than(2)] = 256,
) -> Likelihood:
    """p(x | z) = prod_d sum_k w_dk P(x_d; m_dk, s_dk), a mass on the levels 0, ..., levels - 1.

    P is the logistic density's mass on a level's bin, the bins at the edges taking the tails
    (Salimans et al. 2017, eq. 2, without their dependence between colours). The decoder gives
    3 x components numbers per element: logits of w, m less the component's start, the starts
    being spread evenly over the levels, and a of s = softplus(a) + a tenth of half a bin.
    """
    starts = np.float32((2 * np.arange(components) + 1) / components - 1)

    def distribution(
        params: Params, features: Float[Array, "*batch_and_x features"]
    ) -> Distribution:
        del params
        each = jnp.unstack(features, axis=-1)  # XLA vectorizes them apart, not along a short axis
        logits, locs, a = (each[i * components : (i + 1) * components] for i in range(3))
        scales = [softplus(x) + FLOOR / (levels - 1) for x in a]
        base = DiscretizedLogisticMixture(
            jnp.stack(logits, -1), jnp.stack(locs, -1) + starts, jnp.stack(scales, -1), levels
        )
        return Flat(base, len(spec.x_shape))

    return Likelihood(3 * components, no_params, distribution, **on_levels(levels))
