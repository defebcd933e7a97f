"""Which of many runs were evaluated on the same examples."""

from collections.abc import Sequence
from pathlib import Path

from vae_jax import config
from vae_jax.batches.records import Record, same_x
from vae_jax.config import components
from vae_jax.errors import counted
from vae_jax.runs import data as run_data
from vae_jax.runs.parts import Parts
from vae_jax.sweeps.plan import Setting
from vae_jax.sweeps.results import Row


def have_same_data(row: Row, baseline: Row, of_levels: bool) -> bool:
    """Whether the runs of two settings were evaluated on the same examples, and the same x of them.

    Levels are the same in whatever units x has them. Results without records, of older runs, are of
    the same data if it has the same name.
    """
    runs = [*baseline.good, *row.good]
    known = [run.results["data"] for run in runs if "data" in run.results]
    if len(known) < len(runs):
        return _name(row, of_levels) == _name(baseline, of_levels)
    same = all(Record.read(data) == Record.read(known[0]) for data in known)
    return same and (of_levels or all(same_x(data["x"], known[0]["x"]) for data in known))


def changed(settings: Sequence[Setting], workdir: Path) -> str:
    """A sentence about runs below a directory whose data has changed since they were trained.

    Args:
        settings: that are to be run there, with the data as it is now.
        workdir: the sweep's.
    """
    now = {setting.cfg.data: setting.job.parts for setting in settings if setting.job}
    changed: dict[str, int] = {}
    for path in sorted(workdir.glob("*/seed_*/config.json")) if now else ():
        name = config.stored(path).data
        if name in now and _has_changed(path.parent, now[name]):
            changed[name] = changed.get(name, 0) + 1
    return "; ".join(
        f"{components.brief('datasets', name)} has other examples than when {counted(n, 'run')} "
        "here had it: new runs are not compared with those"
        for name, n in changed.items()
    )


def _has_changed(workdir: Path, parts: Parts) -> bool:
    then = run_data.records(workdir)
    return any(parts.record(n) != then[n] for n in then.keys() & parts.dataset.splits.keys())


def _name(row: Row, of_levels: bool) -> str:
    """The name of the data, without what makes no difference to a number of levels."""
    call = components.parse(row.cfg.data if row.cfg else "")
    values = {"values": None} if of_levels else {}
    return str(call._replace(arguments=call.arguments | values))


def sharing(rows: Sequence[Row]) -> str:
    """A sentence that says which settings' runs share their evaluated examples; may be empty."""
    shared: dict[str, list[str]] = {}
    for row in rows:
        for data in [run.results["data"] for run in row.good if "data" in run.results]:
            what = f"{counted(data['shape'][0], 'example')}, sha256 {data['sha256'][:8]}"
            shared.setdefault(what, []).append(row.label)
    if len(shared) < 2:
        return "".join(f"All runs share their data ({what})." for what in shared)
    each = [f"{' | '.join(dict.fromkeys(labels))} ({what})" for what, labels in shared.items()]
    return f"Runs of different data: {'; '.join(each)}."
