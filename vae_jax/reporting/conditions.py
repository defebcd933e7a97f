"""The figure of a conditional model: the same draws of z under one condition after another."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure

from vae_jax import plots
from vae_jax.plots import captioned
from vae_jax.reporting.views import View
from vae_jax.types import Array

MOST, COLUMNS = 20, 12  # classes, and draws of each
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)  # of a real number, whose conditions are shown


class Condition(NamedTuple):
    """A condition and its name, `3` or `age=40`."""

    name: str
    given: Array  # [G]


def conditions_of(view: View) -> list[Condition]:
    """The classes that there are, or quantiles of a single number; empty where there are others."""
    coding = view.run.dataset.coding
    if coding is None:
        return []
    if coding.classes is not None:
        kept = coding.classes[:MOST]
        return [Condition(str(c), g) for c, g in zip(kept, coding.encode(kept), strict=True)]
    if coding.size > 1 or coding.standardization is None:
        return []
    of_test = np.asarray(view.batch.given)
    values = coding.standardization.undo(np.quantile(of_test, QUANTILES, axis=0))[:, 0]
    given = coding.encode(values)
    return [Condition(f"{coding.name}={v:.3g}", g) for v, g in zip(values, given, strict=True)]


def classes(view: View, key: Any, conditions: list[Condition]) -> Figure:
    """Means of p(x | z, y), a row for each y; in a column z has the same noise, where it can.

    Vectors are shown as points, a panel for each y, and are draws of p(x | z, y).
    """
    count = COLUMNS if view.is_image else min(300, len(view.x))
    z_key, x_key = jax.random.split(key)
    rows = {c.name: _drawn(view, z_key, x_key, c.given, count) for c in conditions}
    what = f"by {view.run.dataset.coding.name if view.run.dataset.coding else ''}"
    if view.is_image:
        figure = plots.image_rows({n: view.unit(means) for n, (means, _) in rows.items()})
        same = ", a column of one key for z"
        return captioned(figure, f"Means of p(x|z), z drawn from the prior, {what}{same}.")
    panels = {n: view.brought(draws) for n, (_, draws) in rows.items()}
    figure = plots.point_panels(panels, view.shown, view.are_counts(), view.names)
    return captioned(figure, f"Draws of the model {what}{view.elements}{view.units}.")


def _drawn(view: View, z_key: Any, x_key: Any, given: Array, count: int) -> tuple[Any, Any]:
    """Means of p(x | z, y) and draws from it, of one y."""
    z = view.prior((given,)).sample(z_key, (count,))
    p = view.decode(z, (jnp.broadcast_to(given, (count, *given.shape)),))
    return p.mean, p.sample(x_key)
