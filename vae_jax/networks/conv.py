from typing import Annotated

from numpyro.distributions import constraints

from vae_jax.networks._convolutional import convolutional
from vae_jax.types import Network, Shape


def conv(
    in_shape: Shape,
    out_shape: Shape,
    *,
    channels: tuple[Annotated[int, constraints.positive_integer], ...] = (32, 64),
    kernel: Annotated[int, constraints.positive_integer] = 3,
    activation: str = "relu",
) -> Network:
    """Strided convolutions, halving the image at each; as a decoder the same mirrored.

    Where the inputs are images it encodes, where the outputs are it decodes; sizes that are no
    multiple of 2 are padded up and cropped.

    Raises:
        UserError: if neither side is an image, there are no channels, or no such activation.
    """
    return convolutional(in_shape, out_shape, channels, kernel, 0, activation)
