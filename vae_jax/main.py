"""The command line, and nothing else: flags to functions, mistakes to one line."""

import inspect
import logging
import os
import signal
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from absl import flags
from absl import logging as absl_logging
from ml_collections import config_flags

from vae_jax import components
from vae_jax.errors import DivergedError, UserError, unknown

Flags = Any  # the parsed flags of one command


def train(args: Flags, rest: Sequence[str]) -> None:
    """Train what a config describes, or go on with a run that was stopped."""
    from vae_jax import config, fitting

    path = Path(_workdir(args))
    cfg = args.config
    if cfg is None:
        if not (path / "config.json").exists():
            raise UserError("--config=FILE is needed, such as --config=experiments/digits.py")
        cfg = config.read(path / "config.json")
    cfg = config.resolve(cfg)
    _use_device(cfg.device)
    run = fitting.fit(cfg, path)
    print(f"{run.step} steps are done; next: vae-jax evaluate --workdir={path}")


def evaluate(args: Flags, rest: Sequence[str]) -> None:
    """Bounds, log p(x) and both KLs on a split, with standard errors, into results.json."""
    from vae_jax import evaluation

    run = _load(args)
    results = evaluation.evaluate(
        run,
        args.split,
        num_importance_samples=args.num_importance_samples,
        iwae_samples=_integers(args.iwae_samples, "iwae_samples") or None,
        quadrature_points=args.quadrature_points,
        batch_size=args.batch_size,
        seed=args.seed,
    )
    evaluation.save_results(run.workdir, args.split, results)
    print(evaluation.table(results))
    print(f"{results['num_examples']} examples of {args.split}; {run.workdir / 'results.json'}")


def sample(args: Flags, rest: Sequence[str]) -> None:
    """Figures of samples, reconstructions, interpolations and a 2-D latent, into figures/."""
    from vae_jax import sampling

    run = _load(args)
    for path in sampling.save_figures(
        sampling.sample(run, args.seed, args.num_samples), run.workdir
    ):
        print(path)


def report(args: Flags, rest: Sequence[str]) -> None:
    """One self-contained report.html of config, curves, results and figures."""
    from vae_jax import reports

    print(reports.report(_workdir(args)))


def list_components(args: Flags, rest: Sequence[str]) -> None:
    """The components there are: names, signatures, what they are."""
    for family in rest or components.FAMILIES:
        if family not in components.FAMILIES:
            raise unknown("family", family, components.FAMILIES)
        print(f"{family}:")
        for name in components.names(family):
            summary = inspect.getdoc(components.find(family, name)) or ""
            print(f"  {components.resolve(family, name)}\n      {_first_sentence(summary)}")


def data(args: Flags, rest: Sequence[str]) -> None:
    """`data list`: data sets and where they are; `data prepare NAME`: make one, with TensorFlow."""
    from vae_jax.datasets import tfds

    match list(rest):
        case ["list"]:
            print("data sets (vae-jax list datasets says more):", *components.names("datasets"))
            print(f"prepared with TFDS, in {tfds.data_dir()}:", *tfds.prepared() or ["none yet"])
            print("others of TFDS: vae-jax data prepare NAME; elsewhere: set TFDS_DATA_DIR")
        case ["prepare", name]:
            print(tfds.prepare(name))
        case _:
            raise UserError("say `vae-jax data list` or `vae-jax data prepare NAME`")


COMMANDS: dict[str, Callable[[Flags, Sequence[str]], None]] = {
    "train": train,
    "evaluate": evaluate,
    "sample": sample,
    "report": report,
    "list": list_components,
    "data": data,
}


def _define(command: str, argv: Sequence[str]) -> flags.FlagValues:
    """The flags of a command."""
    values = flags.FlagValues()
    boolean, text = partial(flags.DEFINE_bool, flag_values=values), partial(_text, values)
    boolean("debug", False, "show the traceback of an error")
    boolean("help", False, "show this help", short_name="h")
    if command in ("train", "evaluate", "sample", "report"):
        text("workdir", None, "the run's directory")
    if command == "train":
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
    if command == "evaluate":
        text("split", "test", "train, validation or test")
        text("iwae_samples", "", "the k of the IWAE bounds; 1,5,50,500 up to K if none are given")
        _integer(values, "num_importance_samples", 5000, "K, draws of z per example")
        _integer(values, "quadrature_points", 0, "a dimension, for latents of 1 or 2", least=0)
        _integer(values, "batch_size", 100, "examples together; changes no result")
    return values


