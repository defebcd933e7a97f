"""A comparison as one figure for a column of a paper: spread and bias against cost."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from vae_jax.kl_comparison.pairs.cells import Cell
from vae_jax.kl_comparison.pairs.compare import KLComparison
from vae_jax.plots import COLOURS, COLUMN, GREY, MARKERS, STYLES, styled


def figure(comparison: KLComparison) -> Figure:
    """Above the standard deviation of one estimate, below the mean's bias, both against K."""
    rows = [row for row in comparison.rows if row.cells]
    with styled():
        whole = Figure(figsize=(COLUMN, 4.8 + 0.19 * ((len(rows) + 4) // 2)), layout="constrained")
        above, below = whole.subplots(2, 1, sharex=True, height_ratios=(1.25, 1))
        for place, row in enumerate(rows):
            look = _look(place)
            _spread(above, row.cells, row.name, look)
            _bias(below, row.cells, place - (len(rows) - 1) / 2, look)
        _guides(above, [cell for row in rows for cell in row.cells])
        above.set(xscale="log", ylabel="std. of an estimate [nats]")
        if any(cell.standard_deviation > 0 for row in rows for cell in row.cells):
            above.set_yscale("log")
        below.axhline(0, color=GREY, lw=0.6)
        below.set(xlabel="K, evaluations for one estimate", ylabel="bias, 95% intervals [nats]")
        _symmetric_log(below, [cell for row in rows for cell in row.cells])
        ks = sorted({cell.num_samples for row in rows for cell in row.cells})
        below.set_xticks(ks, [str(k) for k in ks])
        below.minorticks_off()
        for axes in (above, below):
            axes.grid(alpha=0.25, lw=0.4)
        whole.legend(loc="outside upper center", ncols=2, frameon=False, handlelength=2.6,
                     columnspacing=1.2, borderaxespad=0.1, labelspacing=0.25)  # fmt: skip
    return whole


def _look(place: int) -> dict[str, Any]:
    """A colour, a marker and a line style, so that nothing depends on colour alone."""
    return {
        "color": COLOURS[place % len(COLOURS)],
        "marker": MARKERS[place % len(MARKERS)],
        "ls": STYLES[place % len(STYLES)],
    }


def _spread(axes: Axes, cells: Sequence[Cell], name: str, look: dict[str, Any]) -> None:
    seen = [c for c in cells if c.standard_deviation > 0]
    axes.plot([c.num_samples for c in seen], [c.standard_deviation for c in seen],
              label=name.replace("_", " "), **look)  # fmt: skip


def _bias(axes: Axes, cells: Sequence[Cell], shift: float, look: dict[str, Any]) -> None:
    """Means with 95% intervals, estimators side by side."""
    at = [c.num_samples * 1.09**shift for c in cells]
    look = look | {"ls": "none", "ms": 2.4, "elinewidth": 0.7}
    axes.errorbar(at, [c.bias for c in cells], [1.96 * c.bias_error for c in cells], **look)


def _symmetric_log(axes: Axes, cells: Sequence[Cell]) -> None:
    """Makes the axis linear within the median error, so that small biases are seen too."""
    errors = [c.bias_error for c in cells if c.bias_error > 0]
    if errors:
        axes.set_yscale("symlog", linthresh=float(10 ** np.ceil(np.log10(np.median(errors)))))


def _guides(axes: Axes, cells: Sequence[Cell]) -> None:
    """K^-1/2 and K^-1, from just above the estimators' middle."""
    ks = np.array(sorted({c.num_samples for c in cells}), float)
    first = [c.standard_deviation for c in cells if c.num_samples == ks[0]]
    start = 1.5 * float(np.median(first))
    if len(ks) > 1 and start > 0:
        for power, style, label in (
            (-0.5, (0, (1, 1)), "$K^{-1/2}$"),
            (-1, (0, (4, 2)), "$K^{-1}$"),
        ):
            axes.plot(ks, start * (ks / ks[0]) ** power, color=GREY, ls=style, lw=0.7, label=label)
