from typing import Literal

import jax
import jax.numpy as jnp
from numpyro.distributions import Distribution

from vae_jax.divergences import closed_form_kl, kl_per_dimension, require_closed_form_kl
from vae_jax.errors import UserError
from vae_jax.objectives._draws import require_not_negative, require_positive, terms_of
from vae_jax.objectives._schedules import ramp
from vae_jax.types import Array, Bound, Model, Params
from vae_jax.weights import typed, weigh


def elbo(
    model: Model,
    params: Params,
    key: Array,
    x: Array,
    step: Array | None = None,
    *,
    num_samples: int = 1,
    kl: Literal["auto", "closed_form", "sampled"] = "auto",
    gradient: Literal["standard", "stl"] = "standard",
    beta: float = 1.0,
    warmup_steps: int = 0,
    cycle_steps: int = 0,
    free_bits: float = 0.0,
    free_bits_total: float = 0.0,
    capacity: float | None = None,
    capacity_steps: int = 0,
) -> Bound:
    """E_q[log p(x|z)] - KL(q(z|x) || p(z)) (Kingma & Welling 2014, eq. 3), nats per example.

    The reported value is always this bound. What is maximized weights the KL by `beta` (Higgins
    et al. 2017), raised linearly from 0 over `warmup_steps` updates, once or in every cycle (Fu et
    al. 2019). In place of the KL, which is the mean over examples, it can have

    - sum_j max(`free_bits`, KL_j), j the latent dimensions (Kingma et al. 2016, eq. 15);
    - max(`free_bits_total`, KL);
    - |KL - C|, C raised linearly from 0 to `capacity` over `capacity_steps` updates (Burgess et
      al. 2018).

    Args:
        model: the model.
        params: its parameters.
        key: one key, or one per example.
        x: `[..., *x_shape]`.
        step: how many updates were made before this one; None is after all that rises with it.
        num_samples: draws of z per example.
        kl: `auto` takes the closed form where the pair of distributions has one.
        gradient: `stl` leaves out the score of log q, whose mean is 0 (Roeder et al. 2017), so that
            the noise vanishes where q is the posterior; it samples the KL.
        beta: weight of the KL in what is maximized.
        warmup_steps: length of the warm-up, in updates.
        cycle_steps: updates from one warm-up's start to the next one's; 0: there is one.
        free_bits: nats per latent dimension.
        free_bits_total: nats per example.
        capacity: nats per example; None: no capacity.
        capacity_steps: length of its rise, in updates; 0: it is there from the start.

    Raises:
        UserError: `kl="closed_form"` or `free_bits` for a pair without the closed form it needs,
            and arguments that contradict each other.
    """
    _require_consistent(gradient, kl, free_bits, free_bits_total, capacity)
    _require_schedules(warmup_steps, cycle_steps, capacity, capacity_steps)
    require_positive(num_samples=num_samples)
    require_not_negative(beta=beta)
    key, prior, stl = typed(key), model.prior(params), gradient == "stl"

    def terms(key: Array, x: Array) -> dict[str, Array]:
        q = model.encode(params, x)
        density = model.encode(jax.lax.stop_gradient(params), x) if stl else None
        weights = weigh(model, params, q, key, x, num_samples, density=density)
        closed = None if stl else _CLOSED_FORM[kl](q, prior)
        parts = {"kl_per_dimension": _per_dimension(q, prior)} if free_bits else {}
        return terms_of(weights) | ({} if closed is None else {"kl": closed}) | parts

    found = jax.vmap(terms)(key, x) if key.ndim else terms(key, x)
    penalty = found["kl"].mean()
    if free_bits:
        penalty = _free(found.pop("kl_per_dimension"), free_bits)
    elif free_bits_total:
        penalty = jnp.maximum(free_bits_total, penalty)
    elif capacity is not None:
        penalty = jnp.abs(penalty - capacity * ramp(step, capacity_steps))
    weight = beta * ramp(step, warmup_steps, cycle_steps)
    surrogate = found["log_likelihood"].mean() - weight * penalty
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


def _require_consistent(
    gradient: str, kl: str, free_bits: float, free_bits_total: float, capacity: float | None
) -> None:
    require_not_negative(free_bits=free_bits, free_bits_total=free_bits_total)
    require_not_negative(capacity=capacity or 0.0)
    if gradient == "stl" and (kl == "closed_form" or free_bits):
        other = "free_bits needs the closed form" if free_bits else "kl='closed_form' is none"
        raise UserError(f"gradient='stl' is of a sampled KL, and {other}")
    if free_bits and kl == "sampled":
        raise UserError("free_bits needs the closed form, and kl='sampled' is none")
    if sum([free_bits > 0, free_bits_total > 0, capacity is not None]) > 1:
        raise UserError("free_bits, free_bits_total and capacity exclude each other: choose one")


def _require_schedules(
    warmup_steps: int, cycle_steps: int, capacity: float | None, capacity_steps: int
) -> None:
    counts = {"warmup_steps": warmup_steps, "cycle_steps": cycle_steps}
    require_not_negative(**counts, capacity_steps=capacity_steps)
    if cycle_steps and not 0 < warmup_steps <= cycle_steps:
        message = "a cycle needs a warm-up that fits into it"
        raise UserError(f"cycle_steps={cycle_steps}, warmup_steps={warmup_steps}: {message}")
    if capacity_steps and capacity is None:
        raise UserError(f"capacity_steps={capacity_steps} without a capacity")
