"""The figure of a table: the distribution of each of its columns."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from vae_jax.plots import BLUE, ORANGE

BINS, ALONG = 25, 4  # of a histogram, histograms in a row
FILLED: dict[str, Any] = {"color": BLUE, "alpha": 0.5}
OUTLINED: dict[str, Any] = {"color": ORANGE, "histtype": "step", "lw": 1.4}


def distributions(data: np.ndarray, draws: np.ndarray, names: Sequence[str]) -> Figure:
    """Histograms of each element of vectors `[n, d]`, of data and of draws, NaN left out."""
    down = -(-len(names) // ALONG)
    figure = Figure(figsize=(2.5 * ALONG, 1.9 * down + 0.4), layout="constrained")
    every = figure.subplots(down, ALONG, squeeze=False).ravel()
    for axes, name, of_data, of_model in zip(every, names, data.T, draws.T, strict=False):
        pair = [values[np.isfinite(values)] for values in (of_data, of_model)]
        bins = np.histogram_bin_edges(np.concatenate(pair), BINS)
        for values, how in zip(pair, (FILLED, OUTLINED), strict=True):
            if len(values):
                axes.hist(values, bins, density=True, **how)
        axes.set(yticks=[], title=name)
    for axes in every[len(names) :]:
        axes.set_axis_off()
    handles = [Patch(color=BLUE, alpha=0.5), Patch(edgecolor=ORANGE, fill=False)]
    told = ["test data", "draws of the model"]
    figure.legend(handles, told, loc="outside lower center", ncols=2, frameon=False)
    return figure
