"""The runs under one roof -> one row a setting: mean, errors, paired difference, what failed."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from ml_collections import ConfigDict

from vae_jax import components, config, evaluation, runs, sweeps
from vae_jax.errors import UserError, unknown
from vae_jax.logs import read_metrics
from vae_jax.statistics import Difference, Estimate, difference, estimate


class Ran(NamedTuple):
    """One run as its directory tells it."""

    seed: int
    state: str  # done, diverged, failed, died, or what is still missing
    message: str
    results: Mapping[str, Any]  # of the split; empty if not evaluated
    values: np.ndarray | None  # [examples], the metric
    seconds: float  # of training
    curve: np.ndarray  # [points, 2], epoch and validation bound (training's where none is held out)


class Row(NamedTuple):
    """One setting."""

    name: str
    fields: Mapping[str, str]  # what varies, and its value here
    cfg: ConfigDict | None  # None if no run was begun
    runs: Sequence[Ran]
    estimate: Estimate | None
    difference: Difference | None
    remark: str  # why a number is missing, or what is special about it
    num_parameters: int | None

    @property
    def good(self) -> list[Ran]:
        """The runs that gave the metric."""
        return [run for run in self.runs if run.values is not None]

    @property
    def seconds(self) -> float | None:
        """Of training, mean over the runs that were trained."""
        return float(np.mean([run.seconds for run in self.good])) if self.good else None


class Comparison(NamedTuple):
    """What a report of many runs is made from."""

    title: str
    metric: str
    unit: str
    split: str
    rows: Sequence[Row]
    baseline: str  # a row's name
    confidence: float
    comparisons: int  # differences that the intervals are corrected for
    plan: Mapping[str, Any]

    @property
    def fields(self) -> list[str]:
        """What varies."""
        return list(self.rows[0].fields)


def compare(
    workdir: Path,
    split: str = "test",
    metric: str = "log_p",
    baseline: str = "",
    confidence: float = 0.95,
) -> Comparison:
    """Compares the settings in a directory of many runs.

    Args:
        workdir: what `sweep`, or `train` with several seeds, left.
        split: where the metric was evaluated.
        metric: a name in `results.json`.
        baseline: a setting's directory, or `field=value, ...` that holds for one setting alone;
            the first if empty.
        confidence: of all intervals together.

    Raises:
        UserError: if there are no runs, or no such setting or metric.
    """
    members, plan = runs.members(workdir), sweeps.read_plan(workdir)
    planned = plan["settings"]
    names = [*planned, *(name for name in members if name not in planned)]
    if not names:
        raise UserError(f"{workdir} holds no runs")
    bare = [_row(n, members.get(n, {}), planned.get(n, {}), split, metric) for n in names]
    rows = _with_fields(bare, planned)
    chosen = _find(rows, baseline)
    units = [r.results["numbers"][metric]["unit"] for row in rows for r in row.good]
    if not units:
        _require_metric(rows, split, metric)
    why = {row.name: _incomparable(row, chosen) for row in rows}
    count = sum(not reason for reason in why.values())
    compared = [_compared(row, chosen, why[row.name], confidence, count) for row in rows]
    title, unit = workdir.resolve().name, (units or [""])[0]
    return Comparison(title, metric, unit, split, compared, chosen.name, confidence, count, plan)


def _row(
    name: str, paths: Mapping[int, Path], planned: Mapping[str, Any], split: str, metric: str
) -> Row:
    seeds = sorted({*paths, *planned.get("seeds", [])})
    found = [_ran(seed, paths.get(seed), split, metric) for seed in seeds]
    first = next(iter(paths.values()), None)
    cfg = config.read(first / "config.json") if first else None
    values = [run.values for run in found if run.values is not None]
    sizes = {len(v) for v in values}
    mean = estimate(np.stack(values)) if len(sizes) == 1 else None
    counts = {run.results.get("num_parameters") for run in found} - {None}
    count = planned.get("num_parameters") or next(iter(counts), None)
    return Row(name, planned.get("overrides", {}), cfg, found, mean, None, _remark(found), count)


def _ran(seed: int, path: Path | None, split: str, metric: str) -> Ran:
    nothing = np.zeros((0, 2))
    if path is None:
        return Ran(seed, "not begun", "", {}, None, 0.0, nothing)
    results = evaluation.read_results(path).get(split, {})
    arrays = path / "per_example" / f"{split}.npz"
    values = None
    if metric in results.get("numbers", {}) and arrays.exists():
        with np.load(arrays) as stored:
            values = stored[metric]
    records = read_metrics(path)
    seconds = sum(r.get("seconds", 0.0) for r in records)
    failure = runs.failure(path) or {"kind": "done" if results else "unfinished", "message": ""}
    return Ran(seed, failure["kind"], failure["message"], results, values, seconds, _curve(records))


def _curve(records: Sequence[Mapping[str, Any]]) -> np.ndarray:
    for name in ("validation_bound", "bound"):
        points = [(r["epoch"], r[name]) for r in records if name in r]
        if points:
            return np.array(points)
    return np.zeros((0, 2))


def _remark(found: Sequence[Ran]) -> str:
    """What happened to the runs that are not done."""
    kinds = [run.state for run in found if run.state != "done"]
    return ", ".join(f"{kinds.count(kind)} {kind}" for kind in dict.fromkeys(kinds))


def _with_fields(rows: Sequence[Row], planned: Mapping[str, Any]) -> list[Row]:
    """The rows with a value for each field that varies, from the overrides or from the config."""
    fields = list(dict.fromkeys(f for s in planned.values() for f in s["overrides"]))
    known = [row.cfg for row in rows if row.cfg]
    if not planned and known:
        names = [f for f in known[0] if f not in sweeps.FIXED]
        fields = [f for f in names if len({str(cfg[f]) for cfg in known}) > 1]
    return [
        row._replace(fields={f: str(row.fields.get(f, _looked_up(row.cfg, f))) for f in fields})
        for row in rows
    ]


def _looked_up(cfg: ConfigDict | None, field: str) -> str:
    """The value of a field, or of an argument of a part, in a config; empty if it has none."""
    name, *path = field.split(".")
    if cfg is None or name not in cfg:
        return ""
    value = cfg[name]
    for argument in path:
        call = value if isinstance(value, components.Call) else components.parse(value)
        value = call.arguments.get(argument, "")
    return str(value)


def _find(rows: Sequence[Row], text: str) -> Row:
    """The row that a directory's name or `field=value, ...` means; the first for no text."""
    if not text:
        return rows[0]
    wanted = {part.strip() for part in text.split(", ")}
    exact = [row for row in rows if row.name == text]
    held = [r for r in rows if wanted <= {f"{field}={value}" for field, value in r.fields.items()}]
    found = exact or held
    if not found:
        raise unknown("setting", text, [row.name for row in rows])
    if len(found) > 1:
        names = ", ".join(row.name for row in found)
        raise UserError(f"--baseline={text} is said of {len(found)} settings: {names}")
    return found[0]


