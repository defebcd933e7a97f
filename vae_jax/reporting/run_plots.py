"""The figures of a run that its report draws: the decomposition, learning curves, bounds."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from vae_jax import plots
from vae_jax.estimators._active import ACTIVE
from vae_jax.plots import BLUE, FEW_POINTS, GREEN, GREY, ORANGE, captioned
from vae_jax.reporting.decomposition import decomposition
from vae_jax.reporting.entries import Entry, richest
from vae_jax.reporting.summary import BEST, Story, terms, way
from vae_jax.runs.age import Age
from vae_jax.standard_errors import standard_error

Records = Sequence[Mapping[str, Any]]


class Drawing(NamedTuple):
    """A figure that can be drawn: for a page, and narrow for a phone or a column."""

    make: Callable[[bool], Figure]
    about: Mapping[str, Any]  # the entries of its `Age`; empty where that is not known


def drawings(story: Story) -> dict[str, Drawing]:
    """The figures that a run's records and numbers allow, by a name of `NAMES`."""
    every = {name: draw(story) for name, draw in DRAWN.items()}
    return {name: drawing for name, drawing in every.items() if drawing}


def _decomposition(story: Story) -> Drawing | None:
    above, below = way(story), terms(story)
    figure = decomposition(above, below)
    if figure is None:
        return None
    return Drawing(lambda narrow: decomposition(above, below, narrow) or figure,
                   _about(above or below))  # fmt: skip


def _curves(story: Story) -> Drawing | None:
    records = story.records
    if not any("bound" in r for r in records):
        return None
    known = {entry.results.get("probability", "") for entry in story.entries}
    probability = known.pop() if len(known) == 1 else ""
    about = Age("last", records[-1]["step"]).entries
    return Drawing(lambda narrow: curves(records, probability, narrow), about)


def _bounds(story: Story) -> Drawing | None:
    having = [e for e in story.entries if any("k" in n for n in e.numbers.values())]
    entry = richest(having, BEST)
    if entry is None:
        return None
    return Drawing(lambda narrow: bounds_of(entry, narrow), _about(entry))


def _units(story: Story) -> Drawing | None:
    having = [e for e in story.entries if {"kl_by_unit", "variance_by_unit"} & e.arrays.keys()]
    if not having:
        return None
    return Drawing(lambda narrow: units(having[0], narrow), _about(having[0]))


DRAWN = {"decomposition": _decomposition, "curves": _curves, "bounds": _bounds, "units": _units}
NAMES = tuple(DRAWN)


def _about(entry: Entry | None) -> Mapping[str, Any]:
    age = Age.read(entry.results) if entry else None
    return age.entries if age else {}


def bounds_of(entry: Entry, narrow: bool = False) -> Figure:
    """The figure of bounds of an entry, with gaps where the arrays of the examples are there."""
    probability = entry.results.get("probability", "")
    with plots.styled():
        figure = plots.bounds(entry.numbers, entry.arrays, probability, entry.best or "", narrow)
    return captioned(figure, f"{figure.get_label()} Of {entry.where}.")


NAMED = 20  # dimensions of z, at most, whose numbers are written
UNITS = {
    "kl_by_unit": "KL(q(z_j|x) || p(z_j)) [nats]",
    "variance_by_unit": "variance over x of E[z_j|x]",
}


def units(entry: Entry, narrow: bool = False) -> Figure:
    """The KL of each dimension of z, and the variance of its mean, the largest first.

    Args:
        entry: with arrays `[n, latent_dim]`.
        narrow: the axes below each other.
    """
    known = {name: entry.arrays[name] for name in UNITS if name in entry.arrays}
    with plots.styled():
        figure, panels = plots.pair(narrow, len(known))
        order = np.argsort(-next(iter(known.values())).mean(0))
        for axes, (name, values) in zip(panels, known.items(), strict=True):
            mean, error = (a[order] for a in (values.mean(0), standard_error(values)))
            axes.bar(range(1, 1 + len(mean)), mean, yerr=error, color=BLUE, ecolor=GREY)
            axes.set(xlabel="j, by the KL" if "kl_by_unit" in known else "j", ylabel=UNITS[name])
            shown = range(len(mean)) if len(mean) <= NAMED else ()
            axes.set_xticks([i + 1 for i in shown], [str(order[i] + 1) for i in shown], fontsize=7)
        if "variance_by_unit" in known:
            axes.axhline(ACTIVE, color=ORANGE, lw=1, ls="--", label=f"{ACTIVE}: active")
            axes.legend()
    return captioned(figure, f"Each dimension of z on {entry.where}, with standard errors.")


