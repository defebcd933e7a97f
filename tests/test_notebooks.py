"""Each notebook is its script, executed; and the script, with its assertions, runs."""

import re
import subprocess
import sys
from pathlib import Path

import jupytext
import nbformat
import pytest

FOLDER = Path(__file__).parents[1] / "notebooks"
SCRIPTS = sorted(FOLDER.glob("[0-9]*.py"))
NAMES = [script.stem for script in SCRIPTS]
LARGEST, LARGEST_COVER, LONGEST_CELL = 300_000, 60_000, 15  # bytes, bytes, lines
OF_A_MACHINE = re.compile(r"/(home|tmp|work|Users|root|usr|opt|private)/|[A-Z]:\\|site-packages")


@pytest.fixture(params=NAMES)
def name(request):
    return request.param


@pytest.fixture
def notebook(name):
    return nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def test_there_is_a_script_for_each_notebook_and_a_line_in_the_contents():
    assert NAMES
    assert {path.stem for path in FOLDER.glob("*.ipynb")} == set(NAMES)
    contents = (FOLDER / "README.md").read_text()
    for name in NAMES:
        assert f"({name}.ipynb)" in contents
        assert f"(figures/{name}.png)" in contents


def test_notebook_and_script_have_the_same_cells(name, notebook):
    script = jupytext.read(FOLDER / f"{name}.py")
    cells = [[(c.cell_type, c.source) for c in pair.cells] for pair in (script, notebook)]
    assert cells[0] == cells[1], f"make notebooks, since {name}.py has changed"


def test_cells_are_short_and_were_executed_in_order(notebook):
    nbformat.validate(notebook)
    cells = code_cells(notebook)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    for cell in cells:
        assert len(cell.source.splitlines()) <= LONGEST_CELL, cell.source
    assert any("assert " in cell.source for cell in cells)


def test_outputs_have_no_errors_and_nothing_of_a_machine(name, notebook):
    for cell in code_cells(notebook):
        for output in cell.outputs:
            assert output.output_type != "error"
            assert output.get("name") != "stderr", output
            told = output.get("text", "") + output.get("data", {}).get("text/plain", "")
            assert not OF_A_MACHINE.search(told), told
    assert not OF_A_MACHINE.search((FOLDER / f"{name}.py").read_text())
    assert notebook.metadata.kernelspec.name == "python3"


def test_files_stay_small(name):
    assert (FOLDER / f"{name}.ipynb").stat().st_size < LARGEST
    assert (FOLDER / "figures" / f"{name}.png").stat().st_size < LARGEST_COVER


@pytest.mark.slow
def test_the_script_runs(name, tmp_path, monkeypatch):
    """Elsewhere than in its folder, with every assertion that its text rests on."""
    monkeypatch.setenv("MPLBACKEND", "Agg")
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    monkeypatch.delenv("XLA_FLAGS", raising=False)  # compiled as a reader's
    script = [sys.executable, FOLDER / f"{name}.py"]
    done = subprocess.run(script, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert not list(tmp_path.iterdir()), "a notebook leaves no files"
