"""What a config makes, and what a run directory holds."""

import contextlib
import errno
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

import filelock
import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from vae_jax import checkpoints, components, config, optimizers, training
from vae_jax.datasets import gather, require_shapes, x_shape
from vae_jax.errors import UserError
from vae_jax.model import build_model
from vae_jax.passes import devices
from vae_jax.types import Dataset, Model, Objective, Params

INIT_BATCH = 1000
LOCK_SECONDS = 20  # a process that was told to stop saves its state first


class Run(NamedTuple):
    """A model, its data and its parameters after `step` updates."""

    config: ConfigDict
    dataset: Dataset
    model: Model
    params: Params
    step: int
    workdir: Path | None = None


def make_dataset(cfg: ConfigDict) -> Dataset:
    """The data set a config names."""
    dataset = config.in_field("data", lambda: components.build("datasets", cfg.data)())
    return require_shapes(dataset)


def make_model(cfg: ConfigDict, dataset: Dataset) -> Model:
    """The model a config names, for the shape of its data."""
    names = ("encoder", "decoder", "posterior", "prior", "likelihood")
    return build_model(x_shape(dataset), cfg.latent_dim, **{name: cfg[name] for name in names})


def make_objective(cfg: ConfigDict) -> Objective:
    """The objective a config names."""
    return components.build("objectives", cfg.objective)


def steps_per_epoch(cfg: ConfigDict, dataset: Dataset) -> int:
    """Full batches in the training split.

    Raises:
        UserError: if there is none.
    """
    size = len(dataset.splits["train"])
    if cfg.batch_size > size:
        raise UserError(f"config.batch_size={cfg.batch_size} is larger than the {size} examples")
    return size // cfg.batch_size


def make_rule(cfg: ConfigDict, dataset: Dataset) -> training.Optimization:
    """The update rule a config names."""
    num_steps = cfg.num_epochs * steps_per_epoch(cfg, dataset)
    optimizer = optimizers.build(cfg.optimizer, num_steps)
    return training.optimization(optimizer, cfg.clip_norm, cfg.ema_decay)


def make_start(
    cfg: ConfigDict, dataset: Dataset, model: Model
) -> Callable[[training.Keys], training.State]:
    """A seed's keys -> its state before the first update; compiled once for all seeds."""
    rule = make_rule(cfg, dataset)
    raw = gather(dataset.splits["train"], slice(0, INIT_BATCH))

    @jax.jit
    def start(keys: training.Keys, raw: Any) -> training.State:
        ids = jnp.arange(len(raw))
        _, x = training.presented(dataset, training.example_keys(keys.start, ids), raw)
        return training.initial_state(model, rule, keys.model, x)

    return lambda keys: start(keys, raw)


def load(
    workdir: str | Path,
    which: checkpoints.Which = "best",
    model: Model | None = None,
    dataset: Dataset | None = None,
) -> Run:
    """The run that `train` left in a directory, with its best or last parameters.

    A run whose model was not made by its config alone needs that `model`; a `dataset` and a model
    that are there already need not be made again.

    Raises:
        UserError: if there is no run, no readable checkpoint, or one of another model.
    """
    workdir = Path(workdir)
    cfg = config.read(workdir / "config.json")
    dataset = make_dataset(cfg) if dataset is None else dataset
    model = make_model(cfg, dataset) if model is None else model
    template = jax.eval_shape(make_start(cfg, dataset, model), training.keys_of(0))
    local = jax.sharding.SingleDeviceSharding(devices()[0])
    template = jax.tree.map(
        lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype, sharding=local), template
    )
    with checkpoints.opened(workdir) as manager:
        step, state = checkpoints.restore(manager, template, which)
    params = training.evaluated_params(state, cfg.ema_decay)
    return Run(cfg, dataset, model, params, step, workdir)


def members(workdir: Path) -> dict[str, dict[int, Path]]:
    """The runs under one roof: setting -> seed -> run directory; empty where there are none.

    `workdir` holds directories `seed_<i>`, or a directory of such for each setting.
    """
    if own := _seeds_in(workdir):
        return {workdir.resolve().name: own}
    folders = sorted(p for p in workdir.glob("*") if p.is_dir())
    return {folder.name: found for folder in folders if (found := _seeds_in(folder))}


def _seeds_in(folder: Path) -> dict[int, Path]:
    paths = [path.parent for path in folder.glob("seed_*/config.json")]
    found = {path.name.removeprefix("seed_"): path for path in paths}
    return {int(s): found[s] for s in sorted(found, key=len) if s.isdigit()}


