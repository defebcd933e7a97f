"""The help of a command: what it does, its flags and their defaults, the fields of a config."""

import inspect
import textwrap
from collections.abc import Mapping
from typing import Any

from absl import flags as absl_flags

from vae_jax.cli.flags import OF_ALL, Flags

COLUMN, WIDTH = 34, 100  # where explanations begin and end, in characters


def help_text(command: str, function: Any, flags: Flags) -> str:
    """The text of `vae-jax COMMAND --help`.

    Args:
        command: its name.
        function: what it runs, whose docstring it is explained by.
        flags: its flags.
    """
    values = flags.values
    names = [name for name in values if name == values[name].name]
    ordered = sorted(names, key=lambda name: name in OF_ALL)  # stable: as they were declared
    lines = {_with_default(values[name]): _about(values[name]) for name in ordered}
    text = f"vae-jax {command}: {inspect.getdoc(function)}\n\n{_aligned('--', lines)}"
    if flags.takes_config:
        from vae_jax.config import described

        text += f"\n\nfields of the config:\n{_aligned('--config.', described())}"
    return text


def _about(flag: absl_flags.Flag) -> str:
    """The explanation, without what absl adds to that of a list."""
    return (flag.help or "").partition(";\n")[0]


def _with_default(flag: absl_flags.Flag) -> str:
    """`batch_size=100`, `workdir=...` where there is no default, `debug` of a switch."""
    if flag.boolean:
        return flag.name
    default = flag.default if flag.default not in (None, [], "") else "..."
    return f"{flag.name}={default}"


def _aligned(prefix: str, lines: Mapping[str, str]) -> str:
    """A line for each name, what it is beside it; below it where the name is too long for that."""
    parts = []
    for name, about in lines.items():
        head = f"  {prefix}{name}"
        head = f"{head:{COLUMN}}" if len(head) < COLUMN - 1 else f"{head}\n{'':{COLUMN}}"
        parts.append(head + f"\n{'':{COLUMN}}".join(textwrap.wrap(about, WIDTH - COLUMN)))
    return "\n".join(parts)


def summary(function: Any) -> str:
    """The first paragraph of a docstring, on one line."""
    return " ".join((inspect.getdoc(function) or "").split("\n\n")[0].split())
