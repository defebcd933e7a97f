"""A grid over the x of examples, of one or two elements, and the model's log p(x) on it."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from vae_jax.estimators.importance import HEAVIEST, importance
from vae_jax.estimators.quadrature import quadrature
from vae_jax.types import Array, Batch, Estimator, Model, Params

PLANE = 2  # elements of x, or of z, that a grid can have
NUM_SAMPLES = 1000  # K of importance sampling where z has more
AT_ONCE = 2**24  # numbers of an estimator that are held together


class Density(NamedTuple):
    """log p(x) of the model, nats, `[n]`, and the doubts about it, 0 where there are none."""

    log_p: Array
    drawn: Array  # the standard error of its draws
    apart: Array  # how much else half the points of a quadrature give
    heavy: Array  # 1 where importance weights are too heavy for their number to help, else 0


def default_estimator(latents: int, points: int = 400) -> Estimator:
    """Quadrature for one or two latents, `points` along each, importance sampling for more."""
    if latents <= PLANE:
        return quadrature(points=points)
    return importance(num_samples=NUM_SAMPLES, iwae_samples=())


def name_of_log_p(estimator: Estimator) -> str:
    """The name of the log p(x) among an estimator's numbers, by its label; empty without one."""
    labels = {name: quantity.label for name, quantity in estimator.quantities.items()}
    return next((name for name, label in labels.items() if label.startswith("log p(x)")), "")


def density_of(estimator: Estimator, values: Mapping[str, Array]) -> Density:
    """The log p(x) among an estimator's values, and its error."""
    name = name_of_log_p(estimator)
    none = jnp.zeros_like(values[name])
    error = values.get(f"{name}_error", none)
    errors = (none, error) if name == "log_p_quadrature" else (error, none)
    heavy = values.get("pareto_k", none) > HEAVIEST
    return Density(values[name], *errors, heavy.astype(float))


def program_of(estimator: Estimator, model: Model) -> Callable[[Params, Array], Density]:
    """A compiled function (params, x `[n, *x_shape]`) -> the model's density at x, by chunks."""

    def of_some(params: Params, keys: Array, x: Array) -> Density:
        return density_of(estimator, estimator.of_examples(model, params, keys, Batch(x)))

    def of_all(params: Params, x: Array) -> Density:
        size = max(1, min(len(x), AT_ONCE // estimator.floats_per_example))
        chunks = -(-len(x) // size)
        full = jnp.resize(x, (chunks, size, *x.shape[1:]))  # a short one is filled from the start
        keys = jax.random.split(jax.random.key(0), (chunks, size))
        values = jax.lax.map(lambda some: of_some(params, *some), (keys, full))
        return jax.tree.map(lambda a: a.reshape(-1)[: len(x)], values)

    return jax.jit(of_all)


def grid_over(
    x: np.ndarray, points: int, margin: float = 1.0, *, is_discrete: bool = False
) -> list[np.ndarray]:
    """Even places along each element of x, over what examples span and a margin on each side.

    Args:
        x: `[n, *x_shape]`, of one or two elements; NaN, which was not observed, is passed over.
        points: of the grid, all in all.
        margin: in the examples' standard deviations.
        is_discrete: the places are integers, all of them if there are no more than `points` permit.
    """
    flat = x.reshape(len(x), -1).astype(float)
    more, side = margin * np.nanstd(flat, 0), max(3, round(points ** (1 / flat.shape[1])))
    ends = zip(np.nanmin(flat, 0) - more, np.nanmax(flat, 0) + more, strict=True)
    return [_places(float(low), float(high), side, is_discrete) for low, high in ends]


def _places(low: float, high: float, side: int, is_discrete: bool) -> np.ndarray:
    if not is_discrete:
        return np.linspace(low, max(high, low + 1e-6), side)
    step = -(-(np.floor(high) + 1 - np.ceil(low)) // side)
    return np.arange(np.ceil(low), np.floor(high) + 1, step)


def points_of(axes: list[np.ndarray], x_shape: tuple[int, ...]) -> np.ndarray:
    """The grid's points as x, `[n, *x_shape]`, the last element's places moving fastest."""
    mesh = np.stack(np.meshgrid(*axes, indexing="ij"), -1)
    return mesh.reshape(-1, *x_shape).astype(np.float32)


def is_accepted(model: Model, x: np.ndarray) -> np.ndarray:
    """Which of the points `[n, *x_shape]` p(x | z) is of: elsewhere a density says nothing."""
    return np.logical_and.reduce(np.asarray(model.accepts(x)).reshape(len(x), -1), axis=1)
