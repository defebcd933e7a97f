from vae_jax.networks.mlp import mlp
from vae_jax.types import Network, Shape


def linear(in_shape: Shape, out_shape: Shape) -> Network:
    """One affine map, y = Wx + b, inputs and outputs flattened.

    With `linear` both ways, a `normal` likelihood and the standard normal prior, the model is
    probabilistic PCA (Tipping & Bishop 1999; Lucas et al. 2019).
    """
    return mlp(in_shape, out_shape, hidden=())
