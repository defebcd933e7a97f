import sys

from vae_jax.cli.flags import Args, Flags, checkpoint, run_directory, use_device
from vae_jax.errors import UserError
from vae_jax.progress import begin

NAMES = "latents|reconstructions|samples|imputations|log_p"


def flags(flags: Flags) -> None:
    """Declares which run's arrays are taken away, which, and of which examples."""
    flags.workdir()
    flags.text("what", None, f"{NAMES}, one or several, also as log_p(num_samples=1000)")
    flags.text("split", "test", "train, validation or test")
    about = "other data than the run's, by name: npz(path='new.npz'); x is made as the run's x is"
    flags.text("data", None, about)
    flags.integer("num_samples", None, "how many samples; of log_p and imputations the draws of z")
    flags.text("given", None, "of samples of a conditional model: the class, or the number")
    flags.integer("num_examples", None, "the first of the split alone")
    flags.integer("batch_size", None, "examples at a time; changes no number; default: 100")
    flags.checkpoint()
    flags.output()
    flags.seed()
    flags.device()


def run(args: Args) -> None:
    """Latents, reconstructions, samples, imputations or log p(x) as arrays, into exports/.

    Arrays have a row for each example. They are .npz, and .csv where they have two dimensions.

    Examples:
        vae-jax export --workdir=runs/digits --what="latents|log_p(num_samples=1000)"
        vae-jax export --workdir=runs/digits --what=samples --num_samples=500
    """
    if not args.what:
        raise UserError(f"--what={NAMES} is needed: one of them, or several")
    path = run_directory(args)
    begin(f"export {args.what} of {path}")

    from vae_jax.evaluation import exports
    from vae_jax.runs import load_all
    from vae_jax.runs.data import require_condition
    from vae_jax.runs.outputs import place_of

    names = ("split", "given", "num_samples", "num_examples", "batch_size", "seed")
    wanted = exports.asked(args.what, {name: getattr(args, name) for name in names}, args.written)
    place = place_of(path, args.output, is_printed=False)
    require_condition(path, args.given)
    use_device(args.device)
    for folder, trained in load_all(place, checkpoint(args), args.data):
        for one in wanted:
            export = exports.computed(trained, one)
            print(exports.sentence(one, export, exports.save(export, folder)), flush=True)
        print(f"{trained.age.taken}: {trained.age.doubtful}", file=sys.stderr)
