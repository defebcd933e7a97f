from typing import Annotated

from numpyro.distributions import constraints

from vae_jax.networks._convolutional import convolutional
from vae_jax.types import Network, Shape


def resnet(
    in_shape: Shape,
    out_shape: Shape,
    *,
    channels: tuple[Annotated[int, constraints.positive_integer], ...] = (32, 64),
    blocks: Annotated[int, constraints.positive_integer] = 2,
    kernel: Annotated[int, constraints.positive_integer] = 3,
    activation: str = "silu",
) -> Network:
    """`conv` with `blocks` residual blocks after each halving (He et al. 2016, arXiv:1603.05027).

    x + g(x), g two convolutions behind activations, 0 at the start, so that no normalization is
    needed.

    Raises:
        UserError: if neither side is an image, there are no channels, or no such activation.
    """
    return convolutional(in_shape, out_shape, channels, kernel, blocks, activation)
