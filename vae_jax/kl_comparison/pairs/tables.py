"""A comparison as tables for a terminal and in Markdown, and as JSON."""

import math
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tabulate import tabulate

from vae_jax.kl_comparison.pairs.cells import Cell
from vae_jax.kl_comparison.pairs.compare import EstimatorRow, KLComparison
from vae_jax.kl_comparison.pairs.reference import Reference
from vae_jax.kl_comparison.pairs.verdicts import FALSE_ALARMS, of_quadrature, plus_minus
from vae_jax.runs.directory import make_directory, write_json

NUMBERS = ["mean", "bias ± error", "std.", "reported", "coverage", "µs", "efficiency"]
WIDTH = 108
PIXELS = 680  # of the figure's width


def terminal(comparison: KLComparison) -> str:
    """The pair, its truth, each estimator at its largest K, its spread by K, and verdicts."""
    sections = (truth, approximations, summary, spread, verdicts, legend)
    return "\n\n".join(filter(None, (section(comparison) for section in sections)))


def markdown(comparison: KLComparison) -> str:
    """The same for reading elsewhere, and a table of every K for each estimator."""
    listed = "\n".join(f"- {line}" for line in verdicts(comparison, width=0).splitlines())
    each = [f"## {row.name}\n\n{every_k(row)}" for row in comparison.rows if row.cells]
    parts = [
        f"# {_pair(comparison)}",
        truth(comparison, width=0),
        approximations(comparison, "github"),
        summary(comparison, "github"),
        listed,
        "## Standard deviation of an estimate",
        spread(comparison, "github"),
        *each,
        legend(comparison, width=0),
    ]
    return "\n\n".join(filter(None, parts)) + "\n"


def _pair(comparison: KLComparison) -> str:
    return f"KL(q || p), q = {comparison.q}, p = {comparison.p}"


def truth(comparison: KLComparison, width: int = WIDTH) -> str:
    """The KL, and how it was computed."""
    lines = [f"{_pair(comparison)}: {reference(comparison.truth)}"]
    if comparison.quadrature:
        agreement = of_quadrature(comparison.truth, comparison.quadrature)
        lines.append(f"{reference(comparison.quadrature)}, which {agreement}")
    return "\n".join(_wrapped(line, width) for line in lines)


def approximations(comparison: KLComparison, style: str = "simple") -> str:
    """The KL by closed forms for mixtures: bounds, where their names say so, and others."""
    kinds = {"lower": "lower bound", "upper": "upper bound"}
    rows = [
        [name, f"{value:.5g}", f"{value - comparison.truth.value:+.4f}",
         kinds.get(name.rpartition("_")[2], "approximation")]
        for name, value in comparison.approximations.items()
    ]  # fmt: skip
    return _table(["without draws", "nats", "difference", "which is"], rows, style) if rows else ""


def reference(kl: Reference) -> str:
    """`0.4971 nats (closed form)`."""
    return f"{plus_minus(kl.value, kl.error)} nats ({kl.method})"


def summary(comparison: KLComparison, style: str = "simple") -> str:
    """Each estimator at the largest K that it allows."""
    most = max((row.cells[-1].num_samples for row in comparison.rows if row.cells), default=0)
    rows = [[_named(row, most), *_texts(row.cells[-1])] for row in comparison.rows if row.cells]
    return _table([f"at K = {most}", *NUMBERS], rows, style)


def _named(row: EstimatorRow, most: int) -> str:
    k = row.cells[-1].num_samples
    return row.name if k == most else f"{row.name} (K = {k})"


def every_k(row: EstimatorRow, style: str = "github") -> str:
    """An estimator at each K."""
    rows = [[str(c.num_samples), str(c.repetitions), f"{c.z:.1f}", *_texts(c)] for c in row.cells]
    return _table(["K", "R", "z", *NUMBERS], rows, style, left=0)


