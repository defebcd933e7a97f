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

    Several --workdir make side_by_side.html, with each run in a column and paired differences to
    the first; it goes into the first directory.

    Examples:
        vae-jax report --workdir=runs/digits
        vae-jax report --workdir=runs/digits --workdir=runs/other
        vae-jax report --workdir=runs/priors --baseline=prior=standard_normal
    """
    paths = [run_directory(Args(workdir=path)) for path in args.workdir]
    begin(f"report on {' and '.join(map(str, paths))}")

    from vae_jax.reporting import pages, side_by_side, tables
    from vae_jax.runs import directory
    from vae_jax.runs.outputs import place_of
    from vae_jax.sweeps.compare import compare
    from vae_jax.sweeps.plan import read_plan

    if len(paths) > 1:
        print(side_by_side.report(paths, args.output))
        return
    path = place_of(paths[0], args.output, is_printed=False)
    single = (path / "config.json").exists()
    if single or not (directory.run_folders(path) or read_plan(path)["settings"]):
        print(pages.report(path))
        return
    comparison = compare(path, args.split, args.metric, args.baseline, args.confidence)
    print(tables.terminal(comparison))
    print(*pages.report_many(comparison, path), sep="\n")
