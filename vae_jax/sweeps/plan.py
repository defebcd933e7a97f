"""The settings of a sweep: named, checked together, and which of their runs are left to do."""

import json
import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ml_collections import ConfigDict

from vae_jax import config
from vae_jax.batches.devices import mesh_for
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
    cfg: ConfigDict  # resolved
    folders: Mapping[int, Path]  # seed -> run directory
    missing: Mapping[int, Path]  # those of them that were not done when it was planned
    job: Job | None  # of what is missing; None where nothing is


def plan(
    base: ConfigDict,
    listed: Sequence[Overrides],
    workdir: Path,
    asked: Mapping[str, Any],
    again: bool = False,
) -> list[Setting]:
    """The settings that overrides of a config make, checked, named and placed in `workdir`.

    A config that `workdir` has runs of already keeps its directory, however it was written then.
    One of which nothing is missing is not traced again.

    Args:
        base: the config.
        listed: the overrides.
        workdir: the sweep's directory.
        asked: arguments of `evaluate`, which must be possible too.
        again: whether to evaluate anew what was evaluated so.

    Raises:
        UserError: if `workdir` is itself a run, or checkpoints cannot be kept there.
        MistakesError: naming every setting that cannot work.
    """
    claims.require_letters(workdir)
    if (workdir / "config.json").exists():
        raise UserError(f"--workdir={workdir} holds a single run: {directory.USE_ANOTHER_WORKDIR}")
    there, datasets = _existing(workdir), Datasets()
    known = {there[path]: path.parent.name for path in reversed(there)}
    names, settings = set(known.values()), dict[str, Setting]()

    def add(overrides: Overrides) -> None:
        cfg = _config(base, overrides)
        if (key := config.identity(cfg)) in settings:
            return
        names.add(name := known.get(key) or _new_name(overrides, names))
        folders = {seed: workdir / name / f"seed_{seed}" for seed in config.seeds(cfg)}
        missing = {
            seed: path
            for seed, path in folders.items()
            if there.get(path) != key or not is_done(path, asked, again)
        }
        if missing:
            folders = claims.seed_folders(cfg, workdir / name)
        job = _checked(cfg, missing, asked, datasets) if missing else None
        settings[key] = Setting(name, overrides, cfg, folders, missing, job)

    _for_each(listed, add)
    return list(settings.values())


def _for_each(listed: Sequence[Overrides], add: Callable[[Overrides], None]) -> None:
    """Calls `add` with each of the overrides.

    Raises:
        MistakesError: with everything that is wrong with any of them.
    """
    faults: dict[str, list[Overrides]] = {}
    cause = None
    for overrides in each(listed, "setting", "check"):
        try:
            add(overrides)
        except Exception as error:  # whatever a combination makes a library raise
            cause = error
            faults.setdefault(one_line(error), []).append(overrides)
    if faults:
        count = sum(len(faulty) for faulty in faults.values())
        summary = f"{count} of {counted(len(listed), 'setting')} cannot work"
        raise MistakesError(summary, _described(faults)) from cause


def _config(base: ConfigDict, overrides: Overrides) -> ConfigDict:
    """The config under overrides, resolved, on devices that are there."""
    cfg = ConfigDict(base.to_dict())
    for field in overrides:
        if field in FIXED:
            raise UserError(f"{field} cannot be varied; seeds have --num_seeds")
    config.override_all(cfg, overrides)
    cfg = config.resolve(cfg)
    mesh_for(cfg.batch_size, config.mesh_sizes(cfg))  # also where nothing is missing
    return cfg


def _checked(
    cfg: ConfigDict, missing: Mapping[int, Path], asked: Mapping[str, Any], datasets: Datasets
) -> Job:
    """The job of a config whose training and evaluation are possible."""
    job = make_job(cfg, datasets=datasets)
    require_evaluable(job.parts, job.facts, **asked)
    require_start(job, missing)
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


def _existing(workdir: Path) -> dict[Path, str]:
    """The runs in a directory: path -> the identity of its config."""
    paths = sorted(workdir.glob("*/seed_*/config.json"))
    return {path.parent: config.identity(config.stored(path)) for path in paths}


def _new_name(overrides: Overrides, taken: set[str]) -> str:
    """A directory's name that a person recognizes and a shell need not quote, not taken yet."""
    text = re.sub(r"['\" )]", "", label(overrides).replace("(", "-")) if overrides else "base"
    stem = re.sub(r"[^A-Za-z0-9=.,_+-]", "_", text)[:LONGEST_NAME]
    numbered = (f"{stem}-{i}" for i in range(2, len(taken) + 3))
    return stem if stem not in taken else next(name for name in numbered if name not in taken)


def is_done(path: Path, asked: Mapping[str, Any], again: bool = False) -> bool:
    """Whether a run was trained to its end and since then evaluated as asked, or has diverged.

    Evaluations that were made before do not count where all are made `again`.
    """
    if failure := directory.failure(path):
        return failure["kind"] == "diverged"
    if again:
        return False
    results = read_results(path).get(asked["split"], {})
    as_asked = {"finished": True, "checkpoint": "best", "seed": 0}
    computed = set(results.get("estimators", ()))
    if not (results.items() >= as_asked.items() and computed >= set(asked["estimators"])):
        return False
    return not outdated(path, Age.read(results))


def units(settings: Sequence[Setting], asked: Mapping[str, Any], again: bool = False) -> list[Unit]:
    """The work that is left now, a unit for each setting of which runs are missing."""
    return [
        Unit(s.name, s.cfg.to_dict(), left, dict(asked), s.job.parts.num_steps * len(left))
        for s in settings
        if s.job and (left := {i: p for i, p in s.missing.items() if not is_done(p, asked, again)})
    ]


def describe(settings: Sequence[Setting]) -> str:
    """A line for each setting, with its parameter count where it is not done, and the `totals`."""
    lines = []
    for setting in settings:
        done = len(setting.folders) - len(setting.missing)
        seeds = f"seeds {', '.join(map(str, setting.folders))}"
        state = f"; {done} of {len(setting.folders)} done" if done else ""
        size = ""
        if job := setting.job:
            size = f"{job.num_parameters:,} parameters, {job.parts.num_steps:,} updates, "
        lines.append(f"{setting.name}: {size}{seeds}{state}")
    return "\n".join([*lines, totals(settings)])


def totals(settings: Sequence[Setting]) -> str:
    """A line that counts the settings, the runs, and those that are done."""
    runs = sum(len(setting.folders) for setting in settings)
    left = sum(len(setting.missing) for setting in settings)
    trained = sum(
        is_at_end(path, job.parts.cfg, job.parts.num_steps)
        for setting in settings
        if (job := setting.job)
        for path in setting.missing.values()
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
        cfg = setting.cfg
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
        count = {"num_parameters": setting.job.num_parameters} if setting.job else {}
        known["settings"][setting.name] = {**old, "seeds": seeds, **count}
    directory.make_directory(workdir)
    directory.write_json(workdir / "sweep.json", {**known, **more})


def read_plan(workdir: Path) -> dict[str, Any]:
    """The content of `sweep.json`, which `save_plan` wrote; no settings without the file."""
    path = workdir / "sweep.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {"settings": {}}
