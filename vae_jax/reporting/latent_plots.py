"""Figures of the latent plane, made from arrays: its images, the draws in it, their labels."""

from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from vae_jax.plots import BLUE, GREY, MARKERS, show_images

MOST_CLASSES = 20  # in a key


def manifold(images: np.ndarray, extent: tuple[float, float, float, float]) -> Figure:
    """Decoder means over a grid of the latent plane, `[side, side, height, width(, channels)]`."""
    side = len(images)
    flat = images[::-1].reshape(side * side, *images.shape[2:])
    figure = Figure(figsize=(6, 6), layout="constrained")
    axes = figure.subplots()
    show_images(axes, flat, side)
    axes.set_axis_on()
    axes.set_xticks(*_ticks(axes.get_xlim(), extent[:2]))
    axes.set_yticks(*_ticks(axes.get_ylim(), extent[2:]))
    axes.set(xlabel="$z_1$", ylabel="$z_2$", title=r"means of $p(x \mid z)$")
    return figure


def _ticks(pixels: tuple[float, float], values: tuple[float, float]) -> tuple[Any, Any]:
    """Whole numbers in a range, and where they lie on an axis of pixels."""
    whole = np.arange(np.ceil(values[0]), np.floor(values[1]) + 1)
    return np.interp(whole, values, pixels), [f"{value:g}".replace("-", "−") for value in whole]


def aggregated_posterior(
    z: np.ndarray, labels: np.ndarray | None, grid: np.ndarray, log_prior: np.ndarray
) -> Figure:
    """Draws z ~ q(z | x), one per test example, over the contours of the prior's density.

    Args:
        z: `[n, 2]`.
        labels: `[n]`, for colours, or None.
        grid: `[side, side, 2]`.
        log_prior: `[side, side]`.
    """
    figure = Figure(figsize=(5.6, 5), layout="constrained")
    axes = figure.subplots()
    heights = np.sort(np.exp(log_prior).ravel())[::-1]
    levels = sorted(
        {heights[np.searchsorted(heights.cumsum() / heights.sum(), m)] for m in (0.5, 0.9, 0.99)}
    )
    axes.contour(grid[..., 0], grid[..., 1], np.exp(log_prior), levels, colors=GREY, linewidths=1)
    axes.plot([], [], color=GREY, lw=1, label="prior: 50, 90, 99% of its mass")
    if labels is None:
        axes.plot(z[:, 0], z[:, 1], ".", ms=3, alpha=0.6, color=BLUE, label="$z \\sim q(z)$")
    else:
        labelled(axes, z, labels)
    axes.set(xlabel="$z_1$", ylabel="$z_2$", title="aggregated posterior and prior")
    axes.set_aspect("equal")
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False, markerscale=2)
    return figure


def class_colours(count: int) -> np.ndarray:
    """Colours `[count or 10, 4]` of so many classes."""
    return colormaps["tab10" if count <= 10 else "turbo"](np.linspace(0, 1, max(10, count)))


def labelled(axes: Axes, z: np.ndarray, labels: np.ndarray) -> None:
    """Points by label: one colour and mark for each class, a scale of colours for many numbers."""
    names, counts = np.unique(labels[labels == labels], return_counts=True)  # without NaN
    are_numbers = len(names) > MOST_CLASSES and labels.dtype.kind in "iuf"
    kept = np.sort(names[np.argsort(-counts, kind="stable")[:MOST_CLASSES]])
    others = labels != labels if are_numbers else ~np.isin(labels, kept)
    if others.any():
        axes.plot(*z[others].T, ".", ms=3, color=GREY, alpha=0.4, label="others")
    if are_numbers:
        points = axes.scatter(z[:, 0], z[:, 1], s=6, c=labels.astype(float), cmap="viridis")
        axes.figure.colorbar(points, label="label", location="bottom", shrink=0.6)
        return
    colours = class_colours(len(kept))
    for i, name in enumerate(kept):
        chosen, mark = z[labels == name], MARKERS[i % len(MARKERS)]
        axes.plot(*chosen.T, mark, ms=3, mew=0, color=colours[i], label=str(name))
