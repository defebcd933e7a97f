"""The work on a unit of a sweep: it trains and evaluates runs, and notes their failures."""

import errno
import logging
import os
import threading
import traceback
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Self

from absl import logging as absl_logging
from ml_collections import ConfigDict
from tqdm import tqdm

from vae_jax import caches, config
from vae_jax.batches.devices import use_device
from vae_jax.errors import DivergedError, one_line
from vae_jax.evaluation.evaluate import evaluate
from vae_jax.evaluation.warnings import probability
from vae_jax.runs import directory
from vae_jax.runs.parts import Datasets
from vae_jax.runs.results import save_results
from vae_jax.runs.run import load
from vae_jax.sweeps.units import Ended, Halt, Steps, Tell, Unit
from vae_jax.training.job import Job, make_job
from vae_jax.training.logs import Progress
from vae_jax.training.loop import train

NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)


class UnitWork:
    """The work on units, `units.Work`: in the process that planned them, and in any other.

    In the one it takes the jobs that are there and shows each run's progress. Jobs hold compiled
    programs and are not pickled: in another process it makes them anew, and tells steps instead.
    """

    def __init__(self, jobs: Mapping[str, Job]):
        """`jobs` are this process's, by the name of the unit."""
        self._jobs, self._datasets = jobs, Datasets()

    def __reduce__(self) -> tuple[Any, ...]:
        return UnitWork, ({},)

    def __call__(self, unit: Unit, tell: Tell) -> None:
        """Trains and evaluates the unit's runs."""
        if unit.name in self._jobs:
            _run(unit, self._jobs[unit.name], tell, partial(Progress, named=True))
            return
        try:
            job = self._make_job(unit)
        except Exception as error:
            for seed in unit.folders:
                _fail(unit, seed, error, tell)
            return
        _run(unit, job, tell, partial(StepReporter, tell))

    def _make_job(self, unit: Unit) -> Job:
        """The unit's job, in a process that serves a sweep."""
        absl_logging.set_verbosity("error")
        logging.basicConfig(format=f"{unit.name}: %(message)s", level=logging.WARNING, force=True)
        tqdm.set_lock(threading.RLock())  # one between processes is left behind by a killed one
        caches.keep_compiled_programs()
        cfg = config.resolve(ConfigDict(unit.cfg))
        use_device(cfg.device)
        return make_job(cfg, datasets=self._datasets)


class StepReporter:
    """The progress of seeds in another process: counts of steps, in place of a bar."""

    def __init__(self, tell: Tell, seeds: Sequence[int], step: int, num_steps: int):
        """`step`, of `num_steps`, is where the seeds go on."""
        del num_steps
        self._tell, self._seeds, self._step = tell, len(seeds), 0
        self.advance(step, 0.0, {})

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        pass

    def advance(self, step: int, epoch: float, shown: dict[str, float]) -> None:
        """Tells the steps since the last time."""
        del epoch, shown
        self._tell(Steps((step - self._step) * self._seeds))
        self._step = step

    def line(self, step: int, epoch: float, shown: dict[str, float]) -> None:
        """Does nothing: the process that hears of the steps shows them."""


def _run(unit: Unit, job: Job, tell: Tell, progress: Callable[..., Any]) -> None:
    """Trains and evaluates a unit's runs; a failure is noted in the directory of its run."""
    for seed, outcome in train(job, unit.folders, progress):
        try:
            if isinstance(outcome, Exception):
                raise outcome
            tell(Ended(seed, _evaluated(unit, job, seed), True))
        except DivergedError as error:
            tell(Ended(seed, f"diverged at {error.what.partition(':')[0]}", False))
        except Exception as error:
            if _no_room(error):
                tell(Halt(" ".join(str(error).split())))
                return
            _fail(unit, seed, error, tell)


def _fail(unit: Unit, seed: int, error: Exception, tell: Tell) -> None:
    details = "".join(traceback.format_exception(error))
    note_failure(unit.folders[seed], "failed", one_line(error), details)
    tell(Ended(seed, one_line(error), False))


def _evaluated(unit: Unit, job: Job, seed: int) -> str:
    """Evaluates a trained run; its log p(x), or else its first number, in words."""
    path = unit.folders[seed]
    run = load(path, parts=job.parts)
    results = evaluate(run, quiet=True, **unit.evaluation)
    save_results(path, unit.evaluation["split"], results)
    numbers = results["numbers"]
    name = "log_p" if "log_p" in numbers else next(iter(numbers))
    mean, error = numbers[name]["mean"], numbers[name]["standard_error"] or 0
    kind = probability(numbers[name], results)
    return f"{name} {mean:.2f} ± {error:.2f}{kind and f' ({kind})'}"


def note_failure(path: Path, kind: str, message: str, details: str = "") -> None:
    """Writes why a run failed into its directory."""
    path.mkdir(parents=True, exist_ok=True)
    directory.record_failure(path, kind, message)
    if details:
        (path / "traceback.txt").write_text(details, encoding="utf-8")


def _no_room(error: Exception) -> bool:
    """Whether nothing more can be written; some libraries hide the number of the error."""
    number = getattr(error, "errno", None)
    return number in NO_ROOM or any(os.strerror(n) in str(error) for n in NO_ROOM)
