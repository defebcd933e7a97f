import jax.numpy as jnp
import numpy as np
from numpyro.distributions import Categorical, MixtureSameFamily, Normal

from vae_jax.datasets._making import generator, make_dataset, shuffled_splits
from vae_jax.errors import UserError
from vae_jax.types import Dataset


def gaussian_mixture(
    *,
    components: int = 8,
    radius: float = 2.0,
    scale: float = 0.2,
    size: int = 12_000,
    validation: int | float = 1_000,
    test: int | float = 1_000,
    seed: int = 0,
) -> Dataset:
    """Equal round normals on a circle in the plane, log p(x) known.

    Raises:
        UserError: if a size or the scale is not positive.
    """
    if min(components, size, scale) <= 0:
        raise UserError(f"components={components}, size={size}, scale={scale}: must be positive")
    rng = generator(seed)
    angles = 2 * np.pi * np.arange(components) / components
    means = radius * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    labels = rng.integers(components, size=size)
    x = (means[labels] + scale * rng.normal(size=(size, 2))).astype(np.float32)
    normals = Normal(jnp.asarray(means), scale).to_event(1)
    density = MixtureSameFamily(Categorical(logits=jnp.zeros(components)), normals)
    splits, test_labels = shuffled_splits(x, validation, test, labels)
    return make_dataset(splits, log_prob=density.log_prob, labels=test_labels)
