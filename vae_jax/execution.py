"""Runs what is left of a sweep, here or in processes; what fails is noted and passed over."""

import errno
import logging
import os
import sys
import threading
import time
import traceback
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, Self

from ml_collections import ConfigDict
from tqdm import tqdm

from vae_jax import caches, config, evaluation, jobs, loops, passes, runs
from vae_jax.errors import DivergedError, one_line
from vae_jax.interrupts import Interrupted, caught_signals
from vae_jax.jobs import Loaded
from vae_jax.logs import Progress
from vae_jax.sweeps import Unit
from vae_jax.workers import Death, Tell, work_through

logger = logging.getLogger(__name__)
SAY_SECONDS = 30  # without a word, where no bar is seen
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
LOADED = Loaded()  # of this process: a sweep's units mostly share their data


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
    _set_up()
    _run(unit, tell, partial(_Told, tell))


def _set_up() -> None:
    """Quiet, and bars without a lock between processes, which a killed one would leave behind."""
    logging.basicConfig(format="%(message)s", level=logging.ERROR)
    tqdm.set_lock(threading.RLock())
    caches.keep_compiled_programs()


def _run(unit: Unit, tell: Tell, progress: Any) -> None:
    """Trains and evaluates a unit's runs; a failure is noted in the run directories it befell."""
    waiting = dict(unit.folders)
    try:
        for seed, message, well in _trained_and_evaluated(unit, progress):
            del waiting[seed]
            tell(Ended(seed, message, well))
    except Exception as error:
        if _no_room(error):
            tell(Halt(" ".join(str(error).split())))
            return
        reason = one_line(error)
        for seed, path in waiting.items():
            note(path, "failed", reason, traceback.format_exc())
            tell(Ended(seed, reason, False))


def _trained_and_evaluated(unit: Unit, progress: Any) -> Any:
    """(seed, message, whether it ended well), run by run."""
    cfg = config.resolve(ConfigDict(unit.cfg))
    passes.use_device(cfg.device)
    job = jobs.make_job(cfg, loaded=LOADED)
    for seed, outcome in loops.train(job, unit.folders, progress).items():
        if isinstance(outcome, DivergedError):
            yield seed, f"diverged at {outcome}", False
            continue
        path = unit.folders[seed]
        run = runs.load(path, model=job.model, dataset=job.dataset)
        results = evaluation.evaluate(run, quiet=True, **unit.evaluation)
        evaluation.save_results(path, unit.evaluation["split"], results)
        number = results["numbers"]["log_p"]
        yield seed, f"log p(x) {number['mean']:.2f} ± {number['standard_error'] or 0:.2f}", True


def note(path: Path, kind: str, message: str, details: str = "") -> None:
    """Writes why a run failed into its directory."""
    path.mkdir(parents=True, exist_ok=True)
    runs.record_failure(path, kind, message)
    if details:
        (path / "traceback.txt").write_text(details)


def _no_room(error: Exception) -> bool:
    """Whether writing is over, also where a library hides the number of the error."""
    number = getattr(error, "errno", None)
    return number in NO_ROOM or any(os.strerror(n) in str(error) for n in NO_ROOM)


class _Overseer:
    """What the person at the keyboard sees of a sweep."""

    def __init__(self, units: Sequence[Unit], bar: tqdm):
        self._bar, self._began = bar, time.monotonic()
        self._count, self._total = 0, sum(len(unit.folders) for unit in units)
        self._done, self._said = 0, time.monotonic()
        self._ended: set[tuple[str, int]] = set()
        self.halted: list[str] = []
        self.failures: list[str] = []

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
                self._say(f"{unit.name}: {reason}; {'given up' if final else 'tried once more'}")
                left = [s for s in unit.folders if (unit.name, s) not in self._ended]
                for seed in left if final else []:
                    note(unit.folders[seed], "died", reason)
                    self._end(unit, seed, reason, False)

    def _steps(self, number: int) -> None:
        """Moves the bar; says so now and then where there is none."""
        self._done = min(self._done + number, self._bar.total)
        self._bar.update(self._done - self._bar.n)
        seconds, now = time.monotonic() - self._began, time.monotonic()
        if self._bar.disable and now - self._said > SAY_SECONDS:
            share = self._done / self._bar.total
            self._say(f"{share:.0%} of {self._bar.total} steps after {seconds:.0f} s")

    def _end(self, unit: Unit, seed: int, text: str, well: bool) -> None:
        if (unit.name, seed) in self._ended:  # told before its process died
            return
        self._ended.add((unit.name, seed))
        self._count += 1
        if not well:
            self.failures.append(f"{unit.name}, seed {seed}: {text}")
        left = (time.monotonic() - self._began) / self._count * (self._total - self._count)
        self._say(
            f"[{self._count}/{self._total}] {unit.name}, seed {seed}: {text}; {left:.0f} s left"
        )

    def _say(self, text: str) -> None:
        self._said = time.monotonic()
        tqdm.write(text, file=sys.stderr)


def execute(units: Sequence[Unit], num_workers: int = 1) -> list[str]:
    """Trains and evaluates all units; a line for each run that failed.

    Raises:
        OSError: if nothing more can be written; what was finished is kept.
        Interrupted: after Ctrl-C or SIGTERM, the states saved.
    """
    if not units:
        return []
    bar = tqdm(
        total=sum(unit.steps for unit in units), unit="step", unit_scale=True, dynamic_ncols=True,
        disable=num_workers == 1 or not sys.stderr.isatty(),
    )  # fmt: skip
    overseer = _Overseer(units, bar)
    with bar:
        if num_workers == 1:
            _here(units, overseer)
        else:
            _elsewhere(units, num_workers, overseer)
    if overseer.halted:
        raise OSError(f"{overseer.halted[0]}; what was finished is kept, the same command goes on")
    return overseer.failures


def _here(units: Sequence[Unit], overseer: _Overseer) -> None:
    for unit in units:
        _run(unit, partial(overseer.heard, unit), Progress)
        if overseer.halted:
            return


def _elsewhere(units: Sequence[Unit], num_workers: int, overseer: _Overseer) -> None:
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
