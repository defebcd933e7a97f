"""Tables of many columns, which pages show whole: side by side where they fit, else as a list.

A table that would be wider than the screen or the paper gets smaller letters. Where it is wider
still, each of its rows becomes a block of lines, a line a column: nothing is cut, and nothing has
to be moved aside.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

NUMBER = re.compile(r"[\[(]?[-+–<]?\s?[\d.,]+")
LONGEST = 14  # characters of a text in a column, which goes on in a further line
USUAL, PAPER = 1160, 660  # pixels of the page: of a screen of 1,200, of A4 between its margins
MARGIN = 40  # pixels beside a page


class Letters(NamedTuple):
    """A size of letters."""

    size: str  # in CSS
    character: float  # pixels of a digit
    padding: float  # pixels between columns


SCREEN = (Letters(".9rem", 8.2, 15), Letters(".78rem", 7.2, 10))
PRINT = (Letters("8pt", 6.2, 7.5), Letters("6.5pt", 5.0, 5))


class Wide(NamedTuple):
    """A table, and how it is shown whole."""

    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    are_numbers: Sequence[bool]  # by column
    size: str  # of its letters, on a screen
    pixels: int  # of a screen, below which it is a list
    paper: str  # the size of its letters; empty: it is a list there


def of(header: Sequence[str], rows: Sequence[Sequence[str]]) -> Wide:
    """The table with its width, which is that of its longest words.

    Args:
        header: the names of its columns.
        rows: its cells, `–` or nothing where there is no value.
    """
    columns = [list(column) for column in zip(*rows, strict=True)] or [[] for _ in header]
    widths = [_width(*each) for each in zip(header, columns, strict=True)]
    screen = _fitting(SCREEN, widths, USUAL) or SCREEN[-1]
    paper = _fitting(PRINT, widths, PAPER)
    are_numbers = [_is_number(column) for column in columns]
    pixels = round(_pixels(screen, widths)) + MARGIN
    return Wide(header, rows, are_numbers, screen.size, pixels, paper.size if paper else "")


def _fitting(sizes: Sequence[Letters], widths: Sequence[int], pixels: float) -> Letters | None:
    """The largest letters by which the columns have room."""
    return next((size for size in sizes if _pixels(size, widths) <= pixels), None)


def _pixels(letters: Letters, widths: Sequence[int]) -> float:
    return sum(letters.character * width + letters.padding for width in widths)


def _is_number(column: Sequence[str]) -> bool:
    told = [cell for cell in column if cell.strip("–")]
    return bool(told) and all(NUMBER.match(cell) for cell in told)


def _width(name: str, column: Sequence[str]) -> int:
    """Characters of the longest word, which in a text is broken if it is too long."""
    longest = max((len(word) for cell in column for word in cell.split()), default=0)
    words = longest if _is_number(column) else min(LONGEST, longest)
    return max(words, *(len(word) for word in name.split()), 1)
