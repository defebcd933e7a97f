from pathlib import Path

from vae_jax.cli.flags import Args, Flags, use_device, without_none
from vae_jax.errors import UserError


def flags(flags: Flags) -> None:
    """Declares either two distributions or a run, and how many draws."""
    about = "NAME(ARGUMENT=NUMBER, ...), as normal(loc=1.0, scale=0.5); a list is a vector"
    flags.text("q", None, about)
    flags.text("p", None, "likewise")
    flags.path("workdir", None, "in place of both: a run, of which q(z|x) and p(z) are compared")
    about = "of q and p: where results.json, tables and figure go"
    flags.path("output", "runs/compare_kl", about)
    flags.text("split", "test", "of a run: train, validation or test")
    about = "R, estimates for a mean and its spread; default: up to 1000, of a run 512"
    flags.integer("num_repetitions", None, about, least=2)
    about = "K, draws for an estimate: 1, 4, 16, ... up to this; default: 4096, of a run 1024"
    flags.integer("max_samples", None, about)
    flags.seed()
    flags.device()


def more_help() -> str:
    """The distributions that can be named."""
    import textwrap

    from vae_jax.kl_comparison.pairs.named import names

    listed = textwrap.fill(", ".join(names()), 100, initial_indent="  ", subsequent_indent="  ")
    return f"distributions, or a dotted path to one of your own:\n{listed}"


def run(args: Args) -> None:
    """KL(q || p) in closed form against sampled estimators, of two distributions or of a run.

    Examples:
        vae-jax compare-kl --q='normal(loc=1.0, scale=0.5)' --p='laplace(loc=0.0, scale=1.0)'
        vae-jax compare-kl --workdir=runs/digits
    """
    _require_one_comparison(args)
    use_device(args.device)
    if args.workdir:
        _compare_run(args)
    else:
        _compare_pair(args)


def _require_one_comparison(args: Args) -> None:
    """Raises UserError unless there are either q and p, or a run, and what goes with them."""
    if bool(args.workdir) == bool(args.q or args.p):
        message = "say either --q=DISTRIBUTION --p=DISTRIBUTION or --workdir=RUN"
        raise UserError(f"{message}, such as --q='normal(loc=1.0, scale=0.5)' --p=laplace")
    if not args.workdir and not (args.q and args.p):
        raise UserError(f"--{'p' if args.q else 'q'}=DISTRIBUTION is needed too")
    wrong = "output" if args.workdir else "split"
    if wrong in args.given:
        raise UserError(f"--{wrong} goes with {'--q and --p' if args.workdir else '--workdir'}")


def _compare_pair(args: Args) -> None:
    from vae_jax.kl_comparison.pairs import named, tables
    from vae_jax.kl_comparison.pairs.compare import compare
    from vae_jax.runs.directory import make_directory

    q, p = named.pair(args.q, args.p)
    make_directory(output := Path(args.output), "output")
    options = without_none(max_samples=args.max_samples, repetitions=args.num_repetitions)
    comparison = compare(q, p, names=(args.q, args.p), seed=args.seed, **options)
    print(tables.terminal(comparison), "", *tables.save(comparison, output), sep="\n")


def _compare_run(args: Args) -> None:
    from vae_jax.kl_comparison.models import tables
    from vae_jax.kl_comparison.models.compare import compare_run

    path = Path(args.workdir)
    options = without_none(num_samples=args.max_samples, repetitions=args.num_repetitions)
    results = compare_run(path, split=args.split, seed=args.seed, **options)
    print(tables.table(results))
    print(path / "results.json", *sorted((path / "figures").glob("compare_kl_*.png")), sep="\n")
