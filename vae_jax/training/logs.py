"""The records of a run that trains: metrics.jsonl, trackers, a progress bar or lines."""

import json
import logging
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Self

from ml_collections import ConfigDict
from tqdm import tqdm

from vae_jax import config
from vae_jax.config import components
from vae_jax.errors import UserError, one_line
from vae_jax.places import is_watched
from vae_jax.progress import said_when_late
from vae_jax.runs.directory import read_metrics
from vae_jax.trackers import Tracked, Tracker, require_installed

logger = logging.getLogger(__name__)
SILENCE = 20.0  # seconds without a line, at most


def truncate(path: Path, step: int) -> None:
    """Drops the lines written after `step`, when a run goes on from there."""
    if path.exists():
        kept = [json.dumps(r) for r in read_metrics(path.parent) if r["step"] <= step]
        new = path.with_suffix(".tmp")
        new.write_text("".join(f"{line}\n" for line in kept), encoding="utf-8")
        new.replace(path)


def require_trackers(cfg: ConfigDict) -> None:
    """Refuses trackers that are not installed, before anything is done for them."""
    for text in config.listed(cfg.trackers):
        tracker = components.build("trackers", text)
        config.in_field("trackers", require_installed, tracker)


class Log:
    """Writes a run's metrics to `workdir` and shows them to its trackers, where there is one."""

    def __init__(self, workdir: Path | None, cfg: ConfigDict, step: int):
        """Goes on after `step`."""
        self._file: Any = None
        self._trackers: dict[str, Tracker] = {}
        if workdir:
            run = Tracked(workdir, cfg.to_dict(), step)
            self._trackers = {text: _begun(text, run) for text in config.listed(cfg.trackers)}
            truncate(workdir / "metrics.jsonl", step)
            self._file = (workdir / "metrics.jsonl").open("a", encoding="utf-8")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        if self._file:
            self._file.close()
        for text, tracker in list(self._trackers.items()):
            self._tell(text, tracker.close)

    def write(self, step: int, epoch: float, metrics: dict[str, float]) -> None:
        """Writes one line of metrics.jsonl, and tells the trackers the same."""
        if self._file:
            record = {"step": step, "epoch": epoch, **metrics}
            self._file.write(json.dumps(record) + "\n")
            self._file.flush()
        for text, tracker in list(self._trackers.items()):
            self._tell(text, tracker.log, step, metrics)

    def _tell(self, text: str, action: Callable[..., Any], *args: Any) -> None:
        """Does what a tracker is there for; after an error the run goes on without it."""
        try:
            action(*args)
        except Exception as error:  # whatever a network makes a library raise
            self._trackers.pop(text, None)
            _warn_of_the_end(text, error)


def _begun(text: str, run: Tracked) -> Tracker:
    """A tracker of a run; one that cannot go on with it costs a warning.

    Raises:
        UserError: whatever keeps it from beginning, a login that is missing for example.
    """
    try:
        name = text.partition("(")[0]
        with said_when_late(f"waiting for {name} to answer; --config.trackers= trains without"):
            return components.build("trackers", text)(run)
    except Exception as error:  # whatever a network makes a library raise
        if run.step:
            _warn_of_the_end(text, error)
            return Tracker(lambda step, metrics: None, lambda: None)
        advice = "--config.trackers= trains without"
        raise UserError(f"config.trackers={text}: {one_line(error)}; {advice}") from error


def _warn_of_the_end(text: str, error: Exception) -> None:
    message = "%s gets no more of this run, which goes on; metrics.jsonl has all (%s)"
    logger.warning(message, text.partition("(")[0], one_line(error))


class Progress:
    """Progress on stderr while seeds train: a bar on a terminal, plain lines otherwise."""

    def __init__(
        self, seeds: Sequence[int], step: int, num_steps: int, *,
        quiet: bool = False, named: bool = False,
    ):  # fmt: skip
        """Goes on after `step` of `num_steps`; `named` shows which seeds."""
        label = f"seed {', '.join(map(str, seeds))}" if named else ""
        self._num_steps, self._prefix = num_steps, f"{label}: " if named else ""
        self._first: tuple[int, float] | None = None  # step and time once everything is compiled
        self._last = time.monotonic()  # when a line was due
        self._lines = not quiet and sys.stderr is not None and not is_watched()
        self._bar = tqdm(
            total=num_steps, initial=step, unit="step", dynamic_ncols=True,
            desc=label, disable=quiet or not is_watched(),
        )  # fmt: skip

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._bar.close()

    def advance(self, step: int, epoch: float, shown: dict[str, float]) -> None:
        """Moves the bar; where there is none, a silence ends with a line."""
        self._first = self._first or (step, time.monotonic())
        if time.monotonic() - self._last > SILENCE:
            self.line(step, epoch, shown)
        self._bar.set_postfix({k: f"{v:.2f}" for k, v in shown.items()}, refresh=False)
        self._bar.update(step - self._bar.n)

    def line(self, step: int, epoch: float, shown: dict[str, float]) -> None:
        """Prints a plain line, where there is no terminal for a bar."""
        self._last = time.monotonic()
        if self._lines:
            first, start = self._first or (step, time.monotonic())
            rate = (step - first) / (time.monotonic() - start)
            left = (self._num_steps - step) / rate if rate else 0
            pace = f"  {rate:.{int(rate < 10)}f} steps/s  {left:.0f} s left" if rate else ""
            values = "  ".join(f"{name} {value:.2f}" for name, value in shown.items())
            tqdm.write(f"{self._prefix}epoch {round(epoch, 2):g}  {values}{pace}", file=sys.stderr)
