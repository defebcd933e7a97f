from typing import Any

import jax
import jax.numpy as jnp
from numpyro.distributions import Distribution

from vae_jax.distributions.normal_mixture import NormalMixture
from vae_jax.errors import UserError
from vae_jax.types import Array, Batch, Params, Prior, Spec


def mixture(spec: Spec, *, components: int = 10) -> Prior:
    """p(z) = sum_c w_c N(z; m_c, diag(s_c^2)), weights, means and scales learned.

    The mixture-of-Gaussians prior of Tomczak & Welling 2018, section 2. It starts from means
    drawn from N(0, I), scales of one and equal weights. KL(q || p) has no closed form.

    Raises:
        UserError: if `components` is not positive.
    """
    if components < 1:
        raise UserError(f"components={components}: at least 1 is needed")
    shape = (components, spec.latent_dim)

    def init(key: Array, batch: Batch) -> Params:
        del batch
        zeros = {"log_scale": jnp.zeros(shape), "logits": jnp.zeros(components)}
        return {"loc": jax.random.normal(key, shape), **zeros}

    def distribution(params: Params, given: Any = None) -> Distribution:
        own = params["prior"]
        return NormalMixture(own["logits"], own["loc"], jnp.exp(own["log_scale"]))

    return Prior(init, distribution)
