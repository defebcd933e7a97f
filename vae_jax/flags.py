"""The flags of each command: what they are, how they are read, and their help."""

import inspect
import re
import textwrap
from collections.abc import Sequence
from functools import partial
from typing import Any

from absl import flags
from ml_collections import config_flags

from vae_jax.errors import UserError, unknown

RUN_COMMANDS = ("train", "evaluate", "sample", "report", "sweep")


def define(command: str, argv: Sequence[str]) -> flags.FlagValues:
    """The flags of a command."""
    values = flags.FlagValues()
    boolean, text = partial(flags.DEFINE_bool, flag_values=values), partial(_text, values)
    boolean("debug", False, "show the traceback of an error")
    boolean("help", False, "show this help", short_name="h")
    if command in RUN_COMMANDS:
        text("workdir", None, "the directory of a run, or of many")
    if command in ("train", "sweep"):
        about = "FILE.py or FILE.py:ARGUMENT; --config.FIELD=VALUE overrides a field"
        config_flags.DEFINE_config_file(
            "config", None, about, flag_values=values, sys_argv=list(argv)
        )
    if command in ("evaluate", "sample"):
        flags.DEFINE_enum(
            "checkpoint", "best", ["best", "last"], "which parameters", flag_values=values
        )
        text("device", "auto", "auto, cpu, gpu or tpu")
        _integer(values, "seed", 0, "of all draws", least=0)
    if command == "sample":
        _integer(values, "num_samples", 64, "draws from the prior shown")
    if command in ("evaluate", "sweep"):
        _evaluation(values)
    if command == "sweep":
        _sweep(values)
    if command == "report":
        _report(values)
    if command == "compare-kl":
        _compare_kl(values)
    return values


def _compare_kl(values: flags.FlagValues) -> None:
    about = "NAME(ARGUMENT=NUMBER, ...), as normal(loc=1.0, scale=0.5); a list is a vector"
    _text(values, "q", None, about)
    _text(values, "p", None, "likewise")
    _text(values, "workdir", None, "in place of both: a run, of which q(z|x) and p(z) are compared")
    _text(
        values, "output", "runs/compare_kl", "of q and p: where results.json, tables and figure go"
    )
    _text(values, "split", "test", "of a run: train, validation or test")
    integer = partial(flags.DEFINE_integer, flag_values=values)
    about = "R, estimates for a mean and its spread; default: up to 1000, of a run 512"
    integer("num_repetitions", None, about, lower_bound=2)
    about = "K, draws for an estimate: 1, 4, 16, ... up to this; default: 4096, of a run 1024"
    integer("max_samples", None, about, lower_bound=1)
    _integer(values, "seed", 0, "of all draws", least=0)
    _text(values, "device", "auto", "auto, cpu, gpu or tpu")


def require_one_comparison(values: flags.FlagValues) -> None:
    """Raises UserError unless there are either q and p, or a run, and what goes with them."""
    if bool(values.workdir) == bool(values.q or values.p):
        message = "say either --q=DISTRIBUTION --p=DISTRIBUTION or --workdir=RUN"
        raise UserError(f"{message}, such as --q='normal(loc=1.0, scale=0.5)' --p=laplace")
    if not values.workdir and not (values.q and values.p):
        raise UserError(f"--{'p' if values.q else 'q'}=DISTRIBUTION is needed too")
    wrong = "output" if values.workdir else "split"
    if values[wrong].present:
        raise UserError(f"--{wrong} goes with {'--q and --p' if values.workdir else '--workdir'}")


def _evaluation(values: flags.FlagValues) -> None:
    _text(values, "split", "test", "train, validation or test")
    _text(values, "iwae_samples", "", "the k of the IWAE bounds; 1,5,50,500 up to K if none given")
    _integer(values, "num_importance_samples", 5000, "K, draws of z per example")
    _integer(values, "quadrature_points", 0, "a dimension, for latents of 1 or 2", least=0)
    _integer(values, "batch_size", 100, "examples together; changes no result")


def _sweep(values: flags.FlagValues) -> None:
    many = partial(flags.DEFINE_multi_string, flag_values=values)
    about = (
        "FIELD=VALUE|VALUE|..., again for more fields, which multiply; FIELD may be an argument of "
        "a part, as prior.components; a VALUE may hold uniform(LOW, HIGH), log_uniform(LOW, HIGH) "
        "or integers(LOW, HIGH), to be drawn with --random=N"
    )
    many("grid", [], about)
    about = "as --grid, but these fields take their values together; a bare --zip: all of --grid"
    many("zip", [], about)
    _integer(values, "random", 0, "draw that many settings in place of all", least=0)
    _integer(values, "random_seed", 0, "of that drawing", least=0)
    flags.DEFINE_integer(
        "num_seeds", None, "runs of each setting, from config.seed on; default: config.num_seeds",
        lower_bound=1, flag_values=values,
    )  # fmt: skip
    _integer(values, "num_workers", 1, "processes, each with its share of the cores")
    flags.DEFINE_bool("dry_run", False, "print what would run, and stop", flag_values=values)
    about = "print a `vae-jax train` line for each run, and stop"
    flags.DEFINE_bool("print_commands", False, about, flag_values=values)