def _text(values: flags.FlagValues, name: str, default: str | None, about: str) -> None:
    flags.DEFINE_string(name, default, about, flag_values=values)


def _integer(values: flags.FlagValues, name: str, default: int, about: str, least: int = 1) -> None:
    flags.DEFINE_integer(name, default, about, lower_bound=least, flag_values=values)


def _integers(text: str, name: str) -> tuple[int, ...]:
    """`"1,5,50"` -> (1, 5, 50)."""
    try:
        return tuple(int(part) for part in text.split(",") if part)
    except ValueError as error:
        raise UserError(f"--{name}={text}: whole numbers, with commas, are needed") from error


def _workdir(args: Flags) -> str:
    if not args.workdir:
        raise UserError("--workdir=DIR is needed")
    return args.workdir


def _load(args: Flags) -> Any:
    from vae_jax import runs

    _use_device(args.device)
    return runs.load(_workdir(args), args.checkpoint)


def _use_device(device: str) -> None:
    """Makes JAX compute on a kind of device.

    Raises:
        UserError: if there is none of that kind.
    """
    import jax

    if device == "auto":
        return
    try:
        jax.config.update("jax_default_device", jax.devices(device)[0])
    except RuntimeError as error:
        here = ", ".join(sorted({d.platform for d in jax.devices()}))
        raise UserError(f"device={device!r} is not there; here is {here}") from error


def _first_sentence(text: str) -> str:
    return " ".join(text.split("\n\n")[0].split())


def _help(command: str | None = None, values: flags.FlagValues | None = None) -> str:
    if command is None or values is None:
        lines = [f"  {name:10} {_first_sentence(f.__doc__ or '')}" for name, f in COMMANDS.items()]
        return "\n".join(["usage: vae-jax COMMAND [--flags], --help for each", "", *lines])
    text = f"vae-jax {command}: {_first_sentence(COMMANDS[command].__doc__ or '')}\n"
    for name in sorted(values):
        flag = values[name]
        text += f"\n  --{name}={flag.default}\n      {flag.help}" if name == flag.name else ""
    return text + (_config_help() if command == "train" else "")


def _config_help() -> str:
    fields = "\n".join(f"  --config.{k}={v}" for k, v in sorted(_default_config().items()))
    return f"\n\nfields of the config and their defaults:\n{fields}"


def main(argv: Sequence[str]) -> int:
    """Runs a command line and returns its exit status."""
    arguments = list(argv[1:])
    if not arguments or arguments[0] in ("--help", "-h", "help"):
        print(_help())
        return 0
    debug = "--debug" in arguments
    try:
        _run_command(arguments[0], arguments)
    except (UserError, flags.Error) as error:
        return _fail(debug, str(error), 2)
    except DivergedError as error:
        return _fail(debug, str(error), 1)
    except KeyboardInterrupt as stop:
        return _fail(debug, str(stop) or "stopped", 128 + getattr(stop, "signum", signal.SIGINT))
    except OSError as error:
        return _fail(debug, str(error), 1)
    return 0


def _run_command(command: str, argv: Sequence[str]) -> None:
    if command not in COMMANDS:
        raise unknown("command", command, COMMANDS)
    values = _define(command, argv)
    rest = _parse(values, argv)
    if values.help:
        print(_help(command, values))
        return
    if rest and command not in ("list", "data"):
        raise UserError(f"unexpected argument {rest[0]!r}: flags are written --name=value")
    COMMANDS[command](values, rest)


def _parse(values: flags.FlagValues, argv: Sequence[str]) -> list[str]:
    """Parses flags, an experiment file among them, and returns what is no flag.

    Raises:
        UserError: if the file cannot be read, or a field does not exist.
    """
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


def _fail(debug: bool, message: str, status: int) -> int:
    if debug:
        raise
    print(f"vae-jax: {' '.join(message.split())}", file=sys.stderr)
    return status


def run() -> None:
    """The entry point: quiet libraries, our messages as they are."""
    sys.path.insert(0, "")  # a component or an experiment of one's own, as with python -m
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    absl_logging.set_verbosity("error")
    logging.basicConfig(format="%(message)s", level=logging.WARNING, force=True)
    logging.getLogger("vae_jax").setLevel(logging.INFO)
    sys.exit(main(sys.argv))
