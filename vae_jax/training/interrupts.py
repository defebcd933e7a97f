"""Ctrl-C, SIGTERM and their like, collected for a loop to look at between two device calls."""

import contextlib
import logging
import signal
from collections.abc import Iterator
from typing import Any

logger = logging.getLogger(__name__)


class Interrupted(KeyboardInterrupt):
    """A signal ended the work after its state was saved."""

    def __init__(self, signum: int, message: str):
        """`signum` is the signal that ended it."""
        super().__init__(message)
        self.signum = signum


def _others() -> list[signal.Signals]:
    """Signals of schedulers ahead of a limit, and of a closed terminal, unless ignored."""
    there = [getattr(signal, name, None) for name in ("SIGUSR1", "SIGUSR2", "SIGHUP")]
    return [s for s in there if s and signal.getsignal(s) is not signal.SIG_IGN]


@contextlib.contextmanager
def caught_signals() -> Iterator[list[int]]:
    """The signals received so far, a list that grows; a second one of a kind has its usual effect.

    Outside the main thread nothing is caught: there signals are left to the caller.
    """
    received: list[int] = []
    previous: dict[signal.Signals, Any] = {}

    def receive(signum: int, frame: Any) -> None:
        del frame
        received.append(signum)
        signal.signal(signum, previous[signal.Signals(signum)])
        logger.info("saving; once more to stop at once")

    with contextlib.suppress(ValueError):  # not in the main thread
        for signum in (signal.SIGINT, signal.SIGTERM, *_others()):
            previous[signum] = signal.signal(signum, receive)
    try:
        yield received
    finally:
        for signum, handler in previous.items():
            signal.signal(signum, handler)
