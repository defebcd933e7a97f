"""`report.html`, of a run or of a comparison of many: one file that needs no other."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from vae_jax.evaluation.warnings import of_given, probability
from vae_jax.places import named
from vae_jax.plots import save_figures
from vae_jax.reporting import readable, run_plots, sections, sweep_plots, tables, wide
from vae_jax.reporting.columns import Column, column, environment
from vae_jax.reporting.shown import Shown, stored
from vae_jax.runs import directory
from vae_jax.sweeps.compare import Comparison
from vae_jax.sweeps.plan import FIXED
from vae_jax.sweeps.results import Row

MOST_ROWS = 500  # of a table on a page: of more settings the best are shown


def report(workdir: str | Path) -> Path:
    """Writes `report.html` from what the run directory holds, and returns its path.

    Raises:
        UserError: if there is no run, or its results cannot be read.
    """
    workdir = named(workdir)
    page = column(workdir, lambda story: _saved(workdir, run_plots.drawings(story)))
    return write(workdir / "report.html", "report.html.jinja", **of_columns([page]))


def of_columns(columns: Sequence[Column]) -> dict[str, Any]:
    """The values of the template of runs."""
    return {
        "name": " | ".join(column.name for column in columns),
        "columns": columns,
        "said": partial(of_given, results={"given": all(c.given for c in columns)}),
        "sections": [s for s in sections.SECTIONS if any(c.has(s) for c in columns)],
    }


def _saved(workdir: Path, drawings: Mapping[str, run_plots.Drawing]) -> dict[str, Shown]:
    """Draws figures into `figures/`, where old ones of their names go, and reads all back."""
    for name in run_plots.NAMES:
        (workdir / "figures" / f"{name}.png").unlink(missing_ok=True)
    for name, drawing in drawings.items():
        save_figures({name: drawing.make(False)}, workdir, drawing.about)
    names = sections.picture_names()
    figures = {name: stored(workdir, name, drawings.get(name)) for name in names}
    return {name: figure for name, figure in figures.items() if figure}


def write(path: Path, template: str, **values: Any) -> Path:
    """Renders a template into a file."""
    import jinja2

    loader = jinja2.PackageLoader("vae_jax.reporting", ".")
    page = jinja2.Environment(loader=loader, autoescape=True).get_template(template)
    path.write_text(page.render(**values), encoding="utf-8")
    return path


def report_many(comparison: Comparison, workdir: str | Path) -> list[Path]:
    """Writes a comparison as `report.html` and as tables, and returns their paths."""
    workdir = named(workdir)
    folders = directory.run_folders(workdir).values()
    runs = [path for seeds in folders for path in seeds.values()]
    values = of_comparison(comparison, kept_figures(comparison, workdir), runs)
    name = workdir.resolve().name
    page = write(workdir / "report.html", "sweep.html.jinja", name=name, **values)
    return [page, *write_tables(comparison, workdir)]


def kept_figures(comparison: Comparison, workdir: Path) -> list[Shown]:
    """The figures of a comparison, written into `figures/`, where old ones of their names go."""
    figures = sweep_plots.figures(comparison)
    for stale in set(sweep_plots.NAMES) - figures.keys():
        (workdir / "figures" / f"{stale}.png").unlink(missing_ok=True)
    save_figures(figures, workdir)
    return [figure for name in sweep_plots.NAMES if (figure := stored(workdir, name))]


def write_tables(comparison: Comparison, workdir: Path) -> list[Path]:
    """Writes a comparison as tables, and returns their paths."""
    texts = {
        "table.csv": tables.csv_rows(comparison),
        "table.md": tables.markdown(comparison),
        "table.tex": tables.latex(comparison),
        "runs.csv": tables.csv_runs(comparison),
    }
    for name, text in texts.items():
        (workdir / name).write_text(text, encoding="utf-8")
    return [workdir / name for name in texts]


def of_comparison(
    comparison: Comparison, figures: Sequence[Shown], runs: Sequence[Path]
) -> dict[str, Any]:
    """The values of the template of many runs.

    Args:
        comparison: of them.
        figures: of the comparison.
        runs: their directories.
    """
    known = [row.cfg for row in comparison.rows if row.cfg]
    rows = comparison.best(comparison.rows, MOST_ROWS)
    cut = tables.left_out(comparison, rows)
    failures = [(r.label, run) for r in comparison.rows for run in r.runs if run.state != "done"]
    metrics = list(dict.fromkeys(n for r in rows for run in r.runs for n in _means(run)))
    return {
        "figures": figures,
        "legend": f"{tables.legend(comparison)} {cut}".rstrip(),
        "main": wide.of(tables.header(comparison), tables.cells(comparison, rows)),
        "differing": wide.of(*_differing(comparison, rows)),
        "split": comparison.split,
        "failures": failures[:MOST_ROWS],
        "more_failures": max(0, len(failures) - MOST_ROWS),
        "all_numbers": wide.of(
            ["setting", *(_named(comparison, metric) for metric in metrics)],
            [[row.label, *map(_shown, _over_seeds(row, metrics))] for row in rows],
        ),
        "shared": readable.entries(_shared(known)),
        "environment": environment(runs[0]) if runs else {},
        "about": readable.sweep(comparison, known),
    }


def _shown(mean: float | None) -> str:
    return "–" if mean is None else f"{mean:.3f}"


def _differing(comparison: Comparison, rows: Sequence[Row]) -> tuple[list[str], list[list[str]]]:
    """A table of the fields in which single runs differ; of a sweep the main table has them."""
    known = [row for row in comparison.rows if row.cfg]
    if comparison.fields or not known:
        return [], []
    same = _shared([row.cfg for row in known])
    fields = [field for field in known[0].cfg or () if field not in (*FIXED, *same)]
    shown = [row for row in rows if row.cfg]
    cells = [[row.label, *(str((row.cfg or {}).get(f, "")) for f in fields)] for row in shown]
    return (["run", *fields], cells) if fields else ([], [])


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
