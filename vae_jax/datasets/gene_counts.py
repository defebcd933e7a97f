import numpy as np

from vae_jax.datasets._making import generator, make_dataset, shuffled_splits
from vae_jax.errors import UserError
from vae_jax.types import Dataset


def gene_counts(
    *,
    x_dim: int = 50,
    z_dim: int = 2,
    dispersion: float = 2.0,
    loss: float = 0.2,
    size: int = 6_000,
    validation: int | float = 500,
    test: int | float = 1_000,
    seed: int = 0,
) -> Dataset:
    """Simulated counts as of genes in cells: x = kept * NB(exp(Wz + b), dispersion), integers.

    z ~ N(0, I), W ~ N(0, 1/2) / sqrt(z_dim), b ~ N(1, 1), all by `seed`, and each count is lost,
    set to 0, with probability `loss`: the model of scVI without its library sizes (Lopez et al.
    2018), loading W being linear.

    Raises:
        UserError: if a size or the dispersion is not positive, or the loss no probability below 1.
    """
    if min(x_dim, z_dim, size, dispersion) <= 0 or not 0 <= loss < 1:
        values = f"x_dim={x_dim}, z_dim={z_dim}, size={size}, dispersion={dispersion}, loss={loss}"
        raise UserError(f"{values}: sizes and dispersion are positive, the loss in [0, 1)")
    rng = generator(seed)
    W, b = rng.normal(size=(x_dim, z_dim)) / np.sqrt(2 * z_dim), rng.normal(1, 1, size=x_dim)
    mean = np.exp(rng.normal(size=(size, z_dim)) @ W.T + b)
    counts = rng.negative_binomial(dispersion, dispersion / (dispersion + mean))
    x = np.where(rng.uniform(size=mean.shape) < loss, 0, counts).astype(np.float32)
    return make_dataset(shuffled_splits(x, validation, test)[0])
