"""A run as a page tells it, in a column of its own: sentences, sections, all of its numbers."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from vae_jax import config
from vae_jax.errors import UserError
from vae_jax.evaluation.warnings import of_the_data, unit
from vae_jax.reporting import ages, doubts, readable, sections
from vae_jax.reporting.entries import Entry, read_entries, told
from vae_jax.reporting.sections import Picture, Section, Table
from vae_jax.reporting.shown import Shown
from vae_jax.reporting.summary import Story, sentences
from vae_jax.runs import directory
from vae_jax.runs.age import Age, age_now
from vae_jax.runs.results import COMPARISON, read_results


class Column(NamedTuple):
    """A run on a page."""

    name: str
    about: str
    state: str  # how it has not come to its end; empty if it has
    summary: Sequence[str]
    doubts: Sequence[str]
    command: str  # that gives its first numbers; empty where it has some
    entries: Sequence[Entry]  # that the sections tell
    figures: Mapping[str, Shown]
    tables: Mapping[str, Table]  # by section
    missing: Mapping[str, Sequence[tuple[str, str]]]  # what a command would tell, by section
    results: Mapping[str, Any]  # all, by split
    compared: Mapping[str, Any] | None  # KLs
    compared_note: str
    config: Mapping[str, str]
    environment: Mapping[str, str]
    given: str  # what the model is conditioned on; empty: nothing

    def has(self, section: Section) -> bool:
        """Whether it shows anything of a section."""
        told = self.tables[section.title].lines or self.missing[section.title]
        return bool(told or self.pictures(section) or (section.shows_comparison and self.compared))

    def pictures(self, section: Section) -> list[tuple[Picture, Shown]]:
        """The figures of a section that are there."""
        there = [p for p in section.pictures if p.name in self.figures]
        return [(p, self.figures[p.name]) for p in there if p.unless not in self.figures]


def column(workdir: Path, drawn: Callable[[Story], Mapping[str, Shown]]) -> Column:
    """A run's column.

    Args:
        workdir: the run's directory, as it stands in the commands that are shown.
        drawn: what gives the figures.

    Raises:
        UserError: if there is no run, or its results cannot be read.
    """
    cfg = config.stored(workdir / "config.json")
    compared = _results(workdir).get(COMPARISON)
    every = read_entries(workdir)
    mine = told(every)
    story = Story(mine, cfg, directory.read_metrics(workdir))
    figures, parts = drawn(story), sections.SECTIONS
    return Column(
        workdir.resolve().name,
        readable.run(cfg),
        _state(workdir),
        sentences(story),
        doubts.of_numbers(workdir, mine),
        "" if mine else sections.evaluation(workdir, cfg),
        mine,
        figures,
        {s.title: sections.table(s, mine) for s in parts},
        {s.title: sections.missing(s, workdir, cfg, mine, figures) for s in parts},
        {entry.name: _shown(workdir, entry) for entry in every},
        compared,
        ages.of_comparison(workdir, compared) if compared else "",
        readable.entries(cfg.to_dict()),
        environment(workdir),
        cfg.given,
    )


def _results(workdir: Path) -> dict[str, Any]:
    """The content of `results.json`, which another program may have damaged."""
    try:
        return read_results(workdir)
    except ValueError as error:
        path = workdir / "results.json"
        raise UserError(f"{path} is damaged ({error}): move it away, and evaluate again") from error


def _state(workdir: Path) -> str:
    if failure := directory.failure(workdir):
        return readable.sentence(f"{failure['kind']}: {failure['message']}")
    now = age_now(workdir, "last")
    return readable.sentence(now.unfinished) if now and now.left else ""


def _shown(workdir: Path, entry: Entry) -> dict[str, Any]:
    """The results of a split with the units that are shown, their age and the doubts about them."""
    numbers = {n: {**of, "unit": unit(of, entry.results)} for n, of in entry.numbers.items()}
    old = ages.of_results(workdir, entry.name, entry.results)
    remarks = [readable.sentence(text) for text in (*of_the_data(entry.results), old) if text]
    age = Age.read(entry.results)
    shown = {"taken": age.taken, "age": str(age)} if age else {"taken": "best checkpoint"}
    return {**entry.results, "numbers": numbers, **shown, "doubts": remarks}


def environment(workdir: Path) -> dict[str, str]:
    """The entries of `environment.json`, in words."""
    path = workdir / "environment.json"
    return readable.entries(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else {}
