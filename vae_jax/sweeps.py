"""A sweep: settings x seeds, each a run directory as `train` makes it, under one roof."""

import importlib.util
import json
import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ml_collections import ConfigDict

from vae_jax import config, evaluation, runs
from vae_jax.errors import MistakesError, UserError, unknown
from vae_jax.grids import Overrides
from vae_jax.jobs import Job, Loaded, make_job

LONGEST_NAME = 120  # characters of a directory's name
FIXED = ("seed", *config.NOT_IDENTITY)  # not varied: seeds have --num_seeds, the rest no effect


class Setting(NamedTuple):
    """One config, run with some seeds."""

    name: str  # of its directory
    overrides: Overrides
    job: Job
    folders: Mapping[int, Path]  # seed -> run directory


class Unit(NamedTuple):
    """Runs that share one compiled program, for one process; plain enough to be sent to it."""

    name: str
    cfg: dict[str, Any]
    folders: dict[int, Path]
    evaluation: dict[str, Any]  # arguments of `evaluate`
    steps: int  # updates of all runs


def plan(
    base: ConfigDict, listed: Sequence[Overrides], workdir: Path, evaluation: Mapping[str, Any]
) -> list[Setting]:
    """The settings that overrides of a config make, checked, named and placed in `workdir`.

    A config that `workdir` has runs of already keeps its directory, however it was written then.

    Raises:
        MistakesError: naming every setting that cannot work.
    """
    if (workdir / "config.json").exists():
        raise UserError(f"--workdir={workdir} holds a single run: choose another --workdir")
    loaded, taken = Loaded(), _existing(workdir)
    settings: dict[str, Setting] = {}
    faults: dict[str, list[Overrides]] = {}
    for overrides in listed:
        try:
            job = _checked(base, overrides, evaluation, loaded)
        except Exception as error:  # whatever a combination makes a library raise
            message = (
                str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
            )
            faults.setdefault(message, []).append(overrides)
            continue
        key = config.identity(job.cfg)
        name = taken.setdefault(key, _new_name(overrides, set(taken.values())))
        folders = runs.seed_folders(job.cfg, workdir / name)
        settings.setdefault(key, Setting(name, overrides, job, folders))
    if faults:
        count = sum(len(made) for made in faults.values())
        raise MistakesError(f"{count} of {len(listed)} settings cannot work", _described(faults))
    return list(settings.values())


def _checked(
    base: ConfigDict, overrides: Overrides, evaluation: Mapping[str, Any], loaded: Loaded
) -> Job:
    cfg = ConfigDict(base.to_dict())
    for field in sorted(overrides, key=lambda f: f.count(".")):  # a part before its arguments
        if field in FIXED:
            raise UserError(f"{field} cannot be varied; seeds have --num_seeds")
        config.override(cfg, field, overrides[field])
    job = make_job(config.resolve(cfg), loaded=loaded)
    if evaluation["split"] not in job.dataset.splits:
        raise unknown("split", evaluation["split"], job.dataset.splits)
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
    found: dict[str, str] = {}
    for path in sorted(workdir.glob("*/seed_*/config.json")):
        found.setdefault(config.identity(config.read(path)), path.parent.parent.name)
    return found


def _new_name(overrides: Overrides, taken: set[str]) -> str:
    """A directory's name that a person recognizes and a shell need not quote, not taken yet."""
    text = label(overrides).replace("the config", "base")
    text = re.sub(r"['\" )]", "", text.replace("(", "-"))
    stem = re.sub(r"[^A-Za-z0-9=.,_+-]", "_", text)[:LONGEST_NAME]
    numbered = (f"{stem}-{i}" for i in range(2, len(taken) + 3))
    return stem if stem not in taken else next(name for name in numbered if name not in taken)


def is_done(path: Path, asked: Mapping[str, Any]) -> bool:
    """Whether a run was trained to its end and evaluated as asked, or has diverged."""
    if failure := runs.failure(path):
        return failure["kind"] == "diverged"
    found = evaluation.read_results(path).get(asked["split"], {})
    return found.get("num_importance_samples") == asked["num_importance_samples"]


def units(
    settings: Sequence[Setting], asked: Mapping[str, Any], num_workers: int = 1
) -> list[Unit]:
    """What is left to do, at least a unit for each worker where there are runs enough."""
    found = []
    for setting in settings:
        missing = {s: p for s, p in setting.folders.items() if not is_done(p, asked)}
        parts = min(len(missing), -(-num_workers // len(settings)))
        for i in range(parts):
            folders = dict(list(missing.items())[i::parts])
            cfg, steps = setting.job.cfg.to_dict(), setting.job.num_steps * len(folders)
            found.append(Unit(setting.name, cfg, folders, dict(asked), steps))
    return found


def describe(settings: Sequence[Setting], asked: Mapping[str, Any]) -> str:
    """What would run, a line each, with parameter counts."""
    lines = []
    for setting in settings:
        done = sum(is_done(path, asked) for path in setting.folders.values())
        seeds = ", ".join(map(str, setting.folders))
        state = f"; {done} of {len(setting.folders)} done" if done else ""
        job = setting.job
        lines.append(
            f"{setting.name}: {job.num_parameters:,} parameters, {job.num_steps:,} updates, "
            f"seeds {seeds}{state}"
        )
    count = sum(len(setting.folders) for setting in settings)
    return "\n".join([*lines, f"{len(settings)} settings, {count} runs"])


def train_commands(
    settings: Sequence[Setting], base: ConfigDict, file: str, given: Mapping[str, Any]
) -> list[str]:
    """One `vae-jax train` line for each run, for another scheduler.

    `base` is the config of `file` under the overrides `given`, resolved.
    """
    lines = []
    for setting in settings:
        cfg = setting.job.cfg
        varied = {f: cfg[f] for f in cfg if f not in FIXED and cfg[f] != base[f]}
        for seed, path in setting.folders.items():
            fields = {**given, **varied, "seed": seed, "num_seeds": 1}
            flags = [f"--config.{field}={value}" for field, value in fields.items()]
            command = ["vae-jax", "train", f"--config={file}", *flags, f"--workdir={path}"]
            lines.append(shlex.join(command))
    return lines


def listed(file: str) -> list[Overrides]:
    """What the function `sweep` of an experiment file returns; nothing if it has none.

    Raises:
        UserError: if that is no list of dicts.
    """
    path = file.partition(":")[0]
    spec = importlib.util.spec_from_file_location("_experiment", path)
    if spec is None or spec.loader is None:
        raise UserError(f"--config={file}: it is no Python file")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found = module.sweep() if hasattr(module, "sweep") else []
    if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
        raise UserError(f"{path}: sweep() returns a list of dicts, config field -> value")
    return found


def save_plan(settings: Sequence[Setting], workdir: Path, **more: Any) -> None:
    """Adds the settings and their seeds to `sweep.json`, so that a report knows what was meant."""
    known = read_plan(workdir)
    for setting in settings:
        old = known["settings"].get(setting.name, {"overrides": setting.overrides, "seeds": []})
        seeds = sorted({*old["seeds"], *setting.folders})
        count = setting.job.num_parameters
        known["settings"][setting.name] = {**old, "seeds": seeds, "num_parameters": count}
    runs.make_directory(workdir)
    runs.write_json(workdir / "sweep.json", {**known, **more})


def read_plan(workdir: Path) -> dict[str, Any]:
    """What `save_plan` wrote; no settings where there is none."""
    path = workdir / "sweep.json"
    return json.loads(path.read_text()) if path.exists() else {"settings": {}}
