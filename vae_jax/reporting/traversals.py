"""Traversals: the means of p(x | z) as one latent after another moves, around one example."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.axes import Axes
from numpyro.distributions import Distribution

from vae_jax.divergences.units import moments
from vae_jax.plots import GREY
from vae_jax.runs.run import Run
from vae_jax.types import Array

DRAWS = 10
TAIL = 0.005  # of the draws of q(z_j) on each side, which a traversal leaves out


class Traversals(NamedTuple):
    """The most used latents, the one whose q(z_j | x) is told best by x first."""

    units: np.ndarray  # j, from 0
    values: np.ndarray  # of z_j, [units, steps]
    means: np.ndarray  # of p(x | z), [units, steps, *x_shape]
    of: int  # all latents


def traverse(run: Run, key: Array, x: Any, most: int, steps: int) -> Traversals:
    """Each of the most used latents moved through its aggregated posterior, the others at E[z | x].

    They are those of which x tells most: of the largest Var_x E[z_j | x] as a share of Var z_j,
    over the examples, without units of z. z_j goes evenly from the 0.5% to the 99.5% quantile of
    its draws, around the first example. Of layers those are moved that the decoder sees.

    Args:
        run: the run.
        key: of the draws.
        x: examples `[n, *x_shape]`.
        most: latents, at most.
        steps: values of each.
    """
    keys = jax.random.split(key, len(x))
    mean, z = jax.jit(jax.vmap(lambda k, x: _mean_and_draw(run, k, x)))(keys, x)
    mean, z = np.asarray(mean), np.asarray(z)
    visible = run.model.visible or mean.shape[1]
    share = mean.var(0) / (mean.var(0) + (z - mean).var(0) + 1e-30)
    share[: mean.shape[1] - visible] = -1
    units = np.argsort(-share, kind="stable")[: min(most, visible)]
    low, high = np.quantile(z[:, units], [TAIL, 1 - TAIL], axis=0)
    values = np.linspace(low, high, steps, axis=1)
    moved = np.tile(mean[0], (len(units), steps, 1))
    for row, unit in enumerate(units):
        moved[row, :, unit] = values[row]
    means = run.model.decode(run.params, jnp.asarray(moved)).mean
    return Traversals(units, values, np.asarray(means), mean.shape[1])


def _mean_and_draw(run: Run, key: Array, x: Array) -> tuple[Array, Array]:
    """E[z | x], of draws where it has no closed form, and a draw."""
    q: Distribution = run.model.encode(run.params, x)
    z = q.sample(key, (DRAWS,))
    return moments(q, z)[0].mean(0), z[0]


def named_paths(axes: Axes, names: Sequence[str], behind: np.ndarray) -> None:
    """Names the lines of a figure of paths, marks their starts, and shows the data behind them.

    Args:
        axes: with one line a path, in the order of the names.
        names: of the paths.
        behind: the one or two elements of the data that are shown, `[n, 1 or 2]`.
    """
    for line, name in zip(axes.get_lines(), names, strict=True):
        line.set_label(name)
        x, y = np.asarray(line.get_data())
        axes.plot(x[:1], y[:1], "s", ms=6, color=line.get_color())
    x, y = behind[:, 0], behind[:, 1] if behind.shape[1] > 1 else np.zeros(len(behind))
    axes.plot(x, y, ".", ms=2, alpha=0.4, color=GREY, zorder=0)
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
