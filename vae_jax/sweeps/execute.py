"""Runs what is left of a sweep, here or in processes; what fails is noted and passed over."""

import errno
import functools
import logging
import os
import sys
import threading
import time
import traceback
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, Self

from absl import logging as absl_logging
from ml_collections import ConfigDict
from tqdm import tqdm

from vae_jax import caches, config
from vae_jax.batches.devices import use_device
from vae_jax.errors import DivergedError, RunsFailedError, counted, one_line
from vae_jax.evaluation.evaluate import evaluate
from vae_jax.runs import directory
from vae_jax.runs.directory import save_results
from vae_jax.runs.parts import Loaded
from vae_jax.runs.run import load
from vae_jax.sweeps.plan import Unit
from vae_jax.sweeps.processes import Death, Tell, work_through
from vae_jax.training.interrupts import Interrupted, caught_signals
from vae_jax.training.job import Job, make_job
from vae_jax.training.logs import Progress
from vae_jax.training.loop import train

SAY_SECONDS = 30  # without a word, where no bar is seen
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)


class Steps(NamedTuple):
    """So many more updates were made."""

    number: int


class Ended(NamedTuple):
    """A run was trained and evaluated, or why it was not."""

    seed: int
    message: str
    well: bool


class Halt(NamedTuple):
    """Nothing more can be done: the disk is full, say."""

    message: str


class _Told:
    """The progress of seeds in another process, told as counts of steps."""

    def __init__(self, tell: Tell, seeds: Sequence[int], step: int, num_steps: int):
        del num_steps
        self._tell, self._seeds, self._step = tell, len(seeds), 0
        self.advance(step, {})

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        pass

    def advance(self, step: int, shown: dict[str, float]) -> None:
        """Tells the steps since the last time."""
        del shown
        self._tell(Steps((step - self._step) * self._seeds))
        self._step = step

    def line(self, step: int, epoch: float, shown: dict[str, float]) -> None:
        """Nothing: lines are the parent's affair."""


def work(unit: Unit, tell: Tell) -> None:
    """A unit in a process that serves a sweep."""
    absl_logging.set_verbosity("error")
    logging.basicConfig(format=f"{unit.name}: %(message)s", level=logging.WARNING, force=True)
    tqdm.set_lock(threading.RLock())  # one between processes is left behind when one is killed
    caches.keep_compiled_programs()
    cfg = config.resolve(ConfigDict(unit.cfg))
    try:
        use_device(cfg.device)
        job = make_job(cfg, loaded=_loaded())
    except Exception as error:
        for seed in unit.folders:
            _fail(unit, seed, error, tell)
        return
    run_unit(unit, job, tell, partial(_Told, tell))


@functools.cache
def _loaded() -> Loaded:
    """The data that this process has read for earlier units."""
    return Loaded()


def run_unit(unit: Unit, job: Job, tell: Tell, progress: Any) -> None:
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
    note(unit.folders[seed], "failed", one_line(error), details)
    tell(Ended(seed, one_line(error), False))


def _evaluated(unit: Unit, job: Job, seed: int) -> str:
    """Evaluates a trained run; its log p(x), in words."""
    path = unit.folders[seed]
    run = load(path, model=job.model, dataset=job.dataset)
    results = evaluate(run, quiet=True, **unit.evaluation)
    save_results(path, unit.evaluation["split"], results)
    number = results["numbers"]["log_p"]
    return f"log p(x) {number['mean']:.2f} ± {number['standard_error'] or 0:.2f}"


def note(path: Path, kind: str, message: str, details: str = "") -> None:
    """Writes why a run failed into its directory."""
    path.mkdir(parents=True, exist_ok=True)
    directory.record_failure(path, kind, message)
    if details:
        (path / "traceback.txt").write_text(details)


def _no_room(error: Exception) -> bool:
    """Whether writing is over, also where a library hides the number of the error."""
    number = getattr(error, "errno", None)
    return number in NO_ROOM or any(os.strerror(n) in str(error) for n in NO_ROOM)


