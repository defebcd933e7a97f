"""The figure of a bound: from the ELBO up to log p(x), and the two terms that it is the sum of."""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from vae_jax import plots
from vae_jax.estimators._best import BEST
from vae_jax.evaluation.warnings import of_given
from vae_jax.plots import BLUE, GREEN, GREY, ORANGE, captioned
from vae_jax.reporting.entries import GAPS, Amount, Entry
from vae_jax.reporting.summary import SURGERY, WITHIN, best_kl

PAD = {"small": 126, "medium": 152}  # points that labels take, which begin at one line
FAMILIES = ("elbo_full_normal", "elbo_flow")  # whose best q is richer than that of the encoder
LIGHT_GREEN, PALE_GREEN = "#66C4A8", "#B2E0D3"  # parts of the KL, and parts of these
NAMES = {
    "elbo": "ELBO",
    "amortization_gap": "+ amortization",
    "approximation_gap": "+ approximation",
    "elbo_full_normal": "ELBO, full_normal",
    "elbo_flow": "ELBO, flow",
    "log_p": "log p(x), importance",
    "log_p_ais": "log p(x), annealing",
    "log_p_quadrature": "log p(x), quadrature",
    "log_p_exact": "log p(x), exact",
    "log_likelihood": r"$E_q$ log p(x|z)",
    "mutual_information": "   − mutual information",
    "marginal_kl": "   − KL(q(z) ‖ p(z))",
    "total_correlation": "      − between dimensions",
    "dimension_kl": "      − within dimensions",
}


class Step(NamedTuple):
    """A row: a point, or a bar that begins where another ended."""

    label: str
    start: float  # of a point, where it lies
    amount: Amount
    colour: str
    sign: int = 0  # of a bar, whether it leads up or down; 0: a point

    @property
    def end(self) -> float:
        """Where the bar ends."""
        return self.start + self.sign * self.amount.mean

    @property
    def is_finite(self) -> bool:
        """Whether it can be drawn."""
        return math.isfinite(self.start) and math.isfinite(self.amount.mean)


def upwards(entry: Entry) -> list[Step]:
    """The rows from the ELBO to the best log p(x), and below them the other estimates of it."""
    steps = [_point(entry, "elbo", BLUE)]
    best = entry.best
    if best is None:
        return steps
    if entry.shares:
        for name, share, colour in zip(GAPS, entry.shares, (ORANGE, GREEN), strict=True):
            steps.append(Step(NAMES[name], steps[-1].end, share, colour, 1))
    else:
        gap = entry.gap or Amount(0.0)
        steps.append(Step("+ gap of the bound", steps[0].end, gap, ORANGE, 1))
    known = [name for name in (*BEST, *FAMILIES) if name in entry.numbers and name != best]
    return [*steps, _point(entry, best, BLUE), *(_point(entry, n, GREY) for n in known)]


def _point(entry: Entry, name: str, colour: str) -> Step:
    amount = entry.amount(name)
    return Step(of_given(NAMES[name], entry.results), amount.mean, amount, colour)


def downwards(entry: Entry) -> list[Step]:
    """The rows of E log p(x|z), of the KL, and of what this is the sum of, to the ELBO."""
    steps = [Step(NAMES["log_likelihood"], 0.0, entry.amount("log_likelihood"), ORANGE, 1)]
    kl = best_kl(entry)
    if kl is None:
        return steps
    top = steps[0].end
    steps.append(Step("− KL(q(z|x) ‖ p(z))", top, entry.amount(kl), GREEN, -1))
    for names, colour in ((SURGERY, LIGHT_GREEN), (WITHIN, PALE_GREEN)):
        if not all(name in entry.numbers for name in names):
            break
        for name in names:
            steps.append(Step(NAMES[name], top, entry.amount(name), colour, -1))
            top = steps[-1].end
        top = steps[-1].start  # where the second begins, whose parts come next
    return [*steps, _point(entry, "elbo", BLUE)] if "elbo" in entry.numbers else steps


