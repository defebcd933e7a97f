from typing import Annotated

from numpyro.distributions import constraints

from vae_jax.datasets._making import Binarize, Values
from vae_jax.datasets.tfds import tfds
from vae_jax.types import Dataset


def mnist(
    *,
    binarize: Binarize = "dynamic",
    values: Values = "greys",
    validation: int | float = 1_000,
    train: Annotated[int, constraints.nonnegative_integer] = 0,
) -> Dataset:
    """60,000 and 10,000 handwritten digits, 28 x 28 greys (LeCun, Cortes & Burges 1998).

    `binarize` is none, static (x > 0.5) or dynamic (Bernoulli(x) at every presentation). If none,
    `values` may be greys, levels, the integers 0 to 255, or dequantized, (level + u) / 256.
    `validation` examples (count or fraction) of the training set are held out; of the others the
    first `train` are trained on, all of them if 0.
    """
    return tfds(name="mnist", binarize=binarize, values=values, validation=validation, train=train)
