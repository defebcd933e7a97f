"""Figures that compare settings; each function returns a matplotlib Figure."""

import textwrap
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from vae_jax.config.fields import FAMILY_OF
from vae_jax.plots import (
    BLUE,
    COLOURS,
    FEW_POINTS,
    GREY,
    MARKERS,
    ORANGE,
    STYLES,
    captioned,
    styled,
)
from vae_jax.standard_errors import standard_error
from vae_jax.sweeps.compare import Comparison, numeric_leaves
from vae_jax.sweeps.results import Row, RunResult

OUT_OF_SIGHT = 3  # an interval that reaches this many times farther than the rest is cut
MOST_CURVES, MOST_INTERVALS = 10, 60
REMARK_WIDTH = 46  # characters, of a line in a figure
WIDE_RANGE = 20  # above this ratio of the largest to the smallest, an axis is logarithmic


def figures(comparison: Comparison) -> dict[str, Figure]:
    """The figures that suit the fields that vary, by name."""
    with styled():
        return _figures(comparison)


def _figures(comparison: Comparison) -> dict[str, Figure]:
    drawn_at_random = bool(comparison.plan.get("random"))
    shown = [row for row in comparison.rows if row.estimate]
    drawn = {"intervals": intervals(comparison, shown)} if shown else {}
    if any(_drawn(row) for row in comparison.rows):
        drawn["curves"] = curves(comparison)
    count = len({tuple(row.fields.values()) for row in shown})
    if len(comparison.fields) == 2 and len(shown) == count > 1 and not drawn_at_random:
        drawn["heat_map"] = heat_map(comparison, shown)
    if drawn_at_random and (axes := numeric_axes(shown)):
        drawn["random_search"] = random_search(comparison, shown, axes)
    return drawn


def _axis(comparison: Comparison) -> str:
    """`log_p [nats per example (mass)]`."""
    return f"{comparison.metric} [{comparison.shown_unit}]"


def short(row: Row) -> str:
    """A setting's name in figures: parts by their values, other fields by their names too."""
    parts = (*FAMILY_OF, "optimizer")
    named = [v if f in parts else f"{f}={v}" for f, v in row.fields.items()]
    return "\n".join(named) or row.name


def intervals(comparison: Comparison, rows: Sequence[Row]) -> Figure:
    """Left each setting's mean with both errors and its seeds; right the paired differences."""
    rows = comparison.best(rows, MOST_INTERVALS)
    lines = max((short(row).count("\n") + 1 for row in rows), default=1)
    height = 1.6 + len(rows) * max(0.34, 0.2 * lines)
    left, right = (figure := Figure((11, height), layout="constrained")).subplots(1, 2, sharey=True)
    for place, row in enumerate(rows):
        _mean(left, row, place)
        _difference(right, row, place)
    left.set_yticks(range(len(rows)), [short(row) for row in rows])
    left.set_ylim(len(rows) - 0.4, -0.6)
    left.set_xlabel(_axis(comparison))
    _cut(right, rows)
    right.axvline(0, color=GREY, lw=1)
    level = f"{comparison.confidence * 100:g}%"
    right.set_xlabel(f"difference to the baseline, {level} intervals [{comparison.unit}]")
    for axes in (left, right):
        axes.grid(axis="x", alpha=0.3)
        _legend_once(axes)
    rest = sum(row.estimate is not None for row in comparison.rows) - len(rows)
    more = f" {rest} more, whose means are worse, are left out." if rest > 0 else ""
    return captioned(figure, _about_intervals(rows) + more)


def _about_intervals(rows: Sequence[Row]) -> str:
    """The caption of `intervals`: only of what is drawn."""
    estimates = [row.estimate for row in rows if row.estimate]
    errors = {
        "over seeds, on these examples": any(e.seeds_error is not None for e in estimates),
        "over examples, for these models": any(e.examples_error is not None for e in estimates),
    }
    drawn = [what for what, is_drawn in errors.items() if is_drawn]
    means = "Left, the settings' means"
    means += f", with standard errors {', and '.join(drawn)}" if drawn else ""
    if not any(row.difference for row in rows):
        return f"{means}. Right, why there is no difference to the baseline."
    return f"{means}. Right, the paired differences to the baseline."


