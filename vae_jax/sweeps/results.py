"""Many runs read back from their directories: one row a setting, with its runs' results."""

import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from ml_collections import ConfigDict

from vae_jax import config
from vae_jax.config import components
from vae_jax.errors import UserError
from vae_jax.progress import each
from vae_jax.runs import directory
from vae_jax.runs.age import Age, age_now, outdated
from vae_jax.runs.directory import read_metrics
from vae_jax.runs.results import read_splits
from vae_jax.sweeps.plan import FIXED, label, read_plan
from vae_jax.sweeps.statistics import Difference, SeedsEstimate, estimate


class RunResult(NamedTuple):
    """One run, read from its directory."""

    seed: int
    state: str  # done, diverged, failed, died, or what is still missing
    message: str
    results: Mapping[str, Any]  # of the split; empty if not evaluated
    values: np.ndarray | None  # [examples], the metric, of a run that is done
    seconds: float  # of training, without compilation
    curve: np.ndarray  # [points, 2], epoch and bound
    held_out: bool  # whether the curve's bound is on the validation split


class Row(NamedTuple):
    """One setting."""

    name: str
    fields: Mapping[str, str]  # the config fields that vary, and their values here
    cfg: ConfigDict | None  # None if no run was begun
    runs: Sequence[RunResult]
    estimate: SeedsEstimate | None
    difference: Difference | None
    remark: str  # why a number is missing, or what is special about it
    num_parameters: int | None
    is_single: bool = False  # a run that was trained alone, compared whatever its seed

    @property
    def label(self) -> str:
        """`prior=mixture(components=50), latent_dim=2`."""
        return label(dict(self.fields)) if self.fields else self.name

    @property
    def good(self) -> list[RunResult]:
        """The runs that gave the metric."""
        return [run for run in self.runs if run.values is not None]

    @property
    def seconds(self) -> float | None:
        """Of training, mean over the runs that gave the metric."""
        return float(np.mean([run.seconds for run in self.good])) if self.good else None


def read_rows(workdir: Path, split: str, metric: str) -> list[Row]:
    """A row for each setting that was planned or has runs, without differences.

    Raises:
        UserError: if there is none.
    """
    folders, planned = directory.run_folders(workdir), read_plan(workdir)["settings"]
    names = [*planned, *(name for name in folders if name not in planned)]
    if not names:
        raise UserError(f"{workdir} holds no runs")
    rows = [
        read_row(n, folders.get(n, {}), planned.get(n, {}), split, metric)
        for n in each(names, "setting", "read")
    ]
    return _with_fields(rows, planned)


def read_row(
    name: str, paths: Mapping[int, Path], planned: Mapping[str, Any], split: str, metric: str
) -> Row:
    """The row of a setting, without a difference.

    Args:
        name: of its directory.
        paths: seed -> run directory.
        planned: its entry in `sweep.json`; empty without one.
        split: where the metric was evaluated.
        metric: a name in `results.json`.
    """
    configs = {seed: config.stored(path / "config.json") for seed, path in paths.items()}
    cfg = next(iter(configs.values()), None)
    other = {s for s, c in configs.items() if cfg and config.identity(c) != config.identity(cfg)}
    seeds = sorted({*paths, *planned.get("seeds", [])})
    runs = [_read_run(seed, paths.get(seed), split, metric) for seed in seeds]
    runs = [
        run._replace(state="of another config", values=None) if run.seed in other else run
        for run in runs
    ]
    good = [run for run in runs if run.values is not None]
    values = [run.values for run in good if run.values is not None]
    alike = len({(len(v), _examples(r)) for v, r in zip(values, good, strict=True)}) == 1
    mean = estimate(np.stack(values)) if alike else None
    counts = {run.results.get("num_parameters") for run in runs} - {None}
    count = planned.get("num_parameters") or next(iter(counts), None)
    remark = _remark(runs, metric, alike or not values)
    return Row(name, planned.get("overrides", {}), cfg, runs, mean, None, remark, count)


