"""The files of a run directory besides checkpoints, and the run directories below another."""

import contextlib
import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import filelock
import jax
from ml_collections import ConfigDict

from vae_jax import config
from vae_jax.errors import UserError
from vae_jax.places import lock_refusal, own_folders, refusal

logger = logging.getLogger(__name__)
LOCK_SECONDS = 60  # a process that was told to stop has ended by then
USE_ANOTHER_WORKDIR = "choose another --workdir"


def run_folders(workdir: Path) -> dict[str, dict[int, Path]]:
    """The runs below a directory: setting -> seed -> run directory; empty where there are none.

    `workdir` holds directories `seed_<i>`, or one of such for each setting.
    """
    if seeds := _seeds_in(workdir):
        return {workdir.resolve().name: seeds}
    folders = sorted(p for p in workdir.glob("*") if p.is_dir())
    return {folder.name: seeds for folder in folders if (seeds := _seeds_in(folder))}


def many_runs(workdir: Path) -> dict[str, dict[int, Path]]:
    """The `run_folders`, or nothing where the directory is itself a run."""
    return {} if (workdir / "config.json").exists() else run_folders(workdir)


def _seeds_in(folder: Path) -> dict[int, Path]:
    paths = [path.parent for path in folder.glob("seed_*/config.json")]
    by_seed = {path.name.removeprefix("seed_"): path for path in paths}
    return {int(seed): by_seed[seed] for seed in sorted(filter(str.isdigit, by_seed), key=int)}


def require_letters(workdir: Path) -> None:
    """Refuses a run directory with [ or a backslash in its path: no checkpoint could be read."""
    if letters := [letter for letter in "[\\" if letter in str(workdir.resolve())]:
        message = f"checkpoints cannot be kept below a path with {letters[0]}"
        raise UserError(f"--workdir={workdir}: {message}, {USE_ANOTHER_WORKDIR}")


def require_same(workdir: Path, cfg: ConfigDict) -> None:
    """Refuses a directory that holds a run of another config, or many runs.

    Raises:
        UserError: naming the fields that differ, or that it holds many runs.
    """
    require_letters(workdir)
    if workdir.exists() and not workdir.is_dir():
        raise UserError(f"--workdir={workdir} cannot be written: it is a file")
    if (workdir / "config.json").is_symlink():
        source = (workdir / "config.json").resolve().parent
        raise UserError(f"--workdir={workdir} shows the run in {source}: train there")
    if many_runs(workdir):
        raise UserError(f"--workdir={workdir} holds many runs: {USE_ANOTHER_WORKDIR}")
    path = workdir / "config.json"
    differing = config.differences(config.read(path), cfg) if path.exists() else []
    if differing:
        message = f"--workdir={workdir} holds a run of another config ({'; '.join(differing)})"
        raise UserError(f"{message}: {USE_ANOTHER_WORKDIR}")


@contextlib.contextmanager
def claimed(workdir: Path, cfg: ConfigDict) -> Iterator[None]:
    """Holds a run directory, which it makes, and writes the config and the environment there.

    Raises:
        UserError: if it cannot be written, another process holds it, or it has another config.
    """
    make_directory(workdir)
    with locked(workdir):
        require_same(workdir, cfg)
        write_json(workdir / "config.json", cfg.to_dict())
        write_json(workdir / "environment.json", environment() | _directories(workdir))
        for old in ("failed.json", "traceback.txt"):
            (workdir / old).unlink(missing_ok=True)
        yield


@contextlib.contextmanager
def locked(workdir: Path, name: str = ".lock") -> Iterator[None]:
    """Keeps other processes out of a directory; a process that dies gives it back.

    A file system without locks costs a warning. A file in place of the lock would stay behind a
    process that is killed, and keep out the next one, perhaps on another machine, for ever.

    Raises:
        UserError: if another process still holds it after `LOCK_SECONDS`.
    """
    if reason := lock_refusal(workdir):
        logger.warning("no locks in %s (%s): let one process at a time work there", workdir, reason)
        yield
        return
    lock = filelock.FileLock(workdir / name)
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(lock.acquire(timeout=0))
        except filelock.Timeout:
            logger.info("another process is at work in %s: waiting for it", workdir)
            stack.enter_context(_patiently(lock, workdir))
        yield


