"""The units of work of a sweep, and the contract of a backend that works through them.

A backend is a file of `sweeps/backends/` that defines one function of the file's name. `--backend`
names it and sets its keyword-only arguments: `--backend="processes(num_workers=2)"`.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol


class Unit(NamedTuple):
    """Runs that share one compiled program, as plain values that can be sent to a process."""

    name: str  # of the setting
    cfg: dict[str, Any]
    folders: dict[int, Path]  # seed -> run directory
    evaluation: dict[str, Any]  # arguments of `evaluate`
    steps: int  # updates of all runs


class Steps(NamedTuple):
    """The message that a number of updates was done."""

    number: int


class Ended(NamedTuple):
    """The message that a run was trained and evaluated, or why it was not."""

    seed: int
    text: str
    succeeded: bool


class Halt(NamedTuple):
    """The message that nothing more can be done: the disk is full, say."""

    text: str


class Death(NamedTuple):
    """The message that a process ended while it worked on a unit."""

    reason: str
    final: bool  # whether the unit is given up


Message = Steps | Ended | Halt | Death
Tell = Callable[[Message], None]
Work = Callable[[Unit, Tell], None]
OnMessage = Callable[[Unit, Message], None]
Stopped = Callable[[], bool]


class Backend(Protocol):
    """A place where units are worked on: this process, processes of this machine, a cluster."""

    def __call__(
        self, units: Sequence[Unit], work: Work, on_message: OnMessage, stopped: Stopped
    ) -> None:
        """Does `work(unit, tell)` for all units, or for parts of them (`split`).

        Args:
            units: what is left to do, in the order of the settings. The paths of their folders
                must mean the same wherever the work is done. None at all before the sweep is
                planned: then a backend only refuses what cannot work from here.
            work: trains and evaluates a unit's runs, and tells what becomes of them. It can be
                pickled. Failures of runs are told, not raised.
            on_message: takes a unit and what its work tells, in this process and one at a time.
                A backend adds a `Death` for a unit whose process ended.
            stopped: whether to begin nothing more and to stop what goes on.

        Raises:
            UserError: for a cluster that is not there, say.
            Interrupted: after Ctrl-C or SIGTERM, once the states of all runs are saved.
        """


def split(units: Sequence[Unit], num_workers: int) -> list[Unit]:
    """At least one unit for each worker, where there are runs enough: seeds are shared out."""
    shared = []
    for unit in units:
        parts = min(len(unit.folders), -(-num_workers // len(units)))
        for i in range(parts):
            folders = dict(list(unit.folders.items())[i::parts])
            steps = unit.steps // len(unit.folders) * len(folders)
            shared.append(unit._replace(folders=folders, steps=steps))
    return shared
