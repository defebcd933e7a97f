import numpy as np

from vae_jax.datasets._making import generator, make_dataset, shuffled_splits
from vae_jax.errors import UserError
from vae_jax.types import Dataset


def pinwheel(
    *,
    arms: int = 5,
    radial_scale: float = 0.3,
    tangential_scale: float = 0.1,
    rate: float = 0.25,
    size: int = 12_000,
    validation: int | float = 1_000,
    test: int | float = 1_000,
    seed: int = 0,
) -> Dataset:
    """Normal arms around the origin, bent by exp(radius) (Johnson et al. 2016, figure 1).

    Raises:
        UserError: if a number of arms or examples, or a scale, is not positive.
    """
    if min(arms, size, radial_scale, tangential_scale) <= 0:
        values = f"arms={arms}, size={size}, scales={radial_scale}, {tangential_scale}"
        raise UserError(f"{values}: each must be positive")
    rng = generator(seed)
    labels = rng.integers(arms, size=size)
    radius = 1 + radial_scale * rng.normal(size=size)
    tangent = tangential_scale * rng.normal(size=size)
    angle = 2 * np.pi * labels / arms + rate * np.exp(radius)
    turn = np.stack([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    x = np.einsum("ijn,jn->ni", turn, np.stack([radius, tangent])).astype(np.float32)
    splits, test_labels = shuffled_splits(x, validation, test, labels)
    return make_dataset(splits, labels=test_labels)
