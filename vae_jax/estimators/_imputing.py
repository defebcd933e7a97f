"""Missing values by importance-weighted draws of z, given what was observed."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from numpyro.distributions import Distribution

from vae_jax.estimators.importance import draw_weights
from vae_jax.types import Array, Batch, Model, Params

OF_CHOICE, OF_X = 2**32 - 3, 2**32 - 4  # the numbers of other keys than those of z, from 0


class Imputed(NamedTuple):
    """x with values for those that were not observed; the others are as they were."""

    mean: Array  # [batch, *x_shape], E[x_missing | x_observed]
    draws: Array  # [batch, num_draws, *x_shape], x_missing ~ p(x_missing | x_observed)
    effective_sample_size: Array  # [batch], draws that the weights are worth


def impute(
    model: Model,
    params: Params,
    keys: Array,
    batch: Batch,
    *,
    num_samples: int,
    num_draws: int,
    rows: int,
) -> Imputed:
    """E[x_m | x_o] and draws of p(x_m | x_o), x_o observed and x_m not (Mattei & Frellsen 2019).

    With z_k ~ q(z | x_o) and w_k = p(x_o | z_k) p(z_k) / q(z_k | x_o) the mean is
    sum_k w_k E[x_m | z_k] / sum_k w_k, and a draw is x_m ~ p(x_m | z_k) of a k drawn in
    proportion to w_k. Both are consistent in K = `num_samples`.

    Args:
        model: the model.
        params: its parameters.
        keys: one for each example, `[batch]`.
        batch: with `observed`.
        num_samples: K.
        num_draws: of p(x_m | x_o).
        rows: draws times examples that are decoded at a time; speed and memory, not results.
    """
    weights = draw_weights(model, params, keys, batch, range(num_samples), rows)
    log_w = weights.log_weight.T  # [batch, K]
    chunk = min(num_samples, max(1, rows // len(batch.x)))
    each = jax.vmap(partial(_of_one, model, params, num_draws=num_draws, chunk=chunk))
    mean, draws = each(keys, batch, log_w)
    share = jax.nn.softmax(log_w, -1)
    return Imputed(mean, draws, 1 / (share**2).sum(-1))


def _of_one(
    model: Model,
    params: Params,
    key: Array,
    example: Batch,
    log_w: Array,
    num_draws: int,
    chunk: int,
) -> tuple[Array, Array]:
    """The mean and the draws of one example, of log weights `[K]`."""
    q, given = model.encode(params, example), example.conditions

    def decoded(k: Array) -> Distribution:
        z = q.sample_with_intermediates(jax.random.fold_in(key, k))[0]
        return model.decode(params, z, *given)

    def weighted(total: Array, part: tuple[Array, Array]) -> tuple[Array, None]:
        k, share = part
        means = jax.vmap(lambda k: decoded(k).mean)(k)
        return total + jnp.tensordot(share, means, 1), None

    def draw(k: Array, m: Array) -> Array:
        x_key = jax.random.fold_in(jax.random.fold_in(key, OF_X), m)
        return decoded(k).sample(x_key).astype(example.x.dtype)

    count = -(-len(log_w) // chunk)  # of chunks, the last one filled up with shares of 0
    shares = jnp.pad(jax.nn.softmax(log_w), (0, count * chunk - len(log_w)))
    numbers = jnp.arange(count * chunk).reshape(count, chunk)
    start = jnp.zeros(example.x.shape)
    mean, _ = jax.lax.scan(weighted, start, (numbers, shares.reshape(count, chunk)))
    chosen = jax.random.categorical(jax.random.fold_in(key, OF_CHOICE), log_w, shape=(num_draws,))
    draws = jax.vmap(draw)(chosen, jnp.arange(num_draws))
    seen = jnp.ones(example.x.shape, bool) if example.observed is None else example.observed
    return jnp.where(seen, example.x, mean), jnp.where(seen, example.x, draws)
