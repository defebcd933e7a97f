"""Draws docs/architecture.png from the imports of the package.

    python -m docs.architecture

Folders, and modules outside of folders, are rooms. A room stands one floor above the highest room
that it imports from, so all arrows run down. An arrow that a longer way down implies is left out.
Families are coloured: their files are found by name, so few rooms import them.
"""

import ast
import itertools
import json
import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch
from matplotlib.path import Path as Curve
from PIL import Image
from scipy.optimize import isotonic_regression

from vae_jax.config.components import FAMILIES

PACKAGE = Path(__file__).parents[1] / "vae_jax"
PICTURE = Path(__file__).with_suffix(".png")
OUTSIDE = ("__init__", "__main__")  # the package's faces, which import from everywhere
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#555555")
LINES = ("-", (0, (6, 1.5)), (0, (1.5, 1.5)), (0, (6, 1.5, 1.5, 1.5)))
FAMILY, PLAIN, INK = "#FFEBC2", "#FFFFFF", "#222222"
WIDTH, HEIGHT, FLOOR = 1.9, 0.84, 1.42  # inches: of a room, and from one floor to the next
BESIDE_ROOM, BESIDE_ARROW = 0.22, 0.16  # inches between neighbours on a floor
STARTS, SWEEPS = 200, 12  # of the search for few crossings

Arrows = Mapping[str, set[str]]  # room -> the rooms it imports from
Rows = list[list[str]]  # what stands on each floor, from the lowest up, from left to right
Joints = Sequence[tuple[str, str]]  # pieces of arrows: the upper end, the lower end a floor below


class Plan(NamedTuple):
    """Where everything is drawn. An arrow over several floors passes a point on each."""

    x: dict[str, float]
    floor: dict[str, int]
    ways: list[list[str]]  # the arrows: an importing room, points, an imported room


def rooms(package: Path = PACKAGE) -> dict[str, list[Path]]:
    """Room -> its files."""
    files: dict[str, list[Path]] = {}
    for file in sorted(package.rglob("*.py")):
        name = file.relative_to(package).parts[0].removesuffix(".py")
        if name not in OUTSIDE:
            files.setdefault(name, []).append(file)
    return files


def imports(package: Path = PACKAGE) -> dict[str, set[str]]:
    """Room -> the other rooms that its files import from."""
    return {
        room: {name for file in files for name in _imported(file, package.name)} - {room}
        for room, files in rooms(package).items()
    }


