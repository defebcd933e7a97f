from collections.abc import Callable
from functools import partial
from typing import Annotated

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import logsumexp
from jaxtyping import Float
from numpyro.distributions import Distribution, Independent, Normal, constraints

from vae_jax.errors import UserError
from vae_jax.model import fixed
from vae_jax.types import (
    NATS,
    Array,
    Batch,
    Estimator,
    Examples,
    Facts,
    Model,
    Number,
    Params,
    Quantity,
    Values,
    means,
)
from vae_jax.weights import checked_batch, log_likelihood

TOLERANCE = 0.01  # nats of an example, and of the prior's mass
MASS = "_log_p_quadrature_mass"  # of p(z | y), by the grid of an example


def quadrature(
    *,
    points: Annotated[int, constraints.integer_greater_than(2)] = 400,
    margin: Annotated[float, constraints.nonnegative] = 1.0,
) -> Estimator:
    """log p(x) = log int p(x|z) p(z) dz on an even grid, latents of 1 or 2; `log_p_quadrature`.

    `points` is per dimension; `margin`, in the prior's standard deviations, is how much farther the
    grid reaches than 10,000 draws from the prior. A grid that does not hold the prior's mass within
    a hundredth, for each class where the model is given one, is refused. Given real numbers the
    examples of which it does not are said, as are those of which every other point gives another
    sum, since p(z | x) is narrow for the grid.
    """

    def of_examples(model: Model, params: Params, keys: Array, batch: Batch) -> dict[str, Array]:
        log_p, coarse, mass = _sums(model, params, batch, points, margin)
        values = {"log_p_quadrature": log_p, "log_p_quadrature_error": jnp.abs(log_p - coarse)}
        return values if batch.given is None else values | {MASS: mass}

    def require(facts: Facts) -> None:
        _require_plane(facts.prior)
        for model in _at_each_class(facts) if facts.are_known else ():
            _require_mass(prior_mass(model, facts.params, points=points, margin=margin))

    how = f"quadrature over z, {points} points a dimension"
    quantity = Quantity(NATS, how, better="higher", label="log p(x), quadrature")
    quantities = {"log_p_quadrature": quantity}
    return Estimator(of_examples, quantities, require, _summary, floats_per_example=points)


def _at_each_class(facts: Facts) -> list[Model]:
    """The model, at each class that it may be given; none where it is given real numbers."""
    if facts.model.given_shape is None:
        return [facts.model]
    coding = facts.dataset and facts.dataset.coding
    if not coding or coding.classes is None:
        return []
    return [fixed(facts.model, y) for y in jnp.eye(len(coding.classes))]


def is_sure(values: Values) -> bool:
    """Whether quadrature's sums over all and over every other point agree, for each example.

    The grid of an example that has one of its own has to hold its prior's mass too.
    """
    agree = (values["log_p_quadrature_error"] < TOLERANCE).all()
    return bool(agree and not (_lost(values) > TOLERANCE).any())


def _lost(values: Values) -> np.ndarray:
    """How far the prior's mass on an example's grid is from 1, `[n]`."""
    return np.abs(values.get(MASS, np.ones(1)) - 1)


def _summary(values: Values) -> dict[str, Number]:
    """The mean, and a remark on the examples for which the grid is too coarse."""
    numbers, apart = means(values), values["log_p_quadrature_error"]
    if is_sure(values):
        return numbers
    told, lost = [], _lost(values)
    if (apart >= TOLERANCE).any():
        share = f"quadrature of {(apart >= TOLERANCE).mean():.1%} of the examples is not sure"
        half = f"half the points give up to {apart.max():.2g} nats else"
        told.append(f"{share}: {half}; more are needed")
    if (lost > TOLERANCE).any():
        share = f"for {(lost > TOLERANCE).mean():.1%} of the examples"
        told.append(f"{share} the grid's mass of p(z|y) is up to {lost.max():.2g} from 1")
    remark = "; ".join(told)
    return numbers | {"log_p_quadrature": numbers["log_p_quadrature"]._replace(remark=remark)}


def _require_plane(prior: Distribution) -> None:
    if prior.event_shape[0] > 2:
        raise UserError(f"quadrature is for 1 or 2 latent dimensions, not {prior.event_shape[0]}")


def _require_mass(mass: Array) -> None:
    if abs(float(mass) - 1) > TOLERANCE:
        raise UserError(
            f"the grid holds {float(mass):.3f} of the prior's mass, not 1; "
            "more points may help, but not where the prior has heavy tails"
        )


