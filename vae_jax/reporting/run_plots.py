"""The figures of a run that its report draws: learning curves, and bounds on log p(x)."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from vae_jax import plots
from vae_jax.plots import BLUE, FEW_POINTS, GREEN, ORANGE, captioned
from vae_jax.runs.age import Age
from vae_jax.runs.directory import read_metrics
from vae_jax.runs.results import read_arrays

Records = Sequence[Mapping[str, Any]]
NAMES = ("curves", "bounds")


def save(workdir: Path, results: Mapping[str, Mapping[str, Any]]) -> None:
    """Draws the figures that a run's records allow into `figures/`; others of their names go.

    Args:
        workdir: the run's directory.
        results: by split.
    """
    for name in NAMES:
        (workdir / "figures" / f"{name}.png").unlink(missing_ok=True)
    records = read_metrics(workdir)
    known = {of.get("probability", "") for of in results.values()}
    if any("bound" in r for r in records):
        about = Age("last", records[-1]["step"]).entries
        with plots.styled():
            figure = curves(records, known.pop() if len(known) == 1 else "")
        plots.save_figures({"curves": figure}, workdir, about)
    with_bounds = [name for name, of in results.items() if _has_bounds(of)]
    for name in sorted(with_bounds, key=lambda name: name != "test")[:1]:
        age = Age.read(results[name])
        about = age.entries if age else {}
        plots.save_figures({"bounds": bounds_of(workdir, name, results[name])}, workdir, about)


def _has_bounds(results: Mapping[str, Any]) -> bool:
    return any("k" in number for number in results["numbers"].values())


def bounds_of(workdir: Path, split: str, results: Mapping[str, Any]) -> Figure:
    """The figure of bounds of a split, with gaps where the arrays of the examples are there."""
    arrays = read_arrays(workdir / results.get("arrays", f"per_example/{split}.npz")) or {}
    with plots.styled():
        figure = plots.bounds(results["numbers"], arrays, results.get("probability", ""))
    return captioned(figure, f"{figure.get_label()} Of the {split} split.")


def curves(records: Records, probability: str = "") -> Figure:
    """Bound, log-likelihood and KL against epochs, the validation bound with its error.

    Args:
        records: of metrics.jsonl.
        probability: "mass" or "density", what the bound is of; empty if that is not known.
    """
    train = [r for r in records if "bound" in r]
    held = [r for r in records if "validation_bound" in r]
    figure = Figure(figsize=(10, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    epochs, bound = [r["epoch"] for r in train], [r["bound"] for r in train]
    mark = "o" if len(train) <= FEW_POINTS else ""
    left.plot(epochs, bound, color=BLUE, lw=1, marker=mark, ms=3, label="training")
    low = _validation(left, held)
    left.set_ylim(_without_start(bound, *low), None)
    of = f" ({probability})" if probability else ""
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
    is_cut = min(bound) < left.get_ylim()[0] or max(distortion) > right.get_ylim()[1]
    start = " The axes leave out the steep beginning." if is_cut else ""
    of_both = ", of training and of validation examples with its standard error" if held else ""
    return captioned(
        figure,
        f"Training. Left, the bound{of_both}; right, its two terms, of training examples.{start}",
    )


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
