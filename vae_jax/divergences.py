"""KL(q || p): closed form by the pair of types, or sampled, with its standard error."""

from typing import NamedTuple

import jax.numpy as jnp
from numpyro.distributions import Distribution, Independent, constraints, kl_divergence
from numpyro.distributions.constraints import Constraint

from vae_jax.errors import UserError
from vae_jax.types import Array


class Estimate(NamedTuple):
    """A Monte Carlo mean and its standard error, both in nats."""

    value: Array
    standard_error: Array


def closed_form_kl(q: Distribution, p: Distribution) -> Array | None:
    """KL(q || p) in nats, `[...]`, or None where the pair has no closed form."""
    try:
        return kl_divergence(q, p)
    except NotImplementedError:
        return None


def kl_per_dimension(q: Distribution, p: Distribution) -> Array | None:
    """KL(q_j || p_j), nats, `[..., latent_dim]`; None unless q and p factorize in closed form."""
    if not (isinstance(q, Independent) and isinstance(p, Independent)):
        return None
    return closed_form_kl(q.base_dist, p.base_dist)


def require_closed_form_kl(q: Distribution, p: Distribution) -> Array:
    """KL(q || p) in nats, `[...]`.

    Raises:
        UserError: for a pair without closed form; it names the pairs that have one.
    """
    kl = closed_form_kl(q, p)
    if kl is None:
        message = f"KL({describe(q)} || {describe(p)}) has no closed form: use kl='sampled'"
        raise UserError(f"{message}; these pairs have one: {', '.join(closed_form_pairs())}")
    return kl


def require_nested_supports(q: Distribution, p: Distribution) -> None:
    """Raises UserError where q reaches values at which p is 0, so that KL(q || p) is infinite."""
    (low, high), (p_low, p_high) = _reach(q.support), _reach(p.support)
    if low < p_low or high > p_high:
        message = f"q(z) reaches from {low:g} to {high:g}, p(z) only from {p_low:g} to {p_high:g}"
        raise UserError(f"KL({describe(q)} || {describe(p)}) is infinite: {message}")


def _reach(support: Constraint) -> tuple[float, float]:
    """The least and the greatest element that a vector of the support can have."""
    while isinstance(support, constraints.independent):
        support = support.base_constraint
    low, high = getattr(support, "lower_bound", -jnp.inf), getattr(support, "upper_bound", jnp.inf)
    return float(jnp.min(low)), float(jnp.max(high))


def closed_form_pairs() -> list[str]:
    """`Normal-Normal` and so on; independents of a pair have one too."""
    pairs = [(a.__name__, b.__name__) for a, b in kl_divergence.funcs]
    wrappers = ("Distribution", "Independent")
    return sorted(f"{a}-{b}" for a, b in pairs if not (a + b).endswith(wrappers))


def describe(distribution: Distribution) -> str:
    """`Independent[Normal]`: the type, and what it wraps."""
    name = type(distribution).__name__
    inner = getattr(distribution, "base_dist", None)
    return name if inner is None else f"{name}[{describe(inner)}]"


def sampled_kl(key: Array, q: Distribution, p: Distribution, num_samples: int) -> Estimate:
    """E_q[log q(z) - log p(z)], the mean over draws, unbiased, with its standard error."""
    z = q.sample(key, (num_samples,))
    log_ratio = q.log_prob(z) - p.log_prob(z)
    error = jnp.std(log_ratio, 0, ddof=1) / jnp.sqrt(num_samples)
    return Estimate(log_ratio.mean(0), error)
