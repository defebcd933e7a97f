"""Figures, made from arrays and without pyplot; each function returns a matplotlib Figure."""

import io
import itertools
import json
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import rc_context, style
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from vae_jax.errors import unknown
from vae_jax.progress import each
from vae_jax.standard_errors import standard_error

BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#666666"  # Okabe & Ito
COLOURS = (BLUE, ORANGE, GREEN, "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#7F3C8D")
STYLES = ("-", "--", "-.", ":")
MARKERS = "osD^v<>Xph"
LINES = ((GREEN, "--"), (ORANGE, "-"), ("#CC79A7", ":"), (GREY, "-."))  # of estimates of log p(x)
COLUMN = 4.5  # inches; at the 3.4 of a paper's column, type has 7.5 points
FEW_VECTORS = 300  # of which larger points are drawn
FEW_POINTS = 20  # a curve of no more has its points marked
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
    panels: Mapping[str, np.ndarray],
    shown: Sequence[int],
    counts: bool = False,
    names: Sequence[str] = (),
    most: int = 5,
) -> Figure:
    """Two elements of vectors as points, a panel a set, the axes shared, those of counts log.

    Args:
        panels: vectors `[n, d]` by title.
        shown: the elements.
        counts: that they are counts which reach far.
        names: of all elements; empty: their numbers.
        most: panels in a row.
    """
    along = min(most, len(panels))
    down = -(-len(panels) // along)
    figure = Figure(
        figsize=(3.7 * along, 3.8 * down if down == 1 else 3.2 * down), layout="constrained"
    )
    every = figure.subplots(down, along, sharex=True, sharey=True, squeeze=False).ravel()
    if counts:
        every[0].set(xscale="symlog", yscale="symlog")
    for axes, (title, points) in zip(every, panels.items(), strict=False):
        size = 2 if len(points) > FEW_VECTORS else 4
        axes.plot(*_two(points, shown), ".", ms=size, alpha=0.5, color=BLUE)
        axes.set(title=title, **_named(shown, points.shape[1], names))
        axes.label_outer()
    for axes in every[len(panels) :]:
        axes.set_axis_off()
    return figure


def _two(points: np.ndarray, shown: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """The elements `[..., d]` that are shown, zeros in place of a second where there is one."""
    second = points[..., shown[1]] if len(shown) > 1 else np.zeros(points.shape[:-1])
    return points[..., shown[0]], second


def _named(shown: Sequence[int], size: int, names: Sequence[str] = ()) -> dict[str, str]:
    """Labels of the axes, with the number of elements of which two are shown."""
    each = [names[i] if names else f"$x_{{{i + 1}}}$" for i in shown] + [""] * (2 - len(shown))
    more = f", of {size} elements" if size > 2 else ""
    return {"xlabel": each[0] + more, "ylabel": each[1]}


def agreement(inputs: np.ndarray, outputs: np.ndarray, counts: bool = False) -> Figure:
    """Each element of vectors against its reconstruction."""
    figure = Figure(figsize=(4.2, 4.2), layout="constrained")
    axes = figure.subplots()
    ends = [min(np.nanmin(inputs), outputs.min()), max(np.nanmax(inputs), outputs.max())]
    axes.plot(ends, ends, color=GREY, lw=1, label="equal")
    axes.plot(inputs.ravel(), outputs.ravel(), ".", ms=2, alpha=0.5, color=BLUE)
    if counts:
        axes.set(xscale="symlog", yscale="symlog")
    axes.set_aspect("equal")
    axes.legend(frameon=False)
    axes.set(xlabel="$x_d$", ylabel=r"mean of $p(x_d \mid z)$, $z \sim q(z \mid x)$")
    return figure


def paths(
    lines: np.ndarray, shown: Sequence[int], counts: bool = False, names: Sequence[str] = ()
) -> Figure:
    """Paths `[n, steps, d]` between vectors, by two of their elements."""
    figure = Figure(figsize=(4.2, 4.2), layout="constrained")
    axes = figure.subplots()
    if counts:
        axes.set(xscale="symlog", yscale="symlog")
    for line in lines:
        axes.plot(*_two(line, shown), "o-", ms=3, lw=1)
    axes.set(title="means of p(x|z)", **_named(shown, lines.shape[-1], names))
    return figure


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
    what = "p(x|y)" if any("p(x|y)" in n["label"] for n in lines.values()) else "p(x)"
    text = f"Bounds on log {what} from k samples, means over examples"
    less = f"; and {lines[best]['label']} minus each, with standard errors" if gaps else ""
    return captioned(figure, f"{text}{less and less + ' over paired examples'}.")


def _gaps(
    arrays: Mapping[str, np.ndarray], best: str, points: Sequence[tuple[int, str]]
) -> list[tuple[int, float, float]]:
    """k, mean and error of each paired gap to the best estimate."""
    known = [(k, name) for k, name in points if {name, best} <= arrays.keys()]
    gaps = [(k, arrays[best] - arrays[name]) for k, name in known]
    return [(k, gap.mean(), standard_error(gap)) for k, gap in gaps if len(gap) > 1 and gap.any()]


def formats(text: str) -> tuple[str, ...]:
    """`"png,pdf"` -> ("png", "pdf"), the kinds of files that figures are written as.

    Raises:
        UserError: for a kind that there is not.
    """
    every = tuple(dict.fromkeys(part.strip() for part in re.split("[,|]", text)))
    for one in every:
        if one not in INSIDE:
            raise unknown("format", one, INSIDE)
    return every


def _of_png(caption: str, about: str) -> dict[str, Any]:
    return {"Description": caption, ABOUT: about}


def _of_pdf(caption: str, about: str) -> dict[str, Any]:
    return {"Subject": caption, "Keywords": about, "CreationDate": None}


def _of_svg(caption: str, about: str) -> dict[str, Any]:
    return {"Description": caption, "Keywords": [about], "Date": None}


INSIDE = {"png": _of_png, "pdf": _of_pdf, "svg": _of_svg}  # the entries of such files


def encoded(figure: Figure, about: About = None, form: str = "png") -> bytes:
    """The figure as a file of that format with its caption, and what it is of, inside."""
    inside = INSIDE[form](str(figure.get_label()), json.dumps(about or {}))
    content = io.BytesIO()
    with styled(), rc_context({"svg.hashsalt": ABOUT}):  # fonts are looked up as it is drawn
        figure.savefig(content, format=form, dpi=DPI, bbox_inches="tight", metadata=inside)
    return content.getvalue()


def save_figures(
    figures: dict[str, Figure], workdir: Path, about: About = None, kinds: Sequence[str] = ("png",)
) -> list[Path]:
    """Writes `figures/<name>.png` of a run, or of many, with captions and `about` inside.

    Args:
        figures: by name.
        workdir: of the run.
        about: what they are of.
        kinds: of files, as `formats` has them.
    """
    folder = workdir / "figures"
    folder.mkdir(exist_ok=True)
    paths = []
    for name, figure in each(list(figures.items()), "figure", "write"):
        for form in kinds:
            new = folder / f"{name}.{os.getpid()}.tmp.{form}"
            new.write_bytes(encoded(figure, about, form))
            paths.append(new.replace(folder / f"{name}.{form}"))
    return paths


def read_figure(source: Path | io.BytesIO) -> tuple[str, dict[str, Any], float]:
    """The caption of a figure, what it is of, and its width in inches, as `save_figures` wrote."""
    with Image.open(source) as image:
        text, dpi = image.info, image.info.get("dpi", (DPI, DPI))[0]
        return text.get("Description", ""), json.loads(text.get(ABOUT, "{}")), image.width / dpi
