"""The row of a comparison that a text means: its baseline."""

import ast
import re
from collections.abc import Sequence

from vae_jax.errors import UserError, unknown
from vae_jax.sweeps.results import Row

ASSIGNED = re.compile(r"\s*([\w.]+)\s*=")  # the beginning of `field=value`


def find_row(rows: Sequence[Row], text: str) -> Row:
    """The row that a text means: a directory, the row's label, or what holds for one row alone.

    That is `field=value, ...`, or values without their fields, whole or their beginnings. An empty
    text means the first row.

    Raises:
        UserError: for a text that fits no row, or several.
    """
    if not text:
        return rows[0]
    named = [row for row in rows if text in (row.name, row.label)]
    parts = [_normal(part) for part in _assignments(text)]
    held = [row for row in rows if all(part in _descriptions(row) for part in parts)]
    begun = [row for row in rows if all(_begins(row, part) for part in parts)]
    matching = named or held or begun
    if not matching:
        raise unknown("setting", text, [row.label for row in rows])
    if len(matching) > 1:
        labels = " | ".join(row.label for row in matching)
        raise UserError(f"--baseline={text} fits {len(matching)} settings: {labels}")
    return matching[0]


def _descriptions(row: Row) -> set[str]:
    """Each `field=value` of a row, and each value alone, as `_normal` writes them."""
    assigned = {_normal(f"{field}={value}") for field, value in row.fields.items()}
    return assigned | {_normal(value) for value in row.fields.values()}


def _begins(row: Row, part: str) -> bool:
    return any(description.startswith(part) for description in _descriptions(row))


def _assignments(text: str) -> list[str]:
    """`"a=f(x=1, y=2), b=3"` -> `["a=f(x=1, y=2)", "b=3"]`."""
    parts, depth = [""], 0
    for character in text:
        depth += (character in "([{") - (character in ")]}")
        if character == "," and not depth:
            parts.append("")
        else:
            parts[-1] += character
    return parts


def _normal(text: str) -> str:
    """`field=value`, or a value, with the value as Python would write it."""
    field = ASSIGNED.match(text)
    start = field.end() if field else 0
    try:
        value = ast.unparse(ast.parse(text[start:].strip(), mode="eval"))
    except SyntaxError:
        return text.strip()
    return f"{field.group(1)}={value}" if field else value
