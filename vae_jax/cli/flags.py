"""Flags: how a command declares them, how they are read, and their help."""

import signal
import threading
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from absl import flags as absl_flags

from vae_jax import places
from vae_jax.cli import arguments
from vae_jax.errors import UserError, unknown

# Flags by name, `words` that are no flags, the names of the flags that were `written`;
# `config_file`, the text of --config, and the `overrides` of its fields.
Args = SimpleNamespace
OF_ALL = ("debug", "help")  # flags of every command, which its help shows last


class Flags:
    """The flags of one command."""

    def __init__(self, argv: Sequence[str]):
        """`argv` is the command line that they will be read from."""
        self.values = absl_flags.FlagValues()
        self._argv, self._needs_workdir = list(argv), False
        self.takes_config = self._config_may_be_there = False
        self._paths: list[str] = []
        self.boolean("debug", "show the traceback of an error")
        absl_flags.DEFINE_bool(
            "help", False, "show this help", short_name="h", flag_values=self.values
        )

    def text(self, name: str, default: str | None, about: str) -> None:
        """Declares a flag that holds a string."""
        absl_flags.DEFINE_string(name, default, about, flag_values=self.values)

    def path(self, name: str, default: str | None, about: str) -> None:
        """Declares a flag that holds a path, `~` in it being the home."""
        self.text(name, default, about)
        self._paths.append(name)

    def texts(self, name: str, about: str) -> None:
        """Declares a flag that holds a list of strings, since it may be given several times."""
        absl_flags.DEFINE_multi_string(name, [], about, flag_values=self.values)

    def boolean(self, name: str, about: str) -> None:
        """Declares a flag that is on or, by default, off."""
        absl_flags.DEFINE_bool(name, False, about, flag_values=self.values)

    def choice(self, name: str, choices: Sequence[str], about: str) -> None:
        """Declares a flag that holds one of some strings, by default the first."""
        absl_flags.DEFINE_enum(name, choices[0], choices, about, flag_values=self.values)

    def integer(self, name: str, default: int | None, about: str, *, least: int = 1) -> None:
        """Declares a flag that holds a whole number, `least` or more."""
        self._parsed(arguments.Integer(least), name, default, about)

    def number(self, name: str, default: float, about: str, *, least: float, most: float) -> None:
        """Declares a flag that holds a number from `least` to `most`."""
        self._parsed(arguments.Number(least, most), name, default, about)

    def _parsed(self, parser: Any, name: str, default: Any, about: str) -> None:
        serializer = absl_flags.ArgumentSerializer[Any]()
        absl_flags.DEFINE(parser, name, default, about, self.values, serializer)

    def workdir(self) -> None:
        """Declares `--workdir`, which must be given and `workdir` reads."""
        self.path("workdir", None, "the directory of a run, or of many")
        self._needs_workdir = True

    def workdirs(self) -> None:
        """Declares `--workdir`, which must be given, once or several times."""
        self.texts("workdir", "the directory of a run, or of many; several runs: side by side")
        self._paths.append("workdir")
        self._needs_workdir = True

    def output(self) -> None:
        """Declares `--output`, for what is made of a run."""
        self.path("output", None, "where it goes, with links to the run; default: into the run")

    def config_file(self, *, or_that_of_a_run: bool = False) -> None:
        """Declares `--config` and, for each field, `--config.FIELD`.

        These are left to the command where no file is given and it may read the config of a run.
        """
        about = "FILE.py or FILE.py:ARGUMENT; --config.FIELD=VALUE overrides a field, "
        about += "--config.prior.ARGUMENT=VALUE an argument of a part"
        self.path("config", None, about)
        self.takes_config, self._config_may_be_there = True, or_that_of_a_run

    def device(self) -> None:
        """Declares `--device`."""
        self.text("device", "auto", "auto, cpu, gpu or tpu")

    def hosts(self) -> None:
        """Declares the flags of one process among several, as `hosts.joined` has them."""
        about = (
            "HOST:PORT of process 0, where several processes do this together; or auto, on SLURM, "
        )
        self.text("coordinator", None, about + "Open MPI, Kubernetes, TPU pods")
        self.integer("num_processes", None, "how many there are")
        self.integer("process_id", None, "the number of this one, from 0", least=0)

    def seed(self) -> None:
        """Declares `--seed`."""
        self.integer("seed", 0, "the seed of all draws", least=0)

    def checkpoint(self) -> None:
        """Declares `--checkpoint`."""
        self.text("checkpoint", "best", "whose parameters are taken: best, last or a STEP")

    def evaluation(self) -> None:
        """Declares the flags that `evaluation_options` reads."""
        self.text("split", "test", "train, validation or test")
        about = "NAME(ARGUMENT=VALUE, ...)|NAME|..., as `vae-jax list estimators` names them"
        self.text("estimators", None, f"{about}; default: importance")
        self.text(
            "iwae_samples", "", "short for importance(iwae_samples=...), the k of the IWAE bounds"
        )
        about = "short for importance(num_samples=...), K draws of z per example; default: 5000"
        self.integer("num_importance_samples", None, about)
        about = "short for quadrature(points=...), a dimension, for latents of 1 or 2; 0: none"
        self.integer("quadrature_points", None, about, least=0)
        self.integer("batch_size", 100, "examples at a time; changes no result")

    def read(self) -> Args:
        """Reads the command line, and the experiment file that it names.

        Raises:
            UserError: if the file cannot be read, or a flag or field does not exist.
        """
        argv = ["--zip=" if word == "--zip" else word for word in self._argv]
        arguments.require_once(self.values, argv)
        overrides: dict[str, str] = {}
        if self.takes_config:
            argv, overrides = arguments.without_overrides(self.values, argv)
        words = self._parse(argv)
        if self._needs_workdir and not (self.values.workdir or self.values.help or words):
            raise UserError("--workdir=DIR is needed")
        written = {name for name in self.values if self.values[name].present}
        read: dict[str, Any] = {name: self.values[name].value for name in self.values}
        read |= {name: _named(read[name]) for name in self._paths if read[name]}
        if self.takes_config:
            read |= {"config_file": read["config"], "overrides": overrides}
            if read["config"] is not None or not self._config_may_be_there:
                read["config"] = _config(read["config"], overrides)
        return Args(**read, words=words, written=written)

    def _parse(self, argv: Sequence[str]) -> list[str]:
        """Parses flags, and returns the words that are none."""
        try:
            return self.values(argv)[1:]
        except absl_flags.UnrecognizedFlagError as error:
            names = [n for n in self.values if n == self.values[n].name and n not in OF_ALL]
            fields = [*_default_config()] if self.takes_config else []
            raise arguments.unknown_flag(error.flagname, names, fields) from error
        except absl_flags.Error as error:
            raise UserError(str(error)) from error


