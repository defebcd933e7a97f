"""Figures of a run's KL, closed form against sampled, for a column of a paper."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter
from scipy import stats

from vae_jax.kl_comparison.examples import Values
from vae_jax.plots import BLUE, GREEN, GREY, ORANGE

WIDTH = 3.4  # inches, of a column
STYLE = {
    "font.size": 7.5,
    "axes.labelsize": 7.5,
    "axes.titlesize": 7.5,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 7,
    "axes.linewidth": 0.6,
    "lines.linewidth": 1.0,
    "legend.frameon": False,
    "legend.handlelength": 1.6,
}
LOOKS = {
    "closed form": (BLUE, "o", "-"),
    "sampled": (ORANGE, "s", "--"),
    "path derivative": (GREEN, "^", "-."),
}
SHOWN = 400  # points with error bars; of more examples, as many at random


def figures(values: Values, results: Mapping[str, Any]) -> dict[str, Figure]:
    """`compare_kl_values`, `compare_kl_error` and `compare_kl_gradients`."""
    with rc_context(STYLE):
        return {
            "compare_kl_values": examples(values, results),
            "compare_kl_error": errors(results),
            "compare_kl_gradients": gradients(results["gradients"]["stages"]),
        }


def save(made: Mapping[str, Figure], workdir: Path) -> None:
    """Writes `figures/<name>.png`, 300 dots per inch."""
    (workdir / "figures").mkdir(exist_ok=True)
    with rc_context(STYLE):  # fonts are looked up again as it is drawn
        for name, figure in made.items():
            figure.savefig(workdir / "figures" / f"{name}.png", dpi=300)


def _reference(results: Mapping[str, Any]) -> str:
    return results["reference"].partition(",")[0] if results["reference"][0] == "s" else "closed"


def examples(values: Values, results: Mapping[str, Any]) -> Figure:
    """Left, sampled minus reference of each example; right, its z-scores beside the normal."""
    figure = Figure(figsize=(WIDTH, 1.75), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(1.45, 1))
    difference = values["sampled"] - values["kl"]
    error = np.hypot(values["sampled_error"], values["kl_error"])
    shown = np.random.default_rng(0).permutation(len(difference))[:SHOWN]
    left.errorbar(
        values["kl"][shown], difference[shown], error[shown], fmt="o", ms=1.6, mew=0, lw=0.4,
        color=BLUE, ecolor=(*_rgb(BLUE), 0.35),
    )  # fmt: skip
    left.axhline(0, color="black", lw=0.6)
    left.set(xlabel=f"KL, {results['reference']} [nats]", ylabel="sampled − reference [nats]")
    _histogram(right, difference / error)
    return figure


def _rgb(colour: str) -> tuple[float, ...]:
    return tuple(int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))


def _histogram(axes: Axes, z: np.ndarray) -> None:
    reach = max(4.0, float(np.abs(z).max()) + 0.25)
    bins = np.linspace(-reach, reach, 2 * int(np.clip(2 * len(z) ** (1 / 3), 6, 30)) + 1)
    axes.hist(z, bins, density=True, color=BLUE, alpha=0.45, lw=0)
    at = np.linspace(-reach, reach, 300)
    axes.plot(at, stats.norm.pdf(at), color="black", label="N(0, 1)")
    axes.set(xlabel="z-score", ylabel="density", ylim=(0, None))
    axes.set_ylim(0, 1.25 * axes.get_ylim()[1])
    axes.legend(loc="upper right", borderaxespad=0.1)


def errors(results: Mapping[str, Any]) -> Figure:
    """RMS error of one example's KL against K; and that of the mean ELBO beside its own error."""
    figure = Figure(figsize=(WIDTH, 2.1), layout="constrained")
    axes, found, elbo = figure.subplots(), results["convergence"], results["elbo"]
    ks, rms = np.array(found["num_samples"]), np.array(found["rms_error"])
    kwargs = {"capsize": 1.5, "ms": 3, "elinewidth": 0.7}
    axes.errorbar(
        ks,
        rms,
        found.get("standard_error"),
        fmt="o",
        color=BLUE,
        label="one example, RMS",
        **kwargs,
    )
    scale = float(np.exp(np.mean(np.log(rms * np.sqrt(ks))))) if rms.all() else 0.0
    axes.plot(ks, scale / np.sqrt(ks), color=BLUE, lw=0.8, label=r"$\propto K^{-1/2}$")
    mean = [row["kl"] for row in elbo["draws"]]
    axes.plot(ks, mean, "s--", ms=3, color=ORANGE, label="mean over the split")
    axes.axhline(elbo["examples"], color="black", ls=":", label="mean ELBO, choice of examples")
    axes.set_xscale("log", base=4)
    axes.set_yscale("log")
    axes.set_xticks(ks, [str(k) for k in ks])
    axes.set(xlabel="K, draws per example", ylabel="standard error [nats]")
    axes.grid(alpha=0.3, lw=0.4)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside upper center", ncols=2)
    return figure


def gradients(stages: list[dict[str, Any]]) -> Figure:
    """The gradient's variance by stage and estimator, of encoder and decoder, two errors each way.

    Filled marks are its variance over draws of z; bars beside them, in grey, that over batches.
    """
    figure = Figure(figsize=(WIDTH, 2.3), layout="constrained")
    for axes, part in zip(figure.subplots(1, 2), ("encoder", "decoder"), strict=True):
        _variances(axes, stages, part)
        axes.set_title(part)
    first = figure.axes[0]
    first.set_ylabel("total variance of the gradient")
    figure.legend(*first.get_legend_handles_labels(), loc="outside upper center", ncols=2)
    return figure


def _variances(axes: Axes, stages: list[dict[str, Any]], part: str) -> None:
    names = list(stages[0]["estimators"])
    at = np.arange(len(stages))
    for i, name in enumerate(names):
        colour, mark, _ = LOOKS[name]
        of = [stage["estimators"][name][part] for stage in stages]
        value, error = (np.array([o[key] for o in of]) for key in ("variance", "variance_error"))
        place = at + 0.2 * (i - (len(names) - 1) / 2)
        axes.errorbar(
            place, value, 2 * error, fmt=mark, ms=4, color=colour, capsize=1.5, elinewidth=0.8,
            label=f"draws of z, {name}",
        )  # fmt: skip
    reference = [stage["estimators"][names[0]][part] for stage in stages]
    batches = [o["batch_variance"] * (1 - (o["share"] or 0)) for o in reference]
    axes.plot(at, batches, "_", ms=26, mew=1.2, color=GREY, label="choice of the batch")
    axes.set_yscale("log")
    axes.set_xticks(at, [stage["stage"].replace("initialization", "start") for stage in stages])
    axes.set_xlim(-0.5, len(stages) - 0.5)
    axes.yaxis.set_major_locator(LogLocator(numticks=6))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.grid(axis="y", alpha=0.3, lw=0.4)
