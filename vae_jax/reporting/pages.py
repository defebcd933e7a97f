"""`report.html`, of a run or of a comparison of many: one file that needs no other."""

import base64
import json
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from vae_jax import config, plots
from vae_jax.plots import save_figures
from vae_jax.reporting import tables
from vae_jax.reporting.sweep_plots import figures
from vae_jax.runs import directory
from vae_jax.runs.directory import read_metrics
from vae_jax.sweeps.compare import Comparison
from vae_jax.sweeps.plan import FIXED


def report(workdir: str | Path) -> Path:
    """Writes `report.html` from what the run directory holds, and returns its path.

    Raises:
        UserError: if there is no run.
    """
    workdir = Path(workdir)
    cfg = config.stored(workdir / "config.json")
    results = directory.read_splits(workdir)
    save_figures(_made_here(read_metrics(workdir), results), workdir)
    return _write(
        workdir,
        "report.html.jinja",
        config=cfg.to_dict(),
        results=results,
        compared=directory.read_results(workdir).get(directory.COMPARISON),
        environment=_environment(workdir),
        captions=CAPTIONS,
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
    made = figures(comparison)
    for stale in SWEEP_CAPTIONS.keys() - made.keys():
        (workdir / "figures" / f"{stale}.png").unlink(missing_ok=True)
    save_figures(made, workdir)
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
    paths = [p for found in directory.run_folders(workdir).values() for p in found.values()]
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
        "captions": SWEEP_CAPTIONS,
    }


def _means(run: Any) -> dict[str, float]:
    return {name: number["mean"] for name, number in run.results.get("numbers", {}).items()}


def _over_seeds(row: Any, metrics: list[str]) -> list[float | None]:
    done = [_means(run) for run in row.runs if run.state == "done"]
    found = [[means[name] for means in done if name in means] for name in metrics]
    return [float(np.mean(values)) if values else None for values in found]


def _shared(configs: list[Any]) -> dict[str, Any]:
    """The fields that have one value in all configs, seeds apart."""
    fields = configs[0] if configs else ()
    names = [field for field in fields if field not in FIXED]
    same = [field for field in names if len({str(c[field]) for c in configs}) == 1]
    return {field: configs[0][field] for field in same}


SWEEP_CAPTIONS = {
    "intervals": "Left, the settings' means with two standard errors: over seeds, on these test "
    "examples, and over test examples, for these models. Right, the paired differences to the "
    "baseline.",
    "curves": "Learning curves: mean over the seeds that are done, with a band of one standard "
    "error. Each objective has its own bound: those of different objectives do not compare.",
    "heat_map": "The mean for each pair of values.",
    "random_search": "Each setting that was drawn, with its standard error over seeds. The best of "
    "many, chosen on this split, owes part of its mean to chance.",
}
CAPTIONS = {
    "curves": "Training. Left, the bound; right, its two terms.",
    "bounds": "Bounds on log p(x) from k samples; errors over examples, the same for all k.",
    "samples": "Test data, and what the model makes of draws from its prior.",
    "reconstructions": "Test examples, and the decoder's mean and a draw for one z ~ q(z|x).",
    "interpolations": "Decoder means along straight lines between encodings of test examples.",
    "aggregated_posterior": "Draws from q(z|x) of the test examples over the prior's density.",
    "manifold": "Decoder means over the latent plane.",
    "compare_kl_values": "The KL of each example: sampled minus what it is held against, and the "
    "z-scores of the differences.",
    "compare_kl_error": "Error of the sampled KL by the number of draws: of one example, and of "
    "the mean over examples, beside the mean ELBO's, from the choice of examples.",
    "compare_kl_gradients": "Variance of the ELBO's gradient, summed over parameters, by how its "
    "KL is had: over draws of z, and over the choice of the batch.",
}


def _made_here(records: list[dict[str, Any]], results: dict[str, Any]) -> dict[str, Figure]:
    figures = {"curves": plots.curves(records)} if any("bound" in r for r in records) else {}
    if "test" in results:
        figures["bounds"] = plots.bounds(results["test"]["numbers"])
    return figures


def _encoded(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()