def _mean(axes: Axes, row: Row, place: int) -> None:
    estimate = row.estimate
    if estimate is None:
        return
    each = [run.values.mean() for run in row.good if run.values is not None]
    axes.errorbar(
        estimate.mean, place, xerr=estimate.examples_error, fmt="none", ecolor=ORANGE, elinewidth=1,
        capsize=4, label="± std. error over examples",
    )  # fmt: skip
    axes.errorbar(
        estimate.mean, place, xerr=estimate.seeds_error, fmt="o", ms=5, color=BLUE, elinewidth=4,
        label="mean ± std. error over seeds",
    )  # fmt: skip
    axes.plot(each, [place + 0.22] * len(each), "|", color=GREY, ms=6, label="each seed")


def _difference(axes: Axes, row: Row, place: int) -> None:
    difference = row.difference
    if difference is None:
        remark, across = textwrap.fill(row.remark, REMARK_WIDTH), axes.get_yaxis_transform()
        axes.text(0.03, place, remark, color=GREY, size="small", va="center", transform=across,
                  bbox={"color": "white", "pad": 1})  # fmt: skip
        return
    for bounds, colour, width, offset, label in (
        (difference.examples_interval, ORANGE, 1, 0.12, "for other test examples"),
        (difference.seeds_interval, BLUE, 3, -0.12, "for other seeds"),
    ):
        if bounds:
            axes.plot(bounds, [place + offset] * 2, color=colour, lw=width, label=label,
                      marker="|", ms=6)  # fmt: skip
    axes.plot(difference.estimate.mean, place, "o", ms=4, color="black")


def _cut(axes: Axes, rows: Sequence[Row]) -> None:
    """Limits the axis where one interval would dwarf all others; arrows mark that it goes on."""
    differences = [row.difference for row in rows if row.difference]
    reach = [max(map(abs, d.seeds_interval or (d.estimate.mean,) * 2)) for d in differences]
    near = [max(map(abs, d.examples_interval or (d.estimate.mean,) * 2)) for d in differences]
    if not differences or not np.isfinite([*reach, *near]).all():
        return
    most = max(*near, OUT_OF_SIGHT * float(np.median(near)), float(np.median(reach))) * 1.15
    if max(reach) <= most:
        return
    axes.set_xlim(-most, most)
    for place, row in enumerate(rows):
        low, high = (row.difference and row.difference.seeds_interval) or (0.0, 0.0)
        for bound, side, marker in ((low, -most, "<"), (high, most, ">")):
            if abs(bound) > most and bound * side > 0:
                axes.plot(side, place - 0.12, marker, color=BLUE, ms=8, clip_on=False)


def _legend_once(axes: Axes) -> None:
    handles, labels = axes.get_legend_handles_labels()
    first = dict(zip(labels, handles, strict=True))
    axes.legend(first.values(), first.keys(), loc="lower center",
                bbox_to_anchor=(0.5, 1.0), ncols=3, frameon=False)  # fmt: skip


def curves(comparison: Comparison) -> Figure:
    """Bounds against epochs: mean over the seeds that are done, band of one standard error."""
    figure = Figure(figsize=(8, 4.2), layout="constrained")
    axes, shown = figure.subplots(), _worth_a_curve(comparison)
    means = {row.name: _curve(axes, row, i) for i, row in enumerate(shown)}
    everything = np.concatenate(list(means.values()))
    lowest = min(float(mean[-1]) for mean in means.values())  # that nothing leaves the picture
    low = min(float(np.quantile(everything, 0.1)), lowest - 0.05 * float(np.ptp(everything)))
    axes.set_ylim(low if low < everything.max() else None, None)
    held_out = all(run.held_out for row in shown for run in _drawn(row))
    where = "held-out examples" if held_out else "training examples"
    of = f" ({comparison.probability})" if comparison.probability else ""
    axes.xaxis.set_major_locator(MaxNLocator(integer=axes.get_xlim()[1] >= 1, min_n_ticks=1))
    axes.set(xlabel="epoch", ylabel=f"bound, {where} [nats{of}]")
    axes.grid(alpha=0.3)
    axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    return captioned(figure, _about_curves(comparison, shown))


def _about_curves(comparison: Comparison, shown: Sequence[Row]) -> str:
    """The caption of `curves`: only of what is drawn."""
    runs = [_drawn(row) for row in shown]
    several = any(len(of) > 1 for of in runs)
    what = "mean over seeds, with a band of one standard error" if several else "one seed each"
    begun = [row.label for row, of in zip(shown, runs, strict=True) if of[0].state != "done"]
    unfinished = f" Of runs that are not done: {'; '.join(begun)}." if begun else ""
    objectives = {row.cfg.objective for row in shown if row.cfg}
    apart = " Bounds of different objectives do not compare." if len(objectives) > 1 else ""
    rest = sum(bool(_drawn(row)) for row in comparison.rows) - len(shown)
    left_out = f" {rest} more settings are left out." if rest else ""
    return f"Learning curves: {what}.{apart}{unfinished}{left_out}"


