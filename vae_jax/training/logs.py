"""The records of a run that trains: metrics.jsonl, TensorBoard events, a progress bar or lines."""

import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from tqdm import tqdm

from vae_jax.places import is_watched
from vae_jax.runs.directory import read_metrics


def truncate(path: Path, step: int) -> None:
    """Drops the lines written after `step`, when a run goes on from there."""
    if path.exists():
        kept = [json.dumps(r) for r in read_metrics(path.parent) if r["step"] <= step]
        new = path.with_suffix(".tmp")
        new.write_text("".join(f"{line}\n" for line in kept), encoding="utf-8")
        new.replace(path)


class Log:
    """Writes a run's metrics to `workdir`, where there is one."""

    def __init__(self, workdir: Path | None, step: int):
        """Goes on after `step`."""
        self._file = self._events = None
        if workdir:
            from tensorboardX import SummaryWriter

            truncate(workdir / "metrics.jsonl", step)
            self._file = (workdir / "metrics.jsonl").open("a", encoding="utf-8")
            self._events = SummaryWriter(str(workdir / "events"), purge_step=step + 1)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        if self._file and self._events:
            self._file.close()
            self._events.close()

    def write(self, step: int, epoch: float, metrics: dict[str, float]) -> None:
        """Writes one line of metrics.jsonl, and the same scalars as events."""
        if self._file and self._events:
            record = {"step": step, "epoch": epoch, **metrics}
            self._file.write(json.dumps(record) + "\n")
            self._file.flush()
            for name, value in metrics.items():
                self._events.add_scalar(name, value, step)


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
        self._lines = not quiet and sys.stderr is not None and not is_watched()
        self._bar = tqdm(
            total=num_steps, initial=step, unit="step", dynamic_ncols=True,
            desc=label, disable=quiet or not is_watched(),
        )  # fmt: skip

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._bar.close()

    def advance(self, step: int, shown: dict[str, float]) -> None:
        """Moves the bar."""
        self._first = self._first or (step, time.monotonic())
        self._bar.set_postfix({k: f"{v:.2f}" for k, v in shown.items()}, refresh=False)
        self._bar.update(step - self._bar.n)

    def line(self, step: int, epoch: float, shown: dict[str, float]) -> None:
        """Prints a plain line, where there is no terminal for a bar."""
        if self._lines:
            first, start = self._first or (step, time.monotonic())
            rate = (step - first) / (time.monotonic() - start)
            left = (self._num_steps - step) / rate if rate else 0
            pace = f"  {rate:.0f} steps/s  {left:.0f} s left" if rate else ""
            values = "  ".join(f"{name} {value:.2f}" for name, value in shown.items())
            tqdm.write(f"{self._prefix}epoch {epoch:g}  {values}{pace}", file=sys.stderr)
