from typing import Annotated, Any

import jax
import jax.numpy as jnp
from numpyro.distributions import Distribution, constraints

from vae_jax.distributions.normal_mixture import NormalMixture
from vae_jax.flows.scales import scale_of
from vae_jax.types import Array, Batch, Params, Prior, Spec


def mixture(spec: Spec, *, components: Annotated[int, constraints.positive_integer] = 10) -> Prior:
    """p(z) = sum_c w_c N(z; m_c, diag(s_c^2)), weights, means and scales learned.

    The mixture-of-Gaussians prior of Tomczak & Welling 2018, section 2. It starts from means
    drawn from N(0, I), scales of one and equal weights. KL(q || p) has no closed form.
    """
    shape = (components, spec.latent_dim)

    def init(key: Array, batch: Batch) -> Params:
        del batch
        zeros = {"log_scale": jnp.zeros(shape), "logits": jnp.zeros(components)}
        return {"loc": jax.random.normal(key, shape), **zeros}

    def distribution(params: Params, given: Any = None) -> Distribution:
        branch = params["prior"]
        return NormalMixture(branch["logits"], branch["loc"], scale_of(branch["log_scale"]))

    return Prior(init, distribution)
