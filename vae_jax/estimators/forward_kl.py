from collections.abc import Callable
from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpyro.distributions import constraints

from vae_jax.config.components import Family, Part, build
from vae_jax.errors import UserError
from vae_jax.estimators._grid import (
    NUM_SAMPLES,
    PLANE,
    default_estimator,
    density_of,
    grid_over,
    is_accepted,
    name_of_log_p,
    points_of,
    program_of,
)
from vae_jax.types import (
    Array,
    Batch,
    Estimator,
    Facts,
    Model,
    Number,
    Params,
    Quantity,
    Values,
    means,
)

TOLERANCE = 0.01  # nats, or of a mass
MEAN = "mean of log p(x) - log p_theta(x) over simulated examples"
APART = "half the points of the quadrature over z give up to {:.2g} nats else"
HEAVY = "of {:.1%} of the {} the weights' tail is too heavy: KL is too high"


class Integral(NamedTuple):
    """KL(p || p_theta) by a sum over a grid of x, and how far it can be trusted."""

    kl: float  # nats
    coarse: float  # the same by every other point along each element
    mass: float  # of p on the grid, which is 1
    model_mass: float  # of p_theta, which is at most 1
    drawn: float  # its standard error, from the draws that make log p_theta(x)
    apart: float  # how much else half the points of a quadrature over z give, at most
    heavy: float  # the data's mass where importance weights are too heavy


def forward_kl(
    *,
    log_p: Annotated[Part, Family("estimators", "auto")] = "auto",
    points: Annotated[int, constraints.integer_greater_than(8)] = 10_000,
    margin: Annotated[float, constraints.nonnegative] = 1.0,
) -> Estimator:
    """KL(p || p_theta) = E_p log p(x) - log p_theta(x) of data with a known density p.

    By a sum over an even grid of `points` x, where x has one or two elements; it spans the
    evaluated examples and `margin` of their standard deviations more. Where x has more it is
    `forward_kl_sampled`, the mean over the examples, which were drawn from p. `log_p` is the
    estimator of log p_theta(x), by default quadrature for one or two latents and
    importance(num_samples=1000) for more, whose log p is in expectation too low: KL too high.
    """
    given = None if log_p == "auto" else build("estimators", log_p)()
    programs: dict[Any, Any] = {}  # of the last decoder

    def way(latents: int) -> Estimator:
        return given or default_estimator(latents)

    def of_examples(model: Model, params: Params, keys: Array, batch: Batch) -> dict[str, Array]:
        estimator = way(model.prior(params, *batch.conditions).event_shape[0])
        density = density_of(estimator, estimator.of_examples(model, params, keys, batch))
        return {
            "_forward_kl_x": batch.x,
            "_forward_kl_log_p": density.log_p,
            "_forward_kl_apart": density.apart,
            "_forward_kl_heavy": density.heavy,
            "forward_kl_sampled_error": density.drawn,
        }

    def require(facts: Facts) -> None:
        _require(facts, way(facts.prior.event_shape[0]))

    def derive(facts: Facts, values: Values) -> dict[str, np.ndarray]:
        log_prob, x = _log_prob(facts), values["_forward_kl_x"]
        sampled = {"forward_kl_sampled": _at(log_prob, x) - values["_forward_kl_log_p"]}
        if np.prod(facts.x_shape) > PLANE:
            return sampled
        if facts.model.decode not in programs:
            programs.clear()
            latents = facts.prior.event_shape[0]
            programs[facts.model.decode] = program_of(way(latents), facts.model)
        axes = grid_over(x, points, margin, is_discrete=facts.likelihood.support.is_discrete)
        integral = _integral(facts, log_prob, programs[facts.model.decode], axes)
        return {**sampled, "_forward_kl_integral": np.array(integral)}

    quantities = {
        "forward_kl": Quantity("nats", "KL(p || p_theta), a sum over a grid of x", "lower"),
        "forward_kl_sampled": Quantity("nats", f"KL(p || p_theta), {MEAN}", "lower"),
    }
    held = given.floats_per_example if given else NUM_SAMPLES
    return Estimator(of_examples, quantities, require, _summary, derive, held)