def _examples(run: RunResult) -> str | None:
    """The hash of the examples of a run's results; None of those of older versions."""
    return run.results.get("data", {}).get("sha256")


def _read_run(seed: int, path: Path | None, split: str, metric: str) -> RunResult:
    if path is None:
        return RunResult(seed, "not begun", "", {}, None, 0.0, np.zeros((0, 2)), False)
    results = read_splits(path).get(split, {})
    state, message = _state(path, results)
    values = None
    if state == "done" and metric in results["numbers"]:
        mean = results["numbers"][metric]["mean"]
        values = _stored_values(path / "per_example" / f"{split}.npz", metric, mean)
        state = "done" if values is not None else "damaged"
    records = read_metrics(path)
    seconds = sum(r.get("seconds", 0.0) for r in records)
    return RunResult(seed, state, message, results, values, seconds, *_curve(records))


def _state(path: Path, results: Mapping[str, Any]) -> tuple[str, str]:
    """How a run ended, in a word, and why; one that diverged has no numbers that count."""
    failure = directory.failure(path)
    if failure and (failure["kind"] == "diverged" or not results):
        return failure["kind"], failure["message"]
    if not results:
        now = age_now(path, "last")
        return "not evaluated" if now and not now.left else "unfinished", ""
    age = Age.read(results)
    if since := outdated(path, age):
        return "trained on after its evaluation", f"evaluation {since}"
    early = not results.get("finished", True)
    return ("evaluated before its end", str(age or "")) if early else ("done", "")


def _stored_values(path: Path, metric: str, mean: float) -> np.ndarray | None:
    """A number of each example, or the only one that there is of all; None if damaged."""
    try:
        with np.load(path) as stored:
            values = stored[metric] if metric in stored else np.array([mean])
    except (OSError, ValueError, zipfile.BadZipFile):
        return None
    return values if values.ndim == 1 else np.array([mean])


def _curve(records: Sequence[Mapping[str, Any]]) -> tuple[np.ndarray, bool]:
    for name in ("validation_bound", "bound"):
        points = [(r["epoch"], r[name]) for r in records if name in r]
        if points:
            return np.array(points), name == "validation_bound"
    return np.zeros((0, 2)), False


def _remark(runs: Sequence[RunResult], metric: str, alike: bool) -> str:
    """Counts of the runs that did not give the metric, by state."""
    states = [run.state for run in runs if run.state != "done"]
    without = sum(run.state == "done" and run.values is None for run in runs)
    counts = [f"{states.count(state)} {state}" for state in dict.fromkeys(states)]
    counts += [f"{without} without {metric}"] if without else []
    if any(run.values is not None and run.results.get("few_values") for run in runs):
        counts.append("a density of data that takes few values")
    return ", ".join([*counts, *([] if alike else ["runs of different test sets"])])


def _with_fields(rows: Sequence[Row], planned: Mapping[str, Any]) -> list[Row]:
    """The rows with a value for each field that tells them apart, as asked or from the config."""
    known = [row.cfg for row in rows if row.cfg]
    names = [f for f in (known[0] if known else ()) if f not in FIXED]
    differing = [f for f in names if len({str(cfg[f]) for cfg in known}) > 1]
    fields = list(dict.fromkeys(f for s in planned.values() for f in s["overrides"]))
    covered = {field.partition(".")[0] for field in fields}
    fields += [f for f in differing if f not in covered]
    filled = [_filled(row, fields) for row in rows]
    if len({tuple(row.fields.values()) for row in filled}) < len(filled):
        fields += [f for f in differing if f not in fields]
        filled = [_filled(row, fields) for row in rows]
    return filled


def _filled(row: Row, fields: Sequence[str]) -> Row:
    values = {f: str(row.fields.get(f, _looked_up(row.cfg, f))) for f in fields}
    return row._replace(fields=values)


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
