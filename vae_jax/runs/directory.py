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

from vae_jax.errors import UserError
from vae_jax.places import lock_refusal, own_folders, refusal

logger = logging.getLogger(__name__)
LOCK_SECONDS = 60  # a process that was told to stop has ended by then
USE_ANOTHER_WORKDIR = "choose another --workdir"


def run_folders(workdir: Path) -> dict[str, dict[int, Path]]:
    """The runs below a directory: setting -> seed -> run directory; empty where there are none.

    `workdir` holds directories `seed_<i>`, or one of such for each setting.
    """
    if seeds := seeds_in(workdir):
        return {workdir.resolve().name: seeds}
    folders = sorted(p for p in workdir.glob("*") if p.is_dir())
    return {folder.name: seeds for folder in folders if (seeds := seeds_in(folder))}


def many_runs(workdir: Path) -> dict[str, dict[int, Path]]:
    """The `run_folders`, or nothing where the directory is itself a run."""
    return {} if (workdir / "config.json").exists() else run_folders(workdir)


def runs_in(workdir: Path) -> list[Path]:
    """The directories of the `many_runs`, or the directory itself."""
    paths = [path for seeds in many_runs(workdir).values() for path in seeds.values()]
    return paths or [workdir]


def seeds_in(folder: Path) -> dict[int, Path]:
    """The run directories `seed_<i>` of a directory, by seed."""
    paths = [path.parent for path in folder.glob("seed_*/config.json")]
    by_seed = {path.name.removeprefix("seed_"): path for path in paths}
    return {int(seed): by_seed[seed] for seed in sorted(filter(str.isdigit, by_seed), key=int)}


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
    with contextlib.suppress(ValueError):  # as one text they are read in half the time
        return json.loads(f"[{','.join(lines)}]")
    return [record for line in lines if (record := _record(line))]


def _record(line: str) -> dict[str, Any] | None:
    try:
        return json.loads(line)
    except ValueError:
        return None
