from typing import Annotated

import numpy as np
from numpyro.distributions import constraints

from vae_jax.datasets._making import make_dataset
from vae_jax.datasets._splitting import shuffled_splits
from vae_jax.types import Dataset


def gene_counts(
    *,
    x_dim: Annotated[int, constraints.positive_integer] = 50,
    z_dim: Annotated[int, constraints.positive_integer] = 2,
    dispersion: Annotated[float, constraints.positive] = 2.0,
    loss: Annotated[float, constraints.nonnegative, constraints.less_than(1.0)] = 0.2,
    size: Annotated[int, constraints.positive_integer] = 6_000,
    validation: int | float = 500,
    test: int | float = 1_000,
    seed: Annotated[int, constraints.nonnegative_integer] = 0,
) -> Dataset:
    """Simulated counts as of genes in cells: x = kept * NB(exp(Wz + b), dispersion), integers.

    z ~ N(0, I), W ~ N(0, 1/2) / sqrt(z_dim), b ~ N(1, 1), all by `seed`, and each count is lost,
    set to 0, with probability `loss`: the model of scVI without its library sizes (Lopez et al.
    2018), loading W being linear.
    """
    rng = np.random.default_rng(seed)
    W, b = rng.normal(size=(x_dim, z_dim)) / np.sqrt(2 * z_dim), rng.normal(1, 1, size=x_dim)
    mean = np.exp(rng.normal(size=(size, z_dim)) @ W.T + b)
    counts = rng.negative_binomial(dispersion, dispersion / (dispersion + mean))
    x = np.where(rng.uniform(size=mean.shape) < loss, 0, counts).astype(np.float32)
    return make_dataset(shuffled_splits(x, validation, test)[0])
