"""Standard streams that are closed, full, read no more or ASCII: none of these ends a command."""

import os
import sys
from collections.abc import Callable
from typing import Any

STDOUT, STDERR = 1, 2


class Stream:
    """A stream that goes on into nothing once it cannot be written; `error` says why."""

    def __init__(self, stream: Any):
        """`stream` is a text file with a number."""
        self._stream = stream
        self.error: OSError | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Writes a text."""
        self._try(lambda: self._stream.write(text))
        return len(text)

    def flush(self) -> None:
        """Writes what was kept back."""
        self._try(self._stream.flush)

    def _try(self, action: Callable[[], Any]) -> None:
        try:
            action()
        except OSError as error:
            self.error = error
            os.dup2(os.open(os.devnull, os.O_WRONLY), self._stream.fileno())


def make_usable() -> None:
    """Lets a command run to its end whatever its standard streams are.

    A closed one is opened into nothing: the next file that is opened would take its number, and
    get what libraries write to it. Letters that the output's encoding lacks become question marks.
    """
    while (number := os.open(os.devnull, os.O_RDWR)) <= STDERR:
        os.set_inheritable(number, True)
    os.close(number)
    for name, number in (("stdout", STDOUT), ("stderr", STDERR)):
        stream = getattr(sys, name) or os.fdopen(number, "w", encoding="utf-8")
        stream.reconfigure(errors="replace")
        setattr(sys, name, Stream(stream))


def lost() -> str:
    """Why what was printed is lost; empty if it is not, or if nobody wants to read on."""
    sys.stdout.flush()
    error = getattr(sys.stdout, "error", None)
    if error is None or isinstance(error, BrokenPipeError):
        return ""
    return f"standard output: {error.strerror}"
