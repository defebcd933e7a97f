import sys

from vae_jax.cli.flags import Args, Flags, checkpoint, run_directory, use_device
from vae_jax.progress import begin


def flags(flags: Flags) -> None:
    """Declares which run is shown, and how many draws of it."""
    flags.workdir()
    flags.checkpoint()
    flags.integer("num_samples", 64, "draws from the prior shown")
    flags.integer("steps", None, "of a prior that denoises, fewer than it has (DDIM)")
    flags.output()
    flags.seed()
    flags.device()


def run(args: Args) -> None:
    """Figures of samples, reconstructions, ways through the latent space, into figures/.

    Examples:
        vae-jax sample --workdir=runs/digits
    """
    path = run_directory(args)
    begin(f"draw figures of {path}")

    from vae_jax import plots
    from vae_jax.reporting.samples import sample
    from vae_jax.runs import load
    from vae_jax.runs.outputs import place_of

    place = place_of(path, args.output, is_printed=False)
    use_device(args.device)
    trained = load(place, checkpoint(args))
    figures = sample(trained, args.seed, args.num_samples, steps=args.steps)
    about = trained.age.entries | {"data": trained.data}
    print(*plots.save_figures(figures, place, about), sep="\n")
    print(f"{trained.age.taken}: {trained.age.doubtful}", file=sys.stderr)
