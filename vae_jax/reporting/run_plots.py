"""The figures of a run that its report draws: learning curves, bounds, the use of latents."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from vae_jax import plots
from vae_jax.estimators._active import ACTIVE
from vae_jax.plots import BLUE, FEW_POINTS, GREEN, ORANGE, captioned
from vae_jax.runs.age import Age
from vae_jax.runs.directory import read_metrics
from vae_jax.runs.results import read_arrays
from vae_jax.standard_errors import standard_error

Records = Sequence[Mapping[str, Any]]
NAMES = ("curves", "bounds", "latents")


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
    for name, has_it, draw in (
        ("bounds", _has_bounds, bounds_of),
        ("latents", _has_latents, latents_of),
    ):
        splits = [split for split, of in results.items() if has_it(workdir, split, of)]
        for split in sorted(splits, key=lambda split: split != "test")[:1]:
            age, figure = Age.read(results[split]), draw(workdir, split, results[split])
            plots.save_figures({name: figure}, workdir, age.entries if age else {})


def _has_bounds(workdir: Path, split: str, results: Mapping[str, Any]) -> bool:
    return any("k" in number for number in results["numbers"].values())


def _has_latents(workdir: Path, split: str, results: Mapping[str, Any]) -> bool:
    return "collapsed_units" in results["numbers"] and "kl_by_unit" in _arrays(
        workdir, split, results
    )


def _arrays(workdir: Path, split: str, results: Mapping[str, Any]) -> Mapping[str, np.ndarray]:
    """Those of the examples of a split; empty where they are not there."""
    return read_arrays(workdir / results.get("arrays", f"per_example/{split}.npz")) or {}


def bounds_of(workdir: Path, split: str, results: Mapping[str, Any]) -> Figure:
    """The figure of bounds of a split, with gaps where the arrays of the examples are there."""
    arrays = _arrays(workdir, split, results)
    with plots.styled():
        figure = plots.bounds(results["numbers"], arrays, results.get("probability", ""))
    return captioned(figure, f"{figure.get_label()} Of the {split} split.")


def latents_of(workdir: Path, split: str, results: Mapping[str, Any]) -> Figure:
    """The figure of the KL of each latent of a split, of the arrays that `latents` has kept."""
    arrays = _arrays(workdir, split, results)
    with plots.styled():
        figure = units(arrays["kl_by_unit"], arrays["variance_by_unit"].mean(0) > ACTIVE)
    return captioned(figure, f"{figure.get_label()} Of the {split} split.")


def units(kl: np.ndarray, active: np.ndarray) -> Figure:
    """KLs `[n, latent_dim]` of each latent, the largest first, those of active units `[d]` dark."""
    mean, error = kl.mean(0), standard_error(kl)
    order, latent_dim = np.argsort(-mean, kind="stable"), len(mean)
    figure = Figure(figsize=(min(10, 3 + 0.18 * latent_dim), 3.2), layout="constrained")
    axes = figure.subplots()
    for kind, colour, name in ((True, BLUE, "active"), (False, "#BBBBBB", "not active")):
        at = np.flatnonzero(active[order] == kind)
        of = order[at]
        if len(at):
            hatch, label = "" if kind else "////", f"{name}: {len(at)}"
            axes.bar(at, mean[of], 0.8, color=colour, hatch=hatch, edgecolor="white", label=label)
            axes.errorbar(at, mean[of], error[of], fmt="none", ecolor="black", elinewidth=0.8)
    axes.set_xlim(-0.7, latent_dim - 0.3)
    few = latent_dim <= 60
    axes.set_xticks(range(latent_dim) if few else [], order + 1 if few else [])
    axes.tick_params(axis="x", length=0, labelsize=7 if latent_dim > 15 else 9)
    axes.set(xlabel="j, the number of the latent", ylabel=r"KL$_j$ [nats per example]")
    axes.grid(alpha=0.3, axis="y")
    axes.legend(frameon=False)
    what = "KL(q(z_j|x) || p(z_j)) of each latent, with the standard error over examples"
    return captioned(figure, f"{what}; those with Var E[z_j|x] > {ACTIVE} are active.")


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
