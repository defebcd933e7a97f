"""The settings of a sweep: named, checked together, and which of their runs are left to do."""

import json
import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ml_collections import ConfigDict

from vae_jax import config
from vae_jax.errors import MistakesError, UserError, counted, one_line
from vae_jax.evaluation.evaluate import require_evaluable
from vae_jax.progress import each
from vae_jax.runs import claims, directory
from vae_jax.runs.age import Age, outdated
from vae_jax.runs.parts import Datasets
from vae_jax.runs.results import read_results
from vae_jax.runs.stopping import is_at_end
from vae_jax.sweeps.grids import Overrides
from vae_jax.sweeps.units import Unit
from vae_jax.training.job import Job, make_job
from vae_jax.training.starts import require_start

LONGEST_NAME = 120  # characters of a directory's name
FIXED = ("seed", *config.NOT_IDENTITY)  # not varied: seeds have --num_seeds, the rest no effect


class Setting(NamedTuple):
    """One config, run with some seeds."""

    name: str  # of its directory
    overrides: Overrides
    job: Job
    folders: Mapping[int, Path]  # seed -> run directory


def plan(
    base: ConfigDict, listed: Sequence[Overrides], workdir: Path, asked: Mapping[str, Any]
) -> list[Setting]:
    """The settings that overrides of a config make, checked, named and placed in `workdir`.

    A config that `workdir` has runs of already keeps its directory, however it was written then.

    Args:
        base: the config.
        listed: the overrides.
        workdir: the sweep's directory.
        asked: arguments of `evaluate`, which must be possible too.

    Raises:
        UserError: if `workdir` is itself a run.
        MistakesError: naming every setting that cannot work.
    """
    if (workdir / "config.json").exists():
        raise UserError(f"--workdir={workdir} holds a single run: {directory.USE_ANOTHER_WORKDIR}")
    jobs, taken = _jobs(base, listed, asked), _existing(workdir)
    settings: dict[str, Setting] = {}
    for overrides, job in zip(listed, jobs, strict=True):
        key = config.identity(job.parts.cfg)
        name = taken.setdefault(key, _new_name(overrides, set(taken.values())))
        folders = claims.seed_folders(job.parts.cfg, workdir / name)
        require_start(job, folders)
        settings.setdefault(key, Setting(name, overrides, job, folders))
    return list(settings.values())


def _jobs(base: ConfigDict, listed: Sequence[Overrides], asked: Mapping[str, Any]) -> list[Job]:
    """A job for each of the overrides.

    Raises:
        MistakesError: with everything that is wrong with any of them.
    """
    datasets, jobs = Datasets(), []
    faults: dict[str, list[Overrides]] = {}
    cause = None
    for overrides in each(listed, "setting", "check"):
        try:
            jobs.append(_checked(base, overrides, asked, datasets))
        except Exception as error:  # whatever a combination makes a library raise
            cause = error
            faults.setdefault(one_line(error), []).append(overrides)
    if faults:
        count = sum(len(faulty) for faulty in faults.values())
        summary = f"{count} of {counted(len(listed), 'setting')} cannot work"
        raise MistakesError(summary, _described(faults)) from cause
    return jobs


def _checked(
    base: ConfigDict, overrides: Overrides, asked: Mapping[str, Any], datasets: Datasets
) -> Job:
    cfg = ConfigDict(base.to_dict())
    for field in overrides:
        if field in FIXED:
            raise UserError(f"{field} cannot be varied; seeds have --num_seeds")
    config.override_all(cfg, overrides)
    job = make_job(config.resolve(cfg), datasets=datasets)
    require_evaluable(job.parts, job.facts, **asked)
    return job


def _described(faults: Mapping[str, list[Overrides]]) -> list[str]:
    """A line for each mistake, with the settings that make it."""
    return [
        f"{message} [{' | '.join(label(overrides) for overrides in settings)}]"
        for message, settings in faults.items()
    ]


def label(overrides: Overrides) -> str:
    """`prior=standard_normal, latent_dim=2`, for people."""
    return ", ".join(f"{field}={value}" for field, value in overrides.items()) or "the config"


def _existing(workdir: Path) -> dict[str, str]:
    """The configs that have runs in a directory: identity -> name."""
    names: dict[str, str] = {}
    for path in sorted(workdir.glob("*/seed_*/config.json")):
        names.setdefault(config.identity(config.stored(path)), path.parent.parent.name)
    return names


