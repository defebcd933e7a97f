from typing import Annotated, Any, Literal

import jax
import jax.numpy as jnp
from numpyro.distributions import Distribution, constraints

from vae_jax.config.components import Family, Part
from vae_jax.distributions.diffusion import Denoising, scales
from vae_jax.errors import UserError
from vae_jax.networks._joined import joined
from vae_jax.types import Array, Batch, Params, Prior, Shape, Spec

Count = Annotated[int, constraints.nonnegative_integer]


def denoising(
    spec: Spec,
    *,
    network: Annotated[Part, Family("networks")] = "mlp(hidden=(256, 256), activation='silu')",
    predicts: Literal["noise", "data", "velocity"] = "noise",
    time_frequencies: Count = 6,
    data_frequencies: tuple[Count, ...] = (),
) -> Prior:
    """N(z_T; 0, I) prod_t p(z_t-1 | z_t), a diffusion's q(z_t-1 | z_t, x) with a guess of x.

    The guess x^ of a `network` of z_t and t (Ho et al. 2020; Kingma et al. 2021, VDM) is made of
    what it `predicts`: the noise e, the data x, or alpha e - sigma x (Salimans & Ho 2022). It adds
    to alpha_t z_t, which is right where x is N(0, I), and starts there, with 0. t comes as itself
    and as sin and cos of 2^k pi t, k < `time_frequencies`; z_t also as sin and cos of 2^k 2 pi z,
    k in `data_frequencies`. They are columns of a vector, or channels of an image. What is given,
    y, joins them: then it is p(z | y). The decoder sees z_0. The posterior is `diffused`, of any
    encoder.

    Raises:
        UserError: for another posterior.
    """
    if spec.noise is None:
        raise UserError("denoising undoes the noise of a posterior: posterior=diffused(steps=...)")
    size, noise = spec.sizes[0], spec.noise
    shape = spec.x_shape if _is_image(spec.x_shape, size) else (size,)
    width = shape[-1] * (1 + 2 * len(data_frequencies)) + 1 + 2 * time_frequencies
    given_shapes = () if spec.given_shape is None else (spec.given_shape,)
    guess = joined("float32", network, (*shape[:-1], width), shape, given_shapes)

    def init(key: Array, batch: Batch) -> Params:
        del batch
        return {"network": guess.init(key), "gain": jnp.zeros(size)}

    def denoise(arguments: Any, layer: Any, z: Array) -> Array:
        """x^ of z `[..., size]`; the layer's number is one, or one for each z."""
        branch, gamma, *given = arguments
        alpha, sigma = scales(gamma[layer][..., None])
        t = jnp.broadcast_to(1 - jnp.asarray(layer) / (len(gamma) - 1), z.shape[:-1])
        inputs = _beside_time(z, t, shape, time_frequencies, data_frequencies)
        output = branch["gain"] * guess.apply(branch["network"], inputs, *given).reshape(z.shape)
        scale = {"noise": -sigma / alpha, "data": jnp.ones(()), "velocity": -sigma}[predicts]
        return alpha * z + scale * output

    def distribution(params: Params, given: Any = None) -> Distribution:
        if given_shapes and given is None:
            raise UserError("p(z | y) needs y: model.prior(params, given)")
        gamma, others = noise(params), [given] if given_shapes else []
        return Denoising(denoise, (params["prior"], gamma, *others), gamma, size)

    return Prior(init, distribution, size)


def _is_image(x_shape: Shape, size: int) -> bool:
    return len(x_shape) == 3 and size == x_shape[0] * x_shape[1] * x_shape[2]


def _beside_time(
    z: Array, t: Array, shape: Shape, time_frequencies: int, data_frequencies: tuple[int, ...]
) -> Array:
    """z in its shape, waves of it, and those of t `[...]`, along the last axis."""
    z = z.reshape(*z.shape[:-1], *shape)
    waves = [2 * jnp.pi * 2**k * z for k in data_frequencies]
    angles = jnp.pi * 2.0 ** jnp.arange(time_frequencies) * t[..., None]
    times = jnp.concatenate([t[..., None], jnp.sin(angles), jnp.cos(angles)], -1)
    times = times.reshape(*t.shape, *[1] * (len(shape) - 1), times.shape[-1])
    times = jnp.broadcast_to(times, (*z.shape[:-1], times.shape[-1]))
    parts = [z, *map(jnp.sin, waves), *map(jnp.cos, waves), times]
    return jnp.concatenate(jax.tree.leaves(parts), -1)
