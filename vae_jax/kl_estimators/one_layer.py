from typing import Literal

import jax
import jax.numpy as jnp
from numpyro.distributions import Distribution

from vae_jax.distributions.diffusion import Diffusion
from vae_jax.distributions.markov_chain import MarkovChain
from vae_jax.divergences.layers import have_layers, kl_of_layer
from vae_jax.kl_estimators._draws import at_least_one, mean_and_error
from vae_jax.kl_estimators.by_layer import by_layer
from vae_jax.types import Array, Estimate, of_batches


@of_batches
def one_layer(
    key: Array,
    q: Distribution,
    p: Distribution,
    num_samples: int,
    *,
    weighting: Literal["elbo", "simple"] = "elbo",
) -> Estimate:
    """KL of the top layer + T E_l KL(q(z_l | z_l-1, x) || p(z_l | z_l-1)), l one of T at random.

    The training of a diffusion model (Kingma et al. 2021, VDM, eq. 13): the marginals of q are
    known, so that a draw costs one layer, not all. Unbiased; the layers of all examples and draws
    are stratified, u, u + 1/n, ... of one uniform u (VDM, appendix I.1). With `weighting="simple"`
    the value is the same, and its gradient that of |e - e^|^2 in every layer (Ho et al. 2020, DDPM,
    eq. 14). Where the marginals are not known it is `by_layer`.

    Returns:
        nats, `[...]`; the standard error, NaN for K = 1, is that of independent draws.
    """
    known = isinstance(q, Diffusion) and isinstance(p, MarkovChain) and have_layers(q, p)
    if not known or len(q.sizes) == 1:
        return by_layer(key, q, p, num_samples)
    layer_key, z_key = jax.random.split(key)
    T, shape = len(q.sizes) - 1, (at_least_one(num_samples), *q.batch_shape)
    layer = 1 + _stratified(layer_key, shape, T)
    above = q.marginal(layer - 1).sample(z_key)
    kl = T * kl_of_layer(q, p, layer, above)
    if weighting == "simple":
        scaled = kl * q.simple_weight(layer)
        kl = jax.lax.stop_gradient(kl - scaled) + scaled
    return mean_and_error(kl_of_layer(q, p, 0, None) + kl)


def _stratified(key: Array, shape: tuple[int, ...], count: int) -> Array:
    """Whole numbers below `count`, evenly spread along the examples and, for each, its draws."""
    n = jnp.zeros(shape).size
    spread = jax.random.uniform(key) + jnp.arange(n).reshape(shape) / n
    return jnp.minimum((spread % 1 * count).astype(int), count - 1)
