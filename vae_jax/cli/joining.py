"""A command that several processes run together."""

import contextlib
from collections.abc import Iterator

from vae_jax import hosts
from vae_jax.cli.arguments import FIELD
from vae_jax.cli.flags import Args

OF_PROCESS = ("process_id", "coordinator", "written")  # its number, its way to process 0


@contextlib.contextmanager
def joined(args: Args) -> Iterator[None]:
    """Makes this process one of several, where the flags of `Flags.hosts` say so.

    Raises:
        UserError: as `hosts.join` does, and where the others were called with other flags.
    """
    with hosts.joined(args.coordinator, args.num_processes, args.process_id):
        if hosts.are_several():
            hosts.require_alike(_flags(args))
        yield


def _flags(args: Args) -> dict[str, str]:
    """The flags and the fields of the config, but for those of this process alone."""
    values = {n: v for n, v in vars(args).items() if n not in OF_PROCESS}
    if cfg := values.pop("config", None):
        values |= {f"{FIELD}{name}": value for name, value in cfg.items()}
        del values["overrides"], values["config_file"]
    return {f"--{name}": str(value) for name, value in values.items()}
