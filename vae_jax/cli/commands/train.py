import shlex

from vae_jax.cli.flags import Args, Flags, require_writable, use_device, workdir
from vae_jax.errors import UserError
from vae_jax.progress import begin


def flags(flags: Flags) -> None:
    """Declares what is trained, and where."""
    flags.workdir()
    flags.config_file()


def run(args: Args) -> None:
    r"""Train what a config describes, or go on with a run that was stopped.

    Examples:
        vae-jax train --config=experiments/digits.py --workdir=runs/digits
        vae-jax train --config=experiments/digits.py --workdir=runs/mixture \
            --config.prior='mixture(components=5)'
        vae-jax train --workdir=runs/digits
    """
    path, cfg = workdir(args), args.config
    if cfg is None and not (path / "config.json").exists():
        raise UserError("--config=FILE is needed, such as --config=experiments/digits.py")
    require_writable(path)
    begin(f"train {args.config_file or 'the run'} in {path}")

    from vae_jax import config
    from vae_jax.training.fit import fit, fit_seeds

    cfg = config.read(path / "config.json") if cfg is None else config.resolve(cfg)
    use_device(cfg.device)
    following = f"next: vae-jax evaluate --workdir={shlex.quote(str(path))}"
    if cfg.num_seeds == 1:
        print(f"{fit(cfg, path, which='last').step} steps are done; {following}")
    else:
        print(f"{len(fit_seeds(cfg, path, which='last'))} runs are done; {following}")