def _imported(file: Path, package: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            root, *inside = node.module.split(".")
            if root == package:
                yield from inside[:1] or (alias.name for alias in node.names)


def reachable(arrows: Arrows, room: str) -> set[str]:
    """The rooms that a room imports from, directly or through others."""
    return arrows[room].union(*(reachable(arrows, other) for other in arrows[room]))


def reduced(arrows: Arrows) -> dict[str, set[str]]:
    """The arrows without those that a longer way implies."""
    implied = {
        room: set().union(*(reachable(arrows, other) for other in others))
        for room, others in arrows.items()
    }
    return {room: others - implied[room] for room, others in arrows.items()}


def floors(arrows: Arrows) -> dict[str, int]:
    """The floor of each room: one above the highest that it imports from.

    A room that more rooms import than it imports itself stands just below the first of them.
    """
    floor: dict[str, int] = {}

    def place(room: str) -> int:
        if room not in floor:
            floor[room] = 1 + max(map(place, arrows[room]), default=-1)
        return floor[room]

    for room in sorted(arrows, key=place, reverse=True):
        users = [floor[user] for user in arrows if room in arrows[user]]
        if len(users) > len(arrows[room]):
            floor[room] = min(users) - 1
    return floor


def plan(arrows: Arrows) -> Plan:
    """Rooms side by side, so that few arrows cross and each stands near to what it is joined to."""
    floor = floors(arrows)
    ways = [_way(upper, lower, floor) for upper in arrows for lower in sorted(arrows[upper])]
    joints = [joint for way in ways for joint in itertools.pairwise(way)]
    names, rng = sorted(floor), np.random.default_rng(0)
    shuffled = ([names[i] for i in rng.permutation(len(names))] for _ in range(STARTS))
    orders = (_ordered(start, joints, floor) for start in shuffled)
    x = _positions(min(orders, key=lambda rows: _cost(rows, joints)), joints)
    highest = x[max(arrows, key=lambda room: floor[room])]
    side = 1 if highest > np.mean([*x.values()]) else -1  # the highest room stands to the right
    return Plan({name: side * at for name, at in x.items()}, floor, ways)


def _way(upper: str, lower: str, floor: dict[str, int]) -> list[str]:
    """Both rooms with a point on every floor between, which becomes a name in `floor`."""
    points = {f"{upper}>{lower}@{n}": n for n in range(floor[upper] - 1, floor[lower], -1)}
    floor.update(points)
    return [upper, *points, lower]


def _ordered(names: Sequence[str], joints: Joints, floor: Mapping[str, int]) -> Rows:
    """Rows sorted again and again by the mean place of what each is joined to, above and below."""
    rows = [[n for n in names if floor[n] == level] for level in range(max(floor.values()) + 1)]
    above: dict[str, list[str]] = {name: [] for name in names}
    below: dict[str, list[str]] = {name: [] for name in names}
    for upper, lower in joints:
        above[lower].append(upper)
        below[upper].append(lower)
    for sweep in range(SWEEPS):
        up = sweep % 2 == 0
        for row in rows if up else reversed(rows):
            place = _places(rows)
            ends = below if up else above
            row.sort(key=lambda n: np.mean([place[end] for end in ends[n] or [n]]))
    return rows


def _places(rows: Rows) -> dict[str, float]:
    return {name: (i + 0.5) / len(row) for row in rows for i, name in enumerate(row)}


def _cost(rows: Rows, joints: Joints) -> float:
    """How many arrows cross; among equals, the shorter arrows."""
    place, floor = _places(rows), {name: i for i, row in enumerate(rows) for name in row}
    crossings = sum(
        (place[a] - place[c]) * (place[b] - place[d]) < 0
        for i, (a, b) in enumerate(joints)
        for c, d in joints[:i]
        if floor[a] == floor[c]
    )
    return crossings + 0.01 * sum(abs(place[a] - place[b]) for a, b in joints)


def _positions(rows: Rows, joints: Joints) -> dict[str, float]:
    """Each near the mean of what it is joined to, neighbours far enough from each other."""
    x = {name: float(at) for row in rows for name, at in _apart(row, np.zeros(len(row)))}
    ends: dict[str, list[str]] = {name: [] for name in x}
    for upper, lower in joints:
        ends[upper].append(lower)
        ends[lower].append(upper)
    for _ in range(200):
        for row in rows:
            wanted = [np.mean([x[end] for end in ends[n]]) if ends[n] else x[n] for n in row]
            x.update(_apart(row, np.asarray(wanted)))
    return x


def _apart(row: Sequence[str], wanted: np.ndarray) -> Iterator[tuple[str, float]]:
    """The places next to the wanted ones, in least squares, at which nothing overlaps."""
    half = np.asarray([_half_width(name) for name in row])
    offsets = np.concatenate([[0], np.cumsum(half[1:] + half[:-1])])
    places = isotonic_regression(wanted - offsets).x + offsets
    return zip(row, places, strict=True)


def _half_width(name: str) -> float:
    return BESIDE_ARROW / 2 if ">" in name else (WIDTH + BESIDE_ROOM) / 2


def draw(package: Path = PACKAGE) -> Figure:
    """The picture."""
    arrows, files = imports(package), rooms(package)
    x, floor, ways = plan(reduced(arrows))
    left, right = min(x.values()) - WIDTH / 2 - 0.15, max(x.values()) + WIDTH / 2 + 0.15
    bottom, top = -HEIGHT / 2 - 0.15, max(floor.values()) * FLOOR + HEIGHT / 2 + 0.15
    figure = Figure(figsize=(right - left, top - bottom))
    axes = figure.add_axes((0, 0, 1, 1), xlim=(left, right), ylim=(bottom, top))
    axes.set_axis_off()
    _draw_arrows(axes, x, floor, ways)
    for room, paths in files.items():
        _draw_room(axes, room, (x[room], floor[room] * FLOOR), paths)
    _draw_legend(axes, left, top, sum(map(len, arrows.values())), len(ways))
    return figure


def _draw_arrows(
    axes: Axes, x: Mapping[str, float], floor: Mapping[str, int], ways: Sequence[list[str]]
) -> None:
    """Arrows to one room look alike: each has a colour, and every seventh another line."""
    targets = sorted({way[-1] for way in ways}, key=lambda room: (floor[room], x[room]))
    looks = dict(zip(targets, itertools.product(LINES, COLOURS), strict=False))
    for way in ways:
        first = x[way[0]] + _port(way, [w for w in ways if w[0] == way[0]], 1, x)
        last = x[way[-1]] + _port(way, [w for w in ways if w[-1] == way[-1]], -2, x)
        stops = [first, *(x[name] for name in way[1:-1]), last]
        curve = _curve(stops, [floor[name] * FLOOR for name in way])
        line, colour = looks[way[-1]]
        style = {"arrowstyle": "-|>", "mutation_scale": 14, "lw": 1.8, "zorder": 1}
        ends = {"shrinkA": 0, "shrinkB": 0, "color": colour, "linestyle": line}
        axes.add_patch(FancyArrowPatch(path=curve, **style, **ends))


def _port(way: list[str], beside: Sequence[list[str]], end: int, x: Mapping[str, float]) -> float:
    """Where on a room's wall an arrow ends, from the middle: in the order of the other ends."""
    ordered = sorted(beside, key=lambda other: x[other[end]])
    step = min(0.3, 0.85 * WIDTH / len(ordered))
    return step * (ordered.index(way) - (len(ordered) - 1) / 2)


def _curve(stops: Sequence[float], heights: Sequence[float]) -> Curve:
    """A line that bends between floors only, and passes the rooms of a floor upright."""
    points, codes = [(stops[0], heights[0] - HEIGHT / 2)], [Curve.MOVETO]
    for (x0, x1), (y0, y1) in zip(
        itertools.pairwise(stops), itertools.pairwise(heights), strict=True
    ):
        start, end = y0 - HEIGHT / 2, y1 + HEIGHT / 2
        middle = (start + end) / 2
        points += [(x0, start), (x0, middle), (x1, middle), (x1, end)]
        codes += [Curve.LINETO, Curve.CURVE4, Curve.CURVE4, Curve.CURVE4]
    return Curve(points, codes)


def _draw_room(axes: Axes, room: str, centre: tuple[float, float], files: Sequence[Path]) -> None:
    (x, y), is_family = centre, room in FAMILIES
    corner, shape = (x - WIDTH / 2, y - HEIGHT / 2), "round,pad=0,rounding_size=0.08"
    fill, wall = (FAMILY, 2.4) if is_family else (PLAIN, 1.2)
    style = {"facecolor": fill, "edgecolor": INK, "lw": wall, "zorder": 2}
    axes.add_patch(FancyBboxPatch(corner, WIDTH, HEIGHT, boxstyle=shape, **style))
    name = room + ("/" if files[0].parent.name == room else ".py")
    middle = {"ha": "center", "va": "top", "color": INK, "zorder": 3}
    axes.text(x, y + HEIGHT / 2 - 0.08, name, fontsize=13, weight="bold", **middle)
    axes.text(x, y + HEIGHT / 2 - 0.32, "\n".join(_about(files)), fontsize=9, **middle)


def _about(files: Sequence[Path]) -> list[str]:
    """The beginning of the docstring of a folder or a module, in lines."""
    face = min(files, key=lambda file: (len(file.parts), file.name != "__init__.py"))
    text = " ".join((ast.get_docstring(ast.parse(face.read_text())) or "").split())
    beginning = re.split(r"[:;,.](?:\s|$)", text)[0].replace("`", "")
    return textwrap.wrap(beginning, 25, max_lines=3, placeholder=" …")


def _draw_legend(axes: Axes, left: float, top: float, count: int, drawn: int) -> None:
    """In the corner that is empty, since the highest rooms stand to the right."""
    text = (
        "Each room imports only from rooms below it.\n"
        f"{drawn} of {count} arrows are drawn: the others follow from them.\n"
        "Arrows to the same room look the same.\n"
        "A coloured room with a thick wall is a family: one component a file,\n"
        "found by the name that a config gives it, and so hardly ever imported."
    )
    place = {"ha": "left", "va": "top", "linespacing": 1.5}
    axes.text(left + 0.15, top - 0.2, text, fontsize=12, color=INK, **place)


def stored_arrows(picture: Path = PICTURE) -> dict[str, list[str]]:
    """The arrows, also those not drawn, of the code that a picture was made from."""
    with Image.open(picture) as image:
        return json.loads(image.info["Description"])


def sorted_arrows(package: Path = PACKAGE) -> dict[str, list[str]]:
    """The imports, in a form that can be stored and compared."""
    return {room: sorted(others) for room, others in imports(package).items()}


def main() -> None:
    """Writes the picture."""
    metadata = {"Description": json.dumps(sorted_arrows()), "Software": None}
    draw().savefig(PICTURE, dpi=150, metadata=metadata)
    print(PICTURE.relative_to(PACKAGE.parent))


if __name__ == "__main__":
    main()
