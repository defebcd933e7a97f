"""`report.html`: config, curves, results and figures of a run in one file that needs no other."""

import base64
import json
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from vae_jax import config, evaluation, plots
from vae_jax.logs import read_metrics
from vae_jax.sampling import save_figures


def report(workdir: str | Path) -> Path:
    """Writes `report.html` from what the run directory holds, and returns its path.

    Raises:
        UserError: if there is no run.
    """
    import jinja2

    workdir = Path(workdir)
    cfg = config.read(workdir / "config.json")
    results = evaluation.read_results(workdir)
    save_figures(_made_here(read_metrics(workdir), results), workdir)
    environment = workdir / "environment.json"
    loader = jinja2.PackageLoader("vae_jax", ".")
    template = jinja2.Environment(loader=loader, autoescape=True).get_template("report.html.jinja")
    page = template.render(
        name=workdir.resolve().name,
        config=cfg.to_dict(),
        results=results,
        environment=json.loads(environment.read_text()) if environment.exists() else {},
        figures={path.stem: _encoded(path) for path in sorted(workdir.glob("figures/*.png"))},
        captions=CAPTIONS,
    )
    (workdir / "report.html").write_text(page)
    return workdir / "report.html"


CAPTIONS = {
    "curves": "Training. Left, the bound; right, its two terms.",
    "bounds": "Bounds on log p(x) from k samples; errors over examples, the same for all k.",
    "samples": "Test data, and what the model makes of draws from its prior.",
    "reconstructions": "Test examples, and the decoder's mean and a draw for one z ~ q(z|x).",
    "interpolations": "Decoder means along straight lines between encodings of test examples.",
    "aggregated_posterior": "Draws from q(z|x) of the test examples over the prior's density.",
    "manifold": "Decoder means over the latent plane.",
}


def _made_here(records: list[dict[str, Any]], results: dict[str, Any]) -> dict[str, Figure]:
    figures = {"curves": plots.curves(records)} if any("bound" in r for r in records) else {}
    if "test" in results:
        figures["bounds"] = plots.bounds(results["test"]["numbers"])
    return figures


def _encoded(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()
