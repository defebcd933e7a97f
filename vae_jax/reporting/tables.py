"""A comparison as a table: for a terminal, CSV, Markdown, LaTeX."""

import csv
import io
import re
import textwrap
from collections.abc import Sequence
from typing import Any, NamedTuple

from tabulate import tabulate

from vae_jax.sweeps.compare import Comparison
from vae_jax.sweeps.results import Row
from vae_jax.sweeps.same_data import sharing
from vae_jax.sweeps.statistics import SeedsEstimate


class Form(NamedTuple):
    """How the numbers of a table are written."""

    digits: int
    names_kinds: bool  # whether each is of a density or a mass


MOST_LINES = 200  # of a table on a terminal: of more settings the best are shown
OF_SEEDS = (2, 4, 6)  # columns after the fields: the number, an interval, p


def terminal(comparison: Comparison) -> str:
    """The table for a terminal, and a paragraph that explains it."""
    rows = comparison.best(comparison.rows, MOST_LINES)
    text = f"{legend(comparison)} {left_out(comparison, rows)}".rstrip()
    return f"{_table(comparison, 'simple', rows)}\n{textwrap.fill(text, 100)}"


def left_out(comparison: Comparison, rows: Sequence[Row]) -> str:
    """A sentence on the settings that a table does not show; empty where it shows all."""
    number = len(comparison.rows) - len(rows)
    more = f"{number:,} more settings, whose means are worse, are in table.csv."
    return more if number else ""


def markdown(comparison: Comparison) -> str:
    """The table and its legend in GitHub's Markdown."""
    return f"{_table(comparison, 'github', comparison.rows)}\n\n{legend(comparison)}\n"


def latex(comparison: Comparison) -> str:
    """The table for LaTeX's package booktabs, numbers in math mode."""
    table = _table(comparison, "latex_booktabs", comparison.rows)
    number = r"[+-]?\d+\.\d+"
    table = re.sub(rf"(?<![\w.=+-]){number}(?: ± \d+\.\d+)?(?![\w.])", r"$\g<0>$", table)
    table = re.sub(r"± (?=[a-z])", r"$\\pm$ ", table).replace("±", r"\pm")
    table = table.replace("< $", "$<$ $").replace("–", "--")
    return f"{table}\n% {legend(comparison).replace('±', '+-')}\n"


def _table(comparison: Comparison, style: str, shown: Sequence[Row]) -> str:
    """The table in one of tabulate's styles, names to the left, numbers to the right."""
    rows, names = cells(comparison, shown), header(comparison)
    count = len(rows[0]) - len(comparison.fields or [""]) - 1
    align = ["left"] * (len(rows[0]) - count - 1) + ["right"] * count + ["left"]
    return tabulate(rows, names, style, disable_numparse=True, colalign=align)


def header(comparison: Comparison) -> list[str]:
    """The names of the columns of the table for people."""
    level, metric = f"{comparison.confidence * 100:g}%", comparison.metric
    is_single = comparison.of_single_runs
    return _without_seeds(comparison, [
        *(comparison.fields or ["run" if is_single else "setting"]),
        metric if is_single else f"{metric} ± seeds", "± examples", "seeds",
        "difference", f"[{level}, seeds]", f"[{level}, examples]", "p (seeds)", "time",
        "parameters", "remarks",
    ])  # fmt: skip


def cells(comparison: Comparison, rows: Sequence[Row] | None = None) -> list[list[str]]:
    """A row of text for each of the settings, or for all."""
    shown = comparison.rows if rows is None else rows
    form = Form(_digits(comparison), len(comparison.kinds) > 1)
    return [_without_seeds(comparison, _cells(comparison, row, form)) for row in shown]


def _without_seeds(comparison: Comparison, row: Sequence[str]) -> list[str]:
    """A row of the table; of single runs without the columns that are of several seeds."""
    before = max(1, len(comparison.fields))
    left_out = [before + i for i in OF_SEEDS] if comparison.of_single_runs else []
    return [cell for i, cell in enumerate(row) if i not in left_out]


def _cells(comparison: Comparison, row: Row, form: Form) -> list[str]:
    digits = form.digits
    estimate, compared = row.estimate, row.difference
    return [
        *(list(row.fields.values()) or [row.name]),
        _mean(comparison, row, form),
        _number(estimate and estimate.examples_error, digits),
        _count(len(row.good), len(row.runs)),
        _number(compared and compared.estimate.mean, digits, sign=True),
        _interval(compared and compared.seeds_interval, digits),
        _interval(compared and compared.examples_interval, digits),
        _p_value(compared and compared.p_value),
        "–" if row.seconds is None else _time(row.seconds),
        "–" if row.num_parameters is None else f"{row.num_parameters:,}",
        row.remark,
    ]


