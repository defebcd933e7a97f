from collections.abc import Callable
from functools import partial
from typing import Annotated, Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
from numpyro.distributions import Distribution, constraints

from vae_jax.config.components import Family, Part, checked
from vae_jax.divergences import closed_form_kl, kl_per_dimension, require_closed_form_kl
from vae_jax.errors import UserError
from vae_jax.objectives._draws import terms_of
from vae_jax.objectives._schedules import ramp
from vae_jax.types import (
    END,
    Array,
    Batch,
    Bound,
    Context,
    Examples,
    KLEstimator,
    Model,
    Params,
    as_batch,
    is_biased,
)
from vae_jax.weights import log_likelihoods, typed, weigh

KL = Family("kl_estimators", "auto", "closed_form", "sampled")
OF_KL = 2**32 - 2  # a number that no draw of the likelihood has, for the draws of a KL estimator


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
            there is one, else sampled; or one of `kl_estimators`, with as many draws, but others.
            A biased one is differentiated, while `auto` is reported.
        gradient: `stl` leaves out the score of log q, whose mean is 0 (Roeder et al. 2017), so that
            the noise vanishes where q is the posterior; its KL is sampled.
        beta: weight of the KL in training.
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
    key, batch = typed(key), as_batch(batch)
    stl = gradient == "stl"
    kl_of = _kl_of("sampled" if stl else kl, per_dimension=free_bits > 0)
    of_examples = partial(_terms, model, params, num_samples=num_samples, kl_of=kl_of, stl=stl)
    terms, kl_parts = jax.vmap(of_examples)(key, batch) if key.ndim else of_examples(key, batch)
    if free_bits:
        penalty = _free(kl_parts, free_bits)
    elif free_bits_total:
        penalty = jnp.maximum(free_bits_total, kl_parts.mean())
    elif capacity is not None:
        penalty = jnp.abs(kl_parts.mean() - capacity * ramp(context.step, capacity_steps))
    else:
        penalty = kl_parts.mean()
    weight = beta * ramp(context.step, warmup_steps, cycle_steps)
    surrogate = terms["log_likelihood"].mean() - weight * penalty
    return Bound(terms["log_likelihood"] - terms["kl"], surrogate, terms)


class _KLOf(NamedTuple):
    """The way in which KL(q(z | x) || p(z)) is computed."""

    closed_form: Callable[[Distribution, Distribution], Array | None]  # None: by the draws of z
    estimator: KLEstimator | None  # which is differentiated, and reported where it is unbiased
    per_dimension: bool  # the parts of the closed form are differentiated


_CLOSED_FORM: dict[str, Callable[[Distribution, Distribution], Array | None]] = {
    "auto": closed_form_kl,
    "closed_form": require_closed_form_kl,
    "sampled": lambda q, p: None,
}


def _kl_of(kl: Any, per_dimension: bool) -> _KLOf:
    if isinstance(kl, str):
        return _KLOf(_CLOSED_FORM[kl], None, per_dimension)
    return _KLOf(closed_form_kl, kl, per_dimension)


def _terms(
    model: Model,
    params: Params,
    key: Array,
    batch: Batch,
    *,
    num_samples: int,
    kl_of: _KLOf,
    stl: bool,
) -> tuple[dict[str, Array], Array]:
    """The terms of the bound, nats `[...]`, and the KL, or its parts, that are differentiated."""
    q, prior = model.encode(params, batch), model.prior(params, *batch.conditions)
    estimate = _estimate(kl_of.estimator, key, q, prior, num_samples)
    unbiased = None if is_biased(kl_of.estimator) else estimate
    if unbiased is None and jax.eval_shape(kl_of.closed_form, q, prior) is None:
        density = model.encode(jax.lax.stop_gradient(params), batch) if stl else None
        terms = terms_of(weigh(model, params, q, key, batch, num_samples, density=density))
    else:
        likelihoods = log_likelihoods(model, params, q, key, batch, num_samples)
        kl: Any = kl_of.closed_form(q, prior) if unbiased is None else unbiased
        terms = {"log_likelihood": likelihoods.mean(0), "kl": kl}
    if kl_of.per_dimension:
        return terms, _per_dimension(q, prior)
    return terms, terms["kl"] if estimate is None else estimate


def _estimate(
    estimator: KLEstimator | None, key: Array, q: Distribution, p: Distribution, num_samples: int
) -> Array | None:
    if estimator is None:
        return None
    return estimator(jax.random.fold_in(key, OF_KL), q, p, num_samples).value


def _per_dimension(q: Distribution, prior: Distribution) -> Array:
    if (kl := kl_per_dimension(q, prior)) is None:
        raise UserError("free_bits needs a closed-form KL per latent dimension; this pair has none")
    return kl


def _free(kl: Array, free_bits: float) -> Array:
    """sum_j max(free_bits, mean over examples of KL_j)."""
    return jnp.maximum(free_bits, kl.mean(tuple(range(kl.ndim - 1)))).sum()


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
