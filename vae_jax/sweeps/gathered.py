"""Runs that no sweep has planned, as settings: a run of `train`, or the seeds of one."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from vae_jax.errors import UserError
from vae_jax.runs import directory
from vae_jax.sweeps.plan import read_plan
from vae_jax.sweeps.results import Row, read_row

DEPTH = 3  # of folders in folders, below which no run is looked for
CONFIG = "config.json"


class Gathered(NamedTuple):
    """One setting, and where its runs are."""

    name: str
    paths: Mapping[int, Path]  # seed -> run directory
    is_single: bool  # a run, and no folder of seeds


def gathered(workdirs: Sequence[Path]) -> list[Gathered]:
    """The settings in some directories, each a run, the seeds of one, or a folder of such.

    They are named by their directories, below a folder that is the only one; by the whole path
    where names are alike.

    Raises:
        UserError: for a directory without runs, and one that is given twice.
    """
    every: list[tuple[Path, Gathered]] = []
    for workdir in workdirs:
        below = _below(workdir)
        if not below:
            raise UserError(f"--workdir={workdir} holds no run: there is no {CONFIG}")
        every += [(path, _setting(path, workdir, len(workdirs) == 1)) for path in below]
    places = [path.resolve() for path, _ in every]
    for i, (path, _) in enumerate(every):
        if places.index(path.resolve()) < i:
            raise UserError(f"--workdir={path} is given twice: side by side are different runs")
    names = [setting.name for _, setting in every]
    are_alike = len(set(names)) < len(names)
    return [s._replace(name=str(path)) if are_alike else s for path, s in every]


def is_sweep(workdir: Path) -> bool:
    """Whether a directory is that of `sweep`, or of the seeds of one run: of no run by itself."""
    if read_plan(workdir)["settings"] or _seeds(workdir):
        return True
    return bool(directory.run_folders(workdir)) and not list(workdir.glob(f"*/{CONFIG}"))


def _below(path: Path, depth: int = DEPTH) -> list[Path]:
    """The directories of settings: the path itself, or those in its folders."""
    if (path / CONFIG).exists() or _seeds(path):
        return [path]
    inside = sorted(p for p in path.iterdir() if p.is_dir()) if path.is_dir() and depth else []
    return [one for folder in inside for one in _below(folder, depth - 1)]


def _seeds(path: Path) -> Mapping[int, Path]:
    """The runs `seed_<i>` that lie in a directory itself."""
    known = directory.run_folders(path)
    return known.get(path.resolve().name, {}) if list(path.glob(f"seed_*/{CONFIG}")) else {}


def _setting(path: Path, workdir: Path, by_path: bool) -> Gathered:
    name = str(path.relative_to(workdir)) if by_path and path != workdir else path.resolve().name
    if (path / CONFIG).exists():
        return Gathered(name, {_seed(path): path}, True)
    return Gathered(name, _seeds(path), False)


def _seed(path: Path) -> int:
    """The seed of a run, from its config as it was written."""
    try:
        return int(json.loads((path / CONFIG).read_text(encoding="utf-8"))["seed"])
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path / CONFIG} is damaged: {error}") from error


def rows_of(settings: Sequence[Gathered], split: str, metric: str) -> list[Row]:
    """A row for each, without differences; single runs are compared whatever their seeds."""
    return [
        read_row(s.name, s.paths, {}, split, metric)._replace(is_single=s.is_single)
        for s in settings
    ]
