"""Active units: the dimensions of z whose mean depends on x."""

from typing import NamedTuple

import numpy as np

from vae_jax.standard_errors import standard_error
from vae_jax.types import Array

ACTIVE = 0.01  # of the variance over examples of E[z | x] (Burda et al. 2016, section 5.1)


class Variances(NamedTuple):
    """Var_x E[z_j | x] of each dimension, `[latent_dim]`, and its standard error over examples."""

    value: np.ndarray
    error: np.ndarray


def halves(means: Array) -> Array:
    """The means over the two halves of draws `[draws, latent_dim]`, `[2, latent_dim]`."""
    return means.reshape(2, len(means) // 2, -1).mean(1)


def products(halves: np.ndarray) -> np.ndarray:
    """The terms `[n, latent_dim]` whose mean over examples is Var_x E[z_j | x].

    They are the products of the two halves' distances from their means, whose noise, of other
    draws, is independent: it adds nothing in expectation.

    Args:
        halves: means of two halves of the draws, `[n, 2, latent_dim]`; where E[z | x] is known both
            are that.
    """
    apart = halves - halves.mean(0)
    return apart[:, 0] * apart[:, 1]


def variances(products: np.ndarray) -> Variances:
    """Those that `products` `[n, latent_dim]` are the terms of."""
    return Variances(products.mean(0), standard_error(products))
