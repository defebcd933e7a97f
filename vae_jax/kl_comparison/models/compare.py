"""The KL of a run in closed form and sampled, in numbers and figures."""

import time
from pathlib import Path
from typing import Any

import jax
from tqdm import tqdm

from vae_jax.batches.keys import keys_of
from vae_jax.batches.splits import examples
from vae_jax.divergences import describe
from vae_jax.errors import UserError
from vae_jax.kl_comparison.models.examples import LONGER, closed_and_sampled
from vae_jax.kl_comparison.models.figures import figures
from vae_jax.kl_comparison.models.gradients import (
    GradientStudy,
    objectives,
    parameter_groups,
    round_repetitions,
)
from vae_jax.kl_comparison.models.stages import stages
from vae_jax.kl_comparison.models.statistics import of_gradients, of_values
from vae_jax.places import is_watched, named
from vae_jax.plots import save_figures
from vae_jax.runs.directory import write_json
from vae_jax.runs.results import COMPARISON, read_results
from vae_jax.runs.run import Run, load

DRAWS_PER_BATCH_STEP = 4
NO_MIDDLE = "no checkpoint from the middle of training was kept"


def compare_run(
    workdir: str | Path,
    *,
    split: str = "test",
    num_samples: int = 1024,
    repetitions: int = 512,
    seed: int = 0,
    quiet: bool = False,
) -> dict[str, Any]:
    """KL(q(z|x) || p(z)) of a trained model in closed form and sampled: values and gradients.

    Values are those of the best checkpoint, as in `evaluate`; gradients are those of a batch of
    training examples, at initialization, in the middle and at the end of training. Figures go to
    `figures/compare_kl_*.png`, numbers into `results.json`.

    Args:
        workdir: a run's directory.
        split: whose examples' KL is compared.
        num_samples: K, draws of z per example.
        repetitions: draws of z for each example of the batch, see `gradients.round_repetitions`.
        seed: of all draws.
        quiet: no progress on stderr.

    Returns:
        the results in `results.json`; `statistics` explains the names.

    Raises:
        UserError: if there is no run or split, or too few samples or repetitions.
    """
    if repetitions < 32:
        raise UserError(f"repetitions={repetitions}: at least 32 are needed for an error of each")
    workdir = named(workdir)
    began, run = time.monotonic(), load(workdir)
    reference, values = closed_and_sampled(run, split, num_samples, seed, quiet)
    longer = LONGER * num_samples
    results = {
        "split": split,
        **run.age.entries,
        "probability": "mass" if run.facts.likelihood.support.is_discrete else "density",
        "num_examples": len(values["kl"]),
        "num_samples": num_samples,
        "seed": seed,
        "pair": _pair(run),
        "reference": f"sampled, K = {longer}" if reference == "sampled" else reference,
        **of_values(values, num_samples),
        "gradients": gradients_of(run, repetitions, seed, quiet),
    }
    results["seconds"] = round(time.monotonic() - began, 3)
    save_figures(figures(values, results), workdir, run.age.entries | {"data": run.data})
    write_json(workdir / "results.json", read_results(workdir) | {COMPARISON: results})
    return results


def _pair(run: Run) -> str:
    """`KL(Independent[Normal] || Independent[Normal])`."""
    facts = run.facts
    return f"KL({describe(facts.posterior)} || {describe(facts.prior)})"


def gradients_of(run: Run, repetitions: int, seed: int, quiet: bool = True) -> dict[str, Any]:
    """The gradient study at each stage of a run, of its first full batch of training examples."""
    repetitions = round_repetitions(repetitions)
    fixed, of_batches = jax.random.split(keys_of(seed).sample)
    size = run.config.batch_size
    keys, batch = examples(run.dataset, fixed, "train", size)
    compared = objectives(run.facts.has_closed_form)
    study = GradientStudy(run.model, compared, parameter_groups(run.params))
    steps, rows = max(8, repetitions // DRAWS_PER_BATCH_STEP), []
    available = stages(run)
    for stage in tqdm(available, unit="stage", disable=quiet or not is_watched(), desc="gradients"):
        moments = study.draws(stage.params, keys, batch, repetitions)
        variances = study.batches(stage.params, run.dataset, of_batches, size, steps)
        estimators = of_gradients(moments, *variances)
        rows.append({"stage": stage.name, "step": stage.step, "estimators": estimators})
    return {
        "batch_size": size,
        "repetitions": repetitions,
        "num_batches": 2 * steps,
        "note": None if len(available) == 3 else NO_MIDDLE,
        "stages": rows,
    }
