from typing import Annotated

import numpy as np
from numpyro.distributions import constraints

from vae_jax.datasets._making import make_dataset
from vae_jax.datasets._splitting import shuffled_splits
from vae_jax.types import Dataset


def pinwheel(
    *,
    arms: Annotated[int, constraints.positive_integer] = 5,
    radial_scale: Annotated[float, constraints.positive] = 0.3,
    tangential_scale: Annotated[float, constraints.positive] = 0.1,
    rate: float = 0.25,
    size: Annotated[int, constraints.positive_integer] = 12_000,
    validation: int | float = 1_000,
    test: int | float = 1_000,
    seed: Annotated[int, constraints.nonnegative_integer] = 0,
) -> Dataset:
    """Normal arms around the origin, bent by exp(radius) (Johnson et al. 2016, figure 1)."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(arms, size=size)
    radius = 1 + radial_scale * rng.normal(size=size)
    tangent = tangential_scale * rng.normal(size=size)
    angle = 2 * np.pi * labels / arms + rate * np.exp(radius)
    turn = np.stack([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    x = np.einsum("ijn,jn->ni", turn, np.stack([radius, tangent])).astype(np.float32)
    splits, by_split = shuffled_splits(x, validation, test, labels)
    return make_dataset(splits, labels=by_split)
