from vae_jax.cli.flags import Args, Flags, evaluation_options, use_device, workdir


def flags(flags: Flags) -> None:
    """Declares which run is evaluated, and how."""
    flags.workdir()
    flags.checkpoint()
    about = "other data than the run's, by name: npz(path='new.npz'); x is made as the run's x is"
    flags.text("data", None, about)
    flags.evaluation()
    flags.seed()
    flags.device()


def run(args: Args) -> None:
    r"""Bounds, log p(x) and both KLs on a split, with standard errors, into results.json.

    Examples:
        vae-jax evaluate --workdir=runs/digits --num_importance_samples=1000 \
            --quadrature_points=300
        vae-jax evaluate --workdir=runs/digits --split=validation \
            --estimators='importance|surgery'
    """
    from vae_jax.evaluation.evaluate import evaluate
    from vae_jax.evaluation.numbers import table
    from vae_jax.runs import load_all
    from vae_jax.runs.results import save_results

    use_device(args.device)
    options = evaluation_options(args) | {"seed": args.seed}
    for path, trained in load_all(workdir(args), args.checkpoint, args.data):
        results = evaluate(trained, **options)
        name = save_results(path, args.split, results)
        print(table(results))
        print(f"{results['num_examples']} examples of {name}; {path / 'results.json'}")
