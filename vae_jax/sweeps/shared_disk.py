"""Paths that must mean the same on every machine that works for a sweep."""

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from vae_jax.places import own_folders
from vae_jax.sweeps.units import Unit


class Surroundings(NamedTuple):
    """The folders from which a sweep was called, and a file that shows that a machine sees them."""

    current: str  # directory, to which paths of data may be relative
    modules: list[str]  # folders in which modules of the user are
    token: str  # a file that the caller has made in the sweep's directory

    def entered(self) -> str:
        """Goes there; returns the path that is not there, or else nothing."""
        from vae_jax.places import look_in

        for path in (self.token, self.current):
            if not os.path.exists(path):
                return path
        os.chdir(self.current)
        look_in(self.modules)
        return ""


def absolute(units: Sequence[Unit]) -> list[Unit]:
    """The units with their folders as they are found from any directory."""
    return [
        unit._replace(folders={seed: path.absolute() for seed, path in unit.folders.items()})
        for unit in units
    ]


def token_in(units: Sequence[Unit]) -> Any:
    """A file in the directory of a sweep, `workdir/SETTING/seed_<i>`; closing it deletes it."""
    first = next(iter(units[0].folders.values()))
    return tempfile.NamedTemporaryFile(dir=first.parent.parent, prefix=".token-")


def surroundings(token: Any) -> Surroundings:
    """Those of this process."""
    return Surroundings(str(Path.cwd()), own_folders(), token.name)


def refusal(path: str, machine: str, backend: str) -> str:
    """The line about a path that a machine does not see."""
    return f"{path} is not there on {machine}: {backend} needs a disk that all machines share"
