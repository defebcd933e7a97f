"""`report.html`, of a run or of a comparison of many: one file that needs no other."""

import base64
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vae_jax import config
from vae_jax.evaluation.warnings import of_the_data, probability, unit
from vae_jax.kl_comparison.models import figures as kl_figures
from vae_jax.places import named
from vae_jax.plots import read_figure, save_figures
from vae_jax.reporting import ages, readable, run_plots, samples, sweep_plots, tables
from vae_jax.runs import directory
from vae_jax.runs.age import Age, age_now
from vae_jax.runs.results import COMPARISON, read_results, read_splits
from vae_jax.sweeps.compare import Comparison
from vae_jax.sweeps.plan import FIXED

RUN_FIGURES = (*run_plots.NAMES, *samples.NAMES, *kl_figures.NAMES)
POINTS_PER_INCH = 86  # of the page, so that type has one size in all figures


def report(workdir: str | Path) -> Path:
    """Writes `report.html` from what the run directory holds, and returns its path.

    Raises:
        UserError: if there is no run.
    """
    workdir = named(workdir)
    cfg = config.stored(workdir / "config.json")
    results = read_splits(workdir)
    run_plots.save(workdir, results)
    compared = read_results(workdir).get(COMPARISON)
    return _write(
        workdir,
        "report.html.jinja",
        RUN_FIGURES,
        about=readable.run(cfg),
        state=_state(workdir),
        config=readable.entries(cfg.to_dict()),
        results={name: _shown(workdir, name, of) for name, of in results.items()},
        compared=compared,
        compared_note=ages.of_comparison(workdir, compared) if compared else "",
        environment=_environment(workdir),
    )


def _state(workdir: Path) -> str:
    """How a run has not come to its end; empty if it has."""
    if failure := directory.failure(workdir):
        return f"{failure['kind']}: {failure['message']}"
    now = age_now(workdir, "last")
    return now.unfinished if now else ""


def _shown(workdir: Path, split: str, results: Mapping[str, Any]) -> dict[str, Any]:
    """The results of a split with the units that are shown, their age and the doubts about them."""
    numbers = {n: {**of, "unit": unit(of, results)} for n, of in results["numbers"].items()}
    age, old = Age.read(results), ages.of_results(workdir, split, results)
    doubts = [*of_the_data(results), *filter(None, [old])]
    return {**results, "numbers": numbers, "age": str(age), "doubts": doubts}


def _write(workdir: Path, template: str, names: Sequence[str], **values: Any) -> Path:
    """Renders a template, with those figures that the directory holds, into `report.html`."""
    import jinja2

    loader = jinja2.PackageLoader("vae_jax.reporting", ".")
    page = jinja2.Environment(loader=loader, autoescape=True).get_template(template)
    figures = [_figure(workdir, name) for name in names if _path(workdir, name).exists()]
    text = page.render(name=workdir.resolve().name, figures=figures, **values)
    (workdir / "report.html").write_text(text, encoding="utf-8")
    return workdir / "report.html"


def _path(workdir: Path, name: str) -> Path:
    return workdir / "figures" / f"{name}.png"


def _figure(workdir: Path, name: str) -> dict[str, Any]:
    """A figure as the page shows it: encoded, its width, its caption and the doubts about it."""
    path = _path(workdir, name)
    caption, about, inches = read_figure(path)
    return {
        "name": name,
        "png": base64.b64encode(path.read_bytes()).decode(),
        "width": round(POINTS_PER_INCH * inches),
        "caption": caption,
        "note": ages.of_figure(workdir, name, about),
    }


def _environment(workdir: Path) -> dict[str, str]:
    path = workdir / "environment.json"
    return readable.entries(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else {}


def report_many(comparison: Comparison, workdir: str | Path) -> list[Path]:
    """Writes a comparison as `report.html` and as tables, and returns their paths."""
    workdir = named(workdir)
    figures = sweep_plots.figures(comparison)
    for stale in set(sweep_plots.NAMES) - figures.keys():
        (workdir / "figures" / f"{stale}.png").unlink(missing_ok=True)
    save_figures(figures, workdir)
    texts = {
        "table.csv": tables.csv_rows(comparison),
        "table.md": tables.markdown(comparison),
        "table.tex": tables.latex(comparison),
        "runs.csv": tables.csv_runs(comparison),
    }
    for name, text in texts.items():
        (workdir / name).write_text(text, encoding="utf-8")
    page = _write(
        workdir, "sweep.html.jinja", sweep_plots.NAMES, **_sweep_values(comparison, workdir)
    )
    return [page, *(workdir / name for name in texts)]


def _sweep_values(comparison: Comparison, workdir: Path) -> dict[str, Any]:
    rows, known = comparison.rows, [row.cfg for row in comparison.rows if row.cfg]
    metrics = list(dict.fromkeys(n for r in rows for run in r.runs for n in _means(run)))
    paths = [p for seeds in directory.run_folders(workdir).values() for p in seeds.values()]
    return {
        "legend": tables.legend(comparison),
        "header": tables.header(comparison),
        "cells": tables.cells(comparison),
        "fields": max(1, len(comparison.fields)),
        "split": comparison.split,
        "failures": [(r.label, run) for r in rows for run in r.runs if run.state != "done"],
        "metrics": [_named(comparison, metric) for metric in metrics],
        "all_numbers": [(row.label, _over_seeds(row, metrics)) for row in rows],
        "shared": readable.entries(_shared(known)),
        "environment": _environment(paths[0]) if paths else {},
        "about": readable.sweep(comparison, known),
    }


def _named(comparison: Comparison, metric: str) -> str:
    """`log_p (mass)`, the name of a number and what it is of in all runs that have it."""
    results = [run.results for row in comparison.rows for run in row.good]
    kinds = {probability(of["numbers"][metric], of) for of in results if metric in of["numbers"]}
    what = "density or mass" if len(kinds) > 1 else "".join(kinds)
    return f"{metric} ({what})" if what else metric


def _means(run: Any) -> dict[str, float]:
    return {name: number["mean"] for name, number in run.results.get("numbers", {}).items()}


def _over_seeds(row: Any, metrics: list[str]) -> list[float | None]:
    done = [_means(run) for run in row.runs if run.state == "done"]
    columns = [[means[name] for means in done if name in means] for name in metrics]
    return [float(np.mean(values)) if values else None for values in columns]


def _shared(configs: list[Any]) -> dict[str, Any]:
    """The fields, without those of `FIXED`, that have the same value in all configs."""
    fields = configs[0] if configs else ()
    names = [field for field in fields if field not in FIXED]
    same = [field for field in names if len({str(c[field]) for c in configs}) == 1]
    return {field: configs[0][field] for field in same}
