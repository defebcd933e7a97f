"""Traversals: the means of p(x | z) as one latent after another moves, around one example."""

from collections.abc import Sequence
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from vae_jax import plots
from vae_jax.estimators.latents import in_ranges
from vae_jax.plots import GREY, captioned
from vae_jax.reporting.latent_space import Latents
from vae_jax.reporting.views import View

TAIL = 0.005  # of the draws of q(z_j) on each side, which a traversal leaves out


class Traversals(NamedTuple):
    """The most used latents, the one with the largest KL first."""

    units: np.ndarray  # j, from 0
    values: np.ndarray  # of z_j, [units, steps]
    means: np.ndarray  # of p(x | z), [units, steps, *x_shape]


def traverse(view: View, z: Latents, most: int, steps: int) -> Traversals:
    """Each of the most used latents moved through its aggregated posterior, the others at E[z | x].

    They are sorted by KL(q(z_j | x) || p(z_j)), or by Var E[z_j | x] where that is not known. z_j
    goes evenly from the 0.5% to the 99.5% quantile of its draws, around the first example. Of
    layers those are moved that the decoder sees.

    Args:
        view: of the run.
        z: its latents.
        most: latents, at most.
        steps: values of each.
    """
    size = z.mean.shape[1]
    visible = view.run.model.visible or size
    use = np.where(np.arange(size) < size - visible, -1.0, z.use)
    units = np.argsort(-use, kind="stable")[: min(most, visible)]
    low, high = np.quantile(z.draw[:, units], [TAIL, 1 - TAIL], axis=0)
    values = np.linspace(low, high, steps, axis=1)
    moved = np.tile(z.mean[0], (len(units), steps, 1))
    for row, unit in enumerate(units):
        moved[row, :, unit] = values[row]
    means = view.decode(jnp.asarray(moved), view.condition).mean
    return Traversals(units, values, np.asarray(means))


def traversals(view: View, z: Latents) -> Figure:
    """Means of p(x | z) as one of the most used latents after another moves, around an example."""
    most, steps = (10, 11) if view.is_image else (5, 25)
    moved = traverse(view, z, most, steps)
    names = [_name(z, j) for j in moved.units]
    each = "latent" if len(names) == z.mean.shape[1] else f"of the {len(names)} most used latents"
    what = f"Means of p(x|z) as each {each} goes through the middle {1 - 2 * TAIL:.0%} of q(z_j)"
    sorted_by = "their KL in nats" if z.kl is not None else "Var E[z_j|x]"
    what = f"{what}, the others at E[z|x] of a test example; sorted by {sorted_by}{_collapsed(z)}"
    if view.is_image:
        rows = dict(zip(names, map(view.unit, moved.means), strict=True))
        return captioned(plots.image_rows(rows), f"{what}.")
    vectors = view.brought(moved.means.reshape(-1, *moved.means.shape[2:]))
    lines = vectors.reshape(len(names), steps, -1)
    figure = plots.paths(lines, view.shown, view.are_counts(moved.means), view.names)
    named_paths(figure.axes[0], names, view.brought(view.x)[:, view.shown])
    more = "; squares are the lowest z_j, grey points the data"
    return captioned(figure, f"{what}{view.elements}{view.units}{more}.")


def _name(z: Latents, j: int) -> str:
    """`$z_3$ 2.41`, the latent with what it carries."""
    told = "collapsed" if z.is_collapsed[j] else f"{z.use[j]:.2f}"
    return f"$z_{{{j + 1}}}$  {told}"


def _collapsed(z: Latents) -> str:
    off = np.flatnonzero(z.is_collapsed) + 1
    return f"; collapsed: {in_ranges(off)}" if len(off) else ""


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