class _Overseer:
    """What the person at the keyboard sees of a sweep, and what came of its runs."""

    def __init__(self, units: Sequence[Unit], bar: tqdm):
        self._bar, self._began = bar, time.monotonic()
        self._total = sum(len(unit.folders) for unit in units)
        self._done, self._said = 0, time.monotonic()
        self._ended: set[tuple[str, int]] = set()
        self.halted: list[str] = []
        self.failures: dict[str, list[str]] = {}  # setting and reason -> seeds

    def heard(self, unit: Unit, message: Any) -> None:
        """Shows what a unit's process tells, and notes what failed."""
        match message:
            case Steps(number):
                self._steps(number)
            case Ended(seed, text, well):
                self._end(unit, seed, text, well)
            case Halt(text):
                self.halted.append(text)
            case Death(reason, final):
                self.say(f"{unit.name}: {reason}; {'given up' if final else 'tried once more'}")
                left = [s for s in unit.folders if (unit.name, s) not in self._ended]
                for seed in left if final else []:
                    note(unit.folders[seed], "died", reason)
                    self._end(unit, seed, reason, False)

    def _steps(self, number: int) -> None:
        """Moves the bar; says so now and then where there is none."""
        self._done = min(self._done + number, self._bar.total)
        self._bar.update(self._done - self._bar.n)
        now = time.monotonic()
        if self._bar.disable and now - self._said > SAY_SECONDS:
            share = self._done / self._bar.total
            self.say(f"{share:.0%} of {self._bar.total:,} steps after {now - self._began:.0f} s")

    def _end(self, unit: Unit, seed: int, text: str, well: bool) -> None:
        if (unit.name, seed) in self._ended:  # told before its process died
            return
        self._ended.add((unit.name, seed))
        if not well:
            self.failures.setdefault(f"{unit.name}: {text}", []).append(str(seed))
        count, seconds = len(self._ended), time.monotonic() - self._began
        left = seconds / count * (self._total - count)
        text = text if len(text) < 120 else f"{text[:120]}…"
        self.say(
            f"[{count}/{self._total}] {unit.name}, seed {seed}: {text}; {left:.0f} s left in all"
        )

    def say(self, text: str) -> None:
        """A line beside the bar."""
        self._said = time.monotonic()
        tqdm.write(text, file=sys.stderr)


def execute(units: Sequence[Unit], num_workers: int, made: Mapping[str, Job]) -> None:
    """Trains and evaluates all units.

    Args:
        units: what is left to do.
        num_workers: processes; 1 is none but this one.
        made: the units' jobs by name, for this process.

    Raises:
        RunsFailedError: when all is done, if runs failed or diverged.
        OSError: if nothing more can be written; what was finished is kept.
        Interrupted: after Ctrl-C or SIGTERM, the states saved.
    """
    if not units:
        return
    bar = tqdm(
        total=sum(unit.steps for unit in units), unit="step", unit_scale=True, dynamic_ncols=True,
        disable=num_workers == 1 or not sys.stderr.isatty(),
    )  # fmt: skip
    overseer = _Overseer(units, bar)
    with bar:
        if num_workers == 1:
            _here(units, made, overseer)
        else:
            _elsewhere(units, num_workers, overseer)
    if overseer.halted:
        raise OSError(f"{overseer.halted[0]}; what was finished is kept, the same command goes on")
    if failed := overseer.failures:
        reasons = [f"{what} (seeds {', '.join(seeds)})" for what, seeds in failed.items()]
        count = sum(len(seeds) for seeds in failed.values())
        raise RunsFailedError(f"{counted(count, 'run')} failed or diverged", reasons)


def _here(units: Sequence[Unit], made: Mapping[str, Job], overseer: _Overseer) -> None:
    for number, unit in enumerate(units, 1):
        seeds = ", ".join(map(str, unit.folders))
        overseer.say(f"setting {number} of {len(units)}: {unit.name}, seeds {seeds}")
        heard, progress = partial(overseer.heard, unit), partial(Progress, named=True)
        run_unit(unit, made[unit.name], heard, progress)
        if overseer.halted:
            return


def _elsewhere(units: Sequence[Unit], num_workers: int, overseer: _Overseer) -> None:
    overseer.say(f"{min(num_workers, len(units))} processes start, and compile first")
    with caught_signals() as received:
        stop = _Either(received, overseer.halted)
        work_through(units, num_workers, work, overseer.heard, stop)
    if received:
        raise Interrupted(received[0], "stopped; the same command goes on from here")


class _Either:
    """True as soon as one of two lists holds anything."""

    def __init__(self, *lists: list[Any]):
        self._lists = lists

    def __bool__(self) -> bool:
        return any(self._lists)
