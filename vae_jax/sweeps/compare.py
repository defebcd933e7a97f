"""The settings of a directory of many runs, each compared with a baseline."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from vae_jax.config import components
from vae_jax.config.calls import parse_value
from vae_jax.errors import unknown
from vae_jax.evaluation.warnings import probability
from vae_jax.places import named
from vae_jax.runs import directory
from vae_jax.runs.results import read_splits
from vae_jax.sweeps.baselines import find_row
from vae_jax.sweeps.gathered import gathered, rows_of
from vae_jax.sweeps.plan import read_plan
from vae_jax.sweeps.results import Row, read_rows
from vae_jax.sweeps.same_data import have_same_data
from vae_jax.sweeps.statistics import difference

USUAL_METRIC, USUAL_SPLIT = "log_p", "test"


class Comparison(NamedTuple):
    """The settings of many runs, each with its difference to the baseline: a report's content."""

    metric: str
    unit: str
    method: str
    better: str | None  # more or less of it: "higher" or "lower"
    split: str
    rows: Sequence[Row]
    baseline: str  # a row's name
    confidence: float
    comparisons: int  # differences that the intervals are corrected for
    plan: Mapping[str, Any]

    @property
    def kinds(self) -> list[str]:
        """The kinds of the metric that there are among the settings: "density", "mass"."""
        return sorted({what for row in self.rows if (what := self.kind(row))})

    @property
    def shown_unit(self) -> str:
        """The unit of the metric as it is shown: `nats per example (mass)`."""
        what = " or ".join(self.kinds)
        return f"{self.unit} ({what})" if what else self.unit

    @property
    def probability(self) -> str:
        """The kind of p(x|z), "density" or "mass"; "density or mass" where runs differ."""
        every = {run.results.get("probability", "") for row in self.rows for run in row.good}
        return " or ".join(sorted(every - {""}))

    def kind(self, row: Row) -> str:
        """Whether the metric of a setting is a "density" or a "mass"; empty if it is neither."""
        results = [run.results for run in row.good]
        kinds = {probability(of["numbers"][self.metric], of) for of in results}
        return kinds.pop() if len(kinds) == 1 else ""

    @property
    def of_single_runs(self) -> bool:
        """Whether each row is a run that was trained alone."""
        return all(row.is_single for row in self.rows)

    def best(self, rows: Sequence[Row], most: int) -> list[Row]:
        """At most so many of the rows, in their order: the baseline, and the best means."""
        sign = -1 if self.better == "lower" else 1
        mean = {r.name: sign * r.estimate.mean if r.estimate else -np.inf for r in rows}
        ranked = sorted(rows, key=lambda r: (r.name != self.baseline, -mean[r.name]))
        chosen = {row.name for row in ranked[:most]}
        return [row for row in rows if row.name in chosen]

    @property
    def fields(self) -> list[str]:
        """The config fields that vary."""
        return list(self.rows[0].fields)


def compare(
    workdir: str | Path,
    split: str = "test",
    metric: str | None = None,
    baseline: str = "",
    confidence: float = 0.95,
) -> Comparison:
    """Compares the settings in a directory of many runs.

    Args:
        workdir: the directory that `sweep`, or `train` with several seeds, wrote.
        split: where the metric was evaluated.
        metric: a name in `results.json`; None is log_p, or else the first number that there is.
        baseline: a setting's directory, or `field=value, ...` that holds for one setting alone;
            the first if empty.
        confidence: of all intervals together.

    Raises:
        UserError: if there are no runs, or no such setting or metric.
    """
    workdir = named(workdir)
    folders = directory.run_folders(workdir).values()
    paths = [path for seeds in folders for path in seeds.values()]
    metric = metric or _usual_metric(paths, split)
    rows, plan = read_rows(workdir, split, metric), read_plan(workdir)
    return _compared_rows(rows, paths, plan, (split, metric, baseline, confidence))


def compare_runs(
    workdirs: Sequence[str | Path],
    split: str | None = None,
    metric: str | None = None,
    baseline: str = "",
    confidence: float = 0.95,
) -> Comparison:
    """Compares runs of `train`, each a row, as `compare` does settings; seeds of one are one row.

    Two single runs are paired over examples, whatever their seeds: then nothing is known of other
    seeds.

    Args:
        workdirs: directories of runs, of the seeds of one, or folders of such.
        split: where the metric was evaluated; None: test, or else the first that there is.
        metric: a name in `results.json`; None is log_p, or else the first number that there is.
        baseline: the name of a row; the first if empty.
        confidence: of all intervals together.

    Raises:
        UserError: as `compare` does, and for a run that is given twice.
    """
    settings = gathered([named(path) for path in workdirs])
    paths = [path for setting in settings for path in setting.paths.values()]
    split = split or _usual_split(paths)
    metric = metric or _usual_metric(paths, split)
    rows = rows_of(settings, split, metric)
    return _compared_rows(rows, paths, {}, (split, metric, baseline, confidence))


