from functools import partial
from typing import Annotated, Any, Literal

import jax
import jax.numpy as jnp
from numpyro.distributions import constraints

from vae_jax.config.components import Family, Part, checked
from vae_jax.errors import UserError
from vae_jax.objectives._kl import free, kl_method, of_whole_batch, terms_with_kl
from vae_jax.objectives._schedules import ramp
from vae_jax.types import (
    END,
    Array,
    Bound,
    Context,
    Examples,
    Model,
    Params,
)
from vae_jax.weights import checked_examples

KL = Family("kl_estimators", "auto", "closed_form", "sampled")


@checked
def elbo(
    model: Model,
    params: Params,
    key: Array,
    batch: Examples,
    context: Context = END,
    *,
    num_samples: Annotated[int, constraints.positive_integer] = 1,
    kl: Annotated[Part, KL] = "auto",
    gradient: Literal["standard", "stl"] = "standard",
    beta: Annotated[float, constraints.nonnegative] = 1.0,
    warmup_steps: Annotated[int, constraints.nonnegative_integer] = 0,
    cycle_steps: Annotated[int, constraints.nonnegative_integer] = 0,
    free_bits: Annotated[float, constraints.nonnegative] = 0.0,
    free_bits_total: Annotated[float, constraints.nonnegative] = 0.0,
    capacity: Annotated[float | None, constraints.nonnegative] = None,
    capacity_steps: Annotated[int, constraints.nonnegative_integer] = 0,
) -> Bound:
    """E_q[log p(x|z)] - KL(q(z|x) || p(z)) (Kingma & Welling 2014, eq. 3), nats per example.

    The reported value is always this bound. Training maximizes one with the KL weighted by `beta`
    (Higgins et al. 2017), raised linearly from 0 over `warmup_steps` updates, once or in every
    cycle (Fu et al. 2019). In place of the KL, which is the mean over examples, it can have

    - sum_j max(`free_bits`, KL_j), j the latent dimensions (Kingma et al. 2016, eq. 15);
    - max(`free_bits_total`, KL);
    - |KL - C|, C raised linearly from 0 to `capacity` over `capacity_steps` updates (Burgess et
      al. 2018).

    Args beside those of `types.Objective`:
        num_samples: draws of z per example.
        kl: `closed_form`; `sampled`, by the draws of log p(x|z); `auto`, the closed form where
            there is one, else that of each layer given the draws above where there are layers, else
            sampled; or one of `kl_estimators`, with as many draws, but others.
            A biased one is differentiated, while `auto` is reported.
        gradient: `stl` leaves out the score of log q, whose mean is 0 (Roeder et al. 2017), so that
            the noise vanishes where q is the posterior; its KL is sampled.
        beta: weight of the KL in training.
        warmup_steps: length of the warm-up, in updates.
        cycle_steps: updates from one warm-up's start to the next one's; 0: there is one.
        free_bits: nats per latent dimension; of several layers, per layer.
        free_bits_total: nats per example.
        capacity: nats per example; None: no capacity.
        capacity_steps: length of its rise, in updates; 0: it is there from the start.

    Raises:
        UserError: `kl="closed_form"` or `free_bits` for a pair without the closed form it needs,
            arguments that contradict each other, and as `weights.checked_examples` does.
    """
    _require_consistent(gradient, kl, free_bits, free_bits_total, capacity)
    _require_schedules(warmup_steps, cycle_steps, capacity, capacity_steps)
    key, batch = checked_examples(model, key, batch)
    stl = gradient == "stl"
    method = kl_method("sampled" if stl else kl, per_dimension=free_bits > 0)
    of_examples = partial(
        terms_with_kl, model, params, num_samples=num_samples, method=method, stl=stl,
        prior=model.prior(params) if batch.given is None else None,
    )  # fmt: skip
    if key.ndim:
        estimate = of_whole_batch(model, params, key, batch, num_samples, method)
        each = jax.vmap(lambda key, one, kl: of_examples(key, one, estimate=kl))
        terms, kl_parts = each(key, batch, estimate)
    else:
        terms, kl_parts = of_examples(key, batch)
    if free_bits:
        penalty = free(kl_parts, free_bits)
    elif free_bits_total:
        penalty = jnp.maximum(free_bits_total, kl_parts.mean())
    elif capacity is not None:
        penalty = jnp.abs(kl_parts.mean() - capacity * ramp(context.step, capacity_steps))
    else:
        penalty = kl_parts.mean()
    weight = beta * ramp(context.step, warmup_steps, cycle_steps)
    surrogate = terms["log_likelihood"].mean() - weight * penalty
    return Bound(terms["log_likelihood"] - terms["kl"], surrogate, terms)


def _require_consistent(
    gradient: str,
    kl: Any,
    free_bits: float,
    free_bits_total: float,
    capacity: float | None,
) -> None:
    name = getattr(kl, "__name__", kl)
    if gradient == "stl" and (kl not in ("auto", "sampled") or free_bits):
        other = "free_bits needs the closed form" if free_bits else f"kl={name!r} is none"
        raise UserError(f"gradient='stl' is of a sampled KL, by the likelihood's draws: {other}")
    if free_bits and kl not in ("auto", "closed_form"):
        raise UserError(f"free_bits needs the closed form, and kl={name!r} is none")
    if sum([free_bits > 0, free_bits_total > 0, capacity is not None]) > 1:
        raise UserError("free_bits, free_bits_total and capacity exclude each other: choose one")


def _require_schedules(
    warmup_steps: int, cycle_steps: int, capacity: float | None, capacity_steps: int
) -> None:
    if cycle_steps and not 0 < warmup_steps <= cycle_steps:
        message = "a cycle needs a warm-up that fits into it"
        raise UserError(f"cycle_steps={cycle_steps}, warmup_steps={warmup_steps}: {message}")
    if capacity_steps and capacity is None:
        raise UserError(f"capacity_steps={capacity_steps} without a capacity")
