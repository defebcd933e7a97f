"""Cauchy, also as Student's t of one degree of freedom."""

import jax.numpy as jnp
import numpy as np
from numpyro.distributions import Cauchy, StudentT, kl_divergence

from vae_jax.divergences.provable import same
from vae_jax.types import Array

_KINDS = (Cauchy, StudentT)


@kl_divergence.register(_KINDS, _KINDS)
def cauchy_cauchy(q: Cauchy | StudentT, p: Cauchy | StudentT) -> Array:
    """log (((s + t)^2 + (m - n)^2) / 4st) of locations m, n and scales s, t, nats, `[...]`.

    Chyzak & Nielsen 2019 (arXiv:1905.10965); as log(1 + ((s - t)^2 + (m - n)^2) / 4st).

    Raises:
        NotImplementedError: for degrees of freedom that are not known to be 1.
    """
    if not all(_is_cauchy(d) for d in (q, p)):
        raise NotImplementedError
    root = jnp.sqrt(q.scale) * jnp.sqrt(p.scale)
    x, y = (q.scale - p.scale) / root, (q.loc - p.loc) / root
    return jnp.log1p((x**2 + y**2) / 4)


def _is_cauchy(d: Cauchy | StudentT) -> bool:
    return isinstance(d, Cauchy) or same(d.df, np.ones(jnp.shape(d.df)))