def _patiently(lock: filelock.FileLock, workdir: Path) -> Any:
    try:
        return lock.acquire(timeout=LOCK_SECONDS)
    except filelock.Timeout as error:
        raise UserError(f"--workdir={workdir}: another process is at work there") from error


def make_directory(workdir: Path, flag: str = "workdir") -> None:
    """Makes a directory, if it is not there, and checks that it can be written.

    Raises:
        UserError: if it cannot, naming the flag that holds its path.
    """
    try:
        workdir.mkdir(parents=True, exist_ok=True)
        reason = refusal(workdir)
    except OSError as error:
        reason = error.strerror
    if reason:
        raise UserError(f"--{flag}={workdir} cannot be written: {reason}")


def seed_folders(cfg: ConfigDict, workdir: Path) -> dict[int, Path]:
    """The directory of each seed's run, `workdir/seed_<i>`.

    Raises:
        UserError: if `workdir` is itself a run, or holds seeds of another config.
    """
    require_letters(workdir)
    if (workdir / "config.json").exists():
        message = "holds a single run, not a directory for each seed"
        raise UserError(f"--workdir={workdir} {message}: {USE_ANOTHER_WORKDIR}")
    if run_folders(workdir) and not _seeds_in(workdir):
        message = "holds many settings, not seeds of one"
        raise UserError(f"--workdir={workdir} {message}: {USE_ANOTHER_WORKDIR}")
    for seed, path in _seeds_in(workdir).items():
        require_same(path, config.of_seed(cfg, seed))
    return {seed: workdir / f"seed_{seed}" for seed in config.seeds(cfg)}


def record_failure(workdir: Path, kind: str, message: str) -> None:
    """Writes into a run directory why the run failed, for reports; its next start deletes that.

    `kind` is one word: diverged, failed, died.
    """
    write_json(workdir / "failed.json", {"kind": kind, "message": message})


def failure(workdir: Path) -> dict[str, str] | None:
    """The kind and the message that `record_failure` wrote; None if the run did not fail."""
    path = workdir / "failed.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


def last_checkpoint(workdir: Path) -> int:
    """The step of the newest checkpoint, 0 where there is none."""
    names = (path.name for path in workdir.glob("checkpoints/*"))
    return max((int(name) for name in names if name.isdigit()), default=0)


def write_json(path: Path, value: Any) -> None:
    """Writes a JSON file, whole or not at all."""
    new = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    new.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
    new.replace(path)


def environment() -> dict[str, Any]:
    """Versions, devices, commit and command, to reproduce the numbers of a run."""
    packages = ("vae-jax", "jax", "jaxlib", "flax", "numpyro", "optax", "orbax-checkpoint", "numpy")
    return {
        "command": sys.argv,
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": sys.version.split()[0],
        "python_path": own_folders(),
        "versions": {name: _version(name) for name in packages},
        "devices": [str(device.device_kind) for device in jax.devices()],
        "commit": _commit(),
    }


def _directories(workdir: Path) -> dict[str, list[str]]:
    """The directories that a run was trained from, the last one first: its paths are of one."""
    with contextlib.suppress(FileNotFoundError):  # the current one was deleted
        path = workdir / "environment.json"
        before = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        return {"directories": [*dict.fromkeys([os.getcwd(), *before.get("directories", ())])]}
    return {}


def _commit() -> str | None:
    """The commit of this code; None where it is no clone, or git is missing or refuses."""
    here = str(Path(__file__).parent)
    git = ["git", "-C", here, "describe", "--always", "--dirty", "--abbrev=40"]
    with contextlib.suppress(OSError):
        return (
            subprocess.run(git, capture_output=True, text=True, check=False).stdout.strip() or None
        )
    return None


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def read_metrics(workdir: Path) -> list[dict[str, Any]]:
    """The records of metrics.jsonl, none without the file; a line cut short is skipped."""
    path = workdir / "metrics.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return [record for line in lines if (record := _record(line))]


def _record(line: str) -> dict[str, Any] | None:
    try:
        return json.loads(line)
    except ValueError:
        return None
