import math

from vae_jax.errors import UserError
from vae_jax.types import Network, Shape


def identity(in_shape: Shape, out_shape: Shape) -> Network:
    """Its input, in the shape of its output: the encoder and the decoder of a diffusion model.

    Raises:
        UserError: if the two have not as many numbers.
    """
    if math.prod(in_shape) != math.prod(out_shape):
        sizes = f"{math.prod(in_shape)} numbers come in and {math.prod(out_shape)} are asked for"
        raise UserError(f"{sizes}: identity cannot change that")
    return Network(
        lambda key: {}, lambda params, x: x.reshape(*x.shape[: x.ndim - len(in_shape)], *out_shape)
    )