def _require_metric(rows: Sequence[Row], split: str, metric: str) -> None:
    known = sorted({n for row in rows for r in row.runs for n in r.results.get("numbers", {})})
    if known:
        raise unknown(f"metric of split {split!r}", metric, known)


def _incomparable(row: Row, baseline: Row) -> str:
    """Why a setting has no difference to the baseline; empty if it has one."""
    if row.name == baseline.name:
        return "baseline"
    if not row.good or not baseline.good or row.cfg is None or baseline.cfg is None:
        return "no results" if baseline.good else "the baseline has no results"
    if row.cfg.data != baseline.cfg.data:
        return "other data than the baseline's"
    kinds = {run.results.get("probability") for r in (row, baseline) for run in r.good}
    if len(kinds) > 1:
        return "a density and a probability do not compare"
    if any(run.results.get("warning") for r in (row, baseline) for run in r.good):
        return "no log-likelihood: data outside the support"
    draws = {run.results["num_importance_samples"] for r in (row, baseline) for run in r.good}
    if len(draws) > 1:
        return "evaluated with another number of draws"
    if not _pairs(row, baseline):
        return "no seed in common with the baseline"
    return ""


def _pairs(row: Row, baseline: Row) -> list[tuple[np.ndarray, np.ndarray]]:
    theirs = {run.seed: run.values for run in baseline.good}
    pairs = [(run.values, theirs[run.seed]) for run in row.good if run.seed in theirs]
    return [(a, b) for a, b in pairs if a is not None and b is not None]


def _compared(row: Row, baseline: Row, why: str, confidence: float, count: int) -> Row:
    if why:
        return row._replace(remark=", ".join(filter(None, [row.remark, why])))
    mine, theirs = map(np.stack, zip(*_pairs(row, baseline), strict=True))
    return row._replace(difference=difference(mine, theirs, confidence, count))


def numeric_leaves(row: Row) -> dict[str, float]:
    """The numbers in what varies: `{"optimizer.learning_rate": 0.001}`."""
    found: dict[str, float] = {}
    for field, text in row.fields.items():
        _collect(found, field, text)
    return found


def _collect(found: dict[str, float], field: str, value: Any) -> None:
    if isinstance(value, str):
        try:
            found[field] = float(value)
            return
        except ValueError:
            value = components.parse(value) if value else None
    if isinstance(value, int | float) and not isinstance(value, bool):
        found[field] = float(value)
    if isinstance(value, components.Call):
        for name, argument in value.arguments.items():
            if not isinstance(argument, str):
                _collect(found, f"{field}.{name}", argument)
