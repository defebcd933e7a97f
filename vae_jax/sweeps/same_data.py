"""Which of many runs were evaluated on the same examples."""

from collections.abc import Sequence

from vae_jax.batches.records import Record, same_examples, same_x
from vae_jax.config import components
from vae_jax.errors import counted
from vae_jax.sweeps.results import Row, RunResult


def have_same_data(row: Row, baseline: Row, of_levels: bool) -> bool:
    """Whether the runs of two settings were evaluated on the same examples, and the same x of them.

    Levels are the same in whatever units x has them. Results without records, of older runs, are of
    the same data if it has the same name.
    """
    known = [_record(run) for run in (*baseline.good, *row.good)]
    records = [record for record in known if record]
    if len(records) < len(known):
        return _name(row, of_levels) == _name(baseline, of_levels)
    same = all(same_examples(record, records[0]) for record in records)
    return same and (of_levels or all(same_x(record, records[0]) for record in records))


def _record(run: RunResult) -> Record | None:
    entries = run.results.get("data")
    return entries and Record.read(entries)


def _name(row: Row, of_levels: bool) -> str:
    """The name of the data, without what makes no difference to a number of levels."""
    call = components.parse(row.cfg.data if row.cfg else "")
    values = {"values": None} if of_levels else {}
    return str(call._replace(arguments=call.arguments | values))


def sharing(rows: Sequence[Row]) -> str:
    """A sentence that says which settings' runs share their evaluated examples; may be empty."""
    shared: dict[str, list[str]] = {}
    for row in rows:
        for record in filter(None, map(_record, row.good)):
            what = f"{counted(record.shape[0], 'example')}, sha256 {record.sha256[:8]}"
            shared.setdefault(what, []).append(row.label)
    if len(shared) < 2:
        return "".join(f"All runs share their data ({what})." for what in shared)
    each = [f"{' | '.join(dict.fromkeys(labels))} ({what})" for what, labels in shared.items()]
    return f"Runs of different data: {'; '.join(each)}."
