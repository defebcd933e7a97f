"""Figures, made from arrays and without pyplot; each function returns a matplotlib Figure."""

import itertools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure

BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#666666"  # Okabe & Ito
COLOURS = (BLUE, ORANGE, GREEN, "#CC79A7", "#E69F00", "#56B4E9", "#000000")
STYLES = ("-", "--", "-.", ":")
MARKERS = "osD^v<>Xph"
LINES = ((GREEN, "--"), (ORANGE, "-"), ("#CC79A7", ":"), (GREY, "-."))  # of estimates of log p(x)
COLUMN = 3.4  # inches, of a paper's column
COLUMN_STYLE: dict[Any, Any] = {  # rcParams of a figure as wide as that
    "font.size": 7.5, "axes.labelsize": 7.5, "xtick.labelsize": 7, "ytick.labelsize": 7,
    "legend.fontsize": 7, "axes.linewidth": 0.6, "lines.linewidth": 1,
}  # fmt: skip
Records = Sequence[Mapping[str, Any]]
Draw = TypeVar("Draw", bound=Callable[..., Figure])


def captioned(caption: str) -> Callable[[Draw], Draw]:
    """A decorator for a function that draws a figure, with the sentence that explains it."""

    def add_caption(draw: Draw) -> Draw:
        draw.caption = caption  # type: ignore[attr-defined]
        return draw

    return add_caption


def captions(figures: Sequence[Any]) -> dict[str, str]:
    """The captions of figures by name; a figure has the name of the function that draws it."""
    return {draw.__name__: draw.caption for draw in figures}


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


def image_panels(panels: Mapping[str, np.ndarray], columns: int) -> Figure:
    """Sheets of images side by side, each under its title."""
    figure = Figure(figsize=(4.2 * len(panels), 4.6), layout="constrained")
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


def point_panels(panels: Mapping[str, np.ndarray], shown: Sequence[int]) -> Figure:
    """Two elements of vectors as points, one panel a set, the axes shared."""
    figure = Figure(figsize=(3.8 * len(panels), 3.9), layout="constrained")
    all_axes = figure.subplots(1, len(panels), sharex=True, sharey=True, squeeze=False)[0]
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


def agreement(inputs: np.ndarray, outputs: np.ndarray) -> Figure:
    """Each element of vectors against its reconstruction."""
    figure = Figure(figsize=(4.2, 4.2), layout="constrained")
    axes = figure.subplots()
    ends = [min(inputs.min(), outputs.min()), max(inputs.max(), outputs.max())]
    axes.plot(ends, ends, color=GREY, lw=1, label="equal")
    axes.plot(inputs.ravel(), outputs.ravel(), ".", ms=2, alpha=0.5, color=BLUE)
    if ends[0] >= 0 and ends[1] > 50:  # counts
        axes.set(xscale="symlog", yscale="symlog")
    axes.set_aspect("equal")
    axes.legend(frameon=False)
    axes.set(xlabel="$x_d$", ylabel=r"mean of $p(x_d \mid z)$, $z \sim q(z \mid x)$")
    return figure


def paths(lines: np.ndarray, shown: Sequence[int]) -> Figure:
    """Paths `[n, steps, d]` between vectors, by two of their elements."""
    figure = Figure(figsize=(4.2, 4.2), layout="constrained")
    axes = figure.subplots()
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
    return np.interp(whole, values, pixels), [f"{value:g}" for value in whole]


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
    names = np.unique(labels)
    colours = colormaps["tab10" if len(names) <= 10 else "turbo"](
        np.linspace(0, 1, max(10, len(names)))
    )
    markers = "os^vD<>phX"
    for i, name in enumerate(names):
        chosen, mark = z[labels == name], markers[i % len(markers)]
        axes.plot(chosen[:, 0], chosen[:, 1], mark, ms=3, mew=0, color=colours[i], label=str(name))


@captioned("Training. Left, the bound; right, its two terms.")
def curves(records: Records) -> Figure:
    """Bound, log-likelihood and KL against epochs, the validation bound with its error."""
    train = [r for r in records if "bound" in r]
    held = [r for r in records if "validation_bound" in r]
    figure = Figure(figsize=(10, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    epochs = [r["epoch"] for r in train]
    left.plot(epochs, [r["bound"] for r in train], color=BLUE, lw=1, label="training")
    if held:
        at, mean = [r["epoch"] for r in held], np.array([r["validation_bound"] for r in held])
        error = np.array([r["validation_error"] for r in held], float)
        left.plot(at, mean, color=ORANGE, ls="--", label="validation (± std. error)")
        left.fill_between(at, mean - error, mean + error, color=ORANGE, alpha=0.25, lw=0)
        left.set_ylim(_without_start([r["bound"] for r in train], mean - error), None)
    else:
        left.set_ylim(_without_start([r["bound"] for r in train]), None)
    left.set(xlabel="epoch", ylabel="bound [nats per example]")
    right.plot(epochs, [r["kl"] for r in train], color=GREEN, label="KL")
    distortion = [-r["log_likelihood"] for r in train]
    right.plot(epochs, distortion, color=ORANGE, ls="--", label=r"$-E_q \log p(x|z)$")
    right.set_ylim(None, -_without_start([-d for d in distortion], [-r["kl"] for r in train]))
    right.set(xlabel="epoch", ylabel="nats per example")
    for axes in (left, right):
        axes.legend(frameon=False)
        axes.grid(alpha=0.3)
    return figure


def _without_start(*lines: Any) -> float:
    """A lower limit that shows each line but for its first steps, with a margin."""
    low = min(float(np.quantile(line, 0.05)) for line in lines)
    high = max(float(np.max(line)) for line in lines)
    return low - 0.05 * (high - low) - 1e-6


@captioned("Bounds on log p(x) from k samples; errors over examples, the same for all k.")
def bounds(numbers: Mapping[str, Mapping[str, Any]]) -> Figure:
    """Bounds on log p(x) against k, with standard errors, and its estimates as lines."""
    figure = Figure(figsize=(5, 3.6), layout="constrained")
    axes, labelled = figure.subplots(), [n for n in numbers.values() if n.get("label")]
    curves, lines = ([n for n in labelled if ("k" in n) is curve] for curve in (True, False))
    for label, mark in zip(dict.fromkeys(n["label"] for n in curves), MARKERS, strict=False):
        points = sorted((n for n in curves if n["label"] == label), key=lambda n: n["k"])
        ks, means = [n["k"] for n in points], [n["mean"] for n in points]
        errors = [n["standard_error"] or 0 for n in points]
        axes.errorbar(ks, means, errors, fmt=f"{mark}-", color=BLUE, capsize=3, label=label)
    for number, (colour, style) in zip(lines, itertools.cycle(LINES), strict=False):
        axes.axhline(number["mean"], color=colour, ls=style, label=number["label"])
    axes.set_xscale("log")
    axes.set(xlabel="k, samples in the bound", ylabel="nats per example")
    axes.legend(frameon=False)
    axes.grid(alpha=0.3)
    return figure


def save_figures(figures: dict[str, Figure], workdir: Path) -> list[Path]:
    """Writes `workdir/figures/<name>.png` for each."""
    folder = workdir / "figures"
    folder.mkdir(exist_ok=True)
    for name, figure in figures.items():
        figure.savefig(folder / f"{name}.png", dpi=150, bbox_inches="tight")
    return [folder / f"{name}.png" for name in figures]
