from vae_jax.datasets._making import Binarize, Values
from vae_jax.datasets.tfds import tfds
from vae_jax.types import Dataset


def kmnist(
    *,
    binarize: Binarize = "dynamic",
    values: Values = "greys",
    validation: int | float = 1_000,
) -> Dataset:
    """60,000 and 10,000 cursive Japanese characters, 28 x 28 greys (Clanuwat et al. 2018).

    `binarize` is none, static (x > 0.5) or dynamic (Bernoulli(x) at every presentation). If none,
    `values` may be greys, levels, the integers 0 to 255, or dequantized, (level + u) / 256.
    `validation` examples (count or fraction) of the training set are held out.
    """
    return tfds(name="kmnist", binarize=binarize, values=values, validation=validation)
