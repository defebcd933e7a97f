from vae_jax.errors import UserError
from vae_jax.networks._convolutional import convolutional
from vae_jax.types import Network, Shape


def resnet(
    in_shape: Shape,
    out_shape: Shape,
    *,
    channels: tuple[int, ...] = (32, 64),
    blocks: int = 2,
    kernel: int = 3,
    activation: str = "silu",
) -> Network:
    """`conv` with `blocks` residual blocks after each halving (He et al. 2016, arXiv:1603.05027).

    x + g(x), g two convolutions behind activations, 0 at the start, so that no normalization is
    needed.

    Raises:
        UserError: if neither side is an image, there are no channels, or no such activation.
    """
    if blocks < 1:
        raise UserError(f"blocks={blocks}: at least 1 is needed, conv has none")
    return convolutional(in_shape, out_shape, channels, kernel, blocks, activation)
