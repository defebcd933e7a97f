from sklearn.datasets import make_moons

from vae_jax.datasets._making import make_dataset, shuffled_splits
from vae_jax.errors import UserError
from vae_jax.types import Dataset


def two_moons(
    *,
    noise: float = 0.1,
    size: int = 12_000,
    validation: int | float = 1_000,
    test: int | float = 1_000,
    seed: int = 0,
) -> Dataset:
    """Two interleaved half circles in the plane with normal noise, scikit-learn's `make_moons`.

    Raises:
        UserError: if the size is not positive, or the noise or the seed negative.
    """
    if size < 1 or noise < 0 or seed < 0:
        raise UserError(f"size={size}, noise={noise}, seed={seed}: must be positive")
    x, labels = make_moons(size, noise=noise, random_state=seed)
    splits, test_labels = shuffled_splits(x.astype("float32"), validation, test, labels)
    return make_dataset(splits, labels=test_labels)
