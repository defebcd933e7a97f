"""The bound of trained diffusions against the number of steps, as a table and a figure.

    python -m docs.steps WORKDIR... [--output=docs/bound_against_steps.png]

A denoiser sees the time t / T and not T, so that the parameters of one run make a model of any
number of steps. The bounds are of the test examples, the mean over 50 layers drawn for each.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import jax
import numpy as np
from matplotlib.figure import Figure

import vae_jax
from vae_jax.batches.splits import gather
from vae_jax.config.calls import replace
from vae_jax.plots import BLUE
from vae_jax.types import Model

STEPS = (4, 16, 64, 256, 1000, 4000)
DRAWS, BATCH = 50, 100  # layers an example, examples at a time


def with_steps(run: vae_jax.Run, steps: int) -> Model:
    """The model of a run with another number of steps."""
    config = run.config
    names = ("encoder", "decoder", "prior", "likelihood", "precision")
    parts = {name: config[name] for name in names}
    posterior = replace(config.posterior, "steps", str(steps))
    return vae_jax.build_model(run.model.x_shape, posterior=posterior, **parts)


def bounds(run: vae_jax.Run, steps: int) -> np.ndarray:
    """The ELBO of each test example, nats."""
    model, split = with_steps(run, steps), run.dataset.splits["test"]

    @jax.jit
    def of_examples(params, raw, key):
        keys = jax.random.split(key, 2)
        preprocess = jax.vmap(run.dataset.preprocess)
        x = preprocess(jax.random.split(keys[0], len(raw)), raw)
        return vae_jax.elbo(model, params, keys[1], x, kl="one_layer", num_samples=DRAWS).value

    starts = range(0, len(split), BATCH)
    raws = [gather(split, slice(i, i + BATCH)) for i in starts]
    keys = jax.random.split(jax.random.key(0), len(raws))
    values = [of_examples(run.params, raw, key) for raw, key in zip(raws, keys, strict=True)]
    return np.concatenate([np.asarray(v, np.float64) for v in values])


def rows(workdir: Path) -> Iterator[tuple[int, float, float]]:
    """Steps, mean and standard error of a run, printed as they come."""
    run = vae_jax.load(workdir)
    for steps in STEPS:
        values = bounds(run, steps)
        mean, error = values.mean(), values.std(ddof=1) / len(values) ** 0.5
        print(f"{run.data.partition('(')[0]:10} {steps:6,} {mean:10.3f} ± {error:.3f}", flush=True)
        yield steps, mean, error


def figure(curves: dict[str, list[tuple[int, float, float]]]) -> Figure:
    """A panel for each run: minus the bound, nats, against steps."""
    drawn = Figure(figsize=(3.4 * len(curves), 3), layout="constrained")
    panels = drawn.subplots(1, len(curves), squeeze=False)[0]
    for axes, (name, curve) in zip(panels, curves.items(), strict=True):
        steps, means, errors = map(np.array, zip(*curve, strict=True))
        axes.errorbar(steps, -means, errors, fmt="o-", color=BLUE, capsize=2)
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xticks(steps, [f"{s:,}" for s in steps], fontsize="x-small")
        axes.yaxis.set_major_formatter("{x:.4g}")
        axes.yaxis.set_minor_formatter("{x:.4g}")
        axes.xaxis.minorticks_off()
        axes.tick_params(axis="y", which="both", labelsize="x-small")
        axes.set(title=name, xlabel="$T$, steps", ylabel="minus the ELBO [nats]")
    return drawn


def main() -> None:
    """Prints the table and writes the figure."""
    words = sys.argv[1:]
    options = dict(word.split("=", 1) for word in words if word.startswith("--output="))
    workdirs = [Path(word) for word in words if not word.startswith("--")]
    curves = {workdir.name: list(rows(workdir)) for workdir in workdirs}
    output = options.get("--output", "docs/bound_against_steps.png")
    figure(curves).savefig(output, dpi=110)


if __name__ == "__main__":
    main()
