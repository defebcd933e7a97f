"""The one primitive: log weights of draws z ~ q(z | x), which bounds and estimators reduce."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from numpyro.distributions import Distribution

from vae_jax.types import Array, Model, Params


class LogWeights(NamedTuple):
    """The three terms of log w = log p(x|z) + log p(z) - log q(z|x), nats, `[num_samples, ...]`."""

    log_likelihood: Array
    log_prior: Array
    log_posterior: Array

    @property
    def log_weight(self) -> Array:
        """log p(x, z) - log q(z | x), nats; its mean over draws is an unbiased ELBO."""
        return self.log_likelihood + self.log_prior - self.log_posterior


def log_weights(
    model: Model,
    params: Params,
    key: Array,
    x: Array,
    num_samples: int = 1,
    *,
    first: Array | int = 0,
    only_path: bool = False,
    path_scale: Array | None = None,
) -> LogWeights:
    """The log weights of `num_samples` draws z ~ q(z | x): ELBO, IWAE and log p(x) reduce them.

    Draw k uses `fold_in(key, k)`, so that the first draws of many are the draws of few. The last
    two arguments change no value, only gradients.

    Args:
        model: the model.
        params: its parameters.
        key: one key, or an array of keys, one per leading axis of x (one per example).
        x: `[..., *x_shape]`.
        num_samples: draws per example.
        first: the number of the first draw, where they are made in several calls.
        only_path: hold the parameters of log q(z | x) constant, but not its z.
        path_scale: `[num_samples, ...]`, what the gradient through each draw is multiplied by.

    Returns:
        Three terms, each `[num_samples, ...]`.
    """
    key = typed(key)
    if key.ndim:
        one = partial(log_weights, model, params, num_samples=num_samples, first=first)
        along = partial(one, only_path=only_path)
        each = jax.vmap(lambda k, x, s: along(k, x, path_scale=s), (0, 0, 1), out_axes=1)
        return each(key, x, path_scale)
    q = model.encode(params, x)
    density = model.encode(jax.lax.stop_gradient(params), x) if only_path else None
    return weigh(
        model, params, q, key, x, num_samples, first=first, density=density, path_scale=path_scale
    )


def typed(key: Array) -> Array:
    """The key as `jax.random.key` makes it, also where it is an old `PRNGKey`."""
    is_typed = jnp.issubdtype(key.dtype, jax.dtypes.prng_key)
    return key if is_typed else jax.random.wrap_key_data(key)


def weigh(
    model: Model,
    params: Params,
    q: Distribution,
    key: Array,
    x: Array,
    num_samples: int = 1,
    *,
    first: Array | int = 0,
    density: Distribution | None = None,
    path_scale: Array | None = None,
) -> LogWeights:
    """`log_weights` for one key where q(z | x) is known already, so that x is encoded once.

    `density` is a q whose density is taken in place of that of the q which z is drawn from.
    """
    prior = model.prior(params)

    def draw(k: Array | int, scale: Array | None) -> LogWeights:
        z, intermediates = q.sample_with_intermediates(jax.random.fold_in(key, k))
        z = z if scale is None else _scale_gradient(z, scale[..., None])
        log_q = q.log_prob(z, intermediates) if intermediates else (density or q).log_prob(z)
        if intermediates and (density is not None or scale is not None):
            by_z = (density or q).log_prob(z)  # for its gradient: what is known of a draw is exact
            log_q = by_z + jax.lax.stop_gradient(log_q - by_z)
        return LogWeights(model.decode(params, z).log_prob(x), prior.log_prob(z), log_q)

    if num_samples == 1:  # under vmap XLA would transpose for a draw axis of length 1: 5% of a step
        scale = None if path_scale is None else path_scale[0]
        return jax.tree.map(lambda term: term[None], draw(first, scale))
    return jax.vmap(draw)(first + jnp.arange(num_samples), path_scale)


@jax.custom_vjp
def _scale_gradient(z: Array, scale: Array) -> Array:
    """z, through which gradients go multiplied by `scale`."""
    return z


_scale_gradient.defvjp(lambda z, scale: (z, scale), lambda scale, g: (scale * g, None))
