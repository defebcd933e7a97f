from typing import Annotated

from numpyro.distributions import constraints
from sklearn.datasets import make_moons

from vae_jax.datasets._making import make_dataset
from vae_jax.datasets._splitting import shuffled_splits
from vae_jax.types import Dataset


def two_moons(
    *,
    noise: Annotated[float, constraints.nonnegative] = 0.1,
    size: Annotated[int, constraints.positive_integer] = 12_000,
    validation: int | float = 1_000,
    test: int | float = 1_000,
    seed: Annotated[int, constraints.nonnegative_integer] = 0,
) -> Dataset:
    """Two interleaved half circles in the plane with normal noise, scikit-learn's `make_moons`."""
    x, labels = make_moons(size, noise=noise, random_state=seed)
    splits, by_split = shuffled_splits(x.astype("float32"), validation, test, labels)
    return make_dataset(splits, labels=by_split)
