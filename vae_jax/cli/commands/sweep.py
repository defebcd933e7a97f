import os
import shlex
import sys
from pathlib import Path
from typing import Any

from vae_jax.cli.flags import Args, Flags, evaluation_options, require_writable, use_device, workdir
from vae_jax.errors import RunsFailedError, UserError
from vae_jax.progress import begin

GRID = (
    "FIELD=VALUE|VALUE|..., again for more fields, which multiply; FIELD may be an argument of "
    "a part, as prior.components; a VALUE may hold uniform(LOW, HIGH), log_uniform(LOW, HIGH) "
    "or integers(LOW, HIGH), to be drawn with --random=N"
)
BACKEND = "what trains the runs: here, processes(num_workers=N), ray, slurm or a dotted path"


def flags(flags: Flags) -> None:
    """Declares the fields that vary, the evaluation, and the backend."""
    flags.workdir()
    flags.config_file()
    flags.evaluation()
    flags.boolean("again", "evaluate anew runs that were evaluated so already")
    flags.texts("grid", GRID)
    flags.texts("zip", "as --grid, but these fields take their values together; a bare --zip: all")
    flags.integer("random", 0, "draw that many settings in place of all", least=0)
    flags.integer("random_seed", 0, "the seed of --random", least=0)
    flags.integer("num_seeds", None, "runs of each setting; default: config.num_seeds")
    flags.text("backend", "", BACKEND)
    flags.integer("num_workers", None, "N, short for --backend='processes(num_workers=N)'")
    flags.boolean("dry_run", "print what would run, and stop")
    flags.boolean("print_commands", "print a `vae-jax train` line for each run, and stop")


def run(args: Args) -> None:
    r"""Train and evaluate many settings, each with many seeds; runs that are done are skipped.

    Examples:
        vae-jax sweep --config=experiments/digits.py --workdir=runs/priors \
            --num_seeds=3 --grid='prior=standard_normal|mixture(components=5)'
    """
    if args.config is None:
        raise UserError("--config=FILE is needed, such as --config=experiments/digits.py")
    path = workdir(args)
    if not (args.dry_run or args.print_commands):
        require_writable(path)
    begin(f"plan a sweep of {args.config_file} in {path}")

    from vae_jax import config
    from vae_jax.sweeps import plan

    asked, backend = evaluation_options(args), _backend(args)
    if args.backend or args.num_workers:  # its processes may need an accelerator's memory, too
        os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    base, overrides = _varied(args)
    use_device(base.device)
    settings = plan.plan(base, overrides, path, asked, args.again)
    if args.random and len(settings) < len(overrides):
        draws = f"{len(overrides)} draws gave {len(settings)} different settings"
        print(draws, file=sys.stderr)
    if args.dry_run:
        print(plan.describe(settings))
    elif args.print_commands:
        given = {f: value for f, value in args.overrides.items() if f != "num_seeds"}
        lines = plan.train_commands(settings, config.resolve(base), args.config_file, given)
        print(*lines, sep="\n")
    else:
        _execute(settings, path, asked, backend, args)


def _backend(args: Args) -> Any:
    """The backend that `--backend` or `--num_workers` names.

    Raises:
        UserError: if both do, or there is no such backend, or it cannot work from here.
    """
    from vae_jax.config import components
    from vae_jax.config.extras import require_installed
    from vae_jax.sweeps.execute import require_there

    if args.backend and args.num_workers:
        raise UserError("--num_workers is short for a --backend: give one of them")
    short = f"processes(num_workers={args.num_workers})" if args.num_workers else "here"
    backend = components.build("sweeps.backends", args.backend or short)
    require_installed(backend)
    if not (args.dry_run or args.print_commands):
        require_there(backend)
    return backend


def _varied(args: Args) -> tuple[Any, list[dict[str, Any]]]:
    """The config that is varied, and the overrides."""
    from vae_jax import config
    from vae_jax.config.experiments import listed_overrides
    from vae_jax.sweeps import grids

    listed = listed_overrides(args.config_file)
    base = config.resolve(args.config)
    base.num_seeds = args.num_seeds or base.num_seeds
    grid, zipped = list(args.grid), list(args.zip)
    if zipped == [""]:
        grid, zipped = [], grid
    drawn = {"num_random": args.random, "seed": args.random_seed}
    return base, grids.combine(grid, zipped, listed, **drawn)


def _execute(settings: Any, path: Path, asked: dict[str, Any], backend: Any, args: Args) -> None:
    from vae_jax.reporting import tables
    from vae_jax.runs import directory
    from vae_jax.sweeps import plan, same_data
    from vae_jax.sweeps.compare import compare
    from vae_jax.sweeps.execute import execute

    directory.make_directory(path)
    with directory.locked(path):
        plan.save_plan(settings, path, evaluation=asked, random=args.random)
        print(plan.totals(settings))
        if remark := same_data.changed(settings, path):
            print(remark, file=sys.stderr)
        failed = None
        try:
            jobs = {setting.name: setting.job for setting in settings if setting.job}
            execute(plan.units(settings, asked, args.again), backend, jobs)
        except RunsFailedError as error:  # raised last, so that the table does not hide it
            failed = error
        try:
            print(tables.terminal(compare(path, asked["split"])))
            print(f"next: vae-jax report --workdir={shlex.quote(str(path))}")
        except UserError:  # no run has a number
            if not failed:
                raise
    if failed:
        raise failed
