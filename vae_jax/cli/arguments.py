"""A command line before it is read: flags given twice, overrides of config fields, advice."""

import difflib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from absl import flags as absl_flags

from vae_jax.errors import UserError

FIELD = "config."  # with which the flags of config fields begin


class _Plainly:
    """The parser of a number beside it, which says in plain words that a text is none."""

    def convert(self, argument: Any) -> Any:
        try:
            return super().convert(argument)  # type: ignore[misc]
        except ValueError as error:
            raise ValueError(f"{argument!r} is not {self.syntactic_help}") from error  # type: ignore[attr-defined]


class Integer(_Plainly, absl_flags.IntegerParser):
    """The parser of a whole number, within bounds."""


class Number(_Plainly, absl_flags.FloatParser):
    """The parser of a number, within bounds."""


class Token(NamedTuple):
    """A flag as it stands on a command line."""

    name: str  # without hyphens
    value: str | None  # None: none is given, as to a switch
    places: range  # of argv


def tokens(values: absl_flags.FlagValues, argv: Sequence[str]) -> Iterator[Token]:
    """The flags of a command line, up to a bare `--`; `--noX` is X.

    Args:
        values: the flags that there are.
        argv: the command line.
    """
    i = 1
    while i < len(argv) and argv[i] != "--":
        name, has_value, value = argv[i].partition("=")
        stripped = name.removeprefix("-").removeprefix("-")
        if name.startswith("-") and stripped:
            known = _known_as(values, stripped)
            apart = not has_value and not _is_switch(values, known) and i + 1 < len(argv)
            text = argv[i + 1] if apart else value if has_value else None
            yield Token(known, text, range(i, i + 1 + apart))
            i += apart
        i += 1


def _known_as(values: absl_flags.FlagValues, name: str) -> str:
    """The name of a flag that is written as itself, by its letter, or with `no`."""
    opposite = name.removeprefix("no")
    if name not in values and opposite in values and values[opposite].boolean:
        return opposite
    return values[name].name if name in values else name


def _is_switch(values: absl_flags.FlagValues, name: str) -> bool:
    return name in values and bool(values[name].boolean)


def require_once(values: absl_flags.FlagValues, argv: Sequence[str]) -> None:
    """Raises UserError for a flag that is given more than once, unless it holds a list.

    Args:
        values: the flags that there are.
        argv: the command line.
    """
    first: dict[str, str] = {}
    for token in tokens(values, argv):
        written = " ".join(argv[i] for i in token.places)
        is_list = token.name in values and isinstance(values[token.name], absl_flags.MultiFlag)
        if token.name in first and not is_list:
            both = f"{first[token.name]} and {written}"
            raise UserError(f"--{token.name} is given twice, {both}: it takes one value")
        first[token.name] = written


def without_overrides(
    values: absl_flags.FlagValues, argv: Sequence[str]
) -> tuple[list[str], dict[str, str]]:
    """The command line without its `--config.FIELD=VALUE`, and these: field -> value.

    Raises:
        UserError: for one without a value.
    """
    overrides, taken = {}, set()
    for token in tokens(values, argv):
        if token.name.startswith(FIELD):
            if token.value is None:
                raise UserError(f"--{token.name} needs a value: --{token.name}=VALUE")
            overrides[token.name.removeprefix(FIELD)] = token.value
            taken |= set(token.places)
    return [word for i, word in enumerate(argv) if i not in taken], overrides


def unknown_flag(name: str, flags: Sequence[str], fields: Sequence[str]) -> UserError:
    """The error for a flag that a command does not have, with the nearest ones that it has.

    Args:
        name: without hyphens.
        flags: the command's.
        fields: of the config, if the command takes one.
    """
    names = [*flags, *(f"{FIELD}{field}" for field in fields)]
    bare = {full.removeprefix(FIELD): full for full in names}
    longer = [other for other in bare if set(name.split("_")) <= set(other.split("_"))]
    near = longer or difflib.get_close_matches(name.removeprefix(FIELD), bare, n=1, cutoff=0.6)
    hint = f": did you mean --{bare[near[0]]}?" if near else f": there is --{', --'.join(flags)}"
    return UserError(f"unknown flag --{name}{hint}")


def unexpected_word(word: str, has_workdir: bool) -> UserError:
    """The error for a word that is no flag."""
    if has_workdir and (Path(word).exists() or "/" in word):
        return UserError(f"unexpected argument {word!r}: did you mean --workdir={word}?")
    return UserError(f"unexpected argument {word!r}: flags are written --name=value")


def require_experiment(text: str) -> None:
    """Raises UserError unless `--config` names a Python file, with the nearest one beside it.

    Args:
        text: `FILE.py` or `FILE.py:ARGUMENT`.
    """
    from vae_jax.config.experiments import parted

    path, _ = parted(text)
    if not text:
        raise UserError("--config= names no file: --config=FILE.py is needed")
    if path.is_dir():
        inside = sorted(p.name for p in path.glob("*.py"))
        there = f"in it are {', '.join(inside)}" if inside else "no experiment is in it"
        raise UserError(f"--config={text}: it is a directory; {there}")
    if not path.is_file():
        near = _nearest(path)
        raise UserError(f"--config={text}: No such file{f'; did you mean {near}?' if near else ''}")
    if path.suffix != ".py":
        raise UserError(f"--config={text}: an experiment is a Python file, FILE.py")


def _nearest(path: Path) -> Path | None:
    """The Python file with the nearest name, in the same directory or one below it."""
    folder = path.parent if path.parent.is_dir() else Path()
    beside: dict[str, Any] = {p.name: p for p in [*folder.glob("*/*.py"), *folder.glob("*.py")]}
    wanted = path.name if path.suffix == ".py" else f"{path.name}.py"
    near = difflib.get_close_matches(wanted, beside, n=1, cutoff=0.5)
    return beside[near[0]] if near else None