def _require(facts: Facts, estimator: Estimator) -> None:
    if not name_of_log_p(estimator):
        raise UserError("log_p is an estimator that gives log p(x), as importance does")
    estimator.require(facts)
    if facts.model.given_shape is not None:
        raise UserError("forward_kl is of p(x): this model is of p(x|y)")
    if facts.dataset is None or facts.dataset.log_prob is None:
        known = "linear_gaussian, gaussian_mixture, coin, or a data set of yours with log_prob"
        raise UserError(f"the density of the data is not known; it is of {known}")


def _log_prob(facts: Facts) -> Callable[[Array], Array]:
    assert facts.dataset is not None  # `_require` has seen both
    assert facts.dataset.log_prob is not None
    return facts.dataset.log_prob


def _at(log_prob: Callable[[Array], Array], x: np.ndarray) -> np.ndarray:
    return np.asarray(jax.jit(log_prob)(jnp.asarray(x, jnp.float32)), np.float64)


def _integral(
    facts: Facts, log_prob: Callable[[Array], Array], program: Any, axes: list[np.ndarray]
) -> Integral:
    """sum_x p(x) [log p(x) - log p_theta(x)] times what a point stands for."""
    x, sides = points_of(axes, facts.x_shape), [len(axis) for axis in axes]
    cell = float(np.prod([axis[1] - axis[0] if len(axis) > 1 else 1.0 for axis in axes]))
    inside = is_accepted(facts.model, x)
    log_p = np.where(inside, _at(log_prob, x), -np.inf)
    density = program(facts.params, jnp.asarray(x))
    log_q, drawn, apart, heavy = (np.asarray(a, np.float64) for a in density)
    p, q = np.exp(log_p) * cell, np.exp(np.where(inside, log_q, -np.inf)) * cell

    def expected(values: np.ndarray) -> np.ndarray:
        return p * np.where(p > 0, values, 0)

    terms = expected(np.where(p > 0, log_p, 0) - log_q)
    coarse = terms.sum()
    if not facts.likelihood.support.is_discrete:
        every_other = tuple(slice(None, None, 2) for _ in sides)
        coarse = terms.reshape(sides)[every_other].sum() * 2 ** len(sides)
    error = np.sqrt((expected(drawn) ** 2).sum())
    doubts = expected(apart).sum(), expected(heavy).sum()
    return Integral(terms.sum(), coarse, p.sum(), q.sum(), error, *doubts)


def _summary(values: Values) -> dict[str, Number]:
    """The mean over examples with its error, and the sum over the grid where there is one."""
    n, errors = len(values["forward_kl_sampled"]), values["forward_kl_sampled_error"]
    mean = means({"mean": values["forward_kl_sampled"]})["mean"]
    apart, heavy = (float(values[f"_forward_kl_{name}"].mean()) for name in ("apart", "heavy"))
    reasons = [(apart, APART.format(apart)), (heavy, HEAVY.format(heavy, "examples"))]
    drawn = float(np.sqrt((errors**2).sum()) / n) or None
    remark = _told("forward_kl_sampled", reasons)
    mean = mean._replace(monte_carlo_error=drawn, remark=remark)
    if "_forward_kl_integral" not in values:
        how = f"KL(p || p_theta), {MEAN}: x has more than {PLANE} elements"
        return {"forward_kl_sampled": mean, "forward_kl": mean._replace(how=how, remark="")}
    integral = Integral(*map(float, values["_forward_kl_integral"]))
    kl = Number(integral.kl, None, n, integral.drawn or None, remark=_doubt(integral))
    return {"forward_kl": kl, "forward_kl_sampled": mean}


def _doubt(integral: Integral) -> str:
    """A line on what speaks against the sum; empty where nothing does."""
    apart = abs(integral.kl - integral.coarse)
    reasons = [
        (abs(integral.mass - 1), f"the grid holds {integral.mass:.3f} of the data's mass, not 1"),
        (integral.model_mass - 1, f"the model's mass on it is {integral.model_mass:.3f}, over 1"),
        (apart, f"half the points of x give {apart:.2g} nats else"),
        (integral.apart, APART.format(integral.apart)),
        (integral.heavy, HEAVY.format(integral.heavy, "data's mass")),
    ]
    return _told("forward_kl", reasons)


def _told(name: str, reasons: list[tuple[float, str]]) -> str:
    told = [reason for size, reason in reasons if not size < TOLERANCE]  # NaN is doubted, too
    return f"{name} is not sure: {', '.join(told)}" if told else ""