def _named(value: str | list[str]) -> str | list[str]:
    """The path that was written, or each of several."""
    if isinstance(value, str):
        return str(places.named(value))
    return [str(places.named(path)) for path in value]


def _config(text: str | None, overrides: dict[str, str]) -> Any:
    """The config that `--config` names, fields overridden: parts first, then their arguments."""
    if text is None:
        if overrides:
            raise UserError(f"--config.{next(iter(overrides))} goes with --config=FILE")
        return None

    from ml_collections import ConfigDict

    from vae_jax import config
    from vae_jax.config.experiments import read_experiment

    defaults = config.default_config()
    for field in overrides:
        if field.partition(".")[0] not in defaults:
            raise unknown("config field", field, defaults)
    arguments.require_experiment(text)
    cfg = ConfigDict({**defaults.to_dict(), **read_experiment(text).to_dict()})
    config.override_all(cfg, overrides)
    return cfg


def checkpoint(args: Args) -> Any:
    """The checkpoint that `--checkpoint` names: best, last, or a number of updates.

    Raises:
        UserError: for anything else.
    """
    text = args.checkpoint
    if text in ("best", "last"):
        return text
    if not text.isdecimal():
        raise UserError(f"--checkpoint={text}: best, last or a number of updates is needed")
    return int(text)


def workdir(args: Args) -> Path:
    """The directory that `--workdir` names."""
    return Path(args.workdir)


def require_writable(path: Path) -> None:
    """Raises UserError unless the directory of `--workdir` can be written, or made."""
    if reason := places.refusal(path):
        raise UserError(f"--workdir={path} cannot be written: {reason}")


def run_directory(args: Args) -> Path:
    """The directory that `--workdir` names, in which something must be.

    Raises:
        UserError: if it is empty or not there.
    """
    path = workdir(args)
    if not any(path.glob("*")):
        raise UserError(f"{path} holds no run: there is no config.json")
    return path


def use_device(device: str) -> None:
    """Makes JAX compute on a kind of device, and keep compiled programs on disk.

    Raises:
        UserError: if there is no such device.
    """
    from vae_jax import caches
    from vae_jax.batches import devices

    caches.keep_compiled_programs()
    devices.use_device(device)
    if (
        callable(signal.getsignal(signal.SIGINT))
        and threading.current_thread() is threading.main_thread()
    ):
        signal.signal(signal.SIGINT, signal.default_int_handler)


def evaluation_options(args: Args) -> dict[str, Any]:
    """The arguments of `evaluate` that the flags of `Flags.evaluation` set."""
    from vae_jax.evaluation.asked import asked_estimators

    iwae_samples = integers(args.iwae_samples, "iwae_samples") or None
    short = (args.num_importance_samples, iwae_samples, args.quadrature_points)
    estimators = asked_estimators(args.estimators, *short)
    return {"split": args.split, "estimators": estimators, "batch_size": args.batch_size}


def integers(text: str, name: str) -> tuple[int, ...]:
    """`"1,5,50"` -> (1, 5, 50).

    Raises:
        UserError: for anything else.
    """
    try:
        return tuple(int(part) for part in text.split(",") if part)
    except ValueError as error:
        raise UserError(f"--{name}={text}: whole numbers, with commas, are needed") from error


def without_none(**options: Any) -> dict[str, Any]:
    """The options that are not None, for a function with defaults for the others."""
    return {name: value for name, value in options.items() if value is not None}


def _default_config() -> dict[str, Any]:
    from vae_jax.config import default_config

    return default_config().to_dict()