def _mean(comparison: Comparison, row: Row, form: Form) -> str:
    """A setting's mean and its error; what it is of where the settings differ in that."""
    if row.estimate is None:
        return "–"
    what = f" ({comparison.kind(row)})" if form.names_kinds else ""
    return _plus_minus(row.estimate.mean, row.estimate.seeds_error, form.digits) + what


def _count(good: int, asked: int) -> str:
    return str(good) if good == asked else f"{good} of {asked}"


def _digits(comparison: Comparison) -> int:
    """The decimals that show two figures of the smallest error, at least 2 and at most 5."""
    estimates = [row.estimate for row in comparison.rows if row.estimate]
    errors = [e for each in estimates for e in (each.seeds_error, each.examples_error) if e]
    small = min(errors, default=1.0)
    return next((d for d in range(2, 5) if small * 10**d >= 1), 5)


def _number(value: float | None, digits: int, sign: bool = False) -> str:
    return "–" if value is None else f"{value:{'+' if sign else ''}.{digits}f}"


def _plus_minus(mean: float, error: float | None, digits: int) -> str:
    return _number(mean, digits) + ("" if error is None else f" ± {error:.{digits}f}")


def _interval(bounds: tuple[float, float] | None, digits: int) -> str:
    return "–" if bounds is None else f"[{bounds[0]:+.{digits}f}, {bounds[1]:+.{digits}f}]"


def _p_value(value: float | None) -> str:
    if value is None:
        return "–"
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def _time(seconds: float) -> str:
    if seconds < 10:
        return f"{seconds:.1f} s"
    return f"{seconds:.0f} s" if seconds < 600 else f"{seconds / 60:.0f} min"


def legend(comparison: Comparison) -> str:
    """The meaning of the columns, in a few sentences."""
    c, m = comparison, comparison.comparisons
    baseline = next(row.label for row in c.rows if row.name == c.baseline)
    corrected = f", Bonferroni-corrected for {m} differences" if m > 1 else ""
    of = f"{c.metric} in {c.shown_unit} on the {c.split} split ({c.method or 'not evaluated'})"
    mean = "" if c.of_single_runs else ", mean over seeds"
    time = f"Time: of training, without compilation{mean}. {sharing(c.rows)}".rstrip()
    if c.of_single_runs:
        return (
            f"{of}: mean, and its standard error over test examples, which are taken as "
            f"independent. Difference to {baseline}, paired by example, with Student's t interval "
            f"for other test examples{corrected}. Each run is of one seed: its difference says "
            f"nothing of other seeds. {time}"
        )
    return (
        f"{of}: mean ± standard error over seeds, and standard error over test examples, which are "
        f"taken as independent. Difference to the baseline ({baseline}), paired by seed and by "
        "example; Student's t intervals, one for other seeds and one for other test examples, and "
        f"p over seeds{corrected}. {time}"
    )


def csv_rows(comparison: Comparison) -> str:
    """CSV with a row for each setting, numbers in full."""
    names = [
        *comparison.fields, "name", "metric", "kind", "mean", "seeds_error", "examples_error",
        "num_seeds",
        "difference", "difference_seeds_error", "difference_examples_error", "num_pairs",
        "seeds_low", "seeds_high", "examples_low", "examples_high", "p_value", "training_seconds",
        "num_parameters", "remark",
    ]  # fmt: skip
    return _csv(names, [_csv_row(comparison, row) for row in comparison.rows])


def _csv_row(comparison: Comparison, row: Row) -> list[Any]:
    compared = row.difference
    return [
        *row.fields.values(), row.name, comparison.metric, comparison.kind(row),
        *_numbers(row.estimate), len(row.good),
        *_numbers(compared and compared.estimate), compared and compared.estimate.num_seeds,
        *((compared and compared.seeds_interval) or (None, None)),
        *((compared and compared.examples_interval) or (None, None)),
        compared and compared.p_value, row.seconds, row.num_parameters, row.remark,
    ]  # fmt: skip


def _numbers(estimate: SeedsEstimate | None) -> Sequence[float | None]:
    return estimate[:3] if estimate else (None, None, None)


def csv_runs(comparison: Comparison) -> str:
    """CSV with a row for each run, with the mean of every number that was evaluated."""
    every = [run for row in comparison.rows for run in row.runs]
    metrics = list(dict.fromkeys(n for run in every for n in run.results.get("numbers", {})))
    names = [
        *comparison.fields,
        "name",
        "seed",
        "state",
        "probability",
        *metrics,
        "training_seconds",
        "message",
    ]
    lines = []
    for row in comparison.rows:
        for run in row.runs:
            numbers = run.results.get("numbers", {})
            means = [numbers.get(metric, {}).get("mean") for metric in metrics]
            of = run.results.get("probability", "")
            values = [row.name, run.seed, run.state, of, *means, run.seconds, run.message]
            lines.append([*row.fields.values(), *values])
    return _csv(names, lines)


def _csv(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows([names, *rows])
    return text.getvalue()