def _report(values: flags.FlagValues) -> None:
    _text(values, "metric", "log_p", "of many runs: what is compared, a name of results.json")
    _text(values, "split", "test", "of many runs: where it is compared")
    _text(values, "baseline", "", "of many runs: the setting compared with; default: the first")
    flags.DEFINE_float(
        "confidence", 0.95, "of many runs: of the intervals",
        lower_bound=0.5, upper_bound=0.9999, flag_values=values,
    )  # fmt: skip


def _text(values: flags.FlagValues, name: str, default: str | None, about: str) -> None:
    flags.DEFINE_string(name, default, about, flag_values=values)


def _integer(values: flags.FlagValues, name: str, default: int, about: str, least: int = 1) -> None:
    flags.DEFINE_integer(name, default, about, lower_bound=least, flag_values=values)


def integers(text: str, name: str) -> tuple[int, ...]:
    """`"1,5,50"` -> (1, 5, 50).

    Raises:
        UserError: for anything else.
    """
    try:
        return tuple(int(part) for part in text.split(",") if part)
    except ValueError as error:
        raise UserError(f"--{name}={text}: whole numbers, with commas, are needed") from error


def given(**options: Any) -> dict[str, Any]:
    """The options that were set, for a function that has its own defaults."""
    return {name: value for name, value in options.items() if value is not None}


def parse(values: flags.FlagValues, argv: Sequence[str]) -> list[str]:
    """Parses flags, an experiment file among them, and returns what is no flag.

    Raises:
        UserError: if the file cannot be read, or a field does not exist.
    """
    argv = ["--zip=" if arg == "--zip" else arg for arg in argv]
    fields = [arg.removeprefix("--config.").split("=")[0] for arg in argv if "--config." in arg]
    for field in fields:
        if field not in _default_config():
            raise unknown("config field", field, _default_config())
    if fields and not any(arg.split("=")[0] == "--config" for arg in argv):
        raise UserError(f"--config.{fields[0]} goes with --config=FILE")
    try:
        rest = values(argv)[1:]
        if "config" in values and values["config"].present:
            _ = values.config.seed  # the file is read here
    except (flags.Error, UserError) as error:  # ml_collections puts a traceback into the message
        raise UserError(_last_line(error).rpartition("Error: ")[2]) from error
    except (OSError, AttributeError, TypeError, SyntaxError, ImportError, NameError) as error:
        raise UserError(f"--config: {_last_line(error)}") from error
    return rest


def _last_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[-1]


def _default_config() -> dict[str, Any]:
    from vae_jax.config import default_config

    return default_config().to_dict()


def help_text(command: str, about: str, values: flags.FlagValues) -> str:
    """What `vae-jax COMMAND --help` prints."""
    text = f"vae-jax {command}: {about}\n"
    for name in sorted(values):
        flag = values[name]
        text += f"\n  --{name}={flag.default}\n      {flag.help}" if name == flag.name else ""
    text += _config_help() if command in ("train", "sweep") else ""
    return text + (_distributions_help() if command == "compare-kl" else "")


def _distributions_help() -> str:
    from vae_jax.kl_comparison.named import names

    listed = textwrap.fill(", ".join(names()), 100, initial_indent="  ", subsequent_indent="  ")
    return f"\n\ndistributions, or a dotted path to one of your own:\n{listed}"


def _config_help() -> str:
    fields = "\n".join(f"  --config.{k}={v}" for k, v in sorted(_default_config().items()))
    return f"\n\nfields of the config and their defaults:\n{fields}"


def summary(function: Any) -> str:
    """The first paragraph of a docstring, on one line."""
    return " ".join((inspect.getdoc(function) or "").split("\n\n")[0].split())


REFERENCE = re.compile(r"[A-Z][a-z][\w'-]*(?:, [A-Z][\w'-]+)*(?: & [A-Z][\w'-]+| et al\.)? \d{4}")


def reference(function: Any) -> str:
    """The first paper that a docstring names, as `Kingma & Welling 2014`, or nothing."""
    found = REFERENCE.search(" ".join((inspect.getdoc(function) or "").split()))
    return found.group() if found else ""
