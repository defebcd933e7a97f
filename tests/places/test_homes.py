"""Every command works for a user without a home, a name, or a folder for temporary files."""

import os
import pwd
import subprocess
import sys
import tempfile

import jax
import pytest

from tests.cli.test_cli import ROOT, call
from tests.places.conftest import FEW, TRAIN
from vae_jax import caches

KL = ["compare-kl", "--q=normal", "--p=laplace", "--max_samples=4", "--num_repetitions=2"]
COMMANDS = {
    "list": ["list", "priors"],
    "data list": ["data", "list"],
    "train": [*TRAIN, "--workdir={new}"],
    "evaluate": ["evaluate", "--workdir={run}", *FEW],
    "sample": ["sample", "--workdir={run}", "--num_samples=4"],
    "report": ["report", "--workdir={run}"],
    "compare-kl": [*KL, "--output={new}"],
    "sweep": ["sweep", *TRAIN[1:], *FEW, "--grid=latent_dim=2|3", "--workdir={new}"],
}
VARIABLES = ("HOME", "USER", "LOGNAME", "VAE_JAX_CACHE", "TFDS_DATA_DIR", "MPLCONFIGDIR", "TMPDIR")
NAMELESS = """import pwd
def _nobody(uid):
    raise KeyError(f"getpwuid(): uid not found: {uid}")
pwd.getpwuid = _nobody
"""


def nobody(uid):
    raise KeyError(f"getpwuid(): uid not found: {uid}")


def is_bare(name):
    return name not in VARIABLES and not name.startswith("XDG_")


def bare(monkeypatch):
    for name in [name for name in os.environ if not is_bare(name)]:
        monkeypatch.delenv(name)


def no_name(monkeypatch):
    monkeypatch.setattr(pwd, "getpwuid", nobody)


def no_such_home(monkeypatch):
    monkeypatch.setenv("HOME", "/proc/nonexistent")


def home_is_a_file(monkeypatch):
    monkeypatch.setenv("HOME", __file__)


def no_temporary_files(monkeypatch):
    no_name(monkeypatch)
    monkeypatch.setattr(tempfile, "_candidate_tempdir_list", lambda: ["/proc/nonexistent"])
    monkeypatch.setattr(tempfile, "tempdir", None)


QUICK = {"list", "data list", "train", "evaluate", "report"}  # at the place that most differs
PLACES = [
    pytest.param(
        command, place, marks=[pytest.mark.slow] * (place is not no_name or command not in QUICK)
    )
    for place in (no_name, no_such_home, home_is_a_file, no_temporary_files)
    for command in COMMANDS
]


@pytest.fixture
def jax_cache():
    """JAX's cache as it was, after the test."""
    before = jax.config.jax_compilation_cache_dir
    yield
    jax.config.update("jax_compilation_cache_dir", before)


def filled(command, run, new):
    return [word.format(run=run, new=new) for word in COMMANDS[command]]


@pytest.mark.parametrize(("command", "place"), PLACES)
@pytest.mark.usefixtures("jax_cache")
def test_every_command_works_in_every_place(
    command, place, run, tmp_path, tmp_path_factory, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path_factory.getbasetemp()))
    bare(monkeypatch)
    place(monkeypatch)
    status, out, err = call(capsys, *filled(command, run, tmp_path / "new"))
    assert status == 0, err
    assert out
    assert not list(tmp_path.rglob("~*"))


@pytest.mark.parametrize("command", ["sample", pytest.param("sweep", marks=pytest.mark.slow)])
def test_libraries_are_quiet_for_a_user_without_home_and_name(command, run, tmp_path):
    """In a process of its own, where everything is imported anew; the sweep starts others."""
    (tmp_path / "patch").mkdir()
    (tmp_path / "patch" / "sitecustomize.py").write_text(NAMELESS)
    kept = {name: value for name, value in os.environ.items() if is_bare(name)}
    env = kept | {"PYTHONPATH": f"{tmp_path / 'patch'}:{ROOT}", "TMPDIR": str(tmp_path)}
    more = ["--num_workers=1"] if command == "sweep" else []
    words = filled(command, run, tmp_path / "new") + more
    command_line = [sys.executable, "-m", "vae_jax", *words]
    done = subprocess.run(command_line, cwd=tmp_path, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for word in ("warn", "Traceback", "home", "MPLCONFIGDIR", "getpwuid", "cache"):
        assert word.lower() not in done.stderr.lower(), done.stderr
    assert not list(tmp_path.rglob("~*"))


def test_caches_go_to_a_folder_of_the_user_alone_where_there_is_no_home(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", "/proc/nonexistent")
    for name in ("VAE_JAX_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    folder = caches.cache_dir()
    assert folder == tmp_path / f"vae_jax-{os.getuid()}"
    assert folder.stat().st_mode & 0o077 == 0
    folder.chmod(0o777)  # others may have put programs there
    assert caches.cache_dir() == caches.NOWHERE
