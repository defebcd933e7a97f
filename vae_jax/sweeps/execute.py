"""Runs what is left of a sweep with a backend, shows how far it is, and says what failed."""

import sys
import time
from collections.abc import Mapping, Sequence
from typing import Self

from tqdm import tqdm

from vae_jax.errors import RunsFailedError, counted
from vae_jax.places import is_watched
from vae_jax.sweeps.units import Backend, Death, Ended, Halt, Message, Steps, Unit
from vae_jax.sweeps.work import UnitWork, note_failure
from vae_jax.training.job import Job

SAY_SECONDS = 30  # without a word, where no bar is seen
LONGEST_TEXT = 120  # characters of a run's outcome


class SweepProgress:
    """The progress that a person sees of a sweep, and the failures of its runs."""

    def __init__(self, units: Sequence[Unit]):
        """`units` are all that is left to do."""
        self._num_runs = sum(len(unit.folders) for unit in units)
        self._num_steps, self._steps_done = sum(unit.steps for unit in units), 0
        self._bar: tqdm | None = None  # a backend that shows runs tells no steps
        self._began = self._last_said = time.monotonic()
        self._ended: set[tuple[str, int]] = set()
        self.halted: list[str] = []
        self.failures: dict[str, list[str]] = {}  # setting and reason -> seeds

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def on_message(self, unit: Unit, message: Message) -> None:
        """Shows what the work on a unit tells, and notes what failed."""
        match message:
            case Steps(number):
                self._advance(number)
            case Ended(seed, text, succeeded):
                self._end(unit, seed, text, succeeded)
            case Halt(text):
                self.halted.append(text)
            case Death(reason, final):
                self._say(f"{unit.name}: {reason}; {'given up' if final else 'tried once more'}")
                left = [s for s in unit.folders if (unit.name, s) not in self._ended]
                for seed in left if final else []:
                    note_failure(unit.folders[seed], "died", reason)
                    self._end(unit, seed, reason, False)

    def _advance(self, number: int) -> None:
        """Moves the bar; where there is none, a line now and then says how far it is."""
        total, hidden = self._num_steps, not is_watched()
        if self._bar is None:
            self._bar = tqdm(
                total=total, unit="step", unit_scale=True, dynamic_ncols=True, disable=hidden
            )
        self._steps_done = min(self._steps_done + number, total)
        self._bar.update(self._steps_done - self._bar.n)
        now = time.monotonic()
        if hidden and now - self._last_said > SAY_SECONDS:
            share, seconds = self._steps_done / total, now - self._began
            self._say(f"{share:.0%} of {total:,} steps after {seconds:.0f} s")

    def _end(self, unit: Unit, seed: int, text: str, succeeded: bool) -> None:
        if (unit.name, seed) in self._ended:  # told before its process died
            return
        self._ended.add((unit.name, seed))
        if not succeeded:
            self.failures.setdefault(f"{unit.name}: {text}", []).append(str(seed))
        count, seconds = len(self._ended), time.monotonic() - self._began
        left = seconds / count * (self._num_runs - count)
        text = text if len(text) < LONGEST_TEXT else f"{text[:LONGEST_TEXT]}…"
        head = f"[{count}/{self._num_runs}] {unit.name}, seed {seed}"
        self._say(f"{head}: {text}; {left:.0f} s left in all")

    def _say(self, text: str) -> None:
        """Writes a line beside the bar."""
        self._last_said = time.monotonic()
        tqdm.write(text, file=sys.stderr)


def require_there(backend: Backend) -> None:
    """Raises UserError for a backend that cannot work from here: it is called without units."""
    backend([], UnitWork({}), lambda unit, message: None, lambda: True)


def execute(units: Sequence[Unit], backend: Backend, jobs: Mapping[str, Job]) -> None:
    """Trains and evaluates all units.

    Args:
        units: what is left to do.
        backend: where it is done.
        jobs: the units' jobs by name, for a backend that works in this process.

    Raises:
        RunsFailedError: when all is done, if runs failed or diverged.
        OSError: if nothing more can be written; what was finished is kept.
        Interrupted: after Ctrl-C or SIGTERM, the states saved.
    """
    if not units:
        return
    with SweepProgress(units) as progress:
        backend(units, UnitWork(jobs), progress.on_message, lambda: bool(progress.halted))
    if progress.halted:
        raise OSError(f"{progress.halted[0]}; what was finished is kept, the same command goes on")
    if failures := progress.failures:
        reasons = [f"{what} (seeds {', '.join(seeds)})" for what, seeds in failures.items()]
        count = sum(len(seeds) for seeds in failures.values())
        raise RunsFailedError(f"{counted(count, 'run')} failed or diverged", reasons)
