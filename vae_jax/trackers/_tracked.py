"""The contract of trackers: what one is told of a run, what it gives, and what it needs."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from vae_jax.runs.directory import write_json

FILE = "trackers.json"  # in a run's directory: what trackers have to know when it goes on


class Tracker(NamedTuple):
    """A place for the metrics of a run; an error that it raises costs a warning and the rest."""

    log: Callable[[int, Mapping[str, float]], Any]  # (updates made, metrics)
    close: Callable[[], Any]


class Tracked(NamedTuple):
    """A run as a tracker may know it; the first argument of its factory."""

    workdir: Path
    config: Mapping[str, Any]
    step: int  # updates that were made before

    @property
    def group(self) -> str:
        """The name of the directory of a setting's seeds; empty for a run by itself."""
        path = self.workdir.resolve()
        return path.parent.name if path.name.startswith("seed_") else ""

    @property
    def name(self) -> str:
        """The directory's name, `priors/seed_3` for one of many seeds."""
        return "/".join(filter(None, [self.group, self.workdir.resolve().name]))


def remembered(run: Tracked, name: str, new: Callable[[], dict[str, str]]) -> dict[str, str]:
    """The values that a tracker has kept of a run, made new where it has kept none.

    Args:
        run: the run.
        name: the tracker's.
        new: what makes them, at the run's first start.
    """
    path = run.workdir / FILE
    known = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    if name not in known:
        known[name] = new()
        write_json(path, known)
    return known[name]
