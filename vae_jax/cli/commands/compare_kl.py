from pathlib import Path

from vae_jax.cli.flags import Args, Flags, checkpoint, run_directory, use_device, without_none
from vae_jax.errors import UserError
from vae_jax.progress import begin

LEAST = 32  # repetitions of the study of a run


def flags(flags: Flags) -> None:
    """Declares either two distributions or a run, and how many draws."""
    about = "NAME(ARGUMENT=NUMBER, ...), as normal(loc=1.0, scale=0.5); a list is a vector"
    flags.text("q", None, about)
    flags.text("p", None, "likewise")
    flags.path("workdir", None, "in place of both: a run, of which q(z|x) and p(z) are compared")
    about = "where results.json, tables and figures go; default: runs/compare_kl, or into the run"
    flags.path("output", None, about)
    flags.checkpoint()
    flags.text("split", "test", "of a run: train, validation or test")
    about = "R, estimates for a mean and its spread; default: up to 1000, of a run 512, at least 32"
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
    if args.workdir and (args.num_repetitions or LEAST) < LEAST:
        wrong = f"--num_repetitions={args.num_repetitions}"
        raise UserError(f"{wrong}: of a run at least {LEAST} are needed for an error of each")
    for name in ("split", "checkpoint"):
        if name in args.written and not args.workdir:
            raise UserError(f"--{name} goes with --workdir")


def _compare_pair(args: Args) -> None:
    begin(f"compare estimators of KL({args.q} || {args.p})")

    from vae_jax.kl_comparison.pairs import named, tables
    from vae_jax.kl_comparison.pairs.compare import compare
    from vae_jax.runs.directory import make_directory

    use_device(args.device)
    q, p = named.pair(args.q, args.p)
    make_directory(output := Path(args.output or "runs/compare_kl"), "output")
    options = without_none(max_samples=args.max_samples, repetitions=args.num_repetitions)
    comparison = compare(q, p, names=(args.q, args.p), seed=args.seed, **options)
    print(tables.terminal(comparison), "", *tables.save(comparison, output), sep="\n")


def _compare_run(args: Args) -> None:
    path, which = run_directory(args), checkpoint(args)
    begin(f"compare the KL of {path}, closed form and sampled, on the {args.split} split")

    from vae_jax.kl_comparison.models import tables
    from vae_jax.kl_comparison.models.compare import compared, save
    from vae_jax.runs import load
    from vae_jax.runs.outputs import place_of, write_refusal

    path = place_of(path, args.output, is_printed=True)
    use_device(args.device)
    options = without_none(num_samples=args.max_samples, repetitions=args.num_repetitions)
    trained = load(path, which)
    results, values = compared(trained, split=args.split, seed=args.seed, **options)
    print(tables.table(results))
    print(*["not saved"] if write_refusal(path) else save(trained, results, values), sep="\n")
