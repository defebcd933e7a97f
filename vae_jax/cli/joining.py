"""A command that several processes run together."""

import contextlib
from collections.abc import Iterator
from typing import Any

from vae_jax import hosts
from vae_jax.cli.flags import Args

ELSEWHERE = ("process_id", "coordinator", "written", "config", "config_file", "overrides")


@contextlib.contextmanager
def joined(args: Args) -> Iterator[None]:
    """Makes this process one of several, where the flags of `Flags.hosts` say so.

    Raises:
        UserError: as `hosts.join` does, and where the others were called with other flags.
    """
    with hosts.joined(args.coordinator, args.num_processes, args.process_id):
        hosts.require_alike(_flags(args))
        yield


def _flags(args: Args) -> dict[str, Any]:
    """The flags but for those of this process alone, and of the config, which `fit` compares."""
    return {f"--{name}": value for name, value in vars(args).items() if name not in ELSEWHERE}
