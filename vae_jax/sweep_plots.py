"""Figures that compare settings; each function returns a matplotlib Figure."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from vae_jax.comparisons import Comparison, Row, numeric_leaves
from vae_jax.plots import BLUE, GREY, ORANGE

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
STYLES = ("-", "--", "-.", ":")
MOST_CURVES = 10
FEW_POINTS = 20  # a curve of so few has its points marked
WIDE_RANGE = 20  # a field whose values span more is drawn on a logarithmic axis
HIGHER_IS_BETTER = ("log_p", "elbo", "iwae", "log_likelihood", "effective")


def figures(comparison: Comparison) -> dict[str, Figure]:
    """The figures that suit what varies, by name."""
    shown = [row for row in comparison.rows if row.estimate]
    made = {"intervals": intervals(comparison, shown)} if shown else {}
    if any(len(run.curve) for row in comparison.rows for run in row.runs):
        made["curves"] = curves(comparison)
    if len(comparison.fields) == 2 and len(shown) > 1 and not comparison.plan.get("random"):
        made["heat_map"] = heat_map(comparison, shown)
    axes = numeric_axes(shown)
    if comparison.plan.get("random") and axes:
        made["random_search"] = scatter(comparison, shown, axes)
    return made


def short(row: Row) -> str:
    """What a setting is called in a figure."""
    return "\n".join(row.fields.values()) or row.name


def intervals(comparison: Comparison, rows: Sequence[Row]) -> Figure:
    """Left each setting's mean with both errors and its seeds; right the paired differences."""
    lines = max((short(row).count("\n") + 1 for row in rows), default=1)
    height = 1.6 + len(rows) * max(0.34, 0.2 * lines)
    figure = Figure(figsize=(11, height), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    for place, row in enumerate(rows):
        _mean(left, row, place)
        _difference(right, row, place)
    left.set_yticks(range(len(rows)), [short(row) for row in rows], fontsize=8)
    left.set_ylim(len(rows) - 0.4, -0.6)
    left.set_xlabel(f"{comparison.metric} [{comparison.unit}]")
    right.axvline(0, color=GREY, lw=1)
    level = f"{comparison.confidence * 100:g}%"
    right.set_xlabel(f"difference to the baseline, {level} intervals [{comparison.unit}]")
    for axes in (left, right):
        axes.grid(axis="x", alpha=0.3)
        _legend_once(axes)
    return figure


def _mean(axes: Axes, row: Row, place: int) -> None:
    found = row.estimate
    if found is None:
        return
    each = [run.values.mean() for run in row.good if run.values is not None]
    axes.errorbar(
        found.mean, place, xerr=found.examples_error, fmt="none", ecolor=ORANGE, elinewidth=1,
        capsize=4, label="± std. error over examples",
    )  # fmt: skip
    axes.errorbar(
        found.mean, place, xerr=found.seeds_error, fmt="o", ms=5, color=BLUE, elinewidth=4,
        label="mean ± std. error over seeds",
    )  # fmt: skip
    axes.plot(each, [place + 0.22] * len(each), "|", color=GREY, ms=6, label="each seed")


def _difference(axes: Axes, row: Row, place: int) -> None:
    found = row.difference
    if found is None:
        text = "baseline" if row.remark.rpartition(", ")[2] == "baseline" else row.remark
        axes.annotate(text, (0, place), xytext=(4, 0), textcoords="offset points", fontsize=8,
                      va="center", color=GREY)  # fmt: skip
        return
    for bounds, colour, width, offset, label in (
        (found.examples_interval, ORANGE, 1, 0.12, "for other test examples"),
        (found.seeds_interval, BLUE, 3, -0.12, "for other seeds"),
    ):
        if bounds:
            axes.plot(bounds, [place + offset] * 2, color=colour, lw=width, label=label,
                      marker="|", ms=6)  # fmt: skip
    axes.plot(found.estimate.mean, place, "o", ms=4, color="black")


def _legend_once(axes: Axes) -> None:
    handles, labels = axes.get_legend_handles_labels()
    first = dict(zip(labels, handles, strict=True))
    axes.legend(first.values(), first.keys(), fontsize=7, loc="lower center",
                bbox_to_anchor=(0.5, 1.0), ncols=3, frameon=False)  # fmt: skip


def curves(comparison: Comparison) -> Figure:
    """The bound on held-out examples against epochs: mean over seeds, band of one std. error."""
    figure = Figure(figsize=(8, 4.2), layout="constrained")
    axes = figure.subplots()
    lows: list[float] = []
    shown = _worth_a_curve(comparison)
    for i, row in enumerate(shown):
        colour, style = COLOURS[i % len(COLOURS)], STYLES[i // len(COLOURS) % len(STYLES)]
        epochs, values = _aligned([run.curve for run in row.runs if len(run.curve)])
        mean, lows = values.mean(0), [*lows, *values.mean(0)]
        mark = "o" if len(epochs) <= FEW_POINTS else ""
        name = short(row).replace("\n", ", ")
        axes.plot(epochs, mean, style + mark, color=colour, lw=1.4, ms=3, label=name)
        if len(values) > 1:
            error = values.std(0, ddof=1) / np.sqrt(len(values))
            axes.fill_between(epochs, mean - error, mean + error, color=colour, alpha=0.2, lw=0)
    axes.set_ylim(np.quantile(lows, 0.1), None)
    axes.set(xlabel="epoch", ylabel="each objective's bound, held out [nats]")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=7, frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def _worth_a_curve(comparison: Comparison) -> list[Row]:
    """The settings with curves: all, or the baseline and the best where they are too many."""
    rows = [row for row in comparison.rows if any(len(run.curve) for run in row.runs)]
    ranked = sorted(rows, key=lambda r: (r.name != comparison.baseline, -_last(r)))
    chosen = {row.name for row in ranked[:MOST_CURVES]}
    return [row for row in rows if row.name in chosen]


def _last(row: Row) -> float:
    return float(np.mean([run.curve[-1, 1] for run in row.runs if len(run.curve)]))


def _aligned(found: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Epochs that all runs have reached, and the values there `[seeds, points]`."""
    length = min(len(curve) for curve in found)
    return found[0][:length, 0], np.stack([curve[:length, 1] for curve in found])


def heat_map(comparison: Comparison, rows: Sequence[Row]) -> Figure:
    """The mean for each pair of values of the two fields that vary."""
    first, second = comparison.fields
    down = list(dict.fromkeys(row.fields[first] for row in rows))
    along = list(dict.fromkeys(row.fields[second] for row in rows))
    means = np.full((len(down), len(along)), np.nan)
    figure = Figure(figsize=(2.5 + 1.7 * len(along), 1.8 + 0.6 * len(down)), layout="constrained")
    axes = figure.subplots()
    for row in rows:
        place = down.index(row.fields[first]), along.index(row.fields[second])
        means[place] = row.estimate.mean if row.estimate else np.nan
    image = axes.imshow(means, cmap="cividis", aspect="auto")
    middle = (np.nanmin(means) + np.nanmax(means)) / 2
    for (i, j), mean in np.ndenumerate(means):
        colour = "black" if mean > middle else "white"
        text = "–" if np.isnan(mean) else f"{mean:.2f}"
        axes.text(j, i, text, ha="center", va="center", color=GREY if text == "–" else colour)
    axes.set_yticks(range(len(down)), down, fontsize=8)
    axes.set_xticks(range(len(along)), along, fontsize=8, rotation=20, ha="right")
    axes.set(ylabel=first, xlabel=second)
    figure.colorbar(image, label=f"{comparison.metric} [{comparison.unit}]")
    return figure


def numeric_axes(rows: Sequence[Row]) -> dict[str, np.ndarray]:
    """The numbers that vary over all settings: `optimizer.learning_rate` -> one for each row."""
    found = [numeric_leaves(row) for row in rows]
    common = [name for name in (found[0] if found else ()) if all(name in f for f in found)]
    values = {name: np.array([f[name] for f in found]) for name in common}
    return {name: v for name, v in values.items() if len(set(v)) > 1}


def scatter(
    comparison: Comparison, rows: Sequence[Row], values: Mapping[str, np.ndarray]
) -> Figure:
    """The metric against each number that was drawn, the best setting marked."""
    figure = Figure(figsize=(4.2 * len(values), 3.8), layout="constrained")
    found = [row.estimate for row in rows if row.estimate]
    means = np.array([e.mean for e in found])
    errors = np.array([e.seeds_error or 0.0 for e in found])
    best = means.argmax() if comparison.metric.startswith(HIGHER_IS_BETTER) else means.argmin()
    panels = figure.subplots(1, len(values), sharey=True, squeeze=False)[0]
    for axes, (name, x) in zip(panels, values.items(), strict=True):
        axes.errorbar(x, means, errors, fmt="o", color=BLUE, ms=4, capsize=2, elinewidth=1)
        axes.plot(x[best], means[best], "*", ms=15, color=ORANGE, mec="black",
                  label=f"best: {x[best]:.4g}")  # fmt: skip
        if x.min() > 0 and x.max() / x.min() > WIDE_RANGE:
            axes.set_xscale("log")
        axes.set_xlabel(name)
        axes.grid(alpha=0.3)
        axes.legend(frameon=False, fontsize=8)
    panels[0].set_ylabel(f"{comparison.metric} [{comparison.unit}]")
    return figure