def _texts(cell: Cell) -> list[str]:
    return [
        f"{cell.mean:.5g}", plus_minus(cell.bias, cell.bias_error, sign="+"),
        f"{cell.standard_deviation:.3g}", _or_dash(cell.reported_error, ".3g"),
        _or_dash(cell.coverage, ".1%"), f"{cell.seconds * 1e6:.3g}",
        _or_dash(cell.efficiency, ".2g"),
    ]  # fmt: skip


def spread(comparison: KLComparison, style: str = "simple") -> str:
    """The standard deviation of one estimate by K, and the power of K that it goes with."""
    rows = [row for row in comparison.rows if row.cells]
    ks = sorted({cell.num_samples for row in rows for cell in row.cells})
    lines = []
    for row in rows:
        by_k = {cell.num_samples: cell.standard_deviation for cell in row.cells}
        power = "–" if math.isnan(row.slope) else plus_minus(row.slope, row.slope_error)
        lines.append([row.name, *(_or_dash(by_k.get(k, math.nan), ".3g") for k in ks), power])
    return _table(["std. for K =", *map(str, ks), "power of K"], lines, style)


def verdicts(comparison: KLComparison, width: int = WIDTH) -> str:
    """A line for each estimator, and for what is left out."""
    lines = [f"{row.name}: {'; '.join(filter(None, _judgement(row)))}" for row in comparison.rows]
    lines += [comparison.doubt] if comparison.doubt else []
    return "\n".join(_wrapped(line, width) for line in lines)


def _judgement(row: EstimatorRow) -> Sequence[str]:
    return (row.verdict, f"left out: {row.left_out}" if row.left_out else "")


def legend(comparison: KLComparison, width: int = WIDTH) -> str:
    """How to read the tables."""
    text = (
        "K: evaluations of log q and log p for one estimate, in nats; mean, std.: over "
        f"{_repetitions(comparison)} estimates; reported: root mean square of the standard errors "
        "that they come with; coverage: of value ± 1.96 of these, 95% is right (less, as Student's "
        "t has it, for a small K, and for stratified and quasi_monte_carlo, whose errors are over "
        "some 8 replicates); µs: for one estimate among many in the fastest compiled call; "
        "efficiency: 1 / (variance x time) over that of plain, as rough as the time is; power of "
        "K, over its larger half: -0.5 for independent draws, near -1 or below for points spread "
        f"evenly. A bias is called one at p < {comparison.threshold:.1g}, so "
        f"that one table in {1 / FALSE_ALARMS:.0f} does so falsely (Bonferroni); z is in standard "
        "errors."
    )
    return _wrapped(text, width)


def _repetitions(comparison: KLComparison) -> str:
    counts = {cell.repetitions for row in comparison.rows for cell in row.cells} or {0}
    least, most = min(counts), max(counts)
    return str(most) if least == most else f"{least} to {most}"


def _wrapped(line: str, width: int) -> str:
    return textwrap.fill(line, width, subsequent_indent="  ") if width else line


def _or_dash(value: float, form: str) -> str:
    return "–" if math.isnan(value) else f"{value:{form}}"


def _table(names: list[str], rows: list[list[str]], style: str, left: int = 1) -> str:
    align = ["left"] * left + ["right"] * (len(names) - left)
    return tabulate(rows, names, style, disable_numparse=True, colalign=align if rows else None)


def to_json(comparison: KLComparison) -> dict[str, Any]:
    """All fields by name, None for unknown numbers."""
    return _plain(comparison)


def _plain(value: Any) -> Any:
    if hasattr(value, "_asdict"):
        return _plain(value._asdict())
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def save(comparison: KLComparison, output: Path) -> list[Path]:
    """Writes results.json, table.md and figures/compare_kl.png; returns their paths."""
    from vae_jax.kl_comparison.pairs.figures import figure
    from vae_jax.plots import COLUMN

    make_directory(output / "figures")
    paths = [output / "results.json", output / "table.md", output / "figures" / "compare_kl.png"]
    write_json(paths[0], to_json(comparison))
    paths[1].write_text(markdown(comparison), encoding="utf-8")
    figure(comparison).savefig(paths[2], dpi=(PIXELS + 0.5) / COLUMN)
    return paths
