from sklearn.datasets import load_digits

from vae_jax.datasets._making import Binarize, Values, shuffled_dataset
from vae_jax.types import Dataset


def digits(
    *,
    binarize: Binarize = "dynamic",
    values: Values = "greys",
    validation: int | float = 0.1,
    test: int | float = 0.2,
) -> Dataset:
    """1,797 handwritten digits, 8 x 8 with 17 greys (Alpaydin & Kaynak 1998), from scikit-learn.

    x is grey / 16, `[8, 8, 1]`, binarized; with binarize='none' `values` may be levels, integers
    0 to 16, or dequantized, (level + u) / 17. `test` and `validation` are counts or fractions,
    held out after a shuffle that is always the same.
    """
    bunch = load_digits()
    images = bunch.images.astype("uint8")[..., None]
    how = {"scale": 16.0, "binarize": binarize, "values": values}
    return shuffled_dataset("digits", images, bunch.target, (validation, test), **how)