def _new_name(overrides: Overrides, taken: set[str]) -> str:
    """A directory's name that a person recognizes and a shell need not quote, not taken yet."""
    text = re.sub(r"['\" )]", "", label(overrides).replace("(", "-")) if overrides else "base"
    stem = re.sub(r"[^A-Za-z0-9=.,_+-]", "_", text)[:LONGEST_NAME]
    numbered = (f"{stem}-{i}" for i in range(2, len(taken) + 3))
    return stem if stem not in taken else next(name for name in numbered if name not in taken)


def is_done(path: Path, asked: Mapping[str, Any]) -> bool:
    """Whether a run was trained to its end and since then evaluated as asked, or has diverged."""
    if failure := directory.failure(path):
        return failure["kind"] == "diverged"
    results = read_results(path).get(asked["split"], {})
    as_asked = {"finished": True, "checkpoint": "best", "seed": 0}
    computed = set(results.get("estimators", ()))
    if not (results.items() >= as_asked.items() and computed >= set(asked["estimators"])):
        return False
    return not outdated(path, Age.read(results))


def _missing(setting: Setting, asked: Mapping[str, Any]) -> dict[int, Path]:
    return {s: path for s, path in setting.folders.items() if not is_done(path, asked)}


def units(settings: Sequence[Setting], asked: Mapping[str, Any]) -> list[Unit]:
    """The work that is left, a unit for each setting of which runs are missing."""
    left = [(setting, missing) for setting in settings if (missing := _missing(setting, asked))]
    return [
        Unit(
            s.name, s.job.parts.cfg.to_dict(), runs, dict(asked), s.job.parts.num_steps * len(runs)
        )
        for s, runs in left
    ]


def describe(settings: Sequence[Setting], asked: Mapping[str, Any]) -> str:
    """A line for each setting, with its parameter count, and the `totals`."""
    lines = []
    for setting in settings:
        done = len(setting.folders) - len(_missing(setting, asked))
        seeds = ", ".join(map(str, setting.folders))
        state = f"; {done} of {len(setting.folders)} done" if done else ""
        job = setting.job
        lines.append(
            f"{setting.name}: {job.num_parameters:,} parameters, {job.parts.num_steps:,} updates, "
            f"seeds {seeds}{state}"
        )
    return "\n".join([*lines, totals(settings, asked)])


def totals(settings: Sequence[Setting], asked: Mapping[str, Any]) -> str:
    """A line that counts the settings, the runs, and those that are done."""
    missing = [_missing(setting, asked) for setting in settings]
    runs = sum(len(setting.folders) for setting in settings)
    left = sum(len(paths) for paths in missing)
    trained = sum(
        is_at_end(path, setting.job.parts.cfg, setting.job.parts.num_steps)
        for setting, paths in zip(settings, missing, strict=True)
        for path in paths.values()
    )
    again = f", {trained} only to be evaluated as asked" if trained else ""
    heads = f"{counted(len(settings), 'setting')}, {counted(runs, 'run')}"
    return f"{heads}, {runs - left} of them done before{again}"


def train_commands(
    settings: Sequence[Setting], base: ConfigDict, file: str, given: Mapping[str, Any]
) -> list[str]:
    """One `vae-jax train` line for each run, for another scheduler.

    `base` is the config of `file` under the overrides `given`, resolved.
    """
    lines = []
    for setting in settings:
        cfg = setting.job.parts.cfg
        varied = {f: cfg[f] for f in cfg if f not in FIXED and cfg[f] != base[f]}
        for seed, path in setting.folders.items():
            kept = {f: v for f, v in given.items() if f.partition(".")[0] not in varied}
            fields = {**kept, **varied, "seed": seed, "num_seeds": 1}
            flags = [f"--config.{field}={value}" for field, value in fields.items()]
            command = ["vae-jax", "train", f"--config={file}", *flags, f"--workdir={path}"]
            lines.append(shlex.join(command))
    return lines


def save_plan(settings: Sequence[Setting], workdir: Path, **more: Any) -> None:
    """Adds the settings and their seeds to `sweep.json`, so that a report can name missing runs."""
    known = read_plan(workdir)
    for setting in settings:
        old = known["settings"].get(setting.name, {"overrides": setting.overrides, "seeds": []})
        seeds = sorted({*old["seeds"], *setting.folders})
        count = setting.job.num_parameters
        known["settings"][setting.name] = {**old, "seeds": seeds, "num_parameters": count}
    directory.make_directory(workdir)
    directory.write_json(workdir / "sweep.json", {**known, **more})


def read_plan(workdir: Path) -> dict[str, Any]:
    """The content of `sweep.json`, which `save_plan` wrote; no settings without the file."""
    path = workdir / "sweep.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {"settings": {}}
