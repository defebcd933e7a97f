"""Part of this suite passes for a user without a name, from source that is read-only, in odd paths."""

import os
import shutil
import subprocess
import sys

import pytest

from tests.cli.test_cli import ROOT

pytestmark = pytest.mark.slow
SUITE = [
    *("tests/cli", "tests/config", "tests/runs", "tests/places/test_paths.py"),
    *("tests/places/test_neighbours.py", "tests/places/test_oddities.py"),
]
NAMELESS = ["unshare", "--user", "--map-user=54321", "--map-group=54321"]
COPIED = ("vae_jax", "tests", "docs", "experiments", "benchmarks", "notebooks")


def copied(folder):
    """A copy of the source."""
    folder.mkdir()
    ignored = shutil.ignore_patterns("__pycache__")
    for name in COPIED:
        shutil.copytree(ROOT / name, folder / name, ignore=ignored)
    for path in ROOT.iterdir():
        if path.is_file():
            shutil.copy(path, folder)
    return folder


def passes(source, temporary, before=(), **variables):
    """Runs the part of the suite, with nothing in the environment but what is given."""
    temporary.mkdir()
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(source), "TMPDIR": str(temporary)}
    words = ["-m", "pytest", "-q", "-p", "no:cacheprovider", *SUITE]
    done = subprocess.run(
        [*before, sys.executable, *words],
        cwd=source, env=env | variables, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]


def test_for_a_user_without_home_and_name_from_source_that_is_read_only(tmp_path):
    can = shutil.which("unshare") and not subprocess.run([*NAMELESS, "true"]).returncode
    if not can:
        pytest.skip("a user without a name needs `unshare`")
    source = copied(tmp_path / "source")
    subprocess.run(["chmod", "-R", "a-w", source], check=True)
    try:
        for refused in (["whoami"], ["touch", source / "new"]):
            assert subprocess.run([*NAMELESS, *refused], capture_output=True).returncode
        passes(source, tmp_path / "temporary", NAMELESS)
    finally:
        subprocess.run(["chmod", "-R", "u+w", source], check=True)


def test_in_a_path_with_blanks_and_umlauts_where_letters_are_ascii(tmp_path):
    folder = tmp_path / "mein Übungs ordner 🎲"
    passes(copied(folder), tmp_path / "temporäre Dateien", HOME=str(tmp_path), LANG="C")
