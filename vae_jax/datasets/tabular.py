from typing import Literal

import sklearn.datasets

from vae_jax.datasets._making import shuffled_dataset
from vae_jax.types import Dataset


def tabular(
    *,
    name: Literal["wine", "breast_cancer", "diabetes", "iris"] = "wine",
    validation: int | float = 0.1,
    test: int | float = 0.2,
) -> Dataset:
    """A table that scikit-learn ships (originally the UCI repository's), `[columns]` real numbers.

    Each column less its mean, over its standard deviation, both of the training split: x has no
    unit. Rows: wine 178 of 13 columns, breast_cancer 569 of 30, diabetes 442 of 10, iris 150 of 4.
    `test` and `validation` are counts or fractions, held out after a shuffle that is always the
    same; labels are classes, except diabetes', which are a measure of the disease.
    """
    bunch = getattr(sklearn.datasets, f"load_{name}")()
    sizes = (validation, test)
    return shuffled_dataset(name, bunch.data, bunch.target, sizes, standardize=True)
