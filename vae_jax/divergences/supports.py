"""A check that KL(q || p) can be finite: q must not reach where p is 0."""

import numpy as np
from numpyro.distributions import Distribution, constraints
from numpyro.distributions.constraints import Constraint

from vae_jax.divergences.closed_form import describe
from vae_jax.errors import UserError


def require_nested_supports(q: Distribution, p: Distribution) -> None:
    """Raises UserError where KL(q || p) does not exist, or is infinite whatever the parameters.

    That is for events of different shapes, for a mass against a density, and where q reaches
    values at which p is 0.
    """
    pair = f"KL({describe(q)} || {describe(p)})"
    if q.event_shape != p.event_shape:
        raise UserError(f"{pair}: q's events have shape {q.event_shape}, p's {p.event_shape}")
    if q.support.is_discrete != p.support.is_discrete:
        kinds = ["a mass on counts" if d.support.is_discrete else "a density" for d in (q, p)]
        raise UserError(f"{pair}: q is {kinds[0]}, p is {kinds[1]}; both must be of one kind")
    reach = np.broadcast_arrays(*ends(q.support), *ends(p.support))
    outside = (reach[0] < reach[2]) | (reach[1] > reach[3])
    if outside.any():
        low, high, p_low, p_high = (x[outside].flat[0] for x in reach)
        message = f"q(z) reaches from {low:g} to {high:g}, p(z) only from {p_low:g} to {p_high:g}"
        raise UserError(f"{pair} is infinite: {message}")


def element(support: Constraint) -> Constraint:
    """The constraint on one of the independent elements."""
    while isinstance(support, constraints.independent):
        support = support.base_constraint
    return support


def ends(support: Constraint) -> tuple[np.ndarray, np.ndarray]:
    """The least and the greatest value that an element can have, `[...]` as the bounds are."""
    kind = element(support)
    low, high = (0, 1) if kind in (constraints.boolean, constraints.simplex) else (-np.inf, np.inf)
    low, high = getattr(kind, "lower_bound", low), getattr(kind, "upper_bound", high)
    return np.asarray(low), np.asarray(high)