def _curve(axes: Axes, row: Row, i: int) -> np.ndarray:
    """Draws a setting's curve, and returns its means."""
    colour, style = COLOURS[i % len(COLOURS)], STYLES[i // len(COLOURS) % len(STYLES)]
    epochs, values = _aligned([run.curve for run in _drawn(row)])
    mean = values.mean(0)
    mark = MARKERS[i % len(MARKERS)] if len(epochs) <= FEW_POINTS else ""
    name = short(row).replace("\n", ", ")
    axes.plot(epochs, mean, style, marker=mark, color=colour, lw=1.4, ms=4, label=name)
    if len(values) > 1:
        error = standard_error(values)
        axes.fill_between(epochs, mean - error, mean + error, color=colour, alpha=0.2, lw=0)
    return mean


def _drawn(row: Row) -> list[RunResult]:
    """The runs with a curve: those that are done, or all while none is."""
    begun = [run for run in row.runs if len(run.curve)]
    return [run for run in begun if run.state == "done"] or begun


def _worth_a_curve(comparison: Comparison) -> list[Row]:
    """The settings to draw: all, or where these are too many the baseline and the best."""
    rows = [row for row in comparison.rows if _drawn(row)]
    return comparison.best(rows, MOST_CURVES)


def _aligned(curves: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Epochs that all runs have a value for, and the values there `[seeds, points]`."""
    tables = [dict(map(tuple, curve)) for curve in curves]
    epochs = sorted(set(tables[0]).intersection(*tables))
    return np.array(epochs), np.array([[table[e] for e in epochs] for table in tables])


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
    axes.set_yticks(range(len(down)), down)
    axes.set_xticks(range(len(along)), along, rotation=20, ha="right")
    axes.set(ylabel=first, xlabel=second)
    figure.colorbar(image, label=_axis(comparison))
    return captioned(figure, "The mean for each pair of values.")


def numeric_axes(rows: Sequence[Row]) -> dict[str, np.ndarray]:
    """The numbers that vary over all settings: `optimizer.learning_rate` -> one for each row."""
    leaves = [numeric_leaves(row) for row in rows]
    common = [n for n in (leaves[0] if leaves else ()) if all(n in numbers for numbers in leaves)]
    values = {name: np.array([numbers[name] for numbers in leaves]) for name in common}
    return {name: v for name, v in values.items() if len(set(v)) > 1}


def random_search(
    comparison: Comparison, rows: Sequence[Row], values: Mapping[str, np.ndarray]
) -> Figure:
    """The metric against each number that was drawn, the best setting marked."""
    figure = Figure(figsize=(4.2 * len(values), 3.8), layout="constrained")
    estimates = [row.estimate for row in rows if row.estimate]
    means = np.array([e.mean for e in estimates])
    errors = np.array([e.seeds_error or 0.0 for e in estimates])
    best = _best(comparison.better, means)
    panels = figure.subplots(1, len(values), sharey=True, squeeze=False)[0]
    for axes, (name, x) in zip(panels, values.items(), strict=True):
        axes.errorbar(x, means, errors, fmt="o", color=BLUE, ms=4, capsize=2, elinewidth=1)
        if best is not None:
            axes.plot(x[best], means[best], "*", ms=15, color=ORANGE, mec="black")
            axes.set_title(f"best of {len(x)} (star): {x[best]:.4g}")
        if x.min() > 0 and x.max() / x.min() > WIDE_RANGE:
            axes.set_xscale("log")
        axes.set_xlabel(name)
        axes.grid(alpha=0.3)
    panels[0].set_ylabel(_axis(comparison))
    bars = ", with standard errors over seeds" if errors.any() else ""
    chance = " The best of many, chosen on these examples, owes part of its mean to chance."
    text = f"Each setting that was drawn{bars}.{chance if best is not None else ''}"
    return captioned(figure, text)


def _best(better: str | None, means: np.ndarray) -> int | None:
    """The place of the best mean; None where neither more nor less is better."""
    return {"higher": int(means.argmax()), "lower": int(means.argmin())}.get(better or "")


NAMES = ("intervals", "curves", "heat_map", "random_search")
