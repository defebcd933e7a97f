"""`report.html`, of a run or of a comparison of many: one file that needs no other."""

import base64
import json
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from vae_jax import config, plots
from vae_jax.kl_comparison.models import figures as kl_figures
from vae_jax.plots import captions, save_figures
from vae_jax.reporting import samples, sweep_plots, tables
from vae_jax.runs import directory
from vae_jax.runs.directory import read_metrics
from vae_jax.runs.results import COMPARISON, read_results, read_splits
from vae_jax.sweeps.compare import Comparison
from vae_jax.sweeps.plan import FIXED

RUN_FIGURES = (plots.curves, plots.bounds, *samples.FIGURES, *kl_figures.FIGURES)


def report(workdir: str | Path) -> Path:
    """Writes `report.html` from what the run directory holds, and returns its path.

    Raises:
        UserError: if there is no run.
    """
    workdir = Path(workdir)
    cfg = config.stored(workdir / "config.json")
    results = read_splits(workdir)
    save_figures(_training_figures(read_metrics(workdir), results), workdir)
    return _write(
        workdir,
        "report.html.jinja",
        config=cfg.to_dict(),
        results=results,
        compared=read_results(workdir).get(COMPARISON),
        environment=_environment(workdir),
        captions=captions(RUN_FIGURES),
    )


def _write(workdir: Path, template: str, **values: Any) -> Path:
    """Renders a template, with the figures that the directory holds, into `report.html`."""
    import jinja2

    loader = jinja2.PackageLoader("vae_jax.reporting", ".")
    page = jinja2.Environment(loader=loader, autoescape=True).get_template(template)
    figures = {path.stem: _encoded(path) for path in sorted(workdir.glob("figures/*.png"))}
    text = page.render(name=workdir.resolve().name, figures=figures, **values)
    (workdir / "report.html").write_text(text)
    return workdir / "report.html"


def _environment(workdir: Path) -> dict[str, Any]:
    path = workdir / "environment.json"
    return json.loads(path.read_text()) if path.exists() else {}


def report_many(comparison: Comparison, workdir: str | Path) -> list[Path]:
    """Writes a comparison as `report.html` and as tables, and returns their paths."""
    workdir = Path(workdir)
    figures = sweep_plots.figures(comparison)
    for stale in captions(sweep_plots.FIGURES).keys() - figures.keys():
        (workdir / "figures" / f"{stale}.png").unlink(missing_ok=True)
    save_figures(figures, workdir)
    texts = {
        "table.csv": tables.csv_rows(comparison),
        "table.md": tables.markdown(comparison),
        "table.tex": tables.latex(comparison),
        "runs.csv": tables.csv_runs(comparison),
    }
    for name, text in texts.items():
        (workdir / name).write_text(text)
    page = _write(workdir, "sweep.html.jinja", **_sweep_values(comparison, workdir))
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
        "metrics": metrics,
        "all_numbers": [(row.label, _over_seeds(row, metrics)) for row in rows],
        "shared": _shared(known),
        "environment": _environment(paths[0]) if paths else {},
        "captions": captions(sweep_plots.FIGURES),
    }


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


def _training_figures(records: list[dict[str, Any]], results: dict[str, Any]) -> dict[str, Figure]:
    figures = {"curves": plots.curves(records)} if any("bound" in r for r in records) else {}
    numbers = results.get("test", {}).get("numbers", {})
    if any("k" in number for number in numbers.values()):
        figures["bounds"] = plots.bounds(numbers)
    return figures


def _encoded(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()
