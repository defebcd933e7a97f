from vae_jax import hosts
from vae_jax.cli.flags import (
    Args,
    Flags,
    checkpoint,
    evaluation_options,
    joined,
    run_directory,
    use_device,
    workdir,
)
from vae_jax.progress import begin


def flags(flags: Flags) -> None:
    """Declares which run is evaluated, and how."""
    flags.workdir()
    flags.checkpoint()
    about = "other data than the run's, by name: npz(path='new.npz'); x is made as the run's x is"
    flags.text("data", None, about)
    flags.evaluation()
    about = "the first of the split alone, for estimators that take long"
    flags.integer("num_examples", None, about)
    flags.output()
    flags.seed()
    flags.device()
    flags.hosts()


def run(args: Args) -> None:
    r"""Bounds, log p(x) and both KLs on a split, with standard errors, into results.json.

    Examples:
        vae-jax evaluate --workdir=runs/digits --num_importance_samples=1000 \
            --quadrature_points=300
        vae-jax evaluate --workdir=runs/digits --split=validation \
            --estimators='importance|surgery'
        vae-jax evaluate --workdir=runs/digits --num_examples=100 \
            --estimators='importance|ais(temperatures=1000, chains=16)|bdmc'
    """
    path = workdir(args)
    with joined(args):
        if any(path.glob("*")):  # else a mistake in another flag is said first
            of_data = f" of {args.data}" if args.data else ""
            begin(f"evaluate {path} on the {args.split} split{of_data}")
        _evaluate(args)


def _evaluate(args: Args) -> None:
    from vae_jax.evaluation.evaluate import evaluate
    from vae_jax.evaluation.numbers import table
    from vae_jax.runs import load_all
    from vae_jax.runs.outputs import place_of, write_refusal
    from vae_jax.runs.results import name_of, save_results

    options = evaluation_options(args) | {"seed": args.seed, "num_examples": args.num_examples}
    use_device(args.device)
    path, output = run_directory(args), args.output
    place = hosts.after_first(lambda: place_of(path, output, is_printed=True))
    for folder, trained in hosts.each(load_all(place, checkpoint(args), args.data)):
        results = evaluate(trained, **options)
        if not hosts.is_first():
            continue
        print(table(results))
        kept = "not saved" if write_refusal(folder) else str(folder / "results.json")
        of = name_of(args.split, results)
        counted = f"{results['num_examples']} examples of {of}" if results["is_all"] else of
        print(f"{counted}; {kept}")
        if not write_refusal(folder):
            save_results(folder, args.split, results)
