"""Processes that work on units which come through a connection, as long as somebody is there."""

import contextlib
import multiprocessing
import os
import secrets
import signal
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from multiprocessing import AuthenticationError
from multiprocessing.connection import (
    Connection,
    Listener,
    answer_challenge,
    deliver_challenge,
    wait,
)
from queue import SimpleQueue
from typing import Any, Self

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


class Calls:
    """The calls of processes on other machines, over the network: `Client(address, authkey=key)`.

    Each is listened to in a thread of its own, so that one that says nothing holds up no other.
    """

    def __init__(self) -> None:
        """Takes calls from now on."""
        self.key, self._begun = secrets.token_bytes(32), SimpleQueue[tuple[Connection, Any]]()
        self._is_over = False
        self._listener = Listener(("", 0))
        self.address = socket.gethostname(), self._listener.address[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._is_over = True
        with contextlib.suppress(OSError):  # a last call, so that nobody waits for one
            socket.create_connection(self._listener.address).close()
        self._listener.close()

    def new(self) -> Iterator[tuple[Connection, Any]]:
        """Those that have come since the last time, each with what it began with."""
        while not self._begun.empty():
            yield self._begun.get()

    def _accept(self) -> None:
        while not self._is_over:
            with contextlib.suppress(OSError):
                call = self._listener.accept()
                threading.Thread(target=self._listen, args=(call,), daemon=True).start()

    def _listen(self, call: Connection) -> None:
        with contextlib.suppress(EOFError, AuthenticationError, OSError):  # somebody else's
            deliver_challenge(call, self.key)
            answer_challenge(call, self.key)
            self._begun.put((call, call.recv()))


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
