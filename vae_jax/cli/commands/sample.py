import sys

from vae_jax.cli.flags import Args, Flags, use_device, workdir


def flags(flags: Flags) -> None:
    """Declares which run is shown, and how many draws of it."""
    flags.workdir()
    flags.checkpoint()
    flags.integer("num_samples", 64, "draws from the prior shown")
    flags.seed()
    flags.device()


def run(args: Args) -> None:
    """Figures of samples, reconstructions, interpolations and a 2-D latent, into figures/.

    Examples:
        vae-jax sample --workdir=runs/digits
    """
    from vae_jax import plots
    from vae_jax.reporting.samples import sample
    from vae_jax.runs import load

    use_device(args.device)
    path = workdir(args)
    trained = load(path, args.checkpoint)
    figures = sample(trained, args.seed, args.num_samples)
    about = trained.age.entries | {"data": trained.data}
    print(*plots.save_figures(figures, path, about), sep="\n")
    print(f"{trained.which} checkpoint: {trained.age.doubtful}", file=sys.stderr)
