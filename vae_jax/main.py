"""The command line, and nothing else: flags to functions, mistakes to one line."""

import logging
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from absl import flags as absl_flags
from absl import logging as absl_logging

from vae_jax import components, flags
from vae_jax.errors import DivergedError, MistakesError, RunsFailedError, UserError, unknown

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
    if cfg.num_seeds == 1:
        run = fitting.fit(cfg, path)
        print(f"{run.step} steps are done; next: vae-jax evaluate --workdir={path}")
    else:
        found = fitting.fit_seeds(cfg, path)
        print(f"{len(found)} runs are done; next: vae-jax evaluate --workdir={path}")


def evaluate(args: Flags, rest: Sequence[str]) -> None:
    """Bounds, log p(x) and both KLs on a split, with standard errors, into results.json."""
    from vae_jax import evaluation, quantities, runs

    _use_device(args.device)
    options = _evaluation_options(args) | {"seed": args.seed}
    for path, run in runs.load_all(Path(_workdir(args)), args.checkpoint):
        results = evaluation.evaluate(run, **options)
        evaluation.save_results(path, args.split, results)
        print(quantities.table(results))
        print(f"{results['num_examples']} examples of {args.split}; {path / 'results.json'}")


def _evaluation_options(args: Flags) -> dict[str, Any]:
    return {
        "split": args.split,
        "num_importance_samples": args.num_importance_samples,
        "iwae_samples": flags.integers(args.iwae_samples, "iwae_samples") or None,
        "quadrature_points": args.quadrature_points,
        "batch_size": args.batch_size,
    }


def sample(args: Flags, rest: Sequence[str]) -> None:
    """Figures of samples, reconstructions, interpolations and a 2-D latent, into figures/."""
    from vae_jax import runs, sampling

    _use_device(args.device)
    path = Path(_workdir(args))
    figures = sampling.sample(runs.load(path, args.checkpoint), args.seed, args.num_samples)
    print(*sampling.save_figures(figures, path), sep="\n")


def sweep(args: Flags, rest: Sequence[str]) -> None:
    """Train and evaluate many settings, each with many seeds; what is done is not done again."""
    from vae_jax import config, sweeps

    path, asked = Path(_workdir(args)), _evaluation_options(args)
    if args.num_workers > 1:  # this process only plans: an accelerator's memory is the workers'
        os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    base, listed = _swept(args)
    _use_device(base.device)
    settings = sweeps.plan(base, listed, path, asked)
    if args.random and len(settings) < len(listed):
        print(f"{len(listed)} draws made {len(settings)} different settings", file=sys.stderr)
    if args.dry_run:
        print(sweeps.describe(settings, asked))
    elif args.print_commands:
        file = args["config"].config_filename
        given = {f: v for f, v in args["config"].override_values.items() if f != "num_seeds"}
        print(*sweeps.train_commands(settings, config.resolve(base), file, given), sep="\n")
    else:
        _execute(settings, path, asked, args)


def _swept(args: Flags) -> tuple[Any, list[dict[str, Any]]]:
    """The config that is varied, and the overrides."""
    from vae_jax import config, grids, sweeps

    if args.config is None:
        raise UserError("--config=FILE is needed, such as --config=experiments/digits.py")
    listed = sweeps.listed(args["config"].config_filename)
    base = config.resolve(args.config)
    base.num_seeds = args.num_seeds or base.num_seeds
    grid, zipped = list(args.grid), list(args.zip)
    if zipped == [""]:
        grid, zipped = [], grid
    drawn = {"num_random": args.random, "seed": args.random_seed}
    return base, grids.combine(grid, zipped, listed, **drawn)


def _execute(settings: Any, path: Path, asked: dict[str, Any], args: Flags) -> None:
    from vae_jax import comparisons, directories, execution, sweeps, tables

    directories.make_directory(path)
    with directories.locked(path):
        sweeps.save_plan(settings, path, evaluation=asked, random=args.random)
        print(sweeps.totals(settings, asked))
        left, failed = sweeps.units(settings, asked, args.num_workers), None
        try:
            execution.execute(left, args.num_workers, {s.name: s.job for s in settings})
        except RunsFailedError as error:  # said last, so that the table does not hide it
            failed = error
        print(tables.terminal(comparisons.compare(path, asked["split"])))
        print(f"next: vae-jax report --workdir={path}")
    if failed:
        raise failed


