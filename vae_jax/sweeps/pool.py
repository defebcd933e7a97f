"""Workers that get units one after another and may die: what such backends have in common."""

import contextlib
import time
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Generic, NamedTuple, Protocol, TypeVar

from vae_jax.sweeps.units import Death, Message, OnMessage, Stopped, Unit
from vae_jax.training.interrupts import Interrupted, caught_signals

ATTEMPTS = 2  # of a unit whose worker died
STARTS = 10  # of workers that were lost before a unit began, as on a machine that is gone
SECONDS_BETWEEN_STARTS = 3.0
W = TypeVar("W")


class Done(NamedTuple):
    """The message that a worker is done with its unit."""


class Lost(NamedTuple):
    """The message that a worker is no more."""

    reason: str
    had_begun: bool = True  # its unit, which may be why


Heard = Message | Done | Lost


class Workers(Protocol[W]):
    """How a backend starts its workers, hears them and stops them."""

    def start(self, place: int) -> W:
        """A new worker in one of the places."""

    def give(self, worker: W, unit: Unit) -> None:
        """Lets a worker begin a unit; one that is dead already is heard of as lost."""

    def hear(self, busy: Sequence[W]) -> Iterator[tuple[W, Heard]]:
        """The messages that have come, after a moment's waiting; none is no fault."""

    def stop(self, workers: Sequence[W]) -> None:
        """Tells all to save their states and to end, and waits for that."""


def work_through(
    units: Sequence[Unit],
    workers: Workers[W],
    num_workers: int,
    on_message: OnMessage,
    stopped: Stopped,
) -> None:
    """Has all units worked on. A worker that is lost is replaced, and its unit tried once more.

    Args:
        units: the work.
        workers: of the backend.
        num_workers: at a time.
        on_message: as `Backend` has it.
        stopped: likewise.

    Raises:
        Interrupted: after Ctrl-C or SIGTERM, once the states of all runs are saved.
    """
    pool = _Pool(units, workers, on_message)
    with caught_signals() as received, contextlib.closing(pool):
        pool.run(num_workers, lambda: bool(received) or stopped())
    if received:
        raise Interrupted(received[0], "stopped; the same command goes on from here")


class _Task(NamedTuple):
    unit: Unit
    place: int  # of its worker
    attempts: int  # with this one
    starts: int  # of workers that were lost before


class _Pool(Generic[W]):
    """Some workers, and the units that none of them works on yet."""

    def __init__(self, units: Sequence[Unit], workers: Workers[W], on_message: OnMessage):
        self._left = deque((unit, 1, 0) for unit in units)
        self._workers, self._on_message = workers, on_message
        self._tasks: list[tuple[W, _Task]] = []  # of the busy ones

    def run(self, num_workers: int, stopped: Stopped) -> None:
        """Gives units to workers until all are done or `stopped()`."""
        for place in range(min(num_workers, len(self._left))):
            self._next(self._workers.start(place), place)
        while self._tasks and not stopped():
            for worker, message in self._workers.hear([worker for worker, _ in self._tasks]):
                if stopped():  # a signal reaches the workers too, and ends some at once
                    return
                self._listen(worker, message)

    def _next(self, worker: W, place: int) -> None:
        """Gives a worker the next unit; without one it ends, and another may have its place."""
        if not self._left:
            self._workers.stop([worker])
            return
        unit, attempts, starts = self._left.popleft()
        self._tasks.append((worker, _Task(unit, place, attempts, starts)))
        self._workers.give(worker, unit)

    def _listen(self, worker: W, message: Heard) -> None:
        [task] = [task for busy, task in self._tasks if busy is worker]
        if not isinstance(message, Done | Lost):
            self._on_message(task.unit, message)
            return
        self._tasks = [(busy, other) for busy, other in self._tasks if busy is not worker]
        if isinstance(message, Done):
            self._next(worker, task.place)
        else:
            self._replace(task, message)

    def _replace(self, task: _Task, lost: Lost) -> None:
        """Puts a new worker in the place of a lost one, if there is work for it."""
        final = (task.attempts >= ATTEMPTS) if lost.had_begun else (task.starts >= STARTS)
        self._on_message(task.unit, Death(lost.reason, final))
        if not final:
            attempts, starts = task.attempts + lost.had_begun, task.starts + (not lost.had_begun)
            self._left.append((task.unit, attempts, starts))
        if self._left:
            time.sleep(0 if lost.had_begun else SECONDS_BETWEEN_STARTS)
            self._next(self._workers.start(task.place), task.place)

    def close(self) -> None:
        """Stops all workers that are left."""
        self._workers.stop([worker for worker, _ in self._tasks])
