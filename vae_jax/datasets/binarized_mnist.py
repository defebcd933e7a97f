from vae_jax.datasets.tfds import tfds
from vae_jax.types import Dataset


def binarized_mnist() -> Dataset:
    """MNIST in the one fixed binarization of Larochelle & Murray 2011.

    Train, validation and test are the published 50,000, 10,000 and 10,000. Results are not
    comparable with those on dynamic binarization, which are about 2 nats better.
    """
    return tfds(name="binarized_mnist", scale=1.0)  # it is stored as 0 and 1
