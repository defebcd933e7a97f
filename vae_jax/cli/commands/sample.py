import sys

from vae_jax.cli.flags import Args, Flags, checkpoint, run_directory, use_device
from vae_jax.progress import begin


def flags(flags: Flags) -> None:
    """Declares which run is shown, and how many draws of it."""
    flags.workdir()
    flags.checkpoint()
    flags.integer("num_samples", 64, "draws from the prior shown")
    flags.integer("steps", None, "of a prior that denoises, fewer than it has (DDIM)")
    flags.text("given", None, "of a conditional model, the class, or the number, of all draws")
    flags.text("format", "png", "png, pdf, svg, several with commas; reports show png")
    flags.output()
    flags.seed()
    flags.device()


def run(args: Args) -> None:
    """Figures of samples, reconstructions, the latent space and ways through it, into figures/.

    Examples:
        vae-jax sample --workdir=runs/digits
        vae-jax sample --workdir=runs/digits --format=png,pdf,svg
    """
    path = run_directory(args)
    begin(f"draw figures of {path}")

    from vae_jax import plots
    from vae_jax.reporting.samples import sample
    from vae_jax.runs import load
    from vae_jax.runs.data import require_condition
    from vae_jax.runs.outputs import place_of

    formats = plots.formats(args.format)
    place = place_of(path, args.output, is_printed=False)
    require_condition(path, args.given)
    use_device(args.device)
    trained = load(place, checkpoint(args))
    seen = sample(trained, args.seed, args.num_samples, steps=args.steps, given=args.given)
    about = trained.age.entries | {"data": trained.data}
    print(*plots.save_figures(seen.figures, place, about, formats), *seen.sentences, sep="\n")
    print(f"{trained.age.taken}: {trained.age.doubtful}", file=sys.stderr)