def decomposition(above: Entry | None, below: Entry | None, narrow: bool = False) -> Figure | None:
    """From the ELBO to log p(x) of one set of examples, and the ELBO's terms of one set.

    Args:
        above: the numbers of the first.
        below: those of the second.
        narrow: for a screen of a phone, or a column.

    Returns:
        the figure; None without numbers.
    """
    parts = [(e, make(e)) for e, make in ((above, upwards), (below, downwards)) if e]
    parts = [(e, [s for s in steps if s.is_finite]) for e, steps in parts]
    parts = [(e, steps) for e, steps in parts if len(steps) > 1]
    if not parts:
        return None
    rows = [len(steps) + 1 for _, steps in parts]
    size = (4.4 if narrow else 8.6, 0.27 * sum(rows) + 0.85 * len(rows))
    with plots.styled():
        figure = Figure(figsize=size, layout="constrained")
        every = figure.subplots(len(rows), 1, height_ratios=rows, squeeze=False)[:, 0]
        for axes, (entry, steps) in zip(every, parts, strict=True):
            _draw(axes, steps, entry, "small" if narrow else "medium")
    return captioned(figure, _caption(parts))


def _draw(axes: Axes, steps: Sequence[Step], entry: Entry, size: str) -> None:
    for place, step in enumerate(steps):
        _row(axes, place, step, size)
    for place, (step, later) in enumerate(pairwise(steps)):
        if step.sign or later.sign:
            axes.plot([later.start] * 2, [place, place + 1], ":", color=GREY, lw=1, zorder=0)
    labels = [step.label for step in steps]
    if steps[0].label == NAMES["elbo"] and (marks := _iwae(entry)):
        _marks(axes, len(labels), marks)
        labels.append("IWAE bounds, k")
    axes.set_yticks(range(len(labels)), labels, ha="left", size=size)
    axes.tick_params(axis="y", length=0, pad=PAD[size])
    axes.tick_params(axis="x", labelsize=size)
    axes.set_ylim(len(labels) - 0.4, -0.6)
    axes.set_title(entry.examples, loc="left", size=size, color=GREY)
    axes.set_xlabel("nats per example", size=size)
    axes.grid(axis="x", alpha=0.3)
    axes.spines["left"].set_visible(False)


def _row(axes: Axes, place: int, step: Step, size: str) -> None:
    """A point or a bar with its error, and the number beside the axes."""
    error = step.amount.error or 0.0
    if step.sign:
        length = step.sign * step.amount.mean
        axes.barh(place, length, 0.62, left=step.start, color=step.colour)
        axes.errorbar(step.end, place, xerr=error, color="black", elinewidth=1, capsize=2)
    else:
        axes.errorbar(step.start, place, xerr=error, fmt="o", ms=5, color=step.colour,
                      elinewidth=1, capsize=3)  # fmt: skip
    axes.text(1.02, place, str(step.amount), transform=axes.get_yaxis_transform(),
              va="center", size=size)  # fmt: skip


def _iwae(entry: Entry) -> list[tuple[int, float]]:
    """k and mean of the IWAE bounds, which begin above the ELBO."""
    marks = [(n["k"], n["mean"]) for n in entry.numbers.values() if n.get("k", 0) > 1]
    return sorted(mark for mark in marks if math.isfinite(mark[1]))


def _marks(axes: Axes, place: int, marks: Sequence[tuple[int, float]]) -> None:
    """Ticks with their k, in turn above and below, since they come close to each other."""
    for i, (k, mean) in enumerate(marks):
        axes.plot(mean, place, "|", color=GREY, ms=7)
        side = 1 if i % 2 == 0 else -1
        axes.annotate(f"{k:,}", (mean, place), (0, 7 * side), size="x-small", color=GREY,
                      textcoords="offset points", ha="center", va="center")  # fmt: skip


def _caption(parts: Sequence[tuple[Entry, Sequence[Step]]]) -> str:
    """The sentences of the figure: only of what is drawn."""
    told = []
    for entry, steps in parts:
        if steps[0].label == NAMES["elbo"]:
            told.append(f"From the ELBO to {entry.log_p} on {entry.where}.")
        else:
            told.append(f"The ELBO's terms on {entry.where}.")
    errors = "Lines are standard errors over examples; those of gaps are paired."
    return " ".join([*told, errors])
