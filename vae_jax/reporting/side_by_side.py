"""`side_by_side.html`: runs compared as sweeps compare settings; few of them also in columns."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from ml_collections import ConfigDict

from vae_jax import config
from vae_jax.evaluation.warnings import unit
from vae_jax.places import named
from vae_jax.progress import each
from vae_jax.reporting import pages, run_plots, sections, sweep_plots
from vae_jax.reporting.columns import Column, column
from vae_jax.reporting.entries import Amount, Entry
from vae_jax.reporting.shown import Shown, drawn, of_figure, stored
from vae_jax.reporting.summary import Story
from vae_jax.runs.directory import make_directory
from vae_jax.runs.outputs import place_of
from vae_jax.sweeps.compare import Comparison, compare_runs, incomparable
from vae_jax.sweeps.gathered import gathered
from vae_jax.sweeps.results import Row, RunResult
from vae_jax.sweeps.statistics import estimate

NAME = "side_by_side.html"
MOST_COLUMNS = 6  # runs: of more there are tables and figures alone


class Difference(NamedTuple):
    """A number of two runs, on the same examples."""

    name: str
    first: Amount
    other: Amount
    apart: Amount | None  # `other` minus `first`, paired over examples
    why: str  # there is no difference
    unit: str


class Differences(NamedTuple):
    """The numbers that a run and the first one both have of an entry."""

    examples: str
    first: str  # a run's name
    other: str
    why: str  # none compares, where all have one reason
    lines: Sequence[Difference]


def report(
    workdirs: Sequence[str | Path],
    output: str | Path | None = None,
    comparison: Comparison | None = None,
) -> Path:
    """Writes a page that compares runs, each in a column where they are few, and returns its path.

    Args:
        workdirs: directories of runs, of the seeds of one, or folders of such.
        output: where it goes; None: into the first of them.
        comparison: of these; None: what `compare_runs` gives.

    Raises:
        UserError: if there is no run, one is given twice, or the page cannot be written.
    """
    paths = [named(path) for path in workdirs]
    settings, place = gathered(paths), paths[0] if output is None else named(output)
    if output is None:
        place_of(place, None, is_printed=False)
    else:
        make_directory(place, "output")
    comparison = comparison or compare_runs(paths)
    runs = [path for setting in settings for path in setting.paths.values()]
    figures = [of_figure(name, f) for name, f in sweep_plots.figures(comparison).items()]
    values = pages.of_comparison(comparison, figures, runs)
    if len(runs) > MOST_COLUMNS or not comparison.of_single_runs:
        name = " | ".join(path.resolve().name for path in paths)
        return pages.write(place / NAME, "sweep.html.jinja", name=name, **values)
    columns = [column(path, partial(_figures, path)) for path in each(runs, "run", "draw")]
    columns = _distinct(columns, runs)
    values |= pages.of_columns(columns) | {"differences": differences(columns, runs)}
    return pages.write(place / NAME, "report.html.jinja", **values)


def _figures(workdir: Path, story: Story) -> Mapping[str, Shown]:
    """The figures of a run, those that reports draw in the width of a column."""
    figures = {n: drawn(workdir, n, d) for n, d in run_plots.drawings(story).items()}
    others = [name for name in sections.picture_names() if name not in run_plots.NAMES]
    kept = {name: figure for name in others if (figure := stored(workdir, name))}
    return figures | kept


def _distinct(columns: Sequence[Column], paths: Sequence[Path]) -> list[Column]:
    """The columns by the names of their directories, or by their paths where these are alike."""
    if len({column.name for column in columns}) == len(columns):
        return list(columns)
    return [c._replace(name=str(path)) for c, path in zip(columns, paths, strict=True)]


def differences(columns: Sequence[Column], paths: Sequence[Path]) -> list[Differences]:
    """The differences of each run to the first, by the examples that both were evaluated on."""
    configs = [config.stored(path / "config.json") for path in paths]
    first = columns[0]
    return [
        _differences(first.name, (mine, configs[0]), other.name, (theirs, cfg))
        for other, cfg in zip(columns[1:], configs[1:], strict=True)
        for mine in first.entries
        for theirs in other.entries
        if mine.name == theirs.name
    ]


Told = tuple[Entry, ConfigDict]


def _differences(first: str, mine: Told, other: str, theirs: Told) -> Differences:
    entry, later = mine[0], theirs[0]
    names = [name for name in entry.numbers if name in later.numbers]
    lines = [_difference(name, mine, theirs) for name in names]
    reasons = {line.why for line in lines}
    why = reasons.pop() if len(reasons) == 1 else ""
    return Differences(entry.examples, first, other, why, lines)


def _difference(name: str, mine: Told, theirs: Told) -> Difference:
    first, other = mine[0].amount(name), theirs[0].amount(name)
    row, baseline = _row("other", name, *theirs), _row("first", name, *mine)
    why = incomparable(row, baseline, name).replace("baseline", "first run")
    apart = None
    if not why:
        values = [r.good[0].values for r in (row, baseline)]
        paired = estimate(np.asarray(values[0])[None] - np.asarray(values[1])[None])
        apart = Amount(paired.mean, paired.examples_error)
    return Difference(name, first, other, apart, why, unit(mine[0].numbers[name], mine[0].results))


def _row(label: str, name: str, entry: Entry, cfg: ConfigDict) -> Row:
    """A run as sweeps compare settings: a row of one."""
    values = entry.arrays.get(name, np.zeros((0, 0)))
    values = values if values.ndim == 1 else np.array([entry.amount(name).mean])
    run = RunResult(0, "done", "", entry.results, values, 0.0, np.zeros((0, 2)), False)
    return Row(label, {}, cfg, [run], estimate(values[None]), None, "", None)
