from vae_jax.datasets._making import Binarize, Values
from vae_jax.datasets.tfds import tfds
from vae_jax.types import Dataset


def omniglot(
    *,
    binarize: Binarize = "dynamic",
    values: Values = "greys",
    validation: int | float = 1_000,
) -> Dataset:
    """Handwritten characters of 50 alphabets (Lake et al. 2015), ink 1, scaled to 28 x 28.

    `binarize` is none, static (x > 0.5) or dynamic (Bernoulli(x) at every presentation). If none,
    `values` may be greys, levels, the integers 0 to 255, or dequantized, (level + u) / 256.
    `validation` examples (count or fraction) of the training set are held out.
    """
    return tfds(
        name="omniglot",
        binarize=binarize,
        values=values,
        validation=validation,
        size=28,
        grey=True,
        invert=True,
    )
