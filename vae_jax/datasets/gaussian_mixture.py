from typing import Annotated

import jax.numpy as jnp
import numpy as np
from numpyro.distributions import Categorical, MixtureSameFamily, Normal, constraints

from vae_jax.datasets._making import make_dataset
from vae_jax.datasets._splitting import shuffled_splits
from vae_jax.types import Dataset


def gaussian_mixture(
    *,
    components: Annotated[int, constraints.positive_integer] = 8,
    radius: float = 2.0,
    scale: Annotated[float, constraints.positive] = 0.2,
    size: Annotated[int, constraints.positive_integer] = 12_000,
    validation: int | float = 1_000,
    test: int | float = 1_000,
    seed: Annotated[int, constraints.nonnegative_integer] = 0,
) -> Dataset:
    """Equal round normals on a circle in the plane, log p(x) known."""
    rng = np.random.default_rng(seed)
    angles = 2 * np.pi * np.arange(components) / components
    means = radius * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    labels = rng.integers(components, size=size)
    x = (means[labels] + scale * rng.normal(size=(size, 2))).astype(np.float32)
    normals = Normal(jnp.asarray(means), scale).to_event(1)
    density = MixtureSameFamily(Categorical(logits=jnp.zeros(components)), normals)
    splits, by_split = shuffled_splits(x, validation, test, labels)
    return make_dataset(splits, log_prob=density.log_prob, labels=by_split)
