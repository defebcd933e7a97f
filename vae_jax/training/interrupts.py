"""Ctrl-C and SIGTERM, collected for a loop to look at between two calls of the device."""

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
        for signum in (signal.SIGINT, signal.SIGTERM):
            previous[signum] = signal.signal(signum, receive)
    try:
        yield received
    finally:
        for signum, handler in previous.items():
            signal.signal(signum, handler)
