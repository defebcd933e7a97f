"""Progress of work that takes long, for a person: a line as it begins; then a bar, or lines.

The lines go to the logger `vae_jax`, which the command line shows.
"""

import contextlib
import logging
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Self, TypeVar

from tqdm import tqdm

from vae_jax.places import is_watched

logger = logging.getLogger(__name__)
Item = TypeVar("Item")
FIRST_SECONDS, MOST_SECONDS = 3.0, 60.0  # from the start to the first line, between lines at most


def begin(text: str) -> None:
    """Says what begins, once what costs nothing to check has been checked."""
    logger.info("%s", text)


@contextlib.contextmanager
def said_when_late(text: str, seconds: float = FIRST_SECONDS) -> Iterator[None]:
    """Says what is done, or waited for, once it takes so long; for work that has no parts."""
    timer = threading.Timer(seconds, logger.info, ("%s", text))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


class Bar:
    """How far a work of many parts is: a bar on a terminal.

    Elsewhere it is a line after 3 seconds, the next after twice as long, up to a minute apart.
    """

    def __init__(self, total: int, unit: str, what: str, *, quiet: bool = False):
        """`what` is done `total` times, each a `unit`; `quiet` shows nothing."""
        self._total, self._unit, self._what = total, unit, what
        self._done, self._kept = 0, 0
        self._began, self._silence = time.monotonic(), FIRST_SECONDS
        self._lines, self._last = not quiet and not is_watched(), self._began
        self._bar = tqdm(
            total=total, unit=unit, desc=what, dynamic_ncols=True,
            disable=quiet or not is_watched(),
        )  # fmt: skip

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._bar.close()

    def advance(self, number: int = 1, was_kept: bool = False) -> None:
        """Counts parts that are done; those that were kept say nothing about the pace."""
        self._done += number
        self._kept += number * was_kept
        self._bar.update(number)
        now = time.monotonic()
        if self._lines and now - self._last > self._silence and self._done < self._total:
            self._last, self._silence = now, min(2 * self._silence, MOST_SECONDS)
            share = f"{self._done:,} of {self._total:,} {self._unit}s"
            pace = (now - self._began) / max(1, self._done - self._kept)
            times = pace * (self._total - self._done), now - self._began
            logger.info("%s: %s, %.0f s to go, after %.0f s", self._what, share, *times)


def each(items: Sequence[Item], unit: str, what: str, *, quiet: bool = False) -> Iterator[Item]:
    """The items one after another, a part of the bar being done as the next one is asked for.

    Args:
        items: what is worked on.
        unit: what one of them is.
        what: what is done with them.
        quiet: shows nothing.
    """
    with Bar(len(items), unit, what, quiet=quiet) as bar:
        for item in items:
            yield item
            bar.advance()
