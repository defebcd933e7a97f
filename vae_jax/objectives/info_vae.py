from typing import Annotated, Any, Literal

import jax
import jax.numpy as jnp
from numpyro.distributions import constraints

from vae_jax.config.components import checked
from vae_jax.errors import UserError
from vae_jax.objectives._draws import first_draws, require_several
from vae_jax.objectives.elbo import elbo
from vae_jax.types import END, Array, Batch, Bound, Context, Examples, Model, Params, as_batch
from vae_jax.weights import typed

Kernel = Literal["gaussian", "inverse_multiquadratic"]


@checked
def info_vae(
    model: Model,
    params: Params,
    key: Array,
    batch: Examples,
    context: Context = END,
    *,
    alpha: float = 0.5,
    weight: Annotated[float, constraints.nonnegative] = 100.0,
    kernel: Kernel = "gaussian",
    bandwidth: Annotated[float, constraints.positive] = 1.0,
) -> Bound:
    """E_q[log p(x|z)] - (1 - alpha) KL(q(z|x) || p(z)) - weight MMD^2(q(z), p(z)), in nats.

    InfoVAE (Zhao et al. 2019, eq. 6); alpha = 1 is the MMD-VAE. The maximum mean discrepancy is
    between a draw of z for each example and as many draws of the prior, by its unbiased estimate,
    which can be negative. Reported is the ELBO, as by `elbo`, a lower bound whatever the weights.

    Args beside those of `types.Objective`:
        alpha: how much of the KL is left out, at most 1.
        weight: of the MMD^2, the paper's alpha + lambda - 1.
        kernel: k(d^2) of a squared distance: exp(-d^2 / 2s^2) or 2s^2 / (2s^2 + d^2).
        bandwidth: s in units of latent_dim^1/2; two draws of N(0, I) are about 2^1/2 such units
            apart.

    Raises:
        UserError: for alpha over 1, or a batch of one.
    """
    if alpha > 1:
        raise UserError(f"alpha={alpha}: at most 1 is needed")
    bound = elbo(model, params, key, batch)
    _, z = first_draws(model, params, key, batch)
    require_several(z.shape[:-1], "info_vae")
    draws = _prior_draws(model, params, key, as_batch(batch), z.shape[:-1])
    prior = draws.reshape(-1, z.shape[-1])
    discrepancy = squared_mmd(z.reshape(prior.shape), prior, kernel, bandwidth)
    likelihood, kl = bound.terms["log_likelihood"], bound.terms["kl"]
    surrogate = (likelihood - (1 - alpha) * kl).mean() - weight * discrepancy
    return bound._replace(surrogate=surrogate)


def _prior_draws(
    model: Model, params: Params, key: Array, batch: Batch, shape: tuple[int, ...]
) -> Array:
    """z ~ p(z) for every example, with the key that `log_weights` would use for a second draw."""

    def draws(key: Array, given: tuple[Any, ...], shape: tuple[int, ...] = ()) -> Array:
        prior = model.prior(params, *given)
        lacking = shape[: len(shape) - len(prior.batch_shape)]
        return prior.sample(jax.random.fold_in(key, 1), lacking)

    key = typed(key)
    if key.ndim:
        return jax.vmap(draws)(key, batch.conditions)
    return draws(key, batch.conditions, shape)


def squared_mmd(a: Array, b: Array, kernel: Kernel = "gaussian", bandwidth: float = 1.0) -> Array:
    """E k(a, a') + E k(b, b') - 2 E k(a, b), unbiased, `[]`, from a and b `[n, latent_dim]`.

    The pairs (a, a') and (b, b') are of different draws (Gretton et al. 2012, lemma 6, the
    U-statistic); a single draw has none, and their terms are 0.
    """
    scale = 2 * bandwidth**2 * a.shape[-1]

    def mean(a: Array, b: Array, pairs: int, without: int = 0) -> Array:
        squared = jnp.square(a[:, None] - b[None]).sum(-1)
        k = jnp.exp(-squared / scale) if kernel == "gaussian" else scale / (scale + squared)
        return (k.sum() - without) / max(1, pairs)

    n = len(a)
    within = mean(a, a, n * (n - 1), n) + mean(b, b, n * (n - 1), n)
    return within - 2 * mean(a, b, n * n)
