"""A run directory that somebody wants to train in: it is refused, or held, its config written."""

import contextlib
import json
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from vae_jax import config, hosts, places
from vae_jax.errors import UserError
from vae_jax.runs.directory import (
    USE_ANOTHER_WORKDIR,
    environment,
    locked,
    make_directory,
    many_runs,
    run_folders,
    seeds_in,
    write_json,
)
from vae_jax.runs.going_on import require_going_on

logger = logging.getLogger(__name__)
KEPT = "directories"  # in environment.json


def require_letters(workdir: Path) -> None:
    """Refuses a run directory with [ or a backslash in its path: no checkpoint could be read."""
    if letters := [letter for letter in "[\\" if letter in str(workdir.resolve())]:
        message = f"checkpoints cannot be kept below a path with {letters[0]}"
        raise UserError(f"--workdir={workdir}: {message}, {USE_ANOTHER_WORKDIR}")


def require_same(workdir: Path, cfg: ConfigDict) -> list[str]:
    """Refuses a directory that holds a run of another config, or many runs.

    Returns:
        the changes of the config with which the run there can go on.

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
    return require_going_on(workdir, cfg) if (workdir / "config.json").exists() else []


@contextlib.contextmanager
def claimed(workdir: Path, cfg: ConfigDict) -> Iterator[None]:
    """Holds a run directory, which it makes, and writes the config and the environment there.

    Of several processes that train together the first does so for all.

    Raises:
        UserError: if it cannot be written, another process holds it, or it has another config.
    """
    with contextlib.ExitStack() as stack:
        with hosts.together():
            if hosts.is_first():
                stack.enter_context(_held(workdir, cfg))
        yield


@contextlib.contextmanager
def _held(workdir: Path, cfg: ConfigDict) -> Iterator[None]:
    make_directory(workdir)
    with locked(workdir):
        if changes := require_same(workdir, cfg):
            logger.info("%s goes on with %s", workdir, "; ".join(changes))
        write_json(workdir / "config.json", cfg.to_dict())
        write_json(workdir / "environment.json", environment() | _places(workdir))
        for old in ("failed.json", "traceback.txt"):
            (workdir / old).unlink(missing_ok=True)
        yield


def _places(workdir: Path) -> dict[str, Any]:
    """Where a run was trained, and the directories that it was trained from, the last one first."""
    with contextlib.suppress(FileNotFoundError):  # the current one was deleted
        path = workdir / "environment.json"
        before = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        earlier = (places.moved(d, before.get("workdir"), workdir) for d in before.get(KEPT, ()))
        folders = dict.fromkeys([os.getcwd(), *earlier])
        return {"workdir": str(workdir.resolve()), KEPT: list(folders)}
    return {}


def seed_folders(cfg: ConfigDict, workdir: Path) -> dict[int, Path]:
    """The directory of each seed's run, `workdir/seed_<i>`.

    Raises:
        UserError: if `workdir` is itself a run, or holds seeds of another config.
    """
    require_letters(workdir)
    if (workdir / "config.json").exists():
        message = "holds a single run, not a directory for each seed"
        raise UserError(f"--workdir={workdir} {message}: {USE_ANOTHER_WORKDIR}")
    if run_folders(workdir) and not seeds_in(workdir):
        message = "holds many settings, not seeds of one"
        raise UserError(f"--workdir={workdir} {message}: {USE_ANOTHER_WORKDIR}")
    for seed, path in seeds_in(workdir).items():
        require_same(path, config.of_seed(cfg, seed))
    return {seed: workdir / f"seed_{seed}" for seed in config.seeds(cfg)}


def keep_config(workdir: Path, cfg: ConfigDict) -> None:
    """Writes the config of a run that is at its end, where it goes on with another one.

    Of several processes the first does so: what another finds depends on whether it has.

    Raises:
        UserError: as `claimed` does.
    """
    if hosts.is_first() and require_same(workdir, cfg):
        with _held(workdir, cfg):
            pass
