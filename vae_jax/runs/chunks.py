"""Values of a pass over a split, batch by batch, in files: a pass that was killed goes on."""

import hashlib
import logging
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from vae_jax.places import refusal
from vae_jax.runs.results import read_arrays

logger = logging.getLogger(__name__)
LEAST_SECONDS = 1.0  # of work that is kept: what took less is done again


class Chunks:
    """The values of batches, `per_example/unfinished-<what>/<first>-<count>.npz` of a run."""

    def __init__(self, workdir: Path | None, *what: Any):
        """Nothing is kept without a directory that can be written; `what` decides the values.

        Part of it is `stored.fingerprint`, in which the version of this package is.
        """
        digest = hashlib.sha256(repr(what).encode()).hexdigest()[:16]
        self._folder: Path | None = None
        if workdir is not None and refusal(workdir / "per_example") is None:
            self._folder = workdir / "per_example" / f"unfinished-{digest}"

    def read(self, first: int, count: int) -> dict[str, np.ndarray] | None:
        """The values of `count` examples from `first` on, None where there are none."""
        return read_arrays(self._path(first, count)) if self._folder else None

    def write(self, first: int, count: int, values: dict[str, Any], seconds: float) -> None:
        """Keeps values that took so long; a disk that is full costs a warning."""
        if self._folder is None or seconds < LEAST_SECONDS:
            return
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            path = self._path(first, count)
            new = path.with_suffix(f".{os.getpid()}.tmp.npz")
            np.savez(new, **values)
            new.replace(path)
        except OSError as error:
            logger.warning("%s: a killed evaluation will begin again (%s)", self._folder, error)
            self._folder = None

    def clear(self) -> None:
        """Removes them, once there are results."""
        if self._folder:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _path(self, first: int, count: int) -> Path:
        assert self._folder is not None
        return self._folder / f"{first}-{count}.npz"
