import shlex
from pathlib import Path
from typing import Any

from vae_jax import hosts
from vae_jax.cli.flags import Args, Flags, require_writable, use_device, workdir
from vae_jax.cli.joining import joined
from vae_jax.errors import UserError
from vae_jax.progress import begin


def flags(flags: Flags) -> None:
    """Declares what is trained, and where."""
    flags.workdir()
    flags.config_file(or_that_of_a_run=True)
    about = "RUN or RUN:STEP, whose parameters are taken where they fit, as config.init_from"
    flags.text("init_from", None, about)
    flags.hosts()


def run(args: Args) -> None:
    r"""Train what a config describes, or go on with a run that was stopped or that ended.

    Examples:
        vae-jax train --config=experiments/digits.py --workdir=runs/digits
        vae-jax train --config=experiments/digits.py --workdir=runs/mixture \
            --config.prior='mixture(components=5)' --init_from=runs/digits
        vae-jax train --workdir=runs/mixture --config.patience=5
    """
    path, cfg = workdir(args), args.config
    if cfg is None and not (path / "config.json").exists():
        needed = next((f"--config.{field} goes with" for field in args.overrides), "")
        example = "--config=FILE is needed, such as --config=experiments/digits.py"
        raise UserError(f"{needed} --config=FILE, or the run in --workdir" if needed else example)
    require_writable(path)
    with joined(args):
        begin(f"train {args.config_file or 'the run'} in {path}")
        _train(args, path)


def _train(args: Args, path: Path) -> None:
    from vae_jax.training.fit import fit, fit_seeds

    cfg = _config(args, path)
    use_device(cfg.device)
    following = f"next: vae-jax evaluate --workdir={shlex.quote(str(path))}"
    if cfg.num_seeds > 1:
        done = f"{len(fit_seeds(cfg, path, which='last'))} runs are done"
    else:
        trained = fit(cfg, path, which="last")
        done = "; ".join(filter(None, [f"{trained.step} steps are done", trained.age.stopped]))
    if hosts.is_first():
        print(f"{done}; {following}")


def _config(args: Args, path: Path) -> Any:
    """The config of the file, or that of the run in the directory, with the flags' changes."""
    from vae_jax import config

    cfg = args.config
    if cfg is None:
        cfg = config.read(path / "config.json")
        config.override_all(cfg, args.overrides)
    if args.init_from is not None:
        if "init_from" in args.overrides:
            raise UserError("--init_from is short for --config.init_from: give one of them")
        cfg.init_from = args.init_from
    return config.resolve(cfg)
