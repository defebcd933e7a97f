"""A few processes that work through a list of tasks, and may die without taking it with them."""

import contextlib
import multiprocessing
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection, wait
from typing import Any, NamedTuple

GRACE_SECONDS = 30  # for a process that was told to stop to save its state
ATTEMPTS = 2  # of a task whose process died
DONE = "task done"

Tell = Callable[[Any], None]
Work = Callable[[Any, Tell], None]


class Death(NamedTuple):
    """A process that ended while it worked on a task."""

    reason: str
    final: bool  # whether the task is given up


class _Worker:
    """A process with its end of a pipe, and what it works on."""

    def __init__(self, work: Work, share: tuple[int, int]):
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self.share, self.attempt = share, 0
        self.task: Any = None
        self.process = context.Process(target=_serve, args=(work, theirs, share), daemon=True)
        self.process.start()
        theirs.close()

    def give(self, task: Any, attempt: int) -> None:
        self.task, self.attempt = task, attempt
        with contextlib.suppress(OSError):  # dead already: `wait` will say so
            self.connection.send(task)

    def reason(self) -> str:
        self.process.join()
        code = self.process.exitcode or 0
        if code >= 0:
            return f"its process ended with status {code}"
        hint = ", as when memory runs out" if -code == signal.SIGKILL else ""
        return f"its process was ended by {signal.Signals(-code).name}{hint}"


def work_through(
    tasks: Sequence[Any],
    num_workers: int,
    work: Work,
    heard: Callable[[Any, Any], None],
    stopped: object = False,
) -> None:
    """Lets processes do `work(task, tell)` for each task, each with its share of the cores.

    A process that dies is replaced, and its task tried once more.

    Args:
        tasks: what can be pickled.
        num_workers: how many processes.
        work: a function of a module; what it tells is sent to `heard`.
        heard: called here as `heard(task, message)`, with a `Death` when a process died.
        stopped: looked at now and then; once it is true the processes are told to stop.
    """
    left = deque((task, 1) for task in tasks)
    shares = [(i, num_workers) for i in range(num_workers)]
    workers = [_Worker(work, share) for share in shares[: len(left)]]
    try:
        for worker in workers:
            worker.give(*left.popleft())
        while busy := [w for w in workers if w.task is not None]:
            if stopped:
                return
            for worker in _ready(busy):
                if stopped:  # a signal reaches the processes too, and ends some at once
                    return
                _listen(worker, workers, left, work, heard)
    finally:
        _end(workers)


def _ready(workers: list[_Worker]) -> Iterator[_Worker]:
    by_connection = {worker.connection: worker for worker in workers}
    for connection in wait(list(by_connection), timeout=0.3):
        yield by_connection[connection]  # type: ignore[index]


def _listen(
    worker: _Worker,
    workers: list[_Worker],
    left: deque[tuple[Any, int]],
    work: Work,
    heard: Callable[[Any, Any], None],
) -> None:
    try:
        message = worker.connection.recv()
    except (EOFError, OSError):
        final = worker.attempt >= ATTEMPTS
        heard(worker.task, Death(worker.reason(), final))
        if not final:
            left.append((worker.task, worker.attempt + 1))
        workers.remove(worker)
        if left:
            workers.append(_Worker(work, worker.share))
            workers[-1].give(*left.popleft())
        return
    if message != DONE:
        heard(worker.task, message)
    elif left:
        worker.give(*left.popleft())
    else:
        worker.task = None


def _end(workers: list[_Worker]) -> None:
    """Tells all to stop, the busy ones to save their state; waits for that."""
    for worker in workers:
        if worker.task is None:
            worker.connection.close()  # it waits for a task, and ends when none can come
        elif worker.process.is_alive():
            worker.process.terminate()
    deadline = time.monotonic() + GRACE_SECONDS
    for worker in workers:
        worker.process.join(max(0.0, deadline - time.monotonic()))
        if worker.process.is_alive():
            worker.process.kill()


def _serve(work: Work, connection: Connection, share: tuple[int, int]) -> None:
    """What a process does: one task after another, as long as its parent lives."""
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
    """The i-th part of the cores; an accelerator's memory is taken as it is needed."""
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