def report(args: Flags, rest: Sequence[str]) -> None:
    """One self-contained report.html of a run, or of many: then with tables that compare them."""
    from vae_jax import comparisons, directories, reports, sweeps, tables

    path = Path(_workdir(args))
    single = (path / "config.json").exists()
    if single or not (directories.members(path) or sweeps.read_plan(path)["settings"]):
        print(reports.report(path))
        return
    found = comparisons.compare(path, args.split, args.metric, args.baseline, args.confidence)
    print(tables.terminal(found))
    print(*reports.report_many(found, path), sep="\n")


def compare_kl(args: Flags, rest: Sequence[str]) -> None:
    """KL(q || p) in closed form against sampled estimators, of two distributions or of a run."""
    flags.require_one_comparison(args)
    _use_device(args.device)
    if args.workdir:
        _compare_run(args)
    else:
        _compare_pair(args)


def _compare_pair(args: Flags) -> None:
    from vae_jax import directories
    from vae_jax.kl_comparison import named, tables, values

    q, p = named.pair(args.q, args.p)
    directories.make_directory(output := Path(args.output), "output")
    options = flags.given(max_samples=args.max_samples, repetitions=args.num_repetitions)
    found = values.compare(q, p, names=(args.q, args.p), seed=args.seed, **options)
    print(tables.terminal(found), "", *tables.save(found, output), sep="\n")


def _compare_run(args: Flags) -> None:
    from vae_jax.kl_comparison import compare_runs, run_tables

    path = Path(args.workdir)
    options = flags.given(num_samples=args.max_samples, repetitions=args.num_repetitions)
    results = compare_runs.compare_run(path, split=args.split, seed=args.seed, **options)
    print(run_tables.table(results))
    print(path / "results.json", *sorted((path / "figures").glob("compare_kl_*.png")), sep="\n")


def list_components(args: Flags, rest: Sequence[str]) -> None:
    """The components there are: names, signatures, what they are."""
    for family in rest or components.FAMILIES:
        if family not in components.FAMILIES:
            raise unknown("family", family, components.FAMILIES)
        print(f"{family}:")
        for name in components.names(family):
            function = components.find(family, name)
            about, paper = flags.summary(function), flags.reference(function)
            more = f"\n      [{paper}]" if paper and paper not in about else ""
            print(f"  {components.resolve(family, name)}\n      {about}{more}")


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
    "sweep": sweep,
    "report": report,
    "compare-kl": compare_kl,
    "list": list_components,
    "data": data,
}


def _workdir(args: Flags) -> str:
    if not args.workdir:
        raise UserError("--workdir=DIR is needed")
    return args.workdir


def _use_device(device: str) -> None:
    from vae_jax import caches, passes

    caches.keep_compiled_programs()
    passes.use_device(device)


def _usage() -> str:
    lines = [f"  {name:10} {flags.summary(function)}" for name, function in COMMANDS.items()]
    return "\n".join(["usage: vae-jax COMMAND [--flags], --help for each", "", *lines])


def main(argv: Sequence[str]) -> int:
    """Runs a command line and returns its exit status."""
    arguments = list(argv[1:])
    if not arguments or arguments[0] in ("--help", "-h", "help"):
        print(_usage())
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
        return _fail(debug, str(stop) or "stopped", 128 + getattr(stop, "signum", signal.SIGINT))
    except BrokenPipeError:  # somebody has read enough, as `| head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        return _fail(debug, _on_one_line(error), 1)
    return 0


def _run_command(command: str, argv: Sequence[str]) -> None:
    if command not in COMMANDS:
        raise unknown("command", command, COMMANDS)
    values = flags.define(command, argv)
    rest = flags.parse(values, argv)
    if values.help:
        print(flags.help_text(command, flags.summary(COMMANDS[command]), values))
        return
    if rest and command not in ("list", "data"):
        raise UserError(f"unexpected argument {rest[0]!r}: flags are written --name=value")
    COMMANDS[command](values, rest)


def _on_one_line(error: Exception) -> str:
    return " ".join(str(error).split())


def _fail(debug: bool, message: str, status: int) -> int:
    if debug:
        raise
    print(f"vae-jax: {message}", file=sys.stderr)
    return status


def run() -> None:
    """The entry point: quiet libraries, our messages as they are."""
    sys.path.insert(0, "")  # a component or an experiment of one's own, as with python -m
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    absl_logging.set_verbosity("error")
    logging.basicConfig(format="%(message)s", level=logging.WARNING, force=True)
    logging.getLogger("vae_jax").setLevel(logging.INFO)
    sys.exit(main(sys.argv))
