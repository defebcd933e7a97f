"""Whether KL(q || p) can be finite: q must not reach where p is 0."""

import jax.numpy as jnp
from numpyro.distributions import Distribution, constraints
from numpyro.distributions.constraints import Constraint

from vae_jax.divergences.closed_form import describe
from vae_jax.errors import UserError


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
