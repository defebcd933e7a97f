from vae_jax.networks._convolutional import convolutional
from vae_jax.types import Network, Shape


def conv(
    in_shape: Shape,
    out_shape: Shape,
    *,
    channels: tuple[int, ...] = (32, 64),
    kernel: int = 3,
    activation: str = "relu",
) -> Network:
    """Strided convolutions, halving the image at each; as a decoder the same mirrored.

    Where the inputs are images it encodes, where the outputs are it decodes; sizes that are no
    multiple of 2 are padded up and cropped.

    Raises:
        UserError: if neither side is an image, there are no channels, or no such activation.
    """
    return convolutional(in_shape, out_shape, channels, kernel, 0, activation)
