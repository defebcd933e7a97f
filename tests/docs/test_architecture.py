"""The picture of the package: its arrows, its floors, and that it is the present one."""

import pytest

from docs import architecture, layout
from tests.test_structure import ORDER


@pytest.fixture(scope="module")
def arrows():
    return architecture.imports()


def test_the_picture_is_of_this_code():
    stored = architecture.stored_arrows()
    assert stored == architecture.sorted_arrows(), "make architecture, since imports have changed"


def test_rooms_are_those_of_the_order(arrows):
    assert set(arrows) == set(ORDER)


def test_arrows_run_down_and_none_is_lost(arrows):
    kept = architecture.reduced(arrows)
    floor = architecture.floors(kept)
    for room, others in arrows.items():
        assert all(floor[other] < floor[room] for other in others)
        assert architecture.reachable(kept, room) == architecture.reachable(arrows, room)


def test_imports_are_read_whichever_way_they_are_written(tmp_path):
    package = tmp_path / "some"
    (package / "upper").mkdir(parents=True)
    (package / "__init__.py").write_text("from some.upper import thing")
    (package / "lower.py").write_text("import os")
    (package / "middle.py").write_text("def f():\n    from some.lower import os")
    (package / "upper" / "thing.py").write_text("from some import middle\nfrom some.upper import x")
    assert architecture.imports(package) == {
        "lower": set(),
        "middle": {"lower"},
        "upper": {"middle"},
    }


def test_what_a_longer_way_implies_is_left_out():
    arrows = {"a": set(), "b": {"a"}, "c": {"a", "b"}}
    assert architecture.reduced(arrows) == {"a": set(), "b": {"a"}, "c": {"b"}}


def test_rooms_of_a_floor_do_not_overlap(arrows):
    plan = architecture.plan(architecture.reduced(arrows))
    rooms = [(plan.floor[room], plan.x[room]) for room in arrows]
    for i, (floor, x) in enumerate(rooms):
        for other_floor, other in rooms[:i]:
            assert floor != other_floor or abs(x - other) >= architecture.WIDTH


def test_lengths_count_lines(tmp_path):
    body = "\n".join(f"    x = {i}" for i in range(50))
    (tmp_path / "long.py").write_text(f"def f():\n{body}\n\ndef g():\n    pass\n")
    [head, line] = layout.longest("functions", layout.functions(tmp_path), 45)
    assert head == "1 functions over 45 lines"
    assert line.endswith("51 lines  " + f"{tmp_path.name}/long.py: f")
    assert layout.longest("files", layout.files(tmp_path), 54) == ["0 files over 54 lines"]