def load_all(workdir: Path, which: checkpoints.Which = "best") -> Iterator[tuple[Path, Run]]:
    """The run in a directory, or all of the many there, seeds of a setting sharing their model.

    Raises:
        UserError: as `load` does.
    """
    found = {} if (workdir / "config.json").exists() else members(workdir)
    if not found:
        yield workdir, load(workdir, which)
    for paths in found.values():
        first: Run | None = None
        for path in paths.values():
            shared = (first.model, first.dataset) if first else ()
            run = load(path, which, *shared)
            first = first or run
            yield path, run


def require_same(workdir: Path, cfg: ConfigDict) -> None:
    """Checks that a directory, if it holds a run, holds one of this config.

    Raises:
        UserError: naming the fields that differ.
    """
    if workdir.exists() and not workdir.is_dir():
        raise UserError(f"--workdir={workdir} cannot be written: it is a file")
    path = workdir / "config.json"
    differing = config.differences(config.read(path), cfg) if path.exists() else []
    if differing:
        message = f"--workdir={workdir} holds a run of another config ({'; '.join(differing)})"
        raise UserError(f"{message}: choose another --workdir")


def claim(workdir: Path, cfg: ConfigDict) -> None:
    """Makes the run directory and writes the config and the environment into it.

    Raises:
        UserError: if it cannot be written.
    """
    make_directory(workdir)
    write_json(workdir / "config.json", cfg.to_dict())
    write_json(workdir / "environment.json", environment())
    (workdir / "failed.json").unlink(missing_ok=True)


def make_directory(workdir: Path) -> None:
    """Makes a directory that can be written.

    Raises:
        UserError: if that cannot be.
    """
    try:
        workdir.mkdir(parents=True, exist_ok=True)
        reason = None if os.access(workdir, os.W_OK) else os.strerror(errno.EACCES)
    except OSError as error:
        reason = error.strerror
    if reason:
        raise UserError(f"--workdir={workdir} cannot be written: {reason}")


def seed_folders(cfg: ConfigDict, workdir: Path) -> dict[int, Path]:
    """The directory of each seed's run, `workdir/seed_<i>`.

    Raises:
        UserError: if `workdir` is itself a run.
    """
    if (workdir / "config.json").exists():
        message = "holds a single run, not a directory for each seed: choose another --workdir"
        raise UserError(f"--workdir={workdir} {message}")
    return {seed: workdir / f"seed_{seed}" for seed in config.seeds(cfg)}


def record_failure(workdir: Path, kind: str, message: str) -> None:
    """Notes in a run directory why its run did not end well, for reports; the next try forgets it.

    `kind` is one word: diverged, failed, died.
    """
    write_json(workdir / "failed.json", {"kind": kind, "message": message})


def failure(workdir: Path) -> dict[str, str] | None:
    """What `record_failure` noted last, None if nothing."""
    path = workdir / "failed.json"
    return json.loads(path.read_text()) if path.exists() else None


@contextlib.contextmanager
def locked(workdir: Path) -> Iterator[None]:
    """Holds a directory against other processes that would train in it; a dead one's lock is free.

    Raises:
        UserError: if another process holds it, and still does after `LOCK_SECONDS`.
    """
    try:
        with filelock.FileLock(workdir / ".lock", timeout=LOCK_SECONDS):
            yield
    except filelock.Timeout as error:
        raise UserError(f"--workdir={workdir}: another process is training there") from error


def write_json(path: Path, value: Any) -> None:
    """Writes JSON whole or not at all."""
    new = path.with_suffix(".tmp")
    new.write_text(json.dumps(value, indent=2) + "\n")
    new.replace(path)


def environment() -> dict[str, Any]:
    """Versions, devices, commit and command: what is needed to have a number again."""
    packages = ("vae-jax", "jax", "jaxlib", "flax", "numpyro", "optax", "orbax-checkpoint", "numpy")
    git = [
        "git",
        "-C",
        str(Path(__file__).parent),
        "describe",
        "--always",
        "--dirty",
        "--abbrev=40",
    ]
    commit = subprocess.run(git, capture_output=True, text=True, check=False).stdout.strip()
    return {
        "command": sys.argv,
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": sys.version.split()[0],
        "versions": {name: _version(name) for name in packages},
        "devices": [str(device.device_kind) for device in jax.devices()],
        "commit": commit or None,
    }


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
