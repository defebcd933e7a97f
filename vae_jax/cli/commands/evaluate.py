from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vae_jax import hosts
from vae_jax.cli.flags import (
    Args,
    Flags,
    checkpoint,
    evaluation_options,
    run_directory,
    use_device,
    workdir,
)
from vae_jax.cli.joining import joined
from vae_jax.progress import begin

KEPT = "results.json"


def flags(flags: Flags) -> None:
    """Declares which run is evaluated, and how."""
    flags.workdir()
    flags.checkpoint()
    about = "other data than the run's, by name: npz(path='new.npz'); x is made as the run's x is"
    flags.text("data", None, about)
    flags.evaluation()
    about = "the first of the split alone, for estimators that take long"
    flags.integer("num_examples", None, about)
    flags.boolean("again", "compute numbers anew that are there already")
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
    from vae_jax.runs import load_all
    from vae_jax.runs.outputs import place_of, write_refusal
    from vae_jax.runs.results import save_results

    options = evaluation_options(args) | {"seed": args.seed, "num_examples": args.num_examples}
    use_device(args.device)
    path, output = run_directory(args), args.output
    place = hosts.after_first(lambda: place_of(path, output, is_printed=True))
    known = _known(args, place, options["estimators"])
    for folder, results in known.items():
        _print(results, args.split, f"{folder / KEPT}, which had them: --again computes them anew")
    for folder, trained in hosts.each(load_all(place, checkpoint(args), args.data, known)):
        results, is_saved = evaluate(trained, **options), not write_refusal(folder)
        if not hosts.is_first():
            continue
        _print(results, args.split, str(folder / KEPT) if is_saved else "not saved")
        if is_saved:
            save_results(folder, args.split, results)


def _known(args: Args, place: Path, estimators: Any) -> Mapping[Path, dict[str, Any]]:
    """The results that are there and would be computed again, by directory."""
    is_part = args.data is not None or args.num_examples is not None
    if args.again or is_part or hosts.are_several():
        return {}

    from vae_jax.runs import directory
    from vae_jax.runs.stored import known_results

    paths = directory.runs_in(place)
    return known_results(paths, args.split, estimators, checkpoint(args), args.seed)


def _print(results: dict[str, Any], split: str, where: str) -> None:
    """Prints the numbers, the examples that they are of, and where they are kept."""
    from vae_jax.evaluation.numbers import table
    from vae_jax.runs.results import name_of

    of = name_of(split, results)
    counted = f"{results['num_examples']} examples of {of}" if results["is_all"] else of
    print(table(results), f"{counted}; {where}", sep="\n", flush=True)
