"""The two ways in which a run ends early, each worth one line to the person at the keyboard."""

import difflib
from collections.abc import Iterable

MANY = 30


class UserError(ValueError):
    """A mistake in what was asked for: the message names the field, the value and what would do."""


class DivergedError(RuntimeError):
    """The objective or its gradient stopped being finite; the last good state was kept."""

    def __init__(self, what: str, kept: str, *, learned: bool = True):
        """`what` names the step and the terms; `kept`, what is left of the run.

        Args:
            what: "step 12: grad_norm is nan".
            kept: where the last good state is.
            learned: that an update had been made, without which the optimizer is not to blame.
        """
        self.what = what
        advice = "a smaller learning rate or config.clip_norm may help, in another --workdir"
        if not learned:
            advice = "no update had been made yet: these parts do not go together, or not with x"
        super().__init__(f"{what}; {kept}; {advice}")


class _LinesError(Exception):
    """Several things at once, a line each, under a first one that counts them."""

    def __init__(self, summary: str, lines: Iterable[str]):
        """`summary` ends before the colon."""
        self.lines = [f"{summary}:", *(f"  {' '.join(line.split())}" for line in lines)]
        super().__init__("\n".join(self.lines))


class MistakesError(_LinesError, UserError):
    """Several mistakes in what was asked for."""


class RunsFailedError(_LinesError, RuntimeError):
    """Some of many runs failed; the others are done."""


def counted(number: int, noun: str) -> str:
    """`1 run`, `2 runs`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def one_line(error: Exception) -> str:
    """A user's mistake in its own words, any other error with its type."""
    text = " ".join(str(error).split())
    return text if isinstance(error, UserError) else f"{type(error).__name__}: {text}"


def unknown(kind: str, name: str, available: Iterable[str]) -> UserError:
    """The error for a name that does not exist: lists what there is, nearest match first."""
    names = sorted(n for n in available if not n.startswith("_"))
    near = difflib.get_close_matches(name, names, n=5 if len(names) > MANY else 1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}? " if near else ""
    shown = names if len(names) <= MANY else [*near, f"{len(names)} in all"]
    if any(", " in name for name in shown):
        shown = [repr(name) for name in shown]
    return UserError(f"unknown {kind} {name!r}: {hint}there is {', '.join(shown)}")
