"""The KL of a run in closed form and sampled, in numbers and figures."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax

from vae_jax.batches.keys import keys_of
from vae_jax.batches.splits import examples
from vae_jax.divergences import describe
from vae_jax.errors import UserError
from vae_jax.kl_comparison.models.examples import LONGER, Values, closed_and_sampled
from vae_jax.kl_comparison.models.figures import figures
from vae_jax.kl_comparison.models.gradients import (
    GradientStudy,
    objectives,
    parameter_groups,
    round_repetitions,
)
from vae_jax.kl_comparison.models.stages import stages
from vae_jax.kl_comparison.models.statistics import of_gradients, of_values
from vae_jax.places import named
from vae_jax.plots import save_figures
from vae_jax.progress import each
from vae_jax.runs.results import COMPARISON, add_to_results
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
    """`compared` of the run in a directory, which `save` saves there.

    Args:
        workdir: the directory.
        split: as `compared` has it, like the rest.
        num_samples: likewise.
        repetitions: likewise.
        seed: likewise.
        quiet: likewise.
    """
    run = load(named(workdir))
    options: dict[str, Any] = {"num_samples": num_samples, "repetitions": repetitions}
    results, values = compared(run, split=split, seed=seed, quiet=quiet, **options)
    save(run, results, values)
    return results


def compared(
    run: Run,
    *,
    split: str = "test",
    num_samples: int = 1024,
    repetitions: int = 512,
    seed: int = 0,
    quiet: bool = False,
) -> tuple[dict[str, Any], Values]:
    """KL(q(z|x) || p(z)) of a trained model in closed form and sampled: values and gradients.

    Values are those of the best checkpoint, as in `evaluate`; gradients are those of a batch of
    training examples, at initialization, in the middle and at the end of training.

    Args:
        run: the run, with its best parameters.
        split: whose examples' KL is compared.
        num_samples: K, draws of z per example.
        repetitions: draws of z for each example of the batch, see `gradients.round_repetitions`.
        seed: of all draws.
        quiet: no progress on stderr.

    Returns:
        the results in `results.json`, whose names `statistics` explains, and the values of examples
        `[n, ...]` that they are of.

    Raises:
        UserError: if there is no such split, or too few samples or repetitions.
    """
    if repetitions < 32:
        raise UserError(f"repetitions={repetitions}: at least 32 are needed for an error of each")
    began = time.monotonic()
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
    return results, values


def save(run: Run, results: Mapping[str, Any], values: Values) -> list[Path]:
    """Writes `compared` into the run's directory: `figures/compare_kl_*.png`, `results.json`.

    Returns:
        the paths.
    """
    workdir = run.workdir or Path()
    about = run.age.entries | {"data": run.data}
    paths = save_figures(figures(values, results), workdir, about)
    add_to_results(workdir, {COMPARISON: results})
    return [workdir / "results.json", *paths]


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
    for stage in each(available, "stage", "gradients", quiet=quiet):
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
