"""A figure of data of one or two elements: its density beside the model's, on one scale."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure

from vae_jax.errors import UserError
from vae_jax.estimators._grid import (
    NUM_SAMPLES,
    PLANE,
    default_estimator,
    grid_over,
    is_accepted,
    points_of,
    program_of,
)
from vae_jax.estimators.importance import importance
from vae_jax.plots import BLUE, ORANGE, captioned
from vae_jax.runs.run import Run
from vae_jax.types import Array, Estimator, Facts, Model

POINTS = 100**2  # of the grid
LATENTS = 150  # points along each element of z: a picture needs fewer than a number
HIGHEST = 0.998  # of the points' share is shown: levels at an end may hold much
SHOWN = 500  # test data and samples


def estimator_of(run: Run, model: Model) -> Estimator | None:
    """Quadrature where it is possible, else importance sampling; None for x of more elements.

    Args:
        run: the run.
        model: its own, or at one condition.
    """
    if int(np.prod(run.parts.x_shape)) > PLANE:
        return None
    facts = run.facts._replace(model=model)
    first = default_estimator(facts.prior.event_shape[0], LATENTS)
    every = (first, importance(num_samples=NUM_SAMPLES, iwae_samples=()))
    return next((e for e in every if _is_possible(e, facts)), None)


def _is_possible(estimator: Estimator, facts: Facts) -> bool:
    try:
        estimator.require(facts)
    except UserError:
        return False
    return True


def densities(
    run: Run, model: Model, estimator: Estimator, x: Any, draws: Any, given: Array | None = None
) -> Figure:
    """p(x) of the data, where it is known, and of the model, on one grid and one scale.

    Args:
        run: the run.
        model: of p(x): its own, or at one condition.
        estimator: of log p(x), what `estimator_of` gives.
        x: test data.
        draws: as many of the model.
        given: the condition y `[G]` that the model is at: both are p(x | y) then.
    """
    discrete = run.facts.likelihood.support.is_discrete
    axes = grid_over(np.asarray(x), POINTS, margin=0.5, is_discrete=discrete)
    points = points_of(axes, run.parts.x_shape)
    inside, sides = is_accepted(model, points), [len(places) for places in axes]

    def drawn(log_p: Any) -> np.ndarray:
        return np.where(inside, np.exp(np.asarray(log_p)), 0).reshape(sides)

    of_model = drawn(program_of(estimator, model)(run.params, jnp.asarray(points)).log_p)
    known, of_what = _known(run, given), "p(x)" if given is None else "p(x|y)"
    data = None if known is None else drawn(jax.jit(known)(points))
    kind = "mass" if discrete else "density"
    clouds = [np.asarray(some).reshape(len(some), -1)[:SHOWN] for some in (x, draws)]
    draw = _curves if len(axes) == 1 else _planes
    figure = draw(axes, data, of_model, clouds, kind, of_what)
    first = (
        ""
        if known is None
        else f"The {kind} {of_what} the data was simulated from, with test data; "
    )
    how = next(q.how for q in estimator.quantities.values() if q.label.startswith("log p(x)"))
    return captioned(figure, f"{first}that of the model, by {how}, with its samples.")


def _known(run: Run, given: Array | None) -> Callable[[Array], Array] | None:
    """The data's own log p(x), or log p(x | y) at a condition; None where it is not known."""
    of_both = run.dataset.log_prob_given
    if given is None:
        return run.dataset.log_prob
    return None if of_both is None else lambda x: of_both(x, given)


def _learned(of_what: str) -> str:
    """`p(x)` as the model has it."""
    return of_what.replace("p", r"p_\theta")


def _curves(
    axes: Sequence[np.ndarray],
    data: np.ndarray | None,
    model: np.ndarray,
    clouds: Sequence[np.ndarray],
    kind: str,
    of_what: str,
) -> Figure:
    """Both as curves, or as dots where x is discrete, over marks for data and samples."""
    figure = Figure(figsize=(5.6, 3.6), layout="constrained")
    plot, styles = figure.subplots(), ("o", "x") if kind == "mass" else ("-", "--")
    if data is not None:
        plot.plot(axes[0], data, styles[0], color=BLUE, label=f"data, ${of_what}$")
    plot.plot(axes[0], model, styles[1], color=ORANGE, label=f"model, ${_learned(of_what)}$")
    top = max(np.max(curve) for curve in (data, model) if curve is not None)
    named = zip(clouds, (BLUE, ORANGE), ("test data", "samples"), strict=True)
    for row, (cloud, colour, name) in enumerate(named):
        heights = np.full(len(cloud), -0.05 * (row + 1) * top)
        plot.plot(cloud[:, 0], heights, "|", color=colour, alpha=0.3, label=name)
    plot.set(xlabel="$x$", ylabel=kind)
    plot.legend()
    return figure


def _planes(
    axes: Sequence[np.ndarray],
    data: np.ndarray | None,
    model: np.ndarray,
    clouds: Sequence[np.ndarray],
    kind: str,
    of_what: str,
) -> Figure:
    """Two planes, one of the data and one of the model, with points; one scale of colours."""
    figure = Figure(figsize=(8.2, 3.8), layout="constrained")
    both = figure.subplots(1, 2, sharex=True, sharey=True)
    tops = [np.quantile(values, HIGHEST) for values in (data, model) if values is not None]
    names = (
        "test data" if data is None else f"data: {kind} ${of_what}$, test data",
        f"model: {kind} ${_learned(of_what)}$, samples",
    )
    for plot, values, cloud, name in zip(both, (data, model), clouds, names, strict=True):
        if values is not None:
            style = {"cmap": "Blues", "vmin": 0, "vmax": max(tops), "rasterized": True}
            image = plot.pcolormesh(*axes, values.T, shading="nearest", **style)
        plot.plot(*cloud.T, ".", ms=1.5, color=ORANGE, alpha=0.6)
        plot.set(title=name, xlabel="$x_1$")
        plot.set_aspect("equal")
    both[0].set(ylabel="$x_2$", xlim=axes[0][[0, -1]], ylim=axes[1][[0, -1]])
    figure.colorbar(image, ax=both, label=kind, shrink=0.8, extend="max")
    return figure
