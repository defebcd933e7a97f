from vae_jax.cli.flags import Args, Flags, run_directory
from vae_jax.progress import begin


def flags(flags: Flags) -> None:
    """Declares what is reported and, of many runs, what is compared."""
    flags.workdirs()
    about = "of many runs: what is compared, a name of results.json; default: log_p, or the first"
    flags.text("metric", None, about)
    flags.text("split", "test", "of many runs: where it is compared")
    flags.text("baseline", "", "of many runs: the setting compared with; default: the first")
    flags.number("confidence", 0.95, "of many runs: of the intervals", least=0.5, most=0.9999)
    flags.output()


def run(args: Args) -> None:
    """One self-contained report.html of a run, or of many: then with tables that compare them.

    Several --workdir, or a folder of runs that were trained one by one, make side_by_side.html,
    with paired differences to the first, and each run in a column where they are few; it goes into
    the first directory.

    Examples:
        vae-jax report --workdir=runs/digits
        vae-jax report --workdir=runs/digits --workdir=runs/other
        vae-jax report --workdir=runs/priors --baseline=prior=standard_normal
    """
    paths = [run_directory(Args(workdir=path)) for path in args.workdir]
    begin(f"report on {' and '.join(map(str, paths))}")

    from vae_jax.reporting import pages, side_by_side, tables
    from vae_jax.runs.outputs import place_of
    from vae_jax.sweeps.compare import compare, compare_runs
    from vae_jax.sweeps.gathered import is_sweep

    if len(paths) == 1 and (paths[0] / "config.json").exists():
        print(pages.report(place_of(paths[0], args.output, is_printed=False)))
        return
    if len(paths) == 1 and is_sweep(paths[0]):
        path = place_of(paths[0], args.output, is_printed=False)
        comparison = compare(path, args.split, args.metric, args.baseline, args.confidence)
        print(tables.terminal(comparison))
        print(*pages.report_many(comparison, path), sep="\n")
        return
    split = args.split if "split" in args.written else None
    comparison = compare_runs(paths, split, args.metric, args.baseline, args.confidence)
    print(tables.terminal(comparison))
    print(side_by_side.report(paths, args.output, comparison))
