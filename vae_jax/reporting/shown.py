"""Figures as a page holds them: encoded, with their captions and the doubts about them."""

import base64
import io
from pathlib import Path
from typing import NamedTuple

from matplotlib.figure import Figure

from vae_jax.plots import encoded, read_figure
from vae_jax.reporting import ages
from vae_jax.reporting.run_plots import Drawing

POINTS_PER_INCH = 86  # of the page, so that type has one size in all figures


class Shown(NamedTuple):
    """A figure on a page."""

    name: str
    png: str  # in base 64
    width: int  # pixels of the page
    caption: str
    note: str = ""  # a doubt about it
    narrow: str = ""  # in its place on a narrow screen, in base 64; empty: it shrinks


def stored(workdir: Path, name: str, narrow: Drawing | None = None) -> Shown | None:
    """A figure of `figures/`; None where it is not there.

    Args:
        workdir: the run's directory, or that of many.
        name: the figure's.
        narrow: what draws it for a narrow screen.
    """
    path = workdir / "figures" / f"{name}.png"
    if not path.exists():
        return None
    caption, about, inches = read_figure(path)
    width, note = round(POINTS_PER_INCH * inches), ages.of_figure(workdir, name, about)
    thin = _encoded(encoded(narrow.make(True))) if narrow else ""
    return Shown(name, _encoded(path.read_bytes()), width, caption, note, thin)


def drawn(workdir: Path, name: str, drawing: Drawing) -> Shown:
    """A figure that is drawn for a column and not kept."""
    note = ages.of_figure(workdir, name, drawing.about)
    return of_figure(name, drawing.make(True))._replace(note=note)


def of_figure(name: str, figure: Figure) -> Shown:
    """A figure that is not kept."""
    content = encoded(figure)
    _, _, inches = read_figure(io.BytesIO(content))
    return Shown(name, _encoded(content), round(POINTS_PER_INCH * inches), str(figure.get_label()))


def _encoded(content: bytes) -> str:
    return base64.b64encode(content).decode()
