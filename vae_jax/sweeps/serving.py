"""A process that works on units which come through a connection, as long as somebody is there."""

import contextlib
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from multiprocessing.connection import Connection, wait
from typing import Any

from vae_jax.sweeps.pool import Done, Heard, Lost
from vae_jax.sweeps.units import Unit, Work

GRACE_SECONDS = 30  # for a process that was told to stop to save its state
LOOK_SECONDS = 0.5  # between two looks at whether the other end is there


class Process:
    """A process of this machine with its end of a pipe."""

    def __init__(self, work: Work, share: tuple[int, int] = (0, 1)):
        """Starts it; `share` (i, n) is the i-th of n parts of the cores."""
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self._process = context.Process(target=_begin, args=(work, theirs, share), daemon=True)
        self._process.start()
        theirs.close()

    def give(self, unit: Unit) -> None:
        """Lets the process begin a unit."""
        with contextlib.suppress(OSError):  # dead already: `hear` will say so
            self.connection.send(unit)

    def hear(self) -> Heard:
        """The next message, which is waited for."""
        try:
            return self.connection.recv()
        except (EOFError, OSError):
            return Lost(self._reason())

    def _reason(self) -> str:
        """How the process ended."""
        self._process.join()
        code = self._process.exitcode or 0
        if code >= 0:
            return f"its process ended with status {code}"
        hint = ", as when memory runs out" if -code == signal.SIGKILL else ""
        return f"its process was ended by {signal.Signals(-code).name}{hint}"


def heard(processes: Sequence[Process]) -> Iterator[tuple[Process, Heard]]:
    """The messages that have come from some processes, after a moment's waiting."""
    by_connection: dict[Any, Process] = {process.connection: process for process in processes}
    for connection in wait(list(by_connection), timeout=0.3):
        yield by_connection[connection], by_connection[connection].hear()


def stop(processes: Sequence[Process]) -> None:
    """Tells processes to save their states and to end, and waits for that."""
    for process in processes:
        process._process.terminate()
    deadline = time.monotonic() + GRACE_SECONDS
    for process in processes:
        process._process.join(max(0.0, deadline - time.monotonic()))
        process._process.kill()


def _begin(work: Work, connection: Connection, share: tuple[int, int]) -> None:
    _take_share(*share)
    serve(work, connection)


def _take_share(i: int, count: int) -> None:
    """Limits this process to the i-th part of the cores, and of an accelerator to what it needs."""
    if count > 1 and hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, cores[i::count] or cores)
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")


def serve(work: Work, connection: Connection) -> None:
    """Works in this process on one unit after another, as long as the other end is there."""
    # Ctrl-C reaches the other end too, which tells its processes to stop: while a run trains it is
    # saved first; otherwise there is nothing to save.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: os._exit(128 + signal.SIGTERM))
    is_working = threading.Event()
    threading.Thread(target=_follow, args=(connection, is_working), daemon=True).start()

    def tell(message: Any) -> None:
        with contextlib.suppress(OSError):  # nobody is there: the thread above sees to it
            connection.send(message)

    with contextlib.suppress(EOFError, OSError, KeyboardInterrupt):  # the last after a save
        while True:
            unit = connection.recv()
            is_working.set()
            work(unit, tell)
            is_working.clear()
            tell(Done())


def _follow(connection: Connection, is_working: threading.Event) -> None:
    """Ends this process when the other end is gone: first kindly, so that the state is saved."""
    with contextlib.suppress(OSError):
        while not _is_gone(connection, is_working):
            pass
    for signum, seconds in ((signal.SIGTERM, GRACE_SECONDS), (signal.SIGTERM, 1)):
        os.kill(os.getpid(), signum)
        time.sleep(seconds)
    os.kill(os.getpid(), signal.SIGKILL)


def _is_gone(connection: Connection, is_working: threading.Event) -> bool:
    """Whether there is something to read although work goes on, which only an end can be.

    What was there may have been the next unit, which is read by the time that the work on it goes
    on: hence the second look.
    """
    is_working.wait()
    return connection.poll(LOOK_SECONDS) and is_working.is_set() and connection.poll(0)
