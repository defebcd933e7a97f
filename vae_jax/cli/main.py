"""The command line, and nothing else: a command's name to its file, mistakes to one line."""

import importlib
import importlib.metadata
import logging
import os
import pkgutil
import signal
import sys
from collections.abc import Sequence
from typing import Any

from absl import flags as absl_flags
from absl import logging as absl_logging

from vae_jax import caches, hosts
from vae_jax.cli import commands, streams
from vae_jax.cli.arguments import unexpected_word
from vae_jax.cli.flags import Flags
from vae_jax.cli.helping import help_text, summary
from vae_jax.errors import DivergedError, MistakesError, RunsFailedError, UserError, unknown

STOPPED = "stopped; what was saved before is kept, and the same command goes on from there"


def command_names() -> list[str]:
    """The commands: the files of `commands/`, with hyphens."""
    return [module.name.replace("_", "-") for module in pkgutil.iter_modules(commands.__path__)]


def find_command(name: str) -> Any:
    """The module of a command.

    Raises:
        UserError: if there is no such command.
    """
    if name not in command_names():
        raise unknown("command", name, command_names())
    return importlib.import_module(f"{commands.__name__}.{name.replace('-', '_')}")


def _usage() -> str:
    lines = [f"  {name:10} {summary(find_command(name).run)}" for name in command_names()]
    return "\n".join(["usage: vae-jax COMMAND [--flags], --help for each", "", *lines])


def main(argv: Sequence[str]) -> int:
    """Runs a command line and returns its exit status."""
    arguments = list(argv[1:])
    if arguments[:1] == ["help"] and len(arguments) > 1:
        arguments = [arguments[1], "--help"]
    if not arguments or arguments[0] in ("--help", "-h", "help"):
        print(_usage())
        return 0
    if arguments[0] == "--version":
        print(f"vae-jax {importlib.metadata.version('vae-jax')}")
        return 0
    debug = "--debug" in arguments
    try:
        _run_command(arguments[0], arguments)
    except MistakesError as error:
        return _fail(debug, "\n".join(error.lines), 2)
    except (UserError, absl_flags.Error) as error:
        return _fail(debug, _on_one_line(error), 2)
    except RunsFailedError as error:
        return _fail(debug, "\n".join(error.lines), 1)
    except DivergedError as error:
        return _fail(debug, _on_one_line(error), 1)
    except KeyboardInterrupt as stop:
        return _fail(debug, str(stop) or STOPPED, 128 + getattr(stop, "signum", signal.SIGINT))
    except BrokenPipeError:  # somebody has read enough, as `| head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        reason = f"{error.filename}: {error.strerror}" if error.filename else _on_one_line(error)
        return _fail(debug, reason, 1)
    return 0


def _run_command(name: str, argv: Sequence[str]) -> None:
    command, flags = find_command(name), Flags(argv)
    command.flags(flags)
    args = flags.read()
    if args.help:
        more = command.more_help() if hasattr(command, "more_help") else ""
        print(help_text(name, command.run, flags), *filter(None, [more]), sep="\n\n")
        return
    if args.words and not getattr(command, "TAKES_WORDS", False):
        raise unexpected_word(args.words[0], hasattr(args, "workdir"))
    command.run(args)


def _on_one_line(error: Exception) -> str:
    return " ".join(str(error).split())


def _fail(debug: bool, message: str, status: int) -> int:
    if debug:
        raise
    print(f"vae-jax: {message}", file=sys.stderr)
    return status


def _stop_at_once(signum: int, frame: Any) -> None:
    """Ends a command that is still importing libraries, to which an exception would be an error."""
    print(f"vae-jax: {STOPPED}", file=sys.stderr, flush=True)
    os._exit(128 + signum)


def run() -> None:
    """The entry point: quiet libraries, our messages as they are."""
    streams.make_usable()
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _stop_at_once)  # until `use_device`
    sys.path.insert(0, "")  # modules beside the user, as with python -m
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    os.environ["MPLBACKEND"] = "agg"  # a notebook's, or one that is not there, is not needed
    caches.expand_variables()
    caches.give_matplotlib_a_folder()
    absl_logging.set_verbosity("error")
    logging.basicConfig(format="%(message)s", level=logging.WARNING, force=True)
    logging.getLogger("vae_jax").setLevel(logging.INFO)
    status, reason = main(sys.argv), streams.lost()
    if status and hosts.are_several():
        hosts.leave(status)
    if status > 128:  # XLA's threads may be at work still, which a usual end would not survive
        logging.shutdown()
        os._exit(status)
    sys.exit(_fail(False, reason, 1) if reason and not status else status)
