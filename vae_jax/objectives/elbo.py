from typing import Literal

import jax
import jax.numpy as jnp
from numpyro.distributions import Distribution

from vae_jax.divergences import closed_form_kl, kl_per_dimension, require_closed_form_kl
from vae_jax.errors import UserError
from vae_jax.model import typed, weigh
from vae_jax.types import Array, Bound, Model, Params


def elbo(
    model: Model,
    params: Params,
    key: Array,
    x: Array,
    step: Array | None = None,
    *,
    num_samples: int = 1,
    kl: Literal["auto", "closed_form", "sampled"] = "auto",
    beta: float = 1.0,
    warmup_steps: int = 0,
    free_bits: float = 0.0,
) -> Bound:
    """E_q[log p(x|z)] - KL(q(z|x) || p(z)) (Kingma & Welling 2014, eq. 3), nats per example.

    The reported value is always this bound. What is maximized weights the KL by `beta` (Higgins
    et al. 2017), raised linearly from 0 over the first `warmup_steps` steps, and counts no latent
    dimension's mean KL below `free_bits` nats (Kingma et al. 2016, eq. 15).

    Args:
        model: the model.
        params: its parameters.
        key: one key, or one per example.
        x: `[..., *x_shape]`.
        step: how many updates were made before this one; None is after the warm-up.
        num_samples: draws of z per example.
        kl: `auto` takes the closed form where the pair of distributions has one.
        beta: weight of the KL in what is maximized.
        warmup_steps: length of the warm-up, in updates.
        free_bits: nats per latent dimension.

    Raises:
        UserError: `kl="closed_form"` or `free_bits` for a pair without the closed form it needs.
    """
    _require(num_samples, beta, warmup_steps, free_bits)
    key = typed(key)
    prior = model.prior(params)

    def terms(key: Array, x: Array) -> dict[str, Array]:
        q = model.encode(params, x)
        weights = weigh(model, params, q, key, x, num_samples)
        closed = _CLOSED_FORM[kl](q, prior)
        sampled = (weights.log_posterior - weights.log_prior).mean(0)
        parts = {"kl_per_dimension": _per_dimension(q, prior)} if free_bits else {}
        divergence = sampled if closed is None else closed
        return {"log_likelihood": weights.log_likelihood.mean(0), "kl": divergence, **parts}

    found = jax.vmap(terms)(key, x) if key.ndim else terms(key, x)
    parts = found.pop("kl_per_dimension", None)
    penalty = found["kl"].mean() if parts is None else _free(parts, free_bits)
    ramp = 1.0 if step is None or warmup_steps == 0 else jnp.minimum(1.0, step / warmup_steps)
    surrogate = found["log_likelihood"].mean() - beta * ramp * penalty
    return Bound(found["log_likelihood"] - found["kl"], surrogate, found)


_CLOSED_FORM = {
    "auto": closed_form_kl,
    "closed_form": require_closed_form_kl,
    "sampled": lambda q, p: None,
}


def _per_dimension(q: Distribution, prior: Distribution) -> Array:
    if (kl := kl_per_dimension(q, prior)) is None:
        raise UserError("free_bits needs a closed-form KL per latent dimension; this pair has none")
    return kl


def _free(kl: Array, free_bits: float) -> Array:
    """sum_j max(free_bits, mean over examples of KL_j)."""
    return jnp.maximum(free_bits, kl.mean(tuple(range(kl.ndim - 1)))).sum()


def _require(num_samples: int, beta: float, warmup_steps: int, free_bits: float) -> None:
    if num_samples < 1:
        raise UserError(f"num_samples={num_samples}: at least 1 is needed")
    if min(beta, warmup_steps, free_bits) < 0:
        values = f"beta={beta}, warmup_steps={warmup_steps}, free_bits={free_bits}"
        raise UserError(f"{values}: none may be negative")
