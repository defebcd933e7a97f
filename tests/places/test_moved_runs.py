"""A run, or the project that it lies in, is moved: its modules and data are found, or a line says."""

import json
import os
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest

from tests.cli.test_cli import ROOT, call
from tests.places.conftest import FEW
from tests.quick_runs import quick_config
from vae_jax import UserError, fit, load, places
from vae_jax.runs import directory

PRIOR = """
from vae_jax.priors.normal import normal


def wide(spec, *, scale: float = 2.0):
    "A normal of {where}."
    return normal(spec)
"""


@pytest.fixture
def fresh(monkeypatch):
    """A process that has looked nowhere yet; what it imports of one's own is forgotten."""

    def forget():
        for name in [name for name in sys.modules if name.partition(".")[0] == "lab_of_mine"]:
            del sys.modules[name]
        sys.path[:] = list(before)
        places._DATA_FOLDERS.clear()
        places._MOVES.clear()

    before = list(sys.path)
    monkeypatch.setattr(sys, "path", list(before))
    forget()
    yield forget
    forget()


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """A project of a module, data and a run that names them by relative paths."""
    project = tmp_path_factory.mktemp("first") / "project"
    (project / "lab_of_mine").mkdir(parents=True)
    (project / "lab_of_mine" / "wide.py").write_text(PRIOR)
    x = np.random.default_rng(0).random((40, 4, 4, 1)) < 0.5
    np.savez(project / "mine.npz", train=x[:20], validation=x[20:30], test=x[30:])
    config = quick_config(batch_size=20, num_epochs=1, prior="lab_of_mine.wide", trackers="")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(project)
        patch.setattr(sys, "path", [str(project), *sys.path])
        config.data = "npz(path='mine.npz')"
        fit(config, "runs/relative", quiet=True)
        config.data = f"npz(path={str(project / 'mine.npz')!r})"
        fit(config, "runs/absolute", quiet=True)
        del sys.modules["lab_of_mine.wide"]
    return project


@pytest.fixture
def project(original, tmp_path):
    """A copy where the original has never been, and the original's paths lead nowhere."""
    new = tmp_path / "project"
    shutil.copytree(original, new)
    hidden = original.with_name("hidden")
    original.rename(hidden)
    yield new
    hidden.rename(original)


@pytest.mark.parametrize("name", ["relative", "absolute"])
def test_a_run_that_is_moved_alone_finds_what_it_left(original, name, fresh, tmp_path, monkeypatch):
    shutil.copytree(original / "runs" / name, tmp_path / "run")
    monkeypatch.chdir(tmp_path)
    assert len(load("run").dataset.splits["test"]) == 10


@pytest.mark.parametrize("name", ["relative", "absolute"])
def test_in_a_project_that_is_moved_they_are_found_beside_the_run(
    project, name, fresh, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    run = load(project / "runs" / name)
    assert len(run.dataset.splits["test"]) == 10
    assert sys.modules["lab_of_mine.wide"].__file__.startswith(str(project))


@pytest.mark.slow
def test_it_goes_on_there_and_is_found_after_the_next_move(project, fresh, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = load(project / "runs" / "relative").config
    config.num_epochs = 2
    fit(config, project / "runs" / "relative", quiet=True)
    assert json.loads((project / "runs" / "relative" / "environment.json").read_text())[
        "directories"
    ] == [str(tmp_path), str(project)]
    (tmp_path / "far").mkdir()
    project.rename(tmp_path / "far" / "away")
    fresh()
    assert load(tmp_path / "far" / "away" / "runs" / "relative", "last").step == 2


def test_an_output_of_links_finds_them_too(project, fresh, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    flags = [f"--workdir={project / 'runs' / 'relative'}", "--output=shown", *FEW]
    assert call(capsys, "evaluate", *flags)[0] == 0
    fresh()
    assert load("shown").step == 1
    project.rename(tmp_path / "gone")
    fresh()
    with pytest.raises(UserError, match=r"shown shows a run that is not in .* any more"):
        load("shown")


def test_a_module_that_is_missing_costs_one_line(project, fresh, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (project / "lab_of_mine").rename(tmp_path / "lab_of_mine_too")
    status, _, err = call(capsys, "evaluate", f"--workdir={project / 'runs' / 'relative'}", *FEW)
    assert status == 2
    line = err.strip().splitlines()[-1]
    assert "config.prior: no module 'lab_of_mine.wide' on the Python path" in line
    assert line.endswith("; PYTHONPATH=DIR says where the module is")


def test_data_that_is_missing_costs_one_line_and_may_lie_in_the_run(
    project, fresh, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    workdir = project / "runs" / "relative"
    (project / "mine.npz").rename(tmp_path / "other.npz")
    status, _, err = call(capsys, "evaluate", f"--workdir={workdir}", *FEW)
    assert status == 2
    line = err.strip().splitlines()[-1]
    assert "mine.npz: there is no such file; put it into" in line
    assert line.endswith(f"put it into {workdir}, or {load.__globals__['BY_NAME']}")
    flags = ["--data=npz(path='other.npz')", f"--workdir={workdir}", *FEW]
    assert call(capsys, "evaluate", *flags)[0] == 0
    shutil.copy(tmp_path / "other.npz", workdir / "mine.npz")
    assert call(capsys, "evaluate", f"--workdir={workdir}", *FEW)[0] == 0


def test_no_path_of_a_machine_is_in_what_others_read(project):
    """Those of `environment.json`, and a config that was given one, alone."""
    for path in (project / "runs" / "relative").rglob("*.json*"):
        if path.name != "environment.json":
            assert not re.search(r"/(tmp|root|home)/", path.read_text()), path


def test_a_path_lies_to_a_run_as_it_lay(tmp_path):
    now = tmp_path / "new" / "runs" / "r"
    assert places.moved("/gone/lab", "/gone/runs/r", now) == str(tmp_path / "new" / "lab")
    assert places.moved("/gone/lab", None, now) == "/gone/lab"
    assert places.moved(str(tmp_path), "/gone/runs/r", now) == str(tmp_path)


@pytest.mark.slow
def test_commands_and_sweeps_go_on_where_a_project_was_moved_to(project, tmp_path):
    """In processes of their own, from a directory that has nothing to do with it."""
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    grid = ["--grid=latent_dim=2|3", "--num_seeds=2", "--config.num_epochs=1", *FEW]
    experiment = project / "experiment.py"
    experiment.write_text(
        "from vae_jax import config\nfrom tests.quick_runs import quick_config\n"
        "def get_config():\n    return quick_config(batch_size=20, prior='lab_of_mine.wide',"
        " data=\"npz(path='mine.npz')\")\n"
    )

    def run(cwd, *words):
        command = [sys.executable, "-m", "vae_jax", *words]
        done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    run(project, "sweep", "--config=experiment.py", "--workdir=runs/sweep", *grid)
    new = project.rename(tmp_path / "moved")
    (tmp_path / "far").mkdir()
    for words in (["evaluate", *FEW], ["sample"], ["report"]):
        run(
            tmp_path / "far",
            *words,
            f"--workdir={new / 'runs' / 'sweep' / 'latent_dim=2' / 'seed_0'}",
        )
    run(tmp_path / "far", "report", f"--workdir={new / 'runs' / 'sweep'}")
    again = run(new, "sweep", "--config=experiment.py", "--workdir=runs/sweep", *grid)
    assert "4 runs, 4 of them done before" in again
    assert len(directory.run_folders(new / "runs" / "sweep")) == 2