def _compared_rows(
    rows: Sequence[Row],
    paths: Sequence[Path],
    plan: Mapping[str, Any],
    asked: tuple[str, str, str, float],
) -> Comparison:
    """The comparison of rows with a baseline among them, of a split and a metric."""
    split, metric, baseline, confidence = asked
    chosen = find_row(rows, baseline)
    numbers = [run.results["numbers"][metric] for row in rows for run in row.good]
    if not numbers:
        _require_known(rows, paths, split, metric)
    why = {row.name: incomparable(row, chosen, metric) for row in rows}
    count = sum(not reason for reason in why.values())
    compared = [_compared(row, chosen, why[row.name], confidence, count) for row in rows]
    first = (numbers or [{}])[0]
    unit, method = first.get("unit", "nats per example"), first.get("method", "")
    of_metric = (metric, unit, method, first.get("better"))
    return Comparison(*of_metric, split, compared, chosen.name, confidence, count, plan)


def _usual_split(paths: Sequence[Path]) -> str:
    """The test split, unless runs were evaluated on others alone: then their first."""
    splits = [name for path in paths for name in read_splits(path)]
    return splits[0] if splits and USUAL_SPLIT not in splits else USUAL_SPLIT


def _usual_metric(paths: Sequence[Path], split: str) -> str:
    """log_p, unless runs were evaluated, and all without it: then their first number."""
    results = [read_splits(path).get(split, {}).get("numbers", {}) for path in paths]
    names = [name for numbers in results for name in numbers]
    return names[0] if names and USUAL_METRIC not in names else USUAL_METRIC


def _require_known(rows: Sequence[Row], paths: Sequence[Path], split: str, metric: str) -> None:
    """Raises UserError if runs were evaluated, but not on this split or without this metric."""
    known = sorted({n for row in rows for r in row.runs for n in r.results.get("numbers", {})})
    if metric in known:  # but of no run that counts
        return
    if known:
        raise unknown(f"metric of split {split!r}", metric, known)
    if splits := sorted({name for path in paths for name in read_splits(path)}):
        raise unknown("evaluated split", split, splits)


def incomparable(row: Row, baseline: Row, metric: str) -> str:
    """Why a setting has no difference to the baseline; empty if it has one."""
    if row.name == baseline.name:
        return "baseline"
    if row.estimate is None or baseline.estimate is None or not row.cfg or not baseline.cfg:
        return f"no {metric}" if baseline.estimate else f"the baseline has no {metric}"
    both = [run.results for r in (row, baseline) for run in r.good]
    of_levels = all(results["numbers"][metric].get("of_levels") for results in both)
    if not have_same_data(row, baseline, of_levels):
        return "other data than the baseline's"
    if any(not results.get("in_support", not results.get("warning")) for results in both):
        return "no log-likelihood: data outside the support"
    if not of_levels and any(results.get("few_values") for results in both):
        own_doubt = any(run.results.get("few_values") for run in row.good)
        return "not compared" if own_doubt else "the baseline is a density of few values"
    for name, reason in DIFFERENT.items():
        matters = name != "probability" or not of_levels
        if matters and len({results.get(name) for results in both}) > 1:
            return reason
    if len({results["numbers"][metric]["method"] for results in both}) > 1:
        return "evaluated otherwise than the baseline"
    return "" if _pairs(row, baseline) else "no seed in common with the baseline"


DIFFERENT = {
    "probability": "a density and a probability do not compare",
    "seed": "evaluated with another seed",
    "checkpoint": "the one's best checkpoint, the other's last",
    "num_examples": "another test set than the baseline's",
}


def _pairs(row: Row, baseline: Row) -> list[tuple[np.ndarray, np.ndarray]]:
    theirs = {run.seed: run.values for run in baseline.good}
    if row.is_single and baseline.is_single:
        theirs = {mine.seed: run.values for mine, run in zip(row.good, baseline.good, strict=True)}
    pairs = [(run.values, theirs[run.seed]) for run in row.good if run.seed in theirs]
    return [(a, b) for a, b in pairs if a is not None and b is not None]


def _compared(row: Row, baseline: Row, why: str, confidence: float, count: int) -> Row:
    if why:
        return row._replace(remark=", ".join(filter(None, [row.remark, why])))
    pairs = _pairs(row, baseline)
    mine, theirs = map(np.stack, zip(*pairs, strict=True))
    fewer = len(pairs) < max(len(row.good), len(baseline.good))
    note = f"difference over {len(pairs)} common seeds" if fewer else ""
    seeds = [r.good[0].seed for r in (row, baseline) if r.is_single]
    apart = f"seed {seeds[0]}, baseline seed {seeds[1]}" if len(set(seeds)) > 1 else ""
    remark = ", ".join(filter(None, [row.remark, note, apart]))
    return row._replace(difference=difference(mine, theirs, confidence, count), remark=remark)


def numeric_leaves(row: Row) -> dict[str, float]:
    """The numbers among the values that vary: `{"optimizer.learning_rate": 0.001}`."""
    leaves: dict[str, float] = {}
    for field, text in row.fields.items():
        _collect(leaves, field, text)
    return leaves


def _collect(leaves: dict[str, float], field: str, value: Any) -> None:
    """Adds the number that a value is, or the numbers in its arguments."""
    if isinstance(value, str):
        try:
            leaves[field] = float(value)
            return
        except ValueError:
            value = parse_value(value) if value else None
    if isinstance(value, int | float) and not isinstance(value, bool):
        leaves[field] = float(value)
    if isinstance(value, components.Call):
        for name, argument in value.arguments.items():
            if not isinstance(argument, str):
                _collect(leaves, f"{field}.{name}", argument)
