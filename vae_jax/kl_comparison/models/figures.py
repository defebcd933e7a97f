"""Figures of a run's KL, closed form against sampled, for a column of a paper."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.container import ErrorbarContainer
from matplotlib.figure import Figure
from scipy import stats

from vae_jax.kl_comparison.models.examples import Values
from vae_jax.plots import BLUE, COLUMN, GREEN, GREY, ORANGE, captioned, styled

LOOKS = {
    "closed form": (BLUE, "o", "-"),
    "sampled": (ORANGE, "s", "--"),
    "path derivative": (GREEN, "^", "-."),
}
SHOWN = 400  # points with error bars, drawn at random from more examples


def figures(values: Values, results: Mapping[str, Any]) -> dict[str, Figure]:
    """The figures by name, of `NAMES`."""
    with styled():
        return {
            "compare_kl_values": compare_kl_values(values, results),
            "compare_kl_error": compare_kl_error(results),
            "compare_kl_gradients": compare_kl_gradients(results["gradients"]["stages"]),
        }


def compare_kl_values(values: Values, results: Mapping[str, Any]) -> Figure:
    """Left, sampled minus reference of each example; right, its z-scores beside the normal."""
    figure = Figure(figsize=(COLUMN, 2.7), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(1.45, 1))
    difference = values["sampled"] - values["kl"]
    error = np.hypot(values["sampled_error"], values["kl_error"])
    shown = np.random.default_rng(0).permutation(len(difference))[:SHOWN]
    left.errorbar(
        values["kl"][shown], difference[shown], error[shown], fmt="o", ms=1.6, mew=0, lw=0.4,
        color=BLUE, ecolor=(*_rgb(BLUE), 0.35),
    )  # fmt: skip
    left.axhline(0, color="black", lw=0.6)
    reference = results["reference"].partition(",")[0].replace("sampled", "longer run")
    left.set(xlabel=f"KL, {reference} [nats]", ylabel=f"sampled − {reference} [nats]")
    _histogram(right, difference / error)
    return captioned(
        figure,
        "The KL of each example: sampled minus what it is held against, and the z-scores of the "
        "differences.",
    )


def _rgb(colour: str) -> tuple[float, ...]:
    return tuple(int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))


def _histogram(axes: Axes, z: np.ndarray) -> None:
    reach = max(4.0, float(np.abs(z).max()) + 0.25)
    bins = np.linspace(-reach, reach, 2 * int(np.clip(2 * len(z) ** (1 / 3), 6, 30)) + 1)
    axes.hist(z, bins.tolist(), density=True, color=BLUE, alpha=0.45, lw=0)
    at = np.linspace(-reach, reach, 300)
    axes.plot(at, stats.norm.pdf(at), color="black", label="N(0, 1)")
    axes.set(xlabel="z-score", ylabel="density", xticks=(-3, 0, 3))
    axes.set_ylim(0, 1.25 * axes.get_ylim()[1])
    axes.legend(loc="upper right", borderaxespad=0.1)


def compare_kl_error(results: Mapping[str, Any]) -> Figure:
    """RMS error of one example's KL against K, and the errors of the mean KL and the mean ELBO."""
    figure = Figure(figsize=(COLUMN, 2.8), layout="constrained")
    axes, convergence, elbo = figure.subplots(), results["convergence"], results["elbo"]
    ks, rms = np.array(convergence["num_samples"]), np.array(convergence["rms_error"])
    axes.errorbar(
        ks,
        rms,
        convergence.get("standard_error"),
        fmt="o",
        color=BLUE,
        label="KL of one example, RMS",
        ms=3,
        capsize=1.5,
        elinewidth=0.7,
    )
    scale = float(np.exp(np.mean(np.log(rms * np.sqrt(ks))))) if rms.all() else 0.0
    axes.plot(ks, scale / np.sqrt(ks), color=BLUE, lw=0.8, label=r"$\propto K^{-1/2}$")
    mean = [row["kl"] for row in elbo["draws"]]
    axes.plot(ks, mean, "s--", ms=3, color=ORANGE, label="mean KL over examples")
    axes.axhline(elbo["examples"], color="black", ls=":", label="ELBO, choice of examples")
    axes.set_xscale("log", base=4)
    axes.set_yscale("log")
    axes.set_xticks(ks, [str(k) for k in ks])
    axes.set(xlabel="K, draws per example", ylabel="standard error [nats]")
    axes.grid(alpha=0.3, lw=0.4)
    _legend(figure, axes)
    return captioned(
        figure,
        "Error of the sampled KL by the number of draws: of one example, and of the mean over "
        "examples, beside the mean ELBO's, from the choice of examples.",
    )


def _legend(figure: Figure, axes: Axes) -> None:
    """Places the legend above the figure, estimates with error bars first."""
    handles, names = axes.get_legend_handles_labels()
    order = sorted(range(len(names)), key=lambda i: not isinstance(handles[i], ErrorbarContainer))
    figure.legend(
        [handles[i] for i in order], [names[i] for i in order], loc="outside upper center", ncols=2
    )


def compare_kl_gradients(stages: list[dict[str, Any]]) -> Figure:
    """The gradient's variance by stage, of encoder and decoder, with two standard errors.

    Marks: over draws of z, by estimator; grey lines: over the choice of the batch.
    """
    figure = Figure(figsize=(COLUMN, 3.1), layout="constrained")
    for axes, part in zip(figure.subplots(1, 2, sharey=True), ("encoder", "decoder"), strict=True):
        _variances(axes, stages, part)
        axes.set_title(part)
    figure.axes[0].set_ylabel("total variance of the gradient [nats²]")
    _legend(figure, figure.axes[0])
    return captioned(
        figure,
        "Variance of the ELBO's gradient, summed over parameters, for each way to compute its KL: "
        "over draws of z, and over the choice of the batch.",
    )


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
            label=f"draws of z: {name}",
        )  # fmt: skip
    reference = [stage["estimators"][names[0]][part] for stage in stages]
    batches = [o["batch_variance"] * (1 - (o["share"] or 0)) for o in reference]
    axes.hlines(batches, at - 0.4, at + 0.4, color=GREY, lw=1.2, label="choice of the batch")
    axes.set_yscale("log")
    axes.set_xticks(at, [stage["stage"].replace("initialization", "start") for stage in stages])
    axes.set_xlim(-0.5, len(stages) - 0.5)
    axes.grid(axis="y", alpha=0.3, lw=0.4)


NAMES = ("compare_kl_values", "compare_kl_error", "compare_kl_gradients")
