"""An experiment file imports its neighbours wherever it is run from, and its runs find them again."""

import os
import subprocess
import sys

import pytest

from tests.cli.test_cli import ROOT, call
from tests.places.conftest import FEW
from vae_jax.config.experiments import parted, read_experiment
from vae_jax.places import look_in, own_folders

COMMON = """from vae_jax import default_config


def base():
    config = default_config()
    config.encoder = config.decoder = "mlp(hidden=(8,))"
    config.latent_dim, config.num_epochs, config.prior = 2, 1, "lab.heavy_tails"
    return config
"""
EXPERIMENT = """from __future__ import annotations

import dataclasses

from common import base


@dataclasses.dataclass
class Sizes:
    latent_dim: int


def get_config(argument=""):
    from lab import late

    config = base()
    config.update(dataclasses.asdict(Sizes(late.SIZES.get(argument, 2))))
    return config


def sweep():
    import common

    return [{"latent_dim": n} for n in (2, common.base().latent_dim + 1)]
"""


@pytest.fixture
def experiment(tmp_path, monkeypatch):
    """A file with neighbours, beside a working directory that has others of their names."""
    folder = tmp_path / "my experiments: ä"
    (folder / "lab").mkdir(parents=True)
    (folder / "common.py").write_text(COMMON, encoding="utf-8")
    (folder / "my.py").write_text(EXPERIMENT, encoding="utf-8")
    (folder / "lab" / "late.py").write_text("SIZES = {'three': 3}\n", encoding="utf-8")
    part = (
        (ROOT / "README.md")
        .read_text(encoding="utf-8")
        .partition("# my_lab/heavy_tails.py\n")[2]
        .partition("```")[0]
    )
    (folder / "lab" / "heavy_tails.py").write_text(part, encoding="utf-8")
    here = tmp_path / "here"
    here.mkdir()
    (here / "common.py").write_text("raise RuntimeError('the wrong neighbour')\n", encoding="utf-8")
    monkeypatch.chdir(here)
    monkeypatch.setattr(sys, "path", ["", *sys.path])
    yield folder / "my.py"
    for name in [n for n in sys.modules if n.partition(".")[0] in ("common", "lab")]:
        del sys.modules[name]


@pytest.mark.parametrize(("argument", "latent_dim"), [("", 2), (":three", 3)])
def test_an_experiment_imports_its_neighbours(experiment, argument, latent_dim):
    for name in (f"{experiment}{argument}", os.path.relpath(f"{experiment}{argument}")):
        assert read_experiment(name).latent_dim == latent_dim


def test_a_file_is_told_from_its_argument(experiment):
    assert parted(str(experiment)) == (experiment, "")
    assert parted(f"{experiment}:a:b.py:c") == (experiment, "a:b.py:c")
    assert parted("no.py:a")[0].name == "no.py"


def test_a_sweep_lists_settings_with_its_neighbours(experiment, tmp_path, capsys):
    words = ["sweep", f"--config={experiment}:three", f"--workdir={tmp_path / 'new'}", "--dry_run"]
    status, out, err = call(capsys, *words)
    assert status == 0, err
    assert "latent_dim=3" in out


def test_folders_of_ones_own_are_those_that_are_not_installed(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", ["", str(tmp_path / "lab"), *sys.path])
    monkeypatch.chdir(tmp_path)
    folders = own_folders()
    assert folders[:2] == [str(tmp_path), str(tmp_path / "lab")]
    assert not [f for f in folders if f.startswith((sys.prefix, sys.base_prefix))]
    (tmp_path / "there").mkdir()
    look_in(["relative", str(tmp_path / "gone"), str(tmp_path / "there")])
    assert sys.path[-1] == str(tmp_path / "there")
    assert "relative" not in sys.path


@pytest.mark.slow
@pytest.mark.parametrize("more", [[], ["--num_workers=1"]])
def test_parts_beside_an_experiment_are_found_by_all_commands_and_processes(
    more, experiment, tmp_path
):
    """In processes of their own, which have imported nothing; the last from elsewhere."""
    env = {**os.environ, "PYTHONPATH": str(ROOT)}

    def run(*words):
        command = [sys.executable, "-m", "vae_jax", *words]
        done = subprocess.run(command, env=env, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr

    new = tmp_path / "a new place"
    run("sweep", f"--config={experiment}", f"--workdir={new}", *FEW, *more)
    one = new / "latent_dim=2" / "seed_0"
    os.chdir(tmp_path)
    run("evaluate", f"--workdir={one}", *FEW)
    run("sample", f"--workdir={one}", "--num_samples=4")
    run("train", f"--workdir={one}")
    run("report", f"--workdir={new}")
