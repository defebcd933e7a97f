from typing import Annotated

import jax.numpy as jnp
import numpy as np
from numpyro.distributions import MultivariateNormal, constraints

from vae_jax.datasets._making import make_dataset, shuffled_splits
from vae_jax.types import Dataset


def linear_gaussian(
    *,
    x_dim: Annotated[int, constraints.positive_integer] = 8,
    z_dim: Annotated[int, constraints.positive_integer] = 2,
    scale: Annotated[float, constraints.positive] = 0.5,
    size: Annotated[int, constraints.positive_integer] = 12_000,
    validation: int | float = 1_000,
    test: int | float = 1_000,
    seed: Annotated[int, constraints.nonnegative_integer] = 0,
) -> Dataset:
    """x = Wz + b + s e with z, e ~ N(0, I): log p(x) = log N(x; b, WW' + s^2 I) is known.

    The model of probabilistic PCA (Tipping & Bishop 1999). W and b are drawn from N(0, 1) by
    `seed`, s is `scale`.
    """
    rng = np.random.default_rng(seed)
    W, b = rng.normal(size=(x_dim, z_dim)), rng.normal(size=x_dim)
    noise = scale * rng.normal(size=(size, x_dim))
    x = (rng.normal(size=(size, z_dim)) @ W.T + b + noise).astype(np.float32)
    covariance = jnp.asarray(W @ W.T + scale**2 * np.eye(x_dim))
    density = MultivariateNormal(jnp.asarray(b), covariance)
    return make_dataset(shuffled_splits(x, validation, test)[0], log_prob=density.log_prob)
