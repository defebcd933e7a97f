"""Figures, made from arrays and without pyplot; each function returns a matplotlib Figure."""

import io
import itertools
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import colormaps, style
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from vae_jax.progress import each
from vae_jax.standard_errors import standard_error

BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#666666"  # Okabe & Ito
COLOURS = (BLUE, ORANGE, GREEN, "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#7F3C8D")
STYLES = ("-", "--", "-.", ":")
MARKERS = "osD^v<>Xph"
LINES = ((GREEN, "--"), (ORANGE, "-"), ("#CC79A7", ":"), (GREY, "-."))  # of estimates of log p(x)
COLUMN = 4.5  # inches; at the 3.4 of a paper's column, type has 7.5 points
FEW_POINTS = 20  # a curve of no more has its points marked
MOST_CLASSES = 20  # in a key
About = Mapping[str, Any] | None  # what a figure is of, such as the entries of an `Age`
DPI, ABOUT = 150, "vae_jax"  # of files: dots per inch, the entry that says what they are of


def captioned(figure: Figure, caption: str) -> Figure:
    """The figure with sentences that say what is drawn in it: its label, as matplotlib has one."""
    figure.set_label(caption)
    return figure


def styled() -> Any:
    """A context in which figures have the sizes of `vae_jax.paper`, whatever the user's are."""
    return style.context(["default", "vae_jax.paper"])


def is_image(shape: tuple[int, ...]) -> bool:
    """`[height, width]` or `[height, width, 1 or 3]`."""
    return len(shape) == 2 or (len(shape) == 3 and shape[-1] in (1, 3))