def curves(records: Records, probability: str = "", narrow: bool = False) -> Figure:
    """Bound, log-likelihood and KL against epochs, the validation bound with its error.

    Args:
        records: of metrics.jsonl.
        probability: "mass" or "density", what the bound is of; empty if that is not known.
        narrow: the axes below each other.
    """
    train = [r for r in records if "bound" in r]
    held = [r for r in records if "validation_bound" in r]
    with plots.styled():
        figure, (left, right) = plots.pair(narrow)
        is_cut = _draw_curves(left, right, train, held, f" ({probability})" if probability else "")
    start = " The axes leave out the steep beginning." if is_cut else ""
    of_both = ", of training and of validation examples with its standard error" if held else ""
    return captioned(
        figure, f"The bound{of_both}; and its two terms, of training examples.{start}{_best(held)}"
    )


def _best(held: Records) -> str:
    """The sentence on where the validation bound is best."""
    if len(held) < 2:
        return ""
    best = max(held, key=lambda r: r["validation_bound"])
    fallen = best["validation_bound"] - held[-1]["validation_bound"]
    is_clear = fallen > (held[-1].get("validation_error") or 0.0)
    since = f"; it has fallen by {fallen:.1f} nats since" if is_clear else ""
    return (
        f" The validation bound is best at epoch {best['epoch']:g}, "
        f"{best['validation_bound']:.2f}{since}."
    )


def _draw_curves(left: Axes, right: Axes, train: Records, held: Records, of: str) -> bool:
    """Draws both axes; whether they leave out the beginning."""
    epochs, bound = [r["epoch"] for r in train], [r["bound"] for r in train]
    mark = "o" if len(train) <= FEW_POINTS else ""
    left.plot(epochs, bound, color=BLUE, lw=1, marker=mark, ms=3, label="training")
    low = _validation(left, held)
    left.set_ylim(_without_start(bound, *low), None)
    left.set(xlabel="epoch", ylabel=f"bound [nats per example{of}]")
    right.plot(epochs, [r["kl"] for r in train], color=GREEN, marker=mark, ms=3, label="KL")
    distortion = [-r["log_likelihood"] for r in train]
    right.plot(epochs, distortion, color=ORANGE, ls="--", marker=mark and "s", ms=3,
               label=rf"$-E_q \log p(x|z)${of}")  # fmt: skip
    right.set_ylim(None, -_without_start([-d for d in distortion], [-r["kl"] for r in train]))
    right.set(xlabel="epoch", ylabel="nats per example")
    for axes in (left, right):
        axes.xaxis.set_major_locator(MaxNLocator(integer=epochs[-1] >= 1, min_n_ticks=1))
        axes.legend(frameon=False)
        axes.grid(alpha=0.3)
    return min(bound) < left.get_ylim()[0] or max(distortion) > right.get_ylim()[1]


def _validation(axes: Axes, held: Records) -> list[np.ndarray]:
    """Draws the validation bound; returns its lower ends, in a list that is empty without any."""
    if not held:
        return []
    at, mean = [r["epoch"] for r in held], np.array([r["validation_bound"] for r in held])
    error, label = np.array([r["validation_error"] for r in held], float), "validation ± std. error"
    if len(held) <= FEW_POINTS:
        axes.errorbar(at, mean, error, color=ORANGE, fmt="s--", ms=4, capsize=3, label=label)
    else:
        axes.plot(at, mean, color=ORANGE, ls="--", label=label)
        axes.fill_between(at, mean - error, mean + error, color=ORANGE, alpha=0.25, lw=0)
    return [mean - error]


def _without_start(*lines: Any) -> float:
    """A lower limit that shows each line but for its first steps, with a margin."""
    low = min(float(np.quantile(line, 0.05)) for line in lines)
    high = max(float(np.max(line)) for line in lines)
    return low - 0.05 * (high - low) - 1e-6
