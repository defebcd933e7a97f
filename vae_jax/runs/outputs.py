"""Where a command writes what it makes of a run: into the run's directory, or into another.

The other one, `--output=DIR`, becomes a directory of links to the files of the run: it is read as
the run is, and what a command writes there takes the place of a link.
"""

import logging
from collections.abc import Iterator
from pathlib import Path

from vae_jax.errors import UserError
from vae_jax.places import refusal
from vae_jax.runs.directory import make_directory

logger = logging.getLogger(__name__)
FOLDERS = ("", "per_example", "figures", "exports")  # of a run, that commands write into
LINKED_WHOLE = ("checkpoints", "events")
MADE_ANEW = ("report.html", "side_by_side.html", "table.csv", "table.md", "table.tex", "runs.csv")
ADVICE = "--output=DIR takes another directory"


def write_refusal(workdir: Path) -> str | None:
    """Why results cannot be written into a run directory; None if they can."""
    return next(filter(None, (refusal(workdir / folder) for folder in FOLDERS)), None)


def place_of(workdir: Path, output: str | None, *, is_printed: bool) -> Path:
    """The directory to read a run from, or many, and to write into: found before all work.

    Args:
        workdir: of the run.
        output: the other directory, which is made; None for `workdir` itself.
        is_printed: that the numbers are printed too: then a directory that cannot be written costs
            a warning.

    Raises:
        UserError: if it cannot be written.
    """
    if output is None or Path(output).resolve() == workdir.resolve():
        _require_writable(workdir, is_printed)
        return workdir
    other = Path(output)
    if workdir.resolve() in other.resolve().parents:
        raise UserError(f"--output={other} lies inside {workdir}: give a directory beside it")
    make_directory(other, "output")
    for source, link in _links(workdir.resolve(), other):
        _link(source, link)
    return other


def _require_writable(workdir: Path, is_printed: bool) -> None:
    reason = write_refusal(workdir)
    if reason and not is_printed:
        raise UserError(f"{workdir} cannot be written: {reason}; {ADVICE}")
    if reason:
        logger.warning("%s cannot be written (%s): nothing is saved; %s", workdir, reason, ADVICE)


def _links(workdir: Path, other: Path) -> Iterator[tuple[Path, Path]]:
    """The files of a directory, and the links to make."""
    for source in sorted(workdir.iterdir()):
        link = other / source.name
        if source.is_dir() and source.name not in LINKED_WHOLE:
            link.mkdir(exist_ok=True)
            yield from _links(source, link)
        elif source.name not in MADE_ANEW and not source.name.startswith("."):
            yield source, link


def _link(source: Path, link: Path) -> None:
    """Makes a link, unless it or a file of the output's own is there.

    Raises:
        UserError: if it would be mixed with another run.
    """
    if link.is_symlink() and not link.exists():
        link.unlink()
    if not link.is_symlink() and not link.exists():
        link.symlink_to(source)
    elif source.name == "config.json" and link.resolve() != source.resolve():
        raise UserError(f"--output={link.parent} holds another run: give a new directory")