def log_p_by_quadrature(
    model: Model, params: Params, batch: Examples, *, points: int = 400, margin: float = 1.0
) -> Float[Array, " batch"]:
    """log p(x) = log int p(x|z) p(z) dz on an even grid, for a latent of 1 or 2 dimensions.

    The grid spans what 10,000 draws from the prior span, and `margin` of their standard deviations
    more. It is right where p(z | x) lies well inside and is wider than the spacing: `quadrature`
    compares the sum with that of half the points, and see `prior_mass`.

    Args:
        model: the model.
        params: its parameters.
        batch: a `Batch`, or x `[batch, *x_shape]`.
        points: points per latent dimension.
        margin: standard deviations added on each side.

    Returns:
        nats, `[batch]`.

    Raises:
        UserError: if the latent has more dimensions.
    """
    return _sums(model, params, batch, points, margin)[0]


def _sums(
    model: Model, params: Params, batch: Examples, points: int, margin: float
) -> tuple[Array, Array, Array]:
    """log p(x) `[batch]` by all points and by every other one, and the prior's mass on the grid."""
    batch = checked_batch(model, batch)
    if batch.given is not None:  # each example has a grid of its own
        at = partial(_sums, points=points, margin=margin)
        return jax.lax.map(
            lambda one: at(fixed(model, one.given), params, one._replace(given=None)), batch
        )
    z, log_cell = _grid(model, params, points, margin)
    prior, dimensions = model.prior(params), z.shape[-1]

    def some_points(z: Array) -> tuple[Array, Array]:
        joint = jax.vmap(lambda z: log_likelihood(model, params, z, batch) + prior.log_prob(z))(z)
        return logsumexp(joint, axis=0), logsumexp(joint[::2], axis=0)

    every, other = jax.lax.map(some_points, z)
    coarse = logsumexp(other[::2], 0) + log_cell + dimensions * jnp.log(2)
    return logsumexp(every, 0) + log_cell, coarse, jnp.exp(logsumexp(prior.log_prob(z)) + log_cell)


def prior_mass(model: Model, params: Params, *, points: int = 400, margin: float = 1.0) -> Array:
    """The prior's mass by the same grid, which is 1 unless it is too coarse or too small.

    Of a model at one condition that is the mass of p(z | y).
    """
    z, log_cell = _grid(model, params, points, margin)
    return jnp.exp(logsumexp(model.prior(params).log_prob(z)) + log_cell)


def _grid(model: Model, params: Params, points: int, margin: float) -> tuple[Array, Array]:
    """Points `[points, ..., dimensions]` and the log of the volume each stands for."""
    prior = model.prior(params)
    _require_plane(prior)
    draws = prior.sample(jax.random.key(0), (10_000,))
    spread = margin * draws.std(0)
    axes = jnp.linspace(draws.min(0) - spread, draws.max(0) + spread, points, axis=1)
    grid = jnp.stack(jnp.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, len(axes))
    log_cell = jnp.log(axes[:, 1] - axes[:, 0]).sum()
    return grid.reshape(points, -1, len(axes)), log_cell


def expectation(f: Callable[[Array], Array], q: Distribution, *, points: int = 20) -> Array:
    """E_q f(z) for a normal q of independent dimensions, by Gauss-Hermite quadrature.

    The rule is exact where f is a polynomial of degree below 2 `points` in each dimension; it takes
    `points` to the power of the number of dimensions.

    Args:
        f: of z `[num_points, latent_dim]`, to `[num_points, ...]`.
        q: `Normal(loc, scale).to_event(1)`, one of them.
        points: per dimension.

    Returns:
        `[...]`.

    Raises:
        UserError: if q is not such a normal.
    """
    base = q.base_dist if isinstance(q, Independent) else None
    if not isinstance(base, Normal) or len(base.batch_shape) != 1:
        raise UserError("Gauss-Hermite quadrature is for one normal of independent dimensions")
    nodes, weights = np.polynomial.hermite_e.hermegauss(points)
    each = [(nodes, weights / weights.sum())] * base.batch_shape[0]
    noise, mass = (np.stack(np.meshgrid(*axes), -1) for axes in zip(*each, strict=True))
    z = base.loc + base.scale * noise.reshape(-1, len(each))
    return jnp.tensordot(mass.prod(-1).reshape(-1), f(z), 1)
