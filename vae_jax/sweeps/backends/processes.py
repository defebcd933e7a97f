"""Processes that work through units, and may die without taking the sweep with them."""

import contextlib
import logging
import multiprocessing
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from multiprocessing.connection import Connection, wait
from typing import Annotated, Any

from numpyro.distributions import constraints

from vae_jax.sweeps.units import Death, OnMessage, Stopped, Unit, Work, split
from vae_jax.training.interrupts import Interrupted, caught_signals

logger = logging.getLogger(__name__)
GRACE_SECONDS = 30  # for a process that was told to stop to save its state
ATTEMPTS = 2  # of a unit whose process died
DONE = "unit done"


def processes(
    units: Sequence[Unit],
    work: Work,
    on_message: OnMessage,
    stopped: Stopped,
    *,
    num_workers: Annotated[int, constraints.positive_integer] = 2,
) -> None:
    """Processes of this machine, each with its share of the cores.

    A process that dies is replaced, and its unit tried once more.

    Raises:
        Interrupted: after Ctrl-C or SIGTERM, once the states of all runs are saved.
    """
    shared = split(units, num_workers)
    logger.info("%s processes start, and compile first", min(num_workers, len(shared)))
    pool = _Pool(shared, work, on_message, num_workers)
    with caught_signals() as received, contextlib.closing(pool):
        pool.run(lambda: bool(received) or stopped())
    if received:
        raise Interrupted(received[0], "stopped; the same command goes on from here")


class _Worker:
    """A process with its end of a pipe, and the unit that it works on."""

    def __init__(self, work: Work, share: tuple[int, int]):
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self.share, self.attempt = share, 0
        self.unit: Any = None  # None while it waits for one
        self.process = context.Process(target=_serve, args=(work, theirs, share), daemon=True)
        self.process.start()
        theirs.close()

    def give(self, unit: Unit, attempt: int) -> None:
        """Lets the process work on a unit."""
        self.unit, self.attempt = unit, attempt
        with contextlib.suppress(OSError):  # dead already: `wait` will say so
            self.connection.send(unit)

    def reason(self) -> str:
        """How its process ended."""
        self.process.join()
        code = self.process.exitcode or 0
        if code >= 0:
            return f"its process ended with status {code}"
        hint = ", as when memory runs out" if -code == signal.SIGKILL else ""
        return f"its process was ended by {signal.Signals(-code).name}{hint}"


class _Pool:
    """Some workers, and the units that none of them works on yet."""

    def __init__(self, units: Sequence[Unit], work: Work, on_message: OnMessage, num_workers: int):
        self._left = deque((unit, 1) for unit in units)
        self._work, self._on_message = work, on_message
        shares = [(i, num_workers) for i in range(num_workers)]
        self._workers = [_Worker(work, share) for share in shares[: len(units)]]

    def run(self, stopped: Stopped) -> None:
        """Gives units to workers until all are done or `stopped()`."""
        for worker in self._workers:
            worker.give(*self._left.popleft())
        while busy := [worker for worker in self._workers if worker.unit is not None]:
            if stopped():
                return
            for worker in _with_messages(busy):
                if stopped():  # a signal reaches the processes too, and ends some at once
                    return
                self._listen(worker)

    def _listen(self, worker: _Worker) -> None:
        try:
            message = worker.connection.recv()
        except (EOFError, OSError):
            self._replace(worker)
            return
        if message != DONE:
            self._on_message(worker.unit, message)
        elif self._left:
            worker.give(*self._left.popleft())
        else:
            worker.unit = None

    def _replace(self, worker: _Worker) -> None:
        """Puts a new process in the place of a dead one, if there is work for it."""
        final = worker.attempt >= ATTEMPTS
        self._on_message(worker.unit, Death(worker.reason(), final))
        if not final:
            self._left.append((worker.unit, worker.attempt + 1))
        self._workers.remove(worker)
        if self._left:
            self._workers.append(_Worker(self._work, worker.share))
            self._workers[-1].give(*self._left.popleft())

    def close(self) -> None:
        """Tells all to stop, the busy ones to save their states, and waits for that."""
        for worker in self._workers:
            if worker.unit is None:
                worker.connection.close()  # it waits for a unit, and ends when none can come
            elif worker.process.is_alive():
                worker.process.terminate()
        deadline = time.monotonic() + GRACE_SECONDS
        for worker in self._workers:
            worker.process.join(max(0.0, deadline - time.monotonic()))
            if worker.process.is_alive():
                worker.process.kill()


def _with_messages(workers: list[_Worker]) -> Iterator[_Worker]:
    by_connection = {worker.connection: worker for worker in workers}
    for connection in wait(list(by_connection), timeout=0.3):
        yield by_connection[connection]  # type: ignore[index]


def _serve(work: Work, connection: Connection, share: tuple[int, int]) -> None:
    """Works in its process on one unit after another, as long as the parent lives."""
    # Ctrl-C reaches the parent too, which tells its processes to stop: while a run trains it is
    # saved first; otherwise there is nothing to save.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: os._exit(128 + signal.SIGTERM))
    _take_share(*share)
    threading.Thread(target=_follow_parent, daemon=True).start()

    def tell(message: Any) -> None:
        with contextlib.suppress(OSError):  # the parent is gone: the thread above sees to it
            connection.send(message)

    with contextlib.suppress(EOFError, OSError, KeyboardInterrupt):  # the last after a save
        while True:
            work(connection.recv(), tell)
            tell(DONE)


def _take_share(i: int, count: int) -> None:
    """Limits this process to the i-th part of the cores, and of an accelerator to what it needs."""
    if hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, cores[i::count] or cores)
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")


def _follow_parent() -> None:
    """Ends this process when its parent has died: first kindly, so that the state is saved."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        for signum in (signal.SIGTERM, signal.SIGTERM, signal.SIGKILL):
            os.kill(os.getpid(), signum)
            time.sleep(GRACE_SECONDS / 3)
