"""Writes docs/checks.md: the checks that are made before a training, from their docstrings.

    python -m docs.checks

A check is a function whose docstring begins with "Refuses" or "Warns of".
"""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tabulate import tabulate

PACKAGE = Path(__file__).parents[1] / "vae_jax"
PAGE = Path(__file__).with_suffix(".md")
BEFORE_TRAINING = ("config", "datasets", "model.py", "batches", "runs", "training")
OUTCOMES = {"Refuses ": "refused", "Warns of ": "a warning"}
HEAD = """# What is checked before training

`vae-jax train`, `vae-jax sweep` and `fit` check all of this before the first update, and whoever
reads a run checks its data again. What is *refused* ends with one line that says what is wrong,
where, and what would be right; nothing is trained. *A warning* is one line, and training begins.

`python -m docs.checks` makes this page from the code.

"""


class Check(NamedTuple):
    """A function that refuses something or warns of it."""

    outcome: str
    what: str
    where: str


def checks(package: Path = PACKAGE) -> Iterator[Check]:
    """The checks, in the order of the folders and of their files' names."""
    for name in BEFORE_TRAINING:
        path = package / name
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            where = file.relative_to(package.parent).as_posix()
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                if isinstance(node, ast.FunctionDef):
                    yield from _check(ast.get_docstring(node) or "", f"{where}: {node.name}")


def _check(docstring: str, where: str) -> Iterator[Check]:
    summary = " ".join(docstring.partition("\n\n")[0].split())
    for beginning, outcome in OUTCOMES.items():
        if summary.startswith(beginning):
            what = summary.removeprefix(beginning).rstrip(".")
            yield Check(outcome, what, f"`{where}`")


def page() -> str:
    """The page's text."""
    rows = sorted(checks(), key=lambda check: check.outcome != "refused")
    escaped = [
        [cell.replace("|", r"\|") for cell in (row.what, row.outcome, row.where)] for row in rows
    ]
    return HEAD + tabulate(escaped, ["what", "outcome", "where"], "github") + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    print(PAGE.relative_to(PACKAGE.parent))
