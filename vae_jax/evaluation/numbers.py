"""Per-example values -> numbers with their errors, and what estimators declare of them."""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import Any

import numpy as np

from vae_jax.errors import UserError
from vae_jax.evaluation.warnings import of_given, of_what, unit, warnings
from vae_jax.runs.age import Age
from vae_jax.types import Estimator, Number, Quantity, Values

IN_WORDS = ("method", "label", "remark")


def require_distinct(estimators: Mapping[str, Estimator]) -> None:
    """Raises UserError where two estimators give one name to numbers that are not the same.

    Those are the same that have one `Quantity` in common, as the closed-form KL of several.

    Args:
        estimators: by what they are called.
    """
    first: dict[str, tuple[str, Quantity]] = {}
    for text, estimator in estimators.items():
        for name, quantity in estimator.quantities.items():
            other, known = first.setdefault(name, (text, quantity))
            if known is not quantity:
                raise UserError(f"{other} and {text} both give {name}: ask for one of them")


def require_examples(
    text: str, values: Mapping[str, Any], count: int, taken: AbstractSet[str]
) -> None:
    """Raises UserError unless an estimator's arrays are of `count` examples, by names not taken.

    Args:
        text: the estimator's name.
        values: its arrays.
        count: of examples.
        taken: the names that other estimators have given to other arrays.
    """
    for name, array in values.items():
        if np.shape(array)[:1] != (count,):
            shape = f"its {name} has shape {np.shape(array)}"
            raise UserError(f"{text}: {shape}, and [{count}, ...] is needed, a row an example")
        if name in taken:
            raise UserError(f"{text}: another estimator has an array called {name} too")


def numbers(
    estimators: Mapping[str, Estimator], values: Values, doubts: Mapping[str, Any]
) -> dict[str, dict[str, Any]]:
    """Each number with its unit, method and the estimator it comes from, JSON-able.

    Args:
        estimators: by what they are called.
        values: of the examples.
        doubts: what results say beside their numbers, of which `given` is used.
    """
    records: dict[str, dict[str, Any]] = {}
    for text, estimator in estimators.items():
        summary = estimator.summary(values)
        for name, quantity in estimator.quantities.items():
            if name in summary and name not in records:
                record = _record(summary[name], quantity) | {"estimator": text}
                told = {n: of_given(v, doubts) for n, v in record.items() if n in IN_WORDS}
                records[name] = record | told
    return records


def _record(number: Number, quantity: Quantity) -> dict[str, Any]:
    """Optional entries are there where they say something."""
    more = {
        "monte_carlo_error": number.monte_carlo_error,
        "remark": number.remark,
        "better": quantity.better,
        "label": quantity.label,
        "k": quantity.k,
        "of_levels": quantity.of_levels,
    }
    return {
        "mean": number.mean,
        "standard_error": number.standard_error,
        "n": number.n,
        "unit": quantity.unit,
        "method": number.how or quantity.how,
        **{name: value for name, value in more.items() if value not in (None, "", False)},
    }


class Results(dict[str, Any]):
    """The numbers of a split and what they are of, a dict that shows itself as their `table`."""

    def __repr__(self) -> str:
        return table(self) if {"numbers", "num_examples"} <= self.keys() else super().__repr__()


def table(results: dict[str, Any]) -> str:
    """The numbers of a split, a line each, for a terminal, and the doubts about them."""
    lines = [f"{'':24} {'mean':>10}  {'std. error':>10}  {'unit':26} how"]
    for name, number in results["numbers"].items():
        error = "" if number["standard_error"] is None else f"± {number['standard_error']:.4f}"
        value, of = f"{number['mean']:.4f}", unit(number, results)
        lines.append(f"{name:24} {value:>10}  {error:>10}  {of:26} {number['method']}")
    remarks = [number.get("remark") for number in results["numbers"].values()]
    age = Age.read(results)
    shown = f"{age.taken}: {age}" if age else ""
    doubts = [f"warning: {doubt}" for doubt in warnings(results)]
    pairs = results.get("agreement", [])
    notes = [*of_what(results), *remarks, *pairs, shown, *doubts]
    return "\n".join([*lines, *filter(None, notes)])