def show_images(axes: Axes, images: np.ndarray, columns: int) -> None:
    """Images `[n, height, width(, channels)]` in [0, 1] on a grid, a thin gap between them."""
    images = images[..., None] if images.ndim == 3 else images
    rows = -(-len(images) // columns)
    height, width, channels = (int(n) for n in images.shape[1:])
    sheet = np.full((rows * (height + 1) + 1, columns * (width + 1) + 1, channels), 0.12)
    for i, image in enumerate(np.clip(images, 0, 1)):
        top, left = (i // columns) * (height + 1) + 1, (i % columns) * (width + 1) + 1
        sheet[top : top + height, left : left + width] = image
    axes.imshow(sheet.squeeze(), cmap="gray_r", vmin=0, vmax=1, interpolation="nearest")
    axes.set_axis_off()


def pair(narrow: bool = False, count: int = 2) -> tuple[Figure, np.ndarray]:
    """A figure of axes side by side, or below each other where that is too wide."""
    size, shape = ((4.4, 3.1 * count), (count, 1)) if narrow else ((5 * count, 3.6), (1, count))
    figure = Figure(figsize=size, layout="constrained")
    return figure, figure.subplots(*shape, squeeze=False).ravel()


def image_panels(panels: Mapping[str, np.ndarray], columns: int) -> Figure:
    """Sheets of images side by side, each under its title."""
    figure = Figure(figsize=(3.7 * len(panels), 4.1), layout="constrained")
    for axes, (title, images) in zip(
        figure.subplots(1, len(panels), squeeze=False)[0], panels.items(), strict=True
    ):
        show_images(axes, images, columns)
        axes.set_title(title)
    return figure


def image_rows(rows: Mapping[str, np.ndarray]) -> Figure:
    """Rows of images under each other, each with its name."""
    count = len(next(iter(rows.values())))
    figure = Figure(figsize=(0.6 * count + 1.5, 0.72 * len(rows) + 0.3), layout="constrained")
    for axes, (name, images) in zip(figure.subplots(len(rows), 1), rows.items(), strict=True):
        show_images(axes, images, count)
        axes.set_axis_on()
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_visible(False)
        axes.set_ylabel(name, rotation=0, ha="right", va="center")
    return figure


def point_panels(
    panels: Mapping[str, np.ndarray], shown: Sequence[int], counts: bool = False
) -> Figure:
    """Two elements of vectors as points, one panel a set, the axes shared, those of counts log."""
    figure = Figure(figsize=(3.7 * len(panels), 3.8), layout="constrained")
    all_axes = figure.subplots(1, len(panels), sharex=True, sharey=True, squeeze=False)[0]
    if counts:
        all_axes[0].set(xscale="symlog", yscale="symlog")
    for axes, (title, points) in zip(all_axes, panels.items(), strict=True):
        axes.plot(*_two(points, shown), ".", ms=2, alpha=0.5, color=BLUE)
        axes.set(title=title, **_named(shown, points.shape[1]))
    return figure


def _two(points: np.ndarray, shown: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """The elements `[..., d]` that are shown, zeros in place of a second where there is one."""
    second = points[..., shown[1]] if len(shown) > 1 else np.zeros(points.shape[:-1])
    return points[..., shown[0]], second


def _named(shown: Sequence[int], size: int) -> dict[str, str]:
    """Labels of the axes, with the number of elements of which two are shown."""
    names = [f"$x_{{{i + 1}}}$" for i in shown] + [""] * (2 - len(shown))
    more = f", of {size} elements" if size > 2 else ""
    return {"xlabel": names[0] + more, "ylabel": names[1]}


def agreement(inputs: np.ndarray, outputs: np.ndarray, counts: bool = False) -> Figure:
    """Each element of vectors against its reconstruction."""
    figure = Figure(figsize=(4.2, 4.2), layout="constrained")
    axes = figure.subplots()
    ends = [min(inputs.min(), outputs.min()), max(inputs.max(), outputs.max())]
    axes.plot(ends, ends, color=GREY, lw=1, label="equal")
    axes.plot(inputs.ravel(), outputs.ravel(), ".", ms=2, alpha=0.5, color=BLUE)
    if counts:
        axes.set(xscale="symlog", yscale="symlog")
    axes.set_aspect("equal")
    axes.legend(frameon=False)
    axes.set(xlabel="$x_d$", ylabel=r"mean of $p(x_d \mid z)$, $z \sim q(z \mid x)$")
    return figure


def paths(lines: np.ndarray, shown: Sequence[int], counts: bool = False) -> Figure:
    """Paths `[n, steps, d]` between vectors, by two of their elements."""
    figure = Figure(figsize=(4.2, 4.2), layout="constrained")
    axes = figure.subplots()
    if counts:
        axes.set(xscale="symlog", yscale="symlog")
    for line in lines:
        axes.plot(*_two(line, shown), "o-", ms=3, lw=1)
    axes.set(title="means along straight lines in z", **_named(shown, lines.shape[-1]))
    return figure


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
        _labelled(axes, z, labels)
    axes.set(xlabel="$z_1$", ylabel="$z_2$", title="aggregated posterior and prior")
    axes.set_aspect("equal")
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False, markerscale=2)
    return figure


def _labelled(axes: Axes, z: np.ndarray, labels: np.ndarray) -> None:
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
    colours = colormaps["tab10" if len(kept) <= 10 else "turbo"](
        np.linspace(0, 1, max(10, len(kept)))
    )
    for i, name in enumerate(kept):
        chosen, mark = z[labels == name], MARKERS[i % len(MARKERS)]
        axes.plot(*chosen.T, mark, ms=3, mew=0, color=colours[i], label=str(name))


def bounds(
    numbers: Mapping[str, Mapping[str, Any]],
    arrays: Mapping[str, np.ndarray] | None = None,
    probability: str = "",
    best: str = "log_p",
    narrow: bool = False,
) -> Figure:
    """Bounds on log p(x) against k, its estimates as lines, and the gaps of the bounds to one.

    Args:
        numbers: by name, as in `results.json`.
        arrays: those of the examples, `[n]` by name; without them no gaps are drawn.
        probability: "mass" or "density", what the bounds are of; empty if that is not known.
        best: the estimate that the gaps are to.
        narrow: the axes below each other.
    """
    labelled = {name: n for name, n in numbers.items() if n.get("label")}
    lines = {name: n for name, n in labelled.items() if "k" not in n}
    points = sorted((n["k"], name) for name, n in labelled.items() if "k" in n)
    gaps = _gaps(arrays or {}, best, points) if best in lines else []
    ks = sorted({k for k, _ in points})
    figure, (left, *more) = pair(narrow, 2 if gaps else 1)
    marks = dict(zip(dict.fromkeys(n["label"] for n in labelled.values()), MARKERS, strict=False))
    for label in dict.fromkeys(labelled[name]["label"] for _, name in points):
        of = [(k, labelled[name]["mean"]) for k, name in points if labelled[name]["label"] == label]
        left.plot(*zip(*of, strict=True), f"{marks[label]}-", color=BLUE, ms=5, label=label)
    for number, (colour, dashes) in zip(lines.values(), itertools.cycle(LINES), strict=False):
        left.axhline(number["mean"], color=colour, ls=dashes, label=number["label"])
    left.set_ylabel(f"nats per example{f' ({probability})' if probability else ''}")
    for axes, _ in zip(more, gaps[:1], strict=False):
        mean, error = (np.array([gap[i] for gap in gaps]) for i in (1, 2))
        axes.errorbar([gap[0] for gap in gaps], mean, error, fmt="o", color=BLUE, capsize=3)
        axes.set_yscale("log" if (mean - error > 0).all() else "linear")
        axes.set_ylabel("gap of the bound [nats]")
    for axes in (left, *more):
        axes.set_xscale("log")
        axes.set_xticks(ks, [str(k) for k in ks])
        axes.set_xticks([], minor=True)
        axes.set_xlabel("k, samples in the bound")
        axes.grid(alpha=0.3)
    left.legend(frameon=False)
    text = "Bounds on log p(x) from k samples, means over examples"
    less = f"; and {lines[best]['label']} minus each, with standard errors" if gaps else ""
    return captioned(figure, f"{text}{less and less + ' over paired examples'}.")


def _gaps(
    arrays: Mapping[str, np.ndarray], best: str, points: Sequence[tuple[int, str]]
) -> list[tuple[int, float, float]]:
    """k, mean and error of each paired gap to the best estimate."""
    known = [(k, name) for k, name in points if {name, best} <= arrays.keys()]
    gaps = [(k, arrays[best] - arrays[name]) for k, name in known]
    return [(k, gap.mean(), standard_error(gap)) for k, gap in gaps if len(gap) > 1 and gap.any()]


def png(figure: Figure, about: About = None) -> bytes:
    """The figure as a PNG with its caption, and what it is of, inside."""
    inside = {"Description": str(figure.get_label()), ABOUT: json.dumps(about or {})}
    content = io.BytesIO()
    with styled():  # fonts are looked up again as it is drawn
        figure.savefig(content, format="png", dpi=DPI, bbox_inches="tight", metadata=inside)
    return content.getvalue()


def save_figures(figures: dict[str, Figure], workdir: Path, about: About = None) -> list[Path]:
    """Writes `figures/<name>.png` of a run, or of many, with captions and `about` inside."""
    folder = workdir / "figures"
    folder.mkdir(exist_ok=True)
    for name, figure in each(list(figures.items()), "figure", "write"):
        new = folder / f"{name}.{os.getpid()}.tmp.png"
        new.write_bytes(png(figure, about))
        new.replace(folder / f"{name}.png")
    return [folder / f"{name}.png" for name in figures]


def read_figure(source: Path | io.BytesIO) -> tuple[str, dict[str, Any], float]:
    """The caption of a figure, what it is of, and its width in inches, as `save_figures` wrote."""
    with Image.open(source) as image:
        text, dpi = image.info, image.info.get("dpi", (DPI, DPI))[0]
        return text.get("Description", ""), json.loads(text.get(ABOUT, "{}")), image.width / dpi
