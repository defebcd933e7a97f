from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
from jax.scipy.special import logsumexp

from vae_jax.errors import UserError
from vae_jax.types import Array, Model, Params
from vae_jax.weights import log_weights

LARGEST = 2**25  # draws of one example: its log weights and their sums take about 1 GiB


def importance(
    model: Model,
    params: Params,
    key: Array,
    x: Array,
    *,
    num_samples: int = 5000,
    bounds: tuple[int, ...] = (),
    rows: int = 2000,
) -> dict[str, Array]:
    """log p(x) by importance sampling from q(z | x), and what else the same draws say.

    log p^(x) = log 1/K sum_k w_k, w_k = p(x, z_k) / q(z_k | x) (Rezende et al. 2014, appendix E;
    Burda et al. 2016). Its expectation is a lower bound that tightens with K. The draws are made a
    chunk at a time, so that no more than about `rows` pass the decoder together.

    Args:
        model: the model.
        params: its parameters.
        key: one key per example, `[batch]`.
        x: `[batch, *x_shape]`.
        num_samples: K.
        bounds: the k for which IWAE_k is estimated too, each by the mean over the K // k groups
            of k draws.
        rows: draws times examples that are decoded at a time; speed and memory, not results.

    Returns:
        nats, `[batch]` each: `log_p`; `log_p_error`, its Monte Carlo standard error by the delta
        method, from the weights that were drawn: it knows nothing of what q(z|x) does not cover,
        and is too small where few weights dominate (NaN for K = 1); `log_likelihood` and
        `kl_sampled`, means over the draws of log p(x|z) and of log q(z|x) - log p(z); `iwae_k`;
        and `effective_sample_size`, (sum w)^2 / sum w^2, in draws.

    Raises:
        UserError: if K or a k is not positive, a k is larger than K, or K is over 2^25.
    """
    _require(num_samples, bounds)
    log_likelihood, log_ratio = _draw(model, params, key, x, num_samples, rows)
    log_w = log_likelihood + log_ratio
    log_total, log_square = logsumexp(log_w, 0), logsumexp(2 * log_w, 0)
    size = jnp.exp(2 * log_total - log_square)
    return {
        "log_p": log_total - jnp.log(num_samples),
        "log_p_error": jnp.sqrt(jnp.maximum(num_samples / size - 1, 0) / (num_samples - 1)),
        "log_likelihood": log_likelihood.mean(0),
        "kl_sampled": -log_ratio.mean(0),
        "effective_sample_size": size,
        **{f"iwae_{k}": _iwae(log_w, k) for k in bounds},
    }


def _require(num_samples: int, bounds: tuple[int, ...]) -> None:
    if not 1 <= num_samples <= LARGEST:
        raise UserError(f"num_importance_samples={num_samples}: from 1 to {LARGEST} can be had")
    for k in bounds:
        if not 1 <= k <= num_samples:
            raise UserError(f"IWAE with k={k} needs at least k of the {num_samples} samples")


def _draw(
    model: Model, params: Params, key: Array, x: Array, num_samples: int, rows: int
) -> tuple[Array, Array]:
    """log p(x|z) and log p(z) - log q(z|x) of all draws, `[num_samples, batch]`, chunk by chunk."""
    chunk = min(num_samples, max(1, rows // len(x)))
    draw: Callable = partial(log_weights, model, params, key, x, chunk)

    def terms(first: Array) -> tuple[Array, Array]:
        weights = draw(first=first)
        return weights.log_likelihood, weights.log_prior - weights.log_posterior

    drawn = jax.lax.map(terms, jnp.arange(0, num_samples, chunk))
    return jax.tree.map(lambda a: a.reshape(-1, len(x))[:num_samples], drawn)


def _iwae(log_w: Array, k: int) -> Array:
    """IWAE_k, the mean over as many whole groups of k draws as there are."""
    groups = log_w[: len(log_w) // k * k].reshape(-1, k, log_w.shape[1])
    return (logsumexp(groups, 1) - jnp.log(k)).mean(0)
