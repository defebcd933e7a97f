"""`~` is the home in every path that somebody writes, and no folder of this name is made."""

import os
import pwd
import subprocess
import sys

import numpy as np
import pytest

from tests.cli.test_cli import DIGITS, ROOT, TINY, call
from tests.places.conftest import FEW, TRAIN
from tests.quick_runs import quick_config
from vae_jax import caches, fit, fit_seeds, load
from vae_jax.cli.flags import Flags
from vae_jax.cli.main import command_names, find_command
from vae_jax.datasets import tfds
from vae_jax.errors import UserError
from vae_jax.places import named
from vae_jax.reporting.pages import report

KL = ["compare-kl", "--q=normal", "--p=laplace", "--max_samples=4", "--num_repetitions=2"]
EXPERIMENT = f"""from vae_jax.config.experiments import read_experiment


def get_config(argument="quick"):
    return read_experiment({DIGITS!r} + ":" + argument)
"""


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """A home with an experiment file; the working directory is another one."""
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "my.py").write_text(EXPERIMENT, encoding="utf-8")
    (tmp_path / "here").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path / "here")
    yield tmp_path / "home"
    assert not list(tmp_path.rglob("~*"))


@pytest.mark.slow
def test_every_command_takes_a_home_in_its_paths(home, run, capsys):
    run.rename(home / "run")
    for words in (
        ["train", "--config=~/my.py:quick", "--workdir=~/new", *TINY, "--config.num_epochs=1"],
        ["train", "--config", "~/my.py", "--workdir", "~/other", *TINY, "--config.num_epochs=1"],
        ["evaluate", "--workdir=~/run", *FEW],
        ["sample", "--workdir=~/run", "--num_samples=4"],
        ["report", "--workdir=~/run"],
        ["sweep", "--config=~/my.py", "--workdir=~/sweep", "--dry_run"],
        [*KL, "--output=~/kl"],
    ):
        status, out, err = call(capsys, *words)
        assert status == 0, err
        assert "~" not in out
    assert (home / "new" / "config.json").exists()
    assert (home / "other" / "config.json").exists()
    assert (home / "kl" / "results.json").exists()


@pytest.mark.parametrize("command", command_names())
def test_every_flag_that_holds_a_path_takes_a_home(command, home):
    flags = Flags(["vae-jax"])
    find_command(command).flags(flags)
    names = [name for name in flags.values if name in ("workdir", "output", "config")]
    flags = Flags(["vae-jax", *(f"--{name}=~/my.py" for name in names)])
    find_command(command).flags(flags)
    args = flags.read()
    for name in names:
        value = args.config_file if name == "config" else getattr(args, name)
        assert value in (str(home / "my.py"), [str(home / "my.py")])


@pytest.mark.slow
def test_the_library_takes_a_home_in_its_paths(home):
    config = quick_config(num_epochs=1)
    fit(config, "~/run", quiet=True)
    assert load("~/run").workdir == home / "run"
    assert report("~/run") == home / "run" / "report.html"
    fit_seeds(quick_config(num_epochs=1, num_seeds=2), "~/seeds", quiet=True)
    assert (home / "seeds" / "seed_1" / "config.json").exists()


def test_caches_and_data_take_a_home(home, monkeypatch):
    monkeypatch.setenv("VAE_JAX_CACHE", "~/cache")
    monkeypatch.setenv("TFDS_DATA_DIR", "~/data")
    assert caches.cache_dir() == home / "cache"
    assert tfds.data_dir() == home / "data"
    monkeypatch.delenv("VAE_JAX_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "~/xdg")
    assert caches.cache_dir() == home / "xdg" / "vae_jax"


@pytest.mark.slow
def test_libraries_take_a_home_in_their_variables(home, run):
    """In a process of its own, where they are imported anew."""
    names = ("JAX_COMPILATION_CACHE_DIR", "MPLCONFIGDIR", "XDG_CACHE_HOME", "XDG_CONFIG_HOME")
    env = {**os.environ, **{n: f"~/{n}" for n in names}, "PYTHONPATH": str(ROOT)}
    words = [sys.executable, "-m", "vae_jax", "sample", f"--workdir={run}", "--num_samples=4"]
    done = subprocess.run(words, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (home / "JAX_COMPILATION_CACHE_DIR").is_dir()
    assert (home / "MPLCONFIGDIR").is_dir()


def nobody(_):
    raise KeyError


@pytest.mark.parametrize("path", ["~/run", "~", "~nobody_of_this_name/run"])
def test_a_path_below_no_home_is_refused(path, monkeypatch, capsys):
    monkeypatch.delenv("HOME")
    monkeypatch.setattr(pwd, "getpwuid", nobody)
    with pytest.raises(UserError, match="there is no home ~"):
        named(path)
    status, _, err = call(capsys, *KL, f"--output={path}")
    assert status == 2
    assert err.count("\n") == 1
    monkeypatch.setenv("VAE_JAX_CACHE", path)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert "~" not in str(caches.cache_dir())


@pytest.mark.parametrize("flag", ["--output", "--workdir"])
def test_an_address_is_no_path(flag, capsys, tmp_path):
    words = KL if flag == "--output" else ["report"]
    status, _, err = call(capsys, *words, f"{flag}=gs://bucket/run")
    assert status == 2
    assert "gs://bucket/run: a path on this machine is needed" in err
    assert not list((tmp_path / "here").iterdir())


def test_a_path_with_a_tilde_elsewhere_is_itself():
    assert str(named("runs/~/x~")) == "runs/~/x~"


@pytest.mark.slow
def test_data_is_found_where_the_run_was_trained(tmp_path, capsys, monkeypatch):
    """From another directory, as of cron; a file of that name which is there is looked at first."""
    (tmp_path / "lab").mkdir()
    (tmp_path / "else").mkdir()
    bits = np.random.default_rng(0).uniform(size=(2, 300, 5)) < 0.4
    for folder, x in zip(("lab", "else"), bits, strict=True):
        np.savez(tmp_path / folder / "mine.npz", x=x)
    monkeypatch.chdir(tmp_path / "lab")
    data = "--config.data=npz(path='mine.npz')"
    assert call(capsys, *TRAIN, data, "--workdir=run")[0] == 0
    monkeypatch.chdir(tmp_path)
    words = (f"--workdir={tmp_path / 'lab' / 'run'}", *FEW)
    assert call(capsys, "evaluate", *words)[0] == 0
    assert call(capsys, "train", words[0])[0] == 0
    monkeypatch.chdir(tmp_path / "else")
    status, _, err = call(capsys, "evaluate", *words)
    assert status == 2
    assert "is not what" in err
